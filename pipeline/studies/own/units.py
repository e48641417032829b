"""The units of terms, amounts and rates: told by names and cells, by what is due and when, or asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, currencies, dates, letters
from pipeline.studies.own import ranges, rates, roles
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
SHORT = ("000", "lac", "fen", "tsd", "tys", "тыс", "mln", "mio", "млн")
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


def told_times(columns: Mapping[str, Column], told: Sequence[str]) -> dict[str, float]:
    """Return by what the reader says that the numbers of columns are multiplied (``COLUMN=12``)."""
    given: dict[str, float] = {}
    for one in told:
        name, _, number = one.rpartition("=")
        if name not in columns or not re.fullmatch(r"\d+(?:\.\d+)?|\.\d+", number) or float(number) == 0:
            raise StudyError(f"--times {one} is no column and a number above nought: write COLUMN=12 for each.")
        given[name] = float(number)
    return given


def many(column: Column) -> float:
    """Return by what amounts are multiplied, as their name says: 10000 for 万元."""
    # Where cells say themselves that they are thousands, the name says it again.
    if any((cell := cells.NUMERAL.fullmatch(one)) and cell["multiple"] for one in column.samples):
        return 1.0
    inside = [letters.plain(one) for one in roles.in_brackets(column.name)]
    asian = [MANY_ASIAN.search(one) for one in (*inside, letters.plain(column.name))]
    words = [word for one in inside for word in re.findall(r"[^\W_]+", one)]
    words += [word for word in roles.normal(column.name).split() if len(word) > 3 or word in SHORT]
    numbers = {ASIAN[one[1]] for one in asian if one} | {MANY[word] for word in words if word in MANY}
    return numbers.pop() if len(numbers) == 1 else 1.0


class Units(NamedTuple):
    """In what a file's numbers are."""

    term_in: str | None
    """The unit of terms that have none in their cells."""
    rates_in: str
    """Whether interest rates are percent or fractions."""
    times: dict[str, float]
    """By what the numbers of columns are multiplied ..."""
    why: dict[str, str]
    """... and what says so."""
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
    term = term_in(table, columns, found, decimal, options.get("term_in"), path)
    told = told_times(columns, options.get("times") or ())
    money = {found[role]: many(columns[found[role]]) for role in MONEY if role in found} | told
    why = {name: "as told" if name in told else "as its name says" for name in money}
    scale = "percent"
    if "interest_rate" in found:
        name, rows = found["interest_rate"], table.head(rates.LOOKED_AT)
        months = _months(rows, found, decimal, term)
        repaid = None if months is None else _repayments(rows, columns, found, decimal, money, months)
        middle = None if months is None else float(months.median())
        rate = rates.scale(columns[name], told.get(name), options.get("rate_in"), path, middle, repaid)
        scale, money[name], why[name] = rate.rates_in, rate.times, rate.why
    times = {name: number for name, number in money.items() if number != 1}
    return Units(term, scale, times, why, currency(table, found, options.get("currency"), path))


def _months(
    rows: pd.DataFrame, found: Mapping[str, str], decimal: Mapping[str, str], unit: str | None
) -> pd.Series | None:
    """Return the terms of loans in months; None without any."""
    name = found.get("term_months")
    return None if name is None else cells.months(rows[name], decimal.get(name, "."), unit or "").meaning


def _repayments(
    rows: pd.DataFrame,
    columns: Mapping[str, Column],
    found: Mapping[str, str],
    decimal: Mapping[str, str],
    times: Mapping[str, float],
    months: pd.Series,
) -> rates.Repayments | None:
    """Return amounts, terms, rates and instalments of loans; None where they have no column of instalments."""
    name = next((one for one in map(str, rows) if roles.is_instalment(one)), None)
    if name is None or "amount" not in found:
        return None

    def numbers(one: str, factor: float) -> pd.Series:
        return factor * cells.numbers(rows[one], decimal.get(one, ".")).meaning

    amount = numbers(found["amount"], times.get(found["amount"], 1))
    paid = numbers(name, times.get(name, many(columns[name])))
    return rates.Repayments(name, amount, months, numbers(found["interest_rate"], 1), paid)


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


def studied(table: pd.DataFrame, of: tuple[str | None, str | None]) -> pd.Series:
    """Say which rows are in the currency that is studied (`currency`): all where there is but one."""
    kept, told = of
    if told is None:
        import pandas as pd

        return pd.Series(data=True, index=table.index)
    return currencies.of_cells(table[told]).eq(kept).fillna(value=False).astype(bool)


UNIT_COLUMN = re.compile(
    r"\b(?:term|tenor|tenure|duration|maturity|period|plazo|prazo|laufzeit)\b.*\b(?:unit|units|type|unidad|unidade|einheit)\b"
    r"|\b(?:unit|units|unidad|unidade)\b.*\b(?:term|tenor|tenure|duration|maturity|plazo|prazo)\b|期限单位|期限类型|期间单位"
)
"""Names of columns that say in which unit a loan's term is."""
FREQUENCY = re.compile(r"\bfrequency\b|\binterval\b|frecuencia|frequencia|还款频率|还款方式")
"""Names of columns that say how often instalments are due: where terms count instalments, their unit."""


def unit_column(table: pd.DataFrame, found: Mapping[str, str]) -> str | None:
    """Return the column that says in which unit each loan's term is, where the term's own cells do not."""
    if "term_months" not in found or cells.months(table[found["term_months"]]).marks:
        return None
    names = {str(name): roles.normal(str(name)) for name in table if name not in found.values()}
    counted = bool(COUNTED.search(roles.normal(found["term_months"])))
    named = [name for name, one in names.items() if UNIT_COLUMN.search(one) or (counted and FREQUENCY.search(one))]
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
    read, _ = ranges.inside("term_months", table[name], cells.months(table[name], decimal.get(name, ".")))
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
