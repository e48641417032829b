"""Where raw tables are joined: DuckDB on this machine or Spark on many, from the same Ibis expressions.

Studies say in Ibis what is computed; this module opens the engine, gives it the tables and takes the rows out of it, as
Arrow and in the types of the expression's schema. What an engine would read in its own way, text that stands for a
number or a date, is defined here, so that no cell depends on the engine.
"""

from __future__ import annotations

import os
import socket
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import ibis
import ibis.expr.types as ir
import pyarrow

from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

PATIENCE = 5.0
"""Seconds in which a cluster must answer."""

MOMENT = pyarrow.timestamp("us")
"""How exactly times are kept."""

MEGABYTES = {"MB": 1, "GB": 1000, "TB": 1000**2}


class Engine(NamedTuple):
    """The engine that params.yaml chooses; params.yaml says what each choice does."""

    name: Literal["duckdb", "spark"] = "duckdb"
    address: str | None = None
    memory: str = "2GB"

    def connect(self, **settings: Any) -> Any:
        """Open the engine as an Ibis backend; DuckDB takes `settings` of its own, such as ``threads``."""
        return _spark(self.address, self.memory) if self.name == "spark" else _duckdb(self.memory, settings)

    def read(self, folder: Path, names: Iterable[str]) -> dict[str, ir.Table]:
        """Return the parquet files ``<name>.parquet`` of a folder as tables, read where and when they are needed."""
        backend = self.connect()
        paths = {name: (Path(folder) / f"{name}.parquet").resolve() for name in names}
        with _clearly():
            return {name: backend.read_parquet(path, table_name=name) for name, path in paths.items()}


def _duckdb(memory: str, settings: dict[str, Any]) -> Any:
    """Open a database in memory that spills what exceeds its limit to a folder that goes with it."""
    spilled = tempfile.TemporaryDirectory(prefix="pipeline-engine-")
    with _clearly():
        backend = ibis.duckdb.connect(memory_limit=memory, temp_directory=spilled.name, **settings)
    weakref.finalize(backend, spilled.cleanup)
    return backend


def _spark(address: str | None, memory: str) -> Any:
    """Open a Spark session on the cluster at the address, or on this machine without one."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise StudyError("engine: spark needs more packages: `make .venv/spark` installs them.") from error
    settings: dict[str, bool | float | int | str | None] = {
        # What Spark would take from the machine, or from a file on it.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        # The session on this machine collects what comes out.
        "spark.driver.memory": f"{megabytes(memory)}m",
        "spark.driver.maxResultSize": "0",
        "spark.sql.warehouse.dir": Path(tempfile.gettempdir(), "pipeline-engine").as_uri(),
    }
    if address is not None:
        _answers(address)
    else:
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            # Hundreds of parts are for hundreds of machines.
            "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        }
    builder = SparkSession.builder.appName("pipeline").master(address or "local[*]")
    with _clearly():
        return ibis.pyspark.connect(builder.config(map=settings).getOrCreate())


def _answers(address: str) -> None:
    """Raise a StudyError when nothing listens at the address: Spark itself would try for minutes."""
    where = urlsplit(address)
    try:
        socket.create_connection((where.hostname, where.port), timeout=PATIENCE).close()
    except OSError as error:
        raise StudyError(f"engine_address: nothing answers at {address} ({error}).") from error


def megabytes(size: str) -> int:
    """Return a size such as 8GB in millions of bytes."""
    return round(float(size[:-2]) * MEGABYTES[size[-2:]])


@contextmanager
def _clearly() -> Iterator[None]:
    """Turn an engine's error that a person can put right into one sentence that says how."""
    try:
        yield
    except Exception as error:
        kind, said = type(error).__module__.split(".")[0], str(error).strip().split("\n")[0]
        if type(error).__name__ == "OutOfMemoryException":
            raise StudyError(f"engine_memory is too small for these tables: raise it ({said}).") from error
        if "JAVA_GATEWAY_EXITED" in said:
            raise StudyError("engine: spark needs Java 17 or newer on this machine.") from error
        if kind in ("pyspark", "py4j"):
            raise StudyError(f"Spark, which engine and engine_address choose, stopped: {said}") from error
        raise


def local(rows: pd.DataFrame | pyarrow.Table, beside: ir.Table, name: str = "local") -> ir.Table:
    """Give rows of this process to the engine of another table."""
    return put(beside.get_backend(), rows, name)


def put(backend: Any, rows: pd.DataFrame | pyarrow.Table, name: str) -> ir.Table:
    """Give rows of this process to an engine, under a name that begins with `name`; not-a-number is empty there."""
    if not isinstance(rows, pyarrow.Table):
        rows = pyarrow.Table.from_pandas(rows, preserve_index=False)
    name = ibis.util.gen_name(name)
    with _clearly():
        if backend.name == "pyspark":
            backend._session.createDataFrame(rows).createOrReplaceTempView(name)
            return backend.table(name)
        backend.con.register(name, rows)
        return backend.table(name)


def store(table: ir.Table, name: str) -> ir.Table:
    """Compute an expression once and return it as a table that lives as long as the engine.

    Not ``Table.cache``: it drops its tables by itself, which the installed pair of Ibis and sqlglot cannot.
    """
    backend, name = table.get_backend(), ibis.util.gen_name(name)
    with _clearly():
        if backend.name == "pyspark":
            backend.raw_sql(backend.compile(table)).cache().createOrReplaceTempView(name)
            return backend.table(name)
        return backend.create_table(name, table, temp=True)


def store_parts(parts: Iterable[ir.Table], name: str) -> ir.Table:
    """Compute expressions of the same columns one after the other, and return their rows as one stored table.

    DuckDB holds what one part needs at a time, besides the rows; Spark sees to that by itself. Without a part there are
    no columns: ValueError.
    """
    parts = iter(parts)
    try:
        stored = store(next(parts), name)
    except StopIteration:
        raise ValueError("there is no part to store") from None
    backend = stored.get_backend()
    if backend.name == "pyspark":
        return ibis.union(stored, *(store(part, name) for part in parts))
    for part in parts:
        with _clearly():
            place = stored.op().namespace
            backend.insert(stored.op().name, part, database=(place.catalog, place.database))
    return stored


def frame(table: ir.Table) -> pd.DataFrame:
    """Compute an expression: its rows in the order that it asks for, its columns in the types of its schema.

    Whole numbers with gaps become floats, dates and times datetime64.
    """
    backend = table.get_backend()
    with _clearly():
        rows = backend.raw_sql(backend.compile(table)).toArrow() if backend.name == "pyspark" else table.to_pyarrow()
    # An engine's own precision of times shows in the schema of what it read.
    types = {
        field.name: MOMENT if pyarrow.types.is_timestamp(field.type) else field.type
        for field in table.schema().to_pyarrow()
    }
    return rows.cast(pyarrow.schema(types)).to_pandas(date_as_object=False, self_destruct=True)


def value(scalar: ir.Scalar) -> Any:
    """Compute one value."""
    return frame(scalar.as_table()).iloc[0, 0]


NUMBER = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def number(text: ir.StringValue) -> ir.FloatingValue:
    """Return the number that a text stands for, such as 12.5 or 1e3; empty where it stands for none."""
    return text.re_search(NUMBER).ifelse(text, ibis.null("string")).try_cast("float64")


def date(text: ir.StringValue) -> ir.DateValue:
    """Return the date that a text such as 2004-11-30 stands for; empty where no calendar has it."""
    return text.re_search(DATE).ifelse(text, ibis.null("string")).try_cast("date")
