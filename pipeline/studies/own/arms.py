"""Which values of a treatment's column say that the programme reached a loan."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells
from pipeline.studies.own.questions import Question
from pipeline.studies.own.roles import MOST_ARMS

if TYPE_CHECKING:
    import pandas as pd


def told(table: pd.DataFrame, name: str | None, reached: list[str], path: Path) -> tuple[list[str], list[str]]:
    """Return the values of the treatment's column that mean treated and untreated, where these are not yes and no."""
    if name is None:
        if reached:
            raise StudyError(f"{path}: --treated-when says which values mean treated: say --treated COLUMN, too.")
        return [], []
    values = sorted(cells.plain(table[name]).dropna().unique())
    shown = ", ".join(map(shlex.quote, values[:MOST_ARMS])) + (" ..." if len(values) > MOST_ARMS else "")
    if wrong := [value for value in reached if value not in values]:
        raise StudyError(f"{path}, column {name} has no value '{wrong[0]}' (--treated-when): it has {shown}.")
    if reached or not cells.flags(table[name]).wrong.any():
        return reached, [value for value in values if value not in reached] if reached else []
    raise Question(
        f"{path}, column {name}: {shown} are not yes and no: say with --treated-when which of them loans have that the "
        "programme reached; all others count as not reached.",
        "treated_when",
        "Values of loans that were reached",
    )
