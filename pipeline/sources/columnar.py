"""Files that keep columns with their kinds: parquet, Arrow (feather) and Stata."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.runtime.errors import StudyError
from pipeline.sources.tables import MOST_CELLS, SAMPLE_BYTES, Form, Table, distinct, opened, plain_kinds, string_kind

NO_NAME = re.compile(r"__index_level_\d+__")
"""How pandas calls an index without a name that it writes beside the columns."""


def names_of(path: Path, form: Form) -> list[str]:
    """Return the names of the columns; an index that pandas wrote is a column when it has a name."""
    import pyarrow.ipc
    import pyarrow.parquet

    read = pyarrow.parquet.read_schema if form.kind == "parquet" else (lambda file: pyarrow.ipc.open_file(file).schema)
    schema = opened(path, lambda: read(path))
    return distinct([*_named(schema.names), *_ranges(schema)])


def _ranges(schema: Any) -> dict[str, range]:
    """Return the indexes of whole numbers in a row that pandas keeps beside the columns, by their names."""
    kept = (schema.pandas_metadata or {}).get("index_columns", [])
    return {
        one["name"]: range(one["start"], one["stop"], one["step"])
        for one in kept
        if isinstance(one, dict) and one.get("kind") == "range" and one.get("name")
    }


def _named(names: Sequence[str]) -> list[str]:
    return [name for name in names if not NO_NAME.fullmatch(name)]


def parquet(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a parquet file, or some of its columns, or its first rows."""
    import pyarrow
    import pyarrow.parquet

    def read() -> Any:
        # In pieces: the first rows of very many columns are few of their bytes.
        file = pyarrow.parquet.ParquetFile(path, buffer_size=SAMPLE_BYTES >> 4 if rows is not None else 0)
        names = _named(file.schema_arrow.names)
        ranges = _ranges(file.schema_arrow)
        there = [name for name in columns or () if name not in ranges]
        wanted = None if columns is None else [names[distinct(names).index(name)] for name in there]
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

    return Table(_frame(opened(path, read), columns), [])


def arrow(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a feather or Arrow file, or some of its columns, or its first rows."""
    import pyarrow.ipc

    table = opened(path, lambda: pyarrow.ipc.open_file(path).read_all())
    names = _named(table.schema.names)
    ranges = _ranges(table.schema)
    there = [name for name in columns or () if name not in ranges]
    wanted = names if columns is None else [names[distinct(names).index(name)] for name in there]
    table = table.select([table.schema.names.index(name) for name in wanted])
    return Table(_frame(table if rows is None else table.slice(0, rows), columns), [])


def _frame(table: Any, columns: Sequence[str] | None) -> Any:
    import pandas as pd
    import pyarrow

    kinds = {pyarrow.string(): string_kind(), pyarrow.large_string(): string_kind()}
    # A whole number in a column with gaps stays what it is: as a real, those beyond 2^53 lose digits.
    kinds |= {pyarrow.int64(): pd.Int64Dtype(), pyarrow.uint64(): pd.UInt64Dtype()}
    frame = table.to_pandas(types_mapper=kinds.get, ignore_metadata=True)
    frame = frame.loc[:, [not NO_NAME.fullmatch(str(name)) for name in frame]]
    ranges = _ranges(table.schema)
    frame.columns = distinct(frame.columns) if columns is None else [name for name in columns if name not in ranges]
    for name, numbers in ranges.items():
        if columns is None or name in columns:
            frame[name] = list(numbers[: len(frame)])
    if columns is not None:
        frame = frame[list(columns)]
    for name in frame.select_dtypes(["Int64", "UInt64"]):
        if not frame[name].isna().any():
            frame[name] = frame[name].astype(frame[name].dtype.numpy_dtype)
    return plain_kinds(frame)


def stata(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a Stata file with its labels of values, or some of its columns, or its first rows."""
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

    frame = opened(path, read)
    return Table(plain_kinds(frame), [])


def stata_labels(path: Path) -> dict[str, str]:
    """Return what a Stata file calls its columns beside their names."""
    import pandas as pd

    with pd.io.stata.StataReader(path) as reader:
        return {name: label.strip() for name, label in reader.variable_labels().items() if label.strip()}
