"""An empty set of tables for a lender to fill: what must be recorded so that the literature's claims can be tested."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pipeline.core import yaml
from pipeline.runtime import store
from pipeline.runtime.errors import StudyError

LANGUAGES = ("en", "zh")
NAMES = {
    "en": (
        "dictionary",
        "survey",
        ("table", "column", "holds", "needed for"),
        ("number", "question", "scale", "coding"),
    ),
    "zh": ("数据字典", "满意度问卷", ("表", "列", "内容", "用途"), ("题号", "问题", "量表", "编码")),
}
"""Names of the two files that explain, and of their columns."""


def content() -> dict[str, Any]:
    """Return what the template holds."""
    return yaml.read(Path(__file__).with_name("template.yaml"))


def headings(language: str) -> dict[str, list[str]]:
    """Return the names of each table's columns, by table."""
    place = LANGUAGES.index(language)
    return {
        (name if language == "en" else table["zh"]): [column[place] for column in table["columns"]]
        for name, table in content()["tables"].items()
    }


def write(folder: Path, language: str) -> list[str]:
    """Write the tables as CSV and as a workbook, the data dictionary and the survey; return what was written."""
    import openpyxl

    if folder.exists() and any(folder.iterdir()):
        raise StudyError(f"{folder} holds files already: give --template a new folder.")
    given, place = content(), LANGUAGES.index(language)
    dictionary, survey, of_dictionary, of_survey = NAMES[language]
    explained = [
        [name if language == "en" else table["zh"], column[place], column[2 + place], column[4]]
        for name, table in given["tables"].items()
        for column in table["columns"]
    ]
    scale, coding = (given["survey"][part][place] for part in ("scale", "coding"))
    questions = [
        [f"q{number}", question[place], scale, coding]
        for number, question in enumerate(given["survey"]["questions"], start=1)
    ]
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, columns in headings(language).items():
        store.write_bytes(folder / "tables" / f"{name}.csv", _csv([columns]))
        book.create_sheet(name).append(columns)
    packed = io.BytesIO()
    book.save(packed)
    store.write_bytes(folder / "workbook.xlsx", packed.getvalue())
    store.write_bytes(folder / f"{dictionary}.csv", _csv([of_dictionary, *explained]))
    store.write_bytes(folder / f"{survey}.csv", _csv([of_survey, *questions]))
    return [f"{folder / 'tables'} ({len(headings(language))} tables)", *map(str, sorted(folder.glob("*.*")))]


def _csv(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    # The mark at the beginning lets spreadsheet programs see that the text is UTF-8.
    return text.getvalue().encode("utf-8-sig")
