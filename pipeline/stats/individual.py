"""Effects predicted loan by loan, and what they are worth on loans that played no part in them (the R-learner)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.cross_fitting import Predict, boosted, one_thread
from pipeline.stats.inference import Effect, cluster_codes, effect, sandwich
from pipeline.stats.moderation import in_thirds

TREES = {"learning_rate": 0.1, "max_iter": 30, "max_leaf_nodes": 4, "early_stopping": False}
"""Choices of the trees that predict effects: very small ones, because effects are told from noise at best roughly."""

SMALLEST_LEAF = 0.02
"""Smallest share of the loans in a leaf of these trees."""


class Predicted(NamedTuple):
    """What predicted effects are worth on the held-out loans."""

    average: Effect
    """Average effect there (fraction), weighted towards loans that could be in either arm."""
    calibration: Effect
    """By how much effects differ where predictions differ by one: 1 if they are right, 0 if they say nothing."""
    thirds: dict[str, Effect]
    """Effect in each third of the predictions; empty where they are too alike to have thirds."""
    highest_against_lowest: Effect | None
    prediction: np.ndarray
    """Predicted effects of the held-out loans."""


def r_learner(
    x: np.ndarray,
    treated: np.ndarray,
    outcome: np.ndarray,
    held_out: np.ndarray,
    fold: np.ndarray,
    clusters: np.ndarray,
    level: float,
    weights: np.ndarray | None = None,
) -> Predicted:
    """Learn individual effects on one part of the loans and judge them on the rest.

    Args:
        x: covariates for trees (loans x covariates). treated, outcome: 0/1 (loans,).
        held_out: which loans judge (loans,).
        fold: by which the learning loans are cross-fitted (loans,), numbers from 0.
        clusters: labels (loans,). weights: sampling weights (loans,).

    On the learning loans models of outcome and treatment, cross-fitted, are subtracted from both, and trees then
    minimise the squared distance of what is left of the outcome from the predicted effect times what is left of
    treatment (Nie & Wager 2021, Biometrika 108, equation 4). On the held-out loans, whose outcome and treatment are
    predicted by models of the learning loans alone, the residual of the outcome is regressed on that of treatment and
    on its product with the prediction's distance from its mean (the test of calibration of Chernozhukov, Demirer, Duflo
    & Fernandez-Val 2025, Econometrica 93, with one split), and on that of treatment in each third of the predictions.
    Raises StudyError when either part lacks an arm or an outcome.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    y, d = outcome.astype(float), treated.astype(float)
    w = np.ones(len(y)) if weights is None else weights / weights.mean()
    learning, judging = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    for rows in (learning, judging):
        if len(rows) == 0 or min(np.ptp(y[rows]), np.ptp(d[rows])) == 0:
            raise StudyError("individual effects need loans of both arms and both outcomes in both halves.")
    left_y, left_d = np.empty(len(y)), np.empty(len(y))

    def fitted(of: np.ndarray, rows: np.ndarray) -> Predict:
        # Without need no weights are passed: with them the trees take many times longer to find their cut points.
        return boosted(x[rows], of[rows], None if weights is None else w[rows])

    with one_thread():
        for number in np.unique(fold[learning]):
            inside = learning[fold[learning] == number]
            known = learning[fold[learning] != number]
            for into, of in ((left_y, y), (left_d, d)):
                into[inside] = of[inside] - fitted(of, known)(x[inside])
        for into, of in ((left_y, y), (left_d, d)):
            into[judging] = of[judging] - fitted(of, learning)(x[judging])
        rest = left_d[learning]
        # A residual near nought would be divided by; it weighs nothing.
        safe = np.where(np.abs(rest) < 1e-3, np.where(rest < 0, -1e-3, 1e-3), rest)
        leaf = max(20, int(SMALLEST_LEAF * len(learning)))
        trees = HistGradientBoostingRegressor(min_samples_leaf=leaf, random_state=0, **TREES)
        trees.fit(x[learning], left_y[learning] / safe, sample_weight=w[learning] * safe**2)
        prediction = trees.predict(x[judging])

    own, arm, response = w[judging], left_d[judging], left_y[judging]
    groups = cluster_codes(clusters[judging])
    centred = prediction - np.average(prediction, weights=own * arm**2)
    if np.ptp(centred) < 1e-12:
        raise StudyError("the trees predict the same effect for every loan.")
    slopes, variance = _least_squares(np.column_stack([arm, arm * centred]), response, own, groups)
    average, calibration = (effect(slopes[at], float(np.sqrt(variance[at, at])), level) for at in (0, 1))
    part = in_thirds(pd.Series(prediction))
    if part is None:
        return Predicted(average, calibration, {}, None, prediction)
    names = list(part.cat.categories)
    columns = np.column_stack([arm * (part == name).to_numpy() for name in names])
    slopes, variance = _least_squares(columns, response, own, groups)
    thirds = {name: effect(slopes[at], float(np.sqrt(variance[at, at])), level) for at, name in enumerate(names)}
    contrast = np.array([-1.0, 0.0, 1.0])
    last = effect(float(contrast @ slopes), float(np.sqrt(contrast @ variance @ contrast)), level)
    return Predicted(average, calibration, thirds, last, prediction)


def _least_squares(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, clusters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and cluster-robust covariance of weighted least squares without an intercept."""
    bread = np.linalg.inv((x * weights[:, None]).T @ x)
    slopes = bread @ (x.T @ (weights * y))
    return slopes, sandwich(bread, x, weights * (y - x @ slopes), clusters)
