"""Several tables of one lender in a folder: which holds the loans, and what each other adds to a loan.

A table with one row for a loan, a client or a branch adds its columns. One with several rows adds how many there were
before the loan was granted, and the means of what it measures; rows that came later, or have no date, could follow from
the outcome and are not counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates, states, tabular
from pipeline.sources.states import DEFAULT
from pipeline.sources.tables import KINDS, Form
from pipeline.studies.own import panel, roles

KEY_NAME = re.compile(r"\b(id|no|nr|number|key|code|ref|reference)\b|id$|编号|号$")
"""Names of columns that may tie tables together."""
EARLIER = re.compile(r"prev|prior|earlier|before|past|histor|历史|以往|既往")
"""Names of tables whose rows all came before the loans."""
OVERLAP = 0.01
"""Share of the loans that must be found in a table for it to be joined."""
STATE = "state of the loan"
"""The column in which a table of months says what became of each loan."""


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


class Folder(NamedTuple):
    """The tables of a folder, joined."""

    loans: str
    """The file with the loans."""
    form: Form
    frame: pd.DataFrame
    links: list[Link]
    refused: list[str]
    """Sentences on tables that add nothing."""


def read(folder: Path, options: Mapping[str, Any]) -> Folder:
    """Read every table of a folder and join what can be joined; raise a StudyError when none holds loans."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in KINDS and file.is_file()]
    if not files:
        raise StudyError(f"{folder} holds no table: give a folder of files such as loans.csv and contacts.csv.")
    forms = {file.name: tabular.form_of(file, encoding=options.get("encoding")) for file in files}
    empty = [name for name in forms if tabular.read_table(folder / name, forms[name], rows=1).frame.empty]
    frames = {name: tabular.read_table(folder / name, form).frame for name, form in forms.items() if name not in empty}
    if not frames:
        raise StudyError(f"{folder} holds {len(empty)} tables and no row: fill in the loans at least.")
    loans = options.get("loans") or _loans_of(frames, options.get("default"), folder)
    if loans not in frames:
        raise StudyError(f"{folder} holds no {loans} (--loans): it has {', '.join(frames)}.")
    frame, links, refused = frames[loans], [], [f"{name}: no row" for name in empty]
    waiting = [name for name in frames if name != loans]
    shared = _shared([Path(name).stem for name in frames])
    while waiting:
        tied = {name: pair for name in waiting if (pair := _pair(frame, frames[name]))}
        if not tied:
            refused += [f"{name}: no column of it is a key of the loans" for name in waiting]
            break
        # Tables with one row each first: they may hold the keys of others.
        name = min(tied, key=lambda one: (frames[one][tied[one][1]].duplicated().any(), one))
        waiting.remove(name)
        link = _link(name, frame, frames[name], tied[name], name.removeprefix(shared))
        if isinstance(link, str):
            refused.append(f"{name}: {link}")
        else:
            links.append(link)
            frame = joined(frame, frames[name], link)
    return Folder(loans, forms[loans], frame, links, refused)


def _shared(names: list[str]) -> str:
    """Return the letters with which all names begin."""
    first, last = min(names), max(names)
    same = next((place for place, one in enumerate(first) if last[place : place + 1] != one), len(first))
    return first[:same] if len(names) > 1 else ""


def _loans_of(frames: Mapping[str, pd.DataFrame], default: str | None, folder: Path) -> str:
    """Return the table with one row a loan: with the outcome if one has it, or else with an amount and a key."""

    def merit(name: str) -> tuple[int, ...]:
        frame = frames[name]
        keys = [one for one in frame if roles.likeness(str(one), "loan_id") and frame[one].is_unique]
        outcome = default in frame if default else any(roles.likeness(str(one), "default") > 1 for one in frame)
        money = any(roles.likeness(str(one), "amount") for one in frame)
        earlier = bool(EARLIER.search(roles.normal(Path(name).stem)))
        return (bool(keys) and outcome, bool(keys) and money, not earlier, bool(outcome), len(frame.columns))

    best = max(frames, key=merit)
    if not any(merit(best)[:2]) and not merit(best)[3]:
        raise StudyError(f"{folder}: no table has a row a loan with its number: say which with --loans FILE.")
    return best


def _pair(frame: pd.DataFrame, other: pd.DataFrame) -> tuple[str, str] | None:
    """Return the columns of one name that tie two tables: those that tell most loans apart."""
    found = []
    for one in frame:
        for another in other:
            name = roles.normal(str(one)).replace(" ", "")
            if name != roles.normal(str(another)).replace(" ", "") or not KEY_NAME.search(roles.normal(str(one))):
                continue
            mine, theirs = _plain(frame[one]), _plain(other[another])
            if mine.isin(set(theirs.dropna())).mean() >= OVERLAP:
                found.append((mine.nunique(), str(one), str(another)))
    return max(found)[1:] if found else None


def _plain(column: pd.Series) -> pd.Series:
    return cells.plain(column).astype(object)


def _link(name: str, frame: pd.DataFrame, other: pd.DataFrame, pair: tuple[str, str], called: str) -> Link | str:
    """Return what a table adds, or why it adds nothing."""
    key, theirs = pair
    if not other[theirs].duplicated().any():
        return Link(name, key, theirs, "columns")
    loan_level = bool(roles.likeness(key, "loan_id"))
    if loan_level and panel.recognised(other) and any(roles.likeness(str(one), "default") for one in other):
        return Link(name, key, theirs, "state")
    when = next(
        (str(one) for one in frame if roles.likeness(str(one), "origination_date") and _dates(frame[one])), None
    )
    date = next((str(one) for one in other if _dates(other[one])), None)
    title = roles.normal(Path(called).stem).replace("prevloans", "previous loans")
    if when and date:
        return Link(name, key, theirs, "count", title, date, when)
    if EARLIER.search(title):
        return Link(name, key, theirs, "count", title)
    return "several rows a loan without a date, so that nobody can tell what came before it was granted"


def _dates(column: pd.Series) -> bool:
    few = column.dropna().head(500)
    return bool(len(few)) and not pd.api.types.is_numeric_dtype(few) and dates.read(few).meaning.notna().mean() > 0.95


def joined(frame: pd.DataFrame, other: pd.DataFrame, link: Link) -> pd.DataFrame:
    """Return the loans with what a table adds; each loan stays one row."""
    key = _plain(frame[link.key])
    if link.take == "columns":
        added = other.assign(**{"\0": _plain(other[link.other])}).drop_duplicates("\0").set_index("\0")
        added = added.drop(columns=[link.other])
    elif link.take == "state":
        added = _states(other, link)
    else:
        return frame.assign(**_counted(frame, other, link, key))
    stem = Path(link.file).stem
    added = added.rename(columns={name: f"{name} ({stem})" for name in added if name in frame})
    added = added.reindex(key)
    added.index = frame.index
    return pd.concat([frame, added], axis=1)


def _states(other: pd.DataFrame, link: Link) -> pd.DataFrame:
    name = max(other, key=lambda one: roles.likeness(str(one), "default"))
    values = cells.levels(other[name])
    counts = {str(value): int(rows) for value, rows in values.value_counts().items()}
    bad = states.named(states.sorted_out(counts, {}, months=True), DEFAULT)
    ever = values.isin(bad).groupby(_plain(other[link.other])).any()
    return pd.DataFrame({STATE: ever.map({True: "default", False: "no default"})})


def _counted(frame: pd.DataFrame, other: pd.DataFrame, link: Link, key: pd.Series) -> dict[str, pd.Series]:
    rows = other.assign(**{"\0key": _plain(other[link.other])})
    loans = pd.DataFrame({"\0key": key, "\0loan": frame.index})
    if link.date and link.loan_date:
        loans["\0from"] = dates.read(frame[link.loan_date]).meaning.to_numpy()
        rows["\0date"] = dates.read(other[link.date]).meaning
    met = loans.merge(rows.rename(columns=str), on="\0key")
    if link.date and link.loan_date:
        met = met[met["\0date"] < met["\0from"]]
    counts = met.groupby("\0loan").size().reindex(frame.index).fillna(0)
    added = {link.name: counts.astype("int64")}
    for name in other:
        if name != link.other and _measures(str(name)):
            values = cells.measures(met[str(name)]).meaning.groupby(met["\0loan"]).mean()
            added[str(name) if str(name) not in frame else f"{name} ({link.name})"] = values.reindex(frame.index)
    return added


def _measures(name: str) -> bool:
    return any(roles.likeness(name, role) > 1 for role in ("satisfaction", "review_sentiment"))
