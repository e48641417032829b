"""One coefficient of a linear regression under every kind of standard error, from one partialling out.

By the theorem of Frisch, Waugh and Lovell the coefficient of a factor, and each of its standard errors, need no more
than what the controls leave of the factor and of the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import inference
from pipeline.stats.inference import Effect, adding, correction, effect

FEW = 12
"""Clusters below which Rademacher's two values give too few different draws, and Webb's six are drawn."""

ROUNDING = 1e-14
"""Share of a factor's sum of squares that rounding alone leaves of it where the controls determine it."""

WEBB = np.sqrt(np.array([1.5, 1.0, 0.5, 0.5, 1.0, 1.5])) * np.array([-1, -1, -1, 1, 1, 1])
"""Webb's (2023, Canadian Journal of Economics 56) weights, each as likely as the others."""

AT_ONCE = 2_000_000
"""Numbers in a block of bootstrap draws, so that memory stays small."""

LIMIT = 250_000_000
"""Most clusters times draws of the wild bootstrap: their weights take 8 bytes each, two gigabytes together."""


class Partialled(NamedTuple):
    """A regression of an outcome on a factor and controls, by what the controls leave. Weights are in all of it."""

    factor: np.ndarray
    """What the controls leave of the factor (rows,)."""
    null: np.ndarray
    """What the controls leave of the outcome (rows,): residuals where the factor has no effect."""
    controls: np.ndarray
    """Controls, an intercept among them, on a scale of their own (rows x controls)."""
    inverse: np.ndarray
    """Inverse of the controls' cross products."""
    slope: float
    rest: np.ndarray
    """Residuals (rows,)."""

    @property
    def parameters(self) -> int:
        """Coefficients of the regression."""
        return self.controls.shape[1] + 1

    @property
    def information(self) -> float:
        """Sum of squares that the controls leave of the factor."""
        return float(self.factor @ self.factor)


def partial_out(outcome: pd.Series, design: pd.DataFrame, factor: str, weights: pd.Series | None = None) -> Partialled:
    """Regress `outcome` (rows,) on `design` (rows x columns, full rank, with ``intercept``), seen from `factor`.

    `weights` are those of weighted least squares. Raises StudyError when the controls leave nothing of the factor.
    """
    nothing_left = f"{factor} does not vary, or the controls determine it: nothing can be said of its effect."
    if factor not in design:
        raise StudyError(nothing_left)
    root = np.ones(len(design)) if weights is None else np.sqrt(weights.to_numpy(dtype=float))
    controls = design.drop(columns=factor)
    z = controls.to_numpy(dtype=float)
    # Centred and of unit length, controls are well enough conditioned for their cross products to be inverted.
    centre = (root**2) @ z / (root @ root)
    centre[controls.columns.get_loc("intercept")] = 0.0
    z = (z - centre) * root[:, None]
    z /= np.linalg.norm(z, axis=0)
    inverse = np.linalg.inv(z.T @ z)
    both = np.column_stack([design[factor].to_numpy(dtype=float), outcome.to_numpy(dtype=float)]) * root[:, None]
    whole = float(both[:, 0] @ both[:, 0])
    # A second pass takes out what rounding left.
    for _ in range(2):
        both = both - z @ (inverse @ (z.T @ both))
    x, null = both[:, 0], both[:, 1]
    if x @ x <= ROUNDING * whole:
        raise StudyError(nothing_left)
    slope = float(x @ null / (x @ x))
    return Partialled(x, null, z, inverse, slope, null - slope * x)


def outside(outcome: pd.Series, fit: Partialled, weights: pd.Series | None = None) -> float:
    """Return the share of fitted values that lie below nought or above one, where no probability can be.

    Arguments as given to `partial_out`, and what it returned.
    """
    root = 1.0 if weights is None else np.sqrt(weights.to_numpy(dtype=float))
    fitted = outcome.to_numpy(dtype=float) - fit.rest / root
    return float(((fitted < -1e-12) | (fitted > 1 + 1e-12)).mean())


def _by_clusters(fit: Partialled, clusters: np.ndarray) -> float:
    """Return the sum of squared cluster scores over squared information, without any correction."""
    return float((np.bincount(clusters, fit.factor * fit.rest) ** 2).sum() / fit.information**2)


def heteroskedastic(fit: Partialled, level: float) -> Effect:
    """Return the effect with White's error and the correction n/(n-k), from the normal distribution (HC1)."""
    rows = len(fit.factor)
    variance = correction(rows, rows, fit.parameters) * _by_clusters(fit, np.arange(rows))
    return effect(fit.slope, np.sqrt(variance), level)


def clustered(fit: Partialled, clusters: np.ndarray, level: float, *, student: bool = False) -> Effect:
    """Return the effect with the cluster-robust error and the correction of `inference.correction`.

    `clusters` are numbers from 0 (rows,). From the normal distribution, or from Student's t with G-1 degrees of
    freedom (Bester, Conley & Hansen 2011, Journal of Econometrics 165).
    """
    return effect(fit.slope, _error(fit, clusters), level, int(clusters.max()) if student else np.inf)


def _error(fit: Partialled, clusters: np.ndarray) -> float:
    variance = correction(int(clusters.max()) + 1, len(clusters), fit.parameters) * _by_clusters(fit, clusters)
    return float(np.sqrt(variance))


def two_way(fit: Partialled, first: np.ndarray, second: np.ndarray, level: float) -> Effect:
    """Return the effect with errors that allow for two ways of clustering (Cameron, Gelbach & Miller 2011, eq. 2.11).

    `first` and `second` are cluster numbers from 0 (rows,). The smaller number of clusters less one are the degrees of
    freedom. Raises StudyError when the variance comes out below zero, which the difference of three parts allows.
    """
    both = np.unique(first * (int(second.max()) + 1) + second, return_inverse=True)[1]
    one, other, within = (np.array(_error(fit, clusters)) for clusters in (first, second, both))
    error = inference.two_way(one, other, within)
    if np.isnan(error):
        raise StudyError("the variance clustered two ways comes out below zero, so there is no such error here.")
    return effect(fit.slope, float(error), level, min(int(first.max()), int(second.max())))


class _Draws(NamedTuple):
    """What the bootstrap statistics need, for any hypothesis: each part is linear or quadratic in it."""

    shift: tuple[np.ndarray, np.ndarray]
    """Slope less hypothesis in each draw, at hypothesis nought and per unit of it."""
    spread: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Sum of squared cluster scores in each draw: constant, linear and quadratic coefficient."""


def wild_bootstrap(
    fit: Partialled,
    clusters: np.ndarray,
    level: float,
    draws: int = 9_999,
    seed: int | list[int] = 0,
    kind: str | None = None,
) -> Effect:
    """Return the effect with p-value and interval of the wild cluster bootstrap, its null hypothesis imposed.

    Residuals under the null change sign or size cluster by cluster, and each draw gives a t-statistic (Cameron,
    Gelbach & Miller 2008, Review of Economics and Statistics 90; in this vectorised form Roodman, MacKinnon, Nielsen &
    Webb 2019, Stata Journal 19). The p-value is the share of draws whose statistic is at least as far from zero, the
    sample itself counted among them; the interval holds every hypothesis that is not rejected. `clusters` are numbers
    from 0 (rows,); `kind` is ``rademacher``, ``webb`` (six values: for few clusters) or ``enumerated`` (every pattern
    of signs, once each); by default Webb's below `FEW` clusters. The standard error is the clustered one.
    """
    count = int(clusters.max()) + 1
    if count * draws > LIMIT:
        raise StudyError(
            f"the wild bootstrap of {count:,} clusters and {draws:,} draws needs more than {LIMIT:,} weights: so many "
            "clusters need no bootstrap; use the clustered error, or a coarser cluster column."
        )
    kind = kind or ("webb" if count < FEW else "rademacher")
    v = _weights(kind, count, draws, seed)
    statistics = _statistics(fit, clusters, v)
    plain = clustered(fit, clusters, level)
    scale = np.sqrt(_by_clusters(fit, clusters))
    own = 0 if kind == "enumerated" else 1

    def p_value(hypothesis: float) -> float:
        shift = statistics.shift[0] + hypothesis * statistics.shift[1]
        constant, linear, quadratic = statistics.spread
        spread = constant + hypothesis * (linear + hypothesis * quadratic)
        here = abs(fit.slope - hypothesis) / scale
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.abs(shift) * fit.information / np.sqrt(np.maximum(spread, 0))
        # A draw without any spread says nothing, unless its slope moved; ties count, but for rounding.
        further = np.count_nonzero(np.nan_to_num(away, nan=0.0, posinf=np.inf) >= here * (1 - 1e-9))
        return float((further + own) / (v.shape[1] + own))

    # Shares of draws are short decimals, and so is what they are compared with: 1 - 0.9 is not quite 0.1.
    significance = round(1 - level, 12)
    low, high = (_end(p_value, fit.slope, sign * plain.std_error, significance) for sign in (-1, 1))
    return Effect(fit.slope, plain.std_error, low, high, p_value(0.0))


def _end(p_value: Callable[[float], float], start: float, step: float, significance: float) -> float:
    """Return where the p-value falls to `significance` on the side of `step`; infinite where it never does."""
    inner, outer = start, start + 2 * step
    while p_value(outer) > significance:
        inner, outer = outer, start + 2 * (outer - start)
        if abs(outer - start) > 1e4 * abs(step):
            return float(np.sign(step) * np.inf)
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if p_value(middle) > significance else (inner, middle)
    return float(inner)


def _weights(kind: str, clusters: int, draws: int, seed: int | list[int]) -> np.ndarray:
    """Return what each cluster's residuals are multiplied by (clusters x draws)."""
    if kind == "enumerated":
        if clusters > 20:
            raise ValueError("more than twenty clusters have too many patterns of signs")
        patterns = np.arange(2**clusters)
        return 1.0 - 2.0 * ((patterns[None, :] >> np.arange(clusters)[:, None]) & 1)
    rng = np.random.default_rng(seed)
    if kind == "webb":
        return WEBB[rng.integers(0, 6, (clusters, draws))]
    return 2.0 * rng.integers(0, 2, (clusters, draws)) - 1.0


def _statistics(fit: Partialled, clusters: np.ndarray, v: np.ndarray) -> _Draws:
    """Return the parts of all draws' statistics: sums by cluster, then products of small matrices.

    With d the hypothesis, residuals under it are null - d x factor. In a draw they are multiplied by v; the slope moves
    by sum_g v_g a_g(d) / information, a_g(d) = a0_g - d a1_g, and the score of cluster g is v_g a_g(d) less what
    controls and slope take back.
    """
    count = len(v)
    a = (np.bincount(clusters, fit.factor * fit.null, count), np.bincount(clusters, fit.factor**2, count))
    by_factor = adding(clusters, fit.factor) @ fit.controls
    back = by_factor @ fit.inverse
    forth = (adding(clusters, fit.null) @ fit.controls, by_factor)
    shifts, spreads = [], []
    for begin in range(0, v.shape[1], max(AT_ONCE // count, 1)):
        block = v[:, begin : begin + max(AT_ONCE // count, 1)]
        slope = [one @ block / fit.information for one in a]
        score = [
            one[:, None] * block - back @ (other.T @ block) - a[1][:, None] * moved
            for one, other, moved in zip(a, forth, slope, strict=True)
        ]
        shifts.append((slope[0], -slope[1]))
        spreads.append(((score[0] ** 2).sum(0), -2 * (score[0] * score[1]).sum(0), (score[1] ** 2).sum(0)))
    shift = [np.concatenate(parts) for parts in zip(*shifts, strict=True)]
    spread = [np.concatenate(parts) for parts in zip(*spreads, strict=True)]
    return _Draws((shift[0], shift[1]), (spread[0], spread[1], spread[2]))


def leave_one_out(fit: Partialled, clusters: np.ndarray) -> np.ndarray:
    """Return the coefficient without each cluster (clusters,), NaN where nothing of the factor is left.

    No regression is run again: cross products of each cluster are taken off those of all rows (MacKinnon, Nielsen &
    Webb 2023, Journal of Applied Econometrics 38, equation 11). `clusters` are numbers from 0 (rows,).
    """
    order = np.argsort(clusters, kind="stable")
    ends = np.flatnonzero(np.diff(clusters[order], append=-1)) + 1
    x = np.column_stack([fit.controls, fit.factor / np.sqrt(fit.information)])[order]
    y = fit.null[order]
    all_x, all_y = x.T @ x, x.T @ y
    found = np.empty(len(ends))
    for place, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        part = x[begin:end]
        values, vectors = np.linalg.eigh(all_x - part.T @ part)
        # What this cluster alone has, such as a category, leaves with it; the factor must not.
        sound = values > 1e-10 * values[-1]
        inverse = (vectors[:, sound] / values[sound]) @ vectors[:, sound].T
        gone = (vectors[-1, ~sound] ** 2).sum() > 1e-6
        found[place] = np.nan if gone else (inverse @ (all_y - part.T @ y[begin:end]))[-1]
    return found / np.sqrt(fit.information)


def jackknife(fit: Partialled, without: np.ndarray, level: float) -> Effect:
    """Return the effect with the jackknife's error over clusters, from Student's t with G-1 degrees of freedom (CV3).

    `without` are the coefficients of `leave_one_out`. Of the errors by formula it is the one nearest to the bootstrap
    where clusters differ in size (MacKinnon, Nielsen & Webb 2023, equation 13). Raises StudyError when a cluster left
    out takes the coefficient with it.
    """
    if np.isnan(without).any():
        raise StudyError("without one of the clusters nothing of the factor is left, so there is no jackknife.")
    count = len(without)
    variance = (count - 1) / count * float(((without - fit.slope) ** 2).sum())
    return effect(fit.slope, np.sqrt(variance), level, count - 1)
