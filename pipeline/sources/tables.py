"""What all readers of tables share: how a file is to be read, what was read, and columns of one kind each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    ".dat": "text",
    ".data": "text",
    ".asc": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".dta": "stata",
    ".sav": "SPSS",
    ".zsav": "SPSS",
    ".por": "SPSS",
    ".sas7bdat": "SAS",
    ".xpt": "SAS",
    ".rds": "R",
    ".rda": "R",
    ".rdata": "R",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
"""What a file is, by the end of its name."""

SAMPLE_BYTES = 1 << 20
"""How much of a file is looked at at a time."""

MOST_CELLS = 2_000_000_000
"""Cells of the columns that are read of a parquet file: ten million loans of two hundred columns. Parquet writes a
constant column of any length in a few bytes."""

LONGEST_WHOLE = 1 << 53
"""Whole numbers beyond this have no number of their own among reals."""


class Form(NamedTuple):
    """How a file is to be read; None where its kind needs no such thing."""

    kind: str
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    names: int = 1
    """Lines of names above the loans: 0, 1 or 2."""
    idle: int = 0
    """Lines of a text file before those: empty ones, titles."""
    header: tuple[str, ...] = ()
    """Names that the reader gives a file without any."""

    @property
    def first(self) -> int:
        """Return the number of the line in which the first loan stands."""
        return self.idle + self.names + 1

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
    dropped: list[tuple[int, str]] = []  # noqa: RUF012  # nobody changes it
    """Rows that are no loans and were taken out: their places among all rows, and what they do."""

    numbers: Sequence[int] = ()
    """The lines of all rows, where a file's kind tells them."""

    def _every(self, first: int) -> Any:
        import numpy as np

        if self.numbers:
            return np.array(self.numbers)
        broken, rows = [line for line, _ in self.broken], len(self.frame) + len(self.dropped)
        every = np.arange(first, first + rows + len(broken))
        return every[~np.isin(every, broken)][:rows]

    def lines(self, first: int) -> Any:
        """Return the line of each row; where nothing tells it, the first row of all stands in line `first`."""
        import numpy as np

        return np.delete(self._every(first), [place for place, _ in self.dropped])

    def aside(self, first: int) -> list[str]:
        """Return sentences on lines that are not read as loans."""
        kinds: dict[str, list[int]] = {}
        every = self._every(first)
        for place, what in self.dropped:
            kinds.setdefault(f"that {what}, no loans", []).append(int(every[place]))
        for line, why in self.broken:
            kinds.setdefault(f"with {why}, set aside", []).append(line)
        return [
            f"Lines {what} ({len(lines):,}): {', '.join(map(str, lines[:8]))}{' ...' if len(lines) > 8 else ''}."
            for what, lines in kinds.items()
        ]


def opened(path: Path, read: Callable[[], Any]) -> Any:
    """Return what `read` returns; whatever else goes wrong is a StudyError that names the file."""
    try:
        return read()
    except (StudyError, MemoryError):
        raise
    except UnicodeError as error:
        raise other_encoding(path, getattr(error, "encoding", "") or "given") from error
    except Exception as error:  # the readers' own errors are many
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise StudyError(
            f"{path} cannot be read as {KINDS[path.suffix.lower()]} ({first[0].rstrip('.')}): it is damaged, or of "
            "another kind: save it again, or as CSV UTF-8."
        ) from error


def other_encoding(path: Path, encoding: str) -> StudyError:
    """Return what to say when a file is no text in an encoding."""
    return StudyError(f"{path} is no text in the encoding {encoding}: save it as CSV UTF-8, or correct the encoding.")


def given(header: Sequence[str], wide: int, where: str) -> list[str]:
    """Return the names that a reader gives a file's columns; a StudyError when they are too few or many."""
    if len(header) != wide:
        raise StudyError(
            f"{where} has {wide} columns, and {len(header)} names were given: give one for each, in order."
        )
    return distinct(header)


def _tidy(name: Any) -> str:
    return " ".join(str("" if name is None else name).split())


def distinct(names: Sequence[Any]) -> list[str]:
    """Return names made distinct; a column without one is called by its place."""
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


def string_kind() -> Any:
    """Return the kind of a column of text."""
    import pandas as pd

    return pd.StringDtype("pyarrow")


def plain_kinds(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each column one kind: whole numbers and numbers, dates, truth values, or text."""
    import pandas as pd

    return pd.DataFrame({name: _plain_kind(frame[name]) for name in frame}, index=frame.index)


def _plain_kind(column: pd.Series) -> pd.Series:
    import datetime

    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if column.dtype != object:
        return column
    present = column[column.notna()]
    kinds = {type(value) for value in present}
    if many := [kind.__name__ for kind in kinds if kind.__name__ in ("bytes", "ndarray", "dict", "list")]:
        raise ValueError(f"column {column.name} holds {many[0]}, where one number or text a cell is wanted")
    if kinds == {bool}:
        return column.astype("boolean")
    if kinds == {int} and all(abs(value) < 1 << 63 for value in present):
        # As a real number, a long number of a loan would lose its last digits.
        return column.astype("Int64") if len(present) < len(column) else column.astype("int64")
    long = any(isinstance(value, int) and abs(value) > LONGEST_WHOLE for value in present)
    if kinds and kinds <= {int, float, bool} and not long:
        return column.astype(float)
    if kinds and all(issubclass(kind, datetime.date) for kind in kinds):
        return pd.to_datetime(column, errors="coerce")
    if kinds and all(kind.__name__ == "Decimal" for kind in kinds):
        return column.astype(float)
    # A number that stands among text keeps no ".0".
    return column.map(
        lambda value: str(int(value)) if isinstance(value, float) and value.is_integer() else value, na_action="ignore"
    ).astype("string")


def with_nearest(name: str, known: list[str]) -> str:
    """Return a name that is not there with the nearest ones that are, for a message."""
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=3)
    return f"'{name}' (nearest: {', '.join(nearest)})" if nearest else f"'{name}'"
