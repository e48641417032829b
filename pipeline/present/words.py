"""The words of the pages, from one YAML file for all studies and one for each study or kind of study."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core import params
from pipeline.core.errors import StudyError
from pipeline.present.chapters import words_of_chapters

FOLDER = Path(__file__).parent / "words"

WIDE = re.compile(r"[\u2e80-\uffdc]")
"""Chinese, Japanese and Korean characters, which the fonts that come with the libraries do not have."""


class Words:
    """Labels and texts in one language; a missing one stops the build instead of leaving a raw name on a page."""

    def __init__(
        self, language: str, study: str, module: str | None = None, columns: Mapping[str, str] | None = None
    ) -> None:
        """Read the common words of a language and those of a study.

        A study whose module serves any file has the module's words, and may have some of its own before them;
        `columns` are labels of its columns, before all others.
        """
        self.language = language
        self._common = [
            params.read(file) for file in (FOLDER / language / "common.yaml", *words_of_chapters(FOLDER / language))
        ]
        files = [FOLDER / language / f"{name}.yaml" for name in dict.fromkeys((study, module or study))]
        there = [file for file in files if file.exists()] or files[:1]
        self._own = [{"labels": {"columns": dict(columns or {})}}, *map(params.read, there)]
        self._where = f"pipeline/present/words/{language}"

    def text(self, path: str) -> Any:
        """Return what stands under a dotted path, the study's own words before the common ones."""
        for source in (*self._own, *self._common):
            if (found := _at(source, path)) is not None:
                return found
        raise StudyError(f"the words '{path}' are missing: add them to {self._where}.")

    def has(self, path: str) -> bool:
        """Say whether the study has words of its own under a dotted path."""
        return any(_at(source, path) is not None for source in self._own)

    def own_labels(self) -> list[str]:
        """Return the labels of columns that were given with the study."""
        return list(self._own[0]["labels"]["columns"].values())

    def label(self, kind: str, name: str) -> str:
        """Return the label of a column, level, reason, rung ... Names may hold dots, so `name` is one step."""
        found = self.known(kind, name)
        if found is not None:
            return found
        raise StudyError(f"the label of {kind} '{name}' is missing: add it to {self._where}.")

    def known(self, kind: str, name: str) -> str | None:
        """Return the label of something that may go without one."""
        for source in (*self._own, *self._common):
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
        known = self.known("levels", name)
        if known is not None:
            return known
        if self.has("levels_as_they_stand"):
            return name
        if re.fullmatch(r"[A-Z]\d?|\d+\+?|\d{4}(Q\d|-\d\d)|[<\d+ ]+years?", name):
            return name.replace("Q", " Q")
        raise StudyError(f"the label of level '{name}' is missing: add it to {self._where}.")


def _at(source: Any, path: str) -> Any:
    for step in path.split("."):
        source = source.get(step) if isinstance(source, dict) else None
    return source


def split(name: str) -> tuple[str, str | None]:
    """Split ``column[level]`` into column and level; a plain column has no level."""
    found = re.fullmatch(r"([^\[]+)\[(.*)\]", name)
    return (found[1], found[2]) if found else (name, None)
