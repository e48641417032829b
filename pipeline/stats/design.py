"""Design matrices from the names of columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError


def column_of(term: str) -> str:
    """Return the column that a term uses: ``log(income)`` -> ``income``."""
    return re.sub(r"^log\((.*)\)$", r"\1", term)


def term_values(frame: pd.DataFrame, terms: Sequence[str]) -> pd.DataFrame:
    """Return one column a term, in the order of `terms`; ``log(x)`` is the natural logarithm.

    Raises StudyError for a column that is not there, holds a missing value, or has no logarithm.
    """
    values = {}
    for term in terms:
        name = column_of(term)
        if name not in frame:
            raise StudyError(f"the cohort has no column '{name}', which the term {term} asks for.")
        if frame[name].isna().any():
            raise StudyError(
                f"column '{name}' has {int(frame[name].isna().sum())} missing values: drop or fill them in preparation."
            )
        if term != name and (frame[name] <= 0).any():
            raise StudyError(
                f"{term}: {int((frame[name] <= 0).sum())} loans have a value of zero or less, which has no logarithm."
            )
        values[term] = np.log(frame[name]) if term != name else frame[name]
    return pd.DataFrame(values, index=frame.index)


def require(frame: pd.DataFrame, names: Sequence[str], section: str) -> None:
    """Raise a StudyError that lists the names that a `section` asks for and the cohort lacks."""
    missing = [name for name in names if name not in frame]
    if missing:
        raise StudyError(f"{section} names {', '.join(missing)}, which the cohort does not have.")


class Design(NamedTuple):
    """A design matrix and what had to be left out of it."""

    matrix: pd.DataFrame
    """Float columns, first ``intercept``; categories as indicators named ``term[level]``, first level left out."""
    dropped: list[str]
    """Columns that are constant or an exact linear combination of columns before them."""


def design_matrix(frame: pd.DataFrame, terms: Sequence[str]) -> Design:
    """Build the design matrix (loans x columns) of an intercept and `terms`.

    Categories enter as indicators. A column that the ones before it already determine carries no information of its
    own and is dropped by name, so the order of `terms` says which one stays. Raises StudyError as `term_values`.
    """
    values = term_values(frame, terms)
    numeric = set(values.select_dtypes("number"))
    levels = {term: pd.Categorical(values[term]) for term in terms if term not in numeric}
    names = ["intercept"]
    for term in terms:
        names += [f"{term}[{level}]" for level in levels[term].categories[1:]] if term in levels else [term]
    # Filled column by column, in the order in which it lies in memory: of very many loans each copy counts.
    matrix = np.empty((len(names), len(frame)))
    matrix[0], place = 1.0, 1
    for term in terms:
        if term not in levels:
            matrix[place], place = values[term], place + 1
            continue
        for level in range(1, len(levels[term].categories)):
            np.equal(levels[term].codes, level, out=matrix[place], casting="unsafe")
            place += 1
    kept = independent(matrix.T)
    held, every = matrix if kept.all() else matrix[kept], pd.Index(names)
    return Design(pd.DataFrame(held.T, frame.index, every[kept], copy=False), list(every[~kept]))


def score_columns(frame: pd.DataFrame, terms: Sequence[str]) -> pd.DataFrame:
    """Return the numeric columns (loans x columns) of a propensity score's terms: a category is that of its levels.

    Without a category these are the terms' values, none dropped. Raises StudyError as `term_values`.
    """
    values = term_values(frame, terms)
    if values.select_dtypes("number").shape[1] == len(values.columns):
        return values
    return design_matrix(frame, terms).matrix.drop(columns="intercept")


NEARLY = 1e-5
"""Length, of one, that the columns before it leave of a column which they determine up to rounding in the data."""


ALIKE = 3e-3
"""The same length, below which a likelihood is too flat to tell two columns apart (`matching.FLAT`)."""


def collinear(columns: pd.DataFrame, tolerance: float = NEARLY) -> dict[str, list[str]]:
    """Return each column that those before it determine, with the names of these: none for a constant.

    A column is determined where they leave no more than `tolerance` of its length.
    `columns` are numeric (rows x columns) without an intercept, which counts as standing before them.
    """
    values = columns.to_numpy(dtype=float)
    centred = values - values.mean(axis=0)
    # Twice: of a large mean the first pass leaves its rounding.
    centred -= centred.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    flat = length <= 1e-12 * np.linalg.norm(values, axis=0)
    scaled = centred / np.where(flat, 1.0, length)
    scaled[:, flat] = 0.0
    kept = independent(scaled, tolerance)
    found: dict[str, list[str]] = {}
    for place in np.flatnonzero(~kept):
        before = np.flatnonzero(kept[:place])
        shares = np.linalg.lstsq(scaled[:, before], scaled[:, place], rcond=None)[0] if len(before) else np.empty(0)
        found[columns.columns[place]] = [
            columns.columns[number]
            for number, share in zip(before, shares, strict=True)
            if abs(share) > np.sqrt(NEARLY)
        ]
    return found


def no_collinear(columns: pd.DataFrame, what: str, tolerance: float = NEARLY) -> None:
    """Raise a StudyError that names the `collinear` columns, where there are any; `what` is what needs them."""
    said = []
    for name, others in collinear(columns, tolerance).items():
        if not others:
            said.append(f"{name} is constant")
        elif len(others) > 1:
            said.append(f"{name} is a combination of {', '.join(others)}")
        else:
            ratio = columns[name] / columns[others[0]].where(columns[others[0]] != 0)
            multiple = np.ptp(ratio.dropna()) <= 1e-6 * abs(ratio.mean())
            exactly = "told exactly by" if tolerance <= NEARLY else "told nearly by"
            said.append(f"{name} is {'a multiple of' if multiple else exactly} {others[0]}")
    if said:
        raise StudyError(f"{what} cannot tell its covariates apart: {'; '.join(said)}; leave one of them out.")


PLAIN = 1e-4
"""Share of a column's sum of squares, left by those before it, from which cross products are precise enough to tell
that it is no combination of them."""


def independent(matrix: np.ndarray, tolerance: float = 1e-8) -> np.ndarray:
    """Return which columns (boolean) are not linear combinations of the columns to their left.

    Columns count as scaled to unit length. Elimination on their cross products settles most of them at a fraction of
    the cost of a decomposition of all rows; what it leaves of a doubtful column is computed from the rows themselves.
    Should that be more than `tolerance`, the decomposition decides.
    """
    products = matrix.T @ matrix
    length = np.sqrt(np.diag(products))
    length = np.where(length > 0, length, 1.0)
    products /= np.outer(length, length)
    left, kept = products.copy(), np.ones(len(products), dtype=bool)
    for place in range(len(products)):
        kept[place] = left[place, place] > PLAIN
        if kept[place]:
            after = slice(place + 1, None)
            left[after, after] -= np.outer(left[after, place], left[place, after] / left[place, place])
    doubtful = np.flatnonzero(~kept)
    if not len(doubtful):
        return kept
    rest = matrix[:, doubtful] / length[doubtful]
    # A second pass takes out what rounding left.
    for _ in range(2):
        shares = (matrix.T @ rest) / length[:, None]
        taken = np.zeros_like(shares)
        for number, column in enumerate(doubtful):
            before = np.flatnonzero(kept[:column])
            taken[before, number] = np.linalg.solve(products[np.ix_(before, before)], shares[before, number])
        rest = rest - matrix @ (taken / length[:, None])
    return kept if (np.linalg.norm(rest, axis=0) <= tolerance).all() else _decomposed(matrix, tolerance)


def _decomposed(matrix: np.ndarray, tolerance: float) -> np.ndarray:
    """Return which columns are `independent`, by a decomposition of all rows.

    In a QR decomposition |R_jj| is the length of what the columns before j leave of column j (Golub & Van Loan,
    Matrix Computations, section 5.2); that holds up to the first dependent column, so this one is left out and the
    decomposition of the rest begins again, on the small factor R.
    """
    length = np.linalg.norm(matrix, axis=0)
    kept = length > 0
    rest = np.linalg.qr(matrix[:, kept] / length[kept], mode="r")
    places = np.flatnonzero(kept)
    while True:
        diagonal = np.abs(np.diag(rest))
        dependent = np.flatnonzero(diagonal <= tolerance)
        # Columns beyond the number of rows have no place on the diagonal: the columns before them span everything.
        first = dependent[0] if len(dependent) else len(diagonal)
        if first == len(places):
            return kept
        kept[places[first]] = False
        places = np.delete(places, first)
        rest = np.linalg.qr(np.delete(rest, first, axis=1), mode="r")
