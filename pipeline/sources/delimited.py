"""Tables in text: what stands between their cells, their lines of names, and their rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runtime.errors import StudyError
from pipeline.sources.headings import LOOKED_AT, lines_of_names, names_from
from pipeline.sources.tables import SAMPLE_BYTES, Form, Table, given, other_encoding, string_kind

SEPARATORS = (",", "\t", ";", "|", " ")
"""What may stand between cells; a blank stands for any number of them, and only where nothing else parts the lines."""

SEPARATOR_TOLD = r"sep=([^\r\n\"])[\r\n]"
"""A line before the names in which Excel says what stands between cells."""

csv.field_size_limit(SAMPLE_BYTES)

LONGEST_LINE = 1 << 23
"""Bytes of a line of text: a line of many thousand columns has some hundred thousand."""

NO_TEXT = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\xd0\xcf\x11\xe0": "an old or password-protected Office file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"\x89PNG": "a picture",
    b"<stata_dta>": "a Stata file",
    b"RDX": "an R data file",
}
"""What files begin with that are sometimes given the name of a text file."""


def refuse_what_is_no_text(path: Path) -> None:
    """Raise a StudyError when a file begins as no text does."""
    with path.open("rb") as file:
        start = file.read(16)
    for mark, what in NO_TEXT.items():
        if start.startswith(mark):
            raise StudyError(
                f"{path} is {what} under the name of a text file: give it its own name, or save it as CSV."
            )


def _start(path: Path, encoding: str) -> str:
    with path.open("rb") as file:
        try:
            return codecs.getincrementaldecoder(encoding)(errors="replace").decode(file.read(SAMPLE_BYTES))
        except UnicodeError as error:
            raise other_encoding(path, encoding) from error


def _cut(text: Iterable[str], separator: str) -> Iterator[list[str]]:
    if separator == " ":
        text = (line.strip(" \r\n") + "\n" for line in text)
    for row in csv.reader(text, delimiter=separator, skipinitialspace=separator == " "):
        # Blanks in a row part two cells, not three.
        yield [cell for cell in row if cell] if separator == " " else row


def separator_of(path: Path, encoding: str) -> str:
    """Return the separator that gives most lines the header's number of cells, and most cells."""
    if told := re.match(SEPARATOR_TOLD, _start(path, encoding)):
        return told[1]
    # Line ends of any kind: a lone carriage return is one, other separators of lines are not.
    lines = [f"{line}\n" for line in re.split(r"\r\n|\r|\n", _start(path, encoding))[:200]]

    def merit(separator: str) -> tuple[float, int]:
        rows = [row for row in _cut(lines, separator) if row]
        wide = _wide(rows)
        return (sum(len(row) == wide for row in rows) / max(len(rows), 1) if wide > 1 else 0.0, wide)

    best = max(SEPARATORS[:-1], key=merit)
    if merit(best)[1] > 1:
        return best
    alike, wide = merit(" ")
    return " " if wide > 1 and alike > 0.9 else ","


def _wide(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells most rows have."""
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 0


class Above(NamedTuple):
    """What stands above the rows of a text."""

    idle: int
    """Lines before the names: empty, titles, or what tells the separator."""
    names: int


def above(path: Path, encoding: str, separator: str, names: int | None = None) -> Above:
    """Tell the lines above the rows; `names`, where it is given, is how many of them hold names."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(_first_rows(path, encoding, separator, LOOKED_AT + 20))
    wide = _wide([row for row in rows if row])
    idle = 0
    while idle < len(rows) - 1 and _says_nothing(rows[idle], wide):
        idle += 1
    return Above(idle, (lines_of_names(rows[idle:]) if rows else 1) if names is None else names)


def _says_nothing(row: Sequence[str], wide: int) -> bool:
    """Say whether a line is none of names: empty, one cell above many, or what tells the separator."""
    filled = sum(bool(cell.strip()) for cell in row)
    return filled == 0 or row[:1] == ["sep="] or (wide > 2 and (filled == 1 or len(row) <= wide // 2))


def _first_rows(path: Path, encoding: str, separator: str, number: int) -> Iterator[list[str]]:
    lines = io.StringIO(re.sub(r"\r\n?", "\n", _start(path, encoding)), newline="\n")
    for count, row in enumerate(_cut(lines, separator)):
        if count >= number:
            return
        yield row


def names_of(path: Path, form: Form) -> list[str]:
    """Return the names of the columns."""
    try:
        first = list(_first_rows(path, *form.of_text(), form.idle + max(form.names, 1) + LOOKED_AT))[form.idle :]
    except csv.Error as error:
        raise StudyError(f"{path}, line {form.idle + 1}: the names of the columns cannot be read ({error}).") from error
    rows, below = first[: max(form.names, 1)], [row for row in first[max(form.names, 1) :] if row]
    if not any(cell.strip() for row in rows for cell in row):
        raise StudyError(f"{path} has no line of column names: give one, and a line for each loan.")
    if form.header:
        return given(form.header, len(rows[-1]), str(path))
    if form.names == 1 and below and {len(row) for row in below} == {len(rows[0]) + 1}:
        # R gives its rows names, and these none.
        rows = [["", *rows[0]]]
    return names_from(rows[: form.names], len(rows[-1]))


def read(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a text as text, or some of its columns, or its first rows."""
    import pyarrow

    names = names_of(path, form)
    if form.separator == " ":
        return _between_blanks(path, form, names, columns, rows)
    broken = _Broken([], [])
    try:
        table = _arrow(path, form, names, broken, columns, rows)
    except pyarrow.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        if path.stat().st_size < LONGEST_LINE:
            raise StudyError(f"{path} holds column names and no row: give a line for each loan.") from error
        raise StudyError(
            f"{path} has a line of more than {LONGEST_LINE:,} bytes: close the quotation mark that swallows lines, or "
            "shorten the cell."
        ) from error
    if broken.torn:
        raise _unclosed(path, broken.torn[0])
    whole = rows is None or len(table) < rows
    if whole and (line := _end_inside_quotes(path, form)):
        raise _unclosed(path, line)
    frame = table.to_pandas(types_mapper={pyarrow.string(): string_kind()}.get, self_destruct=True)
    return Table(frame, broken.lines)


class _Broken(NamedTuple):
    """Lines with too few or too many cells."""

    lines: list[tuple[int, str]]
    torn: list[int]
    """Those of them that hold a line's end."""

    def skip(self, row: Any) -> str:
        # Numbers are unknown when a file is read by several threads at once.
        self.lines.append((row.number or 0, f"{row.actual_columns} cells under {row.expected_columns} names"))
        if "\n" in row.text.strip() or "\r" in row.text.strip():
            self.torn.append(row.number or 0)
        return "skip"


def _arrow(
    path: Path, form: Form, names: list[str], broken: _Broken, columns: Sequence[str] | None, rows: int | None
) -> Any:
    import pyarrow
    import pyarrow.csv

    encoding, separator = form.of_text()
    options = {
        "read_options": pyarrow.csv.ReadOptions(
            column_names=names,
            skip_rows=form.idle,
            skip_rows_after_names=form.names,
            # A mark at the beginning would become part of the first name, which is given anyway.
            encoding="utf-8" if encoding == "utf-8-sig" else encoding,
            use_threads=False,
            block_size=LONGEST_LINE,
        ),
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=broken.skip
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pyarrow.string()),
            include_columns=list(columns) if columns is not None else None,
        ),
    }
    if rows is None:
        return pyarrow.csv.read_csv(path, **options)
    batches, held = [], 0
    with pyarrow.csv.open_csv(path, **options) as reader:
        for batch in reader:
            batches.append(batch)
            held += len(batch)
            if held >= rows:
                break
        return pyarrow.Table.from_batches(batches, reader.schema).slice(0, rows)


def _between_blanks(path: Path, form: Form, names: list[str], columns: Sequence[str] | None, rows: int | None) -> Table:
    import pandas as pd

    frame = pd.read_csv(
        path, sep=r"\s+", header=None, names=names, skiprows=form.idle + form.names, nrows=rows,
        dtype=string_kind(), keep_default_na=False, na_values=[""], encoding=form.encoding, index_col=False,
    )  # fmt: skip
    return Table(frame if columns is None else frame[list(columns)], [])


def _unclosed(path: Path, line: int) -> StudyError:
    return StudyError(
        f"{path}, line {line or '?'}: a quotation mark opens a cell and what follows does not close it, so that lines "
        "run together: close or remove it."
    )


def _end_inside_quotes(path: Path, form: Form) -> int | None:
    """Return the line whose quotation mark is still open where the file ends; None if there is none.

    A reader of text takes all that follows such a mark for one cell, and nobody would miss the rows.
    """
    quotes = 0
    with path.open("rb") as file:
        while block := file.read(SAMPLE_BYTES):
            quotes += block.count(b'"')
    if quotes % 2 == 0:
        return None
    before = 0
    encoding, separator = form.of_text()
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            for _ in reader:
                before = reader.line_num
        except csv.Error as error:
            if "unexpected end of data" in str(error) or "field larger" in str(error):
                return before + 1
    return None
