"""The first reading of a reader's file: its form, its columns, their roles and the outcome; or what has to be asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates, states, tabular
from pipeline.studies.own import (
    arms,
    doubts,
    folder,
    months,
    opening,
    outcome,
    panel,
    profile,
    ranges,
    roles,
    units,
    writing,
)
from pipeline.studies.own.profile import Column
from pipeline.studies.own.questions import Question
from pipeline.studies.own.section import Draft

if TYPE_CHECKING:
    import pandas as pd

TERMS_ARE_THIRDS = (0.5, 0.95)
"""Share of whole quarters among months: terms of loans are 6, 12 or 36, while of the months that clients stay a third
is such by chance. Below the first it is no term, from the second on it is one."""


def draft(name: str, options: Mapping[str, Any]) -> Draft:
    """Return what a study of a reader's file would be.

    `name` is the study's, `options` are those of `init-study`. Raises a Question for what cannot be read for certain,
    and a StudyError when the file cannot be read or holds no outcome.
    """
    path = tabular.path_of(options["data"])
    options = {**options, "header": writing.header(options.get("names") or (), path)}
    tables, form, table, others, whole, aside = opening.opened(path, options)
    decimal = writing.decimals(table, form, options.get("decimal") or [], path)
    monthly = panel.of_loans(table, path) if tables is None else None
    first = table if monthly is None else panel.first_rows(table, monthly)
    columns = others | profile.profile(first, decimal, {} if tables else tabular.labels_of(path, form))
    fixed = _told(options, columns, path)
    if monthly is not None:
        fixed["loan_id"] = monthly.loan
        columns |= _of_all_months(table, columns, fixed.get("default"))
    offered = {name: one for name, one in columns.items() if monthly is None or not panel.of_course(name, monthly)}
    guessed = _guessed(table, columns, offered, fixed, options, path)
    default = guessed.found["default"]
    place, loan = f"{path}, column {default}", monthly and table[monthly.loan]
    table, options = _with_what_is_told(table, guessed.found, options, decimal, path, tables)
    made = [guessed.found[role] for role in options["made"]]
    columns = columns | profile.profile(table[made], decimal)
    read = outcome.read(table[default], columns[default], options, place, loan)
    measured = units.of(table, columns, guessed.found, decimal, options, path)
    kept, left = _counted(table, guessed.found, measured.currency, single=monthly is None)
    read = read.among(table.loc[kept, default], None if loan is None else loan[kept])
    if monthly is None:
        aside += outcome.beside(read, table, columns, guessed.found, place)
        doubts.ask_repeated(offered, guessed.found, table, path)
        doubts.refuse_told(guessed, fixed, table, read.meaning(table[default]), decimal)
    late = next((name for name in columns if roles.counts_days(name) and name != default), None) if monthly else None
    if (day_first := tables.day_first if tables else None) is None:
        day_first = writing.day_first(table, columns, guessed.found, options.get("day_first"), path)
    columns |= writing.dated(first, columns, guessed.found, day_first, path)
    ends = tables.ends if tables else monthly and outcome.ends(table[kept], read, monthly.loan, monthly.order[kept])
    landmark = _landmark(monthly, ends, guessed.found, tables)
    ends = _dated_ends(ends, table[kept], read, guessed.found, day_first=day_first)
    if options.get("horizon") and ends is None:
        raise StudyError(f"{path}: nothing dates default (no table of months, no date of default): leave --horizon.")
    return Draft(
        name=name,
        file=file_of(path),
        form=form,
        header=options["header"],
        lost=options.get("lost"),
        term_unit=options["term_unit"],
        rows=len(table),
        whole=whole,
        decimal=decimal,
        columns=columns,
        guessed=guessed,
        outcome=read,
        day_first=day_first,
        units=measured,
        panel=monthly.month if monthly else None,
        late=late,
        notes=[*aside, *left, *_notes(first, columns, guessed.found, decimal)],
        landmark=landmark,
        ends=ends,
        horizon=options.get("horizon"),
        arms=arms.told(table, guessed.found.get("treated"), options.get("treated_when") or [], path),
        undated=_undated(guessed.found, landmark, tables),
        tables=tables,
    )


def _counted(
    table: pd.DataFrame, found: Mapping[str, str], currency: tuple[str | None, str | None], *, single: bool
) -> tuple[pd.Series, list[str]]:
    """Say which rows count, without other currencies and copies of rows of `single` loans; and sentences on the others.

    `found` are columns by role, `currency` is the one that is studied, and the column that tells it.
    """
    kept, said = units.studied(table, currency), []
    if others := int((~kept).sum()):
        said.append(
            f"{others:,} loans whose {currency[1]} is not {currency[0]} are left out, and stand in no count above: "
            "own.currency."
        )
    if single and "loan_id" in found:
        copies = table[list(dict.fromkeys(found.values()))].duplicated()
        said += [f"Rows that are copies of others, and count once: {int(copies.sum()):,}."] if copies.any() else []
        kept &= ~copies
    return kept, said


def _with_what_is_told(
    table: pd.DataFrame,
    found: Mapping[str, str],
    options: Mapping[str, Any],
    decimal: Mapping[str, str],
    path: Path,
    tables: folder.Folder | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the loans with what other columns say of the outcome and the term, and what the reader has said of values.

    Parameters
    ----------
    table, found, decimal
        The rows, the columns of roles, and decimal marks.
    options, path, tables
        What the reader has said, the file, and the tables of a folder.

    """
    lost = options.get("lost")
    if lost and lost not in table:
        raise StudyError(f"{path} has no column '{lost}' (--lost): it has {', '.join(list(table)[:40])}.")
    options = {**options, "losses": outcome.losses(table), "term_unit": units.unit_column(table, found), "made": []}
    if unit := options["term_unit"]:
        term = found["term_months"]
        table = table.assign(**{term: units.with_units(table[term], table[unit])})
        options["made"].append("term_months")
    if lost:
        options["made"].append("default")
        default = found["default"]
        table = table.assign(**{default: outcome.with_losses(table[default], table[lost], decimal.get(lost, "."))})
    if tables and any(link.bad for link in tables.links):
        # It is said of the months.
        options |= dict.fromkeys(outcome.GIVEN)
    return table, options


def _guessed(
    table: pd.DataFrame,
    columns: Mapping[str, Column],
    offered: Mapping[str, Column],
    fixed: Mapping[str, str],
    options: Mapping[str, Any],
    path: Path,
) -> roles.Guess:
    """Return which column plays which role, the outcome among them.

    Parameters
    ----------
    table, columns
        The rows, and what each column holds.
    offered
        Those of the columns that may have a role.
    fixed
        Columns of roles that are known.
    options, path
        What the reader has said, and the file, for messages.

    Raises
    ------
    StudyError
        When no column is the outcome, or several have the name of one.

    """
    tenure = _tenure(table, offered, fixed, path)
    guessed = roles.guess(offered, {**fixed, **tenure})
    named = _called_as_outcome(columns, options.get("default_at_least"), months=len(offered) < len(columns))
    if "default" not in guessed.found and named:
        # What its values mean is told, or asked for.
        guessed = roles.guess(offered, {**fixed, **tenure, "default": named})
    if "default" not in guessed.found:
        _no_outcome(path, table, columns)
    if twice := [name for name in map(_without_number, guessed.found.values()) if f"{name} (2)" in columns]:
        raise StudyError(f"{path} has several columns '{twice[0]}': rename or remove all but one.")
    doubts.refuse_adoption(guessed, fixed, table)
    if "loan_id" in fixed and not options.get("role"):
        guessed.reasons["loan_id"] = "its rows are months"
    guessed.reasons.update(dict.fromkeys(tenure, "the lengths in its cells"))
    if "default" not in fixed and guessed.reasons["default"] == "as told":
        guessed.reasons["default"] = "its name" if roles.likeness(guessed.found["default"], "default") else "its values"
    return guessed


def _told(options: Mapping[str, Any], columns: Mapping[str, Column], path: Path) -> dict[str, str]:
    """Return the columns of roles as the reader has told them."""
    told = {role: options[role] for role in ("default", "treated") if options.get(role)}
    for one in options.get("role") or ():
        role, _, column = one.partition("=")
        if role not in roles.roles():
            raise StudyError(f"--role {one}: '{role}' is no role: write ROLE=COLUMN with {', '.join(roles.roles())}.")
        told[role] = column
    for role, column in told.items():
        if column not in columns:
            option = role if options.get(role) == column else "role"
            raise StudyError(f"{path} has no column '{column}' (--{option}): it has {', '.join(list(columns)[:40])}.")
    return told


def _tenure(table: pd.DataFrame, columns: Mapping[str, Column], fixed: Mapping[str, str], path: Path) -> dict[str, str]:
    """Return the role of a column that is merely called tenure: in India the term of a loan, elsewhere the client's.

    What another column plays, this one does not; otherwise its cells decide, or it is a Question.
    """
    name = next((one for one in columns if roles.normal(one) in ("tenure", "tenure months", "tenure in months")), None)
    if name is None or name in fixed.values():
        return {}
    both = ("term_months", "relationship_length")
    played = [
        role
        for role in both
        if role in fixed or any(one != name and roles.fits(roles.roles()[role], columns[one]) for one in columns)
    ]
    if played:
        return {role: name for role in both if role not in played}
    months = cells.months(table[name]).meaning.dropna()
    whole = float(((months % 3 == 0) & (months > 0)).mean()) if len(months) else 0.0
    if TERMS_ARE_THIRDS[0] <= whole < TERMS_ARE_THIRDS[1]:
        raise Question(
            f"{path}, column {name} may hold the terms of loans or how long clients have been with the lender: say "
            f"with --role 'term_months={name}' or --role 'relationship_length={name}'.",
            "role",
            f"What it holds: 'term_months={name}' or 'relationship_length={name}'",
        )
    return {both[whole < TERMS_ARE_THIRDS[0]]: name}


def _landmark(
    monthly: panel.Panel | None,
    ends: pd.DataFrame | None,
    found: Mapping[str, str],
    tables: folder.Folder | None,
) -> tuple[int, list[str]] | None:
    """Return the landmark's month and the factors that are measured up to it; None where there are none."""
    if tables is not None:
        factors = [role for role in roles.of_section("factors") if tables.dated.get(found.get(role, "")) == "landmark"]
        return (tables.landmark, factors) if tables.landmark and factors else None
    factors = [role for role in months.EVENTS if role in found]
    if monthly is None or ends is None or not factors:
        return None
    last = months.landmark(ends)
    return (last, factors) if last else None


def _dated_ends(
    ends: Any, table: pd.DataFrame, read: outcome.Outcome, found: dict[str, str], *, day_first: bool | None
) -> Any:
    """Return when loans ended, where dates tell it; dates that tell nothing more lose their roles in `found`."""
    if ends is None and {"default_date", "loan_id", "origination_date"} <= set(found):
        return outcome.ends_by_dates(table, read, found, day_first)
    for role in roles.ENDINGS:
        found.pop(role, None)
    return ends


def _notes(
    table: pd.DataFrame, columns: Mapping[str, Column], found: Mapping[str, str], decimal: Mapping[str, str]
) -> list[str]:
    """Return what is done to numbers that cannot stand as they are, in sentences.

    `columns` are profiles of the `table`, `found` are columns by role, `decimal` their decimal marks.
    """
    said, coded = [], []
    for role, name in found.items():
        if columns[name].kind == "date":
            for day, rows in dates.placeholders(table[name]).items():
                said.append(f"{name}: {day} ({rows:,} rows) lies far from all other dates, so it stands for no date.")
            continue
        if role not in (*ranges.OF_NUMBERS, "satisfaction"):
            continue
        numbers = cells.numbers(table[name], decimal.get(name, "."))
        if role in (*ranges.CODED, *ranges.BANDS) and ranges.coded(role, numbers):
            coded.append(name)
        elif role not in (*ranges.CODED, "savings"):
            said.append(ranges.inside(role, table[name], numbers)[1])
    if coded:
        said.append(f"Numbers of {', '.join(coded)} are codes of answers, so they are levels of categories.")
    return [one for one in said if one]


def _undated(
    found: Mapping[str, str], landmark: tuple[int, list[str]] | None, tables: folder.Folder | None
) -> list[str]:
    """Return the factors that are recorded as they happen, and that nothing dates: they may follow from trouble."""
    dated, late = tables.dated if tables else {}, landmark[1] if landmark else []
    return [
        role
        for role in roles.of_section("factors")
        if role in found and role not in late and not dated.get(found[role], "" if role in months.EVENTS else "loan")
    ]


def _called_as_outcome(columns: Mapping[str, Column], at_least: float | None, *, months: bool) -> str | None:
    """Return the first column with an outcome's name and few values, or of days past due where their limit is told."""
    for name, column in columns.items():
        if at_least is not None and column.kind in ("number", "flag") and roles.counts_days(name):
            return name
        few = 1 < column.distinct <= profile.MOST_STATES and column.kind != "date"
        if few and roles.likeness(name, "default") > 1 and not roles.likeness(name, "region"):
            return name
    # Whatever its name: one column that names states of loans, default and repayment among them, and nothing else.
    told = [name for name, column in columns.items() if _names_states(column, months=months)]
    return told[0] if len(told) == 1 else None


def _names_states(column: Column, *, months: bool) -> bool:
    kinds = {states.meaning_of(state.value) for state in column.states}
    return (
        "" not in kinds
        and "default" in kinds
        and bool(kinds & {"repaid", "performing", *(("running",) if months else ())})
    )


def _of_all_months(table: pd.DataFrame, columns: Mapping[str, Column], told: str | None) -> dict[str, Column]:
    """Return the profiles of columns that may be the outcome, over all months: in the first no loan is in default."""
    likely = [name for name in columns if roles.likeness(name, "default") or roles.counts_days(name) or name == told]
    words = [name for name in columns if name not in likely and table[name].nunique() <= profile.MOST_STATES]
    named = {
        name: column for name, column in profile.profile(table[words]).items() if _names_states(column, months=True)
    }
    return profile.profile(table[likely]) | named


def _without_number(name: str) -> str:
    """Return the name that a column shares with those before it."""
    return re.sub(r" \(\d+\)$", "", name)


def file_of(path: Path) -> str:
    """Return a path as it is written down: inside the repository as seen from its root, so that a copy works."""
    if "${" in str(path):
        raise StudyError(f"{path}: DVC would take what follows $ for a parameter: rename the file or its folder.")
    inside = path.resolve().is_relative_to(Path.cwd().resolve())
    return path.resolve().relative_to(Path.cwd().resolve()).as_posix() if inside else os.path.abspath(path)  # noqa: PTH100


def _no_outcome(path: Path, table: pd.DataFrame, columns: Mapping[str, Column]) -> None:
    for name, column in columns.items():
        if column.kind == "number" and roles.counts_days(name):
            # Asks from how many days on.
            outcome.read(table[name], column._replace(distinct=profile.MOST_STATES + 1), {}, f"{path}, column {name}")
    if dated := [
        name for name, column in columns.items() if column.missing and roles.fits(roles.roles()["default_date"], column)
    ]:
        raise Question(
            f"{path}: no column was recognised as the outcome. {dated[0]} holds dates of default: say --default "
            f"{dated[0]} if loans with one are in default and all others are not, running ones too.",
            "default",
            "The column that says which loans defaulted",
        )
    # Those that are called as outcomes are, and then those of few values, are the likeliest.
    likely = sorted(columns, key=lambda name: (
        not roles.likeness(name, "default") and not roles.counts_days(name),
        not 1 < columns[name].distinct <= profile.FEW_LEVELS,
        columns[name].distinct != 2,
    ))  # fmt: skip
    shown = [f"{name} ({', '.join(columns[name].levels[:6] or columns[name].samples)})" for name in likely[:25]]
    raise Question(
        f"{path}: no column was recognised as the outcome: name it with --default, and codes that mean default with "
        f"--default-when; it is one of {'; '.join(shown)}"
        f"{f' and {len(likely) - 25} more' if len(likely) > 25 else ''}."
        + (" It has no line of names: give them with --names FILE, in their order." if "column 1" in columns else ""),
        "default",
        "The column that says which loans defaulted",
    )
