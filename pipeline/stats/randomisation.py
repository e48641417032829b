"""Randomisation inference: how often random assignment alone would give an effect as large as the one found."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import adding, cluster_codes, codes, correction
from pipeline.stats.products import decomposed

BATCH = 250
"""Permutations that are computed at a time: bounds the memory."""


def permute(assignment: np.ndarray, unit: np.ndarray, stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Draw an assignment anew, as the randomisation might have done.

    Args:
        assignment: 0/1 as it was drawn (rows,).
        unit: what was randomised: a label of its own for each row where persons were drawn, the branch where
            branches were (rows,).
        stratum: permutations never cross strata (rows,); one for all rows of a unit.
        draws: number of permutations.
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
        raise StudyError(
            "randomisation inference: a randomised unit lies in two strata; say what was randomised where."
        )
    value = (2 * np.bincount(units, assignment) >= size).astype(np.int8)
    deviates = assignment.astype(np.int8) ^ value[units]
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    permuted = np.empty((draws, len(size)), dtype=np.int8)
    for one in range(strata.max() + 1):
        members = np.flatnonzero(first == one)
        permuted[:, members] = generator.permuted(np.tile(value[members], (draws, 1)), axis=1)
    return (permuted.T[units] ^ deviates[:, None]).astype(np.int8)


def units_of(assignment: np.ndarray, clusters: np.ndarray, stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what an assignment (rows,) was given to and within what, where no design says so.

    Whole clusters where none has both values, and then within the strata that hold whole clusters, or across all;
    otherwise single rows, within the strata (rows,). A treatment that clusters share, permuted by row, would lose what
    its rows have in common, and no clustered error could show it.
    """
    cluster, strata = codes(clusters), codes(stratum)

    def constant(values: np.ndarray) -> bool:
        lowest, highest = np.full(cluster.max() + 1, np.inf), np.full(cluster.max() + 1, -np.inf)
        np.minimum.at(lowest, cluster, values)
        np.maximum.at(highest, cluster, values)
        return bool((lowest == highest).all())

    if not constant(assignment):
        return np.arange(len(assignment)), strata
    return cluster, strata if constant(strata) else np.zeros_like(strata)


class RandomisationTest(NamedTuple):
    """A test of no effect for anybody, by the random assignment alone, and the effects that it does not reject."""

    estimate: float
    """Coefficient of the assignment."""
    ci_low: float
    ci_high: float
    """Ends of the effects, the same for everybody, that the test does not reject."""
    statistic: float
    """Coefficient over its cluster-robust standard error."""
    p_value: float
    """Two-sided share of draws, the real one among them, whose statistic is at least as far from zero."""
    centre: float
    """Mean of the statistic over the draws, in which treatment does nothing: nought where the design is held equal."""
    centre_error: float
    """Monte Carlo error of the centre."""
    draws: int


def randomisation_test(
    outcome: np.ndarray,
    assignment: np.ndarray,
    controls: np.ndarray,
    clusters: np.ndarray,
    permuted: np.ndarray,
    level: float = 0.95,
) -> RandomisationTest:
    """Test Fisher's sharp null hypothesis with the studentised coefficient of the assignment.

    Args:
        outcome: (rows,).
        assignment: 0/1 as it was drawn (rows,).
        controls: design matrix without the assignment, of full rank, with an intercept (rows x columns). Strata within
            which chances differ belong here: without them the draws' coefficients do not lie around nought.
        clusters: labels for the standard error (rows,).
        permuted: other assignments that the randomisation could have given, as `permute` gives them (rows x draws).
        level: of the interval, which inverts the test (Rosenbaum 2002, Observational Studies, section 2.6): it holds
            each effect for which the outcomes without it are tested with a p-value above 1 - `level`.

    The statistic is studentised because the test then stays valid, in large samples, also for the weaker hypothesis
    of no effect on average (Wu & Ding 2021, Journal of the American Statistical Association 116). Draws that the
    controls determine are left out. The p-value counts the real draw, so it is never zero (Phipson & Smyth 2010).
    """
    both = np.column_stack([outcome, assignment]).astype(float)
    regress = Studentised(both, controls, clusters)
    parts = [regress.shifted(assignment.astype(float)[:, None])]
    if np.isnan(parts[0][0]).any():
        raise StudyError("randomisation inference: the controls determine the assignment.")
    parts += [
        regress.shifted(permuted[:, first : first + BATCH].astype(float))
        for first in range(0, permuted.shape[1], BATCH)
    ]
    slopes, squares = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    drawn = ~np.isnan(slopes[0])
    slopes, squares = slopes[:, drawn], squares[:, drawn]

    def statistics(shift: float) -> np.ndarray:
        """Return the statistic of the outcomes less an effect of `shift`: the real draw's first."""
        variance = squares[0] - 2 * shift * squares[1] + shift**2 * squares[2]
        return (slopes[0] - shift * slopes[1]) / np.sqrt(np.maximum(variance, 1e-300))

    def p_value(shift: float) -> float:
        found = np.abs(statistics(shift))
        # A draw that equals the real one must count whatever the last bits say.
        return float((found >= found[0] * (1 - 1e-9)).mean())

    found, estimate = statistics(0.0), float(slopes[0, 0])
    others = found[1:]
    low, high = [_end(p_value, estimate, side * float(np.sqrt(squares[0, 0])), 1 - level) for side in (-1, 1)]
    error = float(others.std(ddof=1) / len(others) ** 0.5) if len(others) > 1 else np.nan
    centre = float(others.mean()) if len(others) else np.nan
    return RandomisationTest(estimate, low, high, float(found[0]), p_value(0.0), centre, error, len(others))


def _end(p_value: Callable[[float], float], start: float, step: float, alpha: float) -> float:
    """Return where, from `start` in the direction of `step`, p-values fall to `alpha`; infinite where they do not."""
    inside, outside = start, start + step
    for _ in range(12):
        if p_value(outside) <= alpha:
            break
        inside, outside = outside, start + 2 * (outside - start)
    else:
        return float(np.copysign(np.inf, step))
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if p_value(middle) > alpha else (inside, middle)
    return inside


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
        self._basis, _ = decomposed(controls * self._root)
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
        slope, sums, spread = self._scores(assigned)
        error = np.empty_like(slope)
        for one, of_outcome in zip(np.ndindex(slope.shape[:-1]), sums, strict=True):
            error[one] = np.sqrt(self._scale * np.einsum("ij,ij->j", of_outcome, of_outcome)) / spread
        return slope, error

    def shifted(self, assigned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what says, of two outcomes, the statistic of the first less any multiple of the second.

        Slopes (2 x assignments) b, and v (3 x assignments), so that the first less c times the second has the
        coefficient b[0] - c b[1] with the squared error v[0] - 2 c v[1] + c**2 v[2].
        """
        slope, (first, second), spread = self._scores(assigned)
        pairs = ((first, first), (first, second), (second, second))
        return slope, np.array([self._scale * np.einsum("ij,ij->j", *pair) / spread**2 for pair in pairs])

    def _scores(self, assigned: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Return slopes, each outcome's scores by cluster (clusters x assignments), and the assignments' variation."""
        left = assigned * self._root
        left -= self._basis @ (self._basis.T @ left)
        spread = np.einsum("ij,ij->j", left, left)
        spread[spread <= 1e-8 * (self._root**2).sum()] = np.nan
        slope = (self._rest.T @ left) / spread
        # Score of a cluster: the sum of what is left of the assignment times the residual, which is what is left of the
        # outcome without the slope's part.
        sums = [add @ left for add in self._add_rest]
        of_itself = self._add @ np.square(left, out=left)
        for one, of_outcome in zip(np.ndindex(slope.shape[:-1]), sums, strict=True):
            of_outcome -= slope[one] * of_itself
        return slope, sums, spread
