"""Chapters of the report: one module for each stage whose rows want words, figures and tables of their own.

A module is named after its stage and offers

* ``blocks(page)``: yield the chapter's blocks of Markdown, from the heading on, by the page's own means
  (`Page.text`, `Page.show_figure`, `Page.show_table`);
* ``drawings(results, words, scope)``: what to draw, by name of the figure: a function and its choices, as
  `figures.draw` takes them after the words.

Its words stand in ``words/<language>/chapters/<stage>.yaml``. A chapter appears where its stage has written rows.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from pipeline.core.results import Results

ORDER = (
    "missing",
    "robustness",
    "adjust",
    "curve",
    "heterogeneity",
    "time",
    "mechanism",
    "predict",
    "warning",
    "grade",
    "policy",
)
"""In which order chapters follow each other on the page."""

INSIDE = ("correlate",)
"""Chapters without a heading of their own: their blocks end the section of the same name in the report's template."""


def chapters(results: Results, names: Sequence[str] = ORDER) -> list[ModuleType]:
    """Return the chapters, of those named, whose stages have written rows."""
    there = set(results.frame["stage"])
    return [importlib.import_module(f"{__name__}.{name}") for name in names if name in there]


def words_of_chapters(folder: Path) -> list[Path]:
    """Return the chapters' files of words in a language's folder."""
    return sorted((folder / "chapters").glob("*.yaml"))
