"""Discrete-time hazards: logistic regression of an event in a month, with group effects absorbed."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, cluster_codes, codes, correction, effect
from pipeline.stats.month_regression import month_regression
from pipeline.stats.products import newton_sums

CERTAIN = 30.0
"""Fitted log odds beyond this mean that the likelihood has no maximum: coefficients run off to infinity."""

MANY = 1_000_000
"""Rows from which a tenth of them is fitted first."""


def hazard_logit(
    event: np.ndarray, design: pd.DataFrame, factor: str, groups: pd.Series, clusters: pd.Series, level: float
) -> Effect:
    """Return the log odds ratio of one unit of `factor` for an event in a month.

    Pr(event in month t | at risk) = logistic(group + design @ b), by maximum likelihood over loan-months at risk
    (Allison 1982). `design` (loan-months x columns, no intercept) holds `factor`, the controls and whatever shape the
    hazard takes over months. Assumes that, given design and groups, the months at risk of one loan are independent
    draws, and nothing else moves factor and event together. Group effects are solved for inside each Newton step (the
    information matrix is diagonal in them), so many groups and months cost little. Groups without an event, or with
    nothing else, say nothing about b and are left out. Errors are clustered by `clusters`, with
    the correction of `inference.correction` and t(G-1) intervals. Raises StudyError when there is no maximum.
    """
    y, group = np.asarray(event, dtype=float), codes(groups)
    share = np.bincount(group, y) / np.bincount(group)
    rows = np.flatnonzero(((share > 0) & (share < 1))[group])
    if not len(rows):
        raise StudyError(f"no events among the months at risk: the hazard of {factor} cannot be estimated.")
    rows = rows[np.argsort(group[rows], kind="stable")]
    y, group = y[rows], codes(group[rows])
    clusters = cluster_codes(np.asarray(clusters)[rows])

    # One column after the other, in the order of the groups: of so many months each copy counts.
    x = np.empty((design.shape[1], len(rows)))
    for place, values in enumerate(x):
        np.copyto(values, design.iloc[:, place].to_numpy()[rows])
        # Centred columns keep the first steps small.
        values -= values.mean()
    share, ones = np.bincount(group, y) / np.bincount(group), np.ones(len(y))
    own, b = np.log(share / (1 - share)), np.zeros(len(x))
    if len(y) > MANY:
        # A tenth of the rows says nearly where the maximum lies, and saves the steps of all rows that lead there.
        with contextlib.suppress(StudyError):
            few = slice(None, None, 10)
            start = month_regression(y[few], pd.DataFrame(x[:, few].T), group[few])
            b[np.array(start.names, dtype=int)] = start.slopes
            own = own - np.bincount(group, b @ x) / np.bincount(group)
    step = np.full(len(x), np.inf)
    for _ in range(50):
        sums = newton_sums(x, y, ones, group, own, b, "logit", CERTAIN)
        if sums is None:
            break
        weights, score_own = np.bincount(group, sums.density), np.bincount(group, sums.rest)
        means = sums.by_group / weights[:, None]
        inner = sums.products - sums.by_group.T @ means
        try:
            step = np.linalg.solve(inner, sums.score - sums.by_group.T @ (score_own / weights))
        except np.linalg.LinAlgError:
            break
        b = b + step
        own = own + (score_own - sums.by_group @ step) / weights
        # Steps shrink quadratically: the one after this would be of the order of its square.
        if np.abs(step).max() < 1e-7:
            break
    if sums is None or not np.abs(step).max() < 1e-7:
        raise StudyError(f"the hazard of {factor} has no maximum: a control separates the events perfectly.")
    # What the groups leave of each column, in the weights of the last step: scores orthogonal to the group effects.
    bread = np.linalg.inv(inner)
    scores = [
        np.bincount(clusters, (values - mean[group]) * sums.rest) for values, mean in zip(x, means.T, strict=True)
    ]
    number = len(scores[0])
    factor_of = correction(number, len(y), len(x) + len(weights))
    place = design.columns.get_loc(factor)
    variance = factor_of * ((bread[place] @ scores) ** 2).sum()
    return effect(b[place], variance**0.5, level, number - 1)
