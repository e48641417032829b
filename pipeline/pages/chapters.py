"""Which analyses have a chapter of the report, and in which order."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
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
    return [importlib.import_module(f"pipeline.analyses.{name}.page") for name in names if name in there]
