"""The effect on the treated from scores that small mistakes of the models behind them do not move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.cross_fitting import Nuisances
from pipeline.stats.inference import Effect, cluster_codes, correction, effect


class OnTreated(NamedTuple):
    """The effect on the treated loans, on both scales."""

    difference: Effect
    """Rate of the treated loans less what it would have been without treatment (fraction)."""
    log_ratio: Effect
    """Logarithm of the first rate over the second."""


class Balanced(NamedTuple):
    """What the score makes of the arms."""

    kept: np.ndarray
    """Which loans have a like in the other arm (loans,)."""
    weight: np.ndarray
    """Treated loans weigh 1 (times their sampling weight), controls their odds of treatment; 0: left out (loans,)."""


def balancing(treated: np.ndarray, score: np.ndarray, highest: float, weights: np.ndarray | None = None) -> Balanced:
    """Return weights with which controls stand for the treated loans; loans whose score is above `highest` leave.

    Such loans have hardly a like among the controls, so the effect is that on the other treated loans (Crump, Hotz,
    Imbens & Mitnik 2009, Biometrika 96). `score` are probabilities (loans,), `weights` those of sampling. Raises
    StudyError when an arm is empty then.
    """
    arm = treated.astype(bool)
    kept = score <= highest
    if not (kept & arm).any() or not (kept & ~arm).any():
        raise StudyError("the arms do not overlap: no loan of one of them has a score below the highest allowed.")
    odds = np.where(arm, 1.0, score / np.maximum(1 - score, 1e-12))
    return Balanced(kept, np.where(kept, odds if weights is None else weights * odds, 0.0))


def effect_on_treated(
    outcome: np.ndarray,
    treated: np.ndarray,
    nuisances: Nuisances,
    clusters: np.ndarray,
    level: float,
    *,
    highest: float = 1.0,
    weights: np.ndarray | None = None,
) -> OnTreated:
    """Return the effect on the treated by the doubly robust score of Chernozhukov et al.

    Args:
        outcome, treated: 0/1 (loans,).
        nuisances: cross-fitted (`cross_fitting.cross_fit`); with ``untreated`` nought the estimate is that of weighting
            by the inverse probability.
        clusters: labels (loans,), within which errors go together; of the correction k is 1 (`inference.correction`).
        highest: see `balancing`.
        weights: how many loans of the population each one stands for (loans,).

    The mean without treatment is the mean prediction for the treated loans, corrected by the controls' residuals, which
    are weighted by the odds of treatment and scaled to add up to one (Chernozhukov et al. 2018, Econometrics Journal
    21, section 5.1; scaled: Robins, Sued, Lei-Gomez & Rotnitzky 2007). It is right if either of the two models is, and
    mistakes of both enter by their product alone. The error is that of the influence function.
    """
    arm = treated.astype(bool)
    weight = balancing(treated, nuisances.score, highest, weights).weight
    one = np.where(arm, weight, 0.0) / weight[arm].sum()
    other = np.where(arm, 0.0, weight) / weight[~arm].sum()
    y, g = outcome.astype(float), nuisances.untreated
    observed, predicted, residual = float(one @ y), float(one @ g), float(other @ (y - g))
    without = predicted + residual
    groups = cluster_codes(clusters)
    count = int(groups.max()) + 1
    of_observed = one * (y - observed)
    of_without = one * (g - predicted) + other * (y - g - residual)

    def found(estimate: float, influence: np.ndarray) -> Effect:
        sums = np.bincount(groups, influence)
        return effect(estimate, float(np.sqrt(correction(count, len(y)) * (sums**2).sum())), level)

    nothing = Effect(*[np.nan] * 5)
    ratio = nothing
    if observed > 0 and without > 0:
        ratio = found(float(np.log(observed / without)), of_observed / observed - of_without / without)
    return OnTreated(found(observed - without, of_observed - of_without), ratio)


def median_of(found: Sequence[Effect], level: float) -> Effect:
    """Return the median over repetitions of the folds, with an error that counts how the repetitions differ.

    The variance is the median of each one's own plus its squared distance from the median estimate (Chernozhukov et
    al. 2018, definition 3.3).
    """
    estimates = np.array([one.estimate for one in found])
    errors = np.array([one.std_error for one in found])
    middle = float(np.median(estimates))
    return effect(middle, float(np.sqrt(np.median(errors**2 + (estimates - middle) ** 2))), level)
