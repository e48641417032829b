"""Grades and tiers: cut points of a score, and tests that default rises from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.discrimination import compare, ranked
from pipeline.stats.inference import Effect

DIGITS = 6
"""Significant digits of a cut where they are enough."""


def between(low: float, high: float, near: float) -> float:
    """Return a cut with low <= cut < high: `near` at as few significant digits, from `DIGITS` on, as keep it there.

    A cut parts what is at most `low` from what is at least `high`, which a rounded one need not: 200501.5, between two
    months as yyyymm, is 200502 at six digits.
    """
    for digits in range(DIGITS, 18):
        cut = float(f"{near:.{digits}g}")
        if low <= cut < high:
            return cut
    return float(low)


def cut_points(share: np.ndarray, quantiles: Sequence[float], weights: np.ndarray | None = None) -> list[float]:
    """Return the probabilities that cut training loans at the given quantiles; equal ones are one cut.

    The loan at the quantile, and all with its probability, stand on the safer side however the cut is rounded.
    """
    weights = np.ones(len(share)) if weights is None else weights
    values, place = np.unique(ranked(share), return_inverse=True)
    reached = np.cumsum(np.bincount(place, weights, len(values))) / weights.sum()
    found = {min(int(np.searchsorted(reached, one)), len(values) - 1) for one in quantiles}
    ends = np.append(values, np.inf)
    return [between(ends[one], ends[one + 1], ends[one]) for one in sorted(found)]


def group_of(share: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """Return the number (loans,) of each loan's grade or tier, from 0 (safest); a cut belongs to the safer side."""
    return np.searchsorted(np.asarray(cuts, dtype=float), ranked(share), side="left")


def order(
    default: np.ndarray, group: np.ndarray, level: float, clusters: np.ndarray | None, weights: np.ndarray | None = None
) -> Effect:
    """Return how well ordered `group` numbers (loans,) tell `default` (loans, 0/1): the area under their ROC curve.

    One half is no order at all; error, interval and p-value (against one half) allow for clusters.
    """
    return compare(default, group, group, level, clusters, weights).first


def trend(
    default: np.ndarray, group: np.ndarray, level: float, clusters: np.ndarray | None, weights: np.ndarray | None = None
) -> Effect:
    """Return whether `default` (loans, 0/1) rises over ordered `group` numbers (loans,), loans of a cluster alike.

    The Jonckheere-Terpstra statistic of a 0/1 outcome counts pairs of a default and another loan by which of the two
    stands in the later group, so that it is (half + d) x defaults x others but for ties within groups, where d is the
    area under the ROC curve of the group's number less one half. `discrimination.compare` gives d's error by cluster.
    The estimate is d over that error, with the p-value of its Student's t; error and interval are missing. Raises
    StudyError for fewer than two groups or two loans of a kind.
    """
    if len(np.unique(ranked(group))) < 2:
        raise StudyError("a trend needs at least two groups and two different values.")
    area = order(default, group, level, clusters, weights)
    if area.std_error == 0:
        raise StudyError("a trend needs more loans.")
    return Effect((area.estimate - 0.5) / area.std_error, np.nan, np.nan, np.nan, area.p_value)


def steps_down(rates: Sequence[float]) -> int:
    """Return how many steps from one grade to the next have a falling default rate."""
    return int((np.diff(np.asarray(rates, dtype=float)) < 0).sum())


def migration(first: np.ndarray, second: np.ndarray, groups: int) -> np.ndarray:
    """Return the share of each group's loans (rows) that stand in each group later (columns)."""
    counts = np.zeros((groups, groups))
    np.add.at(counts, (first, second), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)


DEFAULTED, ENDED = -2, -1
"""Where a loan stands that has no grade any more: in default, or repaid."""


def destination(
    grade: np.ndarray, loan: np.ndarray, month: np.ndarray, default_month: np.ndarray, step: int
) -> np.ndarray:
    """Return where each loan-month's loan stands `step` months later (rows,): its grade then, `DEFAULTED` or `ENDED`.

    Rows are sorted by `loan` (numbers) and `month`; `default_month` is 0 for loans without default on record. A loan
    whose rows end before without a default has been repaid. The later month must be on record for loans still open.
    """
    found = np.full(len(grade), ENDED, dtype=np.int64)
    found[(default_month >= month) & (default_month < month + step)] = DEFAULTED
    # Of a loan's month and a later one, rows stand at most `step` places apart.
    for apart in range(1, min(step, len(grade) - 1) + 1):
        same = np.flatnonzero((loan[apart:] == loan[:-apart]) & (month[apart:] - month[:-apart] == step))
        found[same] = grade[same + apart]
    return found
