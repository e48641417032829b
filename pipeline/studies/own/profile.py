"""What a table's columns hold: the first look at a file that nobody described."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.sources import cells, dates, states
from pipeline.sources.states import State

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 200_000
"""How many rows, from the start of the file, tell what a column holds; the preparation reads and checks them all."""

SAMPLE_CELLS = 40_000_000
"""Cells of a text that are gone through for it: of very many columns fewer rows, as all are cut to find some."""

FEW_ROWS = 1_000
"""How many rows tell what a column holds whose name is no role's, in a file of more than `MANY_COLUMNS`."""

MANY_COLUMNS = 200

MOST = 0.95
"""Share of the cells that must be of one kind for a column to count as it: people's tables have stray cells."""

FEW_LEVELS = 12
"""Up to how many distinct values are listed."""

MOST_STATES = 25
"""Up to how many distinct values a column may hold the states of loans."""

MOST_TERMS = 200
"""Up to how many distinct values are looked at as terms, such as 1 year 6 months."""

SHOWN = 3
"""Cells of a column that are shown."""


class Column(NamedTuple):
    """What one column holds, as far as the rows that were looked at tell."""

    name: str
    kind: str
    """empty, flag (words for yes and no), scale (answers in words), number, date, key (all distinct words) or
    category."""
    missing: float
    """Share of empty cells."""
    distinct: int
    unique: bool
    """Whether every row has a value of its own."""
    smallest: str = ""
    largest: str = ""
    middle: float = 0
    """The median of numbers."""
    levels: list[str] = []  # noqa: RUF012  # nobody changes it
    """The values with their numbers of rows, most frequent first, where they are few."""
    samples: list[str] = []  # noqa: RUF012
    """The first distinct cells."""
    percent: float = 0
    """Share of the numbers that bear a percent sign."""
    as_dates: float = 0
    """Share of the cells that can be read as dates."""
    marks: Mapping[str, int] = {}
    states: list[State] = []  # noqa: RUF012
    """What its values would say of a loan, where they are few."""
    label: str = ""
    """What the file calls the column beside its name."""


def look(column: pd.Series, decimal: str = ".", label: str = "", copies: int = 0) -> Column:
    """Profile a column of a table of which some rows are copies of others."""
    rows = len(column) - copies
    present = cells.levels(column)
    count = int(present.notna().sum())
    distinct = int(present.nunique())
    common = {
        "name": str(column.name),
        "missing": 1 - count / max(len(column), 1),
        "distinct": distinct,
        "unique": 0 < distinct == rows and count == len(column),
        "samples": [str(value) for value in present.dropna().unique()[:SHOWN]],
        "label": label,
    }
    if count == 0:
        return Column(kind="empty", **common)
    # Ties in the count are broken by the value, so that the profile is the same on every machine.
    counted = (
        sorted(present.value_counts().items(), key=lambda one: (-one[1], one[0])) if distinct <= MOST_STATES else []
    )
    as_numbers = cells.numbers(column, decimal)
    # Dates cost more to read than numbers; a thousand cells tell.
    few = present.dropna().iloc[:: max(count // 1000, 1)]
    read_as_dates = dates.read(few)
    as_dates = float((~read_as_dates.wrong).mean())
    stated = max(count - int(present.str.lower().isin(cells.UNSTATED).sum()), 1)
    numeric = float(as_numbers.meaning.notna().sum() / stated)
    if numeric < MOST and distinct <= MOST_TERMS:
        numeric = max(numeric, float(cells.months(present, decimal).meaning.notna().sum() / stated))
    kind = _kind(column, present, numeric, few, as_dates)
    smallest, largest, middle = "", "", 0.0
    both = {order: read_as_dates.marks[order] for order in ("day_first", "month_first") if order in read_as_dates.marks}
    marks = dict(as_numbers.marks) | (both if len(both) == 2 else {})
    if kind == "number":
        smallest, largest = (f"{value:g}" for value in (as_numbers.meaning.min(), as_numbers.meaning.max()))
        middle = float(as_numbers.meaning.median())
    elif kind == "date":
        read = dates.read(column)
        marks = dict(read.marks)
        common["missing"] = float((read.meaning.isna() & ~read.wrong).mean())
        smallest, largest = (str(value.date()) for value in (read.meaning.min(), read.meaning.max()))
    listed = [f"{level} ({number})" for level, number in counted] if distinct <= FEW_LEVELS else []
    return Column(
        kind=kind,
        smallest=smallest,
        largest=largest,
        middle=middle,
        levels=[] if kind in ("date", "key") else listed,
        percent=as_numbers.marks.get("percent", 0) / count,
        as_dates=as_dates,
        marks=marks,
        states=states.sorted_out(dict(counted), {}),
        **common,
    )


def glance(column: pd.Series, label: str = "") -> Column:
    """Profile a column whose name is no role's: what it holds, quickly."""
    import pandas as pd

    present = column.dropna()
    if pd.api.types.is_string_dtype(present):
        present = present[present.str.strip() != ""]
    distinct = int(present.nunique())
    bare = cells.bare_numbers(present) if len(present) else None
    values = bare[1] if bare else present
    if not len(present):
        kind = "empty"
    elif pd.api.types.is_datetime64_any_dtype(values):
        kind = "date"
    elif pd.api.types.is_numeric_dtype(values):
        kind = "flag" if distinct == 2 and set(values.unique()) == {0, 1} else "number"
    else:
        kind = "key" if distinct == len(present) > 20 else "category"
    counted = present.astype(str).value_counts().items() if 0 < distinct <= FEW_LEVELS else ()
    return Column(
        name=str(column.name),
        kind=kind,
        missing=1 - len(present) / max(len(column), 1),
        distinct=distinct,
        unique=distinct == len(column),
        smallest=f"{values.min():g}" if kind == "number" else "",
        largest=f"{values.max():g}" if kind == "number" else "",
        levels=[f"{level} ({number})" for level, number in sorted(counted, key=lambda one: (-one[1], one[0]))],
        samples=[str(value) for value in present.unique()[:SHOWN]],
        label=label,
    )


def _kind(column: pd.Series, present: pd.Series, numeric: float, few: pd.Series, as_dates: float) -> str:
    import pandas as pd

    words = set(present.dropna().str.lower().unique()) if present.nunique() <= FEW_LEVELS else set()
    if words & cells.YES and words & cells.NO and words <= cells.YES | cells.NO:
        return "flag"
    if cells.scale_of(words):
        return "scale"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    if as_dates >= MOST and (numeric < MOST or _looks_like_dates(few)):
        return "date"
    if numeric >= MOST:
        return "number"
    if present.nunique() == present.notna().sum() > 20:
        return "key"
    return "category"


def _looks_like_dates(texts: pd.Series) -> bool:
    """Say whether plain numbers are more likely dates: a year and a month, and perhaps a day, without a mark."""
    return bool(texts.str.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-3]\d)?").mean() >= MOST)


def profile(
    frame: pd.DataFrame, decimals: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
) -> dict[str, Column]:
    """Profile every column of a table; `decimals` are decimal marks other than a point by column."""
    frame = frame[~_blank(frame)]
    copies = int(frame.duplicated().sum())
    found = {}
    for place, name in enumerate(map(str, frame), start=1):
        found[name] = look(frame[name], (decimals or {}).get(name, "."), (labels or {}).get(name, ""), copies)
        if place % 50 == 0 or place == len(frame.columns) > 50:
            progress(f"looked at {place:,} of {len(frame.columns):,} columns")
    return found


def _blank(frame: pd.DataFrame) -> np.ndarray:
    """Say which rows are empty in every column: such stand below loans as spreadsheets export them."""
    blank = np.full(len(frame), fill_value=True)
    for name in frame:
        if not blank.any():
            break
        blank &= (frame[name].isna() | frame[name].astype("string").eq("")).fillna(True).to_numpy(dtype=bool)
    return blank


def progress(said: str) -> None:
    """Show at a terminal how far the first look has come."""
    if sys.stderr.isatty():
        print(said, file=sys.stderr)


class Decimals(NamedTuple):
    """How the columns of a table write the decimal mark."""

    commas: list[str]
    """Columns in which it is a comma."""
    undecided: dict[str, str]
    """A cell of columns in which a mark may be that of decimals or of thousands."""
    mixed: dict[str, tuple[str, str]]
    """Two cells of columns that have both marks."""


def decimals_of(frame: pd.DataFrame, separator: str | None = None) -> Decimals:
    """Tell the decimal marks of a table's columns of text from their first thousand rows.

    What a column's own cells leave open, all others tell where they have the comma; a lone comma with three digits
    parts thousands unless other columns, or semicolons between cells, say that commas may be decimal marks.
    """
    found = {}
    for name in frame.select_dtypes("string"):
        texts = [str(cell) for cell in frame[name].head(1000).dropna() if str(cell).strip()]
        numbers = sum(bool(cells.NUMERAL.fullmatch(text)) for text in texts)
        if texts and numbers >= MOST * len(texts):
            found[str(name)] = cells.decimal_marks(texts)
    commas = [name for name, marks in found.items() if marks.comma and not marks.point]
    points = [name for name, marks in found.items() if marks.point]
    undecided = {}
    for name, marks in found.items():
        if not marks.comma and not marks.point and marks.undecided:
            if commas and not points:
                commas.append(name)
            elif "." in marks.undecided or (separator == ";" and not points):
                undecided[name] = marks.undecided
    mixed = {name: (marks.comma, marks.point) for name, marks in found.items() if marks.comma and marks.point}
    return Decimals(commas, undecided, mixed)
