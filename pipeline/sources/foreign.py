"""Files of other programs: SPSS, SAS and R, and JSON as services give it, whole or line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.sources import r_files
from pipeline.sources.tables import KINDS, Form, Table, distinct, opened, plain_kinds

if TYPE_CHECKING:
    import pandas as pd


def statistical(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a file of SPSS or SAS with its labels of values and its dates, or some of its columns, or its first rows.

    A number with a label among numbers without is its label: an income of -9, "refused", is none.
    """
    return _table(opened(path, lambda: _read(path, rows)[0]), columns)


def statistical_labels(path: Path) -> dict[str, str]:
    """Return what a file of SPSS or SAS calls its columns beside their names."""
    told = _read(path, 1)[1].column_names_to_labels
    return {name: label.strip() for name, label in told.items() if label and label.strip()}


def _read(path: Path, rows: int | None) -> tuple[pd.DataFrame, Any]:
    import pyreadstat

    readers: dict[str, Any] = {
        ".sav": pyreadstat.read_sav,
        ".zsav": pyreadstat.read_sav,
        ".por": pyreadstat.read_por,
        ".sas7bdat": pyreadstat.read_sas7bdat,
        ".xpt": pyreadstat.read_xport,
    }
    kind = path.suffix.lower()
    # Files of SAS keep their labels of values elsewhere.
    labelled = {} if KINDS[kind] == "SAS" else {"apply_value_formats": True, "formats_as_category": False}
    return readers[kind](str(path), row_limit=rows or 0, **labelled)


def r(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read the one data frame of a file of R, or some of its columns, or its first rows."""
    read = r_files.read_rds if path.suffix.lower() == ".rds" else r_files.read_rda
    return _table(read(path, None).head(rows), columns)


def json_(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read JSON, or some of its columns, or its first rows: a list of loans, one under a name, or a loan a line."""
    import pandas as pd

    def read() -> pd.DataFrame:
        frame = pd.json_normalize(_records(path.read_text(encoding="utf-8-sig"))[:rows])
        listed = [name for name in frame if frame[name].map(lambda cell: isinstance(cell, list)).any()]
        return frame.assign(**{name: frame[name].map(json.dumps) for name in listed})

    return _table(opened(path, read), columns)


def _records(text: str) -> list[dict[str, Any]]:
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        if "Extra data" not in error.msg:
            raise
        # A loan a line.
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(told, dict):
        lists = [one for one in told.values() if isinstance(one, list) and one and isinstance(one[0], dict)]
        if len(lists) == 1:
            return list(lists[0])
        if told and all(isinstance(one, dict) for one in told.values()):
            # As pandas writes columns: each by the numbers of its rows.
            places = next(iter(told.values()))
            return [{name: column.get(place) for name, column in told.items()} for place in places]
        told = [told]
    if not all(isinstance(one, dict) for one in told):
        raise ValueError("it is no list of loans with named values")
    return list(told)


def _table(frame: pd.DataFrame, columns: Sequence[str] | None) -> Table:
    frame.columns = distinct(frame.columns)
    return Table(plain_kinds(frame if columns is None else frame[list(columns)]), [])
