"""Does each unit of a factor change the odds by the same proportion? The logistic line against curves, and its link."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import grouped_logit, standing
from pipeline.stats.inference import Effect, as_ratio, cluster_codes, codes, effect

HANDFUL = 5
"""Values up to which each one is a category of its own; above, a spline goes through them."""

KNOTS = {4: (0.05, 0.35, 0.65, 0.95), 3: (0.1, 0.5, 0.9)}
"""Quantiles at which knots stand (Harrell 2015, Regression Modeling Strategies, table 2.3)."""

FEWEST = 5
"""Rows of each outcome that a category needs to have a coefficient of its own."""

ENDS = {"low_end": 0.1, "high_end": 0.9}
"""Quantiles of the factor at which the odds ratio of one more unit is read off the curve."""


class Shape(NamedTuple):
    """The test of one proportion against a curve."""

    form: str
    """``restricted_cubic_spline``, ``quadratic`` or ``categories``."""
    wald: float
    """Cluster-robust Wald statistic of the terms that bend the line."""
    wald_p: float
    likelihood_ratio: float
    likelihood_ratio_p: float
    degrees: int
    ends: dict[str, Effect]
    """Odds ratio of one unit more where the factor is low and where it is high; its error is on the log scale."""
    rows: int
    clusters: int


def spline(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return the terms of a restricted cubic spline beyond the line itself (rows x knots - 2).

    Straight beyond the outer knots; scaled by the squared distance of those (Harrell 2015, equation 2.25).
    """
    last, before = knots[-1], knots[-2]

    def cube(knot: float) -> np.ndarray:
        return np.maximum(values - knot, 0) ** 3

    terms = [
        cube(knot) - cube(before) * (last - knot) / (last - before) + cube(last) * (before - knot) / (last - before)
        for knot in knots[:-2]
    ]
    return np.column_stack(terms) / (last - knots[0]) ** 2


def _bends(values: np.ndarray, y: np.ndarray) -> tuple[str, np.ndarray, np.ndarray | None]:
    """Return the form of the curve, its terms beyond the line, and its knots where it has any."""
    distinct = np.unique(values)
    if len(distinct) <= HANDFUL:
        # Two levels fix the line; each further one bends it.
        levels = values[:, None] == distinct[1:-1]
        everyone = values[:, None] == distinct
        fewest = min((everyone & (y[:, None] == outcome)).sum(axis=0).min() for outcome in (0, 1))
        if fewest >= FEWEST:
            return "categories", levels.astype(float), None
    else:
        for places in KNOTS.values():
            knots = np.quantile(values, places)
            if (np.diff(knots) > 0).all():
                return "restricted_cubic_spline", spline(values, knots), knots
    return "quadratic", (values[:, None] - values.mean()) ** 2, None


def constant_proportion(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    absorb: pd.Series | None = None,
) -> Shape:
    """Test whether each unit of `factor` changes the odds of the outcome by one proportion.

    `outcome` 0/1 (rows,), `design` (rows x columns, full rank) holds ``intercept``, `factor` and the controls. The
    logistic regression that is linear in the factor stands inside one with a curve: a restricted cubic spline, a
    category for each of a handful of values, or a square where knots fall together. The Wald test allows rows of one
    of `clusters` to resemble each other; the likelihood ratio takes them as independent. `absorb` (rows,) are groups,
    such as months, with an effect each; those with one outcome say nothing and leave. Raises StudyError for a factor of
    two values, and where a likelihood has no maximum.
    """
    from scipy.special import chdtrc

    if factor not in design:
        raise StudyError(f"{factor} does not vary, or the controls determine it: nothing can be said of its effect.")
    stays, groups = informative(outcome, absorb)
    outcome, design, clusters = outcome[stays], design[stays], clusters[stays]
    y, values = outcome.to_numpy(dtype=float), design[factor].to_numpy(dtype=float)
    if len(np.unique(values)) < 3:
        raise StudyError(f"{factor} has two values, through which there is only one line.")
    cluster = cluster_codes(clusters)
    form, bends, knots = _bends(values, y)
    unit, size = values.std(), bends.std(axis=0)
    degrees = bends.shape[1]
    bent = np.column_stack([values / unit, bends / size, standardised(design.drop(columns=["intercept", factor]))])
    # Loans have left, and with them what told a control from the groups, or the curve.
    kept = standing(bent, [groups])
    if not kept[: 1 + degrees].all():
        raise StudyError(f"{factor} has no variation left inside the groups to tell a curve from a line.")
    bent = bent[:, kept]
    line = grouped_logit(y, np.delete(bent, range(1, 1 + degrees), axis=1), [groups], cluster, factor)
    start = np.insert(line.slopes, 1, np.zeros(degrees)), line.index
    curve = grouped_logit(y, bent, [groups], cluster, factor, start)
    of_bends = slice(1, 1 + degrees)
    slopes, variance = curve.slopes[of_bends], curve.variance[of_bends, of_bends]
    wald = float(slopes @ np.linalg.solve(variance, slopes))
    ratio = max(2 * (curve.log_likelihood - line.log_likelihood), 0.0)
    ends = {}
    if form != "categories":
        for name, share in ENDS.items():
            at = np.quantile(values, share)
            steepness = np.zeros(len(curve.slopes))
            steepness[0] = 1 / unit
            if knots is None:
                steepness[1] = 2 * (at - values.mean()) / size[0]
            else:
                step = 1e-5 * (knots[-1] - knots[0])
                both = spline(np.array([at + step, at - step]), knots)
                steepness[of_bends] = (both[0] - both[1]) / (2 * step) / size
            error = float(np.sqrt(steepness @ curve.variance @ steepness))
            ends[name] = as_ratio(effect(float(steepness @ curve.slopes), error, level))
    return Shape(
        form,
        wald,
        float(chdtrc(degrees, wald)),
        ratio,
        float(chdtrc(degrees, ratio)),
        degrees,
        ends,
        len(y),
        int(cluster.max()) + 1,
    )


def thirds(values: pd.Series) -> pd.DataFrame | None:
    """Return indicators (rows x 2) of the middle and the top third of a factor's values, or None.

    Values that are the same stay in one third. There are no thirds where one of them holds less than a tenth.
    """
    lower, upper = np.quantile(values, [1 / 3, 2 / 3])
    third = np.where(values > upper, 2, np.where(values > lower, 1, 0))
    if np.bincount(third, minlength=3).min() < len(values) / 10:
        return None
    names = ("middle_third", "top_third")
    return pd.DataFrame({name: (third == place) * 1.0 for place, name in enumerate(names, 1)}, index=values.index)


def informative(outcome: pd.Series, absorb: pd.Series | None) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows (boolean) are in groups with both outcomes, and those rows' group numbers."""
    groups = np.zeros(len(outcome), dtype=int) if absorb is None else codes(absorb)
    size, bad = np.bincount(groups), np.bincount(groups, outcome)
    stays = ((bad > 0) & (bad < size))[groups]
    if not stays.any():
        raise StudyError("no group has loans with and without default: there is no effect to see.")
    return stays, codes(groups[stays])


def standardised(controls: pd.DataFrame) -> np.ndarray:
    """Return columns (rows x columns) from their means, in standard deviations; those that have none are left out."""
    values = controls.to_numpy(dtype=float)
    spread = values.std(axis=0)
    return ((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))[:, spread > 0]


class Link(NamedTuple):
    """Pregibon's test of the link."""

    statistic: float
    p_value: float
    rows: int


def link_test(
    outcome: pd.Series, design: pd.DataFrame, clusters: pd.Series, name: str, absorb: pd.Series | None = None
) -> Link:
    """Test whether the square of the fitted log odds tells anything beyond them (Pregibon 1980, Applied Statistics 29).

    It does where the logistic curve, or the straightness of a control, is wrong. Arguments as in
    `constant_proportion`; the error is cluster-robust.
    """
    from scipy.special import ndtr

    stays, groups = informative(outcome, absorb)
    y, cluster = outcome[stays].to_numpy(dtype=float), cluster_codes(clusters[stays])
    controls = standardised(design[stays].drop(columns="intercept"))
    controls = controls[:, standing(controls, [groups])]
    fitted = grouped_logit(y, controls, [groups], cluster, name).index
    fitted = (fitted - fitted.mean()) / fitted.std()
    again = grouped_logit(y, np.column_stack([fitted, fitted**2]), [np.zeros(len(y), dtype=int)], cluster, name)
    statistic = float(again.slopes[1] / np.sqrt(again.variance[1, 1]))
    return Link(statistic, float(2 * ndtr(-abs(statistic))), len(y))
