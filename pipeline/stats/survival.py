"""Survival by month from counts: Kaplan-Meier, cumulative incidence with competing exits, and the log-rank test.

Everything is computed from a table of how many loans were at risk in each month and how many left, by way out. With
such a table for each cluster, leaving a cluster out is a subtraction, so errors that allow loans of one lender to
resemble each other cost next to nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, codes, correction, effect

MOST = 200
"""Clusters that are left out one by one; more are split into so many groups, left out together (Kott 2001)."""


class LifeTable(NamedTuple):
    """Loans by month, of all loans and without each cluster."""

    at_risk: np.ndarray
    """Loans under observation when a month begins (1 + groups x months); place 0 holds all loans, g + 1 those
    without group g. Month t of the table is the t-th after origination."""
    exits: np.ndarray
    """Loans that leave in a month (1 + groups x ways out x months)."""

    @property
    def groups(self) -> int:
        """How many clusters, or groups of clusters, can be left out."""
        return len(self.at_risk) - 1


def jackknife_groups(clusters: np.ndarray) -> np.ndarray:
    """Return group numbers from 0 for a jackknife: clusters, or groups of them where there are many."""
    numbers = codes(clusters)
    return numbers if numbers.max(initial=0) < MOST else numbers % MOST


def _whole(months: np.ndarray) -> np.ndarray:
    """Return months as whole numbers (loans,); StudyError where one is not, or lies before month 1."""
    values = np.asarray(months, dtype=float)
    if not ((values >= 1) & (values == np.floor(values))).all():
        raise StudyError(
            "months until a loan ends are whole numbers from 1: one that ends on the day it begins ends in month 1."
        )
    return values.astype(int)


def life_table(
    months: np.ndarray,
    way_out: np.ndarray,
    ways: int,
    groups: np.ndarray,
    last: int,
    weights: np.ndarray | None = None,
    stays: np.ndarray | None = None,
) -> LifeTable:
    """Count loans at risk and leaving by month.

    `months` (loans,) are whole months from 1 until a loan leaves or is seen for the last time, `way_out` (loans,) 0 for
    one that is still there then and 1 to `ways` otherwise; what leaves after month `last` counts as still there.
    `groups` (loans,) number from 0 what is left out together. `weights` say for how many loans each one stands, and
    `stays` (boolean) which loans are counted; groups are those of all loans, so that tables of two arms go together.
    Raises StudyError for months that are not whole numbers from 1, and for a way out that is not one of 0 to `ways`.
    """
    months = _whole(months)
    if not np.isin(way_out, np.arange(ways + 1)).all():
        raise StudyError(f"ways out of a loan are whole numbers from 0 to {ways}.")
    weights = np.ones(len(months)) if weights is None else np.asarray(weights, dtype=float)
    stays = np.ones(len(months), dtype=bool) if stays is None else stays
    number = int(groups.max()) + 1
    month = np.minimum(months, last)
    way = np.where(months > last, 0, way_out).astype(int)
    place = (groups * (ways + 1) + way) * last + month - 1
    counted = np.bincount(place[stays], weights[stays], number * (ways + 1) * last).reshape(number, ways + 1, last)
    # At risk when month t begins are those who are last seen in t or later.
    at_risk = counted.sum(axis=1)[:, ::-1].cumsum(axis=1)[:, ::-1]
    exits = counted[:, 1:]
    return LifeTable(
        np.concatenate([at_risk.sum(0)[None], at_risk.sum(0) - at_risk]),
        np.concatenate([exits.sum(0)[None], exits.sum(0) - exits]),
    )


def cumulative_incidence(table: LifeTable) -> np.ndarray:
    """Return the probability of having left by each way by the end of each month (1 + groups x ways x months).

    Aalen & Johansen (1978, Scandinavian Journal of Statistics 5): the sum over months of the probability of still being
    there times the share that leaves by this way. With a single way out it is one less Kaplan and Meier's (1958)
    estimate. A loan that leaves by another way can no longer leave by this one, and is not treated as if it might.
    """
    at_risk = np.maximum(table.at_risk, 1e-300)[:, None]
    hazard = np.where(table.at_risk[:, None] > 1e-9, table.exits / at_risk, 0.0)
    staying = np.cumprod(1 - hazard.sum(axis=1), axis=1)
    before = np.concatenate([np.ones((len(staying), 1)), staying[:, :-1]], axis=1)
    return np.cumsum(before[:, None] * hazard, axis=2)


def jackknife(estimates: np.ndarray, level: float) -> list[Effect]:
    """Return effects with the jackknife's error from estimates on all loans (first row) and without each group.

    `estimates` (1 + groups x numbers). Student's t with one degree of freedom less than there are groups.
    """
    groups = len(estimates) - 1
    if groups < 2:
        raise StudyError("standard errors need at least two clusters: use a larger cohort or another cluster column.")
    spread = ((estimates[1:] - estimates[0]) ** 2).sum(axis=0) * (groups - 1) / groups
    return [
        _certain(value) if error == 0 else effect(value, error, level, groups - 1)
        for value, error in zip(estimates[0], np.sqrt(spread), strict=True)
    ]


def _certain(value: float) -> Effect:
    """Return a number without error, such as nothing before the first month in which anything happens."""
    return Effect(float(value), 0.0, float(value), float(value), float("nan"))


class LogRank(NamedTuple):
    """Whether two arms leave at the same rate, month by month."""

    observed: float
    """Treated loans that left by this way ..."""
    expected: float
    """... and how many would have, at the rate of all loans under observation."""
    chi_squared: float
    p_value: float
    clustered: float
    """The statistic whose variance allows loans of one cluster to resemble each other ..."""
    clustered_p: float


def log_rank(
    months: np.ndarray,
    left: np.ndarray,
    treated: np.ndarray,
    clusters: np.ndarray,
    last: int,
    strata: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> LogRank:
    """Compare the treated loans that leave with those expected if both arms left at the same rate each month.

    `months` (loans,) from 1, `left` (boolean) whether a loan leaves by the way in question then (any other way ends its
    observation: the hypothesis is about cause-specific rates), `treated` 0/1, `strata` within which arms are compared.
    The plain statistic has the hypergeometric variance (Mantel 1966; without meaning for `weights`); the other sums
    each loan's contribution to the score by cluster (Lin & Wei 1989, Journal of the American Statistical Association
    84), with `inference.correction`, where k is 1. Both are chi-squared with one degree of freedom. Raises StudyError
    where an arm is never at risk together with the other, and for months that are not whole numbers from 1.
    """
    from scipy.special import chdtrc

    months = _whole(months)
    weights = np.ones(len(months)) if weights is None else np.asarray(weights, dtype=float)
    stratum = np.zeros(len(months), dtype=int) if strata is None else codes(strata)
    cluster = codes(clusters)
    count, layers = int(cluster.max()) + 1, int(stratum.max()) + 1
    month = np.minimum(months, last) - 1
    leaves = np.asarray(left, dtype=bool) & (months <= last)
    arm = np.asarray(treated, dtype=bool)

    def counted(of: np.ndarray) -> np.ndarray:
        found = np.bincount(stratum[of] * last + month[of], weights[of], layers * last)
        return found.reshape(layers, last)

    everyone = np.ones(len(months), dtype=bool)
    at_risk = counted(everyone)[:, ::-1].cumsum(1)[:, ::-1]
    of_arm = counted(arm)[:, ::-1].cumsum(1)[:, ::-1]
    exits, exits_of_arm = counted(leaves), counted(leaves & arm)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(at_risk > 1e-9, of_arm / at_risk, 0.0)
        rate = np.where(at_risk > 1e-9, exits / at_risk, 0.0)
        variance = np.where(
            at_risk > 1 + 1e-9, exits * share * (1 - share) * (at_risk - exits) / (at_risk - 1), 0.0
        ).sum()
    observed, expected = float(exits_of_arm.sum()), float((share * exits).sum())
    if variance <= 0:
        raise StudyError("no month has loans of both arms at risk and one that leaves: rates cannot be compared.")
    # What each loan adds: its own exit, less what its months at risk would have brought at the rate of all.
    up_to = np.cumsum(rate, axis=1), np.cumsum(rate * share, axis=1)
    own = (leaves * (arm - share[stratum, month])) - (arm * up_to[0][stratum, month] - up_to[1][stratum, month])
    scores = np.bincount(cluster, weights * own, count)
    robust = correction(count, len(months)) * float((scores**2).sum())
    plain, by_cluster = (observed - expected) ** 2 / variance, (observed - expected) ** 2 / max(robust, 1e-300)
    return LogRank(
        observed, expected, float(plain), float(chdtrc(1, plain)), float(by_cluster), float(chdtrc(1, by_cluster))
    )
