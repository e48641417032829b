"""What one table of a lender adds to the loans: columns, counts of what came before, or what became of them.

A table with one row for a loan, a client or a branch adds its columns. One with several rows adds how many there were
before the loan was granted, and the means of what it measures; rows that came later, or have no date, could follow from
the outcome and are not counted. DuckDB joins and counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.runtime.engine import Engine, frame, put
from pipeline.sources import cells, dates, states
from pipeline.sources.states import DEFAULT
from pipeline.studies.own import panel, roles

STATE = "state of the loan"
"""The column in which a table of months says what became of each loan."""
MOST_LATE = "days past due"
"""The column in which it says how many days a loan was past due at most."""
MONTHS = "months of the loan"
"""The column in which it says how long a loan was seen, or until it was in default."""


class Link(NamedTuple):
    """What one table adds to the loans; it stands like this under own.tables."""

    file: str
    key: str
    """The column of the loans (with what earlier tables added) ..."""
    other: str
    """... and that of the table, whose cells are the same."""
    take: str
    """columns, count (of rows before the loan, with means of what is measured), or state (default if ever)."""
    name: str = ""
    """How what is counted is called."""
    date: str | None = None
    """The table's date; blank where every row came before the loans."""
    loan_date: str | None = None

    def told(self) -> str:
        """Return a sentence on it."""
        what = {
            "columns": "adds its columns",
            "count": f"is counted ({self.name})",
            "state": "says what became of each loan",
        }[self.take]
        when = {"columns": "answers", "count": "rows", "state": ""}[self.take]
        before = f"; {when} before {self.loan_date}, by {self.date}" if when and self.date and self.loan_date else ""
        same = self.key if self.key == self.other else f"{self.key} and {self.other}"
        return f"{self.file} {what}, tied by {same}{before}."


def keys(column: pd.Series) -> pd.Series:
    """Return keys as they are compared: without case, and numbers without zeros before them."""
    texts = cells.plain(column).astype(object)
    return cells.by_value(texts, lambda text: str(text).casefold().lstrip("0") or "0", "string").astype(object)


def once(other: pd.DataFrame) -> pd.DataFrame:
    """Return a table without copies of rows, where some column tells all rows apart otherwise."""
    bare = other.drop_duplicates()
    named = len(bare) < len(other) and any(bare[name].is_unique and bare[name].notna().all() for name in bare)
    return bare if named else other


def joined(
    loans: pd.DataFrame,
    other: pd.DataFrame,
    link: Link,
    *,
    day_first: bool | None = None,
    horizon: int | None = None,
) -> pd.DataFrame:
    """Return the loans with what a table adds; each loan stays one row.

    Parameters
    ----------
    loans, other
        The loans, and the table.
    link
        How it ties to them.
    day_first
        Whether the day comes first in dates whose day and month could stand in either order.
    horizon
        Months after the loan within which default counts, where the table says what became of loans; all of them.

    """
    # Dates are read once, in one way.
    dated_ = (
        loans.assign(**{link.loan_date: dates.read(loans[link.loan_date], day_first).meaning})
        if link.loan_date
        else loans
    )
    rows = other.assign(**{link.date: dates.read(other[link.date], day_first).meaning}) if link.date else other
    if link.take == "count":
        return loans.assign(**_counted(dated_, once(rows), link))
    key = keys(loans[link.key])
    added = _states(dated_, rows, link, key, horizon) if link.take == "state" else _columns(dated_, rows, link, key)
    stem = re.sub(r"\.\w+$|^.*#", "", link.file)
    return pd.concat(
        [loans, added.rename(columns={name: f"{name} ({stem})" for name in added if name in loans})], axis=1
    )


def _columns(loans: pd.DataFrame, other: pd.DataFrame, link: Link, key: pd.Series) -> pd.DataFrame:
    """Return a table's columns by loan; of several rows with a key the fullest, the first of them."""
    order = other.isna().sum(axis=1).sort_values(kind="stable").index
    one = other.loc[order].assign(**{"\0": keys(other[link.other])}).drop_duplicates("\0").set_index("\0")
    added = one.drop(columns=[link.other]).reindex(key)
    added.index = loans.index
    if link.date and link.loan_date:
        # An answer that was given after the loan may follow from what became of it.
        late = added[link.date] >= loans[link.loan_date]
        added = added.assign(**{name: added[name].mask(late) for name in added if measures(str(name))})
    return added


def _states(loans: pd.DataFrame, other: pd.DataFrame, link: Link, key: pd.Series, horizon: int | None) -> pd.DataFrame:
    """Return each loan's state, or the most days that it was past due, and the months in which that was seen."""
    names = [str(name) for name in other]
    state = max(names, key=lambda one: roles.likeness(one, "default"))
    late = next((name for name in names if roles.counts_days(name)), "")
    month = panel.months_of(other[link.date]) if link.date else None
    rows = pd.DataFrame({"key": keys(other[link.other]), "month": month})
    if link.loan_date:
        granted = pd.Series(panel.months_of(loans[link.loan_date]).to_numpy(), key).groupby(level=0).first()
        rows["month"] -= rows["key"].map(granted)
    else:
        rows["month"] -= rows.groupby("key")["month"].transform("min") - 1
    inside = rows["month"] <= horizon if horizon else rows["month"].notna()
    by_word = roles.likeness(state, "default") > 0
    if by_word:
        values = cells.levels(other[state])
        counts = {str(value): int(number) for value, number in values.value_counts().items()}
        bad = states.named(states.sorted_out(counts, {}, months=True), DEFAULT)
        rows["found"] = values.isin(bad)
    else:
        rows["found"] = cells.numbers(other[late]).meaning
    worst = rows[inside].groupby("key")["found"].max()
    ended = rows[inside & rows["found"].eq(True)] if by_word else rows[:0]
    last = rows[inside].groupby("key")["month"].max()
    months = ended.groupby("key")["month"].min().reindex(last.index).fillna(last).clip(lower=1)
    told = worst.map({True: "default", False: "no default"}) if by_word else worst
    found = pd.DataFrame({STATE if by_word else MOST_LATE: told, MONTHS: months}).reindex(key)
    found.index = loans.index
    return found


def _counted(loans: pd.DataFrame, other: pd.DataFrame, link: Link) -> Mapping[str, pd.Series]:
    backend = Engine().connect(threads=1)
    mine = pd.DataFrame({"key": keys(loans[link.key]), "loan": range(len(loans))})
    theirs = pd.DataFrame({"key": keys(other[link.other])})
    measured = [str(name) for name in other if name != link.other and measures(str(name))]
    for place, name in enumerate(measured):
        theirs[f"measure_{place}"] = cells.measures(other[name]).meaning.to_numpy()
    dated = bool(link.date and link.loan_date)
    if dated:
        mine["granted"] = loans[link.loan_date].to_numpy()
        theirs["happened"] = other[link.date].to_numpy()
    met = put(backend, mine.dropna(), "loans").inner_join(put(backend, theirs.dropna(subset="key"), "rows"), "key")
    if dated:
        met = met.filter(met["happened"] < met["granted"])
    means = {name: met[name].mean() for name in theirs if name.startswith("measure_")}
    found = (
        frame(met.group_by("loan").aggregate(rows=met.count(), **means)).set_index("loan").reindex(range(len(loans)))
    )
    found.index = loans.index
    added = {link.name: found["rows"].fillna(0).astype("int64")}
    for place, name in enumerate(measured):
        added[name if name not in loans else f"{name} ({link.name})"] = found[f"measure_{place}"].astype(float)
    return added


def measures(name: str) -> bool:
    """Say whether a column holds what clients are asked, so that its mean tells something."""
    return any(roles.likeness(name, role) > 1 for role in ("satisfaction", "review_sentiment"))
