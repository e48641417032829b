"""Regressions on loan-months: logistic, Poisson and linear, with the effects of lenders taken out and with weights."""

from __future__ import annotations

import contextlib
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError
from pipeline.stats.inference import cluster_codes, codes, effect, group_sums
from pipeline.stats.regression import Effect

CERTAIN = 30.0
"""Linear predictors beyond this mean that the likelihood has no maximum: coefficients run off to infinity."""


MANY = 100_000
"""Rows from which a tenth of them is fitted first."""


Family = Literal["logit", "poisson", "linear"]


class Tested(NamedTuple):
    """A test of one restriction."""

    statistic: float
    """Chi-squared with one degree of freedom."""
    p_value: float


class Fitted(NamedTuple):
    """A regression at its maximum, on the rows of those groups that say anything."""

    names: tuple[str, ...]
    slopes: np.ndarray
    bread: np.ndarray
    """Inverse information in the slopes, the group effects concentrated out."""
    scores: np.ndarray
    """Each row's contribution to the score of the slopes (rows x slopes)."""
    inside: np.ndarray
    """What the groups leave of the columns, at the weights of the last step (rows x slopes)."""
    density: np.ndarray
    """Weight of each row in the last step (rows,)."""
    rest: np.ndarray
    """Weighted residual (rows,)."""
    group: np.ndarray
    """Group number of each row, rising."""
    rows: np.ndarray
    """Places of the rows in the data given."""
    fitted: np.ndarray
    """Expected outcome of each row."""

    def variance(self, clusters: np.ndarray) -> np.ndarray:
        """Return the variance of the slopes that allows rows of one cluster to resemble each other, times G/(G-1).

        `clusters` label all rows of the data given.
        """
        sums = self.influence(clusters)
        return len(sums) / (len(sums) - 1) * sums.T @ sums

    def influence(self, clusters: np.ndarray) -> np.ndarray:
        """Return what each cluster moves the slopes by (clusters x slopes): their sums of squares are the variance.

        Clusters are numbered over all data given, so that fits on different rows go together.
        """
        numbers = cluster_codes(clusters)
        own = numbers[self.rows]
        sums = np.column_stack([np.bincount(own, column, numbers.max() + 1) for column in self.scores.T])
        return sums @ self.bread

    def effect(self, name: str, clusters: np.ndarray, level: float) -> Effect:
        """Return one slope with its clustered error, from Student's t with G-1 degrees of freedom."""
        return self.sum_of([name], clusters, level)

    def sum_of(self, names: list[str], clusters: np.ndarray, level: float) -> Effect:
        """Return the sum of slopes with its clustered error."""
        places = [self.names.index(name) for name in names]
        sums = self.influence(clusters)[:, places].sum(axis=1)
        error = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum())
        return effect(self.slopes[places].sum(), error, level, len(sums) - 1)

    def adds(self, column: np.ndarray, clusters: np.ndarray) -> Tested:
        """Test whether `column` (all rows of the data given) would add to the regression, without fitting it.

        The score of the column at a slope of nought, with the variance of its sums by cluster (Wooldridge 2010, Econometric
        Analysis of Cross Section and Panel Data, section 12.6).
        """
        from scipy.stats import chi2

        values = np.asarray(column, dtype=float)[self.rows]
        total = np.bincount(self.group, self.density)
        values = values - (np.bincount(self.group, self.density * values) / total)[self.group]
        slopes = self.bread @ (self.inside.T @ (self.density * values))
        score = (values - self.inside @ slopes) * self.rest
        sums = np.bincount(cluster_codes(clusters)[self.rows], score)
        count = len(np.unique(cluster_codes(clusters)[self.rows]))
        statistic = float(sums.sum() ** 2 / (count / (count - 1) * (sums**2).sum()))
        return Tested(statistic, float(chi2.sf(statistic, 1)))


def log_odds(share: np.ndarray) -> np.ndarray:
    """Return ln(p / (1 - p))."""
    return np.log(share / (1 - share))


def month_regression(
    outcome: np.ndarray,
    design: pd.DataFrame,
    groups: np.ndarray,
    family: Family = "logit",
    weights: np.ndarray | None = None,
) -> Fitted:
    """Fit a regression of `outcome` (rows,) on `design` (rows x columns, no intercept) and an effect for each group.

    ``logit``: Pr(event in month t | at risk) = logistic(group + design @ b), the discrete-time hazard (Allison 1982);
    ``poisson``: a count's mean is exp(group + design @ b); ``linear``: least squares. Newton's method, group effects solved for inside each step,
    so that hundreds of them cost nothing. `weights` (rows,) multiply each row's likelihood. Groups without an event (or
    with events alone, of a logistic regression) say nothing and are left out, and so are columns that do not vary
    inside groups. Raises StudyError when nothing is left or there is no maximum.
    """
    y = np.asarray(outcome, dtype=float)
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)
    group = codes(groups)
    share = np.bincount(group, y) / np.bincount(group)
    says = {"logit": (share > 0) & (share < 1), "poisson": share > 0, "linear": np.ones(len(share), dtype=bool)}
    kept = says[family]
    rows = np.flatnonzero(kept[group])
    if not len(rows):
        raise StudyError("no events among the months at risk: there is nothing to explain.")
    rows = rows[np.argsort(group[rows], kind="stable")]
    y, weight, group = y[rows], weight[rows], codes(group[rows])

    x = design.to_numpy(dtype=float)[rows]
    means = group_sums(x, group) / np.bincount(group)[:, None]
    spread = np.sqrt(((x - means[group]) ** 2).mean(axis=0))
    varies = spread > 1e-8 * np.maximum(np.abs(x).max(axis=0), 1e-300)
    names = tuple(np.array(list(design), dtype=object)[varies])
    if not names:
        raise StudyError("no column varies inside groups: there is nothing to explain events by.")
    # Columns of one size: the steps are then well behaved.
    spread = spread[varies]
    x = (x[:, varies] - x[:, varies].mean(axis=0)) / spread

    total = np.bincount(group, weight)
    mean = np.bincount(group, weight * y) / total
    own = {"logit": log_odds, "poisson": np.log, "linear": np.array}[family](mean)
    b, step = np.zeros(x.shape[1]), np.full(x.shape[1], np.inf)
    if len(y) > MANY and family != "linear":
        # A tenth of the rows says nearly where the maximum lies, and saves the steps of all rows that lead there.
        with contextlib.suppress(StudyError):
            few = np.arange(0, len(y), 10)
            start = month_regression(y[few], pd.DataFrame(x[few]), group[few], family, weight[few])
            b[list(start.names)] = start.slopes
            own = own - np.bincount(group, weight * (x @ b)) / total
    for _ in range(40):
        linear = own[group] + x @ b
        if not np.abs(linear).max() < CERTAIN and family != "linear":
            break
        if family == "logit":
            fitted = 1 / (1 + np.exp(-linear))
            density = weight * fitted * (1 - fitted)
        elif family == "poisson":
            fitted = np.exp(linear)
            density = weight * fitted
        else:
            fitted, density = linear, weight
        rest = weight * (y - fitted)
        sums, weighted = np.bincount(group, density), group_sums(density[:, None] * x, group)
        score = np.bincount(group, rest)
        information = x.T @ (density[:, None] * x) - weighted.T @ (weighted / sums[:, None])
        try:
            step = np.linalg.solve(information, x.T @ rest - weighted.T @ (score / sums))
        except np.linalg.LinAlgError:
            break
        # Steps shrink quadratically: the one after this would be of the order of its square.
        if np.abs(step).max() < 1e-6:
            break
        b, own = b + step, own + (score - weighted @ step) / sums
    if not np.abs(step).max() < 1e-6:
        raise StudyError("the regression on months has no maximum: some column separates the events perfectly.")
    inside = x - (weighted / sums[:, None])[group]
    bread = np.linalg.inv(information)
    return Fitted(
        names,
        (b + step) / spread,
        bread / np.outer(spread, spread),
        inside * rest[:, None] * spread,
        inside * spread,
        density,
        rest,
        group,
        rows,
        fitted,
    )
