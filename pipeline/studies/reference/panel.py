"""The panel of loan-months: months read and joined a part of the loans at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from pipeline.runtime.engine import frame, local
from pipeline.studies.reference import prepare_months
from pipeline.studies.reference.tables import GRADES

PANEL = (
    "loan_id",
    "month_number",
    "calendar_index",
    "current_at_start",
    "delinquent",
    "default",
    "proactive_contacts",
    "reactive_contacts",
    "proactive_before",
    "delinquent_before",
    "alert",
)
"""What the panel of loan-months holds of the month ..."""

OF_LOAN = (
    "loan_id",
    "institution_id",
    "institution_type",
    "treated",
    "credit_grade",
    "credit_score",
    "debt_to_income",
    "relationship_length",
    "small_firm",
    "information_sharing",
)
"""... and of the loan."""

PART = 100_000
"""Loans whose months are fetched at a time."""

FLAGS = ("month_number", "current_at_start", "delinquent", "default", "delinquent_before", "alert", "treated")

NUMBERS = (
    "proactive_contacts",
    "reactive_contacts",
    "proactive_before",
    "credit_score",
    "debt_to_income",
    "relationship_length",
    "small_firm",
    "information_sharing",
    "unemployment",
)
"""Columns of the panel that fit into one byte, and into four."""


def month_names(index: pd.Series) -> pd.Series:
    """Return calendar months such as 2004-11 from months since the year 0."""
    return index.map({month: f"{month // 12}-{month % 12 + 1:02d}" for month in index.dropna().unique().astype(int)})


def loan_months(loans: ir.Table, tables: Mapping[str, ir.Table], landmark: int, horizon: int) -> Iterator[ir.Table]:
    """Yield the loan-months of `PART` loans at a time, in the order of their identifiers."""
    identifiers = frame(loans.select("loan_id"))["loan_id"].sort_values(ignore_index=True)
    for start in range(0, len(identifiers), PART):
        part = identifiers.iloc[start : start + PART]
        within = _.loan_id.between(int(part.iloc[0]), int(part.iloc[-1]))
        records = (tables[name].filter(within) for name in ("repayments", "contacts", "alerts"))
        yield prepare_months.loan_months(loans.filter(within), *records, landmark, horizon)


def panel(months: ir.Table, loans: pd.DataFrame, known: pd.DataFrame, horizon: int) -> Iterator[pd.DataFrame]:
    """Yield one row for each month, up to the horizon, at whose beginning a loan of the cohort was open.

    `PART` loans at a time, in the order of loan and month; levels of categories are those of all parts.
    """
    within = months.filter(_.month_number <= horizon).semi_join(local(loans[["loan_id"]], months), "loan_id")
    calendar = frame(within.select("calendar_index").distinct())["calendar_index"].sort_values(ignore_index=True)
    loans = loans.iloc[loans["loan_id"].astype(str).argsort(kind="stable")]
    levels = {name: sorted(loans[name].dropna().unique()) for name in ("institution_id", "institution_type")}
    levels["credit_grade"] = list(GRADES)
    # To the engine and back go numbers of levels, which stand in every month, not their names.
    numbered = loans.assign(**{name: pd.Categorical(loans[name], of).codes for name, of in levels.items()})
    for start in range(0, len(loans), PART):
        yield _months(months, numbered.iloc[start : start + PART], known, horizon, calendar, levels)


def _months(
    months: ir.Table,
    loans: pd.DataFrame,
    known: pd.DataFrame,
    horizon: int,
    calendar: pd.Series,
    levels: Mapping[str, list[str]],
) -> pd.DataFrame:
    """Return the part of the panel that holds `loans`, which name `levels` by their numbers; `calendar` rises."""
    ends = int(loans["loan_id"].min()), int(loans["loan_id"].max())
    unemployment = local(known[["calendar_index", "unemployment"]], months)
    joined = (
        months.filter(_.loan_id.between(*ends), _.month_number <= horizon)
        .inner_join(local(loans, months), "loan_id")
        .left_join(unemployment, "calendar_index", rname="{name}market")
        .mutate(loan_id=_.loan_id.cast("string"))
    )
    columns = [*PANEL, *(name for name in OF_LOAN if name != "loan_id"), "unemployment"]
    panel = frame(joined.select(*columns).order_by("loan_id", "month_number"))
    return panel.assign(
        calendar_month=pd.Categorical.from_codes(
            calendar.searchsorted(panel["calendar_index"]), list(month_names(calendar))
        ),
        **{
            name: pd.Categorical.from_codes(panel[name], of, ordered=name == "credit_grade")
            for name, of in levels.items()
        },
        **{name: panel[name].astype("int8") for name in FLAGS},
        **{name: panel[name].astype("float32") for name in NUMBERS},
    ).drop(columns="calendar_index")
