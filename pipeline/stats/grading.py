"""Grades and tiers: cut points of a score, and tests that default rises from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import StudyError


def cut_points(share: np.ndarray, quantiles: Sequence[float], weights: np.ndarray | None = None) -> list[float]:
    """Return the probabilities that cut training loans at the given quantiles; equal ones are one cut."""
    order = np.argsort(share, kind="stable")
    weights = np.ones(len(share)) if weights is None else weights
    reached = np.cumsum(weights[order]) / weights.sum()
    found = [float(share[order][min(np.searchsorted(reached, one), len(share) - 1)]) for one in quantiles]
    return sorted({float(f"{one:.6g}") for one in found})


def group_of(share: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """Return the number (loans,) of each loan's grade or tier, from 0 (safest); a cut belongs to the safer side."""
    return np.searchsorted(np.asarray(cuts, dtype=float), share, side="left")


class Trend(NamedTuple):
    """A test that an outcome rises over ordered groups."""

    statistic: float
    z: float
    """Standardised: above zero where the outcome rises."""
    p_value: float
    """Two-sided, by the normal distribution."""


def jonckheere(values: np.ndarray, group: np.ndarray) -> Trend:
    """Return the Jonckheere-Terpstra test that `values` (loans,) rise over ordered `group` numbers (loans,).

    The statistic is the number of pairs of loans of different groups in which the later group's value is larger, ties
    counted half. Its variance allows for ties in both (Hollander, Wolfe & Chicken 2014, section 6.2). Raises StudyError
    for fewer than two groups or values.
    """
    from scipy.stats import norm

    groups, of_group = np.unique(group, return_counts=True)
    levels, place, of_value = np.unique(values, return_inverse=True, return_counts=True)
    if len(groups) < 2 or len(levels) < 2:
        raise StudyError("a trend needs at least two groups and two different values.")
    number = np.zeros((len(groups), len(levels)))
    np.add.at(number, (np.searchsorted(groups, group), place), 1)
    # For each group and value: loans of earlier groups with a smaller one, and half of those with the same.
    earlier = np.vstack([np.zeros(len(levels)), np.cumsum(number, axis=0)[:-1]])
    smaller = np.cumsum(earlier, axis=1) - earlier
    statistic = float((number * (smaller + earlier / 2)).sum())
    n, a, b = float(len(values)), of_group.astype(float), of_value.astype(float)
    mean = (n**2 - (a**2).sum()) / 4

    def fives(size: np.ndarray) -> float:
        return float((size * (size - 1) * (2 * size + 5)).sum())

    def threes(size: np.ndarray) -> float:
        return float((size * (size - 1) * (size - 2)).sum())

    def twos(size: np.ndarray) -> float:
        return float((size * (size - 1)).sum())

    variance = (n * (n - 1) * (2 * n + 5) - fives(a) - fives(b)) / 72
    variance += threes(a) * threes(b) / (36 * n * (n - 1) * (n - 2)) if n > 2 else 0
    variance += twos(a) * twos(b) / (8 * n * (n - 1))
    if variance <= 0:
        raise StudyError("a trend needs more loans.")
    z = (statistic - mean) / variance**0.5
    return Trend(statistic, float(z), float(2 * norm.sf(abs(z))))


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
