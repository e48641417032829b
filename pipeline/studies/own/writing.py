"""How a reader's file writes numbers and dates, where its cells leave it open: told by other columns, or asked for."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates, delimited, tabular
from pipeline.sources.tables import Form
from pipeline.studies.own import profile
from pipeline.studies.own.joining import Link
from pipeline.studies.own.profile import Column
from pipeline.studies.own.questions import Question

if TYPE_CHECKING:
    import pandas as pd


def header(told: Sequence[str], path: Path) -> dict[str, list[str]]:
    """Return the names of columns that a reader gives, by the file they are for.

    `told` is the name of a file that holds them, or of one for each table of a folder (``TABLE=FILE``): a name a line,
    or all in one line as tables part their cells.
    """
    found = {}
    for one in told:
        table, _, file = one.rpartition("=")
        place = tabular.path_of(file)
        if not place.is_file():
            raise StudyError(
                f"--names {one}: there is no file {file}: write one with the names of the columns in order."
            )
        try:
            text = place.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise StudyError(f"--names {one}: {file} is no text in UTF-8: save it so.") from error
        lines = text.splitlines()
        part = max(delimited.SEPARATORS[:-1], key=text.count)
        names = lines if len(lines) > 1 else next(csv.reader(lines, delimiter=part), [])
        found[table or path.name] = [name.strip() for name in names]
    return found


def decimals(table: pd.DataFrame, form: Form, given: list[str], path: Path) -> dict[str, str]:
    """Return the decimal mark of columns of text, other than a point."""
    told = dict(one.rpartition("=")[::2] for one in given)
    if wrong := [one for one in given if one.rpartition("=")[0] not in table or one[-1:] not in (",", ".")]:
        raise StudyError(f"--decimal {wrong[0]} is no column and its mark: write COLUMN=, or COLUMN=. for each.")
    found = profile.decimals_of(table, form.separator)
    if mixed := {name: two for name, two in found.mixed.items() if name not in told}:
        name, (comma, point) = next(iter(mixed.items()))
        raise StudyError(
            f"{path}, column {name} holds '{comma}' and '{point}', with two decimal marks: write one in all of it, or "
            f"say with --decimal {name}=, or --decimal {name}=. which is right; cells with the other are set aside."
        )
    if open_ := {name: cell for name, cell in found.undecided.items() if name not in told}:
        shown = "; ".join(f"{name}, row {_row(table, name, cell, form)}: '{cell}'" for name, cell in open_.items())
        mark = "." if "." in next(iter(open_.values())) else ","
        other = {".": ",", ",": "."}[mark]
        answer = " ".join(f"{name}={other}" for name in open_)
        raise Question(
            f"{path}: every cell with a mark has three digits after it, so it may be that of thousands or of decimals "
            f"({shown}): say --decimal {answer} if it parts thousands, and {next(iter(open_))}={mark} if it is the "
            "decimal mark.",
            "decimal",
            f"Decimal marks, such as {answer}",
        )
    return {name: "," for name in found.commas if told.get(name) != "."} | {k: v for k, v in told.items() if v != "."}


def _row(table: pd.DataFrame, name: str, cell: str, form: Form) -> int:
    return int((table[name] == cell).to_numpy().argmax()) + form.first


def day_first(
    table: pd.DataFrame, columns: Mapping[str, Column], found: Mapping[str, str], told: str | None, path: Path
) -> bool | None:
    """Return whether the day comes first in dates of the loans: as told, as other cells tell, or None; or a Question.

    `columns` are profiles by column, `found` the columns of roles.
    """
    if told is not None:
        return told.lower() in cells.YES
    there = [columns[found[role]] for role in ("origination_date", "adoption_date") if role in found]
    open_ = [one for one in there if one.marks.get("undecided") and not {"day_first", "month_first"} & set(one.marks)]
    if not open_:
        return None
    # What one column leaves open, the other of the same lender tells.
    orders = {order for one in there for order in ("day_first", "month_first") if order in one.marks}
    if len(orders) == 1:
        return orders == {"day_first"}
    date = open_[0]
    texts = cells.plain(table[date.name]).dropna()
    first = next(text for text in texts if dates.EITHER_ORDER.match(text))
    raise _either(f"{path}, column {date.name}", first)


CALENDARS = {range(1300, 1480): "Iranian or Islamic", range(2400, 2600): "Buddhist"}
"""Years that no loan here was granted in, and the calendar of which they are."""


def _refuse_other_calendars(columns: Mapping[str, Column], found: Mapping[str, str], path: Path) -> None:
    """Raise a StudyError when dates with a role in `found` are counted by years of another calendar."""
    for column in (columns[name] for name in found.values() if columns[name].kind == "date"):
        # One date that is far off, as that of a loan without an end, tells no calendar.
        ends = {int(one[:4]) for one in (column.smallest, column.largest)}
        for years, calendar in CALENDARS.items():
            if ends <= set(years):
                raise StudyError(
                    f"{path}, column {column.name}: '{column.samples[0]}' is a date of the {calendar} calendar: write "
                    "its dates in the Gregorian calendar (2023-08-23)."
                )


def dated(
    table: pd.DataFrame, columns: Mapping[str, Column], found: Mapping[str, str], day_first: bool | None, path: Path
) -> dict[str, Column]:
    """Return the profiles of dates that may be read either way, as they are read once the order is known.

    Raises a StudyError when dates of the file at `path` are of a calendar that is not read.
    """
    _refuse_other_calendars(columns, found, path)
    made = {}
    for name in set(found.values()):
        if day_first is not None and columns[name].kind == "date" and columns[name].marks.get("undecided"):
            read = dates.read(table[name], day_first).meaning
            first, last = (str(one.date()) for one in (read.min(), read.max()))
            made[name] = columns[name]._replace(smallest=first, largest=last)
    return made


def between(
    options: Mapping[str, Any], frame: pd.DataFrame, other: pd.DataFrame, link: Link, folder: Path
) -> bool | None:
    """Return whether the day comes first in dates, as told; a Question where they could be read either way."""
    if (told := options.get("day_first")) is not None:
        return str(told).lower() in cells.YES
    columns = ((frame, link.loan_date, "the loans"), (other, link.date, link.file))
    read_ = [dates.read(rows[name]).marks if name else {} for rows, name, _ in columns]
    orders = {order for marks in read_ for order in ("day_first", "month_first") if order in marks}
    if len(orders) == 1 and any(marks.get("undecided") for marks in read_):
        # What one column leaves open, the other of the same lender tells.
        return orders == {"day_first"}
    for (rows, name, file), marks in zip(columns, read_, strict=True):
        if marks.get("undecided") and not {"day_first", "month_first"} & set(marks):
            first = next(cell for cell in cells.plain(rows[name]).dropna() if dates.EITHER_ORDER.match(cell))
            raise _either(f"{folder}, {file}, column {name}", first)
    return None


def _either(where: str, cell: str) -> Question:
    return Question(
        f"{where}: day and month of '{cell}' could stand in either order, and no other cell tells: say --day-first yes "
        "or --day-first no.",
        "day_first",
        f"Does the day come first in '{cell}' (yes or no)",
    )
