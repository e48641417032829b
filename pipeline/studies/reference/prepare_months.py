"""Loans by month: what was recorded in each month of a loan, and what that says about the loan.

Month 0 is the calendar month of origination, month k the k-th after it. A loan has a row for every month at whose
beginning it was open. The landmark is the end of a month: CRM factors that grow after origination are counted up
to it and outcomes after it (`default_after_landmark`), so that no contact that answers a default counts for it.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from pipeline.runtime.engine import value

REACTIVE = ("arrears", "payment_difficulty")
"""Reasons of contacts that answer trouble. All others are the lender's own initiative, whoever dialled."""

OPEN_STATES = ("current", "delinquent")

STRESSED_INFLOW = 0.8
"""Share of the usual inflow to the client's account below which a month is stressed: halfway between an ordinary
month (about 1) and a spell of stress (about .6)."""

RECENT_MONTHS = 3
"""Months over which earlier contacts and delinquency are remembered."""

ANSWER_DAYS = 21
"""The survey asks, when the landmark's month has ended, and is answered within three weeks, before the next
month's state is recorded; what comes later could be an answer to it."""


def month_index(date: ir.DateValue | ir.TimestampValue) -> ir.IntegerValue:
    """Return the months since the year 0: differences are months between dates."""
    return date.year() * 12 + date.month() - 1


def outcomes(repayments: ir.Table, landmark: int, horizon: int) -> ir.Table:
    """Return one row a loan with repayments: what became of it in the months up to landmark + horizon.

    ``default_month`` (empty without default), ``open_at_landmark``, ``complete``: the months follow each other
    without a gap up to the last one or the loan's end, so that no default can be hidden.
    """
    last = landmark + horizon
    ended = _.state.isin(["default", "prepaid"])
    return (
        repayments.filter(_.month_number <= last)
        .group_by("loan_id")
        .aggregate(
            rows=_.count(),
            last_month=_.month_number.max(),
            default_month=_.month_number.min(where=_.state == "default"),
            open_at_landmark=((_.month_number == landmark) & _.state.isin(OPEN_STATES)).any(),
            ended=ended.any(),
        )
        .select(
            "loan_id",
            "default_month",
            "open_at_landmark",
            complete=(_.rows == _.last_month) & (_.ended | (_.last_month == last)),
        )
    )


def loan_months(
    loans: ir.Table, repayments: ir.Table, contacts: ir.Table, alerts: ir.Table, landmark: int, horizon: int
) -> ir.Table:
    """Return one row for each open loan and month up to the horizon, or the landmark where that is later.

    `loans` has ``loan_id, origination_index, contact_log_available``. Columns: ``loan_id, month_number,
    calendar_index`` (as `month_index`); ``delinquent`` and ``default``, the month's state; ``current_at_start`` and
    ``delinquent_before``, the states of earlier months; contacts by kind, ``proactive_contacts`` and
    ``reactive_contacts`` (empty where the institution keeps no log), and ``alert``; ``proactive_before``, the mean
    number of the lender's own contacts over up to three earlier months (empty in month 1, which has none);
    ``stress``, whether a spell of it arrives. Contacts and alerts count by their date, in months in which the loan was
    open. Types are as narrow as what they hold: these are the rows that there are most of.

    Stress arrives in the first of two months in a row below the usual inflow that follow an ordinary one: a single low
    month is as likely an ordinary one with a late salary. A spell that is under way at origination has not arrived
    since; both months lie within the horizon.
    """
    start = loans.select("loan_id", "origination_index", "contact_log_available")
    reactive = _.reason.isin(REACTIVE)
    contacted = (
        contacts.inner_join(start, "loan_id")
        .mutate(month_number=month_index(_.contact_date) - _.origination_index)
        .group_by("loan_id", "month_number")
        .aggregate(proactive=(~reactive).sum(), reactive=reactive.sum())
    )
    alerted = (
        alerts.inner_join(start, "loan_id")
        .mutate(month_number=month_index(_.alert_date) - _.origination_index)
        .select("loan_id", "month_number", alerted=True)
        .distinct()
    )
    month = ["loan_id", "month_number"]
    by_loan = ibis.window(group_by="loan_id", order_by="month_number")
    recent = ibis.window(group_by="loan_id", order_by="month_number", preceding=(RECENT_MONTHS, 1))

    def count(name: str) -> ir.Value:
        return _.contact_log_available.ifelse(_[name].fill_null(0), ibis.null("int64")).cast("int32")

    return (
        repayments.filter(_.month_number <= max(landmark, horizon))
        .inner_join(start, "loan_id")
        .left_join(contacted, month, rname="{name}_contact")
        .left_join(alerted, month, rname="{name}_alert")
        .select(
            *month,
            calendar_index=(_.origination_index + _.month_number).cast("int32"),
            current=_.state == "current",
            delinquent=_.state == "delinquent",
            default=_.state == "default",
            low=(_.account_inflow_ratio < STRESSED_INFLOW) & (_.month_number <= horizon),
            proactive_contacts=count("proactive"),
            reactive_contacts=count("reactive"),
            alert=_.alerted.notnull(),
        )
        .mutate(
            current_at_start=_.current.lag().over(by_loan).fill_null(True),
            delinquent_before=_.delinquent.any().over(recent).fill_null(False),
            proactive_before=(_.proactive_contacts.sum().over(recent) / _.proactive_contacts.count().over(recent)).cast(
                "float32"
            ),
            stress=(_.low & ~_.low.lag().over(by_loan) & _.low.lead().over(by_loan)).fill_null(False),
        )
        .drop("current", "low")
    )


def exposure(months: ir.Table, landmark: int) -> ir.Table:
    """Return one row a loan: what happened in its months up to the landmark, and whether stress arrived.

    Contacts are means per open month.
    """
    early = _.month_number <= landmark
    open_months = _.count(where=early).nullif(0)
    return months.group_by("loan_id").aggregate(
        communication_frequency=_.proactive_contacts.sum(where=early) / open_months,
        communication_frequency_client=_.reactive_contacts.sum(where=early) / open_months,
        early_warning=_.alert.any(where=early),
        stress_within_horizon=_.stress.any(),
    )


def satisfaction(surveys: ir.Table, loans: ir.Table, landmark: int) -> ir.Table:
    """Return each loan's answer to the survey, if it came in time."""
    answered = surveys.inner_join(loans.select("loan_id", "origination_index"), "loan_id")
    months = month_index(_.answer_date) - _.origination_index - landmark
    in_time = (months <= 0) | ((months == 1) & (_.answer_date.day() <= ANSWER_DAYS))
    return answered.filter(in_time).group_by("loan_id").aggregate(satisfaction=_.satisfaction.mean())


def information_sharing(documents: ir.Table) -> ir.Table:
    """Return the share of the items requested at origination that the client shared."""
    return documents.group_by("loan_id").aggregate(
        information_sharing=_.items_shared.sum() / _.items_requested.sum().nullif(0)
    )


def reviews_in_time(reviews: ir.Table, loans: ir.Table, landmark: int) -> ir.Table:
    """Return the reviews that a loan's client wrote up to the landmark, one row a loan and review."""
    return (
        reviews.inner_join(loans.select("loan_id", "client_id", "origination_index"), "client_id")
        .filter(month_index(_.review_date) - _.origination_index <= landmark)
        .select("loan_id", "review_id", "text", "stars")
        .order_by("loan_id", "review_id")
    )


def ends(repayments: ir.Table) -> ir.Table:
    """Return one row a loan: the last month that is recorded, and how it ended (default, repaid, open)."""
    last = repayments.group_by("loan_id").aggregate(
        months=_.month_number.max(), state=_.state.argmax(_.month_number, where=_.state.notnull())
    )
    end = ibis.cases((_.state == "default", "default"), (_.state == "prepaid", "repaid"), else_="open")
    return last.select("loan_id", months=_.months.cast("int64"), end=end)


def afterwards(loans: ir.Table, applications: ir.Table) -> ir.Table:
    """Return one row a loan: months to the client's next loan and to leaving, and the lender's own assessment."""
    start = month_index(_.origination_date)
    assessed = applications.select("application_id", "assessment_score")
    return loans.left_join(assessed, "application_id").select(
        "loan_id",
        "assessment_score",
        months_to_next_loan=(month_index(_.next_loan_date) - start).cast("float64"),
        months_to_leaving=(month_index(_.left_lender_date) - start).cast("float64"),
    )


def reached(contacts: ir.Table, start: ir.Table, landmark: int) -> ir.Table:
    """Return, by loan, the share of the lender's own contacts up to the landmark that reached the client."""
    own = contacts.filter(~_.reason.isin(REACTIVE)).inner_join(start, "loan_id")
    in_time = own.filter(month_index(_.contact_date) - _.origination_index <= landmark)
    return in_time.group_by("loan_id").aggregate(reached_share=_.reached.cast("float64").mean())


ANSWER_WITHIN, ARREARS_WITHIN, DEFAULT_WITHIN = 90, 3, 6
"""Days in which a contact counts as an answer to a warning, and months after it in which arrears and default do."""


def answers(alerts: ir.Table, contacts: ir.Table) -> ir.Table:
    """Return the warnings with ``answer_days``: whole days to the lender's own next contact, empty where none came."""
    own = contacts.filter(~_.reason.isin(REACTIVE)).select("loan_id", "contact_date")
    days = _.contact_date.cast("date").delta(_.alert_date.cast("date"), unit="day")
    first = (
        alerts.select("alert_id", "loan_id", "alert_date")
        .inner_join(own, "loan_id")
        .mutate(days=days)
        .filter(_.days.between(0, ANSWER_WITHIN))
        .group_by("alert_id")
        .aggregate(answer_days=_.days.min().cast("float64"))
    )
    return alerts.left_join(first, "alert_id").select("alert_id", "loan_id", "month_number", "answer_days")


def after_alerts(alerts: ir.Table, repayments: ir.Table) -> ir.Table:
    """Return the warnings with the loan's state before them, and arrears and default in the months after them.

    Warnings whose following months are not all recorded, because the records end, are left out.
    """
    states = repayments.select("loan_id", "state", month=_.month_number)
    recorded = int(value(repayments.month_number.max()))
    since = _.month - _.month_number
    known = (
        alerts.filter(_.month_number <= recorded - DEFAULT_WITHIN)
        .inner_join(states, "loan_id")
        .filter((since >= -1) & (since <= DEFAULT_WITHIN))
        .group_by("alert_id", "loan_id", "month_number", "answer_days")
        .aggregate(
            before=_.state.max(where=since == -1),
            arrears_after=(_.state.isin(["delinquent", "default"]) & since.between(1, ARREARS_WITHIN)).any(),
            default_after=((_.state == "default") & (since >= 1)).any(),
        )
    )
    # A loan that has no month before this one has just been granted.
    return known.select(
        "loan_id",
        "month_number",
        "answer_days",
        current_at_start=(_.before == "current").fill_null(True).cast("int64"),
        arrears_after=_.arrears_after.cast("int64"),
        default_after=_.default_after.cast("int64"),
    )
