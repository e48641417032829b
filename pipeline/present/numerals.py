"""How numbers are printed for people."""

from __future__ import annotations

import math
from typing import Any

MISSING = "–"


def fixed(value: float, decimals: int) -> str:
    """Print with a fixed number of decimals, thousands separated, a true minus sign and no negative zero."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "\N{MINUS SIGN}")


def whole(value: float) -> str:
    """Print a count."""
    return fixed(value, 0)


def percent(value: float) -> str:
    """Print a percentage that is given in percent: 14.33 -> 14.3%."""
    return f"{fixed(value, 1)}%"


def p_value(value: float) -> str:
    """Print a p-value: three decimals, and what is smaller as such."""
    if value is None or math.isnan(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def compact(value: float) -> str:
    """Print a mean of any size with about three significant digits."""
    if value is None or math.isnan(value):
        return MISSING
    size = abs(value)
    return fixed(value, 0 if size >= 1000 else 1 if size >= 10 else 2)


def decimals(value: float) -> int:
    """Return with how many decimals a number keeps about three digits."""
    size = abs(value)
    if 0 < size < 0.01:
        return 1 + math.ceil(-math.log10(size))
    return 0 if size >= 1000 or (size >= 10 and size == round(size)) else 1 if size >= 10 else 2 if size >= 0.1 else 3


def signed(value: float, digits: int, start: float = 0.0) -> str:
    """Print a number with as many decimals as its side of the point of no effect needs to be seen."""
    most = digits + 12
    while value != start and digits < most and round(value, digits) == round(start, digits):
        digits += 1
    return fixed(value, digits)


def with_interval(row: Any, digits: int, start: float = 0.0) -> str:
    """Print an estimate with its interval, in as many decimals as it takes to see on which side the interval ends."""
    numbers = [x for x in (row.estimate, row.ci_low, row.ci_high) if not math.isnan(x)]
    if not numbers:
        return MISSING
    most = digits + 3
    while digits < most and any(x != start and round(x, digits) == round(start, digits) for x in numbers[1:]):
        digits += 1
    first, *ends = (fixed(x, digits) for x in numbers)
    return f"{first} [{ends[0]}, {ends[1]}]" if len(ends) == 2 else first
