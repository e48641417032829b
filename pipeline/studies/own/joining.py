"""What one table of a lender adds to the loans: columns, counts of what came before, or what became of them.

A table with one row for a loan, a client or a branch adds its columns. One with several rows adds how many there were
before the loan was granted, and the means of what it measures; or from then to the landmark, where most came later and
the records tell which loans were open then. What came after that, or has no date, could follow from the outcome and is
not counted. DuckDB joins and counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from pipeline.runtime.engine import Engine, frame, put
from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates
from pipeline.studies.own import months, roles

STATE = "state of the loan"
"""The column in which a table of months says what became of each loan."""
MOST_LATE = "days past due"
"""The column in which it says how many days a loan was past due at most."""
SHARED = "documents provided"
"""The column that says which share of the documents that were asked for a client gave."""
DOCUMENTS = re.compile(r"document|dokument|unterlage|piece|berkas|资料|材料|凭证|書類")
GIVEN = re.compile(r"shared|provided|submitted|given|received|handed|entregad|recibid|vorgelegt|fourni|提供|已交|提交")
ASKED = re.compile(r"request|required|asked|needed|solicitad|verlangt|demande|要求|应交")
"""Names of tables of documents, and of their columns that say what was given and what was asked for."""
MONTHS, END = "months of the loan", "end of the loan"
"""The columns in which it says how long a loan was seen, and how it ended (default, repaid, open)."""
TROUBLE = re.compile(
    r"arrear|overdue|late|past due|collect|dun|delinq|difficult|default|逾期|催收|欠款|违约|mora|atras|retard|verzug"
    r"|mahn|cobran|impag|impay|tunggak"
)
"""Reasons of contacts that answer trouble, and so follow from it."""
REASON = re.compile(r"reason|purpose|topic|subject|事由|原因|事项|grund|anlass|motiv|motif|alasan")
"""Names of columns that say why somebody was contacted."""


class Link(NamedTuple):
    """What one table adds to the loans; it stands like this under own.tables."""

    file: str
    key: str
    """The column of the loans (with what earlier tables added) ..."""
    other: str
    """... and that of the table, whose cells are the same."""
    take: str
    """columns, count (of rows, with means of what is measured), share (of documents), or state (default if ever)."""
    name: str = ""
    """How what is counted is called."""
    date: str | None = None
    """The table's date; blank where every row came before the loans."""
    loan_date: str | None = None
    until: str | None = None
    """What the table's date must not come after: loan, or landmark (from the loan on); blank where it has none."""
    bad: str | None = None
    """Of a table that says what became of loans: values that mean default, as the reader has told (JSON)."""

    def told(self) -> str:
        """Return a sentence on it."""
        what = {
            "columns": "adds its columns",
            "count": f"is counted ({self.name})",
            "share": f"says which share of documents was given ({self.name})",
            "state": "says what became of each loan",
        }[self.take]
        rows = {"columns": "answers", "state": ""}.get(self.take, "rows")
        before = f"; {rows} {self.when()}, by {self.date}" if rows and self.date and self.loan_date else ""
        same = self.key if self.key == self.other else f"{self.key} and {self.other}"
        return f"{self.file} {what}, tied by {same}{before}."

    def when(self) -> str:
        """Return when rows count, in words."""
        return f"from {self.loan_date} to the landmark" if self.until == "landmark" else f"before {self.loan_date}"


def keys(column: pd.Series) -> pd.Series:
    """Return keys as they are compared: without case, and numbers without zeros before them."""
    codes, values = pd.factorize(column)
    # A key stands in many rows: each is read once.
    texts = cells.plain(pd.Series(values)).astype(object)
    read = cells.by_value(texts, lambda text: str(text).casefold().lstrip("0") or "0", "string").astype(object)
    return pd.Series(np.append(read.to_numpy(), [pd.NA])[codes], column.index, object, column.name)


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
    landmark: int | None = None,
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
    landmark
        Months of a loan up to which its rows count, where these come after the loan.

    """
    loans_, rows = _dated(loans, other, link, day_first)
    if link.take == "share":
        return loans.assign(**{link.name: _share(loans_, once(rows), link)})
    if link.take == "count":
        if link.until == "landmark" and landmark:
            return loans.assign(**_until_landmark(loans_, once(rows), link, landmark))
        return loans.assign(**_counted(loans_, once(rows), link))
    return _beside(loans, _columns(loans_, rows, link, keys(loans[link.key]), landmark), link)


def _dated(
    loans: pd.DataFrame, other: pd.DataFrame, link: Link, day_first: bool | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return loans and table with their dates read, once and in one way."""
    dated = [
        frame_.assign(**{name: dates.read(frame_[name], day_first).meaning}) if name else frame_
        for frame_, name in ((loans, link.loan_date), (other, link.date))
    ]
    return dated[0], dated[1]


def _beside(loans: pd.DataFrame, added: pd.DataFrame, link: Link) -> pd.DataFrame:
    stem = re.sub(r"\.\w+$|^.*#", "", link.file)
    return pd.concat(
        [loans, added.rename(columns={name: f"{name} ({stem})" for name in added if name in loans})], axis=1
    )


def _columns(
    loans: pd.DataFrame, other: pd.DataFrame, link: Link, key: pd.Series, landmark: int | None
) -> pd.DataFrame:
    """Return a table's columns by loan; of several rows with a key the fullest, the first of them."""
    order = other.isna().sum(axis=1).sort_values(kind="stable").index
    one = other.loc[order].assign(**{"\0": keys(other[link.other])}).drop_duplicates("\0").set_index("\0")
    added = one.drop(columns=[link.other]).reindex(key)
    added.index = loans.index
    if link.date and link.loan_date:
        # An answer that was given later may follow from what became of the loan.
        late = added[link.date] >= loans[link.loan_date]
        if link.until == "landmark" and landmark:
            since = months.month_of(added[link.date]) - months.month_of(loans[link.loan_date]) - landmark
            late = (since > 1) | ((since == 1) & (added[link.date].dt.day > months.ANSWER_DAYS))
        added = added.assign(**{name: added[name].mask(late) for name in added if measures(str(name))})
    return added


def state_of(other: pd.DataFrame) -> str | None:
    """Return the column of a table of months that says in words what became of loans; None where there is none."""
    state = max(map(str, other), key=lambda one: roles.likeness(one, "default"))
    return state if roles.likeness(state, "default") else None


def followed(
    loans: pd.DataFrame,
    other: pd.DataFrame,
    link: Link,
    *,
    day_first: bool | None = None,
    horizon: int | None = None,
    least: float | None = None,
) -> tuple[pd.DataFrame, months.Course]:
    """Return the loans with what a table of months says became of them, and their months.

    Parameters
    ----------
    loans, other
        The loans, and the table.
    link
        How it ties to them.
    day_first
        Whether the day comes first in dates whose day and month could stand in either order.
    horizon
        Months after the loan within which default counts; all of them.
    least
        Days past due from which a loan is in default, where the table counts days.

    """
    names, state = [str(name) for name in other], state_of(other)
    days = next((name for name in names if roles.counts_days(name)), "")
    by_word = state is not None
    late = months.days_late(other[days]).meaning if days else None
    bad = json.loads(link.bad) if link.bad else ()
    told = months.said(other[state], told=bad) if by_word else months.counted(late, least)
    if by_word and late is not None:
        told["late"] = ((told["late"] == 1) | (late > 0)).astype("int8")
    rows = told.assign(key=keys(other[link.other]), calendar=months.month_of(other[link.date], day_first), days=late)
    key, granted = keys(loans[link.key]), None
    if link.loan_date:
        granted = pd.Series(months.month_of(loans[link.loan_date], day_first).to_numpy(), key).groupby(level=0).first()
    course = months.course(rows[rows["key"].isin(set(key.dropna()))], granted)
    inside = course.rows[course.rows["number"] <= horizon] if horizon else course.rows
    worst = inside.groupby("key")["default" if by_word else "days"].max()
    found = course.ends()[["months", "end"]].set_axis([MONTHS, END], axis=1)
    found.insert(0, STATE if by_word else MOST_LATE, worst.map({1: "default", 0: "no default"}) if by_word else worst)
    found = found.reindex(key)
    found.index = loans.index
    return _beside(loans, found, link), course


def _counted(loans: pd.DataFrame, other: pd.DataFrame, link: Link) -> Mapping[str, pd.Series]:
    """Return by loan how many rows came before it, and the means of what they measure."""
    met, measured = _met(loans, other, link)
    if link.date and link.loan_date:
        met = met.filter(met["happened"] < met["granted"])
    return _summed(met, met, loans, link, measured)


def given_of(other: pd.DataFrame) -> pd.DataFrame | None:
    """Return of each row of a table of documents how many were ``given``, of how many ``asked``; None without either.

    Where nothing says how many were asked for, a row is one document, given or not.
    """
    named = [(name, roles.normal(str(name))) for name in other]
    given = next((name for name, words in named if GIVEN.search(words) and not _dates_alone(other[name])), None)
    asked = next((name for name, words in named if ASKED.search(words) and name != given), None)
    if given is None:
        return None
    read = cells.numbers(other[given]).meaning
    if read.isna().mean() > 0.5:
        read = cells.flags(other[given], (), ()).meaning
    every = cells.numbers(other[asked]).meaning if asked is not None else read.notna().astype(float)
    if read.notna().mean() < 0.5 or every.notna().mean() < 0.5 or (asked is None and read.max() > 1):
        return None
    return pd.DataFrame({"given": read.astype(float), "asked": every.astype(float)})


def _dates_alone(column: pd.Series) -> bool:
    return bool(cells.flags(column, (), ()).meaning.isna().all() and cells.numbers(column).meaning.isna().all())


def _share(loans: pd.DataFrame, other: pd.DataFrame, link: Link) -> pd.Series:
    """Return by loan the share of documents that were given, of those that were asked for."""
    given = given_of(other)
    if given is None:
        raise StudyError(f"{link.file} no longer says which documents were given: remove it from own.tables.")
    met, _ = _met(loans, other.assign(**{"\0given": given["given"], "\0asked": given["asked"]}), link)
    if link.date and link.loan_date:
        met = met.filter(met["happened"] < met["granted"])
    of_loan = met.group_by("loan").aggregate(share=met["given"].sum() / met["asked"].sum().nullif(0))
    shares = frame(of_loan).set_index("loan")["share"]
    return shares.reindex(range(len(loans))).astype(float).set_axis(loans.index)


def _until_landmark(loans: pd.DataFrame, other: pd.DataFrame, link: Link, landmark: int) -> dict[str, pd.Series]:
    """Return by loan the rows up to the landmark that answer no trouble; missing for lenders without any row."""
    met, measured = _met(loans, other, link)
    met = _since(met)
    day = met["happened"].day()
    asked = met.filter((met["number"] <= landmark) | ((met["number"] == landmark + 1) & (day <= months.ANSWER_DAYS)))
    added = _summed(met.filter((met["number"] <= landmark) & ~met["answers"]), asked, loans, link, measured)
    if (without := unlogged(loans, frame(met.select("loan").distinct())["loan"])) is not None:
        added[link.name] = added[link.name].astype(float).mask(without)
    return added


def events(loans: pd.DataFrame, other: pd.DataFrame, link: Link, day_first: bool | None = None) -> pd.DataFrame:
    """Return how many ``rows`` of a dated table came after each ``loan`` (by place), by ``number`` of its month.

    Those that answer trouble (``answers``) are counted apart.
    """
    loans_, rows = _dated(loans, other, link, day_first)
    met = _since(_met(loans_, once(rows), link)[0])
    return frame(met.group_by("loan", "number", "answers").aggregate(rows=met.count()))


def _met(loans: pd.DataFrame, other: pd.DataFrame, link: Link) -> tuple[ir.Table, dict[str, str]]:
    """Return each row of a table beside each loan that it ties to (by place), and what it measures, by column."""
    backend = Engine().connect(threads=1)
    mine = pd.DataFrame({"key": keys(loans[link.key]), "loan": range(len(loans))})
    theirs, measured = pd.DataFrame({"key": keys(other[link.other])}), {}
    for place, name in enumerate(str(name) for name in other if name != link.other and measures(str(name))):
        measured[f"measure_{place}"] = name
        theirs[f"measure_{place}"] = cells.measures(other[name]).meaning.to_numpy()
    for name in ("given", "asked"):
        if f"\0{name}" in other:
            theirs[name] = other[f"\0{name}"].to_numpy()
    if link.date and link.loan_date:
        mine["granted"] = loans[link.loan_date].to_numpy()
        theirs["happened"] = other[link.date].to_numpy()
        theirs["answers"] = answers_trouble(other).to_numpy(dtype=bool)
    met = put(backend, mine.dropna(), "loans").inner_join(put(backend, theirs.dropna(subset="key"), "rows"), "key")
    return met, measured


def _since(met: ir.Table) -> ir.Table:
    """Return what came after the loans, with the ``number`` of the month."""
    after = met.filter(met["happened"] >= met["granted"])
    happened, granted = after["happened"], after["granted"]
    return after.mutate(
        number=(12 * (happened.year() - granted.year()) + happened.month() - granted.month()).cast("int64")
    )


def _summed(
    met: ir.Table, asked: ir.Table, loans: pd.DataFrame, link: Link, measured: Mapping[str, str]
) -> dict[str, pd.Series]:
    """Return by loan how many rows there are, and the means of what those of `asked` measure."""
    every = range(len(loans))
    rows = frame(met.group_by("loan").aggregate(rows=met.count())).set_index("loan")["rows"]
    added = {link.name: rows.reindex(every, fill_value=0).astype("int64")}
    if measured:
        means = frame(asked.group_by("loan").aggregate(**{place: asked[place].mean() for place in measured}))
        for place, name in measured.items():
            column = means.set_index("loan")[place].reindex(every).astype(float)
            added[name if name not in loans else f"{name} ({link.name})"] = column
    return {name: column.set_axis(loans.index) for name, column in added.items()}


def unlogged(loans: pd.DataFrame, met: pd.Series) -> pd.Series | None:
    """Return which loans are of a lender that no row of a table is about, and so keeps none; None where all do.

    `met` are the places of loans that rows are about.
    """
    named = [name for name in loans if roles.likeness(str(name), "institution_id") > 1]
    if not named:
        return None
    lender = loans[min(named, key=lambda one: loans[one].nunique())]
    without = ~lender.isin(set(lender.iloc[met]))
    return without if without.any() else None


def answers_trouble(other: pd.DataFrame) -> pd.Series:
    """Say which rows of a table give trouble as their reason."""
    reason = next((name for name in other if REASON.search(roles.normal(str(name)))), None)
    if reason is None:
        return pd.Series(False, other.index)
    texts = cells.plain(other[reason]).astype(object)
    found = cells.by_value(texts, lambda text: bool(TROUBLE.search(str(text).lower())), "boolean")
    return found.fillna(False).astype(bool)


def measures(name: str) -> bool:
    """Say whether a column holds what clients are asked, so that its mean tells something."""
    return any(roles.likeness(name, role) > 1 for role in ("satisfaction", "review_sentiment"))


def landmark_by_dates(frame: pd.DataFrame, day_first: bool | None) -> int | None:
    """Return the landmark that dates of default tell; None where the loans have none."""
    likely = {
        role: next((str(one) for one in frame if roles.likeness(str(one), role) > 1 and holds_dates(frame[one])), None)
        for role in ("origination_date", "default_date")
    }
    if not all(likely.values()):
        return None
    granted, ended = (months.month_of(frame[name], day_first) for name in likely.values())
    return months.landmark(pd.DataFrame({"months": (ended - granted).clip(lower=1), "end": "default"}).dropna())


def mostly_after(frame: pd.DataFrame, other: pd.DataFrame, link: Link, day_first: bool | None) -> bool:
    """Say whether most rows of a table came after the loans that they tie to; not without dates."""
    if not link.date or not link.loan_date:
        return False
    granted = dates.read(frame[link.loan_date], day_first).meaning.to_numpy()
    first = pd.Series(granted, keys(frame[link.key])).groupby(level=0).min()
    days = dates.read(other[link.date], day_first).meaning - keys(other[link.other]).map(first)
    return bool((days.dropna() >= pd.Timedelta(0)).mean() > 0.5)


def holds_dates(column: pd.Series) -> bool:
    """Say whether a column's first cells that are filled are dates."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    few = cells.plain(column.dropna().head(5000)).dropna().head(500)
    return bool(len(few)) and bool(dates.read(few).meaning.notna().mean() > 0.95)
