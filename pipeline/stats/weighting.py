"""Weights that make the arms comparable: inverse probability, overlap, entropy balancing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.rates import wilson

Estimand = Literal["ATT", "ATE"]

MOMENTS = 1e-10
"""Largest difference of a standardised moment at which entropy balancing has met it."""

STEPS = 200
"""Steps of Newton's method within which it has to."""

ROUNDING = 1e-13
"""By how much rounding may raise the dual of entropy balancing, which is of the order of one."""


def probability(logit: np.ndarray) -> np.ndarray:
    """Return the propensity score of a logit."""
    return 1 / (1 + np.exp(-logit))


def inverse_probability(
    treated: np.ndarray,
    score: np.ndarray,
    *,
    estimand: Estimand = "ATT",
    stabilised: bool = False,
    trim: float | None = None,
) -> np.ndarray:
    """Return inverse probability weights (loans,) from propensity scores (probabilities, loans).

    ``ATT``: treated loans weigh 1, controls the odds of treatment p/(1-p). ``ATE``: 1/p and 1/(1-p) (Rosenbaum 1987;
    Hirano, Imbens & Ridder 2003). Stabilised weights are multiplied by the arm's share (``ATE``; Robins, Hernán &
    Brumback 2000) or by the controls' number over the treated loans' (``ATT``), so that they average about one; that
    changes no difference of weighted means. `trim`, a quantile such as 0.99, caps the weights of each arm there (Cole
    & Hernán 2008). Raises StudyError for a score of 0 or 1.
    """
    if (score <= 0).any() or (score >= 1).any():
        raise StudyError("a propensity score is 0 or 1, so a weight is infinite: the covariates separate the arms.")
    arm = treated.astype(bool)
    if estimand == "ATT":
        weight = np.where(arm, 1.0, score / (1 - score))
        if stabilised:
            weight[~arm] *= (~arm).sum() / arm.sum()
    else:
        weight = np.where(arm, 1 / score, 1 / (1 - score))
        if stabilised:
            weight *= np.where(arm, arm.mean(), (~arm).mean())
    if trim is not None:
        for side in (arm, ~arm):
            weight[side] = np.minimum(weight[side], np.quantile(weight[side], trim))
    return weight


def overlap(treated: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return overlap weights: 1-p for treated loans, p for controls (Li, Morgan & Zaslavsky 2018).

    With a logistic score by maximum likelihood the weighted means of its covariates agree exactly. They speak for the
    loans that could as well have been in the other arm.
    """
    return np.where(treated.astype(bool), 1 - score, score)


def entropy_balance(covariates: np.ndarray, treated: np.ndarray) -> np.ndarray:
    """Weight the controls so that their means equal the treated loans', and their weights stay as even as possible.

    `covariates` are (loans x moments), of which columns that others determine are left out; for variances add squares.
    `treated` is 0/1 (loans,). Newton's method with halved steps on the dual problem (Hainmueller 2012, equation 8).
    Returns weights (loans,): one for treated loans, and for controls what adds up to as much. Raises
    StudyError when no positive weights meet the moments: a treated mean then lies outside what the controls offer.
    """
    arm = treated.astype(bool)
    if not arm.any() or arm.all():
        raise StudyError(f"all {len(arm)} loans are in one arm: there is nothing to balance.")
    inner = balancing_moments(covariates, arm)[~arm]
    start = np.log(1 / len(inner))

    def dual(slopes: np.ndarray) -> float:
        terms = start + inner @ slopes
        return float(terms.max() + np.log(np.exp(terms - terms.max()).sum()))

    slopes, value = np.zeros(inner.shape[1]), dual(np.zeros(inner.shape[1]))
    for _ in range(STEPS):
        terms = start + inner @ slopes
        weight = np.exp(terms - terms.max())
        weight /= weight.sum()
        gradient = weight @ inner
        if np.abs(gradient).max(initial=0) < MOMENTS:
            result = np.ones(len(arm))
            result[~arm] = weight * arm.sum()
            return result
        curvature = (inner * weight[:, None]).T @ inner - np.outer(gradient, gradient)
        step = -np.linalg.lstsq(curvature, gradient, rcond=1e-12)[0]
        length = 1.0
        # Near the minimum the dual changes by less than its own rounding.
        while (new := dual(slopes + length * step)) > value + 1e-4 * length * float(gradient @ step) + ROUNDING:
            length /= 2
            if length < 1e-8:
                break
        if length < 1e-8:
            break
        slopes, value = slopes + length * step, new
    raise StudyError(
        "entropy balancing finds no positive weights with which the controls' means equal the treated loans': balance "
        "fewer covariates, or leave out treated loans that have no like among the controls."
    )


def balancing_moments(covariates: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """Return the moments that balancing brings to zero (loans x moments): distances from the treated loans' means.

    In standard deviations of all loans; columns that others determine are left out.
    """
    spread = covariates.std(axis=0)
    centred = covariates - covariates[arm].mean(axis=0)
    varies = spread > 0
    scaled = centred[:, varies] / spread[varies]
    kept = independent(np.column_stack([np.ones(len(scaled)), scaled]))[1:]
    return scaled[:, kept]


def effective_size(weight: np.ndarray) -> float:
    """Return the number of equally weighted loans that would be as informative (Kish 1965): (sum w)^2 / sum w^2."""
    total = float((weight**2).sum())
    return float(weight.sum()) ** 2 / total if total else 0.0


def weighted_rates(outcome: pd.Series, group: pd.Series, weight: pd.Series, level: float) -> pd.DataFrame:
    """Return each group's rate of a 0/1 outcome among weighted loans, with the Wilson interval of its effective size.

    One row a group in its own order: ``rate, ci_low, ci_high`` as fractions, ``n`` loans, ``defaults`` among them.
    """
    frame = pd.DataFrame({"outcome": outcome, "weight": weight, "mass": outcome * weight, "square": weight**2})
    grouped = frame.groupby(group, observed=True)
    sums = grouped.agg(mass=("mass", "sum"), weight=("weight", "sum"), square=("square", "sum"))
    counts = grouped.agg(defaults=("outcome", "sum"), n=("outcome", "size"))
    rate, size = sums["mass"] / sums["weight"], sums["weight"] ** 2 / sums["square"]
    low, high = wilson(rate, size, level)
    return counts.assign(rate=rate, ci_low=low, ci_high=high)
