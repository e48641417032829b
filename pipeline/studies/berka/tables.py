"""The raw tables of the bank, as they are read and joined to one row a loan."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir
import pandas as pd
import pandera.pandas as pa
from ibis import _

from pipeline.runtime.engine import Engine, date, frame, number, put
from pipeline.runtime.errors import StudyError

TABLES = {
    "loan": ("loan_id", "account_id", "date", "amount", "duration", "payments", "status"),
    "account": ("account_id", "district_id", "frequency", "date"),
    "disp": ("disp_id", "client_id", "account_id", "type"),
    "client": ("client_id", "birth_number"),
    "card": ("card_id", "disp_id", "issued"),
    # Name, region, average salary, unemployment in 1996; the column of 1995 has a gap.
    "district": ("A1", "A2", "A3", "A11", "A13"),
}
"""The bank's tables and the columns that are read of them."""

JOINED = (*TABLES, "berka_before_loan")
"""Tables that are joined into one row a loan. The transactions, where they are at hand, only check them."""

UNDATED = frozenset({"order"})
"""Tables without a date: what they hold may be younger than the loan, even follow from it. They are never read."""

BEFORE_LOAN = (
    "loan_id",
    "account_id",
    "loan_date",
    "date_max",
    "date_min",
    "operation_count",
    "balance_mean",
    "balance_min",
    "balance_last",
    "amount_max",
)

TRANSACTIONS = ("account_id", "date", "type", "amount", "balance")

FREQUENCIES = {"POPLATEK MESICNE": 0, "POPLATEK TYDNE": 1, "POPLATEK PO OBRATU": 2}
"""Statements monthly, weekly, after each transaction; the numbers are the steps of the dose."""

BAD = {"A": 0, "B": 1, "C": 0, "D": 1}
"""Ended and paid, ended and not paid, running and in order, running and in debt."""

WEEKS_PER_MONTH = 365.25 / 12 / 7


def _number(low: float, high: float) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low, high))


RAW = pa.DataFrameSchema(
    {
        "loan_id": pa.Column(str, unique=True),
        "account_id": pa.Column(str),
        "status": pa.Column(str, pa.Check.isin(list(BAD))),
        "frequency": pa.Column(str, pa.Check.isin(list(FREQUENCIES))),
        "loan_date": pa.Column("datetime64[ms]"),
        "account_date": pa.Column("datetime64[ms]"),
        "birth_date": pa.Column("datetime64[ms]"),
        "female": pa.Column(bool),
        "amount": _number(1, 1e7),
        "duration": _number(1, 120),
        "payments": _number(1, 1e6),
        "district": pa.Column(str),
        "district_salary": _number(1000, 1e5),
        "district_unemployment": _number(0, 100),
        "owners": _number(1, 1),
        "second_persons": _number(0, 1),
        "cards_before": _number(0, 10),
        "first_transaction": pa.Column("datetime64[ms]"),
        "last_transaction": pa.Column("datetime64[ms]"),
        "transactions": _number(1, 1e5),
        "balance_mean": _number(-1e7, 1e7),
        "balance_min": _number(-1e7, 1e7),
        "balance_last": _number(-1e7, 1e7),
        "largest_credit": _number(0, 1e7),
    }
)
"""One row a loan after the tables are joined, and the rules it must meet; what joins to nothing is missing."""


def _date(text: ir.StringValue) -> ir.DateValue:
    """Return the date that YYMMDD stands for, all of the twentieth century; missing where no calendar has it."""
    digits = text.left(6)
    return date("19" + digits.substr(0, 2) + "-" + digits.substr(2, 2) + "-" + digits.substr(4, 2))


def _in_engine(tables: Mapping[str, pd.DataFrame | ir.Table]) -> dict[str, ir.Table]:
    """Return the tables as they stand in an engine: frames are given to one of their own."""
    if not any(isinstance(table, pd.DataFrame) for table in tables.values()):
        return dict(tables)
    backend = Engine().connect(threads=1)
    return {name: put(backend, table.astype("str"), name) for name, table in tables.items()}


def joined(tables: Mapping[str, pd.DataFrame | ir.Table]) -> pd.DataFrame:
    """Join the bank's tables and the aggregates into one row a loan, in the columns of `RAW`, sorted by loan.

    What counts as known before the loan carries a date before it: cards by their day of issue, balances and activity
    by that of the transaction. How often statements are sent and who else may use the account carry none: they are
    taken as they stand in the table.
    """
    missing = [name for name in JOINED if name not in tables]
    if missing:
        raise StudyError(f"the study berka needs the raw tables {', '.join(missing)}.")
    table = _in_engine({name: tables[name] for name in JOINED})
    loans = table["loan"].select(
        "loan_id",
        "account_id",
        "status",
        loan_date=_date(_.date),
        amount=number(_.amount),
        duration=number(_.duration),
        payments=number(_.payments),
    )
    accounts = table["account"].select("account_id", "district_id", "frequency", account_date=_date(_.date))
    month = table["client"].birth_number.substr(2, 2).try_cast("int64")
    clients = table["client"].mutate(
        female=month > 50,
        birth_date=_date(
            _.birth_number.substr(0, 2)
            + (month > 50).ifelse(month - 50, month).cast("string").lpad(2, "0")
            + _.birth_number.substr(4, 2)
        ),
    )
    owners = (
        table["disp"]
        .filter(_.type == "OWNER")
        .join(clients.select("client_id", "female", "birth_date"), "client_id")
        .group_by("account_id")
        .aggregate(owners=_.count(), female=_.female.max(), birth_date=_.birth_date.min())
    )
    seconds = table["disp"].filter(_.type == "DISPONENT").group_by("account_id").aggregate(second_persons=_.count())
    cards = (
        table["card"]
        .select("disp_id", issued=_date(_.issued))
        .join(table["disp"].select("disp_id", "account_id"), "disp_id")
        .join(loans.select("account_id", "loan_date"), "account_id")
        .filter(_.issued < _.loan_date)
        .group_by("account_id")
        .aggregate(cards_before=_.count())
    )
    districts = table["district"].select(
        district_id="A1",
        district="A2",
        district_salary=number(_.A11),
        district_unemployment=number(_.A13),
    )
    before = table["berka_before_loan"].select(
        "loan_id",
        first_transaction=date(_.date_min),
        last_transaction=date(_.date_max),
        transactions=number(_.operation_count),
        balance_mean=number(_.balance_mean),
        balance_min=number(_.balance_min),
        balance_last=number(_.balance_last),
        largest_credit=number(_.amount_max),
    )
    rows = loans
    for other, key in (
        (accounts, "account_id"),
        (owners, "account_id"),
        (seconds, "account_id"),
        (cards, "account_id"),
        (districts, "district_id"),
        (before, "loan_id"),
    ):
        rows = rows.left_join(other, key, rname="{name}_again").drop(f"{key}_again")
    rows = rows.mutate(second_persons=_.second_persons.fill_null(0), cards_before=_.cards_before.fill_null(0))
    found = frame(rows.select(*RAW.columns))
    for name, rule in RAW.columns.items():
        if str(rule.dtype).startswith("datetime"):
            found[name] = found[name].astype("datetime64[ms]")
        elif str(rule.dtype) == "float64":
            found[name] = found[name].astype(float)
    found["female"] = found["female"].fillna(False).astype(bool)
    # In an order of its own: joins promise none.
    order = found["loan_id"].astype("int64").argsort(kind="stable")
    return found.iloc[order].reset_index(drop=True)
