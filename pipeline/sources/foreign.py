"""Files of other programs: SAS data sets and transport files, and JSON as services give it, whole or line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.sources.tables import Form, Table, distinct, opened, plain_kinds

if TYPE_CHECKING:
    import pandas as pd


def _sas_reader(path: Path, rows: int | None = None) -> Any:
    import pandas as pd

    transport = path.suffix.lower() == ".xpt"
    # Transport files do not say their encoding.
    encoding = "latin-1" if transport else "infer"
    return pd.read_sas(path, format="xport" if transport else "sas7bdat", encoding=encoding, chunksize=rows or 100_000)


def sas(path: Path, form: Form, columns: Sequence[str] | None, rows: int | None) -> Table:
    """Read a SAS data set, or some of its columns, or its first rows."""
    import pandas as pd

    def read() -> pd.DataFrame:
        with _sas_reader(path, rows) as reader:
            parts = []
            for part in reader:
                parts.append(part)
                if rows is not None:
                    break
            frame = pd.concat(parts, ignore_index=True)
            return _transported(frame, reader.fields) if path.suffix.lower() == ".xpt" else frame

    return _table(opened(path, read), columns)


DATES = ("DATE", "DDMMYY", "MMDDYY", "YYMMDD", "MONYY", "YYMM", "DAY", "E8601DA")
"""Formats of SAS under which numbers are days since 1960."""
NOUGHT = 1e-70
"""What is smaller in a transport file is nought, which pandas reads as 5e-79."""


def _transported(frame: pd.DataFrame, fields: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return numbers of a transport file as SAS shows them: noughts, and dates."""
    import pandas as pd

    made = {name: frame[name].mask(frame[name].abs() < NOUGHT, 0.0) for name in frame.select_dtypes("number")}
    for one in fields:
        name, shown = _text(one["name"]), _text(one["nform"]).upper()
        if name in made and shown.startswith(DATES):
            unit = "s" if shown.startswith("DATETIME") else "D"
            made[name] = pd.to_datetime(made[name], unit=unit, origin="1960-01-01")
    return frame.assign(**made)


def sas_labels(path: Path) -> dict[str, str]:
    """Return what a SAS data set calls its columns beside their names."""
    with _sas_reader(path, 1) as reader:
        fields = getattr(reader, "fields", None) or [vars(one) for one in reader.columns]
        labels = {_text(one["name"]): _text(one.get("label") or "") for one in fields}
    return {name: label for name, label in labels.items() if label}


def _text(value: Any) -> str:
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip()


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
