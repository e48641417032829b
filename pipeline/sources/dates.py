"""What the cells of a column of dates mean, however they are written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.sources.cells import Cells, by_value, plain

if TYPE_CHECKING:
    import pandas as pd

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_YEAR = r"(?P<year>\d{4}|\d{2})"
_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})(?:\s*[-/.月]\s*(?P<day>\d{1,2})?\s*日?)?",
        r"(?:民[国國]\s*)?(?P<republic>1[0-2]\d)\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})\s*日?",
        r"(?P<era>平成|令和|昭和|[HRS])\s*(?P<of_era>\d{1,2}|元)\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})\s*日?",
        r"(?P<year>(?:19|20)\d{2})(?P<month>\d{2})(?P<day>\d{2})?",
        r"(?P<month>0?[1-9]|1[0-2])\s*[-/.]\s*(?P<year>(?:19|20)\d{2})",
        r"(?P<month>0[1-9]|1[0-2])(?P<year>(?:19|20)\d{2})",
        r"(?P<year>\d{4})年?\s*-?(?:[Qq](?P<quarter>[1-4])|第?(?P<season>[1-4一二三四])季度)",
        r"(?P<one>\d{1,2})[-/.](?P<other>\d{1,2})[-/.]" + _YEAR,
        r"(?P<day>\d{1,2})[-/. ]?\s*" + _NAME + r"[-/., ]*" + _YEAR,
        _NAME + r"[-/. ]*(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})",
        _NAME + r"[-/., ]*" + _YEAR,
        r"(?P<year>\d{2}|\d{4})[-/. ]" + _NAME,
        r"(?P<year>(?:19|20)\d{2})年?",
    )
)
ERAS = {"昭和": 1925, "平成": 1988, "令和": 2018, "S": 1925, "H": 1988, "R": 2018}
"""The year before the first of each era by which Japan counts."""
_SIX = re.compile(r"(?P<year>\d{2})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])")
_YEAR_AND_MONTH = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])")
_CALLED_DATE = re.compile(r"dat[aeu]|day|time|fecha|tanggal|日", re.IGNORECASE)
"""Names of columns in which six digits may be a day: elsewhere 110105 is a district of Beijing."""
EITHER_ORDER = re.compile(r"\d{1,2}[-/]\d{1,2}[-/]\d")
"""How dates begin whose day and month may stand in either order; between points, the day comes first."""
NEVER = 9999
"""The year of databases where there is no date."""
FAR = datetime.timedelta(days=7305)
"""How far from all other days of its column (twenty years) one of `USUAL` stands for no date."""
USUAL = tuple(
    np.datetime64(day)
    for day in ("1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1970-01-01", "2099-12-31", "2999-12-31")
)
"""Days that programs write where there is no date."""
FEW = 0.05
"""Share of six-digit cells that may be no year and month where the others are."""
_TIME = re.compile(r"[T ]\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[AaPp][Mm])?(?:Z|[+-]\d{2}:?\d{2})?$")


def read(column: pd.Series, day_first: bool | None = None, latest: int | None = None) -> Cells:
    """Read cells as dates (``datetime64[ms]``, midnight).

    Dates, spreadsheet serial numbers, and text such as ``2015-03-01``, ``2015年3月``, ``201503``, ``03/01/2015``,
    ``1 Mar 2015``, ``Mar-15``, ``2015Q1``. What names a month only is its first day. Where day and month could stand
    in either order, `day_first` decides; None: the column's other cells, and the month first where none tells. A year
    of two digits lies in the hundred years that end with the year `latest` (this one): loans are not granted later.
    What stands for no date (`placeholders`) is a gap.
    """
    found = _as_they_stand(column, day_first, latest)
    return found._replace(meaning=found.meaning.mask(found.meaning.isin(list(_standing_for_none(found.meaning)))))


def placeholders(column: pd.Series, day_first: bool | None = None) -> dict[str, int]:
    """Return the days of `USUAL` that stand for no date in a column, with their rows: at an end, `FAR` from others."""
    found = _standing_for_none(_as_they_stand(column, day_first, None).meaning)
    return {str(day.date()): rows for day, rows in found.items()}


def there(column: pd.Series) -> pd.Series:
    """Say which cells of a column of dates hold one, readable or not."""
    found = read(column)
    return found.meaning.notna() | found.wrong


def _standing_for_none(values: pd.Series) -> dict[Any, int]:
    counts = values.value_counts().sort_index()
    days = counts.index
    ends = ((0, 1), (-1, -2)) if len(days) > 1 else ()
    far = [days[end] for end, near in ends if abs(days[end] - days[near]) > FAR]
    found = {day: int(counts[day]) for day in far if day.to_datetime64() in USUAL}
    return found if len(found) < len(days) else {}


def _as_they_stand(column: pd.Series, day_first: bool | None, latest: int | None) -> Cells:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        values = column.dt.tz_localize(None) if getattr(column.dt, "tz", None) is not None else column
        values = values.dt.normalize().astype("datetime64[ms]")
        return Cells(values.mask(values.dt.year == NEVER), pd.Series(False, column.index), {})
    texts = plain(column)
    latest = latest or datetime.date.today().year
    values = texts.dropna().unique()
    parts = {text: _parts(text, latest) for text in values}
    if _CALLED_DATE.search(str(column.name)):
        six = [text for text in values if len(text) == 6 and text.isdecimal()]
        if sum(not _YEAR_AND_MONTH.fullmatch(text) for text in six) > FEW * len(six):
            # 930706 can be no year and month, so 200103 is none either.
            parts |= {text: _parts(text, latest, (_SIX,)) for text in six}
    counts = texts.value_counts()
    order = {"day_first": 0, "month_first": 0, "undecided": 0}
    for text, part in parts.items():
        if part and "one" in part:
            first, second = part["one"], part["other"]
            side = "undecided" if max(first, second) <= 12 else "day_first" if first > 12 else "month_first"
            if side == "undecided" and not EITHER_ORDER.match(text):
                side = "day_first"
            order[side] += int(counts[text])
    if day_first is None:
        day_first = order["day_first"] > order["month_first"]

    def meaning(text: str) -> Any:
        return _date(parts[text], day_first)

    found = by_value(texts, meaning, "datetime64[ms]")
    return Cells(found, found.isna() & texts.notna(), {name: count for name, count in order.items() if count})


def _parts(text: str, latest: int, forms: Sequence[re.Pattern[str]] = _FORMS) -> dict[str, int] | None:
    text = _TIME.sub("", text).strip()
    if re.fullmatch(r"[2-6]\d{4}(?:\.\d+)?", text):
        # Days since the last day of 1899, as spreadsheets count.
        day = datetime.date(1899, 12, 30) + datetime.timedelta(days=int(float(text)))
        return {"year": day.year, "month": day.month, "day": day.day}
    for form in forms:
        if found := form.fullmatch(text):
            parts = {name: value for name, value in found.groupdict().items() if value is not None}
            if "name" in parts:
                name = parts.pop("name")[:3].lower()
                if name not in MONTHS:
                    continue
                parts["month"] = str(MONTHS.index(name) + 1)
            if republic := parts.pop("republic", None):
                # Taiwan counts years from the first of the Republic, 1912.
                parts["year"] = str(int(republic) + 1911)
            if era := parts.pop("era", None):
                parts["year"] = str(ERAS[era] + int(parts.pop("of_era").replace("元", "1")))
            if season := parts.pop("season", None):
                parts["quarter"] = str("一二三四".find(season) + 1 or season)
            numbers = {name: int(value) for name, value in parts.items()}
            if len(parts["year"]) == 2:
                numbers["year"] = latest - (latest - numbers["year"]) % 100
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
