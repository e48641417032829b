"""A Nigerian lender of small, short loans: default by how many loans a client has had, and how they went.

Raw data: three tables of a public competition (SuperLender, Data Science Nigeria): one loan of July 2017 for each of
4,368 clients, their earlier loans, and what clients stated of themselves. They are joined by the number of the client,
on the path that the tables of a reader's own folder take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.core.protocol import Study
from pipeline.core.schema import check, check_cohort, cohort_schema
from pipeline.core.shared import Checks
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.sources import readers
from pipeline.sources.records import Source, SourceFile
from pipeline.studies.grades import by_points
from pipeline.studies.own.folder import Link, joined
from pipeline.studies.preparation import (
    Preparation,
    SampleFlow,
    in_arms,
    known_factors,
    meet,
    raw_tables,
    stop_if_too_many,
    tidy,
)

LOANS, EARLIER, CLIENTS = "trainperf", "trainprevloans", "traindemographics"

OF_LOAN = ("customerid", "systemloanid", "loannumber", "approveddate", "loanamount", "totaldue", "termdays")
TABLES = {
    LOANS: (*OF_LOAN, "referredby", "good_bad_flag"),
    EARLIER: (*OF_LOAN, "firstduedate", "firstrepaiddate", "closeddate"),
    # Where a client lives and banks is not read.
    CLIENTS: ("customerid", "birthdate"),
}
"""The lender's tables and the columns that are read of them."""

LINKS = (Link("history", "customerid", "customerid", "columns"), Link(CLIENTS, "customerid", "customerid", "columns"))
"""What the others add to a loan: how its client's earlier loans went, and a day of birth."""

BAD = {"Good": 0, "Bad": 1}
TERMS = ("15", "30", "60", "90")
"""Terms in days. The first two fall due at once, the others in instalments a month apart."""
INSTALMENT_DAYS = 30

YOUNG = 30
"""Years of age below which a client gets a point on the way down the grade, and by which ages are grouped."""
AGES = (0, YOUNG, 40, np.inf)
AGE_GROUPS = ["under_30", "30_to_39", "40_and_over"]
NO_AGE = "not_on_file"

MONTH_LATE = 30
"""Days by which a first repayment counts as early or late at most."""

FACTORS = (
    "relationship_depth_prior_loans",
    "relationship_length",
    "early_warning_late_share",
    "relationship_depth_referred",
)
"""What the tables let one measure; params.yaml, beside, says which of them the study looks at."""


RAW = {
    "customerid": pa.Column(str),
    "systemloanid": pa.Column(str, unique=True),
    "loannumber": pa.Column(float, pa.Check.in_range(1, 1000)),
    "approveddate": pa.Column("datetime64[ms]"),
    "loanamount": pa.Column(float, pa.Check.in_range(1, 1e7)),
    "totaldue": pa.Column(float, pa.Check.in_range(1, 1e7)),
    "termdays": pa.Column(str, pa.Check.isin(TERMS)),
}
RULES = {
    LOANS: RAW
    | {
        "customerid": pa.Column(str, unique=True),
        "referredby": pa.Column(str, nullable=True),
        "good_bad_flag": pa.Column(str, pa.Check.isin(list(BAD))),
    },
    EARLIER: RAW | dict.fromkeys(("firstduedate", "firstrepaiddate", "closeddate"), pa.Column("datetime64[ms]")),
    CLIENTS: {"customerid": pa.Column(str), "birthdate": pa.Column("datetime64[ms]")},
}
"""The columns that the study uses and the rules that each table must meet; what joins to nothing is missing."""

STUDY_COLUMNS = {
    "term": pa.Column("category"),
    "origination_week": pa.Column("category"),
    # Missing where the lender holds no statement of the client; the group says so instead.
    "age": pa.Column(float, pa.Check.in_range(15, 100), nullable=True),
    "age_group": pa.Column("category"),
    "under_30": pa.Column(float, pa.Check.isin([0, 1])),
    "statements_on_file": pa.Column(float, pa.Check.isin([0, 1])),
    "first_loan_days_late": pa.Column(float, pa.Check.in_range(-MONTH_LATE, MONTH_LATE)),
    "late_share_by_the_clock": pa.Column(float, pa.Check.in_range(0, 1)),
}
"""Columns beyond those that all studies share; naira, days and years. The interest is in percent of the loan over its
term."""


def files(source: Source, vintages: Sequence[int]) -> list[SourceFile]:
    """Return the files of the source that the study reads: all of them."""
    return list(source.files)


def read(source: str, paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read the lender's tables as text, by name."""
    by_name = {path.stem: path for path in paths}
    return {name: readers.read_delimited(by_name[name], columns, ",") for name, columns in TABLES.items()}


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame]:
    """Return the raw tables that `read` gave; the lender's join is one of frames."""
    return raw_tables(folder)


def typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a raw table with its days and numbers as such, sorted; text that is neither becomes missing."""
    table = table.reset_index(drop=True)
    for column, rule in RULES[name].items():
        kind = str(rule.dtype)
        if kind.startswith("datetime"):
            table[column] = pd.to_datetime(table[column], errors="coerce").astype("datetime64[ms]")
        elif kind == "float64":
            table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
    return table.sort_values(list(table), kind="stable", ignore_index=True)


def earlier_loans(raw: pd.DataFrame) -> pd.DataFrame:
    """Return the loans that clients had before, a row each, with how punctual the client was.

    ``loan_id, client_id, loan_number, approved, closed, term, amount``; ``days_late`` from the day on which the first
    payment was due to the day of the first payment, below nought if it came early; ``first_repaid_late`` whether it
    came on a later day, and ``closed_late`` whether the loan was closed after the day on which all of it was due (0/1).
    Days are compared, not clocks: most loans are due at midnight, with which their day begins.
    """
    due, paid, closed = (raw[name].dt.normalize() for name in ("firstduedate", "firstrepaiddate", "closeddate"))
    # Of several instalments the file dates the first; the others follow a month apart.
    last_due = due + pd.to_timedelta((raw["termdays"].astype(int) - INSTALMENT_DAYS).clip(lower=0), unit="D")
    loans = pd.DataFrame(
        {
            "loan_id": raw["systemloanid"].astype(str),
            "client_id": raw["customerid"].astype(str),
            "loan_number": raw["loannumber"],
            "approved": raw["approveddate"],
            "closed": raw["closeddate"],
            "term": pd.Categorical(raw["termdays"], TERMS),
            "amount": raw["loanamount"],
            "days_late": (paid - due).dt.days.astype(float),
            "late_by_the_clock": (raw["firstrepaiddate"] > raw["firstduedate"]).astype(float),
            "first_repaid_late": (paid > due).astype(float),
            "closed_late": (closed > last_due).astype(float),
        }
    )
    return loans.sort_values(["client_id", "loan_number", "loan_id"], kind="stable", ignore_index=True)


def history(earlier: pd.DataFrame) -> pd.DataFrame:
    """Return how a client's earlier loans went, a row a client.

    ``customerid, first_approval, last_closed``, ``first_days_late`` of the first loan on record, and the shares of
    loans first repaid late, by the day (``late_share``) and by the clock (``late_share_by_the_clock``).
    """
    by_client = earlier.groupby("client_id")
    found = by_client.agg(
        first_approval=("approved", "min"),
        last_closed=("closed", "max"),
        first_days_late=("days_late", "first"),
        late_share=("first_repaid_late", "mean"),
        late_share_by_the_clock=("late_by_the_clock", "mean"),
    )
    return found.rename_axis("customerid").reset_index()


def joined_tables(loans: pd.DataFrame, earlier: pd.DataFrame, clients: pd.DataFrame) -> pd.DataFrame:
    """Return the loans, each with what its client's earlier loans and statements add."""
    beside = {"history": history(earlier_loans(earlier)), CLIENTS: clients}
    for link in LINKS:
        loans = joined(loans, beside[link.file], link)
    return loans


def credit_grade(loans: pd.DataFrame) -> pd.Series:
    """Return a grade of what a client was like before the relationship grew, from nothing of the loan itself.

    A point for a first loan that was not repaid before its day, another if it was repaid after it, and one for a
    client below `YOUNG` years of age; an age that is not on file gives no point. `loans` has ``first_days_late`` (days)
    and ``age`` (years). Kind of account and employment are left out: the lender asked for them in other ways as time
    went by, so that they tell when a client came.
    """
    late = loans["first_days_late"]
    return by_points((late >= 0).astype(int) + (late > 0).astype(int) + (loans["age"] < YOUNG).astype(int))


def _columns(raw: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the cohort's columns for every joined loan."""
    date = raw["approveddate"].dt.normalize().astype("datetime64[ms]")
    age = (date - raw["birthdate"]).dt.days / 365.25
    group = pd.cut(age, AGES, right=False, labels=AGE_GROUPS, ordered=False).cat.add_categories(NO_AGE).fillna(NO_AGE)
    columns = pd.DataFrame(
        {
            "loan_id": raw["systemloanid"].astype(str),
            "institution_type": pd.Categorical([study.institution_type] * len(raw)),
            "origination_date": date,
            "origination_month": pd.Categorical(date.dt.strftime("%Y-%m")),
            "origination_quarter": pd.Categorical(date.dt.to_period("Q").astype(str)),
            "origination_week": pd.Categorical(((date.dt.day - 1) // 7 + 1).astype(str)),
            "credit_grade": credit_grade(raw.assign(age=age)),
            "loan_type": pd.Categorical(["cash_loan"] * len(raw)),
            "term": pd.Categorical(raw["termdays"], TERMS),
            "amount": raw["loanamount"],
            "interest_rate": 100 * (raw["totaldue"] / raw["loanamount"] - 1),
            "age": age,
            "age_group": group,
            "under_30": (age < YOUNG).astype(float),
            "statements_on_file": age.notna().astype(float),
            "first_loan_days_late": raw["first_days_late"].clip(-MONTH_LATE, MONTH_LATE),
            "late_share_by_the_clock": raw["late_share_by_the_clock"],
            "relationship_depth_prior_loans": raw["loannumber"] - 1,
            "relationship_length": (date - raw["first_approval"].dt.normalize()).dt.days / 365.25,
            "early_warning_late_share": raw["late_share"],
            "relationship_depth_referred": raw["referredby"].notna().astype(float),
            "default": raw["good_bad_flag"].map(BAD).astype("int64"),
        },
        index=raw.index,
    )
    return in_arms(columns, study, FACTORS)


def choices(study: Study, where: str = "pipeline/studies/superlender/params.yaml") -> None:
    """Check what only this module knows; `where` names the study's file."""
    known_factors(study, FACTORS, where)
    if study.treatment is None:
        raise StudyError(f"{where}: treatment must say from how many earlier loans a client counts as treated.")


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the lender's tables into the loan cohort; the panel ``earlier_loans`` holds what clients borrowed before.

    Raises StudyError when a table breaks its data rules, or the sample flow does not meet the counts that the protocol
    expects.
    """
    choices(study)
    checked = {}
    for name, rules in RULES.items():
        raw = typed(tables[name], name)
        checked[name] = check(raw, pa.DataFrameSchema(rules), name)
        stop_if_too_many(checked[name], len(raw), checks, name)
    raw = typed(tables[LOANS], LOANS)
    flow = SampleFlow(raw, raw["good_bad_flag"].eq("Bad").astype("int64"))
    meet(study.expected.ended, len(raw), "ended")
    meet(study.expected.ended_defaults, int(flow.table()["remaining_defaults"].iloc[0]), "ended_defaults")
    good = joined_tables(*(checked[name].good for name in TABLES))
    flow.leave("data_rule", pd.Series(~raw.index.isin(good.index), raw.index))
    flow.leave("no_earlier_loan", good["first_approval"].isna())
    # What became of an earlier loan that was still open, nobody knew.
    flow.leave("earlier_loan_open", good["last_closed"] >= good["approveddate"])
    meet(study.expected.cohort, len(flow.frame), "cohort")
    return Preparation(
        cohort=check_cohort(
            tidy(_columns(good.loc[flow.frame.index], study)), cohort_schema(STUDY_COLUMNS, study.factors, [])
        ),
        flow=flow.table(),
        quarantined=pd.concat([checked[name].quarantined for name in TABLES], ignore_index=True),
        panels={"earlier_loans": earlier_loans(checked[EARLIER].good)},
    )
