"""Discrete-time hazards: logistic regression of an event in a month, with group effects absorbed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError
from pipeline.stats.inference import cluster_codes, codes, correction, effect, group_sums
from pipeline.stats.products import grouped_products
from pipeline.stats.regression import Effect

CERTAIN = 30.0
"""Fitted log odds beyond this mean that the likelihood has no maximum: coefficients run off to infinity."""


def hazard_logit(
    event: np.ndarray, design: pd.DataFrame, factor: str, groups: pd.Series, clusters: pd.Series, level: float
) -> Effect:
    """Return the log odds ratio of one unit of `factor` for an event in a month.

    Pr(event in month t | at risk) = logistic(group + design @ b), by maximum likelihood over loan-months at risk
    (Allison 1982). `design` (loan-months x columns, no intercept) holds `factor`, the controls and whatever shape the
    hazard takes over months. Assumes that, given design and groups, the months at risk of one loan are independent
    draws, and nothing else moves factor and event together. Group effects are solved for inside each Newton step (the
    information matrix is diagonal in them), so many groups and months cost little. Groups without an event, or with
    nothing else, say nothing about b and are left out. Errors are clustered by `clusters`, corrected by
    G/(G-1) x (n-1)/(n-k), with t(G-1) intervals. Raises StudyError when there is no maximum.
    """
    y, x, group = np.asarray(event, dtype=float), design.to_numpy(dtype=float), codes(groups)
    share = np.bincount(group, y) / np.bincount(group)
    kept = ((share > 0) & (share < 1))[group]
    if not kept.any():
        raise StudyError(f"no events among the months at risk: the hazard of {factor} cannot be estimated.")
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(group[rows], kind="stable")]
    y, x, group = y[rows], x[rows], codes(group[rows])
    clusters = cluster_codes(np.asarray(clusters)[rows])

    share = np.bincount(group, y) / np.bincount(group)
    # Centred columns keep the first steps small.
    x = x - x.mean(axis=0)
    own, b = np.log(share / (1 - share)), np.zeros(x.shape[1])
    step = np.full(x.shape[1], np.inf)
    for _ in range(50):
        linear = own[group] + x @ b
        if not np.abs(linear).max() < CERTAIN:
            break
        p = 1 / (1 + np.exp(-linear))
        weight = p * (1 - p)
        rest = y - p
        products, weighted = grouped_products(x, weight, group)
        weights, score_own = np.bincount(group, weight), np.bincount(group, rest)
        inner = products - weighted.T @ (weighted / weights[:, None])
        try:
            step = np.linalg.solve(inner, x.T @ rest - weighted.T @ (score_own / weights))
        except np.linalg.LinAlgError:
            break
        b = b + step
        own = own + (score_own - weighted @ step) / weights
        # Steps shrink quadratically: the one after this would be of the order of its square.
        if np.abs(step).max() < 1e-7:
            break
    if not np.abs(step).max() < 1e-7:
        raise StudyError(f"the hazard of {factor} has no maximum: a control separates the events perfectly.")
    # What the groups leave of each column, in the weights of the last step: scores orthogonal to the group effects.
    bread = np.linalg.inv(inner)
    scores = group_sums((x - (weighted / weights[:, None])[group]) * rest[:, None], clusters)
    number = len(scores)
    factor_of = correction(number, len(y), x.shape[1] + len(weights))
    place = design.columns.get_loc(factor)
    variance = factor_of * ((scores @ bread[place]) ** 2).sum()
    return effect(b[place], variance**0.5, level, number - 1)
