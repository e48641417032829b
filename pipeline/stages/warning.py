"""Raise alerts month by month from what the records show, and judge them by the defaults that follow."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.errors import StudyError
from pipeline.core.params import Params, Study
from pipeline.core.scope import FEWEST, column_in, scope
from pipeline.stats import early_warning
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.correlation import holm
from pipeline.stats.design import design_matrix
from pipeline.stats.discrimination import compare
from pipeline.stats.inference import codes
from pipeline.stats.power import minimum_detectable
from pipeline.stats.regression import Effect

MONTHS = ("loan_id", "month_number", "calendar_month", "current_at_start", "delinquent", "default")
"""Columns that loan-months need; contacts, alerts and the market are used where they are there."""

SCORES = ("static", "updated")
"""The score of the day of origination, and the one that is renewed every month."""

RECORDS = ("proactive_contacts", "reactive_contacts", "no_contact_log", "alert")
"""Beginnings of the signals that a lender has from its contacts and alerts, beside the payments themselves."""

SIGNALS = {
    "late_payment": "delinquent",
    "client_contact": "reactive_contacts",
    "lender_contact": "proactive_contacts",
    "alert": "alert",
}
"""What is compared in the months before default, by the column that records it: whether there was any in a month."""

BEFORE = 11
"""Months before default that are looked at."""

DRAWS = 1_999
"""Draws of the bootstrap of lead times."""

POWER = 0.8
"""Chance with which the smallest detectable area would be found."""

SLOPE, RATIO = (0.8, 1.25), 1.25
"""Slopes of calibration, and factor between defaults and those expected, within which a score counts as calibrated."""

Row = dict[str, Any]


class Book(NamedTuple):
    """Loan-months with what is known of them, what comes, and both scores; only loans granted after the fitting."""

    months: pd.DataFrame
    loan: np.ndarray
    month: np.ndarray
    period: np.ndarray
    cluster: np.ndarray
    event: np.ndarray
    default_month: np.ndarray
    judged: np.ndarray
    """Whether the months ahead are all on record (rows,)."""
    amount: np.ndarray | None
    scores: dict[str, np.ndarray]
    """Log odds of default within the horizon, by the name of the score."""
    cut: str

    def row(
        self, estimator: str, specification: str, estimand: str, stays: np.ndarray | None = None, **more: Any
    ) -> Row:
        """Return a row with the numbers of its loan-months."""
        taken = self.judged if stays is None else stays
        return {
            "estimator": estimator,
            "specification": specification,
            "outcome": "default_ahead",
            "estimand": estimand,
            "n": int(taken.sum()),
            "n_treated": int(self.months.loc[taken, "treated"].sum()) if "treated" in self.months else None,
            "n_clusters": len(np.unique(self.cluster[taken])),
        } | more

    def row_of_loans(self, estimator: str, specification: str, estimand: str, loans: np.ndarray, **more: Any) -> Row:
        """Return a row that counts `loans` (their numbers), not their months."""
        first = np.flatnonzero(np.diff(self.loan, prepend=-1))
        stays = np.zeros(len(self.loan), dtype=bool)
        stays[first[np.isin(self.loan[first], loans)]] = True
        return self.row(estimator, specification, estimand, stays, **more)


def run(study: str, params: Params) -> str:
    """Write the rows on early warning of the results table."""
    protocol = params.study(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    allowed = scope(protocol, cohort)
    more = places.processed(study) / "more"
    rows: list[Row] = []
    if (more / "loan_months.parquet").exists():
        rows += _followed(study, cohort, more / "loan_months.parquet", allowed.protocol, params)
    if (more / "account_months.parquet").exists():
        rows += _before_loan(cohort, store.read_parquet(more / "account_months.parquet"), params.inference.level)
    if not rows:
        rows = [_note("loan_months", "the study follows neither loans nor accounts month by month.")]
    results.write(places.results(study, "warning"), results.table(study, "warning", rows))
    return f"{len(rows):,} rows"


def _note(what: str, why: str) -> Row:
    return {"estimator": "not_estimated", "specification": what, "note": why}


def _followed(study: str, cohort: pd.DataFrame, path: Path, protocol: Study, params: Params) -> list[Row]:
    """Return every row on loans that are followed month by month."""
    months = store.read_parquet(path)
    missing = [name for name in MONTHS if name not in months]
    if missing:
        return [_note("loan_months", f"the loan-months have no {', '.join(missing)}.")]
    place = pd.Index(cohort["loan_id"]).get_indexer(months["loan_id"])
    order = np.lexsort((months["month_number"], place))
    order = order[place[order] >= 0]
    months, place = months.iloc[order].reset_index(drop=True), place[order]
    if months.empty:
        return [_note("loan_months", "no loan-month belongs to a loan of the cohort.")]
    level, rng = params.inference.level, [zlib.crc32(f"{params.seed} {study} warning".encode())]
    rows = _signals_before_default(cohort, months, place, protocol, level)
    try:
        book, fitted = _book(cohort, months, place, protocol, params)
    except StudyError as error:
        return [*rows, _note("scores", str(error))]
    rows += _areas(book, level)
    rows += _records(book, level)
    rows += _calibration(book, level)
    rows += _alerts(book, params, rng)
    rows += _costs(book, params)
    rows += _response(months, place, cohort, fitted, protocol, params)
    return rows


def _book(
    cohort: pd.DataFrame, months: pd.DataFrame, place: np.ndarray, protocol: Study, params: Params
) -> tuple[Book, np.ndarray]:
    """Fit both scores on earlier calendar months, and return the loans granted later with them; and every static score.

    Fitted are months whose window has ended before the cut; judged are loans whose first month is not before it, so no
    loan and no month is in both.
    """
    choice = params.warning
    month = months["month_number"].to_numpy(dtype=np.int64)
    calendar = _calendar(months["calendar_month"].astype(str))
    found = early_warning.ahead(place, month, months["default"].to_numpy(), choice.horizon_months)
    first = np.full(len(cohort), np.iinfo(np.int64).max)
    np.minimum.at(first, place, calendar - month + 1)
    starts = np.sort(np.unique(first[place]))
    cut = int(starts[int(choice.training_share * len(starts))])
    train = (calendar + choice.horizon_months - 1 < cut) & found.complete
    later = first[place] >= cut
    judged = later & found.complete
    for name, part in (("fit", train), ("judge", judged)):
        if (number := len(np.unique(place[part & (found.event == 1)]))) < FEWEST:
            raise StudyError(f"only {number} defaulted loans to {name} a score on.")

    static = _static(cohort, place, found.event, train, protocol)
    known = early_warning.signals(months, place)
    known.insert(0, "static", static[place])
    known["static_late"] = known["static"] * known["late_now"]
    payments = known[[name for name in known if not name.startswith(RECORDS)]]
    wanted = train | later
    renewed = {}
    for score, columns in {"updated": known, "payments": payments}.items():
        if score == "payments" and len(columns.columns) == len(known.columns):
            continue
        matrix = columns.to_numpy()
        renewed[score] = np.full(len(months), np.nan)
        renewed[score][wanted] = early_warning.fitted_log_odds(matrix[train], found.event[train], matrix[wanted])

    rows = np.flatnonzero(later)
    clusters = codes(cohort[_cluster(cohort, protocol)])[place]
    amount = cohort["amount"].to_numpy(dtype=float)[place] if "amount" in cohort else None
    book = Book(
        months.iloc[rows].reset_index(drop=True),
        place[rows],
        month[rows],
        calendar[rows],
        clusters[rows],
        found.event[rows],
        found.default_month[rows],
        found.complete[rows],
        None if amount is None or np.isnan(amount).any() else amount[rows],
        {"static": static[place][rows], **{score: values[rows] for score, values in renewed.items()}},
        f"{(cut - 1) // 12}-{(cut - 1) % 12 + 1:02d}",
    )
    return book, static


def _calendar(names: pd.Series) -> np.ndarray:
    """Return months such as 2009-10 as numbers that follow each other."""
    known = names.unique()
    if not pd.Series(known).str.fullmatch(r"\d{4}-\d\d").all():
        raise StudyError("calendar months must read like 2009-10.")
    number = {name: 12 * int(name[:4]) + int(name[5:]) for name in known}
    return names.map(number).to_numpy(dtype=np.int64)


def _cluster(cohort: pd.DataFrame, protocol: Study) -> str:
    """Return the protocol's clusters where there are enough of them, and loans where not."""
    name = protocol.cluster
    return name if name in cohort and cohort[name].notna().all() and cohort[name].nunique() >= FEWEST else "loan_id"


def _known_at_origination(cohort: pd.DataFrame, protocol: Study) -> pd.DataFrame:
    """Return what the day of origination tells of each loan (loans x columns), gaps filled in and marked.

    Time itself is left out: months to come have no effect that earlier ones could show.
    """
    blocks = [*protocol.controls.loan, *protocol.controls.borrower, *protocol.controls.market]
    later = protocol.after_origination()
    terms = [*blocks, *protocol.matching.score, *(name for name in protocol.factors if name not in later), "treated"]
    filled, more = cohort, []
    for name in dict.fromkeys(map(column_in, terms)):
        if name not in cohort or cohort[name].isna().all():
            terms = [term for term in terms if column_in(term) != name]
        elif cohort[name].isna().any():
            numeric = pd.api.types.is_numeric_dtype(cohort[name])
            value = cohort[name].median() if numeric else cohort[name].mode().iloc[0]
            gap = {name: cohort[name].fillna(value), f"no_{name}": cohort[name].isna().astype(float)}
            filled, more = filled.assign(**gap), [*more, f"no_{name}"]
    unique = [*dict.fromkeys(terms), *more]
    if not unique:
        raise StudyError("nothing is known of the loans at origination.")
    return design_matrix(filled, unique).matrix.drop(columns="intercept")


def _static(
    cohort: pd.DataFrame, place: np.ndarray, event: np.ndarray, train: np.ndarray, protocol: Study
) -> np.ndarray:
    """Return each loan's log odds of default ahead from the day of origination alone.

    What is known at origination is the same in all of a loan's months, so they are counted rather than repeated.
    """
    design = _known_at_origination(cohort, protocol).to_numpy()
    number = np.bincount(place[train], minlength=len(cohort))
    events = np.bincount(place[train], event[train], minlength=len(cohort))
    bad, good = np.flatnonzero(events > 0), np.flatnonzero(number > events)
    weights = np.concatenate([events[bad], (number - events)[good]])
    kind = np.concatenate([np.ones(len(bad), dtype=int), np.zeros(len(good), dtype=int)])
    return early_warning.fitted_log_odds(design[np.concatenate([bad, good])], kind, design, weights)


def _areas(book: Book, level: float) -> Iterator[Row]:
    """Yield how well both scores tell loans that default ahead from others, at every age and over all ages."""
    ages = {f"month_{age:02d}": book.judged & (book.month == age) for age in np.unique(book.month[book.judged])}
    # Who is late already is no hidden risk.
    on_time = book.judged & (book.months["current_at_start"].to_numpy() == 1)
    for name, rows in {"all_months": book.judged, "paid_on_time": on_time, **ages}.items():
        number = int(book.event[rows].sum())
        ones = np.ones(int(rows.sum()))
        prevalence = _percent(early_warning.share(book.event[rows].astype(float), ones, book.cluster[rows], level))
        yield book.row("prevalence", "all", name, rows, **prevalence, note="of loan-months with default ahead")
        note = f"{number} loan-months with default ahead; loans whose first month is {book.cut} or later"
        try:
            found = early_warning.clustered_areas(
                book.event[rows], *(book.scores[score][rows] for score in SCORES), book.cluster[rows], level
            )
        except StudyError as error:
            yield book.row("area_under_curve", "gain", name, rows, factor="monthly_score", note=str(error))
            continue
        for score, one in zip((*SCORES, "gain"), found, strict=True):
            named = {"factor": "monthly_score", "unit": "area", "note": note}
            yield book.row("area_under_curve", score, name, rows, **one._asdict(), **named)


def _records(book: Book, level: float) -> Iterator[Row]:
    """Yield what contacts and alerts add to the record of payments."""
    if "payments" not in book.scores:
        yield _note("records", "contacts and alerts are not on record.")
        return
    on_time = book.judged & (book.months["current_at_start"].to_numpy() == 1)
    for name, rows in {"all_months": book.judged, "paid_on_time": on_time}.items():
        row = book.row("area_under_curve", "gain_of_records", name, rows, factor="contacts_and_alerts", unit="area")
        try:
            found = early_warning.clustered_areas(
                book.event[rows], book.scores["payments"][rows], book.scores["updated"][rows], book.cluster[rows], level
            )
        except StudyError as error:
            yield row | {"note": str(error)}
            continue
        note = "renewed score with contacts and alerts less one with payments alone"
        yield row | found.difference._asdict() | {"note": note}


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


def _alerts(book: Book, params: Params, seed: list[int]) -> Iterator[Row]:
    """Yield precision, recall, false alarms and lead of alerts at every capacity, and of the lender's own alerts."""
    choice, level = params.warning, params.inference.level
    shares = dict.fromkeys([*choice.capacities, choice.capacity])
    kinds = {
        (score, f"capacity[{share:g}]"): early_warning.riskiest(book.scores[score], book.period, book.loan, share)
        for score in SCORES
        for share in sorted(shares)
    }
    own = _lenders_alerts(book)
    if own is not None:
        # An alert of last month is at hand at the beginning of this one; the score gets as many.
        share = float(own.mean())
        alerted = early_warning.riskiest(book.scores["updated"], book.period, book.loan, share)
        kinds |= {("lender", "lenders_alert"): own, ("updated", "capacity[as_lender]"): alerted}
    for (score, share), alerted in kinds.items():
        yield from _judged_alerts(book, score, share, alerted, level, seed)
    rows = book.judged
    if own is not None:
        yield _marked(book, own, level)
        caught = np.where(rows & (book.event == 1), alerted.astype(float) - own, 0.0)[rows]
        try:
            gain = early_warning.share(caught, book.event[rows].astype(float), book.cluster[rows], level)
        except StudyError as error:
            yield book.row("alerts", "updated_less_lender", "recall", note=str(error))
        else:
            note = (
                "defaults ahead caught by the updated score and not by the lender, less the reverse, at as many alerts"
            )
            yield book.row("alerts", "updated_less_lender", "recall", **_percent(gain), note=note)


def _marked(book: Book, own: np.ndarray, level: float) -> Row:
    """Return how much more often default follows a lender's alert: what alerts mark, not what they do."""
    rows, alone = book.judged, np.zeros(int(book.judged.sum()), dtype=np.int64)
    row = book.row("alerts", "lender", "risk_difference", factor="lenders_alert")
    try:
        one, *_ = early_warning.matched_difference(
            book.event[rows].astype(float), own[rows], alone, book.cluster[rows], level
        )
    except StudyError as error:
        return row | {"note": str(error)}
    return (
        row | _points(one) | {"note": "default ahead after an alert less without: alerts mark risk, no effect of them"}
    )


def _lenders_alerts(book: Book) -> np.ndarray | None:
    """Return where the lender itself raised an alert in the month before, if alerts are on record."""
    if "alert" not in book.months:
        return None
    alerts = np.nan_to_num(book.months["alert"].to_numpy(dtype=float))
    own = np.nan_to_num(early_warning.earlier(alerts, book.loan, book.month, 1)) > 0
    return own if own.any() else None


def _judged_alerts(
    book: Book, score: str, share: str, alerted: np.ndarray, level: float, seed: list[int]
) -> Iterator[Row]:
    """Yield what one set of alerts is worth."""
    rows = book.judged
    event, hit, cluster = book.event[rows].astype(float), alerted[rows].astype(float), book.cluster[rows]

    def one(estimand: str, part: np.ndarray, whole: np.ndarray, note: str) -> Row:
        try:
            found = _percent(early_warning.share(part, whole, cluster, level))
        except StudyError as error:
            found, note = {}, str(error)
        return book.row("alerts", score, estimand, factor=share, **found, note=note)

    yield one("alerted", hit, np.ones(len(hit)), "of loan-months")
    yield one("precision", hit * event, hit, "of alerts followed by default")
    yield one("recall", hit * event, event, "of loan-months with default ahead that were alerted")
    yield one("false_alarms", hit * (1 - event), 1 - event, "of loan-months without default ahead that were alerted")
    lead = early_warning.lead_times(book.loan, book.month, alerted, book.default_month)
    of_loan = np.zeros(int(book.loan.max()) + 1, dtype=np.int64)
    of_loan[book.loan] = book.cluster
    bad, ones = of_loan[lead.defaulted], np.ones(len(lead.defaulted))
    caught = np.isin(lead.defaulted, lead.loan).astype(float)
    early = np.isin(lead.defaulted, lead.loan[lead.months >= early_warning.RECENT]).astype(float)
    loans = {"factor": share, "outcome": "default"}
    try:
        found = _percent(early_warning.share(caught, ones, bad, level))
        more = loans | found | {"note": "of defaulted loans alerted before"}
        yield book.row_of_loans("alerts", score, "caught", lead.defaulted, **more)
        found = _percent(early_warning.share(early, ones, bad, level))
        more = loans | found | {"note": f"of defaulted loans alerted at least {early_warning.RECENT} months before"}
        yield book.row_of_loans("alerts", score, "caught_early", lead.defaulted, **more)
        clusters = of_loan[lead.loan]
        mean = early_warning.share(lead.months, np.ones(len(lead.loan)), clusters, level)._asdict()
        more = loans | mean | {"unit": "months", "p_value": None, "note": "first alert to default"}
        yield book.row_of_loans("alerts", score, "mean_lead", lead.loan, **more)
        median = early_warning.median_by_clusters(lead.months, clusters, level, DRAWS, seed)._asdict()
        more = loans | median | {"unit": "months", "note": f"first alert to default; {DRAWS} draws of whole clusters"}
        yield book.row_of_loans("alerts", score, "median_lead", lead.loan, **more)
    except StudyError as error:
        yield book.row_of_loans("alerts", score, "median_lead", lead.loan, **loans, note=str(error))


def _costs(book: Book, params: Params) -> Iterator[Row]:
    """Yield what alerts cost, and from which share of prevented defaults they pay; and the scores compared."""
    choice, level = params.warning, params.inference.level
    if book.amount is None:
        yield _note("costs", "the amounts of the loans are not known.")
        return
    first = np.flatnonzero(np.diff(book.loan, prepend=-1))
    number = np.bincount(np.cumsum(np.diff(book.loan, prepend=-1) != 0) - 1)
    loan = np.repeat(np.arange(len(first)), number)
    loss = params.loss_share * book.amount[first] * (book.default_month[first] > 0)
    cluster, ones = book.cluster[first], np.ones(len(first))
    values: dict[tuple[str, float], np.ndarray] = {}
    for share in sorted({*choice.capacities, choice.capacity}):
        for score in book.scores:
            alerted = early_warning.riskiest(book.scores[score], book.period, book.loan, share)
            timely = alerted & ((book.default_month == 0) | (book.month < book.default_month))
            cost = choice.contact_cost * np.bincount(loan, alerted, len(first))
            caught = loss * (np.bincount(loan, timely, len(first)) > 0)
            values[score, share] = choice.prevented_share * caught - cost
            of_share = {"factor": f"capacity[{share:g}]", "outcome": "loss"}
            common = book.row_of_loans("costs", score, "", book.loan, **of_share)
            try:
                saved = early_warning.share(values[score, share], ones, cluster, level)
                even = early_warning.share(cost, caught, cluster, level)
            except StudyError as error:
                yield common | {"estimand": "net_value", "note": str(error)}
                continue
            note = f"a loan, where contact prevents {choice.prevented_share:g} of the defaults alerted in time"
            yield common | {"estimand": "net_value", "unit": "currency", "note": note} | saved._asdict()
            note = "of the losses alerted in time that contact must prevent to pay for the contacts"
            yield common | {"estimand": "break_even"} | _percent(even) | {"note": note}
    of_share = {"factor": f"capacity[{choice.capacity:g}]", "outcome": "loss"}
    for other in [score for score in book.scores if score != "updated"]:
        row = book.row_of_loans("costs", f"updated_less_{other}", "net_value", book.loan, **of_share)
        gain = values["updated", choice.capacity] - values[other, choice.capacity]
        try:
            yield row | early_warning.share(gain, ones, cluster, level)._asdict() | {"unit": "currency"}
        except StudyError as error:
            yield row | {"note": str(error)}


def _response(
    months: pd.DataFrame, place: np.ndarray, cohort: pd.DataFrame, static: np.ndarray, protocol: Study, params: Params
) -> Iterator[Row]:
    """Yield whether loans contacted in the month after a lender's alert default less than those that were not.

    Loans that paid on time when the alert came and were open a month later; the contact is the lender's own. Who is
    contacted is not drawn by lot, so this is a difference given what is known, no effect.
    """
    needed = ("alert", "proactive_contacts")
    if any(name not in months for name in needed):
        yield _note("response", "alerts or the lender's own contacts are not on record.")
        return
    month = months["month_number"].to_numpy(dtype=np.int64)
    horizon = params.warning.horizon_months
    default = months["default"].to_numpy(dtype=float)
    alerted = early_warning.earlier(months["alert"].to_numpy(dtype=float), place, month, 1) == 1
    contacts = months["proactive_contacts"].to_numpy(dtype=float)
    # The row's own month is that of the answer; what follows is counted from the next one on.
    found = early_warning.ahead(place, month, months["default"].to_numpy(), horizon + 1)
    stays = (
        alerted & (months["current_at_start"].to_numpy() == 1) & ~np.isnan(contacts) & found.complete & (default == 0)
    )
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
    clusters = cohort[_cluster(cohort, protocol)].iloc[loans].reset_index(drop=True)
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
    yield row | _points(one) | {"n_clusters": clusters.nunique(), "note": said}


def _signals_before_default(
    cohort: pd.DataFrame, months: pd.DataFrame, place: np.ndarray, protocol: Study, level: float
) -> list[Row]:
    """Return how common each signal is in the months before default, beside loans like them that do not default.

    Compared are loans of the same type of lender, grade and age that were open when the other defaulted.
    """
    month = months["month_number"].to_numpy(dtype=np.int64)
    when = np.zeros(len(cohort), dtype=np.int64)
    bad = months["default"].to_numpy() == 1
    when[place[bad]] = month[bad]
    last = np.zeros(len(cohort), dtype=np.int64)
    last[place] = month
    keys = [name for name in ("institution_type", "credit_grade") if name in cohort and cohort[name].notna().any()]
    kind = (
        cohort.groupby(keys, observed=True, dropna=False).ngroup().to_numpy()
        if keys
        else np.zeros(len(cohort), dtype=int)
    )
    cluster = codes(cohort[_cluster(cohort, protocol)])
    steps = np.unique(when[when > 1])
    found: list[Row] = []
    if len(np.unique(when)) < 2 or int((when > 0).sum()) < FEWEST:
        return [_note("signals", f"only {int((when > 0).sum())} loans default on record.")]
    treated = cohort["treated"].to_numpy(dtype=float)
    for name, column in SIGNALS.items():
        if column not in months or months[column].isna().all():
            found.append(_note(name, f"the loan-months have no {column}."))
            continue
        values = months[column].to_numpy(dtype=float)
        table = np.full((len(cohort), int(month.max()) + 1), np.nan)
        table[place, month] = np.where(np.isnan(values), np.nan, values > 0)
        for back in range(1, min(BEFORE, int(month.max()) - 1) + 1):
            loans, ends = [], []
            for end in steps[steps > back]:
                open_then = np.flatnonzero(
                    ((when == end) | ((when == 0) & (last >= end))) & ~np.isnan(table[:, end - back])
                )
                loans.append(open_then)
                ends.append(np.full(len(open_then), end))
            if not loans:
                continue
            loan, end = np.concatenate(loans), np.concatenate(ends)
            stratum = codes(kind[loan] * (int(month.max()) + 1) + end)
            case = when[loan] == end
            row = {"estimator": "before_default", "specification": name, "factor": f"months_before[{back:02d}]"}
            row |= {"outcome": "default", "unit": "percentage points"}
            try:
                one, share, others, number = early_warning.matched_difference(
                    table[loan, end - back], case, stratum, cluster[loan], level
                )
            except StudyError as error:
                found.append(row | {"estimand": "difference", "note": str(error)})
                continue
            # A loan that does not default stands beside several that do, at several ages.
            every = np.unique(loan)
            row |= {"n": len(every), "n_clusters": len(np.unique(cluster[every]))}
            row |= {"n_treated": None if np.isnan(treated).any() else int(treated[every].sum())}
            note = f"{number} defaults; loans of the same {' and '.join([*keys, 'age'])} beside them"
            found.append(row | {"estimand": "difference", "note": note} | _points(one))
            defaulting = np.unique(loan[case])
            counts = {"n": len(defaulting), "n_clusters": len(np.unique(cluster[defaulting]))}
            if row["n_treated"] is not None:
                counts["n_treated"] = int(treated[defaulting].sum())
            more = {"estimand": "defaulting", "estimate": 100 * share, "unit": "percent", **counts}
            found.append(row | more)
            found.append(row | {"estimand": "others", "estimate": 100 * others, "unit": "percent"})
    return found


def _before_loan(cohort: pd.DataFrame, accounts: pd.DataFrame, level: float) -> Iterator[Row]:
    """Yield whether falling activity of the account before the loan announces default of the loan.

    Compared are the last months before the loan with as many before them; columns other than keys are the activities.
    """
    wide = accounts[accounts["months_before"].between(1, 2 * early_warning.RECENT)]
    default = cohort.set_index("loan_id")["default"]
    arms = cohort.set_index("loan_id")["treated"]
    falls: list[Row] = []
    for name in [name for name in accounts if name not in ("loan_id", "months_before")]:
        table = wide.pivot(index="loan_id", columns="months_before", values=name).dropna()
        table = table[table.index.isin(default.index)]
        row = {"estimator": "falling_before_loan", "specification": name, "factor": "account_activity"}
        row |= {"outcome": "default", "unit": "area"}
        row |= {"n": len(table), "n_clusters": len(table)}
        if table.shape[1] < 2 * early_warning.RECENT:
            yield row | {"estimand": "area_under_curve", "note": "too few months before the loan are on record."}
            continue
        bad = default.loc[table.index].to_numpy()
        row["n_treated"] = None if arms.isna().any() else int(arms.loc[table.index].sum())
        near = table[range(1, early_warning.RECENT + 1)].mean(axis=1).to_numpy()
        far = table[range(early_warning.RECENT + 1, 2 * early_warning.RECENT + 1)].mean(axis=1).to_numpy()
        fall = -early_warning.relative_change(near, far)
        try:
            found = compare(bad, fall, -near, level)
        except StudyError as error:
            yield row | {"estimand": "area_under_curve", "note": str(error)}
            continue
        note = f"{int(bad.sum())} defaults; the fall from months 4-6 to months 1-3 before the loan"
        falls.append(row | found.first._asdict() | {"estimand": "area_under_curve", "note": note})
        note = f"{int(bad.sum())} defaults; how low it stood in months 1-3 before the loan"
        yield row | found.second._asdict() | {"estimand": "area_of_level", "note": note}
        number_bad, number_good = int(bad.sum()), int(len(bad) - bad.sum())
        # Under no difference, by the variance of the rank-sum statistic.
        error = np.sqrt((number_bad + number_good + 1) / (12 * number_bad * number_good))
        least = 0.5 + minimum_detectable(float(error), level, POWER)
        yield row | {"estimand": "minimum_detectable_area", "estimate": least, "note": f"with power {POWER:g}"}
    # One family: whichever activity falls, it is the same claim.
    adjusted = holm([row["p_value"] for row in falls]) if falls else []
    yield from (row | {"p_adjusted": p_value} for row, p_value in zip(falls, adjusted, strict=True))


def _percent(found: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}
    # A share has nothing to be tested against.
    return scaled | {"unit": "percent", "p_value": None}


def _points(found: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}
    return scaled | {"unit": "percentage points"}
