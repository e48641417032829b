"""Nearest neighbours beyond one score: several dimensions, calipers on covariates, controls that serve again."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.free_controls import DISTANCE_DECIMALS
from pipeline.stats.matching import Matches, Order, nearest_neighbour, ranks

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

FIRST_LOOK = 16
"""Controls that a treated loan looks at first; each further look takes in four times as many."""


LIMIT = 1_000_000
"""Largest number of treated loans that look for neighbours in a tree: each keeps a list of some kilobyte."""

MOST = 20_000_000
"""Most matches with replacement: all controls that tie are taken, and each match takes some hundred bytes."""


SAME = 10.0**-DISTANCE_DECIMALS / 2
"""Distances that differ by less are rounded to the same."""


class Caliper(NamedTuple):
    """The members of a pair may differ by at most `width` in `covariate` (loans,)."""

    covariate: np.ndarray
    width: float


def mahalanobis(covariates: np.ndarray, treated: np.ndarray) -> np.ndarray:
    """Return points (loans x dimensions) whose Euclidean distance is the Mahalanobis distance of the loans.

    The covariance is the one within arms, pooled (Rubin 1980). Covariates that others determine, such as a full set
    of indicators, carry no distance of their own: the generalised inverse leaves them out.
    Raises StudyError when no covariate varies within the arms.
    """
    arm = treated.astype(bool)
    inner = np.vstack([covariates[side] - covariates[side].mean(axis=0) for side in (arm, ~arm)])
    spread = np.sqrt((inner**2).sum(axis=0) / max(len(inner) - 2, 1))
    varies = spread > 0
    if not varies.any():
        raise StudyError("no covariate varies within the arms, so there is no Mahalanobis distance.")
    scaled = covariates[:, varies] / spread[varies]
    correlation = np.atleast_2d((inner[:, varies] / spread[varies]).T @ (inner[:, varies] / spread[varies]))
    values, vectors = np.linalg.eigh(correlation / max(len(inner) - 2, 1))
    kept = values > 1e-10 * values.max()
    # The signs of eigenvectors are arbitrary and play no part in distances.
    return (scaled - scaled.mean(axis=0)) @ vectors[:, kept] / np.sqrt(values[kept])


def on_support(treated: np.ndarray, score: np.ndarray, discard: str) -> np.ndarray:
    """Return which loans (boolean) stay when scores outside the other arm's range are discarded.

    `discard` is ``none``, ``treated`` (treated loans beyond the controls' smallest and largest score leave),
    ``controls`` (the reverse) or ``both``.
    """
    arm = treated.astype(bool)
    kept = np.ones(len(arm), dtype=bool)
    for side, name in ((arm, "treated"), (~arm, "controls")):
        if discard in (name, "both"):
            other = score[~side]
            kept &= ~side | ((score >= other.min()) & (score <= other.max()))
    return kept


def nearest(
    treated: np.ndarray,
    points: np.ndarray,
    stratum: np.ndarray,
    priority: np.ndarray,
    *,
    ratio: int = 1,
    replacement: bool = False,
    caliper: float | None = None,
    within: Sequence[Caliper] = (),
    order: Order = "closest",
    score: np.ndarray | None = None,
) -> Matches:
    """Match each treated loan to its nearest control of the same stratum.

    Args:
        treated: 0/1 (loans,).
        points: a score (loans,), or coordinates (loans x dimensions) whose Euclidean distance counts, as
            `mahalanobis` gives them.
        stratum, priority, ratio, order: as in `matching.nearest_neighbour`.
        replacement: a control may serve many treated loans (but each of them once), and a treated loan takes every
            control that is as near as its `ratio`-th nearest (Abadie, Drukker, Herr & Imbens 2004, Stata Journal 4,
            section 2): `order` and `priority` then choose nothing.
        caliper: largest distance; None for no limit.
        within: further calipers that every pair must keep, on single covariates or on the propensity score.
        score: by which ``largest`` and ``smallest`` order the treated loans, when `points` is no score.

    Distances are rounded to nine decimals; ties go to the lower priority, so the order of the rows plays no part.
    Returns matches sorted by the treated loan's priority and then by distance. Raises StudyError for more than
    `LIMIT` treated loans, or more than `MOST` matches with replacement. On one score, without replacement and further
    calipers, this is `matching.nearest_neighbour`, which is faster.

    Differences to MatchIt (R, 4.7.2): its Mahalanobis distance is the same, but controls at one distance are taken in
    an order that depends on the rows, with replacement too, where Matching (R, 4.10) takes all of them as here.
    """
    if points.ndim == 1 and not replacement and not within:
        return nearest_neighbour(treated, points, stratum, priority, ratio=ratio, caliper=caliper, order=order)
    if (seeking := int(np.count_nonzero(treated))) > LIMIT:
        raise StudyError(
            f"{seeking:,} treated loans look for partners by several measures or for controls that serve again, more "
            f"than {LIMIT:,}: use match.distance logit without replacement and calipers on covariates, or weights."
        )
    score = points if score is None and points.ndim == 1 else score
    points = points.reshape(len(treated), -1)
    rank = ranks(priority)
    arm = treated.astype(bool)
    limit = np.inf if caliper is None else caliper
    turn: np.ndarray
    if order in ("data", "closest") or replacement:
        turn = rank
    elif score is None:
        raise StudyError(f"match.order {order} needs a propensity score; choose closest or data.")
    else:
        turn = score if order == "smallest" else -score
    found: list[tuple[int, int]] = []
    by_stratum = np.lexsort((rank, stratum))
    edges = np.flatnonzero(np.diff(stratum[by_stratum])) + 1
    for members in np.split(by_stratum, edges):
        seekers, controls = members[arm[members]], members[~arm[members]]
        if not len(seekers) or not len(controls):
            continue
        seekers = seekers[np.lexsort((rank[seekers], turn[seekers]))]
        pool = _Pool(points, controls, within, limit)
        pool.look_together(seekers)
        if replacement:
            for row in seekers.tolist():
                found += ((row, control) for control in pool.as_near(row, ratio))
                if len(found) > MOST:
                    raise StudyError(
                        f"with replacement every control that ties is taken, and these are more than {MOST:,} matches: "
                        "match without replacement, by a finer score, or use weights."
                    )
            continue
        for _ in range(ratio):
            if order == "closest":
                found += _closest_first(seekers, pool, rank)
            else:
                found += ((row, pool.take(row)) for row in seekers.tolist() if pool.nearest_free(row))
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    pairs = pairs[np.argsort(rank[pairs[:, 0]], kind="stable")]
    return Matches(pairs[:, 0], pairs[:, 1])


def tied(treated: np.ndarray, points: np.ndarray, stratum: np.ndarray, matches: Matches) -> np.ndarray:
    """Say of each matched treated loan (boolean, in the order of `matches`) whether it could choose among controls.

    It could where more than one control of its stratum is as near as the first that it got. Arguments as in `nearest`;
    calipers on other scales are left aside.
    """
    from scipy.spatial import cKDTree

    arm = treated.astype(bool)
    first = np.append(True, matches.treated[1:] != matches.treated[:-1])[: len(matches.treated)]
    seekers, chosen = matches.treated[first], matches.control[first]
    if points.ndim == 1:
        # On one scale the controls at a distance stand at two scores.
        score = np.round(points, DISTANCE_DECIMALS)
        gap = np.abs(score[chosen] - score[seekers])
        controls = pd.DataFrame({"stratum": stratum, "score": score})[~arm].value_counts()
        number = np.zeros(len(seekers))
        for side in (-1, 1):
            at = pd.MultiIndex.from_arrays(
                [stratum[seekers], np.round(score[seekers] + side * gap, DISTANCE_DECIMALS)], names=["stratum", "score"]
            )
            number += np.where((gap == 0) & (side == 1), 0, controls.reindex(at, fill_value=0).to_numpy())
        return number > 1
    gap = np.sqrt(((points[chosen] - points[seekers]) ** 2).sum(axis=1))
    several = np.zeros(len(seekers), dtype=bool)
    for label in np.unique(stratum[seekers]):
        inside = stratum[seekers] == label
        tree = cKDTree(points[~arm & (stratum == label)])
        within, nearer = (
            tree.query_ball_point(points[seekers[inside]], np.maximum(gap[inside] + side, 0.0), return_length=True)
            for side in (SAME, -SAME)
        )
        several[inside] = within - np.where(gap[inside] > SAME, nearer, 0) > 1
    return several


def _closest_first(seekers: np.ndarray, pool: _Pool, rank: np.ndarray) -> Iterator[tuple[int, int]]:
    """Form the closest pair that is left, again and again; distances only grow while controls are taken."""
    queue = []
    for row in seekers.tolist():
        if found := pool.nearest_free(row):
            queue.append((found.distance, int(rank[row]), row, found.control))
    heapq.heapify(queue)
    while queue:
        _, number, row, control = heapq.heappop(queue)
        if pool.free[control]:
            yield row, pool.take(row)
        elif found := pool.nearest_free(row):
            heapq.heappush(queue, (found.distance, number, row, found.control))


class _Found(NamedTuple):
    distance: float
    control: int


class _Looked(NamedTuple):
    """The controls at which a treated loan has looked, nearest first."""

    distances: list[float]
    controls: list[int]
    size: int
    """How many controls the tree was asked for; all of them: there is nothing beyond."""


class _Pool:
    """The controls of a stratum, found through a k-d tree that is asked for more neighbours only when needed."""

    def __init__(self, points: np.ndarray, controls: np.ndarray, within: Sequence[Caliper], limit: float) -> None:
        """Take the coordinates of all loans and the rows of the controls, sorted by priority."""
        self._points, self._controls, self._within, self._limit = points, controls, within, limit
        self.free = np.zeros(len(points), dtype=bool)
        self.free[controls] = True
        self._tree = self._grow(controls)
        self._in_tree = controls
        self._taken = 0
        self._looked: dict[int, _Looked] = {}
        self._place: dict[int, int] = {}

    def _grow(self, controls: np.ndarray) -> cKDTree:
        from scipy.spatial import cKDTree

        return cKDTree(self._points[controls])

    def look_together(self, seekers: np.ndarray) -> None:
        """Take the first look of all treated loans at once."""
        size = min(FIRST_LOOK, len(self._in_tree))
        distance, neighbour = self._tree.query(self._points[seekers], k=np.arange(1, size + 1))
        for row, far, who in zip(seekers.tolist(), distance, neighbour, strict=True):
            self._note(row, far, who, size)

    def _look_further(self, row: int) -> None:
        free = self._in_tree[self.free[self._in_tree]]
        if 2 * len(free) < len(self._in_tree) and self._taken:
            # Most of the tree is taken: a tree of what is left saves looking past it.
            self._in_tree, self._tree = free, self._grow(free)
            self._looked.clear()
            self._place.clear()
        known = self._looked.get(row)
        size = min(4 * known.size if known else FIRST_LOOK, len(self._in_tree))
        if size:
            distance, neighbour = self._tree.query(self._points[row], k=np.arange(1, size + 1))
            self._note(row, distance, neighbour, size)
        else:
            self._looked[row] = _Looked([], [], 0)

    def _note(self, row: int, distance: np.ndarray, neighbour: np.ndarray, size: int) -> None:
        distance = np.round(distance, DISTANCE_DECIMALS)
        if size < len(self._in_tree):
            # Others may lie as far as the last one: what ties with it waits for the next look.
            inside = distance < distance[-1]
            distance, neighbour = distance[inside], neighbour[inside]
        inside = distance <= self._limit
        distance, neighbour = distance[inside], neighbour[inside]
        controls = self._in_tree[neighbour]
        for values, width in self._within:
            near = np.round(np.abs(values[controls] - values[row]), DISTANCE_DECIMALS) <= width
            distance, neighbour, controls = distance[near], neighbour[near], controls[near]
        # The tree holds its controls in the order of their priority.
        order = np.lexsort((neighbour, distance))
        # Beyond a distance over the limit there is nothing left to find.
        done = len(self._in_tree) if not inside.all() else size
        self._looked[row] = _Looked(distance[order].tolist(), controls[order].tolist(), done)

    def _more(self, row: int) -> bool:
        """Look further if there is anything further; say whether there was."""
        known = self._looked.get(row)
        if known is not None and known.size >= len(self._in_tree):
            return False
        self._look_further(row)
        return True

    def as_near(self, row: int, number: int) -> list[int]:
        """Return the controls, taken or not, that are as near to a treated loan as the one at a place in its list."""
        while len(self._looked[row].controls) < number and self._more(row):
            pass
        known = self._looked[row]
        if not known.controls:
            return []
        # What ties with the last one looked at is not in the list yet, so whatever is has its ties beside it.
        return known.controls[: bisect_right(known.distances, known.distances[min(number, len(known.controls)) - 1])]

    def nearest_free(self, row: int) -> _Found | None:
        """Return the nearest free control of a treated loan, or None."""
        while True:
            known, place = self._looked.get(row), self._place.get(row, 0)
            while known is not None and place < len(known.controls):
                if self.free[known.controls[place]]:
                    self._place[row] = place
                    return _Found(known.distances[place], known.controls[place])
                place += 1
            self._place[row] = place
            if not self._more(row):
                return None

    def take(self, row: int) -> int:
        """Give a treated loan its nearest free control."""
        found = self.nearest_free(row)
        assert found is not None  # the caller has seen that one is left
        self.free[found.control] = False
        self._taken += 1
        return found.control
