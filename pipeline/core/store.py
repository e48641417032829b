"""Files at the edges: every write is atomic and gives the same bytes on every machine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name when the block ends without an error.

    A run that is interrupted leaves the old file or none, never half of one.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StudyError(
            f"{path} cannot be written ({error.strerror or error}): make room or change its rights."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with LF line ends and exactly one newline at the end."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    write_bytes(path, (lines.rstrip("\n") + "\n").encode())


def write_json(path: Path, content: Any) -> None:
    """Write sorted, indented JSON; characters of any language stay readable."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame without its index; numbers as Python prints them, so nothing is rounded here."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


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
    """Write a frame without its index as zstd parquet."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    with atomic(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a parquet file that an earlier stage wrote."""
    import pandas as pd

    if not Path(path).exists():
        raise StudyError(f"{path} does not exist: run the earlier stages first (make reproduce STUDY=...).")
    return pd.read_parquet(path, columns=columns)
