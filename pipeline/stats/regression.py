"""Linear probability and logistic regression of default on one factor, with clustered errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import no_collinear
from pipeline.stats.inference import Effect, as_ratio, cluster_codes, correction, effect, sandwich
from pipeline.stats.logistic import maximum, sigmoid
from pipeline.stats.sampling import prior_ratio

SOUND = 1e10
"""Condition of cross products up to which least squares are solved from them."""


EXACT = 1e-10
"""Share of the largest outcome below which what a regression leaves of it is rounding."""


def linear_probability(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Effect:
    """Return the coefficient of `factor` in a linear probability model (ordinary least squares).

    `outcome` is 0/1 (loans,), `design` holds `factor` and the controls (loans x columns, full rank), `clusters`
    labels the loans. Errors are cluster-robust with the correction of `inference.correction`. With sampling `weights`
    (loans,) the coefficient is the population's (weighted least squares). The engine of inner loops: at 87,795 loans
    it takes a tenth of statsmodels' time (`libraries.linear_probability`, the same numbers).
    """
    y, x = outcome.to_numpy(dtype=float), design.to_numpy(dtype=float)
    direction = np.eye(x.shape[1])[place_of(design, factor)]
    if weights is not None:
        root = np.sqrt(weights.to_numpy(dtype=float))
        y, x = y * root, x * root[:, None]
    products = x.T @ x
    length = np.sqrt(np.diag(products))
    if np.linalg.cond(products / np.outer(length, length)) > SOUND:
        x, triangle = np.linalg.qr(x)
        products, direction = x.T @ x, np.linalg.solve(triangle.T, direction)
    scores = np.column_stack([x.T @ y, direction])
    found = np.linalg.solve(products, scores)
    # A second pass takes out what rounding left.
    fitted, influence = (x @ found).T
    found += np.linalg.solve(products, np.column_stack([x.T @ (y - fitted), direction - x.T @ influence]))
    fitted, influence = (x @ found).T
    told_exactly(factor, np.abs(y).max(), y - fitted)
    sums = np.bincount(cluster_codes(clusters), influence * (y - fitted))
    variance = correction(len(sums), len(y), x.shape[1]) * (sums**2).sum()
    return effect(influence @ y, np.sqrt(variance), level)


def told_exactly(factor: str, largest: float, rest: np.ndarray) -> None:
    """Raise a StudyError where a regression leaves (loans,) nothing of an outcome, at most `largest`, but rounding."""
    if np.abs(rest).max() <= EXACT * largest:
        raise StudyError(
            f"{factor}, with the controls if there are any, tells the outcome of every loan exactly: it records the "
            "outcome itself, or follows from it; leave it out."
        )


def place_of(design: pd.DataFrame, factor: str) -> int:
    """Return in which column of a design a factor stands; a StudyError where it is not there."""
    if factor not in design:
        raise StudyError(f"{factor} does not vary, or the controls determine it: nothing can be said of its effect.")
    return design.columns.get_loc(factor)


class LogitEffects(NamedTuple):
    """What a logistic regression says about a factor, on two scales."""

    odds_ratio: Effect
    """Of one unit more; its standard error is on the log scale."""
    average_marginal_effect: Effect
    """Of one unit more on the probability of the outcome, averaged over the loans."""


def logit(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> LogitEffects:
    """Fit a logistic regression by maximum likelihood and return the effect of `factor`.

    Arguments and errors as in `linear_probability`. The marginal effect of a 0/1 factor is the mean difference
    between all loans with and all loans without it, of any other the mean slope; its error is by the delta method
    (Greene, Econometric Analysis, section 17.3). Raises StudyError when there is no maximum (separation).

    With `weights` of a sample by outcome (see `prior_ratio`) the fit, and so the odds ratio, is the plain one, which
    such sampling leaves consistent (Prentice & Pyke 1979). The marginal effect is the population's: the intercept
    moves by the logarithm of the prior ratio, and the mean runs over weighted loans.

    The engine of inner loops: see `libraries.logit`, which has the same numbers from statsmodels.
    """
    x, y, place = design.to_numpy(dtype=float), outcome.to_numpy(dtype=float), place_of(design, factor)
    groups = cluster_codes(clusters)
    try:
        slopes, covariance = logistic_maximum(y, x, np.ones(len(y)), groups, factor)
    except StudyError:
        no_collinear(design.drop(columns="intercept", errors="ignore"), f"the logistic regression on {factor}")
        raise
    # Of the two names that are unpacked, one is an array and one a number, or there is none.
    return logit_effects(x, place, slopes, covariance, level, **of_population(y, weights))  # type: ignore[arg-type]


def of_population(outcome: np.ndarray, weights: pd.Series | None) -> dict[str, np.ndarray | float]:
    """Return what brings the marginal effects of a sample by outcome to the population: weights and a shift."""
    if weights is None:
        return {}
    w = weights.to_numpy(dtype=float)
    return {"weights": w, "shift": float(np.log(prior_ratio(outcome, w)))}


def logistic_maximum(
    y: np.ndarray, x: np.ndarray, w: np.ndarray, groups: np.ndarray, factor: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes and clustered covariance of a logistic regression whose likelihood is weighted by `w` (rows,).

    `y` (rows,) on `x` (rows x columns); `groups` are cluster numbers from 0 (rows,). Raises StudyError, which names
    `factor`, when there is no maximum.
    """
    found = maximum(x, y, w)
    if found is None:
        raise StudyError(f"the logistic regression on {factor} has no maximum: something separates default perfectly.")
    return found.slopes, sandwich(found.bread, x, w * (y - found.probability), groups)


def logit_effects(
    x: np.ndarray,
    place: int,
    slopes: np.ndarray,
    covariance: np.ndarray,
    level: float,
    weights: np.ndarray | None = None,
    shift: float = 0.0,
) -> LogitEffects:
    """Return what a fitted logistic regression says about the column at `place` of `x` (rows x columns).

    Args:
        x, place: the design, and which of its columns is the factor.
        slopes, covariance: of the fit (columns,) and (columns x columns).
        level: confidence level of intervals.
        weights: of the mean over rows that is the marginal effect (rows,); None counts all alike.
        shift: what is added to every log odds before, such as the logarithm of a prior ratio.
    """
    odds_ratio = as_ratio(effect(slopes[place], np.sqrt(covariance[place, place]), level))
    w = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
    index, values = x @ slopes + shift, x[:, place]
    if set(np.unique(values)) <= {0.0, 1.0}:
        without = index - values * slopes[place]
        p_on, p_off = sigmoid(without + slopes[place]), sigmoid(without)
        marginal = w @ (p_on - p_off)
        of_on = w * p_on * (1 - p_on)
        gradient = (of_on - w * p_off * (1 - p_off)) @ x
        gradient[place] = of_on.sum()
    else:
        p = sigmoid(index)
        density = w * p * (1 - p)
        marginal = density.sum() * slopes[place]
        gradient = slopes[place] * ((density * (1 - 2 * p)) @ x)
        gradient[place] += density.sum()
    return LogitEffects(odds_ratio, effect(marginal, np.sqrt(gradient @ covariance @ gradient), level))
