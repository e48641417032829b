"""What alerts of the stage warning are worth: precision, recall and lead at a capacity or threshold, and their cost."""

from collections.abc import Iterator

import numpy as np

from pipeline.analyses.warning.book import SCORES, Book, Row, last_month, not_estimated, percent, points
from pipeline.core.shared import EarlyWarning
from pipeline.runtime.errors import StudyError
from pipeline.stats import early_warning
from pipeline.stats.shares import on_log_odds

DRAWS = 1_999
"""Draws of the bootstrap of lead times."""

OWN = {"lender": "alert", "falling_activity": "falling_activity"}
"""Alerts that need no score, by what raises them: the column that had it in the month before."""

CAUGHT = {"caught": 1, "caught_early": early_warning.RECENT}
"""Whole months before the month of default by which a loan must have been alerted to count."""

DESCRIBES = "describes the loans caught and judges no score"
"""What a lead is good for: a worse score, which catches fewer loans at random times, has longer ones."""


def raised(book: Book, choice: EarlyWarning) -> dict[tuple[str, str], np.ndarray]:
    """Return which loan-months are alerted, by score and rule: every capacity, and the threshold where there is one."""
    shares = sorted({*choice.capacities, choice.capacity})
    found = {}
    for score, values in book.scores.items():
        standing = early_warning.Standing.of(values, book.period, book.loan)
        found |= {(score, f"capacity[{share:g}]"): standing.within(share) for share in shares}
    if choice.threshold is not None:
        limit = np.log(choice.threshold / (1 - choice.threshold))
        found |= {(score, f"threshold[{choice.threshold:g}]"): values > limit for score, values in book.scores.items()}
    return found


def judged(book: Book, alerts: dict[tuple[str, str], np.ndarray], level: float, seed: list[int]) -> Iterator[Row]:
    """Yield precision, recall, false alarms and lead of `alerts`, and of those that need no score."""
    kinds = {(score, rule): alerted for (score, rule), alerted in alerts.items() if score in SCORES}
    plain = {
        score: alerted
        for score in OWN
        if (alerted := last_month(book.months, book.loan, book.month, OWN[score])) is not None
    }
    for score, own in plain.items():
        rule = "lenders_alert" if score == "lender" else score
        kinds[score, rule] = own
    own = plain.get("lender")
    if own is not None:
        # An alert of last month is at hand at the beginning of this one. The score gets as many as the lender raised
        # before these loans were granted: how many it will raise is not known in advance.
        usual = float(book.taught["lenders_alert"].mean())
        as_many = early_warning.riskiest(book.scores["updated"], book.period, book.loan, usual)
        kinds["updated", "capacity[as_lender]"] = as_many
    for (score, rule), alerted in kinds.items():
        yield from _judged(book, score, rule, alerted, level, seed)
    if own is not None:
        yield _marked(book, own, level)
        yield _against_lender(book, own, as_many, level)


def _against_lender(book: Book, own: np.ndarray, as_many: np.ndarray, level: float) -> Row:
    """Return what as many alerts by the renewed score find beyond the lender's own."""
    rows, timely = book.judged, _in_time(book)
    found = np.where(timely, as_many.astype(float) - own, 0.0)[rows]
    row = book.row("alerts", "updated_less_lender", "recall")
    try:
        gain = early_warning.share(found, timely[rows].astype(float), book.cluster[rows], level)
    except StudyError as error:
        return row | {"note": str(error)}
    note = "months with default ahead, in time, found by the updated score and not by the lender, less the reverse; "
    note += f"as many alerts as the lender raised in months before {book.cut}"
    return row | percent(gain) | {"note": note}


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
        row | points(one) | {"note": "default ahead after an alert less without: alerts mark risk, no effect of them"}
    )


def _in_time(book: Book) -> np.ndarray:
    """Return the loan-months (boolean) with default ahead within the horizon, in which an alert comes in time."""
    return (book.event == 1) & early_warning.in_time(book.month, book.default_month)


def _judged(book: Book, score: str, rule: str, alerted: np.ndarray, level: float, seed: list[int]) -> Iterator[Row]:
    """Yield what one set of alerts is worth."""
    rows = book.judged
    event, hit, cluster = book.event[rows].astype(float), alerted[rows].astype(float), book.cluster[rows]
    timely = _in_time(book)[rows].astype(float)

    def one(estimand: str, part: np.ndarray, whole: np.ndarray, note: str) -> Row:
        try:
            found = percent(on_log_odds(early_warning.share(part, whole, cluster, level)))
        except StudyError as error:
            found, note = {}, str(error)
        return book.row("alerts", score, estimand, factor=rule, **found, note=note)

    yield one("alerted", hit, np.ones(len(hit)), "of loan-months")
    yield one("precision", hit * event, hit, "of alerts followed by default, in the alert's own month or later")
    yield one("in_time", hit * timely, hit, "of alerts followed by default within the horizon, in a later month")
    yield one("recall", hit * timely, timely, "of loan-months with default ahead in a later month that were alerted")
    yield one("false_alarms", hit * (1 - event), 1 - event, "of loan-months without default ahead that were alerted")
    lead = early_warning.lead_times(book.loan, book.month, alerted, book.default_month)
    of_loan = np.zeros(int(book.loan.max()) + 1, dtype=np.int64)
    of_loan[book.loan] = book.cluster
    bad, ones = of_loan[lead.defaulted], np.ones(len(lead.defaulted))
    loans = {"factor": rule, "outcome": "default"}
    try:
        for estimand, before in CAUGHT.items():
            caught = np.isin(lead.defaulted, lead.loan[lead.months >= before]).astype(float)
            chance = early_warning.caught_at_random(
                book.loan, book.month, book.period, alerted, book.default_month, before
            )
            months = f"{before} whole month{'s' if before > 1 else ''} or more before the month of default"
            found = percent(on_log_odds(early_warning.share(caught, ones, bad, level)))
            more = loans | found | {"note": f"of defaulted loans alerted {months}"}
            yield book.row_of_loans("alerts", score, estimand, lead.defaulted, **more)
            found = percent(on_log_odds(early_warning.share(chance, ones, bad, level)))
            more = loans | found | {"note": "expected of as many alerts at random in every calendar month"}
            yield book.row_of_loans("alerts", score, f"{estimand}_random", lead.defaulted, **more)
            found = points(early_warning.share(caught - chance, ones, bad, level))
            more = loans | found | {"note": "less what as many alerts at random would catch"}
            yield book.row_of_loans("alerts", score, f"{estimand}_over_random", lead.defaulted, **more)
        clusters = of_loan[lead.loan]
        mean = early_warning.share(lead.months, np.ones(len(lead.loan)), clusters, level)._asdict()
        more = (
            loans | mean | {"unit": "months", "p_value": None, "note": f"first alert in time to default; {DESCRIBES}"}
        )
        yield book.row_of_loans("alerts", score, "mean_lead", lead.loan, **more)
        median = early_warning.median_by_clusters(lead.months, clusters, level, DRAWS, seed)._asdict()
        note = f"first alert in time to default; {DESCRIBES}; {DRAWS} draws of whole clusters"
        more = loans | median | {"unit": "months", "note": note}
        yield book.row_of_loans("alerts", score, "median_lead", lead.loan, **more)
    except StudyError as error:
        yield book.row_of_loans("alerts", score, "median_lead", lead.loan, **loans, note=str(error))


def costs(
    book: Book, alerts: dict[tuple[str, str], np.ndarray], choice: EarlyWarning, loss_share: float, level: float
) -> Iterator[Row]:
    """Yield what alerts cost, and from which share of prevented defaults they pay; and the scores compared."""
    if book.amount is None:
        yield not_estimated("costs", "the amounts of the loans are not known.")
        return
    first = np.flatnonzero(np.diff(book.loan, prepend=-1))
    number = np.bincount(np.cumsum(np.diff(book.loan, prepend=-1) != 0) - 1)
    loan = np.repeat(np.arange(len(first)), number)
    loss = loss_share * book.amount[first] * (book.default_month[first] > 0)
    cluster, ones = book.cluster[first], np.ones(len(first))
    values: dict[tuple[str, str], np.ndarray] = {}
    for (score, rule), alerted in alerts.items():
        timely = alerted & early_warning.in_time(book.month, book.default_month)
        cost = choice.contact_cost * np.bincount(loan, alerted, len(first))
        caught = loss * (np.bincount(loan, timely, len(first)) > 0)
        values[score, rule] = choice.prevented_share * caught - cost
        common = book.row_of_loans("costs", score, "", book.loan, factor=rule, outcome="loss")
        try:
            saved = early_warning.share(values[score, rule], ones, cluster, level)
            even = early_warning.share(cost, caught, cluster, level)
        except StudyError as error:
            yield common | {"estimand": "net_value", "note": str(error)}
            continue
        note = f"a loan, where contact prevents {choice.prevented_share:g} of the defaults alerted in time"
        yield common | {"estimand": "net_value", "unit": "currency", "note": note} | saved._asdict()
        note = "of the losses alerted in time that contact must prevent to pay for the contacts"
        yield common | {"estimand": "break_even"} | percent(even) | {"note": note}
    rule = f"capacity[{choice.capacity:g}]"
    for other in [score for score in book.scores if score != "updated"]:
        named = {"factor": rule, "outcome": "loss"}
        row = book.row_of_loans("costs", f"updated_less_{other}", "net_value", book.loan, **named)
        gain = values["updated", rule] - values[other, rule]
        try:
            yield row | early_warning.share(gain, ones, cluster, level)._asdict() | {"unit": "currency"}
        except StudyError as error:
            yield row | {"note": str(error)}
