"""What covariates say of treatment and of the outcome, for each loan by models that have not seen it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import boosting
from pipeline.stats.logistic import maximum, sigmoid

Learner = Literal["logistic", "boosting"]

PENALTY = 1.0
"""Ridge penalty of the logistic regressions, on covariates in standard deviations: far too little to matter where there
are loans enough, enough for a maximum where a rare category has one outcome only."""

FARTHEST = 12.0
"""Log odds that stand for "none was seen" and "all were"."""

TREES = {"learning_rate": 0.2, "max_iter": 30, "max_leaf_nodes": 8, "min_samples_leaf": 40, "early_stopping": False}
"""Choices of scikit-learn's histogram gradient boosting: small trees, because little of default can be foretold."""

Predict = Callable[[np.ndarray], np.ndarray]


class Nuisances(NamedTuple):
    """What is needed beside the effect, for each loan from models fitted on other loans."""

    score: np.ndarray
    """Probability of treatment (loans,)."""
    untreated: np.ndarray
    """Probability of the outcome without treatment (loans,)."""


def hashes(identifier: np.ndarray, salt: str) -> np.ndarray:
    """Return a number for each identifier (loans,) that depends on nothing but it and `salt`."""
    key = salt.encode()
    digests = (blake2b(str(name).encode(), digest_size=8, key=key).digest() for name in identifier)
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def assign_folds(hashed: np.ndarray, cell: np.ndarray, folds: int, repetition: int = 0) -> np.ndarray:
    """Assign loans to folds (loans,), from 0, by `hashes` of their identifiers: the order of the rows plays no part.

    Loans of one `cell` (labels, loans), such as the same arm and outcome, are spread evenly. Each `repetition` is
    another split (the numbers are mixed anew: Steele, Lea & Flood 2014, the generator SplitMix).
    """
    with np.errstate(over="ignore"):
        mixed = hashed + np.uint64((repetition * 0x9E3779B97F4A7C15) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    order = np.lexsort((mixed, cell))
    fold = np.empty(len(order), dtype=np.int64)
    # Cell after cell in turn: each goes on where the one before it ended, so that folds are equal in size.
    fold[order] = np.arange(len(order)) % folds
    return fold


def features(frame: pd.DataFrame) -> np.ndarray:
    """Return covariates for trees (loans x covariates): numbers as they are, categories by their levels' order."""
    numeric = set(frame.select_dtypes(["number", "bool"]))
    columns = [frame[name] if name in numeric else pd.Categorical(frame[name]).codes for name in frame]
    return np.column_stack([np.asarray(column, dtype=float) for column in columns])


class Logistic(NamedTuple):
    """A fitted logistic regression."""

    centre: np.ndarray
    spread: np.ndarray
    slopes: np.ndarray
    """Intercept and slopes of the standardised covariates."""

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the probability of one for each row (rows x covariates)."""
        return sigmoid(self.slopes[0] + ((rows - self.centre) / self.spread) @ self.slopes[1:])


def penalised_logit(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    start: Logistic | None = None,
    penalty: float = PENALTY,
) -> Logistic:
    """Fit a logistic regression with a ridge penalty, and return what predicts from it.

    `x` (loans x covariates, no intercept), `y` 0/1 (loans,). The penalty, on standardised covariates and not on the
    intercept, is `penalty` times half the sum of squares beside the sum of (weighted) log likelihoods; weights count
    relative to their mean. A fit on nearly the same loans to `start` from saves steps, and gives its scale.
    """
    w = np.ones(len(y)) if weights is None else weights / weights.mean()
    at_the_mean = np.zeros(x.shape[1] + 1)
    share = float(np.clip(np.average(y, weights=w), 1e-6, 1 - 1e-6))
    at_the_mean[0] = np.log(share / (1 - share))
    if start is None:
        centre, spread, slopes = x.mean(axis=0), x.std(axis=0), at_the_mean
        spread[spread == 0] = 1.0
    else:
        centre, spread, slopes = start
    if y.min() == y.max():
        # The intercept has no maximum: a share very near to nought or one stands for it.
        slopes = np.zeros(x.shape[1] + 1)
        slopes[0] = FARTHEST if y[0] else -FARTHEST
        return Logistic(centre, spread, slopes)
    z = np.column_stack([np.ones(len(x)), (x - centre) / spread])
    ridge = np.append(0.0, np.full(x.shape[1], penalty))
    # Where other loans had rare categories, their slopes may be too far away to begin from.
    found = maximum(z, y, w, ridge=ridge, start=slopes) or maximum(z, y, w, ridge=ridge, start=at_the_mean)
    if found is None:
        raise StudyError("a logistic regression with a ridge penalty does not converge.")
    return Logistic(centre, spread, found.slopes)


def boosted(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, seed: int = 0) -> Predict:
    """Fit gradient boosted trees (`TREES`), and return what predicts the probability of one from them.

    To be called inside `one_thread`: sums of several threads differ in their last bits, and a split may turn on one.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    if len(np.unique(y)) < 2:
        return lambda rows: np.full(len(rows), float(y[0]))
    model = HistGradientBoostingClassifier(random_state=seed, **TREES)
    model.fit(x, y, sample_weight=weights)
    return partial(boosting.probability, model)


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which scikit-learn works on one thread."""
    # The limits hold for libraries that are loaded already.
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def cross_fit(
    learner: Learner,
    x: np.ndarray,
    treated: np.ndarray,
    outcome: np.ndarray,
    fold: np.ndarray,
    weights: np.ndarray | None = None,
    starts: dict[str, Logistic] | None = None,
) -> Nuisances:
    """Predict treatment and the outcome without it, for each fold by models of the others.

    Args:
        learner: ``logistic`` (`penalised_logit`) or ``boosting`` (`boosted`).
        x: covariates, for ``logistic`` an indicator for each level of a category (loans x covariates).
        treated, outcome: 0/1 (loans,). fold: numbers from 0 (loans,).
        weights: how many loans of the population each one stands for (loans,).
        starts: logistic regressions of an earlier call on the same covariates, from which these start; those of this
            call are put in. Where to start changes how soon the maximum is found, not where it lies.

    Raises StudyError when the loans outside a fold lack one of the arms.
    """
    arm, y = treated.astype(float), outcome.astype(float)
    starts = {} if starts is None else starts
    if learner == "logistic" and not starts:
        # On the scale of all loans, or the penalty of a fold would depend on which fold came first.
        spread = x.std(axis=0)
        scale = Logistic(x.mean(axis=0), np.where(spread > 0, spread, 1.0), np.zeros(x.shape[1] + 1))
        starts |= {"score": scale, "untreated": scale}
    found = Nuisances(np.empty(len(outcome)), np.empty(len(outcome)))
    with one_thread() if learner == "boosting" else nullcontext():
        for number in range(int(fold.max()) + 1):
            inside = fold == number
            known = np.flatnonzero(~inside)
            controls = known[treated[known] == 0]
            if not 0 < len(controls) < len(known):
                raise StudyError("cross-fitting needs loans of both arms outside every fold: there are too few.")
            for name, of, rows in (("score", arm, known), ("untreated", y, controls)):
                of_rows = None if weights is None else weights[rows]
                model: Predict
                if learner == "boosting":
                    model = boosted(x[rows], of[rows], of_rows)
                else:
                    starts[name] = penalised_logit(x[rows], of[rows], of_rows, starts[name])
                    model = starts[name].__call__
                getattr(found, name)[inside] = model(x[inside])
    return found
