"""The data dictionary of a reader's own file, which says what pages call its columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipeline.runtime.errors import StudyError

FOLDER = Path("data/dictionaries")


def plain(label: str) -> str:
    """Return a label without the characters that mean something in Markdown or in a figure."""
    for character, instead in (("|", "/"), ("\\", "/"), ("<", "‹"), (">", "›"), ("[", "("), ("]", ")")):
        label = label.replace(character, instead)
    return " ".join("".join(" " if character in "*_`$^~#" else character for character in label).split())


def _unguarded(cell: str) -> str:
    """Return a column's name without the apostrophe that keeps a spreadsheet program from computing it."""
    return cell[1:] if re.match(r"'\s*[=+\-@]", cell) else cell


def labels(own: dict[str, Any], path: Path, known: Collection[str] = ()) -> dict[str, str]:
    """Return the label of every column that has a role: the dictionary's, or else the column's own name.

    `own` is the section of that name in params.yaml. The dictionary is a CSV table with ``column`` and ``label``, in
    any encoding that spreadsheet programs write; `known` are the roles that have a label of their own in the words, to
    which they are left where the dictionary gives none.
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
        table = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=";" if text.split("\n")[0].count(";") > 3 else ",", strict=True
        )
        try:
            if not {"column", "label"} <= set(table.fieldnames or ()):
                raise StudyError(f"{path} must have the columns column and label: run init-study for a fresh one.")
            for row in table:
                name = _unguarded(row["column"] or "")
                if name in named and named[name] != plain(row["label"] or ""):
                    raise StudyError(f"{path}, line {table.line_num}: column '{name}' stands there twice: keep one.")
                named[name] = plain(row["label"] or "")
        except csv.Error as error:
            raise StudyError(f"{path}, line {table.line_num}: {error}: save it as CSV UTF-8.") from error
    found = {}
    for section in ("columns", "factors", "borrower", "market"):
        for role, column in (own.get(section) or {}).items():
            if column and named.get(column):
                found[role] = named[column]
            elif column and role not in known:
                found[role] = plain(column)
    return found
