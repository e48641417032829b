"""Files at the edges: every write is atomic and gives the same bytes on every machine."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime import journal
from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd


UNFINISHED = ".part"
"""How the name of a file ends that is still being written."""


@contextmanager
def atomic(path: Path, rows: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name when the block ends without an error.

    A run that is interrupted leaves the old file or none, never half of one. What a killed run left unfinished is
    removed by the next that writes the same file. `rows` goes into the journal.
    """
    path = Path(path)
    temporary: Path | None = None
    handle: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(path)
        handle, temporary = _new_unfinished(path)
        yield temporary
        temporary.chmod(0o644)
        if os.name == "nt":  # where no open file is renamed
            os.close(handle)
            handle = None
        temporary.replace(path)
    except OSError as error:
        raise StudyError(
            f"{path} cannot be written ({error.strerror or error}): make room or change its rights."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)
    journal.note("written", path, _rows(path) if rows is None else rows)


def _rows(path: Path) -> int | None:
    """Return the rows of a parquet file, without reading them; None for any other file."""
    if path.suffix != ".parquet":
        return None
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(path).num_rows


def scanned(path: Path) -> None:
    """Put into the journal that a query engine reads a parquet file."""
    journal.note("read", path, _rows(path))


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed or its process dies; False if another process holds it."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # neither Windows nor some network file systems know such locks
        pass
    return True


def _new_unfinished(path: Path) -> tuple[int, Path]:
    """Make the temporary file of `path` and lock it, so that no other process takes it for a dead one's."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
        if _lock(handle) and os.fstat(handle).st_nlink:
            return handle, Path(name)
        # Another process found it before it was locked, and removes it.
        os.close(handle)


def _remove_unfinished(path: Path) -> None:
    """Remove what killed processes left of `path`; what a living one writes is locked, and stays."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{UNFINISHED}"):
        with suppress(FileNotFoundError), left.open("rb") as file:
            if _lock(file.fileno()):
                left.unlink()


def write_bytes(path: Path, content: bytes, rows: int | None = None) -> None:
    """Write `content` to `path` atomically."""
    with atomic(path, rows) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str, rows: int | None = None) -> None:
    """Write UTF-8 with LF line ends and exactly one newline at the end."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    write_bytes(path, (lines.rstrip("\n") + "\n").encode(), rows)


def write_json(path: Path, content: Any) -> None:
    """Write sorted, indented JSON; characters of any language stay readable."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame without its index; numbers as Python prints them, so nothing is rounded here."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"), len(frame))


FORMAT: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
"""How parquet is written: with a checksum for every page, so that not one byte changes unseen."""


def no_formula(column: pd.Series) -> pd.Series:
    """Return a column whose text no spreadsheet program takes for a formula: an apostrophe stands before such cells.

    OWASP, "CSV Injection": cells that begin with =, +, -, @, a tab or a line end. Numbers stay numbers, in text too.
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = no_formula(pd.Series(column.cat.categories))
        return column.cat.rename_categories(levels.tolist())
    if not pd.api.types.is_string_dtype(column) and column.dtype != object:
        return column
    text = column.astype("string")
    starts = text.str.contains(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]", regex=True)
    number = text.str.fullmatch(r"[+\-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+\-]?\d+)?")
    formula = (starts & ~number).fillna(False).astype(bool)
    return column.mask(formula, "'" + text) if formula.any() else column


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame without its index as zstd parquet, each page with its checksum."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    with atomic(path, len(frame)) as temporary:
        pyarrow.parquet.write_table(table, temporary, **FORMAT)


ROW_GROUP = 1024 * 1024
"""Rows of a parquet row group, which is what `write_parquet` has as well."""


def write_parquet_parts(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    """Write frames of the same columns and types under each other, as `write_parquet` would write them joined.

    Memory holds one part and one row group; the bytes do not depend on where one part ends and the next begins.
    """
    import pyarrow
    import pyarrow.parquet

    with atomic(path) as temporary:
        waiting, writer = None, None
        for part in parts:
            table = pyarrow.Table.from_pandas(part, waiting.schema if waiting else None, preserve_index=False)
            writer = writer or pyarrow.parquet.ParquetWriter(temporary, table.schema, **FORMAT)
            waiting = table if waiting is None else pyarrow.concat_tables([waiting, table])
            while len(waiting) > ROW_GROUP:
                writer.write_table(waiting.slice(0, ROW_GROUP).combine_chunks(), row_group_size=ROW_GROUP)
                waiting = waiting.slice(ROW_GROUP)
        if writer is None or waiting is None:
            raise ValueError("there is no part, so there are no columns")
        writer.write_table(waiting.combine_chunks(), row_group_size=ROW_GROUP)
        writer.close()


def read_parquet(path: Path, columns: list[str] | None = None, filters: list[Any] | None = None) -> pd.DataFrame:
    """Read a parquet file that an earlier stage wrote; StudyError where it is not there, or no longer whole.

    `filters` are conditions on rows, as pandas takes them.
    """
    import pandas as pd
    import pyarrow as pa

    if Path(path).is_dir():
        raise StudyError(f"{path} is a folder: remove it and run make reproduce STUDY=... again.")
    if not Path(path).is_file():
        raise StudyError(f"{path} does not exist: run the earlier stages first (make reproduce STUDY=...).")
    try:
        frame = pd.read_parquet(path, columns=columns, filters=filters, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        what = type(error).__name__
        raise StudyError(
            f"{path} is damaged ({what}): remove it and run make reproduce STUDY=... again, or make doctor."
        ) from error
    journal.note("read", path, len(frame))
    return frame
