"""Excel workbooks: which sheet holds the loans, its cells, and what no honest workbook does."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runtime.errors import StudyError
from pipeline.sources.headings import LOOKED_AT, lines_of_names, names_from
from pipeline.sources.tables import SAMPLE_BYTES, Form, Table, given, opened, plain_kinds

UNPACKED = 4 << 30
"""Bytes that a workbook may unpack to: a full sheet (1,048,576 rows) of sixty columns has about so many."""


PACKED_TIGHTLY = 100
"""Times that a workbook larger than `SAMPLE_BYTES` may grow when it is unpacked: sheets of loans grow ten to twenty
times, one made to exhaust a machine up to a thousand times."""


MOST_SHEET_CELLS = 100_000_000
"""Cells of a sheet, empty ones among them: a full sheet of about a hundred columns."""


def _workbook(path: Path, values: bool = True) -> Any:
    """Open a workbook: with the values of its formulas as the spreadsheet program left them, or with the formulas."""
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise StudyError(f"{path}: Excel files need the package openpyxl: save the sheet as CSV UTF-8.") from error

    def read() -> Any:
        _unpacks_honestly(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return openpyxl.load_workbook(path, read_only=True, data_only=values)

    return opened(path, read)


def _unpacks_honestly(path: Path) -> None:
    """Raise a StudyError when a workbook, which is a zip file, would unpack to what no sheet of loans holds."""
    with path.open("rb") as file:
        if file.read(4) == b"\xd0\xcf\x11\xe0":
            raise StudyError(f"{path} is an old or password-protected workbook: save it as .xlsx without a password.")
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
    for member in members:
        if member.filename.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", member.filename):
            raise StudyError(f"{path} holds a file named {member.filename}, as no workbook does: save it again.")
    large = sum(member.file_size for member in members)
    if large > UNPACKED or large > SAMPLE_BYTES + PACKED_TIGHTLY * path.stat().st_size:
        raise StudyError(
            f"{path} has {path.stat().st_size:,} bytes and would unpack to {large:,}, as no sheet of loans does: save "
            "the sheet as CSV UTF-8."
        )


def first_sheet(path: Path) -> str:
    """Return the name of the first sheet with a table."""
    if found := sheets(path):
        return found[0]
    raise StudyError(f"{path} is empty: give a sheet with a line of column names and a line for each loan.")


def sheets(path: Path) -> list[str]:
    """Return the names of the sheets that hold tables: a line of at least two cells."""
    return opened(path, lambda: _with_cells(path))


def lines_above(path: Path, sheet: str) -> int:
    """Return how many lines of names a sheet has."""
    found = opened(path, lambda: _cells_of(path, Form("excel", sheet=sheet), LOOKED_AT))
    return lines_of_names([found.names, *found.lines])


def _with_cells(path: Path) -> list[str]:
    book = _workbook(path)
    found = []
    try:
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            if any(
                sum(value is not None for value in row) > 1 for row in sheet.iter_rows(max_row=50, values_only=True)
            ):
                found.append(sheet.title)
    finally:
        book.close()
    return found


class _Sheet(NamedTuple):
    """A sheet's cells, the lines without any left out."""

    names: list[str]
    percent: list[bool]
    """Whether a column's cells show percent."""
    lines: list[list[Any]]
    numbers: list[int]
    """Which line of the sheet each one is."""


def _cells_of(path: Path, form: Form, rows: int | None, values: bool = True) -> _Sheet:
    """Read a sheet: its first lines with at least two cells name the columns."""
    book = _workbook(path, values)
    found = _Sheet([], [], [], [])
    above: list[list[Any]] = []
    try:
        if form.sheet not in book.sheetnames:
            raise StudyError(f"{path} has no sheet '{form.sheet}': there are {', '.join(book.sheetnames)}.")
        sheet = book[form.sheet]
        # What a sheet says of its own size is not to be trusted: rows come as long as they are.
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows(), start=1):
            if not found.names:
                named = [cell.value for cell in row]
                if sum(value is not None for value in named) < 2:
                    continue
                above.append(named)
                if len(above) >= max(form.names, 1):
                    named_ = given(form.header, len(named), str(path)) if form.header else None
                    found.names.extend(named_ or names_from(above[: form.names], len(named)))
                if form.names:
                    continue
            row = row[: len(found.names)]
            if all(cell.value is None for cell in row):
                continue
            if not found.percent:
                # A cell that shows 12% holds 0.12.
                found.percent.extend("%" in str(getattr(cell, "number_format", "")) for cell in row)
            found.lines.append([cell.value for cell in row] + [None] * (len(found.names) - len(row)))
            found.numbers.append(number)
            if rows is not None and len(found.lines) >= rows:
                break
            if len(found.lines) * len(found.names) > MOST_SHEET_CELLS:
                raise StudyError(
                    f"{path}, sheet {form.sheet} has more than {MOST_SHEET_CELLS:,} cells: save it as CSV UTF-8."
                )
    finally:
        book.close()
    return found


def _no_formula_without_a_value(path: Path, form: Form, found: _Sheet, columns: Sequence[str] | None) -> None:
    """Raise a StudyError for a formula that no spreadsheet program has computed: it would read as an empty cell."""
    with zipfile.ZipFile(path) as packed:
        if not any(_holds_formula(packed, name) for name in packed.namelist() if "/worksheets/" in name):
            return
    formulas = _cells_of(path, form, len(found.lines), values=False)
    value = {number: line for number, line in zip(found.numbers, found.lines, strict=True)}
    for number, line in zip(formulas.numbers, formulas.lines, strict=True):
        for name, cell, held in zip(found.names, line, value.get(number, [None] * len(line)), strict=False):
            formula = isinstance(cell, str) and cell.startswith("=")
            if formula and held is None and (columns is None or name in columns):
                raise StudyError(
                    f"{path}, row {number}, column {name} holds a formula without its value: open the file in a "
                    "spreadsheet program and save it, or save the sheet as CSV UTF-8."
                )


def _holds_formula(packed: zipfile.ZipFile, name: str) -> bool:
    end = b""
    with packed.open(name) as member:
        while block := member.read(SAMPLE_BYTES):
            if re.search(rb"<f[\s>]", end + block):
                return True
            end = block[-2:]
    return False


def read(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a sheet, or some of its columns, or its first rows."""
    import pandas as pd

    found = _cells_of(path, form, rows)
    _no_formula_without_a_value(path, form, found, columns)
    names, percent = found.names, found.percent
    frame = pd.DataFrame(found.lines, columns=names, dtype=object)
    for name, shows_percent in zip(names, percent, strict=False):
        if shows_percent:
            frame[name] = [value * 100 if isinstance(value, int | float) else value for value in frame[name]]
    frame = frame.loc[:, [not (name.startswith("column ") and frame[name].isna().all()) for name in names]]
    if columns is not None:
        frame = frame[list(columns)]
    return Table(plain_kinds(frame), [], numbers=found.numbers)
