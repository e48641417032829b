"""Subclassification on the propensity score."""

from __future__ import annotations

import numpy as np

from pipeline.runtime.errors import StudyError


def subclasses(treated: np.ndarray, score: np.ndarray, number: int, estimand: str = "ATT") -> np.ndarray:
    """Cut the score into subclasses and return the subclass (from 0) of each loan.

    Cut points are quantiles of the score: of the treated loans' for the effect on the treated (``ATT``), of all
    loans' for ``ATE`` (Rosenbaum & Rubin 1984). A subclass that lacks an arm takes the nearest loan of that arm from
    a neighbouring subclass that can spare one, as MatchIt does, so that no loan is dropped. Loans of one score stay
    together otherwise. Raises StudyError when an arm holds fewer loans than there are subclasses.
    """
    arm = treated.astype(bool)
    if min(arm.sum(), (~arm).sum()) < number:
        raise StudyError(
            f"{number} subclasses need as many loans in each arm, and there are {int(arm.sum())} treated loans and "
            f"{int((~arm).sum())} controls: ask for fewer in match.subclasses."
        )
    of = score[arm] if estimand == "ATT" else score
    cuts = np.quantile(of, np.arange(1, number) / number)
    subclass = np.searchsorted(cuts, score, side="right")
    for side in (arm, ~arm):
        _fill(subclass, score, side, number)
    return subclass


def _fill(subclass: np.ndarray, score: np.ndarray, side: np.ndarray, number: int) -> None:
    """Move single loans of an arm along the score until each subclass holds one."""
    rows = np.flatnonzero(side)
    rows = rows[np.argsort(score[rows], kind="stable")]
    counts = np.bincount(subclass[rows], minlength=number)
    while (counts == 0).any():
        empty = int(np.flatnonzero(counts == 0)[0])
        donors = np.flatnonzero(counts > 1)
        donor = int(donors[np.argmin(np.abs(donors - empty))])
        # Every subclass between gives one to its neighbour, so the order along the score is kept.
        step = 1 if donor > empty else -1
        for giver in range(empty + step, donor + step, step):
            members = rows[subclass[rows] == giver]
            if len(members):
                subclass[members[0] if step == 1 else members[-1]] = giver - step
        counts = np.bincount(subclass[rows], minlength=number)
