"""Missing values: which patterns they form, whether chance alone made them, and what could stand in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.inference import Effect, correction, effect

DONORS = 5
"""Nearest loans of which one gives its value (van Buuren 2018, Flexible Imputation of Missing Data, section 3.4)."""

BETWEEN = 2
"""Rounds of the chain from one completed copy of the data to the next."""

MOST_CLUSTERS = 100
"""Clusters beyond which they have no effects of their own in an imputation."""

VALUES_EACH = 20
"""Values that a cluster must have on average for it."""

ROUNDS = 2_000
"""Rounds of the EM algorithm within which it has to settle."""


def patterns(missing: pd.DataFrame) -> pd.DataFrame:
    """Count the loans of each pattern of missing values, the commonest first.

    `missing` (loans x columns) is boolean. One row a pattern: the columns as booleans, and ``loans``.
    """
    counts = missing.groupby(list(missing), sort=True).size().rename("loans").reset_index()
    return counts.sort_values("loans", ascending=False, kind="stable", ignore_index=True)


class CompletelyAtRandom(NamedTuple):
    """Little's test that values are missing completely at random."""

    statistic: float
    degrees: int
    p_value: float
    patterns: int


def little(values: np.ndarray) -> CompletelyAtRandom:
    """Test whether the means of numeric `values` (rows x columns, NaN where missing) differ by missing pattern.

    The statistic is d-squared of Little (1988, JASA 83, equation 5): each pattern's means of what it observes against
    the maximum likelihood estimates under normality from all rows, by the EM algorithm (Dempster, Laird & Rubin
    1977). Chi-squared where values are missing completely at random. Rows without any value do not count. Raises
    StudyError when there is one pattern only, or a column does not vary.
    """
    from scipy.special import chdtrc

    seen = ~np.isnan(values)
    values, seen = values[seen.any(axis=1)], seen[seen.any(axis=1)]
    spread = np.nanstd(values, axis=0)
    if len(values) == 0 or not (spread > 0).all():
        raise StudyError("the test of missing completely at random needs columns that vary.")
    z = (values - np.nanmean(values, axis=0)) / spread
    kinds, of_row = np.unique(seen, axis=0, return_inverse=True)
    if len(kinds) < 2:
        raise StudyError("the test of missing completely at random needs rows with and without missing values.")
    # Of each pattern its size, means and cross products tell all.
    groups = []
    for place, kind in enumerate(kinds):
        rows = z[of_row.ravel() == place][:, kind]
        groups.append((np.flatnonzero(kind), np.flatnonzero(~kind), len(rows), rows.mean(axis=0), rows.T @ rows))
    number, size = z.shape
    mean, cov = np.zeros(size), np.eye(size)
    for _ in range(ROUNDS):
        first, second = np.zeros(size), np.zeros((size, size))
        for there, gone, count, average, products in groups:
            slopes = np.linalg.solve(cov[np.ix_(there, there)], cov[np.ix_(there, gone)])
            start = mean[gone] - mean[there] @ slopes
            filled = start + average @ slopes
            first[there] += count * average
            first[gone] += count * filled
            second[np.ix_(there, there)] += products
            across = count * np.outer(average, start) + products @ slopes
            second[np.ix_(there, gone)] += across
            second[np.ix_(gone, there)] += across.T
            moved = count * np.outer(start, average @ slopes)
            left = cov[np.ix_(gone, gone)] - cov[np.ix_(gone, there)] @ slopes
            second[np.ix_(gone, gone)] += (
                count * (np.outer(start, start) + left) + moved + moved.T + slopes.T @ products @ slopes
            )
        new_mean = first / number
        new_cov = second / number - np.outer(new_mean, new_mean)
        step = max(np.abs(new_mean - mean).max(), np.abs(new_cov - cov).max())
        mean, cov = new_mean, new_cov
        if step < 1e-10:
            break
    statistic = 0.0
    for there, _, count, average, _ in groups:
        difference = average - mean[there]
        statistic += count * float(difference @ np.linalg.solve(cov[np.ix_(there, there)], difference))
    degrees = int(sum(len(there) for there, *_ in groups) - size)
    return CompletelyAtRandom(statistic, degrees, float(chdtrc(degrees, statistic)), len(groups))


def impute(
    incomplete: pd.DataFrame,
    complete: np.ndarray,
    imputations: int,
    iterations: int,
    seed: Sequence[int],
    clusters: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Fill gaps several times by chained equations: one array (imputations x loans) for each column with gaps.

    Column by column is imputed from all others and from what is complete, round after round. Each step draws the
    coefficients of a linear regression from their posterior and gives a missing value that of one of the `DONORS` loans
    nearest in prediction, so values stay possible ones (predictive mean matching; Little 1988, JBES 6; van Buuren 2018,
    algorithms 3.3 and 4.3).

    Parameters
    ----------
    incomplete
        Columns with gaps (loans x columns), float, NaN where missing.
    complete
        Everything else that the analysis uses (loans x columns), with an intercept and of full rank: outcome,
        treatment, controls and time effects. What the analysis uses and the imputation leaves out is taken to have
        nothing to do with the gaps, and biases the analysis (Meng 1994, Statistical Science 9; White, Royston & Wood
        2011, Statistics in Medicine 30, section 5).
    imputations, iterations
        How many copies are made; rounds of the chain before the first (`BETWEEN` from copy to copy, and one round where
        a single column has gaps).
    seed
        Of the draws.
    clusters
        Numbers from 0 (loans,) whose effects enter the regression too, where `feasible`: otherwise imputed values would
        resemble each other within a cluster less than those on record.

    Returns
    -------
    dict
        Of each column the completed copies (imputations x loans).

    Raises
    ------
    StudyError
        Where a column has fewer values than the regression has coefficients.
    """
    names = list(incomplete)
    values = incomplete.to_numpy(dtype=float)
    seen = ~np.isnan(values)
    fewest = complete.shape[1] + len(names) - 1 + DONORS
    for name, there in zip(names, seen.T, strict=True):
        if there.sum() <= fewest:
            raise StudyError(
                f"too few loans have a value of {name} to impute it: the regression has more coefficients."
            )
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    filled = values.copy()
    for place in range(len(names)):
        gone = ~seen[:, place]
        filled[gone, place] = rng.choice(values[~gone, place], int(gone.sum()))
    order = [place for place in np.argsort(~seen.T @ np.ones(len(values)), kind="stable") if not seen[:, place].all()]
    steps = {place: _Step(values[:, place], complete, clusters) for place in order}
    found = {name: np.empty((imputations, len(values))) for name in names}
    alone = len(order) < 2
    for number in range(imputations):
        for _ in range(1 if alone else iterations if number == 0 else BETWEEN):
            for place in order:
                drawn = steps[place].drawn(np.delete(filled, place, axis=1), rng)
                filled[~seen[:, place], place] = drawn
        for place, name in enumerate(names):
            found[name][number] = filled[:, place]
    return found


def feasible(clusters: np.ndarray, seen: np.ndarray) -> bool:
    """Return whether each cluster (numbers, rows) can have an effect of its own: few, with many values `seen` (rows).

    Effects of clusters with few values each are mostly noise, and make too much of how clusters differ (Andridge 2011,
    Biometrical Journal 53).
    """
    there = len(np.unique(clusters[seen]))
    return 2 <= there <= MOST_CLUSTERS and seen.sum() >= VALUES_EACH * there


def cluster_effects(clusters: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return columns of effects (rows x clusters with a value, less one) that add up to nought over clusters.

    A cluster without any value among `seen` (rows) then stands at the average of all others, not at one of them.
    """
    known = np.unique(clusters[seen])
    columns = (clusters[:, None] == known[:-1]).astype(float)
    columns[clusters == known[-1]] = -1.0
    return columns


class _Step:
    """The imputation of one column, with what stays the same from round to round."""

    def __init__(self, values: np.ndarray, complete: np.ndarray, clusters: np.ndarray | None) -> None:
        self.seen = ~np.isnan(values)
        if clusters is not None and feasible(clusters, self.seen):
            complete = np.column_stack([complete, cluster_effects(clusters, self.seen)])
        # Months in which nobody has a value have no effect that could be estimated: they join the first.
        complete = complete[:, independent(complete[self.seen])]
        self.there, self.gone = complete[self.seen], complete[~self.seen]
        self.values = values[self.seen]
        self.products = self.there.T @ self.there
        self.right = self.there.T @ self.values

    def drawn(self, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return one value for each gap, given the other columns with gaps as they are filled now."""
        fixed = self.there.shape[1]
        here = others[self.seen]
        across = self.there.T @ here
        gram = np.block([[self.products, across], [across.T, here.T @ here]])
        scale = 1 / np.sqrt(np.diag(gram))
        inverse = np.linalg.inv(gram * np.outer(scale, scale))
        slopes = scale * (inverse @ (scale * np.concatenate([self.right, here.T @ self.values])))
        predicted = self.there @ slopes[:fixed] + here @ slopes[fixed:]
        squares = float(((self.values - predicted) ** 2).sum())
        sigma = np.sqrt(squares / rng.chisquare(len(self.values) - len(slopes)))
        slopes = slopes + sigma * scale * (np.linalg.cholesky(inverse) @ rng.standard_normal(len(slopes)))
        aimed = self.gone @ slopes[:fixed] + others[~self.seen] @ slopes[fixed:]
        return _donated(self.values, predicted, aimed, rng)


def _donated(values: np.ndarray, predicted: np.ndarray, aimed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each aim the value of one of the `DONORS` rows nearest in prediction, or of a row equal to it."""
    # Rounded, so that a last bit does not decide which of two equal predictions is nearer.
    unit = max(float(np.ptp(predicted)), 1e-300)
    predicted, aimed = (predicted / unit).round(9), (aimed / unit).round(9)
    order = np.argsort(predicted, kind="stable")
    predicted, values = predicted[order], values[order]
    # In order, neighbours in memory are asked for one after the other.
    place = np.argsort(aimed, kind="stable")
    aim = aimed[place]
    start = (np.searchsorted(predicted, aim) - DONORS).clip(0, len(predicted) - DONORS)
    for _ in range(DONORS):
        after = (start + DONORS).clip(max=len(predicted) - 1)
        start += (start + DONORS < len(predicted)) & (predicted[after] - aim < aim - predicted[start])
    nearest = predicted[start + rng.integers(0, DONORS, len(aimed))]
    # Where a few categories predict, whole groups are equally near: each of them may give, not the first few alone.
    first, after = (np.searchsorted(predicted, nearest, side) for side in ("left", "right"))
    given = np.empty(len(aimed))
    given[place] = values[rng.integers(first, after)]
    return given


class Pooled(NamedTuple):
    """What several completed copies of the data say together."""

    effect: Effect
    missing_information: float
    """Share of the variance that is due to what is missing."""
    degrees: float


def rubin(estimates: np.ndarray, variances: np.ndarray, level: float, degrees: float = np.inf) -> Pooled:
    """Pool estimates and variances (imputations,) by Rubin's rules (Rubin 1987, chapter 3).

    `degrees` are the degrees of freedom without missing values; the t distribution's are those of Barnard & Rubin
    (1999). The missing information is lambda of van Buuren (2018, equation 2.24).
    """
    number = len(estimates)
    within, between = float(np.mean(variances)), float(np.var(estimates, ddof=1))
    extra = (1 + 1 / number) * between
    total = within + extra
    share = extra / total
    old = (number - 1) / share**2 if share > 0 else np.inf
    seen = np.inf if np.isinf(degrees) else (degrees + 1) / (degrees + 3) * degrees * (1 - share)
    together = 1 / (1 / old + 1 / seen) if np.isfinite(old) or np.isfinite(seen) else np.inf
    return Pooled(effect(float(np.mean(estimates)), np.sqrt(total), level, together), share, together)


def _partialled(both: np.ndarray, controls: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Return what controls (rows x columns, with an intercept, of full rank) leave of each column of `both`."""
    z = controls * root[:, None]
    z /= np.linalg.norm(z, axis=0)
    cross = np.linalg.inv(z.T @ z)
    both = both * root[:, None]
    # A second pass takes out what rounding left.
    for _ in range(2):
        both = both - z @ (cross @ (z.T @ both))
    return both


def with_imputed_controls(
    outcome: np.ndarray,
    factor: np.ndarray,
    copies: Sequence[np.ndarray],
    controls: np.ndarray,
    clusters: np.ndarray,
    level: float,
    weights: np.ndarray | None = None,
) -> Pooled:
    """Pool a factor's linear effect over completed copies of further controls.

    `outcome` and `factor` (rows,), `copies` one array (imputations x rows) for each control with gaps, `controls`
    (rows x columns) the others, with an intercept and of full rank, `clusters` numbers from 0, `weights` those of least
    squares. By the theorem of Frisch, Waugh and Lovell the complete controls are taken out once for all copies.
    """
    root = np.ones(len(outcome)) if weights is None else np.sqrt(weights)
    number, count = len(copies[0]), int(clusters.max()) + 1
    both = _partialled(np.column_stack([factor, outcome, *(copy.T for copy in copies)]).astype(float), controls, root)
    small = correction(count, len(outcome), controls.shape[1] + len(copies) + 1)
    estimates, variances = [], []
    for place in range(number):
        added = both[:, 2 + place :: number]
        x, y = (both[:, :2] - added @ np.linalg.lstsq(added, both[:, :2], rcond=None)[0]).T
        information = x @ x
        slope = x @ y / information
        scores = np.bincount(clusters, x * (y - slope * x), count)
        estimates.append(slope)
        variances.append(small * scores @ scores / information**2)
    return rubin(np.array(estimates), np.array(variances), level, count - 1)


class Shifted:
    """A factor's linear effect in completed copies of the data, for any shift of what was imputed.

    By the theorem of Frisch, Waugh and Lovell nothing is needed but sums by cluster of what the controls leave of the
    factor's copies, of the shift and of the outcome; each further shift costs next to nothing.
    """

    def __init__(
        self,
        outcome: np.ndarray,
        copies: np.ndarray,
        controls: np.ndarray,
        clusters: np.ndarray,
        shifted: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> None:
        """Take outcome (rows,), copies of the factor (imputations x rows), controls and who is shifted.

        `controls` (rows x columns) hold an intercept and have full rank, `clusters` are numbers from 0, `shifted`
        (rows,) says by how much each row's factor moves for a shift of one; `weights` are those of least squares.
        """
        root = np.ones(len(outcome)) if weights is None else np.sqrt(weights)
        columns = np.column_stack([*copies, shifted.astype(float), outcome.astype(float)])
        *x, m, y = _partialled(columns, controls, root).T
        self._count = int(clusters.max()) + 1
        self._correction = correction(self._count, len(outcome), controls.shape[1] + 1)

        def summed(values: np.ndarray) -> np.ndarray:
            return np.bincount(clusters, values, self._count)

        self._sums = [(summed(one * one), summed(one * m), summed(one * y)) for one in x]
        self._of_shift = (summed(m * m), summed(m * y))

    def at(self, shift: float, level: float) -> Pooled:
        """Return the pooled effect where everything imputed (of `shifted` rows) lies `shift` higher."""
        estimates, variances = [], []
        for squares, across, product in self._sums:
            of_factor = squares + 2 * shift * across + shift**2 * self._of_shift[0]
            with_outcome = product + shift * self._of_shift[1]
            information = of_factor.sum()
            slope = with_outcome.sum() / information
            scores = with_outcome - slope * of_factor
            estimates.append(slope)
            variances.append(self._correction * float(scores @ scores) / information**2)
        return rubin(np.array(estimates), np.array(variances), level, self._count - 1)


def tipping_point(regression: Shifted, largest: float, level: float, steps: int = 200) -> float:
    """Return the smallest shift, up or down, at which the answer changes; NaN if none up to `largest` does.

    The answer is whether the pooled interval lies below zero, above it, or holds it.
    """

    def answer(shift: float) -> int:
        found = regression.at(shift, level).effect
        return -1 if found.ci_high < 0 else 1 if found.ci_low > 0 else 0

    now = answer(0.0)
    for step in range(1, steps + 1):
        for sign in (-1, 1):
            shift = sign * largest * step / steps
            if answer(shift) != now:
                return shift
    return float("nan")
