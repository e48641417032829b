"""What speaks against a role that a column's name gives it: what the rows say once roles and outcome are known."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.sources import cells
from pipeline.studies.own import roles
from pipeline.studies.own.profile import MOST_STATES, Column
from pipeline.studies.own.questions import Question
from pipeline.studies.own.roles import ENDINGS, Guess

if TYPE_CHECKING:
    import pandas as pd

MOST_DIFFER = 0.5
"""Different numbers, as a share of the rows, from which on a column called as numbers of loans may hold them."""

TELLING_GAPS = 0.5
"""Difference in empty cells between loans in default and repaid from which on gaps tell the outcome (shares)."""

ERRORS, FEWEST = 0.01, 20
"""A column tells the outcome that puts no more than this share of the rarer outcome on the wrong side, where each
outcome has so many loans: what is known at application never does."""

NAMES_ONLY = ("default", "loan_id", "client_id", "institution_id", "origination_date", "adoption_date", *ENDINGS)
"""Roles that no regression reads as numbers or levels of the loan."""


def ask_repeated(columns: Mapping[str, Column], found: Mapping[str, str], table: pd.DataFrame, path: Path) -> None:
    """Raise a Question where a column numbers loans and some numbers stand in several rows that differ.

    `columns` are profiles of the `table` in the file `path`, `found` are columns by role. Rows that are copies in every
    column are no contradiction.
    """
    if "loan_id" in found:
        return
    called = [name for name in columns if roles.likeness(name, "loan_id") > 1 and name not in found.values()]
    once = table.drop_duplicates() if called else table
    for name in called:
        number = cells.plain(once[name])
        twice = number.notna() & number.duplicated(keep=False)
        if not twice.any() or columns[name].distinct < MOST_DIFFER * len(once):
            continue
        first = number[twice].iloc[0]
        one, other = (np.flatnonzero(cells.plain(table[name]) == first) + 1)[[0, -1]]
        raise Question(
            f"{path}, column {name}: '{first}' is the number of loans {one:,} and {other:,}, counted from the first, "
            f"which differ ({int(twice.sum()):,} of {len(once):,} rows share a number): leave "
            f"one row a loan, or say --role {shlex.quote(f'client_id={name}')} if the column names clients.",
            "role",
            f"What it names, if no loans: 'client_id={name}'",
        )


def refuse_told(
    guessed: Guess, fixed: Mapping[str, str], table: pd.DataFrame, default: pd.Series, decimal: Mapping[str, str]
) -> None:
    """Take away roles of columns that are filled, or have their cells, by what became of the loans.

    Parameters
    ----------
    guessed
        Columns by role, which is changed.
    fixed
        Columns of roles that the reader has told, which stay.
    table
        The loans.
    default
        1 for loans in default, 0 for those repaid, and missing for others, by row.
    decimal
        Decimal marks other than a point, by column.

    """
    for role, name in list(guessed.found.items()):
        if role in ("default", *fixed, *ENDINGS):
            continue
        why = _by_gaps(table[name], default)
        if not why and role not in NAMES_ONLY:
            why = _by_cells(table[name], default, decimal.get(name, "."))
        if why:
            said = f"{why}, so filled by what became of them (if not: --role {shlex.quote(f'{role}={name}')})"
            guessed.refused.append((guessed.found.pop(role), role, said))


def _by_gaps(column: pd.Series, default: pd.Series) -> str:
    gaps = cells.levels(column).isna()
    bad, good = float(gaps[default == 1].mean()), float(gaps[default == 0].mean())
    if abs(bad - good) <= TELLING_GAPS:
        return ""
    return f"empty for {100 * bad:.0f}% of the loans in default and {100 * good:.0f}% of those repaid"


def _by_cells(column: pd.Series, default: pd.Series, decimal: str) -> str:
    """Say how few loans a column's levels, or a cut of its numbers, put on the wrong side; nothing where many."""
    levels = cells.levels(column)
    known = (default.notna() & levels.notna()).to_numpy()
    bad = default.to_numpy()[known] == 1
    rarer = min(int(bad.sum()), int((~bad).sum()))
    if rarer < FEWEST:
        return ""
    if levels.nunique() <= MOST_STATES:
        _, order = np.unique(levels[known].astype(str), return_inverse=True)
        of_level = np.bincount(order, bad), np.bincount(order, ~bad)
        wrong = int(np.minimum(*of_level).sum())
    else:
        numbers = cells.numbers(column, decimal).meaning.to_numpy(dtype=float)[known]
        if np.isnan(numbers).any():
            return ""
        order = np.argsort(numbers, kind="stable")
        last = np.append(np.diff(numbers[order]) != 0, True)
        below, good_below = np.cumsum(bad[order])[last], np.cumsum(~bad[order])[last]
        wrong = int(min((below + (~bad).sum() - good_below).min(), (bad.sum() - below + good_below).min()))
    if wrong > ERRORS * rarer:
        return ""
    but = f"all but {wrong:,}" if wrong else "all"
    return f"its cells tell {int(bad.sum()):,} loans in default from {int((~bad).sum()):,} repaid, {but} of them"


def refuse_adoption(guessed: Guess, fixed: Mapping[str, str], table: pd.DataFrame) -> None:
    """Take away the role of a date of adoption that does not hold for whole institutions."""
    name, lender = guessed.found.get("adoption_date"), guessed.found.get("institution_id")
    if name is None or "adoption_date" in fixed:
        return
    why = ""
    if lender is None or "origination_date" not in guessed.found:
        why = "no institution that adopted, or no date of the loan"
    elif table.groupby(lender)[name].nunique().gt(1).any():
        why = f"it differs among the loans of one {lender}"
    if why:
        guessed.refused.append((guessed.found.pop("adoption_date"), "adoption_date", why))
