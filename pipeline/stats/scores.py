"""Propensity scores: logistic, by gradient boosting, and those that no loan has helped to fit (cross-fitting)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import boosting
from pipeline.stats.design import ALIKE, NEARLY, independent, no_collinear
from pipeline.stats.logistic import MANY, maximum, nearly
from pipeline.stats.matching import ranks

Model = Literal["logistic", "boosting"]

SCORE_DECIMALS = 6
"""Decimals to which the score's logit is rounded: closer scores are ties, on every machine the same ones."""

FLAT = 1e-6
"""Smallest eigenvalue of the mean information matrix (standardised covariates) below which the likelihood has no
maximum: it keeps rising in some direction because a covariate tells the arms apart without error."""

FARTHEST = 12.0
"""Largest logit that boosting may give: its probabilities of 0 and 1 stand for "none was seen", not for certainty."""


SEPARATED = "the propensity score has no maximum likelihood: its covariates separate the two arms; leave one out."
"""What is said where there is none."""

LIMIT = 5_000_000
"""Most loans of a boosted score: two hundred trees of them take half an hour on one thread, and each fold as many."""


def propensity_logit(covariates: pd.DataFrame, treated: np.ndarray) -> np.ndarray:
    """Return each loan's propensity score on the logit scale.

    Logistic regression of `treated` (0/1, one a row) on `covariates` (numeric) with an intercept, by maximum
    likelihood, without a penalty (Rosenbaum & Rubin 1983), rounded to `SCORE_DECIMALS`.

    Raises StudyError when one arm is empty, a covariate is constant or collinear with others, or the covariates
    separate the arms.
    """
    return np.round(_logistic(covariates, treated)[0], SCORE_DECIMALS)


def _logistic(covariates: pd.DataFrame, treated: np.ndarray) -> tuple[np.ndarray, Callable[[pd.DataFrame], np.ndarray]]:
    """Return the logit, fitted as `propensity_logit` says, and what gives that of any other loans' covariates."""
    if treated.all() or not treated.any():
        raise StudyError(
            f"all {len(treated)} loans are in one arm: nothing can be matched; check who counts as treated."
        )
    constant = covariates.max() == covariates.min()
    if constant.any():
        raise StudyError(f"covariates of the propensity score are constant: {', '.join(covariates.columns[constant])}.")
    no_collinear(covariates, "the propensity score")
    centre, scale = covariates.mean(), covariates.std()

    def design(rows: pd.DataFrame) -> np.ndarray:
        return np.column_stack([np.ones(len(rows)), ((rows - centre) / scale).to_numpy(dtype=float)])

    x, arm = design(covariates), treated.astype(float)
    found = maximum(x, arm, start=nearly(x, arm) if len(arm) >= MANY else None)
    # The smallest curvature is one over the largest eigenvalue of the information's inverse.
    if found is None or 1 / (len(treated) * np.linalg.eigvalsh(found.bread)[-1]) < FLAT:
        no_collinear(covariates, "the propensity score", ALIKE)
        raise StudyError(SEPARATED)
    slopes = found.slopes
    return x @ slopes, lambda rows: design(rows) @ slopes


def propensity(
    covariates: pd.DataFrame,
    treated: np.ndarray,
    identifier: np.ndarray,
    *,
    model: Model = "logistic",
    folds: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """Return each loan's propensity score on the logit scale, rounded to `SCORE_DECIMALS`.

    Args:
        covariates: numeric (loans x covariates), without missing values.
        treated: 0/1 (loans,).
        identifier: unique and sortable (loans,). Loans are fitted in its order and assigned to folds by it, so that
            the order of the rows plays no part.
        model: ``logistic``: by maximum likelihood; ``boosting``: gradient boosted trees (scikit-learn's histogram
            version, 200 trees of 15 leaves at a learning rate of 0.05, on one thread).
        folds: with more than one each loan's score comes from a model fitted on the other folds (Chernozhukov et al.
            2018), which boosting needs: trees know the loans that they were fitted on.
        seed: of the folds and of boosting.

    Raises StudyError when one arm is empty, a covariate is constant, missing or (unless the model is boosting)
    collinear with others, the covariates separate the arms, or there are more loans than boosting takes (`LIMIT`).
    """
    missing = covariates.columns[covariates.isna().any()]
    if len(missing):
        raise StudyError(f"covariates of the propensity score have missing values: {', '.join(missing)}.")
    if model == "boosting" and folds < 2:
        raise StudyError("a boosted propensity score must be cross-fitted: set match.folds to 2 or more.")
    if model == "boosting" and len(treated) > LIMIT:
        raise StudyError(
            f"a boosted propensity score takes at most {LIMIT:,} loans, and there are {len(treated):,}: set "
            "match.score to logistic, which takes any number, or narrow eligibility."
        )
    order = np.argsort(ranks(identifier), kind="stable")
    sorted_covariates, arm = covariates.iloc[order], treated[order]
    if folds < 2:
        fitted = propensity_logit(sorted_covariates, arm)
    else:
        fitted = _cross_fitted(sorted_covariates, arm, model, folds, seed)
    logit = np.empty(len(arm))
    logit[order] = np.round(fitted, SCORE_DECIMALS)
    return logit


def _cross_fitted(covariates: pd.DataFrame, treated: np.ndarray, model: Model, folds: int, seed: int) -> np.ndarray:
    # Both arms are spread evenly.
    if min(treated.sum(), (1 - treated).sum()) < folds:
        raise StudyError(f"{folds} folds need at least {folds} loans in each arm: lower match.folds.")
    rng = np.random.default_rng(np.random.SeedSequence([seed, folds]))
    fold = np.empty(len(treated), dtype=np.int64)
    for arm in (0, 1):
        members = np.flatnonzero(treated == arm)
        fold[rng.permutation(members)] = np.arange(len(members)) % folds
    values = covariates.to_numpy(dtype=float)
    fitted = np.empty(len(treated))
    for number in range(folds):
        inside = fold == number
        if model == "boosting":
            fitted[inside] = _boosted(values[~inside], treated[~inside], values[inside], seed)
        else:
            fitted[inside] = _logistic(covariates[~inside], treated[~inside])[1](covariates[inside])
    return fitted


def _boosted(known: np.ndarray, treated: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=200, max_leaf_nodes=15, early_stopping=False, random_state=seed
    )
    # Sums of several threads differ in their last bits, and a split may turn on one.
    with threadpool_limits(1):
        model.fit(known, treated)
        share = boosting.probability(model, asked)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(share) - np.log1p(-share), -FARTHEST, FARTHEST)


def maximum_likelihood(design: np.ndarray, treated: np.ndarray) -> np.ndarray:
    """Return the coefficients of a logistic regression on `design` (intercept included).

    Raises StudyError when there is no maximum.
    """
    found = maximum(design, treated)
    if found is not None:
        return found.slopes
    if not independent(design, NEARLY).all():
        raise StudyError(
            "the propensity score cannot tell its covariates apart: one is a combination of others; leave it out."
        )
    raise StudyError(SEPARATED)
