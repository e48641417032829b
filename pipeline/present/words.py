"""The words of the pages, from one YAML file for all studies and one for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pipeline.core import params
from pipeline.core.errors import StudyError

FOLDER = Path(__file__).parent / "words"


class Words:
    """Labels and texts in one language; a missing one stops the build instead of leaving a raw name on a page."""

    def __init__(self, language: str, study: str) -> None:
        """Read the common words of a language and those of a study."""
        self.language = language
        self._common = params.read(FOLDER / language / "common.yaml")
        self._study = params.read(FOLDER / language / f"{study}.yaml")
        self._where = f"pipeline/present/words/{language}"

    def text(self, path: str) -> Any:
        """Return what stands under a dotted path, the study's own words before the common ones."""
        for source in (self._study, self._common):
            found: Any = source
            for step in path.split("."):
                found = found.get(step) if isinstance(found, dict) else None
            if found is not None:
                return found
        raise StudyError(f"the words '{path}' are missing: add them to {self._where}.")

    def has(self, path: str) -> bool:
        """Say whether the study has words of its own under a dotted path."""
        found: Any = self._study
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return found is not None

    def label(self, kind: str, name: str) -> str:
        """Return the label of a column, level, reason, rung ... Names may hold dots, so `name` is one step."""
        found = self.known(kind, name)
        if found is not None:
            return found
        raise StudyError(f"the label of {kind} '{name}' is missing: add it to {self._where}.")

    def known(self, kind: str, name: str) -> str | None:
        """Return the label of something that may go without one."""
        for source in (self._study, self._common):
            if name in source.get("labels", {}).get(kind, {}):
                return source["labels"][kind][name]
        return None

    def column(self, name: str) -> str:
        """Return the label of a column or of one level of it: ``loan_type[car]`` -> ``Purpose of the loan: car``."""
        column, level = split(name)
        label = self.label("columns", column)
        return label if level is None else f"{label}: {self.level(level)}"

    def level(self, name: str) -> str:
        """Return the label of a category's level; grades, quarters and counts speak for themselves."""
        known = self._study.get("labels", {}).get("levels", {}) | self._common["labels"]["levels"]
        if name in known:
            return known[name]
        if re.fullmatch(r"[A-Z]\d?|\d+\+?|\d{4}(Q\d|-\d\d)|[<\d+ ]+years?", name):
            return name.replace("Q", " Q")
        raise StudyError(f"the label of level '{name}' is missing: add it to {self._where}.")


def split(name: str) -> tuple[str, str | None]:
    """Split ``column[level]`` into column and level; a plain column has no level."""
    found = re.fullmatch(r"([^\[]+)\[(.*)\]", name)
    return (found[1], found[2]) if found else (name, None)
