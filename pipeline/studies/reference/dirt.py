"""The dirt that real extracts have, in known amounts (section Raw tables, Dirt).

Every spoilt row is recorded with its identifier and the clean value, so that cleaning can be checked exactly.
In `repayments` the identifier of a row is loan_id x 100 + month_number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.studies.reference.columns import Coded, Table, rows_of, take
from pipeline.studies.reference.settings import Settings

IDENTIFIERS = {
    "applications": "application_id",
    "loans": "loan_id",
    "contacts": "contact_id",
    "surveys": "survey_id",
}
IMPOSSIBLE_DATES = ("2005-02-30", "0000-00-00", "2099-12-31", "1900-01-01")
UNKNOWN_CODES = ("ZZ", "99", "?")
TEXT_INCOME: tuple[Callable[[str], str], ...] = (
    lambda _: "unknown",
    lambda _: "see file",
    lambda value: f"{value} USD",
)
TEXT_AMOUNT: tuple[Callable[[str], str], ...] = (lambda value: f"{value} USD", lambda value: f"about {value}")

# table, column, kind of dirt
SPOILT = (
    ("applications", "application_date", "impossible_date"),
    ("applications", "annual_income", "text_in_number"),
    ("applications", "industry", "unknown_code"),
    ("loans", "origination_date", "impossible_date"),
    ("loans", "amount", "text_in_number"),
    ("loans", "loan_type", "unknown_code"),
    ("contacts", "channel", "unknown_code"),
)
DUPLICATED = ("applications", "loans", "contacts", "surveys", "repayments")


def identifiers(name: str, table: Table) -> np.ndarray:
    """Return the identifier of each row of table `name`."""
    if name == "repayments":
        return table["loan_id"] * 100 + table["month_number"]
    return table[IDENTIFIERS[name]]


def spoil(
    settings: Settings, draws: Callable[[int], np.random.Generator], tables: dict[str, Table]
) -> tuple[dict[str, Table], Table]:
    """Return the tables with dirt, and the record of it: table, row_id, column, kind, clean_value.

    `draws(k)` is the stream of the k-th kind of dirt, so that leaving a table out changes no other.
    A duplicated row follows the row that it repeats; its record has an empty column and clean value.
    """
    share = {
        "impossible_date": settings.impossible_date_share,
        "text_in_number": settings.text_number_share,
        "unknown_code": settings.unknown_code_share,
    }
    tables = dict(tables)
    record: list[tuple[str, int, str, str, str]] = []
    for position, (name, column, kind) in enumerate(SPOILT):
        if name not in tables:
            continue
        table, u = tables[name], draws(position)
        old = table[column]
        rows = np.flatnonzero(u.random(len(old)) < share[kind])
        if kind == "text_in_number" and column == "annual_income":
            rows = rows[[value is not None for value in old[rows]]]
        pick = u.integers(0, 12, len(rows))
        if isinstance(old, Coded):
            clean = [old.labels[code] for code in old.codes[rows]]
            codes = old.codes.copy()
            codes[rows] = len(old.labels) + pick % len(UNKNOWN_CODES)
            new: np.ndarray | Coded = Coded(codes, old.labels + UNKNOWN_CODES)
        else:
            clean = list(old[rows])
            new = old.copy()
            for row, choice, value in zip(rows, pick, clean, strict=True):
                if kind == "impossible_date":
                    new[row] = IMPOSSIBLE_DATES[choice % len(IMPOSSIBLE_DATES)]
                else:
                    forms = TEXT_INCOME if column == "annual_income" else TEXT_AMOUNT
                    new[row] = forms[choice % len(forms)](value)
        tables[name] = {**table, column: new}
        ids = identifiers(name, table)[rows]
        record += [(name, int(i), column, kind, value) for i, value in zip(ids, clean, strict=True)]
    for position, name in enumerate(DUPLICATED, start=len(SPOILT)):
        if name not in tables:
            continue
        table = tables[name]
        twice = draws(position).random(rows_of(table)) < settings.duplicate_share
        record += [(name, int(i), "", "duplicate_row", "") for i in identifiers(name, table)[twice]]
        tables[name] = take(table, np.repeat(np.arange(len(twice)), 1 + twice))
    columns = list(zip(*record, strict=True)) or [[]] * 5
    names = ("table", "row_id", "column", "kind", "clean_value")
    types = (object, np.int64, object, object, object)
    return tables, {
        name: np.array(values, dtype=kind) for name, values, kind in zip(names, columns, types, strict=True)
    }
