"""From a reader's file to columns by role: reading, typing, and saying which cell cannot be what it should be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.params import Study
from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, tabular
from pipeline.studies.own.choices import KEYS, Own, checked

MOSTLY_NUMBERS = 0.95
"""Share of a column's cells that must be numbers for it to count as one; the stray others are quarantined."""


class Intake(NamedTuple):
    """A file's columns by role."""

    loans: pd.DataFrame
    """One row a row of the file: a typed column a mapped role, ``row`` (its line, the names being the first) and
    ``fault`` (what is wrong with it, empty if nothing is)."""
    columns: pd.DataFrame
    """One row a mapped role: ``role, column, file``."""


def intake(study: Study, where: str) -> Intake:
    """Read the columns that have a role and give each the type of its role.

    `where` names the file of the study's choices, for messages. Raises StudyError when the file cannot be read,
    lacks a column, or when its outcome is not told by the words that params.yaml sorts.
    """
    own: Own = checked(Own, study.own, "own", where)
    path = tabular.path_of(own.file)
    form = tabular.form_of(path, encoding=own.encoding, separator=own.separator, sheet=own.sheet)
    mapped = own.mapped()
    table = tabular.read_table(path, form, columns=list(dict.fromkeys(mapped.values())))
    raw = table.frame.reset_index(drop=True)
    # Line 1 holds the names. In Excel and text with broken lines the count may be short by those.
    row = pd.Series(np.arange(2, len(raw) + 2), raw.index)
    typed: dict[str, pd.Series] = {}
    faults = pd.Series("", raw.index, dtype="string")

    def take(role: str, read: cells.Cells, what: str) -> None:
        typed[role] = read.meaning
        if read.wrong.any():
            column = raw[mapped[role]]
            told = f"{mapped[role]}: '" + column[read.wrong].astype(str) + f"' is no {what}; "
            faults.loc[read.wrong] = faults[read.wrong] + told.astype("string")

    for role, name in mapped.items():
        column = raw[name]
        if role == "default":
            typed[role] = _outcome(column, own, row, f"{path}, column {name}", where)
        elif role == "treated":
            typed[role] = _arms(column, own, row, f"{path}, column {name}", where)
        elif role in own.factors:
            typed[role] = pd.Series(np.nan, raw.index)
            take(role, cells.measures(column, own.decimal), "number")
        elif role == "origination_date":
            take(role, cells.dates(column, own.day_first), "date")
        elif role in KEYS:
            typed[role] = cells.plain(column)
        elif role in own.borrower:
            read = cells.numbers(column, own.decimal)
            there = cells.plain(column).notna().sum()
            if read.meaning.notna().sum() >= MOSTLY_NUMBERS * max(there, 1):
                take(role, read, "number")
            else:
                typed[role] = cells.plain(column)
        else:
            read = cells.numbers(column, own.decimal)
            take(role, in_units(role, column, read, own), "number")
        if role not in ("default", "treated", *KEYS) and not typed[role].notna().any():
            sample = cells.plain(column).dropna()
            if len(sample):
                raise StudyError(
                    f"{path}, row {row[sample.index[0]]}, column {name}: '{sample.iloc[0]}' and all other cells are no "
                    f"{'dates' if role == 'origination_date' else 'numbers'}: correct {role} in {where}."
                )
    loans = pd.DataFrame({**typed, "row": row, "fault": faults.str.removesuffix("; ")})
    for line, why in table.broken:
        # Rows that could not be cut into cells are counted with those that break a data rule.
        loans.loc[len(loans), ["row", "fault"]] = [line, why]
    columns = pd.DataFrame({"role": list(mapped), "column": list(mapped.values()), "file": str(path)}, dtype="string")
    return Intake(loans, columns)


def in_units(role: str, column: pd.Series, read: cells.Cells, own: Own) -> cells.Cells:
    """Bring terms to months and interest rates to percent."""
    if role == "term_months" and read.marks:
        unit = max(sorted(read.marks), key=read.marks.get)
        return read._replace(meaning=(read.meaning * cells.UNITS.get(unit, 1.0)).round())
    if role == "interest_rate" and own.interest_rate_in == "fraction" and not read.marks.get("percent"):
        return read._replace(meaning=100 * read.meaning)
    return read


def _outcome(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    """Return 1 for default, 0 for repaid, -1 for states that are left out; missing where the cell is empty."""
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


def _arms(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    read = cells.flags(column, own.treated_when, own.untreated_when)
    if read.wrong.any():
        first = read.wrong.idxmax()
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}' is neither yes nor no: add it to treated_when or "
            f"untreated_when under own in {where}, or leave the role treated blank."
        )
    return read.meaning
