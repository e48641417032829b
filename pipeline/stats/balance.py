"""How alike two arms are: means, standardised differences, variance ratios, whole distributions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd


def indicators(covariates: pd.DataFrame) -> pd.DataFrame:
    """Return numeric columns as they are and one 0/1 column ``name[level]`` for every level of the others."""
    parts = []
    for name in covariates:
        column = covariates[name]
        if pd.api.types.is_numeric_dtype(column):
            parts.append(column.astype(float))
        else:
            parts.append(
                pd.get_dummies(column, dtype=float).rename(columns=lambda level, name=name: f"{name}[{level}]")
            )
    return pd.concat(parts, axis=1)


def balance(
    covariates: pd.DataFrame, treated: np.ndarray, scale: pd.Series | None = None, weight: np.ndarray | None = None
) -> pd.DataFrame:
    """Compare two arms covariate by covariate.

    Args:
        covariates: numeric (loans x covariates), as `indicators` gives them.
        treated: 0/1 (loans,).
        scale: standard deviation by which each difference is divided. None: the square root of the arms' mean
            variance in this sample. After matching pass the scale of the sample before it, so that a change of the
            measure comes from the means alone (Stuart 2010, section 3.4.1).
        weight: how much each loan counts (loans,); None: all alike.

    Returns one row a covariate: ``mean_treated, mean_control, sd_treated, sd_control, scale,
    standardised_mean_difference, variance_ratio``. The ratio is missing for 0/1 columns, whose variance the mean
    determines; the difference is 0 where neither arm varies and the means agree.
    """
    arm = treated.astype(bool)
    one, other = covariates[arm], covariates[~arm]
    if weight is None:
        means, spreads = [one.mean(), other.mean()], [one.std(), other.std()]
    else:
        means = [_mean(side, weight[of]) for side, of in ((one, arm), (other, ~arm))]
        spreads = [_deviation(side, weight[of]) for side, of in ((one, arm), (other, ~arm))]
    result = pd.DataFrame(
        {
            "mean_treated": means[0],
            "mean_control": means[1],
            "sd_treated": spreads[0],
            "sd_control": spreads[1],
        }
    )
    if scale is None:
        scale = np.sqrt((result["sd_treated"] ** 2 + result["sd_control"] ** 2) / 2)
    scale = scale.reindex(result.index)
    difference = result["mean_treated"] - result["mean_control"]
    with np.errstate(divide="ignore", invalid="ignore"):
        standardised = np.where(np.isclose(difference, 0, atol=1e-12), 0.0, difference / scale)
        ratio = result["sd_treated"] ** 2 / result["sd_control"] ** 2
    binary = covariates.isin([0, 1]).all()
    return result.assign(
        scale=scale,
        standardised_mean_difference=standardised,
        variance_ratio=ratio.where(~binary & (result["sd_control"] > 0)),
    )


def _mean(covariates: pd.DataFrame, weight: np.ndarray) -> pd.Series:
    return pd.Series(weight @ covariates.to_numpy(dtype=float) / weight.sum(), covariates.columns)


def _deviation(covariates: pd.DataFrame, weight: np.ndarray) -> pd.Series:
    """Weighted standard deviation whose divisor is n - 1 where all weights agree."""
    share = weight / weight.sum()
    centred = covariates.to_numpy(dtype=float) - share @ covariates.to_numpy(dtype=float)
    return pd.Series(np.sqrt(share @ centred**2 / (1 - share @ share)), covariates.columns)


class Diagnosis(NamedTuple):
    """Everything that tells how alike two arms are."""

    covariates: pd.DataFrame
    """One row a covariate: the columns of `balance`, and ``ks`` and ``mean_ecdf`` (see `distance_of_distributions`)."""
    products: pd.DataFrame
    """The least alike squares and products of two covariates: ``product, standardised_mean_difference``."""
    effective_treated: float
    """Kish's effective number of loans in each arm."""
    effective_control: float
    outside_support: int
    """Treated loans that count and whose score lies outside that of the controls that count; -1 without a score."""


def diagnose(
    covariates: pd.DataFrame,
    treated: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    score: np.ndarray | None = None,
    standard: Literal["pooled", "treated"] = "pooled",
    worst: int = 5,
) -> Diagnosis:
    """Compare two arms before (no weights) or after any design.

    Args:
        covariates: numeric (loans x covariates), as `indicators` gives them.
        treated: 0/1 (loans,).
        weight: of the design (loans,); 0: left out.
        score: propensity score on any scale (loans,).
        standard: by which standard deviation of the loans before any design differences are divided: the root of
            the arms' mean variance, or that of the treated loans. With ``treated`` a 0/1 covariate has the deviation
            sqrt(p(1-p)), as in MatchIt and cobalt.
        worst: how many squares and products to report. Means may agree where these do not (Stuart 2010).
    """
    arm = treated.astype(bool)
    weight = np.ones(len(arm)) if weight is None else weight
    scale = _scale(covariates, arm, standard)
    found = balance(covariates, treated, scale, weight)
    values = covariates.to_numpy(dtype=float)
    apart = [distance_of_distributions(column, arm, weight) for column in values.T]
    found = found.assign(ks=[one for one, _ in apart], mean_ecdf=[one for _, one in apart])
    names = list(covariates.columns)
    # Centred, so that a product measures something of its own and not the means again.
    centred = values - values.mean(axis=0)
    products = {}
    for place, name in enumerate(names):
        binary = set(np.unique(values[:, place])) <= {0.0, 1.0}
        for other in range(place, len(names)):
            if other == place and binary:
                continue
            label = f"{name}^2" if other == place else f"{name} x {names[other]}"
            products[label] = centred[:, place] * centred[:, other]
    table = pd.DataFrame(products)
    if len(products):
        spread = _scale(table, arm, standard)
        measure = balance(table, treated, spread, weight)["standardised_mean_difference"]
        measure = measure.replace([np.inf, -np.inf], np.nan).dropna()
        order = np.lexsort((measure.index.to_numpy(dtype=str), -measure.abs().round(12).to_numpy()))[:worst]
        table = measure.iloc[order].rename_axis("product").reset_index()
    outside = -1
    if score is not None:
        others = score[~arm & (weight > 0)]
        mine = score[arm & (weight > 0)]
        outside = int(((mine < others.min()) | (mine > others.max())).sum())
    return Diagnosis(found, table, float(_kish(weight[arm])), float(_kish(weight[~arm])), outside)


def _scale(covariates: pd.DataFrame, arm: np.ndarray, standard: str) -> pd.Series:
    if standard == "pooled":
        return np.sqrt((covariates[arm].var() + covariates[~arm].var()) / 2)
    binary = covariates.isin([0, 1]).all()
    share = covariates[arm].mean()
    return covariates[arm].std().where(~binary, np.sqrt((share * (1 - share)).clip(lower=0)))


def _kish(weight: np.ndarray) -> float:
    total = (weight**2).sum()
    return weight.sum() ** 2 / total if total else 0.0


def distance_of_distributions(values: np.ndarray, arm: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the largest (Kolmogorov-Smirnov) and the mean difference of the arms' weighted distributions.

    The mean runs over the distinct values that count. Both lie between 0 (alike) and 1.
    """
    steps = ecdf(values, arm, weight)
    gap = np.abs(steps["treated"] - steps["control"])
    return float(gap.max()), float(gap.mean())


def ecdf(values: np.ndarray, arm: np.ndarray, weight: np.ndarray) -> pd.DataFrame:
    """Return the weighted empirical distribution of each arm: ``value, treated, control``, one row a value."""
    used = weight > 0
    value, place = np.unique(values[used], return_inverse=True)
    columns = {"value": value}
    for name, side in (("treated", arm[used]), ("control", ~arm[used])):
        mass = np.bincount(place, np.where(side, weight[used], 0.0), minlength=len(value))
        columns[name] = np.cumsum(mass) / mass.sum()
    return pd.DataFrame(columns)


def quantiles(values: np.ndarray, arm: np.ndarray, weight: np.ndarray, number: int = 99) -> pd.DataFrame:
    """Return weighted quantiles of each arm for a QQ plot: ``share, treated, control``, `number` rows."""
    steps = ecdf(values, arm, weight)
    share = np.arange(1, number + 1) / (number + 1)
    value = steps["value"].to_numpy()
    # The smallest value at which the distribution reaches the share, rounding aside.
    reach = {name: value[np.searchsorted(steps[name].to_numpy(), share - 1e-12)] for name in ("treated", "control")}
    return pd.DataFrame({"share": share, **reach})
