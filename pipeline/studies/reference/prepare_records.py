"""Cleaning of the raw records: what is dirty, found by rules that look at the records alone.

Nothing is repaired by guessing. What each kind of dirt leads to stands beside its rule:

- a row recorded twice counts once;
- a date that no calendar has, or that lies more than a year from the lender's decision, text in a column of
  numbers, and a code that the code book does not know are no values: the cell counts as empty;
- a loan leaves when a cell that the analysis needs is empty (time zero, amount, industry), because nothing else
  says what stood there: an amount requested is not the amount lent, and time zero is not inferred from repayments;
- the kind of loan stands in the application too, and is taken from there;
- income may be missing in the cohort; the date of application and the channel of a contact are used nowhere, so
  a loan or a contact that lacks them stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from pipeline.runtime.engine import date, frame, number, store, value
from pipeline.runtime.errors import StudyError
from pipeline.studies.reference.schemas import SCHEMAS
from pipeline.studies.reference.tables import CONTACT_CHANNELS, INDUSTRIES, LOAN_TYPES

KEYS = {
    "institutions": ("institution_id",),
    "branches": ("branch_id",),
    "applications": ("application_id",),
    "loans": ("loan_id",),
    "contacts": ("contact_id",),
    "surveys": ("survey_id",),
    "alerts": ("alert_id",),
    "repayments": ("loan_id", "month_number"),
    "documents": ("document_id",),
    "reviews": ("review_id",),
    "macro": ("year", "quarter"),
}
"""What names a row of each raw table."""

DAYS_FROM_DECISION = 365
"""Applications are decided, and granted loans paid out, within a year; a date further off is no date of theirs."""

REPEATED = "recorded_twice"
LOAN_LEAVES = "loan_leaves"


class Rule(NamedTuple):
    """One rule for one column of a raw table."""

    table: str
    column: str
    reason: str
    value: Callable[[ir.Table], ir.Value]
    """The cell's typed value, empty where the record gives none."""
    needed: bool
    """Whether a cell must not be empty in the first place."""
    consequence: str


class Records(NamedTuple):
    """The raw tables after cleaning."""

    tables: dict[str, ir.Table]
    """One row a key; cells that break a rule are empty, and text that holds numbers or dates is typed."""
    dirt: pd.DataFrame
    """One row for each cell that breaks a rule and for each surplus copy of a row, sorted: ``table, row_id``
    (the parts of the key, joined by a hyphen), ``column`` (empty for copies), ``reason``, ``value`` (as it was
    found), ``consequence``."""


def _code(column: str, known: tuple[str, ...]) -> Callable[[ir.Table], ir.Value]:
    return lambda table: table[column].isin(known).ifelse(table[column], ibis.null("string"))


def _number(column: str) -> Callable[[ir.Table], ir.Value]:
    return lambda table: number(table[column])


def _date(column: str, first_day: int, last_day: int) -> Callable[[ir.Table], ir.Value]:
    """Return the date if it lies so many days from the decision."""

    def near(table: ir.Table) -> ir.Value:
        found = date(table[column])
        days = found.delta(table["decision_date"].cast("date"), unit="day")
        return days.between(first_day, last_day).ifelse(found, ibis.null("date"))

    return near


RULES = (
    Rule(
        "applications",
        "application_date",
        "impossible_date",
        _date("application_date", -DAYS_FROM_DECISION, 0),
        True,
        "value_missing",
    ),
    Rule("applications", "annual_income", "not_a_number", _number("annual_income"), False, "value_missing"),
    Rule("applications", "industry", "unknown_code", _code("industry", INDUSTRIES), True, LOAN_LEAVES),
    Rule("applications", "loan_type", "unknown_code", _code("loan_type", LOAN_TYPES), True, "value_missing"),
    Rule(
        "loans",
        "origination_date",
        "impossible_date",
        _date("origination_date", 0, DAYS_FROM_DECISION),
        True,
        LOAN_LEAVES,
    ),
    Rule("loans", "amount", "not_a_number", _number("amount"), True, LOAN_LEAVES),
    Rule("loans", "loan_type", "unknown_code", _code("loan_type", LOAN_TYPES), True, "taken_from_application"),
    Rule("contacts", "channel", "unknown_code", _code("channel", CONTACT_CHANNELS), True, "value_missing"),
)


def clean(tables: Mapping[str, ir.Table]) -> Records:
    """Return the tables without repeated rows and with empty cells where a rule is broken, and all that was found.

    Two different rows with one key contradict each other, and no rule can say which is right: StudyError.
    """
    distinct, dirt = {}, []
    for name, table in tables.items():
        missing = [column for column in SCHEMAS[name].names if column not in table.columns]
        if missing:
            raise StudyError(f"the raw table {name} lacks the columns {', '.join(missing)}.")
        keys = table.group_by(KEYS[name]).aggregate(copies=table.count())
        repeated = store(keys.filter(_.copies > 1), name)
        copies = _copies(name, repeated)
        dirt.append(copies)
        distinct[name] = table
        if len(copies):
            # Few rows are repeated: only these are compared cell by cell, and a long table is never copied.
            once = store(table.semi_join(repeated, KEYS[name]).distinct(), name)
            if value(once.count()) != value(repeated.count()):
                raise StudyError(f"the raw table {name} holds different rows with the same {' and '.join(KEYS[name])}.")
            distinct[name] = table.anti_join(repeated, KEYS[name]).union(once)

    decided = distinct["applications"].select("application_id", "decision_date")
    typed = dict(distinct)
    typed["loans"] = distinct["loans"].left_join(decided, "application_id").drop("application_id_right")
    for name in dict.fromkeys(rule.table for rule in RULES):
        rules = [rule for rule in RULES if rule.table == name]
        raw = typed[name]
        dirt += [_broken(rule, raw) for rule in rules]
        typed[name] = raw.mutate(**{rule.column: rule.value(raw) for rule in rules})
    found = pd.concat(dirt, ignore_index=True)
    return Records(typed, found.sort_values(list(found.columns[:4]), kind="stable", ignore_index=True))


def _row_id(name: str, table: ir.Table) -> ir.StringValue:
    return ibis.literal("-").join([table[part].cast("string") for part in KEYS[name]])


def _copies(name: str, repeated: ir.Table) -> pd.DataFrame:
    """Return one row for every surplus copy of a key; `repeated` holds the keys and how many ``copies`` there are."""
    found = frame(repeated.select(row_id=_row_id(name, repeated), surplus=repeated.copies - 1))
    row_id = found["row_id"].repeat(found["surplus"]).to_numpy(dtype=object)
    return _found(name, row_id, "", REPEATED, "", "copy_dropped")


def _broken(rule: Rule, table: ir.Table) -> pd.DataFrame:
    """Return one row for every cell that breaks the rule."""
    raw = table[rule.column]
    # These are Ibis expressions, not pandas.
    empty, filled = rule.value(table).isnull(), raw.notnull()  # noqa: PD003, PD004
    broken = table.filter(empty if rule.needed else empty & filled)
    found = frame(broken.select(row_id=_row_id(rule.table, broken), value=broken[rule.column].fill_null("")))
    return _found(rule.table, found["row_id"], rule.column, rule.reason, found["value"], rule.consequence)


def _found(table: str, row_id: object, column: str, reason: str, value: object, consequence: str) -> pd.DataFrame:
    columns = {"table": table, "row_id": row_id, "column": column, "reason": reason, "value": value}
    return pd.DataFrame({**columns, "consequence": consequence}, dtype="str")
