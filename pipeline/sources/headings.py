"""How many lines of names stand above the loans, and what the columns are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pipeline.sources.tables import distinct

LOOKED_AT = 50
"""Lines from which the lines of names are told."""
MOST = 0.8
"""Share of the columns of numbers in which a line must say the same."""


def _number(cell: Any) -> bool:
    """Say whether a cell begins as numbers and dates do."""
    return bool(re.match(r"\W*\d", str("" if cell is None else cell)))


def _word(cell: Any) -> bool:
    return bool(str("" if cell is None else cell).strip()) and not _number(cell)


def lines_of_names(rows: Sequence[Sequence[Any]]) -> int:
    """Return how many of a table's first rows hold names: none, one, or two.

    Columns whose cells are mostly numbers tell: a number at their head is no name, and a word in their second cell is
    one more name, or a unit. Where no column holds numbers, a first line whose cells come again below is no name.
    """
    rows = [row for row in rows if any(str("" if cell is None else cell).strip() for cell in row)][:LOOKED_AT]
    if len(rows) < 4:
        return 1
    wide = len(rows[0])
    rows = [row for row in rows if len(row) == wide]
    if len(rows) < 4:
        return 1

    def of_numbers(below: int) -> list[int]:
        least = MOST * (len(rows) - below)
        return [place for place in range(wide) if sum(_number(row[place]) for row in rows[below:]) >= least]

    def share(said: Any, line: int, places: list[int]) -> float:
        return sum(said(rows[line][place]) for place in places) / max(len(places), 1)

    numeric = of_numbers(1)
    if numeric and share(_number, 0, numeric) >= MOST:
        return 0
    if not of_numbers(2) and wide > 1:
        again = sum(rows[0][place] in [row[place] for row in rows[1:]] for place in range(wide))
        return 0 if again > wide / 2 else 1
    numeric = of_numbers(2)
    second = sum(_word(rows[1][place]) for place in numeric) > 1 and not any(map(_number, rows[1]))
    return 2 if second and not any(map(_number, rows[0])) else 1


def names_from(lines: Sequence[Sequence[Any]], wide: int) -> list[str]:
    """Return the names of a table's columns, made distinct, from its lines of names.

    Of two lines the one whose cells all differ names the columns; a second that does not holds units. Where neither
    does, the first stands over several columns and goes before the second.
    """
    if not lines:
        return distinct([""] * wide)
    if len(lines) == 1:
        return distinct(lines[0])
    above, below = ([str("" if cell is None else cell).strip() for cell in line] for line in lines)

    def name(line: list[str]) -> bool:
        return len(set(line)) == len(line) and "" not in line

    if name(below):
        return distinct(below)
    if name(above):
        return distinct([f"{one} ({unit})" if unit else one for one, unit in zip(above, below, strict=False)])
    for place in range(1, len(above)):
        above[place] = above[place] or above[place - 1]
    return distinct([f"{one} {other}" for one, other in zip(above, below, strict=False)])
