"""The specification curve: many specifications of one effect, and a test of all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.inference import adding, cluster_codes, codes, correction, on_matched
from pipeline.stats.products import decomposed

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def sign_changes(clusters: int, draws: int, seed: int) -> np.ndarray:
    """Return signs drawn with even chances for each cluster and draw: 1 or -1 (clusters x draws)."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    return (2 * generator.integers(0, 2, (clusters, draws), dtype=np.int8) - 1).astype(np.int8)


class SignChanges:
    """A regression's effect when whole clusters change the sign of what treatment leaves unexplained.

    Were there no effect, a cluster's residuals would be as likely with the other sign, all together, whatever its loans
    have in common (Canay, Romano & Shaikh 2017, Econometrica 85; with the regression done again for each draw, as in
    the wild cluster bootstrap of Cameron, Gelbach & Miller 2008). Loans that change places one by one would break up
    what treatment and outcome of a cluster have in common, and leave too narrow a distribution.
    """

    def __init__(
        self,
        treated: np.ndarray,
        controls: np.ndarray,
        strata: np.ndarray,
        clusters: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> None:
        """Take `treated` (rows,), `controls` (rows x columns) and an effect for every stratum.

        `strata` and `clusters` are numbers from 0 (rows,); clusters index the rows of the signs. What of the controls
        the strata determine is left out. Raises StudyError when strata and controls determine treatment.
        """
        self._root = np.ones(len(treated)) if weights is None else np.sqrt(weights)
        self._strata = codes(strata)
        self._of_stratum = np.bincount(self._strata, self._root**2)
        # Sorted and without gaps: those that hold loans.
        own = np.flatnonzero(np.bincount(clusters))
        self._cluster, self._signs = codes(clusters), own
        inside = self._within(controls)
        length = self._root**2 @ controls**2
        inside = inside[:, np.einsum("ij,ij->j", inside, inside) > 1e-16 * length]
        self._basis, _ = decomposed(inside[:, independent(inside)])
        self._left = self._rest(treated[:, None].astype(float))[:, 0]
        self._variation = np.bincount(self._cluster, self._left**2)
        count, parameters = len(own), len(self._of_stratum) + self._basis.shape[1] + 1
        if self._variation.sum() <= 1e-8 * (self._root**2).sum() or parameters >= len(treated) or count < 2:
            raise StudyError("strata and controls determine treatment.")
        self._scale = correction(count, len(treated), parameters)
        self._through_basis = adding(self._cluster, self._left) @ self._basis
        self._through_strata = self._in_cells(self._left).T

    def __call__(self, outcomes: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the effect and its clustered error for each outcome: of the data, then with each draw's signs.

        `outcomes` (rows x outcomes), `signs` (clusters x draws); both results are (outcomes x (1 + draws)).
        """
        drawn = np.column_stack([np.ones(len(self._signs)), signs[self._signs]])
        found = [self._one(rest, drawn) for rest in self._rest(outcomes.astype(float)).T]
        effects, errors = (np.array(part) for part in zip(*found, strict=True))
        return effects, errors

    def _one(self, rest: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = self._variation.sum()
        scores = np.bincount(self._cluster, self._left * rest)
        slopes = scores @ signs / total
        # Residuals of the regression on an outcome with changed signs, added up to scores by cluster.
        sums = scores[:, None] * signs
        sums -= self._through_basis @ ((adding(self._cluster, rest) @ self._basis).T @ signs)
        sums -= self._through_strata @ ((self._in_cells(rest) @ signs) / self._of_stratum[:, None])
        sums -= slopes * self._variation[:, None]
        return slopes, np.sqrt(self._scale * np.einsum("ij,ij->j", sums, sums)) / total

    def _in_cells(self, values: np.ndarray) -> csr_array:
        """Add up values by stratum and cluster (strata x clusters)."""
        from scipy.sparse import csr_array

        shape = len(self._of_stratum), len(self._variation)
        return csr_array((values * self._root, (self._strata, self._cluster)), shape=shape)

    def _within(self, values: np.ndarray) -> np.ndarray:
        """Return what the effects of strata leave of values (rows x columns), at the scale of the weights' roots."""
        means = (adding(self._strata, self._root**2) @ values) / self._of_stratum[:, None]
        return (values - means[self._strata]) * self._root[:, None]

    def _rest(self, values: np.ndarray) -> np.ndarray:
        """Return what strata and controls leave."""
        left = self._within(values)
        return left - self._basis @ (self._basis.T @ left)


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
        basis, triangle = decomposed(design)
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

        As `regression.linear_probability` gives them; of three ways of clustering the error is that of
        `inference.on_matched`.
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
    """Median z statistic; two-sided."""
    share: Statistic
    """Share of specifications that are significant in the direction in which more of them are."""
    z: Statistic
    """Stouffer's Z: the sum of the z statistics over the root of their number; two-sided."""
    centre: float
    """Mean z statistic of all specifications and draws before centring: nought where the draws leave no effect."""
    specifications: int
    permutations: int


def joint(effects: np.ndarray, errors: np.ndarray, critical: float) -> Joint:
    """Test that treatment has no effect in any specification.

    Args:
        effects, errors: (specifications x (1 + permutations)): the real data first, then draws in which treatment does
            nothing, each column one draw for all specifications, so that their dependence is kept. The errors are
            clustered.
        critical: size of a z statistic from which it counts as significant.

    Each effect less its mean over all columns, over its error, is a z statistic, so that no specification counts for
    more because it is noisier, and one whose controls leave of the draws' strata what treatment goes with is measured
    from where the draws put it. The real data take part in the mean: columns are then exchangeable under the
    hypothesis, and the p-values, which count the real data (Phipson & Smyth 2010), are those of an exact test.

    Specifications without a value in some column take no part. Raises StudyError when no specification is left.
    """
    whole = np.isfinite(effects).all(axis=1) & np.isfinite(errors).all(axis=1) & (errors > 0).all(axis=1)
    if not whole.any():
        raise StudyError("no specification has an effect in every permutation.")
    effects, errors = effects[whole], errors[whole]
    z = (effects - effects.mean(axis=1, keepdims=True)) / errors
    share = np.maximum((z < -critical).mean(axis=0), (z > critical).mean(axis=0))
    stouffer = z.sum(axis=0) / np.sqrt(len(z))

    def tested(values: np.ndarray) -> Statistic:
        # A permutation that equals the real data must count whatever the last bits say, also those of nought.
        values = np.round(values, 12)
        as_far = np.abs(values[1:]) >= abs(values[0]) * (1 - 1e-9)
        return Statistic(float(values[0]), float((1 + as_far.sum()) / len(values)))

    centre = float((effects[:, 1:] / errors[:, 1:]).mean()) if effects.shape[1] > 1 else np.nan
    tests = (tested(np.median(z, axis=0)), tested(share), tested(stouffer))
    return Joint(*tests, centre, len(effects), effects.shape[1] - 1)
