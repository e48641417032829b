"""Files with one row a loan and month: how they are recognised, and the one row a loan that is made of them.

The rule: a loan is granted in its first month, it defaulted if it was ever in default, and everything else of it is
what stood in its first month, so that nothing which came later can tell what became of it. Factors that are recorded as
they happen are means over the months up to the landmark, and are studied on loans that were open then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates
from pipeline.studies.own import months, roles

FEWEST_MONTHS = 2.0
"""Rows a loan on average from which on a file may hold months."""


class Panel(NamedTuple):
    """Which columns tell loan and month."""

    loan: str
    month: str
    order: pd.Series
    """Each row's month, as a date."""


class Collapsed(NamedTuple):
    """One row a loan."""

    loans: pd.DataFrame
    course: months.Course
    """Its months, whose ``key`` is the loan."""


def recognised(table: pd.DataFrame, *, counts: bool = True) -> Panel | None:
    """Return loan and month of a table in which loans come again, each in months of its own; None for other tables.

    `counts` says whether months may be told by their number alone.
    """
    loans = [name for name in table if roles.likeness(str(name), "loan_id")]
    keys = [name for name in loans if _comes_again(table[name])]
    if not any(table[name].is_unique for name in loans):
        # One loan a client: its months follow each other, as new loans of a client do not.
        keys += [name for name in table if roles.likeness(str(name), "client_id") > 1 and _comes_again(table[name])]
    named = [name for name in table if of_month(str(name)) or roles.normal(str(name)) in COUNTED]
    # Months of the calendar tell more than their number.
    named.sort(key=lambda name: roles.normal(str(name)) in COUNTED)
    for key in keys:
        for name in named:
            again = table.duplicated([key, name], keep=False)
            if name == key or moments(table[name].head(1000))[0].notna().mean() < 0.95:
                continue
            # A row that was recorded twice is one; two different ones of a month make none.
            if again.any() and table[again].drop_duplicates().duplicated([key, name]).any():
                continue
            order, counted = moments(table[name])
            if order.nunique() < 2 or (counted and not counts):
                continue
            if (key in loans and not counted) or _follow_each_other(table[key], order):
                return Panel(str(key), str(name), order)
    return None


def moments(column: pd.Series, day_first: bool | None = None) -> tuple[pd.Series, bool]:
    """Return the months of rows as dates, and whether they were only counted: 1, 2, 3 ..., from any first month."""
    read = dates.read(column, day_first).meaning
    if read.notna().any() or roles.normal(str(column.name)) not in COUNTED:
        return read, False
    number = cells.numbers(column).meaning
    number = number.where((number % 1 == 0) & number.between(-1200, 1200))
    made = np.datetime64("1970-01") + number.fillna(0).astype("int64").to_numpy().astype("timedelta64[M]")
    return pd.Series(made.astype("datetime64[ms]"), column.index).mask(number.isna()), True


def of_course(name: str, panel: Panel) -> bool:
    """Say whether a column tells the course of a loan and nothing else: its month, and what is still owed."""
    return name == panel.month or roles.normal(name) in ("balance", "余额")


def _comes_again(column: pd.Series) -> bool:
    present = column.dropna()
    return len(present) >= FEWEST_MONTHS * max(present.nunique(), 1)


def _follow_each_other(key: pd.Series, month: pd.Series) -> bool:
    """Say whether the months of nearly every key have no gap."""
    of_key = months.month_of(month).groupby(key.to_numpy())
    return bool((of_key.max() - of_key.min() + 1 == of_key.nunique()).mean() >= 0.95)


WAVES = frozenset([
    "wave", "waves", "round", "survey round", "survey wave", "visit", "phase", "follow up", "ola", "ronda", "vague",
    "welle", "轮次", "轮", "期次", "调查轮次",
])  # fmt: skip
"""Names of columns that count the times at which a study asked the same borrowers."""


def of_loans(table: pd.DataFrame, path: Path) -> Panel | None:
    """Return loan and month of a file with one row a loan and month; a StudyError where its rows are waves."""
    found = recognised(table)
    if found is None and (waves := _of_waves(table)):
        raise StudyError(
            f"{path}: each {waves[0]} has a row for every {waves[1]}, and a study needs one row a loan: keep the rows "
            f"of one {waves[1]} (the last, if it tells how loans ended), with what was known before in columns of them."
        )
    return found


def _of_waves(table: pd.DataFrame) -> tuple[str, str] | None:
    """Return the borrower's column and the one of the wave, of a table with a row for each of both; None for others."""
    named = [name for name in table if roles.normal(str(name)) in WAVES]
    loans = [name for name in table if roles.likeness(str(name), "loan_id")]
    if not named or any(table[name].is_unique for name in loans):
        return None
    keys = [*loans, *(name for name in table if roles.likeness(str(name), "client_id") > 1)]
    found = ((str(key), str(name)) for key in keys for name in named if not table.duplicated([key, name]).any())
    return next((pair for pair in found if _comes_again(table[pair[0]])), None)


MONTH_WORDS = frozenset([
    "month", "period", "date", "quarter", "mes", "monat", "mois", "miesiac", "bulan", "mese", "fecha", "data", "datum",
    "tanggal", "periodo", "stichtag",
])  # fmt: skip
"""Words in the names of columns that tell a row's month."""


COUNTED = frozenset([
    "time", "t", "month", "period", "mob", "loan age", "months on book", "month number", "month no", "期次", "账龄",
])  # fmt: skip
"""Names of columns that count months."""


def of_month(name: str) -> bool:
    """Say whether a column's name may be that of a month or a date."""
    words = roles.normal(name)
    return bool(
        roles.likeness(name, "origination_date")
        or set(words.split()) & MONTH_WORDS
        or words in ("as on", "as of")
        or any(part in words for part in ("月", "报告期", "账期", "日期"))
    )


def first_rows(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return the row of each loan's first month, in the file's order."""
    first = panel.order.groupby(table[panel.loan]).idxmin()
    return table.loc[np.sort(first.to_numpy())].reset_index(drop=True)


def collapse(
    rows: pd.DataFrame,
    month: pd.Series,
    horizon: int | None = None,
    landmark: int | None = None,
    events: Sequence[str] = (),
) -> Collapsed:
    """Return one row a loan of the rows of its months.

    Parameters
    ----------
    rows
        Typed columns by role with ``loan_id``, and ``default``, ``late`` and ``repaid`` (0/1). Rows without a loan or a
        month stay out.
    month
        The date of each row's month.
    horizon
        Months from the first within which default counts; all of them.
    landmark, events
        Factors that are a mean over the months up to the landmark, in place of what stood in the first.

    """
    dated = rows.assign(key=rows["loan_id"], month=month, calendar=months.month_of(month))
    course = months.course(dated)
    ends = course.ends()
    first = course.rows.drop_duplicates("key").set_index("key")
    ever = (ends["end"] == "default") & (ends["months"] <= (horizon or ends["months"]))
    found = first.assign(default=ever.astype(float))
    if landmark:
        early = course.rows[course.rows["number"] <= landmark].groupby("key")
        found = found.assign(**{name: early[name].mean() for name in events})
    if "origination_date" not in found:
        found["origination_date"] = found["month"]
    made = ["number", "calendar", "late", "repaid", "month"]
    return Collapsed(found.drop(columns=made).reset_index(drop=True), course)
