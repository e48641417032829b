"""Propensity scores and nearest-neighbour matching, with one answer for any order of the rows."""

from __future__ import annotations

import heapq
import math
import warnings
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError

SCORE_DECIMALS = 6
"""Decimals to which the score's logit is rounded: closer scores are ties, on every machine the same ones."""

FLAT = 1e-6
"""Smallest eigenvalue of the mean information matrix (standardised covariates) below which the likelihood has no
maximum: it keeps rising in some direction because a covariate tells the arms apart without error."""

DISTANCE_DECIMALS = 9
"""Decimals to which distances are rounded: clears what subtraction leaves of equal distances."""


def propensity_logit(covariates: pd.DataFrame, treated: np.ndarray) -> np.ndarray:
    """Return each loan's propensity score on the logit scale.

    Logistic regression of `treated` (0/1, one a row) on `covariates` (numeric) with an intercept, by maximum
    likelihood, without a penalty (Rosenbaum & Rubin 1983), rounded to `SCORE_DECIMALS`.

    Raises StudyError when one arm is empty, a covariate is constant, or the covariates separate the arms.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if treated.all() or not treated.any():
        raise StudyError(
            f"all {len(treated)} loans are in one arm: nothing can be matched; check the treatment rule in params.yaml."
        )
    constant = covariates.max() == covariates.min()
    if constant.any():
        raise StudyError(f"covariates of the propensity score are constant: {', '.join(covariates.columns[constant])}.")
    # Standardising changes no fitted value and lets Newton's method converge in a few steps.
    standardised = ((covariates - covariates.mean()) / covariates.std()).to_numpy()
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(standardised, treated)
    logit = model.decision_function(standardised)
    weight = np.exp(-np.logaddexp(0, logit) - np.logaddexp(0, -logit))
    design = np.column_stack([np.ones(len(logit)), standardised])
    curvature = np.linalg.eigvalsh((design * weight[:, None]).T @ design / len(logit))[0]
    if model.n_iter_[0] == model.max_iter or curvature < FLAT:
        raise StudyError(
            "the propensity score has no maximum likelihood: its covariates separate the two arms; leave one out."
        )
    return np.round(logit, SCORE_DECIMALS)


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
    identifier: np.ndarray,
    *,
    ratio: int = 1,
    caliper: float | None = None,
    order: Literal["closest", "largest", "smallest"] = "closest",
) -> Matches:
    """Match each treated loan to its nearest free control of the same stratum, greedily, without replacement.

    Args:
        treated: 0/1 (loans,).
        score: matching scale, usually the logit of the propensity score (loans,).
        stratum: matches never cross strata (loans,); any integers.
        identifier: unique and sortable (loans,). Breaks ties, so that the order of the rows plays no part: of loans
            with the same score the lower identifier chooses, and is chosen, first; of two controls equally far away
            on either side the one with the lower identifier is taken.
        ratio: controls per treated loan. Every loan gets its first control before any gets its second.
        caliper: largest allowed distance on the scale of `score`; None for no limit.
        order: ``closest``: the closest pair that is left is formed next; ``largest`` or ``smallest``: treated loans
            choose in the order of their score.

    Returns matches sorted by the treated loan's identifier. Treated loans without a free control within reach are
    left out. Free controls are found with two union-find structures over the distinct scores of a stratum, so time
    grows as n log n.
    """
    rank = np.empty(len(identifier), dtype=np.int64)
    rank[np.argsort(identifier, kind="stable")] = np.arange(len(identifier))
    direction = -1.0 if order == "largest" else 1.0
    treated = treated.astype(bool)
    choosing = np.flatnonzero(treated)
    choosing = choosing[np.lexsort((rank[choosing], direction * score[choosing], stratum[choosing]))]
    free = np.flatnonzero(~treated)
    free = free[np.lexsort((rank[free], score[free], stratum[free]))]
    limit = np.inf if caliper is None else caliper

    chosen_treated: list[int] = []
    chosen_control: list[int] = []
    starts, ends = _bounds(stratum[choosing])
    labels = stratum[choosing][starts]
    lows = np.searchsorted(stratum[free], labels, side="left")
    highs = np.searchsorted(stratum[free], labels, side="right")
    match_stratum = _closest_first if order == "closest" else _in_turn
    for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
        if low == high:
            continue
        seekers = choosing[start:end]
        pool = _Pool(score[free[low:high]], free[low:high], rank, limit)
        wanted = list(zip(seekers.tolist(), score[seekers].tolist(), rank[seekers].tolist(), strict=True))
        for _ in range(ratio):
            for seeker, control in match_stratum(wanted, pool):
                chosen_treated.append(seeker)
                chosen_control.append(control)
    found_treated = np.array(chosen_treated, dtype=np.int64)
    found_control = np.array(chosen_control, dtype=np.int64)
    by_identifier = np.argsort(rank[found_treated], kind="stable")
    return Matches(found_treated[by_identifier], found_control[by_identifier])


_Seekers = list[tuple[int, float, int]]
"""Treated loans of a stratum in the order in which they choose: row, score, rank of the identifier."""


def _in_turn(seekers: _Seekers, pool: _Pool) -> Iterator[tuple[int, int]]:
    """Let each treated loan take the nearest free control when its turn comes."""
    for row, value, _ in seekers:
        if found := pool.nearest(value):
            yield row, pool.take(found.group)


def _closest_first(seekers: _Seekers, pool: _Pool) -> Iterator[tuple[int, int]]:
    """Form the closest pair that is left, again and again.

    A loan's distance to the nearest free control only grows while others are taken, so a queue of distances in which
    outdated entries are renewed when they come up gives the pairs in order.
    """
    queue = []
    for row, value, rank in seekers:
        if found := pool.nearest(value):
            queue.append((found.distance, rank, row, value, found))
    heapq.heapify(queue)
    while queue:
        _, rank, row, value, found = heapq.heappop(queue)
        if pool.still_offers(found):
            yield row, pool.take(found.group)
        elif found := pool.nearest(value):
            heapq.heappush(queue, (found.distance, rank, row, value, found))


def _bounds(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each run of equal values starts and ends."""
    if not len(labels):
        return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1])
    return starts, np.append(starts[1:], len(labels))


class _Candidate(NamedTuple):
    """A free control that is nearest to some score."""

    distance: float
    rank: int
    """Rank of its identifier."""
    group: int
    """Place of its score among the stratum's distinct scores."""


class _Pool:
    """The free controls of a stratum, grouped by score."""

    def __init__(self, score: np.ndarray, rows: np.ndarray, rank: np.ndarray, limit: float) -> None:
        """Take controls sorted by score, then identifier, and the distance beyond which none is offered."""
        starts, ends = _bounds(score)
        self.limit = limit
        self.scores: list[float] = score[starts].tolist()
        self.rows: list[int] = rows.tolist()
        self.ranks: list[int] = rank[rows].tolist()
        # The next control that each score offers, and the first that is no longer its own.
        self.next: list[int] = starts.tolist()
        self.end: list[int] = ends.tolist()
        # Union-find: from a score to the nearest one on its left (right) that still offers a control. Entry 0 of
        # `left` and the last of `right` stand for "none"; positions in `left` are shifted by one.
        self.left = list(range(len(self.scores) + 1))
        self.right = list(range(len(self.scores) + 1))

    def nearest(self, value: float) -> _Candidate | None:
        """Return the nearest free control, or None when none is left within the limit."""
        scores = self.scores
        position = bisect_left(scores, value)
        above = _find(self.right, position)
        below = _find(self.left, position) - 1
        # Rounded as scores are, so that equally far is equally far.
        up = round(scores[above] - value, DISTANCE_DECIMALS) if above < len(scores) else math.inf
        down = round(value - scores[below], DISTANCE_DECIMALS) if below >= 0 else math.inf
        distance = min(up, down)
        if distance == math.inf or distance > self.limit:
            return None
        if up == down:
            group = min(above, below, key=lambda side: self.ranks[self.next[side]])
        else:
            group = above if up < down else below
        return _Candidate(distance, self.ranks[self.next[group]], group)

    def still_offers(self, found: _Candidate) -> bool:
        """Say whether a control that was found before is still the next of its score."""
        group = found.group
        return self.next[group] < self.end[group] and self.ranks[self.next[group]] == found.rank

    def take(self, group: int) -> int:
        """Take the next control of a score group off the pool and return its row."""
        row = self.rows[self.next[group]]
        self.next[group] += 1
        if self.next[group] == self.end[group]:
            self.left[group + 1] = group
            self.right[group] = group + 1
        return row


def _find(parent: list[int], start: int) -> int:
    """Return the root of `start`, halving the path on the way."""
    while parent[start] != start:
        parent[start] = parent[parent[start]]
        start = parent[start]
    return start
