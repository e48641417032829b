"""The one Newton's method of logistic regressions without group effects: weights, offset, ridge penalty, any start.

Effects of groups have engines of their own, `absorbed` and `month_regression`, and so have other likelihoods: given
each group's number of events (`conditional`), and with Jeffreys' prior (`firth`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.products import weighted_products

SMALL = 1e-7
"""Step at which the search ends: the next one would be of the order of its square."""

FARTHEST = 1e3
"""Slope, on columns of one size, that counts as running away to infinity."""

SINGULAR = 1e12
"""Condition of the information beyond which a maximum is not told from a ridge that rises for ever."""

DIGITS = 6
"""Digits of a score's log odds that are compared: what differs by less is a tie."""

AT_ONCE = 2_000_000
"""Rows that are predicted at a time: bounds the memory."""

MANY, FEWER = 100_000, 10
"""Rows from which one in so many is fitted first: it says nearly where the maximum lies, and saves steps of all."""


@dataclass(frozen=True)
class Maximum:
    """A logistic regression at its maximum."""

    slopes: np.ndarray
    probability: np.ndarray
    """Fitted (rows,)."""
    _scaled: np.ndarray
    _weights: np.ndarray
    _length: np.ndarray
    _pull: np.ndarray

    @cached_property
    def bread(self) -> np.ndarray:
        """Inverse of the information, penalty and all (columns x columns); who asks for slopes alone need not wait."""
        density = self._weights * self.probability * (1 - self.probability)
        information = weighted_products(self._scaled, density) + np.diag(self._pull)
        return np.linalg.inv(information) / np.outer(self._length, self._length)


def sigmoid(index: np.ndarray) -> np.ndarray:
    """Return the probability of log odds."""
    # Far below nought the exponential is infinite, and the probability nought, as it should be.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-index))


def maximum(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    offset: np.ndarray | float = 0.0,
    ridge: np.ndarray | float = 0.0,
    start: np.ndarray | None = None,
    tolerance: float = 0.0,
) -> Maximum | None:
    """Maximise sum of w (y log p + (1 - y) log(1 - p)) - sum of ridge x b**2 / 2, log odds of p being offset + x b.

    Cross products take half the sums that statsmodels' Hessian takes, which is where nearly all the time goes.

    Parameters
    ----------
    x : array (rows x columns)
        The design, an intercept among its columns.
    y : array (rows,)
        0/1.
    weights : array (rows,), optional
        Of the likelihood.
    offset, ridge : arrays (rows,) and (columns,), or numbers
        What is added to the log odds, and the penalty of each slope.
    start : array (columns,), optional
        Slopes to begin from.
    tolerance : number
        The search ends where no part of the mean likelihood's gradient is larger, nor half of what a step promises, as
        scikit-learn's ``newton-cholesky`` does; by nought it goes on as long as a step moves a slope.

    Returns
    -------
    Maximum or None
        None where there is no maximum: something separates the outcome, or columns determine each other.
    """
    length = np.sqrt(np.einsum("ij,ij->j", x, x) / len(x))
    # Columns of about one size are well conditioned as they are.
    length[(length == 0) | (length.max() < 10 * length[length > 0].min(initial=np.inf))] = 1.0
    z, w = x if (length == 1).all() else x / length, np.ones(len(y)) if weights is None else weights
    pull = np.broadcast_to(ridge, length.shape) / length**2
    slopes = np.zeros(len(length)) if start is None else start * length
    index = offset + z @ slopes

    def likelihood(slopes: np.ndarray, index: np.ndarray) -> float:
        return float(w @ (y * index - np.logaddexp(0, index)) - pull @ slopes**2 / 2)

    promised, information = np.inf, np.eye(len(length))
    for _ in range(100):
        p = sigmoid(index)
        gradient = z.T @ (w * (y - p)) - pull * slopes
        if max(np.abs(gradient * length).max(), promised / 2) <= tolerance * w.sum():
            break
        information = weighted_products(z, w * p * (1 - p)) + np.diag(pull)
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            return None
        promised = gradient @ step
        moved = offset + z @ (slopes + step)
        if np.abs(step).max() > 1:
            # Far from the maximum a whole step may jump from one end to the other for ever.
            least = likelihood(slopes, index)
            least -= 1e-12 * abs(least)
            while not likelihood(slopes + step, moved) >= least and np.abs(step).max() > SMALL:
                step = step / 2
                moved = offset + z @ (slopes + step)
        slopes, index = slopes + step, moved
        if not np.abs(slopes).max() < FARTHEST:
            return None
        if np.abs(step).max() < SMALL:
            break
    else:
        return None
    # That of the last step, which moved too little to matter here.
    if not np.linalg.cond(information) < SINGULAR:
        return None
    return Maximum(slopes / length, sigmoid(index), z, w, length, pull)


def nearly(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    ridge: np.ndarray | float = 0.0,
    start: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return slopes for `maximum` to begin from: the maximum of one row in `FEWER`, or `start` where there is none."""
    some = slice(None, None, FEWER)
    if not 0 < y[some].mean() < 1:
        return start
    found = maximum(x[some], y[some], None if weights is None else weights[some], ridge=ridge, start=start)
    return start if found is None else found.slopes


def penalised(
    standard: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    tolerance: float = 1e-10,
    many: int | None = None,
) -> tuple[float, np.ndarray]:
    """Return intercept and slopes of a logistic regression under a ridge penalty of one prior row.

    `standard` (rows x columns) are standardised columns without an intercept, which is not penalised. Below `many` rows
    (`MANY`) the search ends by `tolerance`, where scikit-learn's ended from which the last digits of published scores
    are; it takes a fifth of that one's time at 8,000 rows and half of it at 80,000, and imports nothing. Raises
    StudyError where all outcomes are alike.
    """
    if y.min() == y.max():
        raise StudyError("no score can be fitted where nobody defaults, or everybody does.")
    x = np.column_stack([np.ones(len(y)), standard])
    ridge = np.ones(x.shape[1])
    ridge[0] = 0.0
    start: np.ndarray | None = None
    if len(y) >= (MANY if many is None else many):
        share, tolerance = np.average(y, weights=weights), 0.0
        at_the_mean = np.zeros(x.shape[1])
        at_the_mean[0] = np.log(share / (1 - share))
        start = nearly(x, y, weights, ridge=ridge, start=at_the_mean)
    found = maximum(x, y, weights, ridge=ridge, start=start, tolerance=tolerance)
    if found is None:
        raise StudyError("a logistic regression with a ridge penalty does not converge.")
    return float(found.slopes[0]), found.slopes[1:]


def predicted_log_odds(
    design: np.ndarray,
    event: np.ndarray,
    wanted: np.ndarray,
    weights: np.ndarray | None = None,
    tolerance: float = 1e-8,
) -> np.ndarray:
    """Return the log odds of `wanted` (rows x columns, no intercept) from a logistic regression of `event` on `design`.

    Columns are standardised, and the ridge of `penalised` keeps rare levels finite. `weights` (rows,) count how often
    each row stands there. Raises StudyError when all events are alike.
    """
    centre, scale = np.average(design, axis=0, weights=weights), design.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = design - centre
    standard /= scale
    intercept, slopes = penalised(standard, event, weights, tolerance=tolerance, many=10 * MANY)
    # Of so many rows each copy counts.
    del standard
    found = np.empty(len(wanted))
    for start in range(0, len(wanted), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        found[part] = intercept + ((wanted[part] - centre) / scale) @ slopes
    return np.round(found, DIGITS)
