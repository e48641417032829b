"""Correlations of a factor with a 0/1 outcome, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect
from pipeline.stats.products import decomposed


def _with_interval(r: float, variance: float, level: float) -> Effect:
    """Interval on Fisher's z = atanh(r), whose variance is `variance`; the standard error is given on r's scale.

    A correlation of one or minus one has no z: it stands without error, interval and p-value.
    """
    from scipy.special import ndtr, ndtri

    if is_perfect(r):
        return Effect(float(np.sign(r)), *[float("nan")] * 4)
    z, error = np.arctanh(r), np.sqrt(variance)
    half = ndtri(0.5 + level / 2) * error
    p_value = 2 * ndtr(-abs(z) / error)
    return Effect(r, error * (1 - r**2), float(np.tanh(z - half)), float(np.tanh(z + half)), float(p_value))


def is_perfect(r: float) -> bool:
    """Say whether a correlation is one or minus one up to rounding: the one of the two tells the other."""
    return abs(r) > 1 - 1e-12


def _vary(factor: np.ndarray, outcome: np.ndarray) -> None:
    if np.ptp(factor) == 0 or np.ptp(outcome) == 0:
        raise StudyError("a correlation needs a factor and an outcome that vary; one of them has a single value.")


def _weighted(one: np.ndarray, other: np.ndarray, weights: np.ndarray, level: float, controls: int) -> Effect:
    """Correlation of a population of which a weighted sample was drawn.

    Its variance is that of its linear approximation (Binder 1983): each loan's influence on r, squared and added up,
    with a degree of freedom less for each control.
    """
    share = weights / weights.sum()
    deviations = [values - share @ values for values in (one, other)]
    a, b = (values / np.sqrt(share @ values**2) for values in deviations)
    r = float(share @ (a * b))
    influence = share * (a * b - r * (a**2 + b**2) / 2)
    variance = influence @ influence * len(one) / (len(one) - controls - 3)
    return _with_interval(r, np.nan if is_perfect(r) else variance / (1 - r**2) ** 2, level)


def pearson(
    factor: np.ndarray, outcome: np.ndarray, level: float, controls: int = 0, weights: np.ndarray | None = None
) -> Effect:
    """Pearson correlation; with a 0/1 outcome it is the point-biserial one.

    `controls` is the number of controls that were taken out of both before (partial correlation): each costs a
    degree of freedom, var(z) = 1 / (n - controls - 3) (Fisher 1924). With sampling `weights` (loans,) it is the
    population's, and its error follows from the weighted sample.
    """
    _vary(factor, outcome)
    if weights is not None:
        return _weighted(factor, outcome, weights, level, controls)
    r = float(np.corrcoef(factor, outcome)[0, 1])
    return _with_interval(r, 1 / (len(factor) - controls - 3), level)


def weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return each value's rank in the population: the weight below it, and half of the weight beside it."""
    _, place = np.unique(values, return_inverse=True)
    beside = np.bincount(place, weights)
    return (np.cumsum(beside) - beside / 2)[place]


def spearman(factor: np.ndarray, outcome: np.ndarray, level: float, weights: np.ndarray | None = None) -> Effect:
    """Spearman's rank correlation; var(z) = (1 + r^2 / 2) / (n - 3) (Bonett & Wright 2000).

    With sampling `weights` (loans,) it is the population's; its error takes the population's ranks as given.
    """
    _vary(factor, outcome)
    if weights is not None:
        return _weighted(weighted_ranks(factor, weights), weighted_ranks(outcome, weights), weights, level, 0)
    once = np.ones(len(factor))
    r = float(np.corrcoef(weighted_ranks(factor, once) + 0.5, weighted_ranks(outcome, once) + 0.5)[0, 1])
    return _with_interval(r, (1 + r**2 / 2) / (len(factor) - 3), level)


def orthonormal(controls: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return an orthonormal basis of a design matrix (loans x columns, with intercept, of full rank).

    The first k columns of the basis span the first k of the matrix, so one decomposition serves every rung of a ladder.
    With sampling `weights` (loans,) both sides of a regression on it are to be multiplied by their roots.
    """
    return decomposed(controls if weights is None else np.sqrt(weights)[:, None] * controls)[0]


def _left(both: np.ndarray, basis: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return what a regression on `basis` leaves of each column of `both`."""
    if weights is None:
        return both - basis @ (basis.T @ both)
    root = np.sqrt(weights)[:, None]
    return both - basis @ (basis.T @ (root * both)) / root


def partial(
    factors: pd.DataFrame,
    outcome: pd.Series,
    basis: np.ndarray,
    level: float,
    weights: np.ndarray | None = None,
) -> dict[str, Effect]:
    """Return the partial correlation of each factor with the outcome given controls.

    `basis` is the orthonormal one of the controls' design matrix (`orthonormal`). Factor and outcome are replaced by
    what a linear regression on the controls leaves of them; both steps are weighted where sampling `weights` (loans,)
    are given.
    """
    both = np.column_stack([factors.to_numpy(dtype=float), outcome.to_numpy(dtype=float)])
    rest = _left(both, basis, weights)
    left = np.linalg.norm(rest, axis=0) / np.linalg.norm(both, axis=0)
    determined = [name for name, share in zip([*factors, "the outcome"], left, strict=True) if not share > 1e-8]
    if determined:
        raise StudyError(
            f"{', '.join(determined)}: the controls leave no variation, so there is no partial correlation."
        )
    return {
        name: pearson(rest[:, place], rest[:, -1], level, basis.shape[1] - 1, weights)
        for place, name in enumerate(factors)
    }


def variance_inflation(factor: np.ndarray, basis: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return 1/(1 - R-squared) of `factor` (loans,) given controls, of which `basis` is the orthonormal one.

    By so much the controls inflate the variance of the factor's coefficient (Marquardt 1970). Infinite where they
    determine the factor.
    """
    w = np.ones(len(factor)) if weights is None else weights
    spread = float(w @ (factor - np.average(factor, weights=w)) ** 2)
    left = float(w @ _left(factor[:, None], basis, weights)[:, 0] ** 2)
    return float("inf") if left <= 1e-8 * spread else spread / left


def holm(p_values: list[float]) -> list[float]:
    """Adjust a family of p-values for multiplicity (Holm 1979)."""
    order, steps = np.argsort(p_values), np.arange(len(p_values), 0, -1)
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * steps)
    return list(np.minimum(stepped, 1.0)[np.argsort(order)])


def adjusted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with ``p_adjusted`` by `holm` over those of them that have a ``p_value``: one family."""
    tested = [place for place, row in enumerate(rows) if row.get("p_value") is not None and np.isfinite(row["p_value"])]
    found = [dict(row) for row in rows]
    if tested:
        for place, p_adjusted in zip(tested, holm([rows[place]["p_value"] for place in tested]), strict=True):
            found[place]["p_adjusted"] = float(p_adjusted)
    return found
