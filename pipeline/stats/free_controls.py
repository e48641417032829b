"""Controls that no treated loan has taken yet, by stratum and score: where one stands, and which is nearest."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

DISTANCE_DECIMALS = 9
"""Decimals to which distances are rounded: clears what subtraction leaves of equal distances."""


def run_starts(*columns: np.ndarray) -> np.ndarray:
    """Return which rows (boolean) open a run of equal values in all columns."""
    opens = np.ones(len(columns[0]), dtype=bool)
    opens[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return opens


def firsts(opens: np.ndarray) -> np.ndarray:
    """Return for each row where its run begins."""
    return np.maximum.accumulate(np.where(opens, np.arange(len(opens)), 0))


def entries(
    strata: np.ndarray, scores: np.ndarray, of_strata: np.ndarray, of_scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each (stratum, score) would enter a list sorted by both, and whether it stands there (0/1)."""
    opens = np.flatnonzero(run_starts(strata))
    closes = np.append(opens[1:], len(strata))
    entry = np.append(opens, len(strata))[np.searchsorted(strata[opens], of_strata)]
    begins = np.flatnonzero(run_starts(of_strata))
    for begin, end in zip(begins, np.append(begins[1:], len(of_strata)), strict=True):
        block = np.searchsorted(strata[opens], of_strata[begin])
        if block < len(opens) and strata[opens[block]] == of_strata[begin]:
            low, high = opens[block], closes[block]
            entry[begin:end] = low + np.searchsorted(scores[low:high], of_scores[begin:end])
    inside = np.minimum(entry, len(strata) - 1)
    met = (strata[inside] == of_strata) & (scores[inside] == of_scores) & (entry < len(strata))
    return entry, met.astype(np.int64)


def find(parent: list[int], start: int) -> int:
    """Return the root of `start`, halving the path on the way."""
    while parent[start] != start:
        parent[start] = parent[parent[start]]
        start = parent[start]
    return start


class Candidate(NamedTuple):
    """A free control that is nearest to some score."""

    distance: float
    rank: int
    """Rank of its priority."""
    group: int
    """Place of its score's group."""


class Groups:
    """The free controls, grouped by stratum and score; before, between and after strata stands a group of its own.

    Those fences lie infinitely far from every score and never run out, so that a search stops there.
    """

    def __init__(self, pool: np.ndarray, score: np.ndarray, stratum: np.ndarray, rank: np.ndarray) -> None:
        """Take the controls' rows, sorted by stratum, score and rank."""
        of_pool = stratum[pool]
        starts = np.flatnonzero(run_starts(of_pool, score[pool]))
        fences = np.cumsum(run_starts(of_pool[starts]))
        self.labels = of_pool[starts]
        self.places = np.arange(len(starts)) + fences
        size = len(starts) + int(fences[-1]) + 1
        scores = np.full(size, np.inf)
        scores[self.places] = score[pool[starts]]
        first, end = np.zeros(size, dtype=np.int64), np.ones(size, dtype=np.int64)
        first[self.places], end[self.places] = starts, np.append(starts[1:], len(pool))
        self.values = score[pool[starts]]
        self.scores: list[float] = scores.tolist()
        self.pool, self._rank = pool, rank
        # The next control that each score offers, and the first that is no longer its own.
        self.next: list[int] = first.tolist()
        self.end: list[int] = end.tolist()
        # Union-find: from a group to the nearest one on its left (right) that still offers a control.
        self.left = list(range(size))
        self.right = list(range(size))

    def enter(self, scores: np.ndarray, strata: np.ndarray) -> list[int]:
        """Return for each seeker the first group of its stratum whose score is not below its own.

        Where there is none it is the fence behind the stratum, and for a stratum without controls -1.
        """
        by_stratum = np.argsort(strata, kind="stable")
        found, _ = entries(self.labels, self.values, strata[by_stratum], scores[by_stratum])
        last = len(self.labels) - 1
        group, before = np.minimum(found, last), np.maximum(found - 1, 0)
        own = strata[by_stratum]
        entry = np.empty(len(scores), dtype=np.int64)
        entry[by_stratum] = np.where(
            (found <= last) & (self.labels[group] == own),
            self.places[group],
            np.where((found > 0) & (self.labels[before] == own), self.places[before] + 1, -1),
        )
        return entry.tolist()

    def rank_of(self, group: int) -> int:
        """Return the rank of the control that a group offers next."""
        return self._rank[self.pool[self.next[group]]]

    def nearest(self, value: float, entry: int, limit: float) -> Candidate | None:
        """Return the free control nearest to a score that enters at `entry`, or None when none is in reach."""
        scores = self.scores
        above, below = find(self.right, entry), find(self.left, entry - 1)
        # Rounded, so that equally far is equally far.
        up = round(abs(scores[above] - value), DISTANCE_DECIMALS)
        down = round(abs(value - scores[below]), DISTANCE_DECIMALS)
        distance = min(up, down)
        if distance == math.inf or distance > limit:
            return None
        group = min(above, below, key=self.rank_of) if up == down else above if up < down else below
        return Candidate(distance, self.rank_of(group), group)

    def still_offers(self, found: Candidate) -> bool:
        """Say whether a control that was found before is still the next of its score."""
        group = found.group
        return self.next[group] < self.end[group] and self.rank_of(group) == found.rank

    def take(self, group: int) -> int:
        """Take the next control of a group off the pool and return its row."""
        row = int(self.pool[self.next[group]])
        self.next[group] += 1
        if self.next[group] == self.end[group]:
            self.left[group], self.right[group] = group - 1, group + 1
        return row
