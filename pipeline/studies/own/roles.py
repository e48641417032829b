"""Which column plays which role, told from its name and its cells."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core import yaml
from pipeline.sources import cells, letters
from pipeline.sources.states import DEFAULT
from pipeline.studies.own.profile import MOST, Column

SECTIONS = ("outcome", "columns", "factors", "borrower", "market")
"""Where params.yaml asks for a role: default and treated by themselves, the others in mappings."""


class Role(NamedTuple):
    """What a column may be."""

    name: str
    section: str
    kind: str
    label: str
    names: tuple[str, ...]


@cache
def _table() -> dict[str, Any]:
    return yaml.read(Path(__file__).with_name("roles.yaml"))


@cache
def roles() -> dict[str, Role]:
    """Return every role by name, in the order in which params.yaml lists them."""
    return {
        name: Role(name, section, role["kind"], role["label"], tuple(map(normal, role["names"])))
        for section in SECTIONS
        for name, role in _table()[section].items()
    }


def of_section(section: str) -> list[str]:
    """Return the names of a section's roles."""
    return [role.name for role in roles().values() if role.section == section]


@cache
def normal(name: str) -> str:
    """Return a name as names are compared: lower case, words parted by single blanks, no punctuation, no units.

    >>> normal("Loan_Amount ($)"), normal("贷款金额（万元）")
    ('loan amount', '贷款金额')
    """
    text = unicodedata.normalize("NFKC", str(name))
    text = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", text) or text
    text = letters.plain(re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text))
    # Chinese has no blanks; a blank beside a Chinese character means nothing.
    text = re.sub(r"[\W_]+", " ", text)
    text = re.sub(r"(?<=[\u3400-\u9fff]) | (?=[\u3400-\u9fff])", "", text).strip()
    return re.sub(r"(?<=[\u3400-\u9fff])(?:百万|千万|万|千|亿)元$", "", text)


def after_outcome(name: str) -> bool:
    """Say whether a column's name tells that it is filled only after the loan was paid out."""
    given = f" {' / '.join(map(normal, _in_each_script(name)))} "
    for mark in map(normal, _table()["after_outcome"]):
        if (mark in given) if re.search(r"[\u3400-\u9fff]", mark) else (f" {mark} " in given):
            return True
    return False


def counts_days(name: str) -> bool:
    """Say whether a column's name tells that it counts days, or months, past due."""
    given = f" {' / '.join(map(normal, _in_each_script(name)))} "
    names = _table()["days_past_due"] + _table()["months_past_due"]
    return any((f" {one} " in given) or (one in given and not one.isascii()) for one in names)


def loses(name: str) -> bool:
    """Say whether a column's name tells that it holds what was lost of a loan."""
    return normal(name) in map(normal, _table()["losses"])


def late_in_months(name: str) -> bool:
    """Say whether a column's name tells that it counts months past due."""
    return any(one in normal(name) for one in _table()["months_past_due"])


UNIT_NAMES = {
    "day": "day", "week": "week", "month": "month", "year": "year",
    "tag": "day", "woche": "week", "monat": "month", "jahr": "year",
}  # fmt: skip
UNIT_WORDS = {
    letters.plain(word): unit
    for unit, words in {
        "day": "daily, diaria, diario, giorni, gun, ngay, hari, дней, дни, 日利率, 日息, 天数",
        "week": "weekly, semana, semanas, semanal, hafta, tuan, minggu, недель, 周数, 周利率",
        "fortnight": "fortnight, fortnights, fortnightly, biweekly, quincena, quincenas, quincenal",
        "month": "monthly, mensual, mensal, mensuel, mensile, monatlich, miesieczna, miesieczne, miesiecznie, mies, "
        "mes, meses, mois, mesi, aylik, ay, bulan, bulanan, thang, pm, p m, am, a m, tem, nmv, "
        "n m v, мес, месяцев, 月利率, 月息, 月费率, 月数",
        "year": "annual, annually, yearly, pa, p a, aa, a a, ea, e a, tea, "
        "anual, ano, anos, jahrlich, rok, lat, yil, yillik, nam, tahun, лет, год, "
        "年限, 年数, 年利率, 年化利率",
    }.items()
    for word in words.split(", ")
}


def unit_in(name: str) -> str:
    """Return the unit of time that a column's name tells: month, year, fortnight, week, day, or nothing."""
    # Names run words together: termdays, loan_term_months.
    given = normal(name)
    found = {UNIT_NAMES[part] for part in re.findall(rf"({'|'.join(UNIT_NAMES)})(?:s|e|en|n)?\b", given)}
    phrases = [re.sub(r"[\W_]+", " ", letters.plain(one)).strip() for one in in_brackets(name)]
    inside = {word for one in phrases for word in (one, *one.split())}
    found |= {UNIT_WORDS[word] for word in {*given.split(), *inside} if word in UNIT_WORDS}
    found |= {cells.UNITS[word] for word in inside if word in cells.UNITS}
    # Chinese has no blanks between words.
    found |= {unit for word, unit in UNIT_WORDS.items() if re.match(r"[\u3400-\u9fff]", word) and word in given}
    return found.pop() if len(found) == 1 else ""


def in_brackets(name: str) -> list[str]:
    """Return what stands in brackets in a name: units, mostly."""
    return [one.strip() for one in re.findall(r"[(（\[]([^()（）\[\]]+)[)）\]]", name)]


def _in_each_script(name: str) -> list[str]:
    """Return a name and, of one in two scripts such as शाखा (Branch), what stands in each."""
    parts = re.split(r"[()（）\[\]|\n]|\s/\s", str(name))
    letters_of = [{unicodedata.name(one, "").partition(" ")[0] for one in part if one.isalpha()} for part in parts]
    found = [part for part, scripts in zip(parts, letters_of, strict=True) if len(scripts) == 1]
    return [str(name), *found] if len(set().union(*letters_of)) > 1 else [str(name)]


@cache
def _words(name: str) -> frozenset[str]:
    """Return the words of a name without its abbreviations and those that say nothing."""
    short, idle = _table()["abbreviations"], _table()["idle"]
    words = [short.get(word, word) for word in re.sub(r"^no of ", "number of ", name).split()]
    return frozenset(word for one in words for word in one.split() if word not in idle) or frozenset(words)


class _Known(NamedTuple):
    """What names of a role are compared with."""

    letters: frozenset[str]
    words: frozenset[frozenset[str]]
    parts: re.Pattern[str]
    """Names that tell even as a part of a longer one: "crm satisfaction score 2019" ends in years and begins in
    prefixes, but names of one short word say too little."""


@cache
def _known(role: str) -> _Known:
    names = roles()[role].names
    chinese = [re.escape(one) for one in names if re.search(r"[\u3400-\u9fff]", one) and len(one) > 2]
    vague = _table()["vague"]
    several = [one for one in names if len(one) > 6 and one not in vague and not re.search(r"[\u3400-\u9fff]", one)]
    if roles()[role].kind == "key":
        # The satisfaction of a client names nobody: one word alone says too little.
        several = [one for one in several if " " in one or len(one) > 9]
    parts = re.compile("|".join([*chinese, *(rf"\b{re.escape(one)}\b" for one in several)]) or r"(?!)")
    return _Known(frozenset(one.replace(" ", "") for one in names), frozenset(map(_words, names)), parts)


@cache
def likeness(name: str, role: str) -> int:
    """Return how well a column's name fits a role's.

    4 the same words, 3 the same letters, 2 the same words written out or in another order, 1 a part, 0 not.
    Of a name in two scripts that which fits best counts.
    """
    return max(_fits(normal(one), role) for one in _in_each_script(name))


def _fits(given: str, role: str) -> int:
    known = _known(role)
    if given in roles()[role].names:
        return 4
    if given.replace(" ", "") in known.letters:
        return 3
    words = _words(given)
    if roles()[role].section == "borrower" or role == "region":
        words = words - frozenset(_table()["of_the_borrower"]) or words
    if role in ("term_months", "interest_rate"):
        words = (
            frozenset(word for word in words if word.rstrip("s") not in UNIT_NAMES and word not in UNIT_WORDS) or words
        )
    if words in known.words:
        return 2
    return int(bool(known.parts.search(given)))


LIKE = {4: "its name", 3: "the letters of its name", 2: "the words of its name", 1: "a part of its name"}
"""Why a column was taken for a role."""

BY_CELLS = {"credit_score": "its name and its many numbers", "credit_grade": "its name and its few words"}
"""The same for a grade that holds a score, and the other way round."""

ENDINGS = ("default_date", "closing_date")
"""Roles of dates on which loans ended: they tell which were open at a landmark, and are no covariates."""

SUMS = ("amount", "term_months", "income", "credit_score", "interest_rate", "assets", "savings")
"""Roles of numbers with more than two values, in most rows."""


CLIENTS = re.compile(r"\b(client|customer|borrower|employer)s?\b")
"""Names of banks and places that are no lender's."""

SINCE = ("age", "relationship_length", "credit_history_years", "employment_length")
"""Roles of lengths of time: where their column holds dates, the years from these to the loan."""

MOST_PLACES = 100
MOST_GRADES = 20
"""Different numbers beyond which they are a score, whatever it is called; so few words called a score are grades."""

MOST_ARMS = 12
"""Values of a column from which on it cannot say who was treated."""

COUNTED = re.compile(r"(?:次数|数量|个数|人数|笔数|天数|金额|余额)$")
"""How names of counts and sums end, whatever they begin with: 客户经理走访次数 names no officer."""

DEBT = re.compile(r"debt|loan|credit|owed|overdraft|outstanding|revol|负债|贷款")
"""Names of balances that are owed, not saved."""


def against(role: Role, column: Column) -> str:
    """Return why the cells of a column cannot be what a role asks for; empty where they can."""
    if column.kind == "empty":
        return "every cell is empty"
    if role.name == "default":
        return "" if any(state.read_as == DEFAULT for state in column.states) else "no value is a state of default"
    if role.name == "treated":
        told = f": say --treated {shlex.quote(column.name)}, and --treated-when with those of loans that were reached"
        few = told if column.distinct <= MOST_ARMS else ""
        return "" if column.kind == "flag" else f"{column.distinct:,} values are not yes and no{few}"
    if role.name == "loan_id":
        return "" if column.unique else f"{column.distinct:,} values do not tell every row from all others"
    if role.name in SINCE and column.kind == "date":
        return ""
    if role.name == "credit_grade" and column.kind == "number" and column.distinct > MOST_GRADES:
        return f"{column.distinct:,} different numbers are a score, not grades"
    if role.kind == "category" and COUNTED.search(normal(column.name)):
        return "its name is that of a count"
    if role.name == "institution_id" and CLIENTS.search(normal(column.name)):
        return "its name is that of something of the client's"
    if role.name == "savings" and DEBT.search(normal(column.name)):
        return "its name is that of a debt"
    if role.name == "savings" and likeness(column.name, "savings") == 1 and "balance" in normal(column.name):
        return "its name does not say that the balance is saved, not owed"
    if role.name in SUMS and {"log", "ln"} & set(normal(column.name).split()):
        return "its name is that of a logarithm"
    sums = {*SUMS, "revolving_utilisation"} - {"term_months"}
    if role.name in sums and "number" in _words(normal(column.name)):
        return "its name is that of a count"
    if role.name == "interest_rate" and _codes(column):
        return f"1 to {column.distinct} are codes"
    if role.name in SUMS and column.kind in ("number", "flag"):
        if column.kind == "flag":
            return "only two values"
        if column.missing > 0.5:
            return f"{100 * column.missing:.0f}% of the cells are empty"
    numbers = ("number", "flag", *(("scale",) if role.section == "factors" else ()))
    if role.kind == "number" and column.kind not in numbers:
        return "its cells are no numbers"
    if role.kind == "date" and column.kind != "date" and column.as_dates < MOST:
        if {"day_first", "month_first"} <= set(column.marks):
            return "some cells name the day first and others the month, so that no order reads all: write them in one"
        return "its cells are no dates"
    if role.name in ("income", "assets", "savings", "employees", "age") and column.kind == "category":
        return "words in place of numbers" if column.distinct > 50 else ""
    if role.kind == "category" and (column.distinct > 5000 or column.kind == "date"):
        return "dates" if column.kind == "date" else f"{column.distinct:,} different values"
    return ""


def _by_cells(role: str, column: Column) -> int:
    """Return the likeness of a column that is called a grade and holds a score, or the other way round; nought else."""
    if role == "credit_score" and column.kind == "number" and column.distinct > MOST_GRADES:
        return min(2, likeness(column.name, "credit_grade"))
    if role == "credit_grade" and column.kind == "category" and column.distinct <= MOST_GRADES:
        return min(2, likeness(column.name, "credit_score"))
    return 0


def _codes(column: Column) -> bool:
    """Say whether the numbers of a column are 1, 2, 3 and so on."""
    return 2 < column.distinct <= 10 and {state.value for state in column.states} == {
        str(number) for number in range(1, column.distinct + 1)
    }


def fits(role: Role, column: Column) -> bool:
    """Say whether a column has the name of a role, and cells that may be what it asks for."""
    return likeness(column.name, role.name) > 1 and not against(role, column)


class Guess(NamedTuple):
    """Which columns were taken for which roles, and why."""

    found: dict[str, str]
    """The column of each role."""
    reasons: dict[str, str]
    """Why, by role."""
    refused: list[tuple[str, str, str]]
    """Columns that have a role's name and were not taken: column, role, why not."""


def guess(columns: Mapping[str, Column], fixed: Mapping[str, str] | None = None) -> Guess:
    """Return the likely column of each role, where there is one.

    `columns` are profiled columns by name, `fixed` maps roles to columns that are given. A column has one role and a
    role one column: better likenesses first, of these the fuller column, the longer name, and the order of roles and
    of the file. What is filled only after the outcome gets no role but ``default``.
    """
    found = dict(fixed or {})
    reasons = dict.fromkeys(found, "as told")
    wishes, refused = [], []
    for place, role in enumerate(roles().values()):
        for position, (name, column) in enumerate(columns.items()):
            of_label = min(2, likeness(column.label, role.name)) if column.label else 0
            like = max(likeness(name, role.name), of_label, by_cells := _by_cells(role.name, column))
            if not like or (role.name not in ("default", *ENDINGS) and after_outcome(name)):
                continue
            if why := against(role, column):
                refused.append((name, role.name, why))
            else:
                given = normal(name)
                # Of places, those that many loans share.
                wide = role.name == "region" and column.distinct > MOST_PLACES
                # A loan is granted before its first payment.
                wide |= role.name == "origination_date" and "payment" in given
                order = (wide, -like, column.missing > 0.5, place, round(column.missing, 1))
                order += (given != role.name.replace("_", " "), -len(given), position)
                why = f"its label, {column.label}" if not likeness(name, role.name) else LIKE[like]
                wishes.append((order, role.name, name, BY_CELLS[role.name] if by_cells == like else why))
    for _, role_name, name, why in sorted(wishes):
        if role_name not in found and name not in found.values():
            found[role_name], reasons[role_name] = name, why
        elif name not in found.values():
            refused.append((name, role_name, f"{found[role_name]} fits better"))
    for role_name in SINCE:
        name = found.get(role_name)
        if name and columns[name].kind == "date" and "origination_date" not in found and role_name not in (fixed or {}):
            refused.append((found.pop(role_name), role_name, "dates, and no date of origination to count from"))
    taken = set(found.values())
    # Columns that are called after a state, and hold none, are many.
    said = [one for one in refused if one[0] not in taken and (one[1] != "default" or "better" in one[2])]
    return Guess(found, reasons, said)


def is_due_date(name: str) -> bool:
    """Say whether a column's name is that of the date on which a loan is to be repaid."""
    return normal(name) in _table()["due_date"]


def is_instalment(name: str) -> bool:
    """Say whether a column's name is that of what is to be paid each month."""
    return normal(name) in _table()["instalment"]
