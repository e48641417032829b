"""The units of terms and of rates: told by names and cells, by a date on which loans are due, or asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.sources import cells, dates
from pipeline.studies.own import roles
from pipeline.studies.own.profile import Column
from pipeline.studies.own.questions import Question

if TYPE_CHECKING:
    import pandas as pd

LONGEST_TERM = 600
"""Months of a term beyond which a number without a unit is hardly one of months."""

COUNTED = re.compile(r"instal|parcel|cuota|\brat\b|期数")
"""Names of terms that count instalments, which are due month by month."""


def rates_in(columns: Mapping[str, Column], found: Mapping[str, str], told: str | None, path: Path) -> str:
    """Return whether rates are percent or fractions: the latter where none is above one, and none has a sign."""
    rate = columns[found["interest_rate"]] if "interest_rate" in found else None
    if told or rate is None or rate.percent or rate.kind != "number":
        return told or "percent"
    if rate.middle < 1 < float(rate.largest):
        raise Question(
            f"{path}, column {rate.name}: half of the rates are below {rate.middle:g}, the largest is {rate.largest}: "
            "say with --rate-in fraction that .125 is 12.5%, or with --rate-in percent that .125 is .125%.",
            "rate_in",
            "Interest rates are in (percent or fraction)",
        )
    return "fraction" if float(rate.largest) <= 1 else "percent"


def term_in(
    table: pd.DataFrame,
    columns: Mapping[str, Column],
    found: Mapping[str, str],
    decimal: Mapping[str, str],
    told: str | None,
    path: Path,
) -> str | None:
    """Return the unit of terms that have none in their cells, by the column's name or as told."""
    if "term_months" not in found or told:
        return told
    name = found["term_months"]
    if unit := roles.unit_in(f"{name} {columns[name].label}"):
        return unit
    read = cells.months(table[name], decimal.get(name, "."))
    if not read.marks and (unit := _by_due_date(table, columns, found, read.meaning)):
        return unit
    doubt, longest = read.doubt, read.meaning.max()
    if not doubt and not read.marks and longest > LONGEST_TERM:
        doubt = f"{longest:g} has no unit and is hardly a term in months"
    if not doubt and not read.marks and longest < 12 and not COUNTED.search(roles.normal(name)):
        doubt = f"the longest term is {longest:g} and has no unit, so they may be years"
    if doubt:
        raise Question(
            f"{path}, column {name}: {doubt}: say what is meant with --term-in month, year, week or day.",
            "term_in",
            "Terms without a unit are in (month, year, week or day)",
        )
    return None


def _by_due_date(
    table: pd.DataFrame, columns: Mapping[str, Column], found: Mapping[str, str], terms: pd.Series
) -> str | None:
    """Return the unit in which terms are as long as from the loan to the date on which it is due; None without it."""
    due = next((name for name, column in columns.items() if column.kind == "date" and roles.is_due_date(name)), None)
    granted = found.get("origination_date")
    if due is None or granted is None or due not in table:
        return None
    days = (dates.read(table[due]).meaning - dates.read(table[granted]).meaning).dt.days
    months = (days / terms).median() * cells.MONTHS_IN["day"]
    return next((unit for unit, length in cells.MONTHS_IN.items() if 0.8 <= months / length <= 1.25), None)
