"""How strong what was not measured would have to be: Rosenbaum's bounds, E-values, Oster's delta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError


def rosenbaum_bounds(outcome: np.ndarray, treated: np.ndarray, pair: np.ndarray, gammas: np.ndarray) -> pd.DataFrame:
    """Return bounds of the one-sided p-values of a binary outcome in matched sets, by strength of a hidden bias.

    Args:
        outcome, treated: 0/1 (loans,). pair: labels of sets with one treated loan each (loans,).
        gammas: by how much the odds of treatment may differ between two loans of one set, 1 or more.

    One row a gamma: ``gamma, fewer, more``, the largest p-value that such a bias allows for treatment lowering and for
    raising the outcome; ``fewer_low, more_low`` the smallest. On pairs these are binomial tails of the discordant
    pairs (McNemar's test; Rosenbaum 2002, section 4.3.2), with more than one control to a set the normal
    approximation (his section 4.4.4). Raises StudyError when no set is discordant.
    """
    from scipy.stats import binom, norm

    gammas = np.asarray(gammas, dtype=float)
    if (gammas < 1).any():
        raise StudyError("a gamma is an odds ratio of 1 or more.")
    frame = pd.DataFrame({"pair": pair, "outcome": outcome, "on_treated": outcome * treated, "treated": treated})
    sets = frame.groupby("pair").agg(
        size=("outcome", "size"), events=("outcome", "sum"), hit=("on_treated", "sum"), treated=("treated", "sum")
    )
    if (sets["treated"] != 1).any():
        raise StudyError("Rosenbaum's bounds take matched sets with one treated loan each.")
    sets = sets[(sets["events"] > 0) & (sets["events"] < sets["size"])]
    if sets.empty:
        raise StudyError("no matched set holds both outcomes, so nothing can be said of a hidden bias.")
    size, events, hits = (sets[name].to_numpy(dtype=float) for name in ("size", "events", "hit"))
    observed, pairs_only = hits.sum(), (size == 2).all()

    def tails(gamma: float) -> tuple[float, float]:
        """P-values for fewer and for more events when the treated loan's odds of one are gamma times even."""
        share = gamma * events / (gamma * events + size - events)
        if pairs_only:
            return binom.cdf(observed, len(sets), share[0]), binom.sf(observed - 1, len(sets), share[0])
        z = (observed - share.sum()) / np.sqrt((share * (1 - share)).sum())
        return norm.cdf(z), norm.sf(z)

    rows = []
    for gamma in gammas:
        (low_fewer, high_more), (high_fewer, low_more) = tails(gamma), tails(1 / gamma)
        rows.append((gamma, high_fewer, high_more, low_fewer, low_more))
    return pd.DataFrame(rows, columns=["gamma", "fewer", "more", "fewer_low", "more_low"])


def sensitivity_value(outcome: np.ndarray, treated: np.ndarray, pair: np.ndarray, alpha: float = 0.025) -> float:
    """Return the largest gamma at which the finding still stands: the bound of its p-value is at most `alpha`.

    One-sided, in the direction in which the sets point. 1 when it does not stand even without hidden bias.
    """
    from scipy.optimize import brentq

    at_one = rosenbaum_bounds(outcome, treated, pair, np.array([1.0])).iloc[0]
    side = "fewer" if at_one["fewer"] <= at_one["more"] else "more"
    if at_one[side] > alpha:
        return 1.0

    def excess(log_gamma: float) -> float:
        return rosenbaum_bounds(outcome, treated, pair, np.exp([log_gamma])).iloc[0][side] - alpha

    # At odds of e^20 every bound is one.
    return float(np.exp(brentq(excess, 0, 20, xtol=1e-10)))


class EValue(NamedTuple):
    """E-values on the scale of risk ratios; 1: no confounding is needed."""

    estimate: float
    interval: float
    """Of the end of the interval that is closer to no effect."""


def e_value(ratio: float, low: float, high: float) -> EValue:
    """Return how strongly a confounder would have to go with treatment and outcome to explain a risk ratio away.

    RR + sqrt(RR (RR - 1)) for ratios above one, of the inverse for those below; for the interval of the end nearer
    to one, and 1 when it holds one (VanderWeele & Ding 2017). For odds ratios of a common outcome pass their square
    roots (their table 2). Raises StudyError when the numbers are not positive or out of order.
    """
    if not 0 < low <= ratio <= high:
        raise StudyError("an E-value takes a positive ratio inside its interval.")

    def of(value: float) -> float:
        value = max(value, 1 / value)
        return float(value + np.sqrt(value * (value - 1)))

    return EValue(of(ratio), 1.0 if low <= 1 <= high else of(low if ratio > 1 else high))


class Selected(NamedTuple):
    """What is left of a coefficient when selection on the unmeasured is as strong as on the measured."""

    estimate: float
    std_error: float
    """Of the jackknife over clusters."""
    r_long: float
    """R-squared with the measured controls, and with the unmeasured as well."""
    r_max: float
    deltas: dict[float, float]
    """Oster's delta, by R-squared with the unmeasured in multiples of that with the measured.

    How strong selection on the unmeasured must be, against that on the measured, for there to be no effect (her
    proposition 3): above one, the unmeasured would have to matter more than the measured.
    """


def bias_adjusted(
    outcome: np.ndarray,
    factor: np.ndarray,
    controls: np.ndarray,
    clusters: np.ndarray,
    *,
    delta: float = 1.0,
    times: float = 1.3,
    others: Sequence[float] = (),
    weights: np.ndarray | None = None,
) -> Selected:
    """Return Oster's bias-adjusted coefficient (2019, propositions 1 and 2), whose other end is the plain one.

    Args:
        outcome, factor: (loans,). controls: without intercept (loans x k). clusters: labels (loans,).
        delta: strength of the selection on the unmeasured, against that on the measured.
        times: R-squared with the unmeasured, in multiples of that with the measured; at most 1.
        others: further multiples, for which delta alone is returned.
        weights: of weighted least squares (loans,).

    Solves the cubic equation in the bias (at a delta of one a quadratic); of several solutions the one nearest to the
    plain coefficient counts, as she recommends, among those that keep the sign of the covariance between factor and
    controls (her assumption 3). Everything is a function of cross products, so each cluster can be
    left out at the cost of a small equation. Raises StudyError when the controls leave nothing
    of the factor, and when there is no solution.
    """
    from pipeline.stats.inference import cluster_codes

    groups = cluster_codes(clusters)
    order = np.argsort(groups, kind="stable")
    w = np.ones(len(outcome)) if weights is None else weights
    spread = controls.std(axis=0)
    every = np.column_stack([np.ones(len(w)), (controls - controls.mean(axis=0)) / np.where(spread > 0, spread, 1)])
    every = (np.column_stack([every, factor, outcome]) * np.sqrt(w)[:, None])[order]
    ends = np.flatnonzero(np.diff(groups[order], append=-1)) + 1
    parts = [part.T @ part for part in np.split(every, ends[:-1])]
    whole = np.sum(parts, axis=0)
    moments = _moments(whole)
    estimate = _adjusted(moments, delta, times)
    without = np.array([_adjusted(_moments(whole - part), delta, times) for part in parts])
    count = len(parts)
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    deltas = {}
    for multiple in sorted({times, *others}):
        upper, lower = (np.polyval(one, moments.long) for one in _polynomials(moments, multiple))
        deltas[multiple] = float(upper / lower)
    return Selected(estimate, float(error), moments.r_long, min(times * moments.r_long, 1.0), deltas)


class _Moments(NamedTuple):
    """What Oster's formulas take: variances of factor and outcome, what controls leave of the factor, coefficients."""

    of_x: float
    of_y: float
    tau: float
    short: float
    long: float
    r_short: float
    r_long: float


def _moments(cross: np.ndarray) -> _Moments:
    """Return the moments from cross products of an intercept, controls, factor and outcome."""
    values, vectors = np.linalg.eigh(cross[:-2, :-2])
    sound = values > 1e-10 * values[-1]
    inverse = (vectors[:, sound] / values[sound]) @ vectors[:, sound].T
    onto = cross[-2:, :-2]
    left = cross[-2:, -2:] - onto @ inverse @ onto.T
    rows = cross[0, 0]
    plain = cross[-2:, -2:] - np.outer(cross[-2:, 0], cross[-2:, 0]) / rows
    if left[0, 0] < 1e-10 * plain[0, 0]:
        raise StudyError("the controls determine the factor: its effect cannot be told from theirs.")
    short, long = plain[0, 1] / plain[0, 0], left[0, 1] / left[0, 0]
    r_long = 1 - (left[1, 1] - long**2 * left[0, 0]) / plain[1, 1]
    r_short = short**2 * plain[0, 0] / plain[1, 1]
    return _Moments(plain[0, 0] / rows, plain[1, 1] / rows, left[0, 0] / rows, short, long, r_short, r_long)


def _polynomials(m: _Moments, times: float) -> tuple[np.ndarray, np.ndarray]:
    """Return numerator and denominator of Oster's delta as polynomials in the bias, the highest power first."""
    moved, gap = m.short - m.long, (min(times * m.r_long, 1.0) - m.r_long) * m.of_y
    cubic = m.tau * (m.of_x - m.tau)
    linear = (m.r_long - m.r_short) * m.of_y * m.tau + m.of_x * m.tau * moved**2
    upper = np.array([cubic, 2 * m.tau * moved * m.of_x, linear, 0.0])
    lower = np.array([cubic, m.tau * moved * m.of_x, gap * (m.of_x - m.tau), gap * moved * m.of_x])
    return upper, lower


def _adjusted(moments: _Moments, delta: float, times: float) -> float:
    """Return the coefficient at which Oster's delta is `delta`."""
    upper, lower = _polynomials(moments, times)
    polynomial = upper - delta * lower
    polynomial[np.abs(polynomial) <= 1e-14 * np.abs(upper).max()] = 0.0
    roots = np.roots(polynomial)
    real = roots[np.abs(roots.imag) < 1e-9 * np.maximum(np.abs(roots.real), 1e-300)].real
    # A bias that turned the sign of the covariance between factor and controls' index is out (her assumption 3).
    moved = moments.short - moments.long
    index = (moments.of_x - moments.tau) * real + moved * moments.of_x
    real = real[index * moved > 1e-8 * moved**2 * moments.of_x]
    if not len(real):
        raise StudyError("Oster's bound has no solution here.")
    return float(moments.long - real[np.abs(real).argmin()])
