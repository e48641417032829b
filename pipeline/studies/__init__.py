"""One folder per study: raw tables in, loan cohort out."""

from __future__ import annotations

import importlib
from types import ModuleType


def module(name: str) -> ModuleType:
    """Return the module ``study`` in the study's folder.

    It offers ``files(source, vintages)`` (which of a source's files the study needs), ``read(source, paths)``
    (those files as one raw table) and ``prepare(tables, study, checks)`` (raw tables to a `Preparation`).
    """
    return importlib.import_module(f"pipeline.studies.{name}.study")
