"""The specification curve: many specifications of one effect, and a test of all of them at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.core.errors import StudyError
from pipeline.stats.inference import adding, cluster_codes, correction, on_matched


def exchanges(stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Let rows change places by lot within their strata.

    Args:
        stratum: labels (rows,).
        draws: number of permutations.
        seed: where the random numbers start.

    Returns row numbers (rows x draws): in each column every row once, and in each place a row of the same stratum.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    by_stratum = np.argsort(stratum, kind="stable")
    label = np.unique(stratum[by_stratum], return_inverse=True)[1].astype(float)
    found = np.empty((len(stratum), draws), dtype=np.int32)
    for draw in range(draws):
        # A random number below one beside the stratum's own: rows are shuffled, strata stay in their order.
        shuffled = np.argsort(label + generator.random(len(label)), kind="stable")
        found[by_stratum, draw] = by_stratum[shuffled]
    return found


class ManyOutcomes:
    """Regressions of one outcome after another on one design: what they share is computed once."""

    def __init__(
        self, treated: np.ndarray, controls: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        """Take `treated` (rows,), `controls` (rows x columns, full rank, an intercept among them), cluster labels.

        Labels are (rows,), or those of matched loans that `inference.crossed` gives, side by side (rows x 1 or 3). With
        `weights` (rows,) the regressions are weighted least squares. Raises StudyError when the controls determine
        treatment.
        """
        every = [cluster_codes(labels) for labels in clusters.reshape(len(treated), -1).T]
        root = np.sqrt(np.ones(len(treated)) if weights is None else weights)[:, None]
        design = np.column_stack([controls, treated]) * root
        basis, triangle = np.linalg.qr(design)
        if abs(triangle[-1, -1]) <= 1e-8 * np.linalg.norm(design[:, -1]):
            raise StudyError("the controls determine treatment.")
        self._length = triangle[-1, -1]
        # A cluster's score adds up what is left of treatment, the basis's last column, times what the basis leaves of
        # the outcome. Both parts are sums over the outcome, so what is left of it is never written down.
        last = basis[:, -1]
        self._basis = basis * root
        self._ways = [
            (
                adding(groups, last * root[:, 0]),
                adding(groups, last) @ basis,
                correction(groups.max() + 1, *design.shape),
            )
            for groups in every
        ]

    def __call__(self, outcomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coefficient of treatment and its cluster-robust error for each outcome (rows x outcomes).

        As `matched_effects.weighted_difference` and, without weights, `regression.linear_probability` give them; of
        three ways of clustering the error is that of `inference.on_matched`.
        """
        inside = self._basis.T @ outcomes
        errors = []
        for add, of_basis, scale in self._ways:
            sums = add @ outcomes
            sums -= of_basis @ inside
            errors.append(np.sqrt(scale * np.einsum("ij,ij->j", sums, sums)) / abs(self._length))
        return inside[-1] / self._length, errors[0] if len(errors) == 1 else on_matched(*errors)[0]


class Statistic(NamedTuple):
    """A statistic of the whole curve and how often chance alone is as extreme."""

    estimate: float
    p_value: float


class Joint(NamedTuple):
    """Joint inference over all specifications (Simonsohn, Simmons & Nelson 2020, step 3)."""

    median: Statistic
    """Median effect; two-sided."""
    share: Statistic
    """Share of specifications that are significant in the direction in which more of them are."""
    z: Statistic
    """Stouffer's Z: the sum of the z statistics over the root of their number; two-sided."""
    specifications: int
    permutations: int


def joint(effects: np.ndarray, errors: np.ndarray, critical: float) -> Joint:
    """Test that treatment has no effect in any specification.

    Args:
        effects, errors: (specifications x (1 + permutations)): the real data first, then the data in which treatment
            was dealt out again, each column one deal for all specifications, so that their dependence is kept.
        critical: size of a z statistic from which it counts as significant.

    Specifications without a value in some column take no part. P-values count the real data among the permutations,
    so none is zero (Phipson & Smyth 2010). Raises StudyError when no specification is left.
    """
    whole = np.isfinite(effects).all(axis=1) & np.isfinite(errors).all(axis=1) & (errors > 0).all(axis=1)
    if not whole.any():
        raise StudyError("no specification has an effect in every permutation.")
    effects, z = effects[whole], effects[whole] / errors[whole]
    share = np.maximum((z < -critical).mean(axis=0), (z > critical).mean(axis=0))
    stouffer = z.sum(axis=0) / np.sqrt(len(z))

    def tested(values: np.ndarray) -> Statistic:
        # A permutation that equals the real data must count whatever the last bits say, also those of nought.
        values = np.round(values, 12)
        as_far = np.abs(values[1:]) >= abs(values[0]) * (1 - 1e-9)
        return Statistic(float(values[0]), float((1 + as_far.sum()) / len(values)))

    found = [tested(values) for values in (np.median(effects, axis=0), share, stouffer)]
    return Joint(*found, len(effects), effects.shape[1] - 1)
