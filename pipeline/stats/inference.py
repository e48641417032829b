"""What all models with clustered errors share: cluster sums, the small-sample correction, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    from scipy.sparse import csc_array


class Effect(NamedTuple):
    """One coefficient, or a function of it, with interval and two-sided p-value."""

    estimate: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float


CORRECTION = "G/(G-1) x (n-1)/(n-k)"
"""What `correction` returns, as notes of results tables name it."""


def codes(labels: Sequence | pd.Series | np.ndarray) -> np.ndarray:
    """Return a number for each label, from 0, in the sorted order of distinct labels; -1 where there is none."""
    if isinstance(getattr(labels, "dtype", None), pd.CategoricalDtype):
        # The few categories are sorted, not the labels of every row.
        held = pd.Categorical(labels)
        used = np.flatnonzero(np.bincount(held.codes[held.codes >= 0], minlength=len(held.categories)))
        number = np.full(len(held.categories) + 1, -1, dtype=np.int64)
        number[used] = pd.factorize(np.asarray(held.categories[used]), sort=True)[0]
        return number[held.codes]
    if isinstance(labels, pd.Series) and isinstance(labels.dtype, pd.StringDtype):
        # As it lies in memory: a Python object for each row would take seconds and gigabytes of millions.
        return pd.factorize(labels, sort=True)[0]
    return pd.factorize(np.asarray(labels), sort=True)[0]


def cluster_codes(labels: Sequence | pd.Series | np.ndarray) -> np.ndarray:
    """Return cluster numbers from 0; a row without a label, or fewer than two clusters, are a StudyError."""
    numbers = codes(labels)
    if (unlabelled := int((numbers < 0).sum())) > 0:
        name = getattr(labels, "name", None)
        column = f"the cluster column {name}" if name else "the column of clusters"
        raise StudyError(
            f"{column} has no label in {unlabelled:,} of {len(numbers):,} rows: give each row a label, leave these "
            "rows out, or choose another cluster column."
        )
    if numbers.max(initial=0) < 1:
        raise StudyError("standard errors need at least two clusters: use a larger cohort or another cluster column.")
    return numbers


def group_sums(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Add up `values` (rows,) or (rows x columns) by group number: (groups,) or (groups x columns)."""
    if values.ndim == 1:
        return np.bincount(groups, values)
    if (groups[1:] >= groups[:-1]).all() and groups[0] == 0:
        # Rows in order of their groups: many times faster.
        return np.add.reduceat(values, np.flatnonzero(np.diff(groups, prepend=-1)), axis=0)
    return np.column_stack([np.bincount(groups, column) for column in values.T])


def adding(groups: np.ndarray, values: np.ndarray | None = None) -> csc_array:
    """Return the sparse matrix (groups x rows) whose product with a matrix adds up its rows by group number (rows,).

    Each row counts `values` (rows,) times, once without them. The rows may stand in any order, and no copy of them is
    made, which counts where many matrices are added up by the same groups.
    """
    from scipy.sparse import csc_array

    values = np.ones(len(groups)) if values is None else values
    count = len(np.bincount(groups))
    return csc_array((values, groups, np.arange(len(groups) + 1)), shape=(count, len(groups)))


def correction(clusters: int, rows: int, parameters: int = 1) -> float:
    """Return G/(G-1) x (n-1)/(n-k), by which every clustered variance is multiplied (Cameron & Miller 2015, eq. 12).

    One rule for all estimators, linear or not. G is the number of `clusters` and n that of `rows` of the regression:
    cells, where loans are added up in cells, and not rows that leave before the fit. k counts every coefficient that
    is estimated, the effects of groups among them whether or not they stand in the design and whether or not groups
    lie inside clusters, as if each had its indicator. Of the likelihood given each group's number of events, which
    estimates no such effects, it counts the slopes. A mean, a ratio, an area under the ROC curve and other averages of
    influences estimate one number: k is 1 and the factor G/(G-1). Where every row is its own cluster, the factor is
    n/(n-k) (HC1). Errors of a jackknife over clusters have their own factor, (G-1)/G on the sum of squares.

    Raises StudyError where there are no more rows than coefficients, or fewer than two clusters.
    """
    if clusters < 2:
        raise StudyError("standard errors need at least two clusters: use a larger cohort or another cluster column.")
    if rows <= parameters:
        raise StudyError(f"{rows:,} rows for {parameters:,} coefficients leave nothing to judge the error by.")
    return float(clusters / (clusters - 1) * (rows - 1) / (rows - parameters))


def sandwich(
    bread: np.ndarray, x: np.ndarray, rest: np.ndarray, clusters: np.ndarray, parameters: int | None = None
) -> np.ndarray:
    """Return the cluster-robust covariance of coefficients (columns x columns), with the `correction`.

    `bread` is the inverse information, `x` (rows x columns) times `rest` (rows,) are the scores, `clusters` numbers
    from 0 (rows,). `parameters` count the coefficients where there are more than columns, as with absorbed effects.
    """
    sums = adding(clusters, rest) @ x
    size = correction(len(sums), len(x), x.shape[1] if parameters is None else parameters)
    return size * bread @ (sums.T @ sums) @ bread


def effect(estimate: float, std_error: float, level: float, degrees: float = np.inf) -> Effect:
    """Return the estimate with its interval and p-value from Student's t with `degrees` of freedom."""
    from scipy.special import stdtr, stdtrit

    half = stdtrit(degrees, 0.5 + level / 2) * std_error
    p_value = 2 * stdtr(degrees, -abs(estimate) / std_error)
    return Effect(float(estimate), float(std_error), float(estimate - half), float(estimate + half), float(p_value))


def two_way(first: np.ndarray, second: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return the standard error clustered two ways, from those clustered by one way, by the other and by both at once.

    The variances of the two ways less that of their intersections, each with its own `correction` (Cameron, Gelbach &
    Miller 2011, Journal of Business & Economic Statistics 29, section 2.2). Arrays of one shape; missing where the
    difference is not positive.
    """
    variance = np.square(first) + np.square(second) - np.square(both)
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def on_matched(pair: np.ndarray, cluster: np.ndarray, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard error of matched loans and by what it is clustered, a place in `WAYS`.

    Loans of one pair resemble each other, and so do those of one cluster, whatever pairs they are in: the error is the
    wider of the `two_way` one and that by the cluster alone, and where there is no two-way one the wider of the two
    ways. `pair`, `cluster` and `both` are errors clustered by each (arrays of one shape).
    """
    errors = np.stack([cluster, two_way(pair, cluster, both), pair])
    errors[2] = np.where(np.isnan(errors[1]), errors[2], np.nan)
    # Where pairs lie inside clusters both errors are the same but for rounding: it is the cluster's.
    errors[1] = np.where(errors[1] > errors[0] * (1 + 1e-9), errors[1], np.nan)
    way = np.nanargmax(errors, axis=0)
    return np.take_along_axis(errors, way[None], axis=0)[0], way


WAYS = ("cluster", "two_way", "pair")
"""How errors of matched loans may be clustered."""


def crossed(pair: np.ndarray, cluster: np.ndarray | pd.Series) -> dict[str, np.ndarray]:
    """Return the labels (rows,) by which errors of matched loans are asked for: ``pair``, ``cluster`` and ``both``.

    Pairs of one loan each (weights, strata, controls that serve again) leave ``cluster`` alone, and clusters of one
    loan each leave ``pair`` alone.
    """
    pairs, clusters = cluster_codes(pair), cluster_codes(cluster)
    of_clusters = int(clusters.max()) + 1
    if int(pairs.max()) + 1 == len(pairs):
        return {"cluster": clusters}
    if of_clusters == len(clusters):
        return {"pair": pairs}
    return {"pair": pairs, "cluster": clusters, "both": pairs * of_clusters + clusters}


def certain(estimate: float, std_error: float, level: float, degrees: float = np.inf) -> Effect:
    """Return `effect`, or where nothing varies (an error of nought) the estimate for certain; no error, no interval."""
    if np.isnan(std_error):
        return Effect(float(estimate), np.nan, np.nan, np.nan, np.nan)
    if std_error == 0:
        return Effect(float(estimate), 0.0, float(estimate), float(estimate), 1.0 if estimate == 0 else 0.0)
    return effect(estimate, std_error, level, degrees)


DOMINANT = 0.1
"""Share of the loans in one cluster above which it rules an error by clusters (MacKinnon, Nielsen & Webb 2023, Journal
of Econometrics 232, 272-299, on clusters that are influential): sums by cluster then understate it, and the jackknife
that leaves out a cluster at a time stands for them."""


def degrees_of_freedom(sizes: np.ndarray) -> float:
    """Return the degrees of freedom of an error by clusters with these `sizes` (clusters,): loans, or their weight.

    One less than the effective number of clusters, (sum of sizes) squared / sum of squared sizes, which is that of a
    mean whose loans move with their cluster (Carter, Schnepel & Steigerwald 2017, Review of Economics and Statistics
    99, 698-709); at least one. For clusters of one size it is their number less one; a cluster with three tenths of the
    loans leaves hardly more than ten, however many others there are.
    """
    sizes = np.asarray(sizes, dtype=float)
    return float(max(sizes.sum() ** 2 / (sizes**2).sum() - 1, 1.0))


def scaled(found: Effect, factor: float) -> Effect:
    """Return an effect in other units: everything but the p-value times `factor` (positive)."""
    estimate, error, low, high, p_value = found
    return Effect(factor * estimate, factor * error, factor * low, factor * high, p_value)


def as_ratio(found: Effect) -> Effect:
    """Return an effect on the log scale as a ratio; its error stays on the log scale."""
    estimate, low, high = np.exp([found.estimate, found.ci_low, found.ci_high])
    return Effect(float(estimate), found.std_error, float(low), float(high), found.p_value)
