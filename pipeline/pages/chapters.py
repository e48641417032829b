"""Which analyses have a chapter of the report, and in which order."""

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
"""In which order chapters follow each other on the page; those that are not named here come last."""

INSIDE = ("correlate",)
"""Chapters without a heading of their own: their blocks end the section of the same name in the report's template."""


ANALYSES = Path(__file__).parents[1] / "analyses"


def order() -> list[str]:
    """Return the analyses that have a chapter of their own, in the order of the page."""
    every = sorted(page.parent.name for page in ANALYSES.glob("*/page.py"))
    return [*ORDER, *(name for name in every if name not in (*ORDER, *INSIDE))]


def chapters(results: Results, names: Sequence[str] | None = None) -> list[ModuleType]:
    """Return the chapters, of those named (all), whose stages have written rows."""
    names = order() if names is None else names
    there = set(results.frame["stage"])
    return [importlib.import_module(f"pipeline.analyses.{name}.page") for name in names if name in there]
