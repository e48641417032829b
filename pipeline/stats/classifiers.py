"""Models of default: logistic regression, pruned tree, random forest, boosted trees; each on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats import boosting
from pipeline.stats.logistic import penalised

DECIMALS = 9
"""To which predicted probabilities are rounded: ties must not depend on the last bits."""

FOREST_TREES = 60
BOOSTED_TREES = 120
PRUNING_FOLDS = 3
PENALTIES = 5
DEEPEST = 5
"""Splits from the root to a leaf: what can still be read off a drawing."""

LIMIT = 2_000_000
"""Most loans from which a tree or a forest learns: both sort every column at every split, on one thread."""


def logistic(design: np.ndarray, default: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Return intercept and slopes of a logistic regression with a ridge penalty of one prior loan.

    `design` is loans x columns, standardised and without an intercept; `weights` are brought to a mean of one.
    """
    if design.shape[1] == 0:
        rate = np.average(default, weights=weights)
        return float(np.log(rate / (1 - rate))), np.zeros(0)
    return penalised(design, default, None if weights is None else weights / weights.mean())


def least_leaf(loans: int, defaults: int) -> int:
    """Return how few loans a leaf may hold: about ten defaults at the average rate, and no more than a tenth of all."""
    return max(5, min(int(np.ceil(10 * loans / max(defaults, 1))), loans // 10))


def learnable(loans: int, kind: str) -> None:
    """Raise a StudyError when there are more loans than a ``tree`` or ``forest`` learns from."""
    if kind in ("tree", "forest") and loans > LIMIT:
        raise StudyError(
            f"a {kind} learns from at most {LIMIT:,} loans, and there are {loans:,}: boosted trees and the logistic "
            "regression learn from any number; or lower predict.most_loans."
        )


def pruned_tree(design: np.ndarray, default: np.ndarray, weights: np.ndarray | None, seed: int) -> Any:
    """Return a decision tree pruned by cost and complexity (Breiman et al. 1984).

    The penalty is the largest whose cross-validated log loss lies within a standard error of the smallest.
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    leaf = least_leaf(len(default), int(default.sum()))

    def grown(penalty: float, rows: np.ndarray) -> Any:
        tree = DecisionTreeClassifier(max_depth=DEEPEST, min_samples_leaf=leaf, ccp_alpha=penalty, random_state=seed)
        return tree.fit(design[rows], default[rows], sample_weight=None if weights is None else weights[rows])

    every = np.arange(len(default))
    steps = grown(0.0, every).cost_complexity_pruning_path(design, default, sample_weight=weights).ccp_alphas
    penalties = np.unique(np.maximum(np.sqrt(steps[:-1] * steps[1:]), 0.0)) if len(steps) > 1 else np.zeros(1)
    penalties = penalties[np.linspace(0, len(penalties) - 1, min(PENALTIES, len(penalties))).astype(int)]
    losses = np.empty((PRUNING_FOLDS, len(penalties)))
    folds = StratifiedKFold(PRUNING_FOLDS, shuffle=True, random_state=seed)
    for number, (inside, outside) in enumerate(folds.split(design, default)):
        for place, penalty in enumerate(penalties):
            share = np.clip(grown(penalty, inside).predict_proba(design[outside])[:, 1], 1e-6, 1 - 1e-6)
            within = None if weights is None else weights[outside]
            losses[number, place] = log_loss(default[outside], share, sample_weight=within)
    mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(PRUNING_FOLDS)
    best = int(mean.argmin())
    return grown(float(penalties[np.flatnonzero(mean <= mean[best] + error[best])[-1]]), every)


def forest(design: np.ndarray, default: np.ndarray, weights: np.ndarray | None, seed: int) -> Any:
    """Return a random forest (Breiman 2001) of leaves that are large enough to hold probabilities."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        FOREST_TREES,
        min_samples_leaf=max(3, least_leaf(len(default), int(default.sum())) // 4),
        max_samples=0.3 if len(default) > 5_000 else None,
        n_jobs=1,
        random_state=seed,
    )
    return model.fit(design, default, sample_weight=weights)


def boosted(design: np.ndarray, default: np.ndarray, weights: np.ndarray | None, seed: int) -> Any:
    """Return gradient boosted trees on binned columns (Friedman 2001; Ke et al. 2017)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=BOOSTED_TREES if len(default) > 5_000 else BOOSTED_TREES // 2,
        max_leaf_nodes=8,
        min_samples_leaf=least_leaf(len(default), int(default.sum())),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(design, default, sample_weight=weights)


def probability(model: Any, design: np.ndarray) -> np.ndarray:
    """Return a fitted model's probabilities of default (loans,)."""
    of_one = boosting.probability(model, design) if hasattr(model, "_bin_mapper") else model.predict_proba(design)[:, 1]
    return np.round(of_one, DECIMALS)
