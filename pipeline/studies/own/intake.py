"""From a reader's file to columns by role: reading, typing, and saying which cell cannot be what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates, tabular
from pipeline.sources.tables import LONGEST_WHOLE, Form, Table
from pipeline.studies.own import folder, roles
from pipeline.studies.own.choices import KEYS, Own, checked, unused
from pipeline.studies.own.joining import MONTHS, Link, joined
from pipeline.studies.own.panel import collapse

MOSTLY_NUMBERS = 0.95
"""Share of a column's cells that must be numbers for it to count as one; the stray others are quarantined."""


class Intake(NamedTuple):
    """A file's columns by role."""

    loans: pd.DataFrame
    """One row a row of the file: a typed column a mapped role, ``row`` (its line, the names being the first) and
    ``fault`` (what is wrong with it, empty if nothing is)."""
    columns: pd.DataFrame
    """One row a mapped role: ``role, column, file``."""
    unused: list[str]
    """Columns that have a role and that nothing of the study uses."""
    ends: pd.DataFrame | None = None
    """When loans left, of a file with a row a loan and month (`panel.Collapsed`)."""


def intake(study: Study, where: str) -> Intake:
    """Read the columns that have a role and give each the type of its role.

    `where` names the file of the study's choices, for messages. Raises StudyError when the file cannot be read,
    lacks a column, or when its outcome is not told by the words that params.yaml sorts.
    """
    own: Own = checked(Own, study.own, "own", where)
    path = tabular.path_of(own.file)
    mapped = own.mapped()
    wanted = dict.fromkeys([*mapped.values(), *([own.panel] if own.panel else [])])
    form, table = _read(path, own, None if own.loans else list(wanted))
    raw = table.frame.reset_index(drop=True)
    for link in [Link(**one) for one in own.tables]:
        _, other = folder.table(path, link.file)
        raw = joined(raw, other, link, day_first=own.day_first, horizon=study.horizon_months)
    if missing := [name for name in wanted if name not in raw]:
        raise StudyError(f"{path} and the tables beside it have no column '{missing[0]}': correct it in {where}.")
    # The first lines hold the names. In Excel and text with broken lines the count may be short by those.
    row = pd.Series(np.arange(form.first, len(raw) + form.first), raw.index)
    typed: dict[str, pd.Series] = {}
    faults = pd.Series("", raw.index, dtype="string")
    for role, name in mapped.items():
        column, place = raw[name], f"{path}, column {name}"
        if role in ("default", "treated"):
            typed[role] = (_outcome if role == "default" else _arms)(column, own, row, place, where)
            continue
        if form.kind == "excel" and role in KEYS:
            _whole(column.astype(float) if pd.api.types.is_numeric_dtype(column) else column, place)
        read, what = meaning(role, column, own, place, where)
        if role in roles.SINCE and own.columns.get("origination_date"):
            granted = dates.read(raw[own.columns["origination_date"]], own.day_first).meaning
            read = _years_before(granted, column, own) or read
        typed[role] = read.meaning
        if read.wrong.any():
            told = f"{name}: '" + column[read.wrong].astype(str) + f"' is no {what}; "
            faults.loc[read.wrong] = faults[read.wrong] + told.astype("string")
        sample = cells.plain(column).dropna()
        if len(sample) and not read.meaning.notna().any():
            raise StudyError(
                f"{path}, row {row[sample.index[0]]}, column {name}: '{sample.iloc[0]}' and all other cells are no "
                f"{what}s: correct {role} in {where}."
            )
    loans, ends = pd.DataFrame({**typed, "row": row, "fault": faults.str.removesuffix("; ")}), None
    if own.panel:
        loans, ends = collapse(loans, dates.read(raw[own.panel], own.day_first).meaning, study.horizon_months)
        if "origination_date" not in mapped:
            mapped |= {"origination_date": own.panel}
    elif MONTHS in raw and "loan_id" in loans:
        ends = pd.DataFrame({"loan_id": loans["loan_id"], "months": raw[MONTHS]})
        ends["end"] = np.where(loans["default"] == 1, "default", "open")
        ends = ends.dropna(subset="months").drop_duplicates("loan_id").astype({"months": "int64"})
    for line, why in table.broken:
        # Rows that could not be cut into cells are counted with those that break a data rule.
        loans.loc[len(loans), ["row", "fault"]] = [line, why]
    columns = pd.DataFrame({"role": list(mapped), "column": list(mapped.values()), "file": str(path)}, dtype="string")
    return Intake(loans, columns, unused(study, where), ends)


def _read(path: Path, own: Own, columns: list[str] | None) -> tuple[Form, Table]:
    """Read the loans, from their file or from among several tables."""
    told = {"encoding": own.encoding, "separator": own.separator, "names": own.names}
    if own.loans:
        form, frame = folder.table(path, own.loans, **told)
        return form, Table(frame, [])
    form = tabular.form_of(path, sheet=own.sheet, **told)
    return form, tabular.read_table(path, form, columns=columns)


def meaning(role: str, column: pd.Series, own: Own, place: str, where: str) -> tuple[cells.Cells, str]:
    """Return what the cells of a role's column mean, and what each should be.

    Parameters
    ----------
    role
        What the column is in the study.
    column
        Its cells.
    own
        How the file is read.
    place, where
        The file and the column, and the file of the study's choices, for messages.

    Raises
    ------
    StudyError
        When cells cannot be read for certain, with two of them and the choice that settles it.

    """
    mark = own.mark(str(column.name))
    if role == "origination_date":
        return dates.read(column, own.day_first), "date"
    if role in KEYS:
        _whole(column, place)
        return _words(column), "word"
    if role == "term_months":
        found = cells.months(column, mark, own.term_in or "")
        answer = f"say under own.term_in in {where} what cells without a unit are"
    else:
        found = cells.measures(column, mark) if role in own.factors else cells.numbers(column, mark)
        answer = "write all of them on one scale"
    if role in own.borrower:
        there = cells.plain(column).notna().sum()
        if found.meaning.notna().sum() < MOSTLY_NUMBERS * max(there, 1):
            return _words(column), "word"
    if role == "interest_rate":
        found = _in_percent(found, column, own)
    if found.doubt:
        raise StudyError(f"{place}: {found.doubt}: {answer}.")
    return found, "number"


def _years_before(granted: pd.Series, column: pd.Series, own: Own) -> cells.Cells | None:
    """Return the years from a column's dates to the loans; None where it holds no dates."""
    if pd.api.types.is_numeric_dtype(column):
        return None
    since = dates.read(column, own.day_first)
    there = int(since.meaning.notna().sum() + since.wrong.sum())
    if since.meaning.notna().sum() < MOSTLY_NUMBERS * max(there, 1):
        return None
    years = (granted - since.meaning).dt.days / 365.25
    return cells.Cells(years.where(years >= 0), since.wrong | (years < 0), {})


def _words(column: pd.Series) -> cells.Cells:
    return cells.Cells(cells.levels(column), pd.Series(False, column.index), {})


def _whole(column: pd.Series, place: str) -> None:
    """Raise a StudyError when the numbers of a key have lost digits: 1.23457E+18 names many loans."""
    if pd.api.types.is_float_dtype(column):
        lost = column.abs() > LONGEST_WHOLE
    elif pd.api.types.is_numeric_dtype(column):
        return
    else:
        lost = column.astype("string").str.fullmatch(r"\d[.,]\d+[eE]\+\d+").fillna(False).astype(bool)
    if lost.any():
        raise StudyError(
            f"{place}: '{column[lost].iloc[0]}' is a long number that has lost its last digits ({int(lost.sum()):,} "
            "cells): save the column as text."
        )


def _in_percent(read: cells.Cells, column: pd.Series, own: Own) -> cells.Cells:
    """Bring interest rates to percent; a doubt where a column holds fractions beside percent, neither with a sign."""
    if read.marks.get("percent") or read.doubt:
        return read
    values = read.meaning.dropna()
    small, large = values[(values > 0) & (values < 1)], values[values >= 1]
    if min(len(small), len(large)) > 0.05 * len(values) and large.median() > 30 * small.median():
        shown = f"'{column[small.index[0]]}' and '{column[large.index[0]]}'"
        return read._replace(doubt=f"{shown} cannot both be percent, nor both fractions")
    return read._replace(meaning=100 * read.meaning) if own.interest_rate_in == "fraction" else read


def _outcome(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    """Return 1 for default, 0 for repaid, -1 for states that are left out; missing where the cell is empty."""
    if own.default_at_least is not None:
        return _days_late(column, own, row, place, where)
    read = cells.flags(column, own.default_when, own.repaid_when)
    aside = cells.flags(column, own.left_out_when, ()) if own.left_out_when else None
    values, wrong = read.meaning, read.wrong
    if aside is not None:
        left_out = aside.meaning == 1
        values, wrong = values.mask(left_out, -1.0), wrong & ~left_out
    if wrong.any():
        first = wrong.idxmax()
        others = sorted(set(cells.plain(column[wrong]).unique()))
        more = f" (and {len(others) - 1} other values)" if len(others) > 1 else ""
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}'{more} says neither default nor repaid: add it to "
            f"default_when, repaid_when or left_out_when under own in {where}."
        )
    for value, name in ((1.0, "defaulted"), (0.0, "was repaid")):
        if not (values == value).any():
            raise StudyError(
                f"{place}: no loan {name} among {int(values.isin([0, 1]).sum())} loans: without both kinds nothing can "
                f"be compared; give another column, or correct default_when and repaid_when under own in {where}."
            )
    return values


def _days_late(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    days = cells.numbers(column, own.mark(str(column.name)))
    if days.wrong.any():
        first = days.wrong.idxmax()
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}' is no number of days, which default_at_least under own in "
            f"{where} asks for: correct the cell, or sort the values under default_when and repaid_when."
        )
    return (days.meaning >= own.default_at_least).astype(float).where(days.meaning.notna())


def _arms(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    read = cells.flags(column, own.treated_when, own.untreated_when)
    if read.wrong.any():
        first = read.wrong.idxmax()
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}' is neither yes nor no: add it to treated_when or "
            f"untreated_when under own in {where}, or leave the role treated blank."
        )
    return read.meaning
