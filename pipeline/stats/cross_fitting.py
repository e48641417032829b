"""What covariates say of treatment and of the outcome, for each loan by models that have not seen it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError

Learner = Literal["logistic", "boosting"]

PENALTY = 1.0
"""Ridge penalty of the logistic regressions, on covariates in standard deviations: far too little to matter where there
are loans enough, enough for a maximum where a rare category has one outcome only."""

TREES = {"learning_rate": 0.1, "max_iter": 60, "max_leaf_nodes": 15, "min_samples_leaf": 40, "early_stopping": False}
"""Choices of scikit-learn's histogram gradient boosting."""

Predict = Callable[[np.ndarray], np.ndarray]


class Nuisances(NamedTuple):
    """What is needed beside the effect, for each loan from models fitted on other loans."""

    score: np.ndarray
    """Probability of treatment (loans,)."""
    untreated: np.ndarray
    """Probability of the outcome without treatment (loans,)."""


def deal_folds(identifier: np.ndarray, cell: np.ndarray, folds: int, salt: str) -> np.ndarray:
    """Deal loans out to folds (loans,), from 0, by a hash of their identifiers: the order of the rows plays no part.

    Loans of one `cell` (labels, loans), such as the same arm and outcome, are spread evenly. `salt` makes one deal
    differ from another.
    """
    key = salt.encode()
    number = np.array(
        [int.from_bytes(blake2b(str(name).encode(), digest_size=8, key=key).digest(), "big") for name in identifier],
        dtype=np.uint64,
    )
    order = np.lexsort((number, cell))
    sorted_cell = cell[order]
    first = np.flatnonzero(np.r_[True, sorted_cell[1:] != sorted_cell[:-1]])
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    fold = np.empty(len(order), dtype=np.int64)
    # Each cell goes on where the one before it ended, so that folds stay equal in size.
    fold[order] = (place + np.repeat(first, np.diff(np.r_[first, len(order)]))) % folds
    return fold


def features(frame: pd.DataFrame) -> np.ndarray:
    """Return covariates for trees (loans x covariates): numbers as they are, categories by their levels' order."""
    columns = [frame[name].cat.codes if frame[name].dtype == "category" else frame[name] for name in frame]
    return np.column_stack([column.to_numpy(dtype=float) for column in columns])


def penalised_logit(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, penalty: float = PENALTY
) -> Predict:
    """Fit a logistic regression with a ridge penalty by Newton's method, and return what predicts from it.

    `x` (loans x covariates, no intercept), `y` 0/1 (loans,). The penalty, on standardised covariates and not on the
    intercept, is `penalty` times half the sum of squares beside the sum of (weighted) log likelihoods; weights count
    relative to their mean.
    """
    w = np.ones(len(y)) if weights is None else weights / weights.mean()
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1.0

    def design(rows: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(rows)), (rows - centre) / spread])

    z = design(x)
    ridge = np.full(z.shape[1], penalty)
    ridge[0] = 0.0
    share = float(np.clip(np.average(y, weights=w), 1e-6, 1 - 1e-6))
    slopes = np.zeros(z.shape[1])
    slopes[0] = np.log(share / (1 - share))
    for _ in range(50):
        p = 1 / (1 + np.exp(-(z @ slopes)))
        curvature = (z * (w * p * (1 - p))[:, None]).T @ z
        # A share of nought or one has an intercept without bound: it may not run away.
        curvature[np.diag_indices_from(curvature)] += ridge + 1e-9
        step = np.linalg.solve(curvature, z.T @ (w * (y - p)) - ridge * slopes)
        slopes = slopes + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-7 or abs(slopes[0]) > 30:
            break
    return lambda rows: 1 / (1 + np.exp(-(design(rows) @ slopes)))


def boosted(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, seed: int = 0) -> Predict:
    """Fit gradient boosted trees (`TREES`) on one thread, and return what predicts the probability of one from them."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    if len(np.unique(y)) < 2:
        return lambda rows: np.full(len(rows), float(y[0]))
    model = HistGradientBoostingClassifier(random_state=seed, **TREES)
    # Sums of several threads differ in their last bits, and a split may turn on one.
    with threadpool_limits(1):
        model.fit(x, y, sample_weight=weights)

    def predict(rows: np.ndarray) -> np.ndarray:
        with threadpool_limits(1):
            return model.predict_proba(rows)[:, 1]

    return predict


LEARNERS: dict[str, Callable[..., Predict]] = {"logistic": penalised_logit, "boosting": boosted}


def cross_fit(
    learner: Learner,
    x: np.ndarray,
    treated: np.ndarray,
    outcome: np.ndarray,
    fold: np.ndarray,
    weights: np.ndarray | None = None,
) -> Nuisances:
    """Predict treatment and the outcome without it, for each fold by models of the others.

    Args:
        learner: ``logistic`` (`penalised_logit`) or ``boosting`` (`boosted`).
        x: covariates, for ``logistic`` an indicator for each level of a category (loans x covariates).
        treated, outcome: 0/1 (loans,). fold: numbers from 0 (loans,).
        weights: how many loans of the population each one stands for (loans,).

    Raises StudyError when the loans outside a fold lack one of the arms.
    """
    fit = LEARNERS[learner]
    found = Nuisances(np.empty(len(outcome)), np.empty(len(outcome)))
    for number in range(int(fold.max()) + 1):
        inside = fold == number
        known = np.flatnonzero(~inside)
        controls = known[treated[known] == 0]
        if not 0 < len(controls) < len(known):
            raise StudyError("cross-fitting needs loans of both arms outside every fold: there are too few.")
        for into, of, rows in ((found.score, treated, known), (found.untreated, outcome, controls)):
            of_rows = None if weights is None else weights[rows]
            into[inside] = fit(x[rows], of[rows].astype(float), of_rows)(x[inside])
    return found
