"""Logistic regression for few events: Firth's penalised likelihood with profile-likelihood intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect

STEPS = 200
"""Newton steps after which a fit counts as failed."""

SMALL = 1e-9
"""Largest entry of the modified score, and width of a root's bracket, at which a search ends."""

ROUNDING = 1e-8
"""Share of the penalised likelihood by which rounding moves it where nearly all probabilities are nought or one."""

LARGEST = 60.0
"""Largest distance from the estimate, in log odds per standard deviation, at which an interval's end is looked for."""


class Firth(NamedTuple):
    """A factor's effect on the log odds."""

    log_odds_ratio: float
    std_error: float
    """From the curvature at the estimate; the interval does not come from it."""
    null_error: float
    """From the curvature where the factor has no effect: the scale on which a study's power is reckoned."""
    ci_low: float
    ci_high: float
    p_value: float
    """Of the penalised likelihood ratio test against no effect."""


def firth_logit(outcome: pd.Series, design: pd.DataFrame, factor: str, level: float) -> Firth:
    """Fit a logistic regression with Jeffreys' prior as a penalty and return the effect of `factor`.

    `outcome` is 0/1 (rows,), `design` holds `factor` and the controls (rows x columns, full rank, with an intercept).
    The penalty, half the log determinant of the information, removes the first-order bias of maximum likelihood
    (Firth 1993, Biometrika 80) and keeps estimates finite where a factor separates the outcome. Interval and p-value
    come from the profile of the penalised likelihood (Heinze & Schemper 2002, Statistics in Medicine 21, section 2),
    because the likelihood is far from symmetric there. Raises StudyError when the outcome does not vary or no maximum
    is found.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtrc, gammaincinv

    y = outcome.to_numpy(dtype=float)
    if y.min() == y.max():
        raise StudyError("a penalised logistic regression needs rows with and without the event.")
    if factor not in design:
        raise StudyError(f"{factor} does not vary, or the controls determine it: nothing can be said of its effect.")
    # On one scale the search is well conditioned; the maximum is the same (the penalty changes by a constant).
    x = design.to_numpy(dtype=float)
    place = design.columns.get_loc(factor)
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    x = x / scale
    start = np.zeros(x.shape[1])
    best = _maximise(x, y, start, None)
    top = _penalised(x, y, best)
    spread = _error(x, best, place)
    without = best.copy()
    without[place] = 0.0
    without = _maximise(x, y, without, place)

    def drop(value: float) -> float:
        """Twice the fall of the profile from its top when the factor's coefficient is held at `value`."""
        held = best.copy()
        held[place] = value
        return 2 * (top - _penalised(x, y, _maximise(x, y, held, place)))

    threshold = 2 * gammaincinv(0.5, level)

    def end(direction: float) -> float:
        reach = spread
        while drop(best[place] + direction * reach) < threshold:
            reach *= 2
            if reach > LARGEST:
                raise StudyError(f"the interval of {factor} has no end: too few events for its profile.")
        inner, outer = best[place], best[place] + direction * reach
        return brentq(lambda value: drop(value) - threshold, min(inner, outer), max(inner, outer), xtol=SMALL)

    low, high = end(-1.0), end(1.0)
    unit = scale[place]
    return Firth(
        float(best[place] / unit),
        spread / unit,
        _error(x, without, place) / unit,
        float(low / unit),
        float(high / unit),
        float(chdtrc(1, max(2 * (top - _penalised(x, y, without)), 0.0))),
    )


def standardised_difference(outcome: pd.Series, design: pd.DataFrame, factor: str, level: float) -> Effect:
    """Return the difference of the mean probability were all rows with, and all without, a yes-or-no factor.

    Arguments and errors are those of `firth_logit`. At the estimate and at either end of the profile's interval the
    other coefficients are those that go with it, so the interval holds no effect exactly where that of the odds ratio
    does; the p-value is that of the penalised likelihood ratio, and there is no standard error (NaN).
    """
    found = firth_logit(outcome, design, factor, level)
    y, x, place = outcome.to_numpy(dtype=float), design.to_numpy(dtype=float), design.columns.get_loc(factor)
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    scale[place] = 1.0
    x = x / scale
    arms = [x.copy(), x.copy()]
    for value, arm in enumerate(arms):
        arm[:, place] = value

    def difference(held: float) -> float:
        start = np.zeros(x.shape[1])
        start[place] = held
        fitted = _maximise(x, y, start, place)
        without, having = (_probability(arm, fitted).mean() for arm in arms)
        return float(having - without)

    middle, low, high = map(difference, (found.log_odds_ratio, found.ci_low, found.ci_high))
    return Effect(middle, np.nan, low, high, found.p_value)


def _probability(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x @ coefficients, -500, 500)))


def _information(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    p = _probability(x, coefficients)
    return (x * (p * (1 - p))[:, None]).T @ x


def _error(x: np.ndarray, coefficients: np.ndarray, place: int) -> float:
    return float(np.sqrt(np.linalg.inv(_information(x, coefficients))[place, place]))


def _penalised(x: np.ndarray, y: np.ndarray, coefficients: np.ndarray) -> float:
    """Return the log likelihood plus half the log determinant of the information."""
    line = x @ coefficients
    likelihood = y @ line - np.logaddexp(0, line).sum()
    sign, determinant = np.linalg.slogdet(_information(x, coefficients))
    return float(likelihood + determinant / 2) if sign > 0 else -np.inf


def _maximise(x: np.ndarray, y: np.ndarray, start: np.ndarray, held: int | None) -> np.ndarray:
    """Return the coefficients that maximise the penalised likelihood, one of them held at its start if asked for."""
    free = np.array([column for column in range(x.shape[1]) if column != held])
    found = start.copy()
    value = _penalised(x, y, found)
    for _ in range(STEPS):
        p = _probability(x, found)
        weight = p * (1 - p)
        information = (x * weight[:, None]).T @ x
        hat = weight * np.einsum("ij,ij->i", x @ np.linalg.inv(information), x)
        score = x.T @ (y - p + hat * (0.5 - p))
        if not len(free) or np.abs(score[free]).max() < SMALL * len(y):
            return found
        step = np.zeros(len(found))
        step[free] = np.linalg.solve(information[np.ix_(free, free)], score[free])
        # Steps beyond a few units overshoot where the events are few.
        step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-300))
        for _ in range(50):
            if (tried := _penalised(x, y, found + step)) >= value - ROUNDING * max(1.0, abs(value)):
                break
            step /= 2
        else:
            return found
        found, value = found + step, tried
    raise StudyError("the penalised logistic regression finds no maximum: use fewer controls.")
