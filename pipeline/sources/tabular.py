"""Tables as people keep them: text in any common encoding, Excel, parquet, Stata; one reader for all."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.runtime.errors import StudyError

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
csv.field_size_limit(SAMPLE_BYTES)

LONGEST_LINE = 1 << 23
"""Bytes of a line of text: a line of many thousand columns has some hundred thousand."""

UNPACKED = 4 << 30
"""Bytes that a workbook may unpack to: a full sheet (1,048,576 rows) of sixty columns has about so many."""
PACKED_TIGHTLY = 100
"""Times that a workbook larger than `SAMPLE_BYTES` may grow when it is unpacked: sheets of loans grow ten to twenty
times, one made to exhaust a machine up to a thousand times."""
MOST_CELLS = 2_000_000_000
"""Cells of the columns that are read of a parquet file: ten million loans of two hundred columns. Parquet writes a
constant column of any length in a few bytes."""
MOST_SHEET_CELLS = 100_000_000
"""Cells of a sheet, empty ones among them: a full sheet of about a hundred columns."""

NO_TEXT = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\xd0\xcf\x11\xe0": "an old or password-protected Office file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"PAR1": "a parquet file",
    b"\x89PNG": "a picture",
    b"<stata_dta>": "a Stata file",
    b"RDX": "an R data file",
}
"""What files begin with that are sometimes given the name of a text file."""

NO_ENCODINGS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}
"""What Python calls encodings of text and no program writes tables in."""


class Form(NamedTuple):
    """How a file is to be read; None where its kind needs no such thing."""

    kind: str
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None

    def of_text(self) -> tuple[str, str]:
        """Return the encoding and the separator of a text file, which has both."""
        assert self.encoding is not None and self.separator is not None
        return self.encoding, self.separator


class Table(NamedTuple):
    """A table as read."""

    frame: pd.DataFrame
    """One row per row; text files give text, other kinds numbers and dates where the file has them."""
    broken: list[tuple[int, str]]
    """Lines of a text file with too few or too many cells: number of the line, and what is wrong with it."""


def path_of(text: str) -> Path:
    """Return the path that a reader wrote, ``~`` among it; a StudyError when it can be none."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise StudyError(f"{text}: there is no such user, so no such path: write the path without ~.") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # such as a name that is too long
        raise StudyError(f"{str(path)[:80]} ... cannot be looked for ({error.strerror}): correct the path.") from error


def form_of(path: Path, *, encoding: str | None = None, separator: str | None = None, sheet: str | None = None) -> Form:
    """Tell how a file is to be read from its name and content; what is given is taken as given.

    Raises StudyError when there is no such file, it is empty, or of a kind that is not read.
    """
    path = Path(path)
    if not _is_file(path):
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
    with path.open("rb") as file:
        start = file.read(16)
    for mark, what in NO_TEXT.items():
        if start.startswith(mark):
            raise StudyError(
                f"{path} is {what} under the name of a text file: give it its own name, or save it as CSV."
            )
    if encoding is not None:
        encoding = _known_encoding(path, encoding)
    if separator and (len(separator) > 1 or not separator.isascii() or separator in '\0\r\n"'):
        raise StudyError(f"{path}: '{separator}' cannot be the separator: give one character such as , or ;.")
    encoding = encoding or encoding_of(path)
    return Form(kind, encoding, separator or _separator(path, encoding))


def _known_encoding(path: Path, encoding: str) -> str:
    try:
        found = codecs.lookup(encoding)
        if found._is_text_encoding and found.name not in NO_ENCODINGS:
            return found.name
    except (LookupError, ValueError):
        pass
    raise StudyError(f"{path}: there is no encoding called '{encoding}': give utf-8 or gb18030.")


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
            # Before UTF-16, whose mark is the beginning of this one.
            (codecs.BOM_UTF32_LE, "utf-32"),
            (codecs.BOM_UTF16_LE, "utf-16"),
            (codecs.BOM_UTF16_BE, "utf-16"),
        ):
            if start.startswith(mark):
                return name
        file.seek(0)
        while block := file.read(SAMPLE_BYTES):
            if b"\0" in block:
                raise StudyError(
                    f"{path} holds zero bytes: it is no text, or UTF-16 without its mark: save it as CSV UTF-8."
                )
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
        try:
            return codecs.getincrementaldecoder(encoding)(errors="replace").decode(file.read(SAMPLE_BYTES))
        except UnicodeError as error:
            raise _other_encoding(path, encoding) from error


def _other_encoding(path: Path, encoding: str) -> StudyError:
    return StudyError(f"{path} is no text in the encoding {encoding}: save it as CSV UTF-8, or correct the encoding.")


def _separator(path: Path, encoding: str) -> str:
    """Return the separator that gives most lines the header's number of cells, and most cells."""
    # Line ends of any kind: a lone carriage return is one, other separators of lines are not.
    lines = [f"{line}\n" for line in re.split(r"\r\n|\r|\n", _start(path, encoding))[:200]]

    def merit(separator: str) -> tuple[float, int]:
        rows = [row for row in csv.reader(lines, delimiter=separator) if row]
        wide = len(rows[0]) if rows else 0
        return (sum(len(row) == wide for row in rows) / max(len(rows), 1) if wide > 1 else 0.0, wide)

    best = max(SEPARATORS, key=merit)
    return best if merit(best)[1] > 1 else ","


def header_of(path: Path, form: Form) -> list[str]:
    """Return the names of a file's columns, made distinct; a column without a name is called by its place."""
    if form.kind == "text":
        return _distinct(_names(path, form).names)
    if form.kind == "parquet":
        import pyarrow.parquet

        return _distinct(_opened(path, lambda: pyarrow.parquet.read_schema(path)).names)
    return list(read_table(path, form, rows=1).frame.columns)


class _Heading(NamedTuple):
    """The line of names of a text file."""

    names: list[str]
    blank: int
    """Empty lines before it."""


def _names(path: Path, form: Form) -> _Heading:
    blank = 0
    encoding, separator = form.of_text()
    lines = io.StringIO(re.sub(r"\r\n?", "\n", _start(path, encoding)), newline="\n")
    try:
        for row in csv.reader(lines, delimiter=separator):
            if any(cell.strip() for cell in row):
                return _Heading(row, blank)
            blank += 1
    except csv.Error as error:
        raise StudyError(f"{path}, line {blank + 1}: the names of the columns cannot be read ({error}).") from error
    raise StudyError(f"{path} has no line of column names: give one, and a line for each loan.")


def _tidy(name: Any) -> str:
    return " ".join(str("" if name is None else name).split())


def _distinct(names: Sequence[Any]) -> list[str]:
    found: list[str] = []
    for place, name in enumerate(names, start=1):
        text = _tidy(name) or f"column {place}"
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
        if twice := [name for name in columns if f"{name} (2)" in known]:
            raise StudyError(f"{path} has several columns '{twice[0]}': rename or remove all but one.")
    table = _opened(path, lambda: read(path, form, columns, rows))
    if table.frame.empty and rows is None:
        broken = f" ({table.broken[0][1]} in line {table.broken[0][0]})" if table.broken else ""
        raise StudyError(f"{path} holds column names and no row{broken}: give a line for each loan.")
    return table


def _opened(path: Path, read: Any) -> Any:
    try:
        return read()
    except (StudyError, MemoryError):
        raise
    except UnicodeError as error:
        raise _other_encoding(path, getattr(error, "encoding", "") or "given") from error
    except Exception as error:  # the readers' own errors are many
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise StudyError(
            f"{path} cannot be read as {KINDS[path.suffix.lower()]} ({first[0].rstrip('.')}): it is damaged, or of "
            "another kind: save it again, or as CSV UTF-8."
        ) from error


def _text(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    import pyarrow
    import pyarrow.csv

    heading = _names(path, form)
    names = _distinct(heading.names)
    broken: list[tuple[int, str]] = []
    torn: list[int] = []

    def skip(row: Any) -> str:
        # Numbers are unknown when a file is read by several threads at once.
        broken.append((row.number or 0, f"{row.actual_columns} cells under {row.expected_columns} names"))
        if "\n" in row.text.strip() or "\r" in row.text.strip():
            torn.append(row.number or 0)
        return "skip"

    def read() -> Any:
        encoding, separator = form.of_text()
        kinds = dict.fromkeys(names, pyarrow.string())
        options = {
            "read_options": pyarrow.csv.ReadOptions(
                column_names=names,
                skip_rows=heading.blank,
                skip_rows_after_names=1,
                encoding=_codec(encoding),
                use_threads=False,
                block_size=LONGEST_LINE,
            ),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
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

    try:
        table = read()
    except pyarrow.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        if path.stat().st_size < LONGEST_LINE:
            raise StudyError(f"{path} holds column names and no row: give a line for each loan.") from error
        raise StudyError(
            f"{path} has a line of more than {LONGEST_LINE:,} bytes: close the quotation mark that swallows lines, or "
            "shorten the cell."
        ) from error
    if torn:
        raise _unclosed(path, torn[0])
    if line := _end_inside_quotes(path, form):
        raise _unclosed(path, line)
    frame = table.to_pandas(types_mapper={pyarrow.string(): _string_kind()}.get, self_destruct=True)
    return Table(frame, broken)


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
        cells = file.metadata.num_rows * len(names if wanted is None else wanted)
        if rows is None and cells > MOST_CELLS:
            raise StudyError(
                f"{path} unpacks to {cells:,} cells, more than the {MOST_CELLS:,} that are read: give fewer loans."
            )
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
                except StopIteration:  # a file without rows
                    return pd.DataFrame(columns=wanted or list(reader.variable_labels()))
                except ValueError:
                    # Two codes of one label: the codes must do.
                    with pd.io.stata.StataReader(path, convert_categoricals=False) as again:
                        return again.read(nrows=rows, columns=wanted)

    frame = _opened(path, read)
    return Table(_plain_kinds(frame), [])


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

    return _opened(path, read)


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


def _first_sheet(path: Path) -> str:
    return _opened(path, lambda: _first_with_cells(path))


def _first_with_cells(path: Path) -> str:
    book = _workbook(path)
    try:
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            if any(
                sum(value is not None for value in row) > 1 for row in sheet.iter_rows(max_row=50, values_only=True)
            ):
                return sheet.title
        raise StudyError(f"{path} is empty: give a sheet with a line of column names and a line for each loan.")
    finally:
        book.close()


class _Sheet(NamedTuple):
    """A sheet's cells, the lines without any left out."""

    names: list[str]
    percent: list[bool]
    """Whether a column's cells show percent."""
    lines: list[list[Any]]
    numbers: list[int]
    """Which line of the sheet each one is."""


def _cells_of(path: Path, form: Form, rows: int | None, values: bool = True) -> _Sheet:
    """Read a sheet: its first line with at least two cells names the columns."""
    book = _workbook(path, values)
    found = _Sheet([], [], [], [])
    try:
        if form.sheet not in book.sheetnames:
            raise StudyError(f"{path} has no sheet '{form.sheet}': there are {', '.join(book.sheetnames)}.")
        sheet = book[form.sheet]
        # What a sheet says of its own size is not to be trusted: rows come as long as they are.
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows(), start=1):
            if not found.names:
                named = [cell.value for cell in row]
                if sum(value is not None for value in named) > 1:
                    found.names.extend(_distinct(named))
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


def _excel(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
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
            if many := [kind.__name__ for kind in kinds if kind.__name__ in ("bytes", "ndarray", "dict", "list")]:
                raise ValueError(f"column {name} holds {many[0]}, where one number or text a cell is wanted")
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
