"""What the cells of people's tables mean: numbers, dates, yes and no, however they are written."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "n.a.", "nan", "null", "none", "nil", "nat", ".", "-", "--", "?", "#value!", "#div/0!"}
    | {"缺失", "空", "未知", "不详", "无数据"}
)
"""How people write that a cell is empty, in lower case."""

YES = frozenset(
    {"1", "1.0", "yes", "y", "true", "t", "on", "是", "有", "真", "对"}
    | {"treated", "enrolled", "participated", "member", "已参与", "参与", "参加"}
)
NO = frozenset(
    {"0", "0.0", "no", "n", "false", "f", "off", "否", "无", "没有", "假", "错", "不是"}
    | {"control", "untreated", "not enrolled", "未参与", "未参加"}
)
"""Words for yes and no, in lower case."""

DEFAULTED = frozenset(
    {"default", "defaulted", "in default", "charged off", "charge-off", "charged-off", "chargeoff", "chgoff"}
    | {"bad", "npl", "non-performing", "loss", "written off", "write-off", "delinquent", "overdue", "late", "bankrupt"}
    | {"违约", "已违约", "逾期", "坏账", "不良", "核销", "损失", "坏"}
)
REPAID = frozenset(
    {"paid", "fully paid", "paid in full", "p i f", "pif", "repaid", "paid off", "good", "performing"}
    | {"no default", "not defaulted", "non-default", "non default", "nondefault", "settled", "closed", "completed"}
    | {"正常", "结清", "已结清", "还清", "已还清", "未违约", "不违约", "未逾期", "良好", "好"}
)
"""States in which a loan counts as defaulted or as repaid, in lower case."""

SCALES = (
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
    ("very poor", "poor", "fair", "good", "excellent"),
    ("very low", "low", "medium", "high", "very high"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("非常不满意", "不满意", "一般", "满意", "非常满意"),
    ("很低", "低", "中", "高", "很高"),
    ("从不", "很少", "有时", "经常", "总是"),
)
"""Answers in words, each from one (lowest) to five."""

UNITS = {
    "month": 1.0, "months": 1.0, "mth": 1.0, "mths": 1.0, "mo": 1.0, "个月": 1.0, "月": 1.0, "期": 1.0,
    "year": 12.0, "years": 12.0, "yr": 12.0, "yrs": 12.0, "年": 12.0,
    "day": 12 / 365.25, "days": 12 / 365.25, "天": 12 / 365.25, "日": 12 / 365.25,
}  # fmt: skip
"""Units of time that may follow a number, in months."""

MULTIPLES = {"万": 1e4, "亿": 1e8, "千": 1e3, "百万": 1e6, "k": 1e3, "m": 1e6, "mn": 1e6, "bn": 1e9}
"""Words that multiply the number before them."""

CURRENCIES = r"[$€£¥₹₽₩฿₺]|US\$|HK\$|A\$|R\$|USD|EUR|GBP|CNY|RMB|JPY|INR|HKD|ZAR|CHF|Rs\.?|人民币|美元|港元|欧元|元|圆"
OTHERS = "岁|次|分|笔|个|人|家|times?|pts?|points?|days? ago"
"""What else may follow a number without changing it."""

_NUMBER = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+])?\s*(?:{CURRENCIES})?\s*(?P<late_sign>[-+])?\s*"
    r"(?P<digits>\d[\d.,'\s]*(?:[eE][-+]?\d+)?|\.\d+)\s*\+?\s*"
    rf"(?P<multiple>{'|'.join(sorted(MULTIPLES, key=len, reverse=True))})?\s*"
    rf"(?:(?P<percent>%)|(?P<unit>{'|'.join(sorted(UNITS, key=len, reverse=True))})|(?:{CURRENCIES}|{OTHERS}))?\s*"
    r"(?P<close>\))?",
    re.IGNORECASE,
)


class Cells(NamedTuple):
    """Cells and what they mean."""

    meaning: pd.Series
    """Missing where the cell is empty, or has none."""
    wrong: pd.Series
    """Whether the cell holds something that has no meaning of this kind (boolean)."""
    marks: dict[str, int]
    """How many cells bear a mark: ``percent``, a unit of time, ``day_first``, ``month_first``, ``undecided``."""


def plain(column: pd.Series) -> pd.Series:
    """Return text as it is compared: full-width forms made plain, blanks trimmed; empty cells are missing."""

    def tidy(cell: Any) -> str | None:
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        text = " ".join(unicodedata.normalize("NFKC", str(cell)).split())
        return None if text.lower() in MISSING else text

    return _by_value(column, tidy, "string")


def _by_value(column: pd.Series, meaning: Callable[[Any], Any], kind: str) -> pd.Series:
    """Apply a function to every distinct value once."""
    import pandas as pd

    codes, values = pd.factorize(column)
    found = pd.array([meaning(value) for value in values], dtype=kind) if len(values) else pd.array([], dtype=kind)
    return pd.Series(found.take(codes, allow_fill=True), column.index, name=column.name)


def numbers(column: pd.Series, decimal: str = ".") -> Cells:
    """Read cells as numbers.

    Numbers, and text such as ``1,234.50``, ``12.5%``, ``$ 900``, ``(300)``, ``1.2万元``, ``36 months``. A percent sign
    is dropped (12.5% is 12.5) and counted, and so is a unit of time. `decimal` is the decimal mark of the text.
    """
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        values = column.astype("Float64").astype(float)
        # Infinity is no amount of anything; a gap is none that is wrong.
        return Cells(values.where(np.isfinite(values)), pd.Series(np.isinf(values), column.index), {})
    if pd.api.types.is_datetime64_any_dtype(column):
        return Cells(pd.Series(np.nan, column.index), column.notna(), {})
    marks: dict[str, int] = {}
    counts = column.value_counts()

    def meaning(cell: Any) -> float | None:
        value, mark = _number(str(cell), decimal)
        if value is not None and mark:
            marks[mark] = marks.get(mark, 0) + int(counts.get(cell, 0))
        return value

    values = _by_value(column, meaning, "Float64").astype(float)
    return Cells(
        values, values.isna() & plain(column[values.isna()]).notna().reindex(column.index, fill_value=False), marks
    )


def _number(text: str, decimal: str) -> tuple[float | None, str]:
    """Return one cell's number and its mark: ``percent``, a unit of time, or nothing."""
    try:
        # Most cells are plain numbers.
        if decimal == ".":
            value = float(text)
            return (value, "") if np.isfinite(value) and "_" not in text else (None, "")
    except ValueError:
        pass
    text = text.strip()
    if any(unicodedata.category(character) in ("No", "Cc") for character in text):
        # Made plain, 10² would be 102, and two lines one number.
        return None, ""
    text = unicodedata.normalize("NFKC", text)
    found = _NUMBER.fullmatch(text)
    if not found or bool(found["open"]) != bool(found["close"]) or (found["sign"] and found["late_sign"]):
        return None, ""
    digits = found["digits"].strip()
    if re.search(r"['\s]", digits) and not re.match(r"\d{1,3}(?:['\s]\d{3})+(?![\d'\s])", digits):
        # Blanks and apostrophes part thousands; two numbers in a cell are not one.
        return None, ""
    digits = re.sub(r"['\s]", "", digits)
    thousands = "," if decimal == "." else "."
    grouped = re.fullmatch(rf"\d{{1,4}}(?:\{thousands}\d{{2,4}})*(?:\{decimal}\d*)?", digits)
    if thousands in digits and not grouped:
        return None, ""
    digits = digits.replace(thousands, "").replace(decimal, ".")
    try:
        value = float(digits)
    except ValueError:
        return None, ""
    value *= MULTIPLES[found["multiple"].lower()] if found["multiple"] else 1
    if found["open"] or "-" in (found["sign"], found["late_sign"]):
        value = -value
    return value, "percent" if found["percent"] else (found["unit"] or "").lower()


def decimal_mark(texts: Collection[str]) -> str:
    """Return the decimal mark of a sample of cells: a comma only where a comma is all that can be one."""
    comma = point = 0
    for text in texts:
        text = unicodedata.normalize("NFKC", text)
        if re.fullmatch(r"[^\d]*\d{1,3}(?:\.\d{3})+,\d+[^\d]*|[^\d]*\d+,(?:\d{1,2}|\d{4,})[^\d,]*", text):
            comma += 1
        elif re.fullmatch(r"[^\d]*\d{1,3}(?:,\d{3})+\.\d+[^\d]*|[^\d]*\d+\.(?:\d{1,2}|\d{4,})[^\d.]*", text):
            point += 1
    return "," if comma > point else "."


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_YEAR = r"(?P<year>\d{4}|\d{2})"
_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})(?:\s*[-/.月]\s*(?P<day>\d{1,2})?\s*日?)?",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})?",
        r"(?P<year>\d{4})年?\s*-?(?:[Qq](?P<quarter>[1-4])|第?(?P<season>[1-4一二三四])季度)",
        r"(?P<one>\d{1,2})[-/.](?P<other>\d{1,2})[-/.]" + _YEAR,
        r"(?P<day>\d{1,2})[-/. ]?\s*" + _NAME + r"[-/., ]*" + _YEAR,
        _NAME + r"[-/. ]*(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})",
        _NAME + r"[-/., ]*" + _YEAR,
        r"(?P<year>\d{2}|\d{4})[-/. ]" + _NAME,
        r"(?P<year>(?:19|20)\d{2})年?",
    )
)
_TIME = re.compile(r"[T ]\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[AaPp][Mm])?(?:Z|[+-]\d{2}:?\d{2})?$")


def dates(column: pd.Series, day_first: bool | None = None) -> Cells:
    """Read cells as dates (``datetime64[ms]``, midnight).

    Dates, spreadsheet serial numbers, and text such as ``2015-03-01``, ``2015年3月``, ``201503``, ``03/01/2015``,
    ``1 Mar 2015``, ``Mar-15``, ``2015Q1``. What names a month only is its first day. Where day and month could stand
    in either order, `day_first` decides; None: the column's other cells, and the month first where none tells.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        values = column.dt.tz_localize(None) if getattr(column.dt, "tz", None) is not None else column
        return Cells(values.dt.normalize().astype("datetime64[ms]"), pd.Series(False, column.index), {})
    texts = plain(column)
    parts = {text: _parts(text) for text in texts.dropna().unique()}
    counts = texts.value_counts()
    order = {"day_first": 0, "month_first": 0, "undecided": 0}
    for text, found in parts.items():
        if found and "one" in found:
            first, second = found["one"], found["other"]
            side = "undecided" if max(first, second) <= 12 else "day_first" if first > 12 else "month_first"
            order[side] += int(counts[text])
    if day_first is None:
        day_first = order["day_first"] > order["month_first"]

    def meaning(text: str) -> Any:
        return _date(parts[text], day_first)

    values = _by_value(texts, meaning, "datetime64[ms]")
    return Cells(values, values.isna() & texts.notna(), {name: count for name, count in order.items() if count})


def _parts(text: str) -> dict[str, int] | None:
    text = _TIME.sub("", text).strip()
    if re.fullmatch(r"[2-6]\d{4}(?:\.\d+)?", text):
        # Days since the last day of 1899, as spreadsheets count.
        day = datetime.date(1899, 12, 30) + datetime.timedelta(days=int(float(text)))
        return {"year": day.year, "month": day.month, "day": day.day}
    for form in _FORMS:
        if found := form.fullmatch(text):
            parts = {name: value for name, value in found.groupdict().items() if value is not None}
            if "name" in parts:
                name = parts.pop("name")[:3].lower()
                if name not in MONTHS:
                    continue
                parts["month"] = str(MONTHS.index(name) + 1)
            if season := parts.pop("season", None):
                parts["quarter"] = str("一二三四".find(season) + 1 or season)
            numbers = {name: int(value) for name, value in parts.items()}
            if len(parts["year"]) == 2:
                numbers["year"] += 2000 if numbers["year"] < 70 else 1900
            if "quarter" in numbers:
                numbers["month"] = 3 * numbers.pop("quarter") - 2
            return numbers
    return None


def _date(parts: dict[str, int] | None, day_first: bool) -> np.datetime64 | None:
    if parts is None:
        return None
    if "one" in parts:
        day, month = (parts["one"], parts["other"]) if day_first else (parts["other"], parts["one"])
    else:
        day, month = parts.get("day", 1), parts.get("month", 1)
    try:
        return np.datetime64(datetime.date(parts["year"], month, day), "ms")
    except ValueError:
        return None


def flags(column: pd.Series, yes: Collection[str] = (), no: Collection[str] = ()) -> Cells:
    """Read cells as yes (1) and no (0), as floats: by the words given, or else by `YES` and `NO` and 1 and 0."""
    import pandas as pd

    texts = plain(column)
    ones = {word.lower() for word in map(str, yes)} or YES
    zeros = {word.lower() for word in map(str, no)} or NO
    if pd.api.types.is_bool_dtype(column):
        texts = texts.str.lower()

    def meaning(text: str) -> float | None:
        return 1.0 if text.lower() in ones else 0.0 if text.lower() in zeros else None

    values = _by_value(texts, meaning, "Float64").astype(float)
    return Cells(values, values.isna() & texts.notna(), {})


def scale_of(words: Collection[str]) -> dict[str, float] | None:
    """Return the numbers of answers in words (in lower case) when all of them belong to one of `SCALES`."""
    for answers in SCALES:
        if len(words) and set(words) <= set(answers):
            return {answer: float(place) for place, answer in enumerate(answers, start=1)}
    return None


def measures(column: pd.Series, decimal: str = ".") -> Cells:
    """Read the cells of a measured factor: numbers, or answers of one of `SCALES`, or yes and no."""
    texts = plain(column)
    words = set(texts.dropna().str.lower().unique()) if texts.nunique() <= 12 else set()
    if scale := scale_of(words):
        return Cells(texts.str.lower().map(scale).astype(float), texts.isna() & False, {})
    if words and words <= YES | NO:
        return flags(column)
    return numbers(column, decimal)
