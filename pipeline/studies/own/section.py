"""A new study of a reader's own file: its choices, its line in the list of studies, its data dictionary."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.runtime.errors import StudyError
from pipeline.sources.states import DEFAULT, LEFT_OUT, REPAID
from pipeline.sources.tables import Form
from pipeline.studies.own import roles
from pipeline.studies.own.folder import Folder
from pipeline.studies.own.outcome import Outcome
from pipeline.studies.own.profile import Column
from pipeline.studies.own.roles import Guess
from pipeline.studies.own.units import Units

if TYPE_CHECKING:
    import pandas as pd


class Draft(NamedTuple):
    """What `init-study` knows of a file when it writes the choices."""

    name: str
    file: str
    form: Form
    rows: int
    """Rows that were looked at ..."""
    whole: bool
    """... and whether there are no others."""
    decimal: Mapping[str, str]
    """Decimal marks other than a point, by column."""
    columns: Mapping[str, Column]
    """Profiles by column."""
    guessed: Guess
    outcome: Outcome
    day_first: bool | None
    units: Units
    header: Mapping[str, Sequence[str]] = MappingProxyType({})
    """Names of columns that the reader gave, by the file."""
    lost: str | None = None
    """The column that says of which loans money was lost, beside the outcome's."""
    term_unit: str | None = None
    """The column that says in which unit each term is."""
    panel: str | None = None
    """The column of months, of a file with a row a loan and month."""
    late: str | None = None
    """That of days past due in it."""
    landmark: tuple[int, list[str]] | None = None
    """The month up to which count the factors that come after origination, and these."""
    tables: Folder | None = None
    """What was joined, where the loans stand in a folder of tables."""
    notes: list[str] = []  # noqa: RUF012  # nobody changes it
    """What is done to numbers that cannot stand as they are."""
    ends: pd.DataFrame | None = None
    """How loans ended, where months or dates tell it ..."""
    horizon: int | None = None
    """... and the months within which default counts."""
    arms: tuple[list[str], list[str]] = ([], [])
    """Values that mean treated and untreated, where they are not yes and no."""
    undated: list[str] = []  # noqa: RUF012  # nobody changes it
    """Factors that are recorded as they happen, without anything that says when."""

    @property
    def found(self) -> Mapping[str, str]:
        """Return the column of every role that was found or given."""
        return self.guessed.found

    @property
    def followed(self) -> bool:
        """Return whether loans are followed month by month."""
        return bool(self.panel or (self.tables and self.tables.followed))

    def column(self, role: str) -> Column | None:
        """Return the profile of a role's column."""
        return self.columns[self.found[role]] if role in self.found else None


def scalar(value: Any) -> str:
    """Return a value as YAML 1.1 and 1.2 both read it: quoted unless it is plainly text; None is left blank."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    words = {"yes", "no", "true", "false", "null", "on", "off", "y", "n", "none", "nan", "inf"}
    plainly = re.fullmatch(r"[A-Za-z/\u3400-\u9fff][\w ./()\u3400-\u9fff-]*", value)
    if plainly and value.lower() not in words and value == value.strip():
        return value
    return "'" + value.replace("'", "''") + "'"


def _written(value: Any, indent: int) -> str:
    """Return what follows a key that is indented so far: a scalar, or further lines."""
    pad = "\n" + " " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}  {scalar(key)}:{_written(inner, indent + 2)}" for key, inner in value.items()) or " {}"
    if isinstance(value, list):
        items = (_written(one, indent).strip() if isinstance(one, dict) else scalar(one) for one in value)
        return "".join(f"{pad}- {item}" for item in items) or " []"
    return f" {scalar(value)}".rstrip()


def choices(draft: Draft) -> str:
    """Return the study's own params.yaml: every role, filled in where its column was found."""
    found, outcome, form = draft.found, draft.outcome, draft.form
    mapped = {name: {role: found.get(role) for role in roles.of_section(name)} for name in roles.SECTIONS}
    values = {
        "file": draft.file,
        "loans": draft.tables.loans if draft.tables else None,
        "tables": [link._asdict() for link in draft.tables.links] if draft.tables else [],
        "sheet": form.sheet,
        "encoding": form.encoding,
        "separator": form.separator,
        "names": form.names,
        "header": {name: list(names) for name, names in draft.header.items()},
        "decimal": dict(draft.decimal),
        "times": dict(draft.units.times),
        "currency": draft.units.currency[0],
        "currency_column": draft.units.currency[1],
        "day_first": draft.day_first,
        "panel": draft.panel,
        "late": draft.late,
        "columns": mapped["outcome"] | mapped["columns"],
        "default_when": outcome.words(DEFAULT),
        "repaid_when": outcome.words(REPAID),
        "left_out_when": outcome.words(LEFT_OUT),
        "default_at_least": outcome.at_least,
        "default_dated": outcome.dated,
        "lost": draft.lost,
        "treated_when": draft.arms[0],
        "untreated_when": draft.arms[1],
        "interest_rate_in": draft.units.rates_in,
        "term_unit": draft.term_unit,
        "term_in": draft.units.term_in,
        "factors": mapped["factors"],
        "borrower": mapped["borrower"],
        "market": mapped["market"],
        "landmark": dict(zip(("months", "factors"), draft.landmark, strict=True)) if draft.landmark else None,
        "horizon_months": draft.horizon,
        "undated": draft.undated,
    }
    text = Path(__file__).with_name("choices.yaml").read_text(encoding="utf-8")
    text = text.replace("<title>", draft.file.rsplit("/", 1)[-1])
    return re.sub(r"^( *)(\w+:) <(\w+)>$", lambda at: f"{at[1]}{at[2]}{_written(values[at[3]], len(at[1]))}", text,
                  flags=re.MULTILINE)  # fmt: skip


def with_study(text: str, draft: Draft) -> str:
    """Return params.yaml with a study added to its lists; the rest stays as it is, byte for byte."""
    text = _added(text, "owned", f"    {draft.name}:\n      file: {scalar(draft.file)}\n")
    kinds = {"followed": draft.followed, "designed": "adoption_date" in draft.found}
    for kind in (name for name, belongs in kinds.items() if belongs):
        text = _added(text, kind, f"    {draft.name}: {{}}\n")
    return text


def _added(text: str, kind: str, entry: str) -> str:
    lines = text.splitlines(keepends=True)
    place = next((at for at, line in enumerate(lines) if re.match(rf"  {kind}:(?:\s|$)", line)), None)
    if place is None:
        raise StudyError(f"params.yaml has no line `{kind}:` in its list of studies: nothing was written.")
    lines[place] = re.sub(r"\s*\{\s*\}", "", lines[place])
    if not re.fullmatch(r" *\w+:(?: +&\w+)?\s*(?:#.*\s*)?", lines[place]):
        raise StudyError(f"params.yaml holds the studies of `{kind}:` in one line: give each a line of its own.")
    end = place + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    lines.insert(end, entry)
    return "".join(lines)
