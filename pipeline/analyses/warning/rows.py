"""Raise alerts month by month from what the records show, and judge them by the defaults that follow."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.warning import alerts as warning_alerts
from pipeline.analyses.warning import book as warning_book
from pipeline.analyses.warning import grades as warning_grades
from pipeline.analyses.warning import signals as warning_signals
from pipeline.analyses.warning.book import SCORES, Book, Row, cluster_of, not_estimated, percent, points
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST, Scope
from pipeline.runtime.errors import StudyError
from pipeline.stats import early_warning
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.histories import shifted
from pipeline.stats.shares import on_log_odds

MONTHS = ("loan_id", "month_number", "calendar_month", "current_at_start", "delinquent", "default")
"""Columns that loan-months need; contacts, alerts, the account and the market are used where they are there."""

WHERE_THERE = (
    "proactive_contacts",
    "reactive_contacts",
    "alert",
    "inflow",
    "falling_activity",
    "unemployment",
    "treated",
)
"""Columns that are used where the loan-months have them."""

HALF_YEAR = 6
"""Months ahead in which a risk that no late payment shows can still be met in time."""

UNANSWERED = "in the simulation contacts take no notice of alerts, so none answers one"
"""What the records of simulated lenders cannot show."""

SLOPE, RATIO = (0.8, 1.25), 1.25
"""Slopes of calibration, and factor between defaults and those expected, within which a score counts as calibrated."""


class Tables(NamedTuple):
    """What a study follows month by month; None where it does not."""

    months: pd.DataFrame | None = None
    """Loan-months: `MONTHS`, and those of `WHERE_THERE` that the study has."""
    inflow: pd.DataFrame | None = None
    """``loan_id``, ``month_number`` and what came into the client's account over its usual level."""
    accounts: pd.DataFrame | None = None
    """Accounts in the months before the loan."""


def rows(cohort: pd.DataFrame, tables: Tables, allowed: Scope, params: Params, seed: list[int]) -> list[Row]:
    """Return the rows on early warning.

    Parameters
    ----------
    cohort
        Prepared loans.
    tables
        What stands beside them, month by month.
    allowed
        What the cohort allows of the protocol.
    params
        The sections ``warning``, ``grade``, ``loss_share`` and ``inference`` are read.
    seed
        Of the draws of clusters.

    """
    found: list[Row] = []
    if tables.months is not None:
        found += _followed(cohort, tables.months, tables.inflow, allowed.protocol, params, seed)
    if tables.accounts is not None:
        found += warning_signals.before_loan(cohort, tables.accounts, params.inference.level)
    return found or [not_estimated("loan_months", "the study follows neither loans nor accounts month by month.")]


def _followed(
    cohort: pd.DataFrame,
    months: pd.DataFrame,
    inflow: pd.DataFrame | None,
    protocol: Study,
    params: Params,
    seed: list[int],
) -> list[Row]:
    """Return every row on loans that are followed month by month."""
    missing = [name for name in MONTHS if name not in months]
    if missing:
        return [not_estimated("loan_months", f"the loan-months have no {', '.join(missing)}.")]
    if inflow is not None:
        months = warning_signals.with_activity(months, inflow)
    # A loan is looked up once, not month by month; from here on its number stands for it.
    of_months, known = pd.factorize(months["loan_id"])
    months = months.drop(columns="loan_id")
    place = pd.Index(cohort["loan_id"]).get_indexer(known)[of_months]
    number = months["month_number"].to_numpy(dtype=np.int64)
    # Preparation has put them in order, as a rule: of so many months each copy counts.
    if (np.diff(place * (int(number.max(initial=0)) + 1) + number, prepend=-1) <= 0).any():
        order = np.lexsort((number, place))
        order = order[place[order] >= 0]
        months, place = months.iloc[order].reset_index(drop=True), place[order]
    if months.empty:
        return [not_estimated("loan_months", "no loan-month belongs to a loan of the cohort.")]
    level, found = params.inference.level, []
    try:
        found += warning_signals.before_default(cohort, months, place, protocol, level)
        book, fitted = warning_book.fit(cohort, months, place, protocol, params.warning)
    except StudyError as error:
        return [*found, not_estimated("scores", str(error))]
    found += _areas(book, level)
    found += _hidden(book, level)
    found += _records(book, level)
    found += _calibration(book, level)
    alerts = warning_alerts.raised(book, params.warning)
    found += warning_alerts.judged(book, alerts, level, seed)
    found += warning_alerts.costs(book, alerts, params.warning, params.loss_share, level)
    found += warning_grades.moves(book, params.grade.cuts, level)
    found += _response(months, place, cohort, fitted, protocol, params)
    return found


def _areas(book: Book, level: float) -> Iterator[Row]:
    """Yield how well both scores tell loans that default ahead from others, at every age and over all ages."""
    ages = {f"month_{age:02d}": book.judged & (book.month == age) for age in np.unique(book.month[book.judged])}
    # Who is late already is no hidden risk.
    on_time = book.judged & (book.months["current_at_start"].to_numpy() == 1)
    for name, rows in {"all_months": book.judged, "paid_on_time": on_time, **ages}.items():
        number = int(book.event[rows].sum())
        ones = np.ones(int(rows.sum()))
        of_rows = early_warning.share(book.event[rows].astype(float), ones, book.cluster[rows], level)
        prevalence = percent(on_log_odds(of_rows))
        yield book.row("prevalence", "all", name, rows, **prevalence, note="of loan-months with default ahead")
        said = f"{number} loan-months with default ahead; loans whose first month is {book.cut} or later"
        try:
            found = early_warning.clustered_areas(
                book.event[rows], *(book.scores[score][rows] for score in SCORES), book.cluster[rows], level
            )
        except StudyError as error:
            yield book.row("area_under_curve", "gain", name, rows, factor="monthly_score", note=str(error))
            continue
        for score, one in zip((*SCORES, "gain"), found, strict=True):
            named = {"factor": "monthly_score", "unit": "area", "note": said}
            yield book.row("area_under_curve", score, name, rows, **one._asdict(), **named)


def _hidden(book: Book, level: float) -> Iterator[Row]:
    """Yield how well both scores tell loans that default within half a year, among those that never paid late so far.

    Nothing of what has happened shows such a risk. An area under the curve falls where a score gets worse, which the
    lead of its alerts need not do.
    """
    late = book.months["current_at_start"].to_numpy() != 1
    first = np.flatnonzero(np.diff(book.loan, prepend=-1))
    so_far = np.cumsum(late)
    before = np.repeat((so_far - late)[first], np.diff([*first, len(late)]))
    ahead = early_warning.ahead(book.loan, book.month, book.months["default"].to_numpy(), HALF_YEAR)
    rows = (so_far == before) & ahead.complete
    event = ahead.event[rows]
    row = book.row("area_under_curve", "", "always_on_time", rows, factor="monthly_score")
    row |= {"outcome": f"default_within_{HALF_YEAR}"}
    try:
        scores = (book.scores[score][rows] for score in SCORES)
        found = early_warning.clustered_areas(event, *scores, book.cluster[rows], level)
    except StudyError as error:
        yield row | {"specification": "gain", "note": str(error)}
        return
    note = f"{int(event.sum())} loan-months with default in them or the next {HALF_YEAR - 1}; no late payment so far"
    for score, one in zip((*SCORES, "gain"), found, strict=True):
        yield row | {"specification": score, "unit": "area", "note": note} | one._asdict()


def _records(book: Book, level: float) -> Iterator[Row]:
    """Yield what contacts and alerts add to the record of payments, and the client's account to these."""
    full = "without_account" if "without_account" in book.scores else "updated"
    alone = "contacts and alerts less one with payments alone"
    pairs = {
        "gain_of_records": ("contacts_and_alerts", "payments", full, alone),
        "gain_of_account": ("account_activity", "without_account", "updated", "the client's account less one without"),
    }
    on_time = book.judged & (book.months["current_at_start"].to_numpy() == 1)
    for gain, (factor, less, more, said) in pairs.items():
        if less not in book.scores:
            what, why = ("records", "contacts and alerts are") if less == "payments" else ("account", "the account is")
            yield not_estimated(what, f"{why} not on record.")
            continue
        for name, rows in {"all_months": book.judged, "paid_on_time": on_time}.items():
            row = book.row("area_under_curve", gain, name, rows, factor=factor, unit="area")
            scores = (book.scores[less][rows], book.scores[more][rows])
            try:
                found = early_warning.clustered_areas(book.event[rows], *scores, book.cluster[rows], level)
            except StudyError as error:
                yield row | {"note": str(error)}
                continue
            yield row | found.difference._asdict() | {"note": f"renewed score with {said}"}


def _calibration(book: Book, level: float) -> Iterator[Row]:
    """Yield whether predicted probabilities hold in the later months."""
    rows = book.judged
    for score in SCORES:
        try:
            found = early_warning.calibration(book.event[rows], book.scores[score][rows], book.cluster[rows], level)
        except StudyError as error:
            yield book.row("calibration", score, "slope", note=str(error))
            continue
        slope, ratio = found.slope.estimate, found.ratio.estimate
        yield book.row("calibration", score, "slope", **found.slope._asdict(), unit="slope", note="p-value against one")
        ratio_row = {**found.ratio._asdict(), "unit": "ratio", "note": "defaults over defaults expected"}
        yield book.row("calibration", score, "observed_to_expected", **ratio_row)
        if score != "updated":
            continue
        common = {name: book.row("", "", "")[name] for name in ("outcome", "n", "n_treated", "n_clusters")}
        passed = SLOPE[0] <= slope <= SLOPE[1]
        yield results.assumption("warning_slope", slope, SLOPE[0 if slope < 1 else 1], passed=passed, **common)
        passed = 1 / RATIO <= ratio <= RATIO
        threshold = RATIO if ratio > 1 else 1 / RATIO
        yield results.assumption("warning_level", ratio, threshold, passed=passed, **common)


def _response(
    months: pd.DataFrame, place: np.ndarray, cohort: pd.DataFrame, static: np.ndarray, protocol: Study, params: Params
) -> Iterator[Row]:
    """Yield whether loans contacted in the month after a lender's alert default less than those that were not.

    Loans that paid on time when the alert came and were open a month later; the contact is the lender's own. Who is
    contacted is not drawn by lot, so this is a difference given what is known, no effect.
    """
    needed = ("alert", "proactive_contacts")
    if any(name not in months for name in needed):
        yield not_estimated("response", "alerts or the lender's own contacts are not on record.")
        return
    month = months["month_number"].to_numpy(dtype=np.int64)
    horizon = params.warning.horizon_months
    default = months["default"].to_numpy(dtype=float)
    alerted = shifted(months["alert"].to_numpy(dtype=float), place, month, 1) == 1
    contacts = months["proactive_contacts"].to_numpy(dtype=float)
    # The row's own month is that of the answer; what follows is counted from the next one on.
    found = early_warning.ahead(place, month, months["default"].to_numpy(), horizon + 1)
    of_all = (months["current_at_start"].to_numpy() == 1) & ~np.isnan(contacts) & found.complete & (default == 0)
    stays = alerted & of_all
    row = {"estimator": "response_after_alert", "specification": "controls", "factor": "contact_after_alert"}
    row |= {"outcome": "default_ahead", "estimand": "risk_difference", "n": int(stays.sum())}
    events = int(found.event[stays].sum())
    contacted = (contacts[stays] > 0).astype(float)
    row |= {"n_treated": int(contacted.sum())}
    if min(events, int(contacted.sum()), int((1 - contacted).sum())) < FEWEST:
        yield row | {"note": f"{events} defaults after {int(stays.sum())} alerts: too few to compare."}
        return
    loans = place[stays]
    design = pd.DataFrame({"contacted": contacted, "static": static[loans], "static_squared": static[loans] ** 2})
    if "treated" in months:
        design["treated"] = months.loc[stays, "treated"].to_numpy(dtype=float)
    for age in np.unique(month[stays])[1:]:
        design[f"month_{age}"] = (month[stays] == age).astype(float)
    clusters = cohort[cluster_of(cohort, protocol)].iloc[loans].reset_index(drop=True)
    groups = months.loc[stays, "calendar_month"].reset_index(drop=True)
    try:
        one = absorbed_linear(
            pd.Series(found.event[stays].astype(float)), design, ["contacted"], groups, clusters, params.inference.level
        ).effects["contacted"]
    except StudyError as error:
        yield row | {"note": str(error)}
        return
    said = f"{events} defaults in the {horizon} months after the answer; given score, enrolment and month; "
    said += "n_treated counts those contacted"
    yield row | points(one) | {"n_clusters": clusters.nunique(), "note": said}
    asked = months.assign(alerted=alerted, contacted=contacts > 0, event=found.event, place=place)[of_all]
    yield from _less_other_months(asked.reset_index(drop=True), cohort, static, protocol, params.inference.level)


def _less_other_months(
    months: pd.DataFrame, cohort: pd.DataFrame, static: np.ndarray, protocol: Study, level: float
) -> Iterator[Row]:
    """Yield the difference by contact after an alert less the same where there was none: a contact by itself may act.

    `months` are all that could follow an alert, with whether they did (``alerted``), whether the lender had
    ``contacted`` the client, the ``event`` ahead and the ``place`` of the loan in the cohort. Score, enrolment, age and
    calendar month have effects of their own after alerts.
    """
    alerted = months["alerted"].to_numpy(dtype=float)
    contacted = months["contacted"].to_numpy(dtype=float)
    of_loan = static[months["place"]]
    own = {"contacted": contacted, "static": of_loan, "static_squared": of_loan**2}
    if "treated" in months:
        own["treated"] = months["treated"].to_numpy(dtype=float)
    design = pd.DataFrame(own | {f"{name}_alerted": values * alerted for name, values in own.items()})
    calendar, age = (pd.factorize(months[name])[0] for name in ("calendar_month", "month_number"))
    groups = pd.DataFrame({"calendar": 2 * calendar + months["alerted"], "age": 2 * age + months["alerted"]})
    clusters = cohort[cluster_of(cohort, protocol)].iloc[months["place"]].reset_index(drop=True)
    row = {"estimator": "response_after_alert", "specification": "less_other_months", "factor": "contact_after_alert"}
    row |= {"outcome": "default_ahead", "estimand": "risk_difference", "n": len(months)}
    row |= {"n_treated": int((alerted * contacted).sum()), "n_clusters": clusters.nunique()}
    try:
        event = months["event"].astype(float)
        one = absorbed_linear(event, design, ["contacted_alerted"], groups, clusters, level).effects
    except StudyError as error:
        yield row | {"note": str(error)}
        return
    said = f"after {int(alerted.sum())} alerts less {int((1 - alerted).sum())} months without; n_treated: contacted "
    said += "after an alert" + (f"; {UNANSWERED}" if protocol.simulated else "")
    yield row | points(one["contacted_alerted"]) | {"note": said}
