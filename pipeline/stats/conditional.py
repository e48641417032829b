"""Logistic regression given how many events each group has: effects of groups leave the likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import within
from pipeline.stats.design import independent
from pipeline.stats.inference import Effect, as_ratio, cluster_codes, codes, correction, effect, group_sums

MOST = 1e8
"""Numbers that one of Newton's steps may touch; they grow with a group's rows times its events."""

NEAR = 0.1
"""Log odds by which a step moves no loan further, so that the curvature hardly changes any more."""

FURTHEST = 30.0
"""Log odds, from a group's mean, at which a search counts as running away to infinity."""


class Conditional(NamedTuple):
    """A factor's odds ratio; its standard error is on the log scale."""

    odds_ratio: Effect
    loans: int
    """In groups with both outcomes; the others say nothing."""
    groups: int
    clusters: int
    stays: np.ndarray
    """Which loans (boolean) those are."""


def conditional_logit(
    outcome: pd.Series, design: pd.DataFrame, factor: str, absorb: pd.Series, clusters: pd.Series, level: float
) -> Conditional:
    """Return the effect of `factor` given each group's number of events (Chamberlain 1980, Rev. Econ. Stud. 47).

    `outcome` 0/1 (rows,), `design` (rows x columns; what does not vary inside groups is left out), `absorb` the groups,
    `clusters` labels whole groups. No effect of a group is estimated, so small groups bring no bias. The sum over all
    ways to spread a group's events is by recursion (Gail, Lubin & Rubinstein 1981, Biometrika 68), here with its first
    two derivatives, so that Newton's method needs few of them: statsmodels has the same likelihood and takes ten times
    as long. Errors are cluster-robust, with the correction of `inference.correction`, where k counts the slopes. Raises
    StudyError where groups are too large, where nothing of the factor varies inside them, and where there is no
    maximum; ValueError where a group lies in several clusters, as its likelihood is one term.
    """
    group = codes(absorb)
    events, size = np.bincount(group, outcome), np.bincount(group)
    both = ((events > 0) & (events < size))[group]
    if not both.any():
        raise StudyError("no group has loans with and without default, so their comparison inside groups says nothing.")
    y, group = outcome.to_numpy(dtype=float)[both], codes(group[both])
    cluster = cluster_codes(clusters.to_numpy()[both])
    x = design.to_numpy(dtype=float)[both]
    # The rarer outcome is chosen among a group's rows, as `_derivatives` does.
    size, events = np.bincount(group), np.bincount(group, y)
    rarer = np.minimum(events, size - events)
    if (rarer * (size - rarer + 1)).sum() * x.shape[1] ** 2 > MOST:
        raise StudyError("groups are too large for the likelihood given their events: see the one with group effects.")
    x = within(x, [group], np.ones(len(group)))
    spread = x.std(axis=0)
    names = [factor, *(name for name in design if name != factor)]
    names = [name for name in names if spread[design.columns.get_loc(name)] > 1e-8 * (1 + design[name].abs().max())]
    x = x[:, [design.columns.get_loc(name) for name in names]]
    sound = independent(x)
    if factor not in names or not sound[0]:
        raise StudyError(f"{factor}: no variation is left inside the groups, so there is no effect to see.")
    x = x[:, sound]
    unit = x.std(axis=0)
    x = x / unit
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(size)[:-1])
    of_group = cluster[[part[0] for part in parts]]
    if (of_group[group] != cluster).any():
        raise ValueError("a group lies in several clusters")

    slopes, information, near = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1])), False
    for _ in range(50):
        gradients, found_here = _derivatives(x, y, parts, slopes, curvature=not near)
        # The second derivatives take most of the time, and near the maximum those of the last step lead there as well.
        information = information if near else found_here
        try:
            step = np.linalg.solve(information, gradients.sum(axis=0))
        except np.linalg.LinAlgError:
            break
        # Far from the maximum a whole step may overshoot.
        slopes = slopes + step * min(1.0, 2.0 / np.abs(step).max())
        if not np.isfinite(slopes).all() or np.abs(x @ slopes).max() > FURTHEST:
            break
        near = bool(np.abs(x @ step).max() < NEAR)
        if np.abs(step).max() < 1e-9:
            gradients, information = _derivatives(x, y, parts, slopes, curvature=True)
            count = int(cluster.max()) + 1
            scores = group_sums(gradients, of_group)
            bread = np.linalg.inv(information)
            variance = correction(count, len(y), x.shape[1]) * (bread @ (scores.T @ scores) @ bread)[0, 0]
            error = float(np.sqrt(variance))
            found = effect(slopes[0] / unit[0], error / unit[0], level)
            return Conditional(as_ratio(found), len(y), len(parts), count, both)
    raise StudyError(f"the logistic regression on {factor} inside groups has no maximum: something separates default.")


def _derivatives(
    x: np.ndarray, y: np.ndarray, parts: list[np.ndarray], slopes: np.ndarray, *, curvature: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return each group's gradient (groups x slopes) and, with `curvature`, the information (slopes x slopes).

    Where ones are the majority, the zeros are chosen and the regressors change sign: the likelihood, and its gradient
    in the slopes, are the same, as the sum of all rows of a group does not depend on which are chosen.
    """
    gradients, information = np.empty((len(parts), x.shape[1])), np.zeros((x.shape[1], x.shape[1]))
    for place, part in enumerate(parts):
        sign = 1.0 if 2 * y[part].sum() <= len(part) else -1.0
        rows, chosen = sign * x[part], y[part] if sign > 0 else 1 - y[part]
        mean, variance = _moments(rows, np.exp(rows @ slopes), int(chosen.sum()), curvature=curvature)
        gradients[place] = chosen @ rows - mean
        information += variance
    return gradients, information


def _moments(
    x: np.ndarray, weight: np.ndarray, events: int, *, curvature: bool
) -> tuple[np.ndarray, np.ndarray | float]:
    """Return mean and (with `curvature`) variance of the summed rows of `x` over all ways to choose `events` rows.

    A way's probability is proportional to the product of its rows' `weight`. The sum of products over ways to choose k
    of the first i rows follows from those of the first i-1 (row i is among them or not), and so do its derivatives.
    """
    width = x.shape[1]
    weight = weight / weight.mean() * events / max(len(x) - events, 1)
    total, first = np.zeros(events + 1), np.zeros((events + 1, width))
    second = np.zeros((events + 1, width, width) if curvature else (0, 0, 0))
    total[0] = 1.0
    for place, (row, one) in enumerate(zip(x, weight, strict=True)):
        # Numbers of events that can occur so far and still lead to all of them.
        low, high = max(events - len(x) + place, 0), min(place + 1, events)
        was, now = slice(low, high), slice(low + 1, high + 1)
        with_row = first[was] + total[was, None] * row
        if curvature:
            added = second[was] + row[:, None] * first[was, None, :]
            added += with_row[:, :, None] * row
            second[now] += one * added
        first[now] += one * with_row
        total[now] += one * total[was]
    mean = first[-1] / total[-1]
    return mean, second[-1] / total[-1] - np.outer(mean, mean) if curvature else 0.0
