"""Early warning: what a loan's months say of its default in the months ahead, and what alerts are worth.

Tables of loan-months have one row for every month at whose beginning a loan was open, sorted by loan and month. A
prediction is made at the beginning of a month, from what earlier months have shown (landmarking: van Houwelingen 2007,
Scandinavian Journal of Statistics 34).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.discrimination import Discrimination, placements
from pipeline.stats.histories import shifted
from pipeline.stats.inference import Effect, correction, effect, sandwich
from pipeline.stats.logistic import DIGITS, maximum, sigmoid

RECENT = 3
"""Months over which earlier payments, contacts and alerts are remembered one by one."""

SMALLEST = 1e-15
"""Stands for an error of nought, which a share of all or of none has."""


def signals(months: pd.DataFrame, loan: np.ndarray) -> pd.DataFrame:
    """Return what was known of each loan at the beginning of each month (rows x signals), nothing missing.

    `months` are sorted loan-months with ``month_number``, ``current_at_start`` and ``delinquent`` (0/1), and, where
    the lender keeps them, ``proactive_contacts`` and ``reactive_contacts`` (counts, empty without a log), ``alert``
    (0/1), ``inflow`` (to the client's account, over its usual level; empty where not recorded) and ``unemployment``.
    Only months before the row's own enter, and the market as known in it.
    """
    month = months["month_number"].to_numpy(dtype=np.int64)

    def recent(name: str) -> np.ndarray:
        values = months[name].to_numpy(dtype=float)
        return np.column_stack([shifted(values, loan, month, back) for back in range(1, RECENT + 1)])

    late = recent("delinquent")
    # The state at the beginning says more than the last row: a loan may have come late into the table.
    late_now = 1.0 - months["current_at_start"].to_numpy(dtype=float)
    first = np.flatnonzero(np.diff(loan, prepend=-1))
    total = np.cumsum(months["delinquent"].to_numpy(dtype=float))
    before = np.concatenate([[0.0], total[:-1]])
    so_far = before - np.repeat(before[first], np.diff([*first, len(loan)]))
    columns = {
        "month": month.astype(float),
        "log_month": np.log(month),
        "late_now": late_now,
        "late_two_months": late_now * np.nan_to_num(late[:, 1]),
        "late_recent": np.nansum(late, axis=1),
        "late_before": (so_far > 0).astype(float),
        "late_months_before": np.log1p(so_far),
    }
    for name in ("proactive_contacts", "reactive_contacts"):
        if name in months and months[name].notna().any():
            counted = recent(name)
            known = ~np.isnan(counted)
            mean = np.nansum(counted, axis=1) / np.maximum(known.sum(axis=1), 1)
            columns[name] = np.log1p(mean)
            columns[f"{name}_last"] = np.nan_to_num(counted[:, 0])
            if not known[:, 0].all():
                columns["no_contact_log"] = (~known[:, 0]).astype(float)
    if "alert" in months:
        alerts = recent("alert")
        columns["alert_last"] = np.nan_to_num(alerts[:, 0])
        columns["alerts_recent"] = np.nansum(alerts, axis=1)
    if "inflow" in months and months["inflow"].notna().any():
        level = recent("inflow")
        known = ~np.isnan(level)
        # Where nothing is recorded yet the account is taken to be at its usual level.
        columns["inflow_last"] = np.nan_to_num(level[:, 0], nan=1.0)
        mean = np.nansum(level, axis=1) / np.maximum(known.sum(axis=1), 1)
        columns["inflow_recent"] = np.where(known.any(axis=1), mean, 1.0)
    if "unemployment" in months and months["unemployment"].notna().all():
        columns["unemployment"] = months["unemployment"].to_numpy(dtype=float)
    return pd.DataFrame(columns, index=months.index)


class Ahead(NamedTuple):
    """What the months ahead of each loan-month bring, its own month among them."""

    event: np.ndarray
    """Whether the loan defaults within the window (rows,), 0/1."""
    complete: np.ndarray
    """Whether the window ends inside the table (rows,); where it does not, an event may still come to light."""
    default_month: np.ndarray
    """The month of a loan's default (rows,); 0 for none on record."""


def ahead(loan: np.ndarray, month: np.ndarray, default: np.ndarray, window: int) -> Ahead:
    """Return whether a loan defaults in this month or the next `window` - 1.

    Rows are sorted by `loan` (numbers from 0) and `month`. A loan whose rows end before the table's last month has
    ended: nothing of its window is hidden.
    """
    when = np.zeros(int(loan.max()) + 1, dtype=np.int64)
    when[loan[default == 1]] = month[default == 1]
    default_month = when[loan]
    event = (default_month >= month) & (default_month < month + window)
    complete = month + window - 1 <= month.max()
    return Ahead(event.astype(np.int8), complete, default_month)


def _clustered_error(influence: np.ndarray, clusters: np.ndarray) -> float:
    sums = np.bincount(clusters, influence)
    if not sums.all():
        sums = sums[np.bincount(clusters) > 0]
    if len(sums) < 2:
        raise StudyError("errors need at least two clusters.")
    return float(np.sqrt(correction(len(sums), len(influence), 1) * (sums**2).sum()))


def clustered_areas(
    event: np.ndarray, first: np.ndarray, second: np.ndarray, clusters: np.ndarray, level: float
) -> Discrimination:
    """Compare two scores (rows,) of 0/1 `event`, with errors for rows that come in clusters (numbers, rows,).

    The placements of DeLong, DeLong & Clarke-Pearson (1988), added up by cluster (Obuchowski 1997, Biometrics 53); with
    every row a cluster of its own it is DeLong's error but for small-sample corrections. Normal intervals; the p-value
    of an area is against one half. Raises StudyError with fewer than two events, two others, or two clusters.
    """
    bad = event.astype(bool)
    number_bad, number_good = int(bad.sum()), int((~bad).sum())
    if min(number_bad, number_good) < 2:
        raise StudyError("an area needs at least two loans that default and two that do not.")
    areas, influences = [], []
    for score in (first, second):
        of_bad, of_good = placements(bad, score)
        area = float(of_bad.mean())
        influence = np.empty(len(event))
        influence[bad] = (of_bad - area) / number_bad
        influence[~bad] = (of_good - area) / number_good
        areas.append(area)
        influences.append(influence)
    singles = []
    for area, influence in zip(areas, influences, strict=True):
        one = effect(area - 0.5, max(_clustered_error(influence, clusters), SMALLEST), level)
        singles.append(one._replace(estimate=area, ci_low=one.ci_low + 0.5, ci_high=one.ci_high + 0.5))
    spread = max(_clustered_error(influences[1] - influences[0], clusters), SMALLEST)
    return Discrimination(singles[0], singles[1], effect(areas[1] - areas[0], spread, level))


class Calibration(NamedTuple):
    """How predicted probabilities compare with what came."""

    slope: Effect
    """Of the event's log odds on the predicted log odds: below one, predictions are too extreme."""
    ratio: Effect
    """Events over the events expected: above one, too few were expected. The p-value is against one."""


def calibration(event: np.ndarray, log_odds: np.ndarray, clusters: np.ndarray, level: float) -> Calibration:
    """Judge predicted `log_odds` (rows,) against 0/1 `event`, with errors clustered by `clusters` (numbers).

    The slope is that of a logistic recalibration (Cox 1958, Biometrika 45). Raises StudyError when it has no maximum.
    """
    x, numbers = np.column_stack([np.ones(len(event)), log_odds]), np.unique(clusters, return_inverse=True)[1]
    found = maximum(x, event)
    if found is None:
        raise StudyError("the slope of calibration has no maximum.")
    variance = sandwich(found.bread, x, event - found.probability, numbers)[1, 1]
    slope = effect(found.slopes[1], float(np.sqrt(variance)), level)
    slope = slope._replace(p_value=effect(slope.estimate - 1, slope.std_error, level).p_value)
    ratio = share(event.astype(float), sigmoid(log_odds), clusters, level)
    return Calibration(slope, ratio._replace(p_value=effect(ratio.estimate - 1, ratio.std_error, level).p_value))


def share(part: np.ndarray, whole: np.ndarray, clusters: np.ndarray, level: float) -> Effect:
    """Return the ratio of two sums, `part` over `whole` (rows,), with a linearised error by `clusters` (numbers).

    The estimator of a ratio in cluster samples (Cochran 1977, Sampling Techniques, section 6.3). Raises StudyError when
    the lower sum is nought.
    """
    below = float(whole.sum())
    if below == 0:
        raise StudyError("nothing to take a share of.")
    ratio = float(part.sum()) / below
    return effect(ratio, max(_clustered_error((part - ratio * whole) / below, clusters), SMALLEST), level)


def riskiest(score: np.ndarray, period: np.ndarray, loan: np.ndarray, capacity: float) -> np.ndarray:
    """Return which rows are alerted (boolean) when a share `capacity` of each period's open loans can be.

    In each `period` (numbers) the highest scores are taken, no more than the share allows; ties go to the lower `loan`
    number.
    """
    return Standing.of(score, period, loan).within(capacity)


class Standing(NamedTuple):
    """Where each row stands among those of its period: sorted once, for any number of capacities."""

    place: np.ndarray
    """From 0, the highest score (rows,)."""
    size: np.ndarray
    """How many rows its period has (rows,)."""

    @classmethod
    def of(cls, score: np.ndarray, period: np.ndarray, loan: np.ndarray) -> Standing:
        """Return the standing of each row by `score`; ties go to the lower `loan` number."""
        order = np.lexsort((loan, -np.round(score, DIGITS), period))
        sizes = np.bincount(period)
        start = np.cumsum(sizes) - sizes
        place = np.empty(len(score), dtype=np.int64)
        place[order] = np.arange(len(order)) - start[period[order]]
        return cls(place, sizes[period])

    def within(self, capacity: float) -> np.ndarray:
        """Return which rows (boolean) are among the share `capacity` of their period that stands highest."""
        return self.place < np.floor(capacity * self.size + 1e-9)


def in_time(month: np.ndarray, default_month: np.ndarray, before: int = 1) -> np.ndarray:
    """Return where (rows,) an alert at the beginning of `month` comes in time: `before` months before default or more.

    This is the one definition of a timely alert. An alert in the month of default itself comes too late: the payment
    that makes the default is due within weeks, and whoever acts needs that long to reach the client and agree on
    something. So at least one whole month lies between the alert and the month of default. `default_month` is 0 where
    no default is on record; there no alert is in time, as there is nothing to announce.
    """
    return default_month - month >= before


def at_risk(month: np.ndarray, last: np.ndarray, default_month: np.ndarray) -> np.ndarray:
    """Return where (rows,) a loan is in the risk set of `month`: on record and not defaulted before.

    `last` is the last month on record. Loans that default later belong to it (Prentice & Breslow 1978, Biometrika 65);
    to compare with those that never default is to know the future.
    """
    return (last >= month) & ((default_month == 0) | (default_month >= month))


class Lead(NamedTuple):
    """How long before default the first alert came."""

    months: np.ndarray
    """Whole months between the first alert and default, one or more, of each defaulted loan alerted in time."""
    loan: np.ndarray
    """The loan of each."""
    defaulted: np.ndarray
    """Every loan with a default on record, in rising order."""


def lead_times(loan: np.ndarray, month: np.ndarray, alerted: np.ndarray, default_month: np.ndarray) -> Lead:
    """Return the lead of each loan's first alert over its default.

    An alert at the beginning of month t is `default_month` - t months ahead, and counts where it comes `in_time`. Rows
    are loan-months. A lead describes the loans that were caught and judges no score: alerts at random have long leads.
    """
    defaulted = np.unique(loan[default_month > 0])
    timely = alerted & in_time(month, default_month)
    first = np.full(int(loan.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, loan[timely], month[timely])
    when = np.zeros(len(first), dtype=np.int64)
    when[loan] = default_month
    caught = np.unique(loan[timely])
    return Lead((when - first)[caught], caught, defaulted)


def caught_at_random(
    loan: np.ndarray,
    month: np.ndarray,
    period: np.ndarray,
    alerted: np.ndarray,
    default_month: np.ndarray,
    before: int = 1,
) -> np.ndarray:
    """Return how likely as many alerts at random catch each loan that defaults.

    In every period as many rows as were alerted are drawn without regard to anything, each row alike, and anew in the
    next period. A row's chance is then the share alerted, and a loan is missed where all of its months are missed, so
    the chance is exact and needs no draws.

    Parameters
    ----------
    loan, month, period
        Number of the loan, its month, and the calendar month (numbers from 0), of each loan-month (rows,).
    alerted
        Which rows are alerted (rows,), boolean: they say how many of each period's rows there is time for.
    default_month
        The month of the loan's default (rows,); 0 for none on record.
    before
        Months before default by which an alert must have come, as in `in_time`.

    Returns
    -------
    numpy.ndarray
        Probabilities of the loans with a default on record, in rising order of `loan`.
    """
    size = np.bincount(period)
    share = np.divide(np.bincount(period, alerted), size, out=np.zeros(len(size)), where=size > 0)
    timely = in_time(month, default_month, before)
    missed = np.ones(int(loan.max()) + 1)
    np.multiply.at(missed, loan[timely], 1 - share[period[timely]])
    return 1 - missed[np.unique(loan[default_month > 0])]


def median_by_clusters(values: np.ndarray, clusters: np.ndarray, level: float, draws: int, seed: list[int]) -> Effect:
    """Return the median of whole numbers (rows,) with the percentile interval of a bootstrap of whole clusters.

    Medians of whole numbers move in steps, so the standard error is that of the draws and the interval their
    quantiles (Davison & Hinkley 1997, section 5.3). Raises StudyError for fewer than two clusters.
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    count = int(numbers.max(initial=0)) + 1
    if len(values) == 0 or count < 2:
        raise StudyError("too few to bootstrap.")
    places, at = np.unique(values, return_inverse=True)
    table = np.zeros((count, len(places)))
    np.add.at(table, (numbers, at), 1)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws) @ table
    half = drawn.sum(axis=1, keepdims=True) / 2
    medians = places[(np.cumsum(drawn, axis=1) >= half).argmax(axis=1)]
    low, high = np.quantile(medians, [0.5 - level / 2, 0.5 + level / 2], method="inverted_cdf")
    estimate = places[(np.cumsum(table.sum(axis=0)) >= len(values) / 2).argmax()]
    return Effect(float(estimate), float(medians.std(ddof=1)), float(low), float(high), float("nan"))


def matched_difference(
    values: np.ndarray,
    case: np.ndarray,
    stratum: np.ndarray,
    clusters: np.ndarray,
    level: float,
    times: np.ndarray | None = None,
) -> tuple[Effect, float, float, int]:
    """Compare cases with others of the same stratum: difference, the cases' mean, the others', and how many cases.

    Others are weighted to the cases' strata (exact matching, the effect on cases); strata with one kind only are left
    out. `values`, `case` (0/1), `stratum` and `clusters` (numbers) are (rows,), and so is `times`: how often each row
    stands there, once if not given. The error adds each row's influence by cluster. Raises StudyError where no
    stratum holds both, or all values are alike.
    """
    case = case.astype(bool)
    times = np.ones(len(values)) if times is None else times
    if len(values) == 0 or values.min() == values.max():
        raise StudyError("nobody differs from anybody here.")
    strata = int(stratum.max(initial=0)) + 1
    cases = np.bincount(stratum[case], times[case], strata)
    others = np.bincount(stratum[~case], times[~case], strata)
    both = (cases > 0) & (others > 0)
    if not both.any():
        raise StudyError("no stratum holds both kinds.")
    kept = both[stratum]
    values, case, stratum = values[kept], case[kept], stratum[kept]
    clusters, times = clusters[kept], times[kept]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_cases = np.bincount(stratum[case], times[case] * values[case], strata) / cases
        mean_others = np.bincount(stratum[~case], times[~case] * values[~case], strata) / others
    number = int(cases[both].sum())
    weight = np.where(both, cases, 0) / number
    of_cases = float((weight[both] * mean_cases[both]).sum())
    of_others = float((weight[both] * mean_others[both]).sum())
    difference = of_cases - of_others
    influence = np.empty(len(values))
    # A case brings its own value, and decides which strata count.
    influence[case] = (values[case] - mean_others[stratum[case]] - difference) / number
    out = stratum[~case]
    influence[~case] = -weight[out] * (values[~case] - mean_others[out]) / others[out]
    error = max(_clustered_error(times * influence, clusters), SMALLEST)
    return effect(difference, error, level), of_cases, of_others, number


def relative_change(recent: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return (recent - before) / (|recent| + |before|), between -1 and 1; nought where both are nought."""
    size = np.abs(recent) + np.abs(before)
    return np.divide(recent - before, size, out=np.zeros(len(size)), where=size > 0)
