"""The one results table: every analysis writes these rows, and every page reads nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime import store
from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

KEY = ("study", "stage", "estimator", "specification", "factor", "outcome", "estimand")
"""Columns that together name a row."""

NUMBERS = ("estimate", "std_error", "ci_low", "ci_high", "p_value", "p_adjusted")
COUNTS = ("n", "n_treated", "n_clusters")
COLUMNS = (*KEY, *NUMBERS, *COUNTS, "unit", "note")

DIGITS = 8
"""Significant digits that are written: far more than any reading needs, few enough that the last bits, in which
processors differ, do not show."""

SMALLEST = 1e-12
"""What is closer to zero than this is rounding noise, and is written as zero."""

SMALLEST_P_VALUE = 1e-15
"""A p-value below this is written as zero: so far out in the tail its digits are those of the last bits, magnified."""


def rounded(value: float) -> float:
    """Round to the significant digits that are written."""
    return float(f"{value:.{DIGITS - 1}e}")


def cleared(value: float) -> float:
    """Round, and clear rounding noise around zero (and minus zero)."""
    return 0.0 if abs(value) < SMALLEST else rounded(value)


def tail(value: float) -> float:
    """Round a p-value, and write what is beyond the arithmetic's reach as zero."""
    return 0.0 if value < SMALLEST_P_VALUE else rounded(value)


def assumption(name: str, value: float, threshold: float, *, passed: bool, **more: Any) -> dict[str, Any]:
    """Return the row of an assumption that a stage has checked: its statistic's value beside the threshold.

    `name` is what the words call it (``assumptions.<name>``); `more` are further columns, such as ``factor``,
    ``estimand`` (which statistic it is) and ``p_value``. The report lists those that do not hold.
    """
    verdict = "passed" if passed else "failed"
    return {
        "estimator": "assumption",
        "specification": name,
        "estimate": value,
        "note": f"{verdict}; threshold {threshold:g}",
    } | more


def in_points(effect: Any) -> dict[str, Any]:
    """Return the columns of an effect on a share, a named tuple of them, in percentage points; p-values stay."""
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect._asdict().items()}
    return scaled | {"unit": "percentage points"}


def drawn_by_lot(kept: int, of: int, **more: Any) -> list[dict[str, Any]]:
    """Return the row that says an analysis took `kept` loans `of` all, drawn by lot; none where it took all.

    It is a failed assumption, that every loan takes part, so the report says it with the others. `more` are further
    columns; ``factor`` is the part of the analysis that it is about.
    """
    if kept >= of:
        return []
    said = more | {"n": kept, "unit": "share", "note": f"failed; {kept:,} of {of:,} loans, drawn by lot"}
    return [assumption("every_loan", kept / of, 1.0, passed=False, **said)]


def table(study: str, stage: str, rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Bring an analysis's rows into the one form: all columns, rounded, sorted by key.

    Each row is a mapping with at least ``estimator``; a column that a row does not use may be left out. Two rows
    with one key, or a name that is no column, raise ValueError: they are mistakes in the program.
    """
    import pandas as pd

    rows = [{"study": study, "stage": stage, **row} for row in rows]
    unknown = sorted({name for row in rows for name in row} - set(COLUMNS))
    if unknown:
        raise ValueError(f"not columns of the results table: {unknown}")
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in (*KEY, "unit", "note"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype(str)
    for name in NUMBERS:
        tidy = tail if name.startswith("p_") else cleared
        frame[name] = [None if pd.isna(value) else tidy(float(value)) for value in frame[name]]
        frame[name] = frame[name].astype("Float64")
    for name in COUNTS:
        frame[name] = frame[name].astype("Int64")
    frame = frame.sort_values(list(KEY), kind="stable", ignore_index=True)
    twice = frame.duplicated(list(KEY))
    if twice.any():
        raise ValueError(f"two rows with the key {frame.loc[twice, list(KEY)].iloc[0].to_dict()}")
    return frame


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write a results table as CSV."""
    store.write_csv(path, frame)


def read(*paths: Path) -> Results:
    """Read the results tables of one or more stages; StudyError where one is not there, or no longer whole."""
    import pandas as pd

    frames = []
    # Pages look at single texts, which Python's own objects give many times sooner than Arrow's.
    text = pd.StringDtype("python", na_value=float("nan"))
    kinds = dict.fromkeys((*KEY, "unit", "note"), text) | dict.fromkeys(NUMBERS, float) | dict.fromkeys(COUNTS, "Int64")
    for path in paths:
        if not Path(path).is_file():
            raise StudyError(f"{path} does not exist: run the stage that writes it (make reproduce STUDY=...).")
        try:
            frame = pd.read_csv(
                io.StringIO(Path(path).read_text(encoding="utf-8")),
                dtype=kinds,
                keep_default_na=False,
                na_values={c: [""] for c in (*NUMBERS, *COUNTS)},
            )
            whole = list(frame) == list(COLUMNS) and frame["stage"].nunique() <= 1
        except ValueError:
            whole = False
        if not whole:
            raise StudyError(
                f"{path} is no table of results: remove it and run the stage that writes it (make reproduce STUDY=...)."
            )
        frames.append(frame)
    if not frames:
        raise StudyError("there are no results to read: run the earlier stages first (make reproduce STUDY=...).")
    return Results(pd.concat(frames, ignore_index=True))


class Results:
    """Rows of the results table, looked up by the columns that name them."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Hold a frame with the columns of the results table."""
        self.frame = frame
        self._rows_of: dict[str, Mapping[str, Any]] = {}
        self._found: dict[tuple[Any, ...], Any] = {}
        self._tables: dict[tuple[Any, ...], pd.DataFrame] = {}

    def where(self, **columns: str | list[str]) -> pd.DataFrame:
        """Return the rows whose columns equal the given values (or are among them, for a list)."""
        asked = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in columns.items())
        if asked not in self._tables:
            self._tables[asked] = self.frame.iloc[self._places(asked)].reset_index(drop=True)
        return self._tables[asked].copy(deep=False)

    def _places(self, asked: tuple[tuple[str, Any], ...]) -> Any:
        """Return where the rows stand, in their order.

        A page asks hundreds of times, in each language and form the same: the rows of each value are looked up, and
        what was found is kept.
        """
        import numpy as np

        if asked not in self._found:
            rows = np.arange(len(self.frame))
            for name, value in asked:
                if name not in self._rows_of:
                    self._rows_of[name] = self.frame.groupby(name, sort=False).indices
                wanted = dict.fromkeys(value if isinstance(value, tuple) else [value])
                held = [self._rows_of[name][one] for one in wanted if one in self._rows_of[name]]
                rows = np.intersect1d(rows, np.concatenate([rows[:0], *held]), assume_unique=True)
            self._found[asked] = rows
        return self._found[asked]

    @cached_property
    def _rows(self) -> list[Any]:
        """All rows, made at once: pandas takes milliseconds for the first of a table, however short."""
        return list(self.frame.itertuples(index=False))

    def one(self, **columns: str) -> Any:
        """Return the single row that fits, with its columns as attributes.

        No row, or several, is a StudyError: a page that asks for a number that is not there must not be written.
        """
        places = self._places(tuple(columns.items()))
        if len(places) != 1:
            raise StudyError(f"the results hold {len(places)} rows, not one, for {columns}.")
        return self._rows[places[0]]

    def first(self, **columns: str) -> Any:
        """Return the first row that fits and has an estimate, with its columns as attributes, or None."""
        rows = (self._rows[place] for place in self._places(tuple(columns.items())))
        # NaN alone differs from itself.
        return next((row for row in rows if row.estimate == row.estimate), None)


def figures(value: float) -> str:
    """Return a number as text with six significant digits, or as many as show its first decimal.

    A threshold between two dates as yyyymmdd would lose its day, and its meaning, at six.
    """
    whole = len(f"{abs(value):.0f}")
    return f"{value:.{max(6, whole + 1)}g}"
