"""How alike two arms are: means, standardised differences, variance ratios, whole distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd

ROUNDING = 1e-12


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
    determines; the difference is 0 where the means agree. What is below `ROUNDING` of the values is no spread and no
    difference, whatever the unit.
    """
    arm = treated.astype(bool)
    one, other = covariates[arm], covariates[~arm]
    if weight is None:
        means, spreads = [one.mean(), other.mean()], [one.std(), other.std()]
    else:
        means = [_mean(side, weight[of]) for side, of in ((one, arm), (other, ~arm))]
        spreads = [_deviation(side, weight[of]) for side, of in ((one, arm), (other, ~arm))]
    spreads = [spread.mask(spread <= ROUNDING * mean.abs(), 0.0) for spread, mean in zip(spreads, means, strict=True)]
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
    least = ROUNDING * np.maximum.reduce([result["mean_treated"].abs(), result["mean_control"].abs(), scale.fillna(0)])
    with np.errstate(divide="ignore", invalid="ignore"):
        standardised = np.where(difference.abs() <= least, 0.0, difference / scale)
        ratio = result["sd_treated"] ** 2 / result["sd_control"] ** 2
    binary = ((covariates == 0) | (covariates == 1)).all()
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
