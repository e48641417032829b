"""What a table's columns hold: the first look at a file that nobody described."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.sources import cells

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 200_000
"""How many rows, from the start of the file, tell what a column holds; the preparation reads and checks them all."""

MOST = 0.95
"""Share of the cells that must be of one kind for a column to count as it: people's tables have stray cells."""

FEW_LEVELS = 12
"""Up to how many distinct values are listed."""


class States(NamedTuple):
    """The values of a column that could say whether a loan defaulted."""

    default: list[str]
    repaid: list[str]
    others: list[str]
    """Values of which it is not known: loans still running, or words that mean nothing here."""


class Column(NamedTuple):
    """What one column holds, as far as the rows that were looked at tell."""

    name: str
    kind: str
    """empty, flag (two values that mean yes and no), scale (answers in words), number, date, key (all distinct) or
    category."""
    missing: float
    """Share of empty cells."""
    distinct: int
    smallest: str
    largest: str
    levels: list[str]
    """The values with their numbers of rows, most frequent first, where they are few."""
    percent: float
    """Share of the numbers that bear a percent sign."""
    as_dates: float
    """Share of the cells that can be read as dates."""
    marks: dict[str, int]
    states: States | None
    """How the values sort into defaulted and repaid; None where the column cannot be an outcome."""


def look(column: pd.Series, decimal: str = ".") -> Column:
    """Profile a column."""
    import pandas as pd

    present = cells.plain(column)
    count = int(present.notna().sum())
    distinct = int(present.nunique())
    common = {"name": str(column.name), "missing": 1 - count / max(len(column), 1), "distinct": distinct}
    levels = []
    if distinct <= FEW_LEVELS:
        # Ties in the count are broken by the value, so that the profile is the same on every machine.
        counted = sorted(present.value_counts().items(), key=lambda one: (-one[1], one[0]))
        levels = [f"{level} ({number})" for level, number in counted]
    if count == 0:
        return Column(
            kind="empty", smallest="", largest="", levels=[], percent=0, as_dates=0, marks={}, states=None, **common
        )

    as_numbers = cells.numbers(column, decimal)
    numeric = as_numbers.meaning.notna().sum() / count
    stamped = pd.api.types.is_datetime64_any_dtype(column)
    # Dates cost more to read than numbers; a thousand cells tell.
    few = present.dropna().iloc[:: max(count // 1000, 1)]
    as_dates = 1.0 if stamped else float(cells.dates(few).meaning.notna().mean())
    flag = cells.flags(column)
    states = _states([str(level) for level in present.dropna().unique()]) if distinct <= 25 else None

    if distinct == 2 and flag.meaning.notna().sum() >= count:
        kind = "flag"
    elif cells.scale_of(present.dropna().str.lower().unique() if distinct <= 5 else []):
        kind = "scale"
    elif stamped or (as_dates >= MOST and (numeric < MOST or _looks_like_dates(few))):
        kind = "date"
    elif numeric >= MOST:
        kind = "number"
    elif distinct == count and count > 20:
        kind = "key"
    else:
        kind = "category"
    smallest = largest = ""
    marks = dict(as_numbers.marks)
    if kind == "number":
        smallest, largest = (f"{value:g}" for value in (as_numbers.meaning.min(), as_numbers.meaning.max()))
    elif kind == "date":
        read = cells.dates(column)
        marks = dict(read.marks)
        smallest, largest = (str(value.date()) for value in (read.meaning.min(), read.meaning.max()))
    return Column(
        kind=kind,
        smallest=smallest,
        largest=largest,
        levels=[] if kind in ("date", "key") else levels,
        percent=as_numbers.marks.get("percent", 0) / count,
        as_dates=as_dates,
        marks=marks,
        states=states,
        **common,
    )


def _looks_like_dates(texts: pd.Series) -> bool:
    """Say whether plain numbers are more likely dates: a year and a month, and perhaps a day, without a mark."""
    return bool(texts.str.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-3]\d)?").mean() >= MOST)


def _states(values: list[str]) -> States | None:
    sorted_into: dict[str, list[str]] = {"default": [], "repaid": [], "others": []}
    for value in sorted(values):
        word = value.lower()
        if word in cells.DEFAULTED or word in cells.YES:
            sorted_into["default"].append(value)
        elif word in cells.REPAID or word in cells.NO:
            sorted_into["repaid"].append(value)
        else:
            sorted_into["others"].append(value)
    found = States(**sorted_into)
    return found if found.default and found.repaid else None


def profile(frame: pd.DataFrame, decimal: str = ".") -> dict[str, Column]:
    """Profile every column of a table."""
    return {str(name): look(frame[name], decimal) for name in frame}


def decimal_of(frame: pd.DataFrame) -> str:
    """Tell the decimal mark of a table of text from its first thousand rows."""
    texts = [str(cell) for name in frame.select_dtypes("string") for cell in frame[name].head(1000).dropna()]
    return cells.decimal_mark(texts)
