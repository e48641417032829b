"""Greedy nearest-neighbour matching on one score, with one answer for any order of the rows."""

from __future__ import annotations

import heapq
import math
from typing import Literal, NamedTuple

import numpy as np

from pipeline.stats.free_controls import DISTANCE_DECIMALS, Groups, entries, firsts, run_starts

NEARLY = 2e-9
"""Distances further apart than this stay apart when they are rounded."""

Order = Literal["closest", "largest", "smallest", "data"]
"""Who chooses first."""


class Matches(NamedTuple):
    """Matched sets, as row numbers of the input."""

    treated: np.ndarray
    """Row number of each match's treated loan (matches,)."""
    control: np.ndarray
    """Row number of each match's control loan (matches,)."""


def nearest_neighbour(
    treated: np.ndarray,
    score: np.ndarray,
    stratum: np.ndarray,
    priority: np.ndarray,
    *,
    ratio: int = 1,
    caliper: float | None = None,
    order: Order = "closest",
) -> Matches:
    """Match each treated loan to its nearest free control of the same stratum, greedily, without replacement.

    Args:
        treated: 0/1 (loans,).
        score: matching scale, usually the logit of the propensity score (loans,); rounded to `DISTANCE_DECIMALS`.
        stratum: matches never cross strata (loans,); any integers.
        priority: unique and sortable (loans,). Breaks ties, so that the order of the rows plays no part: of loans
            with the same score the one with the lower priority chooses, and is chosen, first; of two controls equally
            far away on either side the one with the lower priority is taken; of two pairs equally close the one whose
            treated loan has the lower priority is formed first. `ties.priorities` draws it from the identifiers.
        ratio: controls per treated loan. Every loan gets its first control before any gets its second.
        caliper: largest allowed distance on the scale of `score`; None for no limit.
        order: ``closest``: the closest pair that is left is formed next; ``largest`` or ``smallest``: treated loans
            choose in the order of their score; ``data``: in the order of `priority`.

    Returns matches sorted by the treated loan's priority. Treated loans without a free control within reach are
    left out. Time grows as n log n: free controls are found with two union-find structures over the distinct scores,
    and in the order ``closest`` most pairs are formed many at a time (`_Closest`).

    Agrees with MatchIt (R, 4.7.2) but for ties: MatchIt takes the control that stands next to the treated loan when
    the rows are sorted by score. Of controls with one score that is the last in the data for a treated loan above
    them and the first for one below, so its answer moves with the order of the rows.
    """
    # Scores that differ by less than distances do would hide ties.
    score = np.round(score, DISTANCE_DECIMALS)
    rank = ranks(priority)
    treated = treated.astype(bool)
    limit = np.inf if caliper is None else caliper
    seekers, pool = np.flatnonzero(treated), np.flatnonzero(~treated)
    if not len(seekers) or not len(pool):
        return Matches(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    pool = pool[_sorted(stratum[pool], score[pool], rank[pool])]
    if order == "data":
        seekers = seekers[np.argsort(rank[seekers])]
    else:
        # Minus the score sorts from the largest, and leaves loans of one score in the order of their priority.
        towards = -score[seekers] if order == "largest" else score[seekers]
        seekers = seekers[_sorted(stratum[seekers], towards, rank[seekers])]
    if order == "closest":
        found_treated, found_control = _closest_first(seekers, pool, score, stratum, rank, limit, ratio)
    else:
        found_treated, found_control = _in_turn(seekers, pool, score, stratum, rank, limit, ratio)
    in_turn = np.argsort(rank[found_treated], kind="stable")
    return Matches(found_treated[in_turn], found_control[in_turn])


def ranks(labels: np.ndarray) -> np.ndarray:
    """Return each label's place in their sorted order."""
    if len(labels) and (labels[1:] > labels[:-1]).all():
        return np.arange(len(labels))
    rank = np.empty(len(labels), dtype=np.int64)
    rank[np.argsort(labels, kind="stable")] = np.arange(len(labels))
    return rank


def _sorted(stratum: np.ndarray, score: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return the order of the rows by stratum, then score, then rank: as lexsort, in less time."""
    place = np.arange(len(rank)) if (rank[1:] > rank[:-1]).all() else np.argsort(rank)
    place = place[np.argsort(score[place], kind="stable")]
    if stratum.min() == stratum.max():
        return place
    labels = stratum - stratum.min()
    if labels.max() >= 2**16:
        labels = np.unique(stratum, return_inverse=True)[1]
    if labels.max() < 2**16:
        # Numbers of 16 bits are sorted in linear time.
        labels = labels.astype(np.uint16)
    return place[np.argsort(labels[place], kind="stable")]


def _in_turn(
    seekers: np.ndarray,
    pool: np.ndarray,
    score: np.ndarray,
    stratum: np.ndarray,
    rank: np.ndarray,
    limit: float,
    ratio: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Let each treated loan take the nearest free control when its turn comes.

    One plain loop over lists without calls: with a million loans, calls would take most of the time.
    """
    groups = Groups(pool, score, stratum, rank)
    scores, next_, end, left, right = groups.scores, groups.next, groups.end, groups.left, groups.right
    turns = seekers.tolist(), score[seekers].tolist(), groups.enter(score[seekers], stratum[seekers])
    chosen_treated: list[int] = []
    chosen_place: list[int] = []
    near, far = limit - NEARLY, limit + NEARLY
    for _ in range(ratio):
        for row, value, entry in zip(*turns, strict=True):
            if entry < 0:
                continue
            above = entry
            while right[above] != above:
                right[above] = above = right[right[above]]
            below = entry - 1
            while left[below] != below:
                left[below] = below = left[left[below]]
            up, down = abs(scores[above] - value), abs(value - scores[below])
            difference = up - down
            # Distances are compared as rounded; only where they nearly agree does rounding matter.
            if difference > NEARLY:
                group, distance = below, down
            elif difference < -NEARLY:
                group, distance = above, up
            else:
                up, down = round(up, DISTANCE_DECIMALS), round(down, DISTANCE_DECIMALS)
                group = min(above, below, key=groups.rank_of) if up == down else above if up < down else below
                distance = min(up, down)
            if not distance < near and (
                distance > far or distance == math.inf or round(distance, DISTANCE_DECIMALS) > limit
            ):
                continue
            place = next_[group]
            chosen_treated.append(row)
            chosen_place.append(place)
            next_[group] = place + 1
            if place + 1 == end[group]:
                left[group], right[group] = group - 1, group + 1
    return np.array(chosen_treated, dtype=np.int64), pool[np.array(chosen_place, dtype=np.int64)]


def _closest_first(
    seekers: np.ndarray,
    pool: np.ndarray,
    score: np.ndarray,
    stratum: np.ndarray,
    rank: np.ndarray,
    limit: float,
    ratio: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Form the closest pair that is left, again and again."""
    chosen_treated, chosen_control = [], []
    for _ in range(ratio):
        free = _Closest(seekers, pool, score, stratum, rank, limit)
        while free.worth_a_round:
            free.form_pairs()
        last_treated, last_control = _queue(free.seekers, free.within_reach(), score, stratum, rank, limit)
        chosen_treated += [*free.chosen_treated, last_treated]
        chosen_control += [*free.chosen_control, last_control]
        taken = np.zeros(len(rank), dtype=bool)
        taken[np.concatenate([*free.chosen_control, last_control])] = True
        pool = pool[~taken[pool]]
        if not len(pool):
            break
    return np.concatenate(chosen_treated), np.concatenate(chosen_control)


class _Closest:
    """Treated loans and free controls, from which pairs are formed many at a time.

    With pairs ordered by distance and then by priority, a pair that comes first among all pairs of either member
    is formed whatever happens elsewhere. Forming all of these at once, again and again, gives what forming the first
    pair of all again and again would (locally dominant edges, Preis 1999).
    """

    FEWEST = 100
    """Treated loans below which the queue is faster than another round."""

    def __init__(
        self,
        seekers: np.ndarray,
        pool: np.ndarray,
        score: np.ndarray,
        stratum: np.ndarray,
        rank: np.ndarray,
        limit: float,
    ) -> None:
        """Take both arms' rows, each sorted by stratum, score and rank."""
        self.score, self.stratum, self.rank, self.limit = score, stratum, rank, limit
        groups = run_starts(stratum[pool], score[pool])
        starts = pool[np.flatnonzero(groups)]
        # Numbers that rise with stratum and score: odd ones for scores of controls, even ones for what lies between.
        self._of_pool = 2 * np.cumsum(groups) - 1
        entry, met = entries(stratum[starts], score[starts], stratum[seekers], score[seekers])
        self._of_seekers = 2 * entry + met
        self.seekers, self.pool = seekers, pool
        self.chosen_treated: list[np.ndarray] = []
        self.chosen_control: list[np.ndarray] = []
        self.worth_a_round = True

    def form_pairs(self) -> None:
        """Form every pair that comes first for both of its members, and leave out who has no control in reach."""
        # Controls of one number have one score; treated loans of one number may have several between two controls.
        first_of_run = firsts(run_starts(self._of_pool))
        control, distance = self._best(self.seekers, self._of_seekers, self.pool, self._of_pool, first_of_run)
        within = (distance <= self.limit) & (distance < np.inf)
        self.seekers, self._of_seekers = self.seekers[within], self._of_seekers[within]
        control = control[within]
        first_of_run = firsts(run_starts(self.score[self.seekers], self.stratum[self.seekers]))
        back, _ = self._best(self.pool[control], self._of_pool[control], self.seekers, self._of_seekers, first_of_run)
        mutual = back == np.arange(len(self.seekers))
        self.chosen_treated.append(self.seekers[mutual])
        self.chosen_control.append(self.pool[control[mutual]])
        self.seekers, self._of_seekers = self.seekers[~mutual], self._of_seekers[~mutual]
        free = np.ones(len(self.pool), dtype=bool)
        free[control[mutual]] = False
        self.pool, self._of_pool = self.pool[free], self._of_pool[free]
        left = len(self.seekers)
        # Where scores tie, a round forms few pairs.
        self.worth_a_round = left > self.FEWEST and len(self.pool) > 0 and 20 * int(mutual.sum()) > left

    def within_reach(self) -> np.ndarray:
        """Return the free controls that the treated loans left can still come to: as many as they on either side."""
        many = len(self.seekers)
        if 2 * many**2 >= len(self.pool):
            return self.pool
        place = np.searchsorted(self._of_pool, self._of_seekers)
        # Whole groups of equal scores, whose first member is the one that is taken.
        first = self._of_pool[np.clip(place - many, 0, len(self.pool) - 1)]
        low, high = np.searchsorted(self._of_pool, first), np.minimum(place + many, len(self.pool))
        steps = np.bincount(low, minlength=len(self.pool) + 1) - np.bincount(high, minlength=len(self.pool) + 1)
        return self.pool[np.cumsum(steps)[:-1] > 0]

    def _best(
        self, rows: np.ndarray, of_rows: np.ndarray, others: np.ndarray, of_others: np.ndarray, first_of_run: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return for each row the place of the nearest of `others`, and its distance (infinite: there is none)."""
        place = np.searchsorted(of_others, of_rows)
        above, below = np.minimum(place, len(others) - 1), np.maximum(place - 1, 0)
        value, block = self.score[rows], self.stratum[rows]
        # Of equal scores the first one, that with the lowest priority.
        below = first_of_run[below]
        up, down = (
            np.where(
                stands & (self.stratum[others[side]] == block),
                np.round(np.abs(self.score[others[side]] - value), DISTANCE_DECIMALS),
                np.inf,
            )
            for side, stands in ((above, place < len(others)), (below, place > 0))
        )
        lower = self.rank[others[below]] < self.rank[others[above]]
        take_below = (down < up) | ((down == up) & lower)
        return np.where(take_below, below, above), np.minimum(up, down)


def _queue(
    seekers: np.ndarray,
    pool: np.ndarray,
    score: np.ndarray,
    stratum: np.ndarray,
    rank: np.ndarray,
    limit: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Form the closest pair that is left by means of a queue.

    A loan's distance to the nearest free control only grows while others are taken, so a queue of distances in which
    outdated entries are renewed when they come up gives the pairs in order.
    """
    chosen_treated: list[int] = []
    chosen_control: list[int] = []
    if len(seekers) and len(pool):
        groups = Groups(pool, score, stratum, rank)
        queue = []
        places = groups.enter(score[seekers], stratum[seekers])
        for row, value, entry in zip(seekers.tolist(), score[seekers].tolist(), places, strict=True):
            if entry >= 0 and (found := groups.nearest(value, entry, limit)):
                queue.append((found.distance, int(rank[row]), row, value, entry, found))
        heapq.heapify(queue)
        while queue:
            _, number, row, value, entry, found = heapq.heappop(queue)
            if groups.still_offers(found):
                chosen_treated.append(row)
                chosen_control.append(groups.take(found.group))
            elif found := groups.nearest(value, entry, limit):
                heapq.heappush(queue, (found.distance, number, row, value, entry, found))
    return np.array(chosen_treated, dtype=np.int64), np.array(chosen_control, dtype=np.int64)
