"""Regressions on loan-months: logistic, Poisson and linear, with the effects of lenders taken out and with weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, cluster_codes, codes, correction, effect
from pipeline.stats.products import newton_sums

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

    @property
    def parameters(self) -> int:
        """Coefficients, the effects of groups among them."""
        return len(self.slopes) + int(self.group[-1]) + 1

    def influence(self, clusters: np.ndarray) -> np.ndarray:
        """Return what each cluster moves the slopes by (clusters x slopes): their sums of squares are the variance.

        `clusters` label all rows of the data given.
        """
        own = cluster_codes(np.asarray(clusters)[self.rows])
        sums = np.column_stack([np.bincount(own, column * self.rest) for column in self.inside.T])
        return sums @ self.bread

    def effects(self, clusters: np.ndarray, level: float, **sums: list[str]) -> dict[str, Effect]:
        """Return every slope with an error that allows rows of one cluster to resemble each other.

        With the correction of `inference.correction`, from Student's t with G-1 degrees of freedom. `sums` name sums of
        slopes.
        """
        moved = self.influence(clusters)
        count = len(moved)
        scale = correction(count, len(self.rows), self.parameters)
        wanted = {name: [name] for name in self.names} | sums
        found = {}
        for name, parts in wanted.items():
            places = [self.names.index(part) for part in parts]
            error = np.sqrt(scale * (moved[:, places].sum(axis=1) ** 2).sum())
            found[name] = effect(self.slopes[places].sum(), error, level, count - 1)
        return found

    def adds(self, column: np.ndarray, clusters: np.ndarray) -> Tested:
        """Test whether `column` (all rows of the data given) would add to the regression, without fitting it.

        The score of the column at a slope of nought, with the variance of its sums by cluster (Wooldridge 2010,
        Econometric Analysis of Cross Section and Panel Data, section 12.6).
        """
        from scipy.special import chdtrc

        values = np.asarray(column, dtype=float)[self.rows]
        total = np.bincount(self.group, self.density)
        values = values - (np.bincount(self.group, self.density * values) / total)[self.group]
        slopes = self.bread @ (self.inside.T @ (self.density * values))
        score = (values - self.inside @ slopes) * self.rest
        sums = np.bincount(cluster_codes(np.asarray(clusters)[self.rows]), score)
        variance = correction(len(sums), len(self.rows), self.parameters) * (sums**2).sum()
        statistic = float(sums.sum() ** 2 / variance)
        return Tested(statistic, float(chdtrc(1, statistic)))


def log_odds(share: np.ndarray) -> np.ndarray:
    """Return ln(p / (1 - p))."""
    return np.log(share / (1 - share))


LINKS: dict[Family, Callable[[np.ndarray], np.ndarray]] = {"logit": log_odds, "poisson": np.log, "linear": np.array}
"""Linear predictor of an expected outcome, by family."""


def month_regression(
    outcome: np.ndarray,
    design: pd.DataFrame,
    groups: np.ndarray,
    family: Family = "logit",
    weights: np.ndarray | None = None,
    stays: np.ndarray | None = None,
    tolerance: float = 1e-6,
) -> Fitted:
    """Fit a regression of `outcome` (rows,) on `design` (rows x columns, no intercept) and an effect for each group.

    ``logit``: Pr(event in month t | at risk) = logistic(group + design @ b), the discrete-time hazard (Allison 1982);
    ``poisson``: a count's mean is exp(group + design @ b); ``linear``: least squares. Newton's method, group effects
    solved for inside each step, so that hundreds of them cost nothing. `weights` (rows,) multiply each row's
    likelihood, `stays` (rows,) says which rows are taken at all. The search ends at a step below `tolerance`, of which
    the errors are as far from those at the maximum. Groups without an event (or with events alone, of a
    logistic regression) say nothing and are left out, and so are columns that do not vary inside groups. Raises
    StudyError when nothing is left or there is no maximum.
    """
    rows = np.arange(len(design)) if stays is None else np.flatnonzero(stays)
    y, group = np.asarray(outcome)[rows].astype(float), codes(np.asarray(groups)[rows])
    share = np.bincount(group, y) / np.bincount(group)
    says = {"logit": (share > 0) & (share < 1), "poisson": share > 0, "linear": np.ones(len(share), dtype=bool)}
    kept = np.flatnonzero(says[family][group])
    if not len(kept):
        raise StudyError("no events among the months at risk: there is nothing to explain.")
    kept = kept[np.argsort(group[kept], kind="stable")]
    rows, y, group = rows[kept], y[kept], codes(group[kept])
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=float)[rows]

    x, spread, names = _columns(design, rows, group)
    total = np.bincount(group, weight)
    mean = np.bincount(group, weight * y) / total
    own = LINKS[family](mean)
    b, step = np.zeros(len(x)), np.full(len(x), np.inf)
    if len(y) > MANY and family != "linear":
        # A tenth of the rows says nearly where the maximum lies, and saves the steps of all rows that lead there.
        with contextlib.suppress(StudyError):
            few = slice(None, None, 10)
            start = month_regression(y[few], pd.DataFrame(x[:, few].T), group[few], family, weight[few])
            b[np.array(start.names, dtype=int)] = start.slopes
            own = own - np.bincount(group, weight * (b @ x)) / total
    for _ in range(40):
        sums = newton_sums(x, y, weight, group, own, b, family, CERTAIN)
        if sums is None:
            break
        below, score = np.bincount(group, sums.density), np.bincount(group, sums.rest)
        shares = sums.by_group / below[:, None]
        information = sums.products - sums.by_group.T @ shares
        try:
            step = np.linalg.solve(information, sums.score - sums.by_group.T @ (score / below))
        except np.linalg.LinAlgError:
            break
        # Steps shrink quadratically: the one after this would be of the order of its square.
        if np.abs(step).max() < tolerance:
            break
        b, own = b + step, own + (score - sums.by_group @ step) / below
    if sums is None or not np.abs(step).max() < tolerance:
        raise StudyError("the regression on months has no maximum: some column separates the events perfectly.")
    # In the columns' own units again, in place of the columns.
    size = np.bincount(group)
    for values, share_of, scale in zip(x, shares.T, spread, strict=True):
        values -= np.repeat(share_of, size)
        values *= scale
    bread = np.linalg.inv(information)
    return Fitted(
        tuple(names),
        (b + step) / spread,
        bread / np.outer(spread, spread),
        x.T,
        sums.density,
        sums.rest,
        group,
        rows,
        sums.fitted,
    )


def _columns(design: pd.DataFrame, rows: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the columns that vary inside groups, one after the other and of one size, that size, and their names.

    In the order of the rows, whose groups rise: of so many months each copy counts. Raises StudyError for no column.
    """
    x = np.empty((design.shape[1], len(rows)))
    size, first = np.bincount(group), np.flatnonzero(np.diff(group, prepend=-1))
    names: list[str] = []
    spreads: list[float] = []
    for place, name in enumerate(design):
        values = x[len(names)]
        np.copyto(values, design.iloc[:, place].to_numpy()[rows])
        values -= values.mean()
        length = np.sqrt(values @ values / len(values))
        means = np.add.reduceat(values, first) / size
        own_spread = np.sqrt(max(length**2 - size @ means**2 / len(values), 0))
        if own_spread < 1e-3 * length:
            # A difference of large numbers says too little about a small one.
            own_spread = np.sqrt(((values - means[group]) ** 2).mean())
        # The next column takes the place of one that does not vary.
        if own_spread > 1e-8 * length:
            # Columns of one size: the steps are then well behaved.
            values /= own_spread
            names.append(name)
            spreads.append(own_spread)
    if not names:
        raise StudyError("no column varies inside groups: there is nothing to explain events by.")
    return x[: len(names)], np.array(spreads), names


def hazard_logit(
    event: np.ndarray, design: pd.DataFrame, factor: str, groups: pd.Series, clusters: pd.Series, level: float
) -> Effect:
    """Return the log odds ratio of one unit of `factor` for an event in a month.

    A discrete-time hazard (`month_regression`) on loan-months at risk; `design` (loan-months x columns, no intercept)
    holds `factor`, the controls and whatever shape the hazard takes over months. Assumes that, given design and groups,
    the months at risk of one loan are independent draws, and nothing else moves factor and event together. Errors as in
    `Fitted.effects`. Raises StudyError when there is no maximum, or the factor does not vary inside groups.
    """
    found = month_regression(event, design, groups.to_numpy(), tolerance=1e-7)
    if factor not in found.names:
        raise StudyError(f"{factor} does not vary inside groups: its hazard cannot be estimated.")
    return found.effects(clusters.to_numpy(), level)[factor]


def separate_slopes(
    outcome: np.ndarray,
    columns: pd.DataFrame,
    controls: pd.DataFrame,
    groups: np.ndarray,
    clusters: np.ndarray,
    level: float,
    stays: np.ndarray | None = None,
) -> dict[str, Effect]:
    """Return the slope of each column in a linear regression of its own, given controls and an effect of each group.

    By the theorem of Frisch, Waugh and Lovell controls and groups are taken out of all columns and of the outcome once.
    `columns` and `controls` (rows x columns), `groups` and `clusters` label the rows, `stays` (rows,) says which are
    taken. Errors as in `Fitted.effects`; columns of which nothing is left are absent from the result.
    """
    rows = slice(None) if stays is None else np.flatnonzero(stays)
    group, cluster = codes(np.asarray(groups)[rows]), cluster_codes(np.asarray(clusters)[rows])
    size = np.bincount(group)

    def inside(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return what groups leave of columns, one after the other, and the length each had before."""
        left, before = np.empty((len(columns), len(group))), np.empty(len(columns))
        for place, (values, column) in enumerate(zip(left, columns, strict=True)):
            np.copyto(values, column[rows])
            before[place] = np.linalg.norm(values)
            values -= (np.bincount(group, values) / size)[group]
        return left, before

    z, whole = inside([controls[name].to_numpy() for name in controls])
    varies = np.linalg.norm(z, axis=1) > 1e-8 * np.maximum(whole, 1)
    z = z if varies.all() else z[varies]
    both, _ = inside([*(columns[name].to_numpy() for name in columns), outcome])
    before = np.linalg.norm(both, axis=1)
    slopes, _, rank, _ = np.linalg.lstsq(z @ z.T, z @ both.T, rcond=None)
    both -= slopes.T @ z
    y, count, found = both[-1], int(cluster.max()) + 1, {}
    scale = correction(count, len(y), 1 + int(rank) + len(size))
    for place, name in enumerate(columns):
        x = both[place]
        information = float(x @ x)
        if information <= 1e-12 * max(before[place] ** 2, 1e-300) or before[place] < 1e-9:
            continue
        slope = float(x @ y) / information
        sums = np.bincount(cluster, x * (y - slope * x))
        error = np.sqrt(scale * (sums**2).sum()) / information
        found[name] = effect(slope, error, level, count - 1)
    return found
