"""Optimal matching: the pairs whose total distance is smallest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.free_controls import DISTANCE_DECIMALS
from pipeline.stats.matching import Matches, ranks
from pipeline.stats.neighbours import Caliper

LIMIT = 25_000_000
"""Largest number of treated loans times controls in a stratum: its distances take 8 bytes each, 200 MB together, and
the assignment some ten seconds."""

TIE = 1e-10
"""Size of what is added to distances so that one assignment alone is the best: below any difference that counts."""


def optimal(
    treated: np.ndarray,
    points: np.ndarray,
    stratum: np.ndarray,
    priority: np.ndarray,
    *,
    ratio: int = 1,
    caliper: float | None = None,
    within: Sequence[Caliper] = (),
) -> Matches:
    """Match within strata so that as many matches as possible form, and of those the ones with the least distance.

    Arguments as in `neighbours.nearest`; controls serve once. With a ratio above one every treated loan has as many
    places as that, and total distance is minimised over all places. The assignment problem is solved by scipy's
    `linear_sum_assignment` (Crouse 2016). Where several assignments are equally good, tiny numbers that depend on
    `priority` alone decide, so that the answer depends neither on the order of the rows nor on the solver.

    Raises StudyError, before anything is matched, for a stratum whose table of distances is larger than `LIMIT`.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    points = points.reshape(len(treated), -1)
    rank, arm = ranks(priority), treated.astype(bool)
    chosen_treated, chosen_control = [np.array([], dtype=np.int64)], [np.array([], dtype=np.int64)]
    by_stratum = np.lexsort((rank, stratum))
    # Looked at before any stratum is matched: the largest may come last.
    label = np.unique(stratum, return_inverse=True)[1]
    seeking, offered = np.bincount(label, arm), np.bincount(label, ~arm)
    if ratio * (seeking * offered).max(initial=0) > LIMIT:
        largest = (seeking * offered).argmax()
        raise StudyError(
            f"optimal matching compares {seeking[largest]:,.0f} treated loans with {offered[largest]:,.0f} controls in "
            f"one stratum, more than {LIMIT:,} pairs: add exact keys or use match.method nearest."
        )
    for members in np.split(by_stratum, np.flatnonzero(np.diff(stratum[by_stratum])) + 1):
        seekers, controls = members[arm[members]], members[~arm[members]]
        if not len(seekers) or not len(controls):
            continue
        distance = np.round(cdist(points[seekers], points[controls]), DISTANCE_DECIMALS)
        allowed = distance <= (np.inf if caliper is None else caliper)
        for values, width in within:
            gap = np.abs(values[seekers][:, None] - values[controls])
            allowed &= np.round(gap, DISTANCE_DECIMALS) <= width
        cost = distance + TIE * _tie(rank[seekers], rank[controls])
        # A forbidden pair costs more than all allowed ones together, so it stands for a place that stays empty.
        forbidden = (1 + cost.max()) * (1 + min(ratio * len(seekers), len(controls)))
        cost = np.repeat(np.where(allowed, cost, forbidden), ratio, axis=0)
        rows, columns = linear_sum_assignment(cost)
        kept = allowed[rows // ratio, columns]
        chosen_treated.append(seekers[rows[kept] // ratio])
        chosen_control.append(controls[columns[kept]])
    of_treated, of_control = np.concatenate(chosen_treated), np.concatenate(chosen_control)
    order = np.lexsort((rank[of_control], rank[of_treated]))
    return Matches(of_treated[order], of_control[order])


def _tie(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return a number in [0, 1) for each pair of ranks that looks drawn by lot and is always the same (splitmix64)."""
    mixed = one.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15) + other.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed >> np.uint64(11)).astype(float) / 2**53
