"""Randomisation inference: how often the lottery alone would have given an effect as large as the one found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.core.errors import StudyError
from pipeline.stats.inference import adding, cluster_codes, codes, correction

BATCH = 250
"""Deals that are computed at a time: bounds the memory."""


def deal(assignment: np.ndarray, unit: np.ndarray, stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Deal an assignment out again, as the lottery might have done.

    Args:
        assignment: 0/1 as it was drawn (rows,).
        unit: what the lottery drew for: a label of its own for each row where persons were drawn, the branch where
            branches were (rows,).
        stratum: deals never cross strata (rows,); one for all rows of a unit.
        draws: number of deals.
        seed: where the random numbers start.

    Returns 0/1 (rows x draws). In each stratum the units keep their number of ones: the draw is without replacement.
    A unit's value is that of most of its rows (one at a tie); rows that deviate from their unit go on deviating, so
    that a few wrongly booked clients do not turn a branch into several.
    """
    units, strata = codes(unit), codes(stratum)
    size = np.bincount(units)
    first = np.full(len(size), -1)
    first[units[::-1]] = strata[::-1]
    if (first[units] != strata).any():
        raise StudyError("randomisation inference: a unit of the lottery lies in two strata; say what was drawn where.")
    value = (2 * np.bincount(units, assignment) >= size).astype(np.int8)
    deviates = assignment.astype(np.int8) ^ value[units]
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    dealt = np.empty((draws, len(size)), dtype=np.int8)
    for one in range(strata.max() + 1):
        members = np.flatnonzero(first == one)
        dealt[:, members] = generator.permuted(np.tile(value[members], (draws, 1)), axis=1)
    return (dealt.T[units] ^ deviates[:, None]).astype(np.int8)


class RandomisationTest(NamedTuple):
    """A test of no effect for anybody, by the lottery alone."""

    statistic: float
    """Coefficient over its cluster-robust standard error."""
    p_value: float
    """Two-sided share of deals, the real one among them, whose statistic is at least as far from zero."""
    draws: int


def randomisation_test(
    outcome: np.ndarray, assignment: np.ndarray, controls: np.ndarray, clusters: np.ndarray, dealt: np.ndarray
) -> RandomisationTest:
    """Test Fisher's sharp null hypothesis with the studentised coefficient of the assignment.

    Args:
        outcome: (rows,).
        assignment: 0/1 as it was drawn (rows,).
        controls: design matrix without the assignment, of full rank, with an intercept (rows x columns).
        clusters: labels for the standard error (rows,).
        dealt: other assignments that the lottery could have drawn, as `deal` gives them (rows x draws).

    The statistic is studentised because the test then stays valid, in large samples, also for the weaker hypothesis
    of no effect on average (Wu & Ding 2021, Journal of the American Statistical Association 116). Deals that the
    controls determine are left out. The p-value counts the real draw, so it is never zero (Phipson & Smyth 2010).
    """
    statistics = Studentised(outcome, controls, clusters)
    found = statistics(assignment.astype(float)[:, None])
    if not len(found):
        raise StudyError("randomisation inference: the controls determine the assignment.")
    others = np.concatenate(
        [statistics(dealt[:, start : start + BATCH].astype(float)) for start in range(0, dealt.shape[1], BATCH)]
    )
    # A deal that equals the real one must count whatever the last bits say.
    as_far = int((np.abs(others) >= abs(found[0]) * (1 - 1e-9)).sum())
    return RandomisationTest(float(found[0]), (1 + as_far) / (1 + len(others)), len(others))


class Studentised:
    """Regressions of outcomes on controls and one assignment after another: what they share is computed once."""

    def __init__(
        self, outcome: np.ndarray, controls: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        """Take `outcome` (rows,), or several (rows x outcomes), controls and cluster labels.

        `controls` (rows x columns) have full rank and an intercept among them. With `weights` (rows,) the regressions
        are weighted least squares.
        """
        groups = cluster_codes(clusters)
        rows, count = len(groups), int(groups.max()) + 1
        self._root = (np.ones(rows) if weights is None else np.sqrt(weights))[:, None]
        self._basis, _ = np.linalg.qr(controls * self._root)
        rest = outcome.reshape(rows, -1) * self._root
        rest -= self._basis @ (self._basis.T @ rest)
        self._add = adding(groups)
        self._add_rest = [adding(groups, one) for one in rest.T]
        self._rest = rest.reshape(outcome.shape)
        self._scale = correction(count, rows, controls.shape[1] + 1)

    def __call__(self, assigned: np.ndarray) -> np.ndarray:
        """Return each assignment's coefficient over its cluster-robust error (``assigned``: rows x assignments).

        Of one outcome; assignments that the controls determine are left out.
        """
        slope, error = self.coefficients(assigned)
        moved = ~np.isnan(slope)
        return slope[moved] / error[moved]

    def coefficients(self, assigned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each assignment's coefficient and its cluster-robust error.

        Both are (assignments,), or (outcomes x assignments) where there are several outcomes, and missing for
        assignments that the controls determine. The error is that of `regression.linear_probability`.
        """
        left = assigned * self._root
        left -= self._basis @ (self._basis.T @ left)
        spread = np.einsum("ij,ij->j", left, left)
        spread[spread <= 1e-8 * (self._root**2).sum()] = np.nan
        slope = (self._rest.T @ left) / spread
        # Score of a cluster: the sum of what is left of the assignment times the residual, which is what is left of the
        # outcome without the slope's part.
        of_rest = [add @ left for add in self._add_rest]
        of_itself = self._add @ np.square(left, out=left)
        error = np.empty_like(slope)
        for one, sums in zip(np.ndindex(slope.shape[:-1]), of_rest, strict=True):
            sums -= slope[one] * of_itself
            error[one] = np.sqrt(self._scale * np.einsum("ij,ij->j", sums, sums)) / spread
        return slope, error
