"""Which column plays which role, told from its name and its cells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.core import params

if TYPE_CHECKING:
    from pipeline.studies.own.profile import Column

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
    return params.read(Path(__file__).with_name("roles.yaml"))


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


def normal(name: str) -> str:
    """Return a name as names are compared: lower case, words parted by single blanks, no punctuation, no units.

    >>> normal("Loan_Amount ($)"), normal("贷款金额（万元）")
    ('loan amount', '贷款金额')
    """
    text = unicodedata.normalize("NFKC", str(name))
    text = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", text) or text
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    # Chinese has no blanks; a blank beside a Chinese character means nothing.
    text = re.sub(r"[\W_]+", " ", text)
    return re.sub(r"(?<=[\u3400-\u9fff]) | (?=[\u3400-\u9fff])", "", text).strip()


def after_outcome(name: str) -> bool:
    """Say whether a column's name tells that it is filled only after the loan was paid out."""
    given = f" {normal(name)} "
    for mark in map(normal, _table()["after_outcome"]):
        if (mark in given) if re.search(r"[\u3400-\u9fff]", mark) else (f" {mark} " in given):
            return True
    return False


def _likeness(name: str, role: Role) -> int:
    """Return how well a column's name fits a role: 3 the same words, 2 the same letters, 1 a part, 0 not."""
    given = normal(name)
    if given in role.names:
        return 3
    if given.replace(" ", "") in {known.replace(" ", "") for known in role.names}:
        return 2
    chinese = [known for known in role.names if re.search(r"[\u3400-\u9fff]", known) and len(known) > 2]
    if any(known in given for known in chinese):
        return 1
    # "crm satisfaction score 2019" ends in years and begins in prefixes, but names of one short word say too little.
    several = [known for known in role.names if len(known) > 6 and not re.search(r"[\u3400-\u9fff]", known)]
    return int(any(f" {known} " in f" {given} " for known in several))


def _plausible(role: Role, column: Column) -> bool:
    """Say whether the cells of a column can be what the role asks for."""
    if column.kind == "empty":
        return False
    if role.name == "default":
        return column.states is not None
    if role.name == "treated":
        return column.kind == "flag"
    if role.kind == "number":
        return column.kind in ("number", "flag") or (column.kind == "scale" and role.section == "factors")
    if role.kind == "date":
        return column.kind == "date" or (column.kind == "number" and column.as_dates > 0.95)
    if role.kind == "category":
        return column.distinct <= 5000 and column.kind != "date"
    return True


def guess(columns: Mapping[str, Column], fixed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the likely column of each role, where there is one.

    `columns` are profiled columns by name, `fixed` maps roles to columns that are given. A column has one role and a
    role one column: better likenesses first, then the order of the roles and of the file. What is filled only after
    the outcome gets no role but ``default``.
    """
    found = dict(fixed or {})
    wishes = [
        (-likeness, place, position, role, name)
        for place, role in enumerate(roles().values())
        for position, (name, column) in enumerate(columns.items())
        if (likeness := _likeness(name, role))
        and _plausible(role, column)
        and (role.name == "default" or not after_outcome(name))
    ]
    for _, _, _, role, name in sorted(wishes, key=lambda wish: wish[:3]):
        if role.name not in found and name not in found.values():
            found[role.name] = name
    return found
