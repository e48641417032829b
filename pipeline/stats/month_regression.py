"""Regressions on loan-months: logistic, Poisson and linear, with the effects of lenders taken out and with weights."""

from __future__ import annotations

import contextlib
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError
from pipeline.stats.inference import cluster_codes, codes, effect, group_sums
from pipeline.stats.products import grouped_products
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

    def influence(self, clusters: np.ndarray) -> np.ndarray:
        """Return what each cluster moves the slopes by (clusters x slopes): their sums of squares are the variance.

        `clusters` label all rows of the data given.
        """
        own = cluster_codes(np.asarray(clusters)[self.rows])
        sums = np.column_stack([np.bincount(own, column * self.rest) for column in self.inside.T])
        return sums @ self.bread

    def effects(self, clusters: np.ndarray, level: float, **sums: list[str]) -> dict[str, Effect]:
        """Return every slope with an error that allows rows of one cluster to resemble each other.

        With the correction G/(G-1), from Student's t with G-1 degrees of freedom. `sums` name sums of slopes.
        """
        moved = self.influence(clusters)
        count = len(moved)
        wanted = {name: [name] for name in self.names} | sums
        found = {}
        for name, parts in wanted.items():
            places = [self.names.index(part) for part in parts]
            error = np.sqrt(count / (count - 1) * (moved[:, places].sum(axis=1) ** 2).sum())
            found[name] = effect(self.slopes[places].sum(), error, level, count - 1)
        return found

    def adds(self, column: np.ndarray, clusters: np.ndarray) -> Tested:
        """Test whether `column` (all rows of the data given) would add to the regression, without fitting it.

        The score of the column at a slope of nought, with the variance of its sums by cluster (Wooldridge 2010,
        Econometric Analysis of Cross Section and Panel Data, section 12.6).
        """
        from scipy.stats import chi2

        values = np.asarray(column, dtype=float)[self.rows]
        total = np.bincount(self.group, self.density)
        values = values - (np.bincount(self.group, self.density * values) / total)[self.group]
        slopes = self.bread @ (self.inside.T @ (self.density * values))
        score = (values - self.inside @ slopes) * self.rest
        sums = np.bincount(cluster_codes(np.asarray(clusters)[self.rows]), score)
        count = len(sums)
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
    ``poisson``: a count's mean is exp(group + design @ b); ``linear``: least squares. Newton's method, group effects
    solved for inside each step, so that hundreds of them cost nothing. `weights` (rows,) multiply each row's
    likelihood. Groups without an event (or with events alone, of a logistic regression) say nothing and are left out,
    and so are columns that do not vary inside groups. Raises StudyError when nothing is left or there is no maximum.
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

    x = np.ascontiguousarray(design.to_numpy(dtype=float))[rows]
    x -= x.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", x, x) / len(x))
    means = group_sums(x, group) / np.bincount(group)[:, None]
    spread = np.sqrt(np.maximum(length**2 - np.bincount(group) @ means**2 / len(x), 0))
    for place in np.flatnonzero(spread < 1e-3 * length):
        # A difference of large numbers says too little about a small one.
        spread[place] = np.sqrt(((x[:, place] - means[group, place]) ** 2).mean())
    varies = spread > 1e-8 * length
    names = tuple(np.array(list(design), dtype=object)[varies])
    if not names:
        raise StudyError("no column varies inside groups: there is nothing to explain events by.")
    # Columns of one size: the steps are then well behaved.
    spread = spread[varies]
    x = x if varies.all() else x[:, varies]
    x /= spread

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
        products, weighted = grouped_products(x, density, group)
        sums, score = np.bincount(group, density), np.bincount(group, rest)
        information = products - weighted.T @ (weighted / sums[:, None])
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
    # In the columns' own units again, in place of the columns.
    x -= (weighted / sums[:, None])[group]
    x *= spread
    bread = np.linalg.inv(information)
    return Fitted(
        names,
        (b + step) / spread,
        bread / np.outer(spread, spread),
        x,
        density,
        rest,
        group,
        rows,
        fitted,
    )


def separate_slopes(
    outcome: np.ndarray,
    columns: pd.DataFrame,
    controls: pd.DataFrame,
    groups: np.ndarray,
    clusters: np.ndarray,
    level: float,
) -> dict[str, Effect]:
    """Return the slope of each column in a linear regression of its own, given controls and an effect of each group.

    By the theorem of Frisch, Waugh and Lovell controls and groups are taken out of all columns and of the outcome once.
    `columns` and `controls` (rows x columns), `groups` and `clusters` label the rows. Errors as in `Fitted.effects`;
    columns of which nothing is left are absent from the result.
    """
    group, cluster = codes(groups), cluster_codes(clusters)
    size = np.bincount(group)

    def inside(frame: pd.DataFrame) -> np.ndarray:
        values = frame.to_numpy(dtype=float)
        means = np.column_stack([np.bincount(group, column) for column in values.T]) / size[:, None]
        return values - means[group]

    z = inside(controls)
    z = z[:, np.linalg.norm(z, axis=0) > 1e-8 * np.maximum(np.linalg.norm(controls.to_numpy(dtype=float), axis=0), 1)]
    both = inside(columns.assign(**{"": outcome}))
    before = np.linalg.norm(both, axis=0)
    both = both - z @ np.linalg.lstsq(z.T @ z, z.T @ both, rcond=None)[0]
    y, count, found = both[:, -1], int(cluster.max()) + 1, {}
    for place, name in enumerate(columns):
        x = both[:, place]
        information = float(x @ x)
        if information <= 1e-12 * max(before[place] ** 2, 1e-300) or before[place] < 1e-9:
            continue
        slope = float(x @ y) / information
        sums = np.bincount(cluster, x * (y - slope * x))
        error = np.sqrt(count / (count - 1) * (sums**2).sum()) / information
        found[name] = effect(slope, error, level, count - 1)
    return found
