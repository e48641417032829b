"""Several tables of one lender, in a folder or on the sheets of a workbook: which holds the loans, how others tie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, tabular, workbooks
from pipeline.sources.packed import packed_in
from pipeline.sources.tables import KINDS, Form, Table
from pipeline.studies.own import months, outcome, panel, roles, writing
from pipeline.studies.own.joining import (
    ASKED,
    DOCUMENTS,
    MONTHS,
    SHARED,
    Link,
    followed,
    given_of,
    holds_dates,
    joined,
    keys,
    landmark_by_dates,
    measures,
    mostly_after,
    once,
)
from pipeline.studies.own.stacking import refuse_more_loans, same_names, shared_start, stacked

KEY_NAME = re.compile(r"\b(id|no|nr|number|key|code|ref|reference)\b|id$|编号|号$")
"""Names of columns that may tie tables together."""
KEYS = ("loan_id", "client_id", "institution_id")
"""Roles by which columns of different names tie tables together."""
EARLIER = re.compile(r"prev|prior|earlier|before|past|histor|历史|以往|既往")
"""Names of tables whose rows all came before the loans."""
LIFE = re.compile(r"birth|born|dob|since|opened|joined|found|establish|adopt|成立|出生|开户")
"""Names of dates that are no events."""
OVERLAP = 0.01
"""Share of the loans that must be found in a table for it to be joined ..."""
OVERLAP_OF_OTHER_NAMES = 0.5
"""... and where the columns have different names."""
FEW_COPIES = 0.05
"""Up to which share of rows a table may hold copies, or other rows of the same key, and still have one row a key."""
EVENTS = ("communication_frequency", "early_warning", "relationship_depth")
"""Factors that count the rows of tables with their names."""
ANSWER = re.compile(r"(?:q|question|item|frage|问题|题)[ _]?\d{1,2}", re.IGNORECASE)
"""Names of columns that hold answers of a questionnaire."""
ANSWERED = 0.75
"""Share of a questionnaire's questions that must be answered: six of eight."""


class Folder(NamedTuple):
    """The tables of a folder, joined."""

    loans: str
    """The file with the loans."""
    form: Form
    frame: pd.DataFrame
    links: list[Link]
    refused: list[str]
    """Sentences on tables that add nothing."""
    day_first: bool | None = None
    """Whether the day comes first in dates, where one column tells it of another."""
    landmark: int | None = None
    """Months up to which what came after the loans counts, where the tables tell how loans ended."""
    ends: pd.DataFrame | None = None
    """How loans ended, where a table of months tells it (`months.Course.ends`)."""
    dated: Mapping[str, str] = MappingProxyType({})
    """Columns that hold what happened, and until when they count it: loan, landmark, or (blank) whenever it came."""

    @property
    def followed(self) -> bool:
        """Return whether a table of months tells how loans ended."""
        return self.ends is not None


def holds_tables(path: Path) -> bool:
    """Say whether a path is a folder, or a workbook of which several sheets hold tables."""
    if path.is_dir():
        return True
    return KINDS.get(path.suffix.lower()) == "excel" and path.is_file() and len(workbooks.sheets(path)) > 1


def tables_in(place: Path) -> list[str]:
    """Return the names of the tables of a folder, or of a workbook: a sheet's follows ``#``."""
    if not place.is_dir():
        return [f"#{sheet}" for sheet in workbooks.sheets(place)]
    named = []
    for file in sorted(place.iterdir()):
        kind = KINDS.get(file.suffix.lower())
        if kind == "excel" and len(sheets := workbooks.sheets(file)) > 1:
            named += [f"{file.name}#{sheet}" for sheet in sheets]
        elif kind and file.is_file():
            named.append(file.name)
    return named


def table(
    place: Path,
    name: str,
    encoding: str | None = None,
    header: Mapping[str, Sequence[str]] = MappingProxyType({}),
    **form: Any,
) -> tuple[Form, pd.DataFrame, list[str]]:
    """Return how a table of a folder or a workbook is read, its rows, and sentences on lines that are none of them.

    ``*`` in its name stands for several files.

    `header` are names of columns of tables that have none, by the table.
    """
    found = [one for one in tables_in(place) if one == name or fnmatchcase(one, name.replace("[", "[[]"))]
    if not found:
        raise StudyError(f"{place} holds no {name}: it has {', '.join(tables_in(place))}.")
    forms, frames, aside = [], [], []
    for one in found:
        file, _, sheet = one.partition("#")
        path = place / file if file else place
        text = KINDS[path.suffix.lower()] == "text"
        forms.append(
            tabular.form_of(
                path, encoding=encoding if text else None, sheet=sheet or None, header=names_of(header, one), **form
            )
        )
        rows = tabular.read_table(path, forms[-1], rows=1).frame
        read_ = Table(rows, []) if rows.empty else tabular.read_table(path, forms[-1])
        aside += [f"{one}: {sentence}" for sentence in read_.aside(forms[-1].first)]
        frames.append(rows if rows.empty else _with_mean_answer(read_.frame, one))
    if len(frames) == 1:
        return forms[0], frames[0], aside
    return (
        forms[0],
        pd.concat([one.rename(columns=same_names(one, frames[0])) for one in frames], ignore_index=True),
        aside,
    )


def names_of(header: Mapping[str, Sequence[str]], name: str) -> Sequence[str]:
    """Return the names that a reader gives the columns of a table; none where it has its own."""
    return next((names for of, names in header.items() if of == name or fnmatchcase(name, of.replace("[", "[[]"))), ())


def _with_mean_answer(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add to a questionnaire of satisfaction the mean of its answers, where most were given."""
    asked = [one for one in frame if ANSWER.fullmatch(str(one))]
    about = re.search(r"survey|satisf|questionnaire|umfrage|encuesta|问卷|满意", roles.normal(name))
    if len(asked) < 3 or not about or any(measures(str(one)) for one in frame):
        return frame
    answers = pd.DataFrame({one: cells.measures(frame[one]).meaning for one in asked})
    enough = answers.notna().mean(axis=1) >= ANSWERED
    return frame.assign(satisfaction=answers.mean(axis=1).where(enough))


def _read_all(folder: Path, options: Mapping[str, Any]) -> tuple[dict[str, Form], dict[str, pd.DataFrame], list[str]]:
    """Return the form and the rows of every table that has any, and sentences on those that add nothing."""
    named = tables_in(folder)
    if not named:
        raise StudyError(f"{folder} holds no table: give a folder of files such as loans.csv and contacts.csv.")
    read_ = {name: table(folder, name, options.get("encoding"), options.get("header") or {}) for name in named}
    forms = {name: form for name, (form, _, _) in read_.items()}
    empty = [name for name, (_, frame, _) in read_.items() if frame.empty]
    packed = packed_in(folder) if folder.is_dir() else []
    refused = [f"{file.name}: packed beside tables that are not; unpack it if it holds others" for file in packed]
    refused += [f"{name}: no row" for name in empty] + [one for _, _, aside in read_.values() for one in aside]
    frames = {name: frame for name, (_, frame, _) in read_.items() if name not in empty}
    if not frames:
        raise StudyError(f"{folder} holds {len(empty)} tables and no row: fill in the loans at least.")
    frames = stacked(forms, frames, refused)
    return forms, frames, refused


def read(folder: Path, options: Mapping[str, Any]) -> Folder:
    """Read every table of a folder and join what can be joined; raise a StudyError when none holds loans."""
    forms, frames, refused = _read_all(folder, options)
    loans = options.get("loans") or _loans_of(frames, options.get("default"), folder)
    if loans not in frames:
        raise StudyError(f"{folder} holds no {loans} (--loans): it has {', '.join(frames)}.")
    frame, links, landmark, ends, dated = frames[loans], [], None, None, {}
    waiting = [name for name in frames if name != loans]
    if not options.get("loans"):
        refuse_more_loans(frames, loans, folder)
    shared = shared_start([_stem(name) for name in frames])
    called = {name: _stem(name).removeprefix(shared) for name in frames}
    tied: dict[str, tuple[str, str]] = {}
    single = {name for name in waiting if _has_a_key(frames[name])}
    monthly = {name: _months(frames[name]) for name in waiting}
    while waiting:
        # What was joined since may hold the key of a table with one row each.
        again = [name for name in waiting if name not in tied or name in single]
        pairs = {name: _pair(frame, frames[name], called[name]) for name in again}
        tied |= {name: pair for name, pair in pairs.items() if pair}
        if not tied:
            refused += [f"{name}: {_untied(frame, frames[name])}" for name in waiting]
            break
        # What tells how loans ended comes first, then tables with one row each: they may hold the keys of others.
        name = min(tied, key=lambda one: (not monthly[one], frames[one][tied[one][1]].duplicated().any(), one))
        waiting.remove(name)
        earlier = name in (options.get("before") or ())
        link = _link(name, frame, frames[name], tied.pop(name), called[name], monthly[name], earlier)
        if isinstance(link, str):
            refused.append(f"{name}: {link}")
        else:
            day_first = writing.between(options, frame, frames[name], link, folder)
            if day_first is not None:
                options = {**options, "day_first": "yes" if day_first else "no"}
            if link.take != "columns":
                landmark = landmark or landmark_by_dates(frame, day_first)
            if landmark and link.take != "share" and mostly_after(frame, frames[name], link, day_first):
                link = link._replace(until="landmark")
            if link.take == "columns" and (more := int(keys(frames[name][link.other]).duplicated().sum())):
                refused.append(f"{name}: the fullest row counts where a {link.other} has several (rows more: {more:,})")
            before = list(frame)
            if link.take == "state":
                link = outcome.sorted_months(link, frames[name], options, folder)
                least = options.get("default_at_least")
                frame, course = followed(frame, frames[name], link, day_first=day_first, least=least)
                ends = course.ends()
                landmark = months.landmark(ends)
            else:
                frame = joined(frame, frames[name], link, day_first=day_first, landmark=landmark)
            if link.take == "count" and not frame[link.name].any():
                refused.append(f"{name}: none of its rows came {link.when()}")
                frame = frame[before]
                continue
            links.append(link)
            several = frames[name][link.other].duplicated().any()
            if link.until or (link.take == "share" and several):
                added = [str(one) for one in frame if one not in before]
                dated |= {one: link.until or "" for one in added if one == link.name or measures(one)}
    form = forms.get(loans, next(iter(forms.values())))
    order = None if options.get("day_first") is None else options["day_first"].lower() in cells.YES
    return Folder(loans, form, frame, links, refused, order, landmark, ends, dated)


def _months(other: pd.DataFrame) -> panel.Panel | None:
    """Return loan and month of a table that says month by month what became of loans."""
    told = any(roles.likeness(str(one), "default") or roles.counts_days(str(one)) for one in other)
    return panel.recognised(once(other), counts=False) if told else None


def _loans_of(frames: Mapping[str, pd.DataFrame], default: str | None, folder: Path) -> str:
    """Return the table with one row a loan: with the outcome if one has it, or else with an amount and a key."""

    def merit(name: str) -> tuple[int, ...]:
        frame = frames[name]
        told = [one for one in frame if roles.likeness(str(one), "loan_id") and once(frame)[one].is_unique]
        outcome = default in frame if default else any(roles.likeness(str(one), "default") > 1 for one in frame)
        money = any(roles.likeness(str(one), "amount") for one in frame)
        earlier = bool(EARLIER.search(roles.normal(_stem(name))))
        return (bool(told) and outcome, bool(told) and money, not earlier, bool(outcome), len(frame.columns))

    best = max(frames, key=merit)
    if not any(merit(best)[:2]) and not merit(best)[3]:
        nameless = [name for name, frame in frames.items() if "column 1" in frame]
        hint = f"; {nameless[0]} has no line of names: give them with --names {nameless[0]}=FILE" if nameless else ""
        raise StudyError(f"{folder}: no table has a row a loan with its number: say which with --loans FILE{hint}.")
    return best


def _stem(name: str) -> str:
    """Return a table's name without the end of its file's, or that of its sheet."""
    return name.partition("#")[2] or Path(name).stem


def _of_table(name: str, called: str) -> str:
    """Return a column's name; what is merely called id, in a table of clients, is theirs."""
    return f"{roles.normal(called).removesuffix('s')} id" if roles.normal(name) in ("id", "key", "code") else name


def _pair(frame: pd.DataFrame, other: pd.DataFrame, called: str) -> tuple[str, str] | None:
    """Return the columns that tie two tables: of one name or one role, and those that tell most rows apart.

    `called` is the name of the other table.
    """
    found, bare = [], once(other)
    for one in map(str, frame):
        for another in map(str, other):
            mine_, theirs_ = _of_table(one, "loan"), _of_table(another, called)
            same = roles.normal(mine_).replace(" ", "") == roles.normal(theirs_).replace(" ", "")
            role = any(roles.likeness(mine_, key) > 1 and roles.likeness(theirs_, key) > 1 for key in KEYS)
            named = KEY_NAME.search(roles.normal(mine_)) and not any(
                roles.likeness(mine_, other_role) > 1 for other_role in roles.of_section("borrower")
            )
            if not role and not (same and named):
                continue
            mine, theirs = keys(frame[one]), keys(other[another])
            least = OVERLAP if same else OVERLAP_OF_OTHER_NAMES
            if mine.isin(set(theirs.dropna())).mean() >= least:
                # What earlier tables added stands behind the loans' own columns.
                found.append((same, bare[another].is_unique, mine.nunique(), -len(one), one, another))
    return max(found)[4:] if found else None


def _has_a_key(other: pd.DataFrame) -> bool:
    """Say whether a column that has the name of a key tells all rows of a table apart."""
    named = [name for name in other if any(roles.likeness(str(name), key) > 1 for key in KEYS)]
    return any(once(other)[name].is_unique for name in named)


def _untied(frame: pd.DataFrame, other: pd.DataFrame) -> str:
    """Return why a table is not joined."""
    for one in map(str, frame):
        if one in other and KEY_NAME.search(roles.normal(one)):
            met = int(keys(frame[one]).isin(set(keys(other[one]).dropna())).sum())
            return f"{met:,} of {len(frame):,} loans stand in it, by {one}"
    return "no column of it is a key of the loans"


def _link(
    name: str,
    frame: pd.DataFrame,
    other: pd.DataFrame,
    pair: tuple[str, str],
    called: str,
    monthly: panel.Panel | None,
    earlier: bool,
) -> Link | str:
    """Return what a table adds, or why it adds nothing.

    Parameters
    ----------
    name, called
        The table's name, and what of it tells it from others.
    frame, other
        The loans with what was joined so far, and the table.
    pair
        The columns that tie them.
    monthly
        Loan and month, of a table that says month by month what became of loans.
    earlier
        Whether the reader says that all of it came before the loans.

    """
    key, theirs = pair
    title = roles.normal(called.strip("#*._- ")).replace("prevloans", "previous loans")
    if roles.after_outcome(title):
        return "its name tells that it is filled after the outcome"
    when = next(
        (str(one) for one in frame if roles.likeness(str(one), "origination_date") and holds_dates(frame[one])), None
    )
    dated = (str(one) for one in other if not LIFE.search(roles.normal(str(one))) and holds_dates(other[one]))
    date = next(dated, None)
    if _one_row_a_key(frame[key], other, theirs) and not any(measures(str(one)) for one in other):
        date = date if any(roles.likeness(title, role) > 1 for role in EVENTS) else None
    until = "loan" if when and date else None
    counted = when and date and any(roles.likeness(title, role) > 1 for role in EVENTS)
    # How many documents were given tells nothing without how many were asked for.
    shares = DOCUMENTS.search(title) and any(ASKED.search(roles.normal(str(one))) for one in other)
    if _one_row_a_key(frame[key], other, theirs) and not counted and not shares:
        return Link(name, key, theirs, "columns", "", date, when if date else None, until)
    if roles.likeness(key, "loan_id") and monthly and MONTHS not in frame:
        return Link(name, key, theirs, "state", "", monthly.month, when)
    if DOCUMENTS.search(title) and given_of(other) is not None:
        return Link(name, key, theirs, "share", SHARED, date if when else None, when if date else None, until)
    if when and date:
        return Link(name, key, theirs, "count", title, date, when, until)
    if earlier or EARLIER.search(title):
        return Link(name, key, theirs, "count", title)
    return (
        "several rows a loan without a date, so that nobody can tell what came before it was granted: say --before "
        f"{name} if all of it did"
    )


def _one_row_a_key(mine: pd.Series, other: pd.DataFrame, theirs: str) -> bool:
    """Say whether a table has one row a key, but for few copies, or for few keys where it holds most of the loans'."""
    given = keys(other[theirs])
    if not given.duplicated().any():
        return True
    if len(given) - len(other.drop_duplicates()) > FEW_COPIES * len(given):
        return False
    again = keys(other.drop_duplicates()[theirs]).duplicated().sum()
    most = keys(mine).isin(set(given.dropna())).mean() > OVERLAP_OF_OTHER_NAMES
    return bool(again == 0 or (most and again <= FEW_COPIES * len(given)))
