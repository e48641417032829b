"""Readers of the sources' files as they are published: files in, tidy frames out."""

from __future__ import annotations

import csv
import datetime
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.errors import StudyError
from pipeline.sources.tables import with_nearest

if TYPE_CHECKING:
    import pandas as pd


def read_dta(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of a Stata data file (.dta), with the codes that the file holds rather than their labels.

    Parameters
    ----------
    path
        The file.
    columns
        The columns to read, in the order they are wanted.

    Returns
    -------
    DataFrame
        One row per row of the file, in its order. Text becomes `string` (empty text missing), whole numbers
        `int64`, other numbers `float64` (Stata's missing values NaN), dates `datetime64[ns]`.

    Raises
    ------
    StudyError
        If the file is not a complete Stata file, or lacks a column (the message offers the nearest names).

    """
    import pandas as pd

    path = Path(path)
    try:
        with pd.io.stata.StataReader(path, convert_categoricals=False) as reader:
            known = list(reader.variable_labels())
            missing = [column for column in columns if column not in known]
            if missing:
                wanted = ", ".join(with_nearest(column, known) for column in missing)
                raise StudyError(f"{path} has no column {wanted}: correct the names of the columns to read.")
            frame = reader.read(columns=list(columns))
    except FileNotFoundError as error:
        raise StudyError(f"{path} does not exist: fetch it first.") from error
    except StudyError:
        raise
    except Exception as error:  # the parser has no error of its own: a broken file fails in many ways
        raise StudyError(f"{path} is not a complete Stata file (.dta): remove the file and fetch it again.") from error
    for name in frame:
        column = frame[name]
        if pd.api.types.is_integer_dtype(column):
            frame[name] = column.astype("int64")
        elif pd.api.types.is_float_dtype(column):
            frame[name] = column.astype("float64")
        elif pd.api.types.is_datetime64_any_dtype(column):
            frame[name] = column.astype("datetime64[ns]")
        else:
            frame[name] = column.astype("string").replace("", pd.NA)
    return frame


def read_delimited(path: Path, columns: Sequence[str], separator: str) -> pd.DataFrame:
    """Read some columns of a table in text, one line a row under a line of headings, as the text that stands there.

    Parameters
    ----------
    path
        The file, in UTF-8. Cells may stand in double quotes.
    columns
        The columns to read, in the order they are wanted.
    separator
        What stands between two cells, such as a semicolon.

    Returns
    -------
    DataFrame
        One row per line of the file, in its order; every column `string`, an empty cell missing.

    Raises
    ------
    StudyError
        If the file cannot be read, a line has another number of cells than the headings, or a column is not there
        (the message offers the nearest names).

    """
    import pandas as pd

    path = Path(path)
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), delimiter=separator, strict=True)
    again = "remove the file and fetch it again"
    try:
        header = next(reader, [])
        missing = [column for column in columns if column not in header]
        if missing:
            wanted = ", ".join(with_nearest(column, header) for column in missing)
            raise StudyError(f"{path} has no column {wanted}: correct the names of the columns to read.")
        places = [header.index(column) for column in columns]
        rows = []
        for row in reader:
            if len(row) != len(header):
                raise StudyError(
                    f"{path}, line {reader.line_num}: {len(row)} cells under {len(header)} headings: {again}."
                )
            rows.append([row[place] or None for place in places])
    except csv.Error as error:
        raise StudyError(f"{path}, line {reader.line_num}: {error}: {again}.") from error
    return pd.DataFrame(rows, columns=list(columns), dtype="string")


def read_fred_csv(path: Path) -> pd.DataFrame:
    """Read a FRED series as archived: lines of `year,month,day,value`, and comments that begin with %.

    Returns
    -------
    DataFrame
        `date` (`datetime64[ns]`, first day of the period) and `value` (float64, the series' own units),
        sorted by date. FRED's mark for a missing value, a lone point, is NaN.

    Raises
    ------
    StudyError
        If a line does not fit or repeats a date, or if there is no value at all.

    """
    import pandas as pd

    path = Path(path)
    values: dict[datetime.date, float] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("%"):
            continue
        try:
            year, month, day, value = line.split(",")
            date = datetime.date(int(year), int(month), int(day))
            if date in values:
                raise ValueError("repeated date")
            values[date] = math.nan if value.strip() == "." else _finite(value)
        except ValueError as error:
            raise StudyError(
                f"{path}, line {number}: '{line[:60]}' is not a new year,month,day,value ({error}): "
                "remove the file and fetch it again."
            ) from error
    if not values:
        raise StudyError(f"{path} holds no line of year,month,day,value: remove the file and fetch it again.")
    frame = pd.DataFrame({"date": pd.to_datetime(list(values)), "value": list(values.values())})
    return frame.astype({"date": "datetime64[ns]"}).sort_values("date", ignore_index=True)


def read_world_bank_csv(path: Path, country_code: str) -> pd.DataFrame:
    """Read one country's years from a World Bank indicator file (one line per country, one column per year).

    Parameters
    ----------
    path
        The file.
    country_code
        Three-letter code, such as USA.

    Returns
    -------
    DataFrame
        `year` (int64) and `value` (float64, the indicator's own units), sorted by year; years without a
        value are left out.

    Raises
    ------
    StudyError
        If the file or a value does not fit, or if the country is not in the file.

    """
    import pandas as pd

    path = Path(path)
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    again = "remove the file and fetch it again"
    rows: dict[str, tuple[int, dict[str, str]]] = {}
    try:
        header = next(reader, [])
        if "Country Code" not in header or not any(map(_is_year, header)):
            raise StudyError(f"{path}, line 1: no 'Country Code' and years in the header: {again}.")
        for row in reader:
            # Data lines may end in one comma more than the header.
            if len(row) < len(header) or any(row[len(header) :]):
                raise StudyError(
                    f"{path}, line {reader.line_num}: {len(row)} cells under {len(header)} headings: {again}."
                )
            cells = dict(zip(header, row, strict=False))
            rows[cells["Country Code"]] = (reader.line_num, cells)
    except csv.Error as error:
        raise StudyError(f"{path}, line {reader.line_num}: {error}: {again}.") from error
    if country_code not in rows:
        raise StudyError(f"{path} has no country {with_nearest(country_code, list(rows))}: correct the code.")
    line, cells = rows[country_code]
    values = {}
    for heading in sorted(filter(_is_year, header)):
        if cells[heading].strip():
            try:
                values[int(heading)] = _finite(cells[heading])
            except ValueError as error:
                raise StudyError(
                    f"{path}, line {line}, column {heading}: '{cells[heading]}' is no number: {again}."
                ) from error
    return pd.DataFrame(
        {"year": pd.Series(list(values), dtype="int64"), "value": pd.Series(values.values(), dtype="float64")}
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}): fetch it first.") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not UTF-8 text: remove the file and fetch it again.") from error


def _is_year(heading: str) -> bool:
    return len(heading) == 4 and heading.isdecimal()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number
