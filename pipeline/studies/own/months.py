"""Loans month by month: how each ended, what it was like in each month, and where its landmark may stand.

Month k of a loan is the k-th after that of its origination; where nothing says when it was granted, its first month on
record is month 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.sources import cells, dates, states
from pipeline.sources.states import BASEL_DAYS, DEFAULT, REPAID
from pipeline.studies.own import roles

LANDMARKS = (6, 3, 1)
"""Months up to which may be counted what comes after origination: the first that most defaults come after."""

EVENTS = ("communication_frequency", "communication_effectiveness", "early_warning", "satisfaction",
          "review_sentiment", "risk_assessment")  # fmt: skip
"""Factors that are recorded as they happen, of loans that run as of others."""

ANSWER_DAYS = 21
"""Days after the landmark in which what clients were asked then may be answered: the month's state comes later."""

RECENT = 3
"""Months in which earlier contacts and arrears are remembered."""


FEW_GO_ON = 0.05
"""Share of the months called repaid that other months may follow: of a loan that was, a row recorded late or twice.
Where more go on, the word speaks of the month's instalment, and loans go on after nearly every one."""


class Course(NamedTuple):
    """The months of loans, each up to the one in which it ended, sorted."""

    rows: pd.DataFrame
    """``key, number, calendar`` (months from one beginning), ``default``, ``late``, ``repaid`` (0/1), and all else."""
    last: float
    """The last month on record, of any loan."""

    def ends(self) -> pd.DataFrame:
        """Return by key ``months`` until a loan ended, or was seen last, and ``end``: default, repaid or open.

        And ``followed``, how many months lie between it and the end of the records.
        """
        last = self.rows.drop_duplicates("key", keep="last").set_index("key")
        end = np.select([last["default"] == 1, last["repaid"] == 1], ["default", "repaid"], "open")
        number = last["number"].astype("int64")
        followed = (number + self.last - last["calendar"]).astype("int64")
        return pd.DataFrame({"months": number, "end": end, "followed": followed}, index=last.index)


def month_of(column: pd.Series, day_first: bool | None = None) -> pd.Series:
    """Return the number of each date's month, counted from one beginning; missing where there is none."""
    return month_number(dates.read(column, day_first).meaning)


def month_number(month: pd.Series) -> pd.Series:
    """Return the number of each date's month."""
    return (12.0 * month.dt.year + month.dt.month - 1).astype(float)


def course(rows: pd.DataFrame, granted: pd.Series | None = None) -> Course:
    """Return the months of loans that `rows` hold.

    `rows` have ``key``, ``calendar``, ``default``, ``late`` and ``repaid``, `granted` is the month of each key. Rows
    without either stay out, and of two of a month the one in default counts.
    """
    rows = rows[rows["key"].notna() & rows["calendar"].notna()]
    first = rows.groupby("key")["calendar"].transform("min") - 1 if granted is None else rows["key"].map(granted)
    flags = {name: rows[name].fillna(0).astype("int8") for name in ("default", "late", "repaid")}
    rows = rows.assign(number=rows["calendar"] - first, **flags)
    rows = rows[rows["number"] >= 0].sort_values(["key", "calendar", "default"], kind="stable")
    # The month of origination counts with the first after it.
    rows["number"] = rows["number"].clip(lower=1).astype("int64")
    rows = rows.drop_duplicates(["key", "number"], keep="last").reset_index(drop=True)
    goes_on = rows["key"].eq(rows["key"].shift(-1)) & (rows["repaid"].shift(-1) == 0)
    if (rows["repaid"] == 1).any() and goes_on[rows["repaid"] == 1].mean() > FEW_GO_ON:
        rows["repaid"] = np.int8(0)
    over = (rows["default"] | rows["repaid"]).groupby(rows["key"]).cummax()
    open_ = over.groupby(rows["key"]).shift(fill_value=0) == 0
    return Course(rows[open_].reset_index(drop=True), rows["calendar"].max())


def said(column: pd.Series, default: pd.Series | None = None, told: Sequence[str] = ()) -> pd.DataFrame:
    """Return what a column of words says of months: ``default``, ``late`` and ``repaid`` (0/1).

    `told` are values of which the reader has said that they mean default.
    """
    values = cells.levels(column)
    counts = {str(value): int(number) for value, number in values.value_counts().items()}
    bad = states.named(states.sorted_out(counts, dict.fromkeys(told, DEFAULT), months=True), DEFAULT)
    kinds = {value: states.meaning_of(value) for value in counts}
    is_ = {name: values.isin(words) for name, words in {
        "default": bad,
        "late": [value for value, kind in kinds.items() if kind in ("arrears", "late")],
        "repaid": [value for value, kind in kinds.items() if kind == REPAID],
    }.items()}  # fmt: skip
    found = pd.DataFrame(is_ if default is None else is_ | {"default": default.eq(1)})
    return found.astype("int8")


def days_late(column: pd.Series, decimal: str = ".") -> cells.Cells:
    """Return the days past due that a column counts; months past due are thirty days each."""
    read = cells.numbers(column, decimal)
    return read._replace(meaning=30 * read.meaning) if roles.late_in_months(str(column.name)) else read


def counted(days: pd.Series, least: float | None) -> pd.DataFrame:
    """Return what days past due say of months: in default from so many on, late from the first."""
    in_default = days >= (BASEL_DAYS if least is None else least)
    found = pd.DataFrame({"default": in_default, "late": (days > 0) & ~in_default, "repaid": False})
    return found.astype("int8")


def by_dates(loans: pd.DataFrame) -> pd.DataFrame:
    """Return ``loan_id``, ``months``, ``end`` and ``followed`` of loans of which dates tell how they ended, not months.

    `loans` have ``loan_id``, ``origination_date``, ``default`` (0/1), ``default_date`` and perhaps ``closing_date``.
    Those in default without its date stay out; those without any date are open until the last date of all.
    """
    closed = loans["closing_date"] if "closing_date" in loans else pd.Series(pd.NaT, loans.index)
    bad = loans["default"] == 1
    last = pd.concat([loans["origination_date"], loans["default_date"], closed]).max()
    ended = loans["default_date"].where(bad, closed.fillna(last))
    granted = month_number(loans["origination_date"])
    number = (month_number(ended) - granted).clip(lower=1)
    end = np.select([bad, closed.notna()], ["default", "repaid"], "open")
    followed = 12 * last.year + last.month - 1 - granted
    found = pd.DataFrame(
        {"loan_id": loans["loan_id"].astype(str), "months": number, "end": end, "followed": followed}
    ).dropna()
    return found.astype({"months": "int64", "followed": "int64"}).reset_index(drop=True)


def within(ends: pd.DataFrame, horizon: int, last: int = 0) -> pd.Series:
    """Return whether loans defaulted within the horizon (0/1); missing for those granted too late to tell.

    Such loans leave whether they defaulted or not: of the young, only those in default would be known. Where there is
    a landmark (month `last`), loans are followed for the horizon after it, too.
    """
    defaulted = (ends["end"] == "default") & (ends["months"] <= horizon)
    return defaulted.astype(float).where(ends["followed"] >= horizon + last)


def landmark(ends: pd.DataFrame) -> int | None:
    """Return the months up to which counts what comes after origination: most defaults come later; None without."""
    months = ends["months"][ends["end"] == "default"]
    return next((last for last in LANDMARKS if (months > last).mean() > 0.5), None)


def at_landmark(ends: pd.DataFrame, last: int, horizon: int | None) -> pd.DataFrame:
    """Return whether loans were open at the end of month `last`, and defaulted within the horizon after it (0/1)."""
    open_then = (ends["months"] > last) | ((ends["months"] == last) & (ends["end"] == "open"))
    after = (ends["end"] == "default") & (ends["months"] > last)
    if horizon:
        after &= ends["months"] <= last + horizon
    return pd.DataFrame({"open_at_landmark": open_then, "default_after_landmark": after}).astype("int64")


def named(course: Course, loan: pd.Series | None, signals: Sequence[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return what is kept of loans that are followed: ``ends``, ``months`` and ``signals``.

    `loan` is the loan of each key, where keys are no loans; `signals` have ``key`` (loans), ``number``, ``signal`` and
    ``rows``.
    """

    def of(key: pd.Series) -> pd.Series:
        return (key if loan is None else key.map(loan)).astype(str)

    rows, ends = course.rows, course.ends().reset_index()
    kept = ["key", "number", "calendar", "default", "late"]
    found = {
        "ends": ends.assign(loan_id=of(ends["key"]))[["loan_id", "months", "end", "followed"]],
        "months": rows.assign(key=of(rows["key"]))[kept],
    }
    if signals:
        every = pd.concat(signals).assign(key=lambda one: one["key"].astype(str))
        found["signals"] = every[["key", "number", "signal", "rows"]].reset_index(drop=True)
    return found


def counts_of(signals: pd.DataFrame, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return by the name of a signal how often it came, by key and month of `rows`.

    Nothing on record of a month is nought, unless no record is kept of the loan at all (month 0 without a count).
    """
    at = pd.MultiIndex.from_frame(rows[["key", "number"]])
    found = {}
    for name, of in signals.groupby("signal"):
        unkept = set(of.loc[of["rows"].isna() & (of["number"] == 0), "key"])
        count = of.groupby(["key", "number"])["rows"].sum().reindex(at).fillna(0)
        found[str(name)] = count.mask(at.get_level_values("key").isin(unkept))
    if "proactive_contacts" in found and "reactive_contacts" in found:
        unkept = found["proactive_contacts"].isna()
        found["reactive_contacts"] = found["reactive_contacts"].mask(unkept)
    return found


def panel(rows: pd.DataFrame, signals: pd.DataFrame | None, loans: pd.DataFrame, horizon: int | None) -> pd.DataFrame:
    """Return the months, up to the horizon, of the cohort's `loans` as analyses take them.

    `rows` and `signals` are those of `named`.
    """
    inside = rows["key"].isin(set(loans["loan_id"])) & (rows["number"] <= (horizon or rows["number"]))
    found = rows[inside].sort_values(["key", "number"], ignore_index=True)
    counts = {} if signals is None else counts_of(signals, found)
    made = pd.DataFrame({"loan_id": found["key"].astype(str), "month_number": found["number"].astype("int16")})
    month = found["calendar"].astype("int64")
    names = {one: f"{one // 12}-{one % 12 + 1:02d}" for one in sorted(month.unique())}
    made["calendar_month"] = pd.Categorical(month.map(names), list(names.values()))
    late = found["late"].where(found["default"] == 0, 0)
    before = late.groupby(found["key"])
    made["current_at_start"] = 1 - before.shift(fill_value=0)
    made["delinquent"], made["default"] = late, found["default"]
    recent = [before.shift(back, fill_value=0) for back in range(1, RECENT + 1)]
    made["delinquent_before"] = np.maximum.reduce(recent)
    for name, count in counts.items():
        made[name] = (count if name != "alert" else count > 0).to_numpy(dtype="float32")
    if "proactive_contacts" in made:
        contacts = made.groupby("loan_id", sort=False)["proactive_contacts"]
        earlier = pd.concat([contacts.shift(back) for back in range(1, RECENT + 1)], axis=1)
        made["proactive_before"] = earlier.astype(float).mean(axis=1)
    if loans["treated"].notna().all():
        made["treated"] = made["loan_id"].map(loans.set_index("loan_id")["treated"]).astype("int8")
    whole = dict.fromkeys(("current_at_start", "delinquent", "default", "delinquent_before"), "int8")
    return made.astype(whole)
