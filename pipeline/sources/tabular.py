"""Tables as people keep them: text in any common encoding, Excel, parquet, Stata; one reader for all."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.core.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    ".csv": "text",
    ".txt": "text",
    ".tsv": "text",
    ".tab": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".dta": "stata",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
"""What a file is, by the end of its name."""

SEPARATORS = (",", "\t", ";", "|")
SAMPLE_BYTES = 1 << 20
"""How much of a text file is looked at to tell its separator."""


class Form(NamedTuple):
    """How a file is to be read; None where its kind needs no such thing."""

    kind: str
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None


class Table(NamedTuple):
    """A table as read."""

    frame: pd.DataFrame
    """One row per row; text files give text, other kinds numbers and dates where the file has them."""
    broken: list[tuple[int, str]]
    """Lines of a text file with too few or too many cells: number of the line, and what is wrong with it."""


def form_of(path: Path, *, encoding: str | None = None, separator: str | None = None, sheet: str | None = None) -> Form:
    """Tell how a file is to be read from its name and content; what is given is taken as given.

    Raises StudyError when there is no such file, it is empty, or of a kind that is not read.
    """
    path = Path(path)
    if not path.is_file():
        beside = [file.name for file in sorted(path.parent.glob("*")) if file.suffix.lower() in KINDS][:5]
        there = f" (the folder holds {', '.join(beside)})" if beside else ""
        raise StudyError(f"{path} does not exist{there}: correct the path.")
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        hint = " (save it as .xlsx)" if path.suffix.lower() == ".xls" else ""
        raise StudyError(f"{path} is no kind of file that is read here{hint}: give one of {', '.join(KINDS)}.")
    if path.stat().st_size == 0:
        raise StudyError(f"{path} is empty: give a file with a line of column names and a line for each loan.")
    if kind == "excel":
        return Form(kind, sheet=sheet or _first_sheet(path))
    if kind != "text":
        return Form(kind)
    if encoding is not None:
        try:
            encoding = codecs.lookup(encoding).name
        except LookupError as error:
            raise StudyError(f"{path}: there is no encoding called '{encoding}': give utf-8 or gb18030.") from error
    encoding = encoding or encoding_of(path)
    return Form(kind, encoding, separator or _separator(path, encoding))


def encoding_of(path: Path) -> str:
    """Tell the encoding of a text file: by its mark, as UTF-8 if it is valid, or else GB 18030 or Windows' Latin.

    GB 18030 holds GBK and GB 2312. Its characters come as pairs of bytes above 127, those of Latin letters mostly
    alone: nine in ten such runs of even length count as Chinese.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    even = runs = 0
    valid = True
    with path.open("rb") as file:
        start = file.read(4)
        for mark, name in (
            (codecs.BOM_UTF8, "utf-8-sig"),
            (codecs.BOM_UTF16_LE, "utf-16"),
            (codecs.BOM_UTF16_BE, "utf-16"),
        ):
            if start.startswith(mark):
                return name
        file.seek(0)
        while block := file.read(SAMPLE_BYTES):
            if valid:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    valid = False
            if not valid:
                found = re.findall(rb"[\x80-\xff]+", block)
                even += sum(len(run) % 2 == 0 for run in found)
                runs += len(found)
    if valid:
        try:
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError:
            return "cp1252"
    return "gb18030" if even >= 0.9 * runs else "cp1252"


def _start(path: Path, encoding: str) -> str:
    with path.open("rb") as file:
        return codecs.getincrementaldecoder(encoding)(errors="replace").decode(file.read(SAMPLE_BYTES))


def _separator(path: Path, encoding: str) -> str:
    """Return the separator that gives most lines the header's number of cells, and most cells."""
    lines = _start(path, encoding).splitlines(keepends=True)[:200]

    def merit(separator: str) -> tuple[float, int]:
        rows = [row for row in csv.reader(lines, delimiter=separator) if row]
        wide = len(rows[0]) if rows else 0
        return (sum(len(row) == wide for row in rows) / max(len(rows), 1) if wide > 1 else 0.0, wide)

    best = max(SEPARATORS, key=merit)
    return best if merit(best)[1] > 1 else ","


def header_of(path: Path, form: Form) -> list[str]:
    """Return the names of a file's columns, made distinct; a column without a name is called by its place."""
    if form.kind == "text":
        first = next(iter(csv.reader(io.StringIO(_start(path, form.encoding)), delimiter=form.separator)), [])
        return _distinct(first)
    if form.kind == "parquet":
        import pyarrow.parquet

        return _distinct(_opened(path, lambda: pyarrow.parquet.read_schema(path)).names)
    return list(read_table(path, form, rows=1).frame.columns)


def _distinct(names: Sequence[Any]) -> list[str]:
    found: list[str] = []
    for place, name in enumerate(names, start=1):
        text = " ".join(str("" if name is None else name).split()) or f"column {place}"
        number = 2
        given = text
        while text in found:
            text = f"{given} ({number})"
            number += 1
        found.append(text)
    return found


def read_table(path: Path, form: Form, columns: Sequence[str] | None = None, rows: int | None = None) -> Table:
    """Read a table, or some of its columns, or its first rows.

    Raises StudyError when the file cannot be read as what it is, lacks a column, or holds no row.
    """
    path = Path(path)
    read = {"text": _text, "parquet": _parquet, "stata": _stata, "excel": _excel}[form.kind]
    if columns is not None:
        known = header_of(path, form)
        if missing := [name for name in columns if name not in known]:
            from difflib import get_close_matches

            near = get_close_matches(missing[0], known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known[:40])}."
            raise StudyError(f"{path} has no column '{missing[0]}': {hint}")
    table = read(path, form, columns, rows)
    if table.frame.empty and rows is None:
        broken = f" ({table.broken[0][1]} in line {table.broken[0][0]})" if table.broken else ""
        raise StudyError(f"{path} holds column names and no row{broken}: give a line for each loan.")
    return table


def _opened(path: Path, read: Any) -> Any:
    try:
        return read()
    except (StudyError, MemoryError):
        raise
    except Exception as error:  # the readers' own errors are many
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise StudyError(f"{path} cannot be read as {KINDS[path.suffix.lower()]}: {first[0]}") from error


def _text(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    import pyarrow
    import pyarrow.csv

    names = header_of(path, form)
    broken: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        # Numbers are unknown when a file is read by several threads at once.
        broken.append((row.number or 0, f"{row.actual_columns} cells under {row.expected_columns} names"))
        return "skip"

    def read() -> Any:
        kinds = dict.fromkeys(names, pyarrow.string())
        options = {
            "read_options": pyarrow.csv.ReadOptions(
                column_names=names, skip_rows_after_names=1, encoding=_codec(form.encoding), use_threads=False
            ),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=form.separator, newlines_in_values=True, invalid_row_handler=skip
            ),
            "convert_options": pyarrow.csv.ConvertOptions(
                column_types=kinds, include_columns=list(columns) if columns is not None else None
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

    table = _opened(path, read)
    frame = table.to_pandas(types_mapper={pyarrow.string(): _string_kind()}.get, self_destruct=True)
    return Table(frame, broken)


def _codec(encoding: str) -> str:
    # A mark at the beginning would become part of the first name, which is given anyway.
    return "utf-8" if encoding == "utf-8-sig" else encoding


def _string_kind() -> Any:
    import pandas as pd

    return pd.StringDtype("pyarrow")


def _parquet(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    import pyarrow
    import pyarrow.parquet

    def read() -> Any:
        file = pyarrow.parquet.ParquetFile(path)
        names = file.schema_arrow.names
        wanted = None if columns is None else [names[_distinct(names).index(name)] for name in columns]
        if rows is None:
            return file.read(columns=wanted)
        batch = next(file.iter_batches(batch_size=rows, columns=wanted), None)
        return pyarrow.Table.from_batches(
            [] if batch is None else [batch], file.schema_arrow if wanted is None else None
        )

    table = _opened(path, read)
    frame = table.to_pandas(types_mapper={pyarrow.string(): _string_kind(), pyarrow.large_string(): _string_kind()}.get)
    frame = frame.reset_index(drop=True)
    frame.columns = _distinct(frame.columns) if columns is None else list(columns)
    return Table(_plain_kinds(frame), [])


def _stata(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    import pandas as pd

    def read() -> pd.DataFrame:
        with warnings.catch_warnings():
            # Warnings speak of labels that are not used here.
            warnings.simplefilter("ignore")
            with pd.io.stata.StataReader(path) as reader:
                wanted = list(columns) if columns is not None else None
                try:
                    return reader.read(nrows=rows, columns=wanted)
                except ValueError:
                    # Two codes of one label: the codes must do.
                    with pd.io.stata.StataReader(path, convert_categoricals=False) as again:
                        return again.read(nrows=rows, columns=wanted)

    frame = _opened(path, read)
    return Table(_plain_kinds(frame), [])


def _workbook(path: Path) -> Any:
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise StudyError(f"{path}: Excel files need the package openpyxl: save the sheet as CSV UTF-8.") from error

    def read() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return openpyxl.load_workbook(path, read_only=True, data_only=True)

    return _opened(path, read)


def _first_sheet(path: Path) -> str:
    book = _workbook(path)
    try:
        for sheet in book.worksheets:
            if any(
                sum(value is not None for value in row) > 1 for row in sheet.iter_rows(max_row=50, values_only=True)
            ):
                return sheet.title
        raise StudyError(f"{path} is empty: give a sheet with a line of column names and a line for each loan.")
    finally:
        book.close()


def _excel(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a sheet: its first line with at least two cells names the columns."""
    import pandas as pd

    book = _workbook(path)
    try:
        if form.sheet not in book.sheetnames:
            raise StudyError(f"{path} has no sheet '{form.sheet}': there are {', '.join(book.sheetnames)}.")
        sheet = book[form.sheet]
        lines: list[list[Any]] = []
        names: list[str] = []
        percent: list[bool] = []
        for row in sheet.iter_rows():
            values = [cell.value for cell in row]
            if not names:
                if sum(value is not None for value in values) > 1:
                    names = _distinct(values)
                continue
            if all(value is None for value in values):
                continue
            if not percent:
                # A cell that shows 12% holds 0.12.
                percent = ["%" in str(getattr(cell, "number_format", "")) for cell in row]
            lines.append(values)
            if rows is not None and len(lines) >= rows:
                break
    finally:
        book.close()
    frame = pd.DataFrame(lines, columns=names, dtype=object)
    for name, shows_percent in zip(names, percent, strict=False):
        if shows_percent:
            frame[name] = [value * 100 if isinstance(value, int | float) else value for value in frame[name]]
    frame = frame.loc[:, [not (name.startswith("column ") and frame[name].isna().all()) for name in names]]
    if columns is not None:
        frame = frame[list(columns)]
    return Table(_plain_kinds(frame), [])


def _plain_kinds(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each column one kind: whole numbers and numbers, dates, truth values, or text."""
    import datetime

    import pandas as pd

    plain = {}
    for name in frame:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        if column.dtype == object:
            kinds = {type(value) for value in column[column.notna()]}
            if kinds and kinds <= {int, float, bool} and kinds != {bool}:
                column = column.astype(float)
            elif kinds == {bool}:
                column = column.astype("boolean")
            elif kinds and all(issubclass(kind, datetime.date) for kind in kinds):
                column = pd.to_datetime(column, errors="coerce")
            elif kinds and all(kind.__name__ == "Decimal" for kind in kinds):
                column = column.astype(float)
            else:
                # A number that stands among text keeps no ".0".
                column = column.map(
                    lambda value: str(int(value)) if isinstance(value, float) and value.is_integer() else value,
                    na_action="ignore",
                ).astype("string")
        plain[name] = column
    return pd.DataFrame(plain, index=frame.index)
