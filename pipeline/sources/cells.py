"""What the cells of people's tables mean: numbers, terms, yes and no, however they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.sources import currencies

if TYPE_CHECKING:
    import pandas as pd

NEVER = ("0000-00-00", "9999-12-31", "9999/12/31", "31.12.9999", "31/12/9999", "31-12-9999", "12/31/9999")
"""What databases write where there is no date."""

MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "n.a.", "nan", "null", "none", "nil", "nat", ".", "-", "--", "?", "#value!", "#div/0!"}
    | {f"{day}{time}" for day in NEVER for time in ("", " 00:00:00", "t00:00:00")}
    | {"<na>", "(blank)", "(blanks)", "(empty)", "(null)", "#name?", "#num!", "#null!", "tbd", "tba"}
    | {"缺失", "空", "未知", "不详", "无数据", "暂无", "暂无数据"}
    | {"нет данных", "sin dato", "sin datos", "sem dados", "n.v.t."}
)
"""How people write that a cell is empty, in lower case."""
LEVELS_TOO = frozenset({"none", "nil"})
"""Those of them that are a level of a category: no guarantee is not an unknown one."""
UNSTATED = frozenset(
    {"unknown", "refused", "refused to answer", "no answer", "not answered", "don't know", "do not know", "dont know"}
    | {"not stated", "not available", "not asked", "not applicable", "missing", "unspecified", "not specified"}
    | {"拒绝回答", "拒答", "不知道", "不清楚", "未填写", "未填", "不适用", "未提供"}
    | {"keine angabe", "k.a.", "no sabe", "no contesta", "ns/nc", "não informado", "nao informado", "non renseigné"}
    | {"onbekend", "niet bekend", "unbekannt", "inconnu", "desconocido", "desconhecido"}
    | {"не указано", "неизвестно", "không rõ"}
)
"""What stands in place of a number that was not told, in lower case; in a category it is a level."""

YES = frozenset(
    {"1", "1.0", "yes", "y", "true", "t", "on", "是", "有", "真", "对"}
    | {"treated", "enrolled", "participated", "member", "已参与", "参与", "参加", "ja"}
    | {"si", "sí", "oui", "sim", "да", "ya", "tak", "evet"}
    | {"verified", "source verified", "income verified", "verified by bank", "已核实", "已认证", "成功认证"}
)
NO = frozenset(
    {"0", "0.0", "no", "n", "false", "f", "off", "否", "无", "没有", "假", "错", "不是"}
    | {
        "control",
        "untreated",
        "not enrolled",
        "未参与",
        "未参加",
        "nein",
        "non",
        "não",
        "nao",
        "нет",
        "tidak",
        "nie",
        "hayır",
    }
    | {"not verified", "unverified", "income unverified", "未核实", "未认证", "未成功认证"}
)
"""Words for yes and no, in lower case."""

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

_UNITS = {
    "month": (
        1.0,
        "month, months, monthly, mth, mths, mo, mos, mon, monat, monate, mes, meses, mois, x, parcelas, miesiąc, "
        "miesiące, miesięcy, mies, bln, bulan, tháng, شهر, شهرا, месяц, месяца, месяцев, мес, ay, "
        "个月, 個月, ヶ月, ヵ月, か月, カ月, ケ月, 개월, 月, 期",
    ),
    "year": (12.0, "year, years, yr, yrs, jahr, jahre, jahren, año, años, ano, anos, ans, "
        "năm, سنة, سنوات, год, года, лет, yıl, tahun, 年"),
    "fortnight": (14 * 12 / 365.25, "fortnight, fortnights, fortnightly, biweekly, bi-weekly, quincena, quincenas"),
    "week": (7 * 12 / 365.25, "week, weeks, weekly, wk, wks, woche, wochen, semana, semanas, 周"),
    "day": (12 / 365.25, "day, days, daily, tag, tage, tagen, días, jours, 天, 日"),
}  # fmt: skip
MONTHS_IN = {unit: months for unit, (months, _) in _UNITS.items()}
"""Units of time, in months."""
UNITS = {word: unit for unit, (_, words) in _UNITS.items() for word in words.split(", ")}
"""Words for units of time that may follow a number."""
SHORT_UNITS = {"m": "month", "y": "year", "w": "week", "d": "day"}
"""Letters for them, in a column of terms: elsewhere m is a million."""

MULTIPLES = {"万": 1e4, "萬": 1e4, "亿": 1e8, "千": 1e3, "百万": 1e6, "k": 1e3, "m": 1e6, "mn": 1e6, "bn": 1e9}
"""Words that multiply the number before them."""

OTHERS = "岁|次|分|笔|个|人|家|times?|pts?|points?|days? ago"
"""What else may follow a number without changing it."""

NUMERAL = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+])?\s*(?:(?P<before>%)|{currencies.PATTERN})?\s*(?P<late_sign>[-+])?\s*"
    r"(?P<digits>\d[\d.,'’\s]*(?:[eE][-+]?\d+)?|\.\d+)\s*(?:\+|[.,][-–]+|/[=-])?\s*"
    rf"(?P<multiple>{'|'.join(sorted(MULTIPLES, key=len, reverse=True))})?\s*"
    rf"(?:(?P<percent>%)|(?P<unit>{'|'.join(sorted(UNITS, key=len, reverse=True))})|{currencies.PATTERN}|{OTHERS})?\s*"
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
    doubt: str = ""
    """What cannot be read for certain, with its cells; empty where all can."""


def bare_numbers(column: pd.Series) -> tuple[pd.Series, pd.Series] | None:
    """Return text that is nothing but numbers and empty cells, and its numbers, fast; else None."""
    import pandas as pd
    import pyarrow
    import pyarrow.compute

    if not isinstance(column.dtype, pd.StringDtype) or column.dtype.storage != "pyarrow":
        return None
    try:
        text = pyarrow.compute.utf8_trim_whitespace(pyarrow.array(column, type=pyarrow.string(), from_pandas=True))
        text = pyarrow.compute.if_else(pyarrow.compute.equal(text, ""), pyarrow.scalar(None, pyarrow.string()), text)
        values = text.cast(pyarrow.float64())
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        return None
    if values.null_count == len(values) or not pyarrow.compute.all(pyarrow.compute.is_finite(values)).as_py():
        return None
    numbers = pd.Series(values.to_numpy(zero_copy_only=False), column.index, name=column.name)
    return pd.Series(text, column.index, dtype=column.dtype, name=column.name), numbers


def plain(column: pd.Series, missing: Collection[str] = MISSING) -> pd.Series:
    """Return text as it is compared: full-width forms made plain, blanks trimmed; empty cells are missing."""
    if bare := bare_numbers(column):
        return bare[0]

    def tidy(cell: Any) -> str | None:
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        text = " ".join(unicodedata.normalize("NFKC", str(cell)).split())
        return None if text.lower() in missing else text

    return by_value(column, tidy, "string")


def levels(column: pd.Series) -> pd.Series:
    """Return the cells of a category as `plain` does, with ``none`` as a level."""
    return plain(column, MISSING - LEVELS_TOO)


def by_value(column: pd.Series, meaning: Callable[[Any], Any], kind: str) -> pd.Series:
    """Apply a function to every distinct value once."""
    import pandas as pd

    codes, values = pd.factorize(column)
    # Cell by cell, Arrow's own arrays are slow to go through.
    values = values.tolist()
    found = pd.array([meaning(value) for value in values], dtype=kind) if len(values) else pd.array([], dtype=kind)
    return pd.Series(found.take(codes, allow_fill=True), column.index, name=column.name)


def numbers(column: pd.Series, decimal: str = ".") -> Cells:
    """Read cells as numbers.

    Numbers, and text such as ``1,234.50``, ``12.5%``, ``$ 900``, ``(300)``, ``1.2万元``, ``36 months``. A percent sign
    is dropped (12.5% is 12.5) and counted, and so is a unit of time; cells without the sign beside cells with it are
    brought to percent (`_on_one_scale`). `decimal` is the decimal mark of the text. What says that there is none
    (`UNSTATED`) is a gap.
    """
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        values = column.astype("Float64").astype(float)
        # Infinity is no amount of anything; a gap is none that is wrong.
        return Cells(values.where(np.isfinite(values)), pd.Series(np.isinf(values), column.index), {})
    if pd.api.types.is_datetime64_any_dtype(column):
        return Cells(pd.Series(np.nan, column.index), column.notna(), {})
    if decimal == "." and (bare := bare_numbers(column)):
        return Cells(bare[1], pd.Series(False, column.index), {})
    read = {cell: _number(str(cell), decimal) for cell in column.dropna().unique().tolist()}
    marks: dict[str, int] = {}
    counts = column.value_counts()
    for cell, (value, mark) in read.items():
        if value is not None and mark:
            marks[mark] = marks.get(mark, 0) + int(counts[cell])
    values = by_value(column, lambda cell: read[cell][0], "Float64").astype(float)
    stated = plain(column[values.isna()], MISSING | UNSTATED).notna()
    wrong = values.isna() & stated.reindex(column.index, fill_value=False)
    found = Cells(values, wrong, marks)
    if 0 < marks.get("percent", 0) < values.notna().sum():
        return _on_one_scale(found, column, by_value(column, lambda cell: read[cell][1] == "percent", "boolean"))
    return found


def _on_one_scale(found: Cells, column: pd.Series, signed: pd.Series) -> Cells:
    """Bring cells without a percent sign to the scale of those with one.

    They are fractions where all are below 1.5 and a hundred times as large as they are they have about the size of the
    others, percent where they have that size as they are; otherwise nobody can tell.
    """
    values = found.meaning.dropna()
    of_sign = values[signed[values.index].astype(bool)]
    bare = values.drop(of_sign.index)
    ratio = of_sign.abs().median() / max(bare.abs().median(), 1e-9)
    if bare.abs().max() < 1.5 and 20 <= ratio <= 500:
        scaled = found.meaning.copy()
        scaled[bare.index] *= 100
        return found._replace(meaning=scaled)
    if 0.2 <= ratio <= 5 and (bare.abs() >= of_sign.abs().min() / 5).all():
        return found
    shown = f"'{column[of_sign.index[0]]}' and '{column[bare.index[0]]}'"
    return found._replace(doubt=f"{shown} are percent with the sign and numbers without it, on scales that do not fit")


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
    found = NUMERAL.fullmatch(text)
    if not found or bool(found["open"]) != bool(found["close"]) or (found["sign"] and found["late_sign"]):
        return None, ""
    digits = found["digits"].strip()
    if re.search(r"['’\s]", digits) and not re.match(r"\d{1,3}(?:['’\s]\d{3})+(?![\d'’\s])", digits):
        # Blanks and apostrophes part thousands; two numbers in a cell are not one.
        return None, ""
    digits = re.sub(r"['’\s]", "", digits)
    thousands = "," if decimal == "." else "."
    # Three digits a group, in India two but for the last, in China four; 0.132 has no thousands.
    groups = rf"[1-9]\d{{0,2}}(?:\{thousands}\d{{2,3}})*\{thousands}\d{{3}}|[1-9]\d{{0,3}}(?:\{thousands}\d{{4}})+"
    grouped = re.fullmatch(rf"(?:{groups})(?:\{decimal}\d*)?", digits)
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
    return value, "percent" if found["percent"] or found["before"] else (found["unit"] or "").lower()


class Marks(NamedTuple):
    """What a sample of cells tells of a column's decimal mark."""

    comma: str = ""
    """A cell in which a comma can only be the decimal mark."""
    point: str = ""
    undecided: str = ""
    """A cell with one mark and three digits after it."""


def decimal_marks(texts: Collection[str]) -> Marks:
    """Look in a sample of cells for the decimal mark."""
    found: dict[str, str] = {}
    for given in texts:
        text = re.sub(r"[^\d.,]", "", unicodedata.normalize("NFKC", given)).strip(".,")
        for name, mark, other in (("comma", ",", "."), ("point", ".", ",")):
            alone = rf"\d+\{mark}(?:\d{{1,2}}|\d{{4,}})|0\{mark}\d+|\d{{4,}}\{mark}\d+"
            beside = rf"\d{{1,3}}(?:\{other}\d{{2,3}})*\{other}\d{{3}}\{mark}\d+"
            twice = rf"\d{{1,3}}(?:\{other}\d{{3}}){{2,}}"
            if re.fullmatch(f"{alone}|{beside}|{twice}", text):
                found.setdefault(name, given)
        if re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", text):
            found.setdefault("undecided", given)
    return Marks(**found)


_TERM = re.compile(
    rf"\s*(\d[\d.,]*)\s*[-]?\s*({'|'.join(sorted({**UNITS, **SHORT_UNITS}, key=len, reverse=True))})?\.?(?![a-z])\s*",
    re.IGNORECASE,
)


def months(column: pd.Series, decimal: str = ".", unit: str = "") -> Cells:
    """Read cells as terms in months, each by its own unit: ``36``, ``36m``, ``3 years``, ``365 days``, ``1y 6m``.

    `unit` is that of cells without one: month, year, week or day; empty where the name of the column tells none. Then
    they are months, if they have the size of the terms beside them as such and not in the others' unit.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        found = numbers(column)
        return found._replace(meaning=_rounded(found.meaning * MONTHS_IN[unit or "month"]))
    read = {cell: _term(str(cell), decimal) for cell in column.dropna().unique().tolist()}
    units = by_value(column, lambda cell: read[cell][1], "string")
    values = by_value(column, lambda cell: read[cell][0], "Float64").astype(float)
    told, bare = units[units.fillna("") != ""], values[values.notna() & (units.fillna("") == "")]
    doubt = ""
    other = str(told.mode().iloc[0]) if len(told) else "month"
    if len(bare) and not unit and other != "month":
        near = [name for name in ("month", other) if _alike(bare * MONTHS_IN[name], values[told.index])]
        unit = "month"
        if near != ["month"]:
            doubt = (
                f"'{column[bare.index[0]]}' without a unit beside '{column[told.index[0]]}' may be months or {other}s"
            )
    values[bare.index] *= MONTHS_IN[unit or "month"]
    wrong = values.isna() & plain(column).notna()
    return Cells(_rounded(values), wrong, {str(name): int(count) for name, count in told.value_counts().items()}, doubt)


def _term(text: str, decimal: str) -> tuple[float | None, str]:
    """Return one cell's term, in months where it has a unit, and its largest unit."""
    text = unicodedata.normalize("NFKC", text).strip().lower()
    total, largest, place = 0.0, "", 0
    while place < len(text):
        found = _TERM.match(text, place)
        value = _number(found[1], decimal)[0] if found else None
        if found is None or value is None or (place and not found[2]):
            return None, ""
        unit = {**UNITS, **SHORT_UNITS}.get(found[2] or "", "")
        total += value * (MONTHS_IN[unit] if unit else 1.0)
        largest, place = largest or unit, found.end()
    return (total, largest) if place else (None, "")


def _alike(one: pd.Series, other: pd.Series) -> bool:
    """Say whether terms have the size of others: within a factor of five at either end."""
    return bool(one.min() >= other.min() / 5 and one.max() <= other.max() * 5)


def _rounded(terms: pd.Series) -> pd.Series:
    # 365 days are twelve months, fifteen days half a one.
    return terms.round(1)


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

    values = by_value(texts, meaning, "Float64").astype(float)
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
