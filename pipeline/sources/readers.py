"""Readers of the sources' files as they are published: files in, tidy frames out."""

from __future__ import annotations

import csv
import datetime
import gc
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd
    from rdata.parser import RObject


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause it while R objects are alive: a million of them and no garbage, a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_garbage_collection_paused()
def read_rda(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of the one data frame in an R data file (.rda, plain or compressed).

    Parameters
    ----------
    path
        The file.
    columns
        The columns to convert, in the order they are wanted.

    Returns
    -------
    DataFrame
        One row per row of the file, in its order. Text and factors become `string`, whole numbers `int64`
        (`Int64` where some are missing), reals `float64` (NA and NaN both missing), logicals `boolean`,
        dates `datetime64[ns]`.

    Raises
    ------
    StudyError
        If the file is not a complete R data file with exactly one data frame, if it lacks a column (the
        message offers the nearest names), or if a column holds what has no plain meaning here.

    """
    path = Path(path)
    return _converted(path, _only_data_frame(path, _parse(path)), columns)


@_garbage_collection_paused()
def read_rds(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of the data frame in a file of one R object (.rds, plain or compressed).

    Arguments, result and errors as in `read_rda`.
    """
    path = Path(path)
    return _converted(path, _data_frame(path, "an object", _parse(path)), columns)


def _converted(path: Path, frame: RObject, columns: Sequence[str]) -> pd.DataFrame:
    """Return the wanted columns of an R data frame."""
    import pandas as pd

    vectors = dict(zip(_strings(_attributes(frame)["names"]), frame.value, strict=True))
    missing = [column for column in columns if column not in vectors]
    if missing:
        wanted = ", ".join(_with_nearest(column, [name for name in vectors if name is not None]) for column in missing)
        raise StudyError(f"{path} has no column {wanted}: correct the names of the columns to read.")
    converted = {}
    for column in columns:
        try:
            converted[column] = _column(vectors[column])
        except (ValueError, IndexError) as error:
            raise StudyError(f"{path}: column {column} cannot be read ({error}): leave it out.") from error
    try:
        return pd.DataFrame(converted)
    except ValueError as error:
        raise StudyError(f"{path}: a column is longer than another ({error}): leave the odd one out.") from error


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
                wanted = ", ".join(_with_nearest(column, known) for column in missing)
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
            wanted = ", ".join(_with_nearest(column, header) for column in missing)
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
        raise StudyError(f"{path} has no country {_with_nearest(country_code, list(rows))}: correct the code.")
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


def _with_nearest(name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, n=3)
    return f"'{name}' (nearest: {', '.join(nearest)})" if nearest else f"'{name}'"


def _parse(path: Path) -> RObject:
    import rdata.parser

    try:
        with warnings.catch_warnings():
            # The parser only warns when a file is not what its name says.
            warnings.simplefilter("error", UserWarning)
            return rdata.parser.parse_file(path).object
    except FileNotFoundError as error:
        raise StudyError(f"{path} does not exist: fetch it first.") from error
    except Exception as error:  # the parser has no error of its own: a broken file fails in many ways
        raise StudyError(
            f"{path} is not a complete R data file ({path.suffix or '.rda'}): remove the file and fetch it again."
        ) from error


def _only_data_frame(path: Path, contents: RObject) -> RObject:
    objects = dict(_pairs(contents))
    if len(objects) != 1:
        found = ", ".join(objects) or "none"
        raise StudyError(f"{path} must hold one object and holds {found}: save one data frame with R's save().")
    (name, value), *_ = objects.items()
    return _data_frame(path, name, value)


def _data_frame(path: Path, name: str, value: RObject) -> RObject:
    from rdata.parser import RObjectType

    if value.info.type is not RObjectType.VEC or "data.frame" not in _classes(value):
        writer = "saveRDS" if path.suffix == ".rds" else "save"
        raise StudyError(f"{path} holds {name}, which is not a data frame: save one data frame with R's {writer}().")
    return value


def _pairs(node: RObject | None) -> Iterator[tuple[str, RObject]]:
    """Walk an R pairlist: the objects of a file, or the attributes of an object."""
    from rdata.parser import RObjectType

    while node is not None and node.info.type is RObjectType.LIST:
        symbol = node.tag
        # R writes a symbol once and refers to it afterwards.
        while symbol is not None and symbol.info.type is RObjectType.REF:
            symbol = symbol.referenced_object
        assert symbol is not None and symbol.value is not None  # R names each element of these lists
        value, rest = node.value
        yield symbol.value.value.decode(), value
        node = rest


def _attributes(vector: RObject) -> dict[str, RObject]:
    return dict(_pairs(vector.attributes))


def _classes(vector: RObject) -> set[str]:
    attributes = _attributes(vector)
    return {name for name in _strings(attributes["class"]) if name is not None} if "class" in attributes else set()


def _strings(vector: RObject) -> list[str | None]:
    from rdata.parser import CharFlags

    latin1 = int(CharFlags.LATIN1)
    return [
        None if char.value is None else char.value.decode("latin-1" if char.info.gp & latin1 else "utf-8")
        for char in vector.value
    ]


def _column(vector: RObject) -> Any:
    """Convert one R vector to the pandas array that keeps its meaning."""
    import numpy as np
    import pandas as pd
    from rdata.parser import RObjectType

    kind, classes = vector.info.type, _classes(vector)
    if kind is RObjectType.STR:
        return pd.array(_strings(vector), dtype="string")
    values, missing = np.ma.getdata(vector.value), np.ma.getmaskarray(vector.value)
    if kind is RObjectType.LGL:
        return pd.arrays.BooleanArray(values.astype(bool), missing)
    if kind not in (RObjectType.INT, RObjectType.REAL):
        raise ValueError(f"R type {kind.name}")
    if "factor" in classes:
        levels = np.array([None, *_strings(_attributes(vector)["levels"])], dtype=object)
        return pd.array(levels[np.where(missing, 0, values)], dtype="string")
    if "Date" in classes:
        days = np.floor(np.where(missing | ~np.isfinite(values), np.nan, values))
        return pd.to_datetime(days, unit="D").as_unit("ns")
    if classes:
        # A class can change what the numbers mean: times, differences, 64-bit integers stored as reals.
        raise ValueError(f"R class {', '.join(sorted(classes))}")
    if kind is RObjectType.REAL:
        # R's NA is a NaN with a mark that makes NumPy warn at every sum.
        return np.where(np.isnan(values), np.nan, values)
    whole = values.astype("int64")
    return pd.arrays.IntegerArray(whole, missing) if missing.any() else whole
