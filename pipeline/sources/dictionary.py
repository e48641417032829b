"""The data dictionary of a reader's own file, which says what pages call its columns."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pipeline.core.errors import StudyError

FOLDER = Path("data/dictionaries")


def plain(label: str) -> str:
    """Return a label without the characters that mean something in Markdown or in a figure."""
    for character, instead in (("|", "/"), ("\\", "/"), ("<", "‹"), (">", "›"), ("[", "("), ("]", ")")):
        label = label.replace(character, instead)
    return " ".join("".join(" " if character in "*_`$^~#" else character for character in label).split())


def labels(own: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the label of every column that has a role: the dictionary's, or else the column's own name.

    `own` is the section of that name in params.yaml. The dictionary is a CSV table with ``column`` and ``label``, in
    any encoding that spreadsheet programs write; a role that it does not list and that has a label of its own in the
    words is left to them.
    """
    named: dict[str, str] = {}
    if path.exists():
        content = path.read_bytes()
        for encoding in ("utf-8-sig", "gb18030"):
            try:
                text = content.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
        else:
            raise StudyError(f"{path} is neither UTF-8 nor GB 18030: save it as CSV UTF-8.")
        table = csv.DictReader(io.StringIO(text), delimiter=";" if text.split("\n")[0].count(";") > 3 else ",")
        if not {"column", "label"} <= set(table.fieldnames or ()):
            raise StudyError(f"{path} must have the columns column and label: run init-study again for a fresh one.")
        named = {row["column"]: plain(row["label"] or "") for row in table}
    found = {}
    for section in ("columns", "factors", "borrower", "market"):
        for role, column in (own.get(section) or {}).items():
            if column and named.get(column):
                found[role] = named[column]
            elif column and section in ("factors", "borrower"):
                found[role] = plain(column)
    return found | {f"log({role})": f"{label} (log)" for role, label in found.items()}
