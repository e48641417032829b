"""Columns of the raw tables while they are built: plain arrays, masked arrays and coded text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Coded:
    """Text held as codes into `labels`, so that millions of rows cost one byte each."""

    codes: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def __getitem__(self, rows: np.ndarray) -> Coded:
        """Return the text at `rows`."""
        return Coded(self.codes[rows], self.labels)


Column = np.ndarray | Coded
Table = dict[str, Column]


def take(table: Table, rows: np.ndarray) -> Table:
    """Return the rows of a table."""
    return {name: column[rows] for name, column in table.items()}


def rows_of(table: Table) -> int:
    """Return the number of rows."""
    return len(next(iter(table.values())))


def text(values: np.ndarray) -> np.ndarray:
    """Return numbers or dates as text, in an array that may also hold other text or None."""
    return values.astype(str).astype(object)


def optional(values: np.ndarray, known: np.ndarray) -> np.ma.MaskedArray:
    """Return `values` with nulls where they are not `known`."""
    return np.ma.MaskedArray(values, mask=~known)


def arrow(table: Table, schema: pa.Schema) -> pa.Table:
    """Return the table in the columns, order and types of `schema`."""

    def convert(column: Column, kind: pa.DataType) -> pa.Array:
        if isinstance(column, Coded):
            return pa.array(column.labels, pa.string()).take(pa.array(column.codes))
        if isinstance(column, np.ma.MaskedArray):
            plain, mask = column.data, np.ma.getmaskarray(column)
        else:
            plain, mask = column, None
        if np.issubdtype(plain.dtype, np.datetime64):
            plain = plain.astype("datetime64[ms]")
        return pa.array(plain, kind, mask=mask)

    return pa.table([convert(table[field.name], field.type) for field in schema], schema=schema)
