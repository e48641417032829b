"""The units of terms and of rates: told by names and cells, by a date on which loans are due, or asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, currencies, dates, letters
from pipeline.studies.own import roles
from pipeline.studies.own.profile import Column
from pipeline.studies.own.questions import Question

if TYPE_CHECKING:
    import pandas as pd

LONGEST_TERM = 600
"""Months of a term beyond which a number without a unit is hardly one of months."""

COUNTED = re.compile(r"instal|parcel|cuota|\brat\b|期数")
"""Names of terms that count instalments, which are due month by month."""


MONEY = ("amount", "income", "assets", "savings")

MANY = {
    word: times
    for times, words in {
        0.01: "cents, cent, fen, kobo, paise, centavos",
        1e3: "thousand, thousands, 000, 000s, k, tsd, thsd, tys, miles, тыс, ribu, nghin, bin",
        1e5: "lakh, lakhs, lac, lacs",
        1e6: "million, millions, m, mm, mn, mln, mio, millones, milhoes, juta, trieu, млн",
        1e7: "crore, crores, cr",
        1e9: "billion, billions, bn, ty, млрд, miliar, milyar",
    }.items()
    for word in words.split(", ")
}
"""Words in names of amounts that say how much their numbers stand for: short ones in brackets alone."""
SHORT = ("000", "lac", "fen", "млн")
MANY_ASIAN = re.compile(r"(百万|千万|十万|万|千|亿|백만|천|만|억)(?:元|円|圆|원|$)")
ASIAN = {
    "千": 1e3,
    "천": 1e3,
    "万": 1e4,
    "만": 1e4,
    "十万": 1e5,
    "百万": 1e6,
    "백만": 1e6,
    "千万": 1e7,
    "亿": 1e8,
    "억": 1e8,
}


def times(columns: Mapping[str, Column], found: Mapping[str, str], told: Sequence[str], path: Path) -> dict[str, float]:
    """Return by what the numbers of columns are multiplied, as their names say: 12 for rates a month.

    Amounts in 万元 are multiplied by 10000. `told` are the reader's own (``COLUMN=12``); what is one is left out.
    """
    given: dict[str, float] = {}
    for one in told:
        name, _, number = one.rpartition("=")
        if name not in columns or not re.fullmatch(r"\d+(?:\.\d+)?|\.\d+", number) or float(number) == 0:
            raise StudyError(f"--times {one} is no column and a number above nought: write COLUMN=12 for each.")
        given[name] = float(number)
    by_name = {found[role]: _many(columns[found[role]]) for role in MONEY if role in found}
    if "interest_rate" in found:
        name = found["interest_rate"]
        by_name[name] = _a_year(name)
        if name not in given:
            _ask_if_high(columns[name], by_name[name], path)
    return {name: number for name, number in {**by_name, **given}.items() if number != 1}


def _many(column: Column) -> float:
    # Where cells say themselves that they are thousands, the name says it again.
    if any((cell := cells.NUMERAL.fullmatch(one)) and cell["multiple"] for one in column.samples):
        return 1.0
    inside = [letters.plain(one) for one in roles.in_brackets(column.name)]
    asian = [MANY_ASIAN.search(one) for one in (*inside, letters.plain(column.name))]
    words = [word for one in inside for word in re.findall(r"[^\W_]+", one)]
    words += [word for word in roles.normal(column.name).split() if len(word) > 3 or word in SHORT]
    numbers = {ASIAN[one[1]] for one in asian if one} | {MANY[word] for word in words if word in MANY}
    return numbers.pop() if len(numbers) == 1 else 1.0


def _a_year(name: str) -> float:
    """Return what makes a rate one in percent a year: of rates a month twelve, of basis points a hundredth."""
    words = letters.plain(" ".join((roles.normal(name), *roles.in_brackets(name))))
    part = 0.01 if re.search(r"\bbps?\b|basis points?", words) else 0.1 if "‰" in name else 1.0
    return part * 12 / cells.MONTHS_IN[roles.unit_in(name) or "year"]


class Units(NamedTuple):
    """In what a file's numbers are."""

    term_in: str | None
    """The unit of terms that have none in their cells."""
    rates_in: str
    """Whether interest rates are percent or fractions."""
    times: dict[str, float]
    """By what the numbers of columns are multiplied."""
    currency: tuple[str | None, str | None]
    """The currency that is studied, and the column that tells a loan's."""


def of(
    table: pd.DataFrame,
    columns: Mapping[str, Column],
    found: Mapping[str, str],
    decimal: Mapping[str, str],
    options: Mapping[str, Any],
    path: Path,
) -> Units:
    """Return the units of a file's numbers; a Question where nothing tells one.

    Parameters
    ----------
    table, columns, decimal
        The rows, what each column holds, and decimal marks.
    found
        The columns of roles.
    options, path
        What the reader has said, and the file, for messages.

    """
    multiplied = times(columns, found, options.get("times") or (), path)
    return Units(
        term_in(table, columns, found, decimal, options.get("term_in"), path),
        rates_in(columns, found, options.get("rate_in"), path, multiplied),
        multiplied,
        currency(table, found, options.get("currency"), path),
    )


CURRENCY = re.compile(
    r"\b(?:currency|ccy|curr|moneda|moeda|devise|wahrung|valuta|waluta|валюта|mata uang)\b|币种|货币|通貨"
)
"""Names of columns that say in which currency an amount is."""
ANY = "any"
"""What a reader says where several currencies are one already, as after a conversion."""


def currency(
    table: pd.DataFrame, found: Mapping[str, str], told: str | None, path: Path
) -> tuple[str | None, str | None]:
    """Return the currency that is studied, and the column that tells a loan's; nothing where all have the same.

    Raises a Question where amounts are in several, as their sizes say nothing then.
    """
    named = [str(name) for name in table if CURRENCY.search(roles.normal(str(name))) and name not in found.values()]
    written = [found[role] for role in MONEY if role in found and table[found[role]].dtype == "string"]
    for name in [*named, *written]:
        codes = currencies.of_cells(table[name])
        counts = currencies.several(codes)
        if not counts or "amount" not in found or told == ANY:
            continue
        if told in counts:
            return told, name
        shown = ", ".join(f"{code} ({rows:,} rows)" for code, rows in counts.items())
        raise Question(
            f"{path}, column {name}: amounts are in {shown}, and so not to be compared: say --currency "
            f"{next(iter(counts))} to study its loans alone, or --currency {ANY} if all were brought to one already.",
            "currency",
            f"The currency to study ({', '.join(counts)} or {ANY})",
        )
    if told and told != ANY:
        raise StudyError(f"{path}: nothing tells amounts in {told} from others: leave out --currency.")
    return None, None


HIGH = 120
"""Percent a year that half of the rates hardly exceed, unless a name was misread."""


def _ask_if_high(rate: Column, factor: float, path: Path) -> None:
    """Raise a Question where a unit in the name of rates makes them very high: it may speak of something else."""
    if factor <= 1 or rate.kind != "number":
        return
    fractions = not rate.percent and float(rate.largest) * factor <= 1
    middle = rate.middle * factor * (100 if fractions else 1)
    if middle > HIGH:
        raise Question(
            f"{path}, column {rate.name}: read as its name says, half of the rates are above {middle:.3g}% a year: say "
            f"--times '{rate.name}={factor:.6g}' if that is right, or --times '{rate.name}=1' if they are a year's.",
            "times",
            f"What the rates are multiplied by, such as '{rate.name}={factor:.6g}'",
        )


def rates_in(
    columns: Mapping[str, Column],
    found: Mapping[str, str],
    told: str | None,
    path: Path,
    multiplied: Mapping[str, float] | None = None,
) -> str:
    """Return whether rates are percent or fractions: the latter where none is above one, and none has a sign.

    `multiplied` is by what the numbers of columns are (`times`).
    """
    rate = columns[found["interest_rate"]] if "interest_rate" in found else None
    if told or rate is None or rate.percent or rate.kind != "number":
        return told or "percent"
    a_year = (multiplied or {}).get(rate.name, 1.0)
    rate = rate._replace(middle=rate.middle * a_year, largest=f"{float(rate.largest) * a_year:g}")
    if rate.middle < 1 < float(rate.largest):
        raise Question(
            f"{path}, column {rate.name}: half of the rates are below {rate.middle:g}, the largest is {rate.largest}: "
            "say with --rate-in fraction that .125 is 12.5%, or with --rate-in percent that .125 is .125%.",
            "rate_in",
            "Interest rates are in (percent or fraction)",
        )
    return "fraction" if float(rate.largest) <= 1 else "percent"


UNIT_COLUMN = re.compile(
    r"\b(?:term|tenor|tenure|duration|maturity|period|plazo|prazo|laufzeit)\b.*\b(?:unit|units|type|unidad|unidade|einheit)\b"
    r"|\b(?:unit|units|unidad|unidade)\b.*\b(?:term|tenor|tenure|duration|maturity|plazo|prazo)\b|期限单位|期限类型|期间单位"
)
"""Names of columns that say in which unit a loan's term is."""


def unit_column(table: pd.DataFrame, found: Mapping[str, str]) -> str | None:
    """Return the column that says in which unit each loan's term is, where the term's own cells do not."""
    if "term_months" not in found or cells.months(table[found["term_months"]]).marks:
        return None
    named = [str(name) for name in table if UNIT_COLUMN.search(roles.normal(str(name))) and name not in found.values()]
    words = {**cells.UNITS, **cells.SHORT_UNITS}
    return next(
        (name for name in named if set(cells.plain(table[name]).dropna().str.lower().unique()) <= set(words)), None
    )


def with_units(terms: pd.Series, unit: pd.Series) -> pd.Series:
    """Return terms with the unit that another column gives each."""
    return cells.plain(terms) + " " + cells.plain(unit).fillna("")


def term_in(
    table: pd.DataFrame,
    columns: Mapping[str, Column],
    found: Mapping[str, str],
    decimal: Mapping[str, str],
    told: str | None,
    path: Path,
) -> str | None:
    """Return the unit of terms that have none in their cells, by the column's name or as told."""
    if "term_months" not in found or told:
        return told
    name = found["term_months"]
    if unit := roles.unit_in(f"{name} {columns[name].label}"):
        return unit
    read = cells.months(table[name], decimal.get(name, "."))
    if not read.marks and (unit := _by_due_date(table, columns, found, read.meaning)):
        return unit
    doubt, longest = read.doubt, read.meaning.max()
    if not doubt and not read.marks and longest > LONGEST_TERM:
        doubt = f"{longest:g} has no unit and is hardly a term in months"
    if not doubt and not read.marks and longest < 12 and not COUNTED.search(roles.normal(name)):
        doubt = f"the longest term is {longest:g} and has no unit, so they may be years"
    if doubt:
        raise Question(
            f"{path}, column {name}: {doubt}: say what is meant with --term-in month, year, fortnight, week or day.",
            "term_in",
            "Terms without a unit are in (month, year, fortnight, week or day)",
        )
    return None


def _by_due_date(
    table: pd.DataFrame, columns: Mapping[str, Column], found: Mapping[str, str], terms: pd.Series
) -> str | None:
    """Return the unit in which terms are as long as from the loan to the date on which it is due; None without it."""
    due = next((name for name, column in columns.items() if column.kind == "date" and roles.is_due_date(name)), None)
    granted = found.get("origination_date")
    if due is None or granted is None or due not in table:
        return None
    days = (dates.read(table[due]).meaning - dates.read(table[granted]).meaning).dt.days
    months = (days / terms).median() * cells.MONTHS_IN["day"]
    return next((unit for unit, length in cells.MONTHS_IN.items() if 0.8 <= months / length <= 1.25), None)
