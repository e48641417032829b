"""Readers of R's data files: the one data frame of a file, its columns with their kinds."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.errors import StudyError
from pipeline.sources.tables import with_nearest

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
def read_rda(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    """Read some columns of the one data frame in an R data file (.rda, plain or compressed).

    Parameters
    ----------
    path
        The file.
    columns
        The columns to convert, in the order they are wanted; None: all.

    Returns
    -------
    DataFrame
        One row per row of the file, in its order. Text and factors become `string`, whole numbers `int64`
        (`Int64` where some are missing), reals `float64` (NA and NaN both missing), logicals `boolean`,
        dates, and times in their time zone, `datetime64[ns]`.

    Raises
    ------
    StudyError
        If the file is not a complete R data file with exactly one data frame, if it lacks a column (the
        message offers the nearest names), or if a column holds what has no plain meaning here.

    """
    path = Path(path)
    return _converted(path, _only_data_frame(path, _parse(path)), columns)


@_garbage_collection_paused()
def read_rds(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    """Read some columns of the data frame in a file of one R object (.rds, plain or compressed).

    Arguments, result and errors as in `read_rda`.
    """
    path = Path(path)
    return _converted(path, _data_frame(path, "an object", _parse(path)), columns)


def _converted(path: Path, frame: RObject, columns: Sequence[str] | None) -> pd.DataFrame:
    """Return the wanted columns of an R data frame."""
    import pandas as pd

    vectors = dict(zip(_strings(_attributes(frame)["names"]), frame.value, strict=True))
    columns = [name for name in vectors if name is not None] if columns is None else columns
    missing = [column for column in columns if column not in vectors]
    if missing:
        wanted = ", ".join(with_nearest(column, [name for name in vectors if name is not None]) for column in missing)
        raise StudyError(f"{path} has no column {wanted}: correct the names of the columns to read.")
    converted = {}
    for column in columns:
        try:
            converted[column] = _column(vectors[column])
        except (ValueError, IndexError) as error:
            raise StudyError(f"{path}: column {column} cannot be read ({error}): leave it out of the file.") from error
    try:
        return pd.DataFrame(converted)
    except ValueError as error:
        raise StudyError(f"{path}: a column is longer than another ({error}): leave the odd one out.") from error


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
    if "POSIXct" in classes:
        zone = _strings(_attributes(vector)["tzone"])[0] if "tzone" in _attributes(vector) else ""
        if not zone:
            # A midnight there is the day before, or none, here.
            raise ValueError("R class POSIXct without a time zone, which may change the day: use as.Date")
        times = pd.to_datetime(np.where(missing, np.nan, values), unit="s", utc=True)
        return times.tz_convert(zone).tz_localize(None).as_unit("ns")
    if classes:
        # A class can change what the numbers mean: times, differences, 64-bit integers stored as reals.
        raise ValueError(f"R class {', '.join(sorted(classes))}")
    if kind is RObjectType.REAL:
        # R's NA is a NaN with a mark that makes NumPy warn at every sum.
        return np.where(np.isnan(values), np.nan, values)
    whole = values.astype("int64")
    return pd.arrays.IntegerArray(whole, missing) if missing.any() else whole
