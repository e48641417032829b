"""One folder per study: raw tables in, loan cohort out."""

from __future__ import annotations

import importlib
from types import ModuleType


def module(name: str) -> ModuleType:
    """Return the module ``study`` in a folder of studies; a study's section names the folder as its ``module``.

    It offers ``load(folder, engine)`` (the raw tables of a study, in the engine where there is much to join) and
    ``prepare(tables, study, checks)`` (raw tables to a `Preparation`); where the study has sources also
    ``files(source, vintages)`` (which of a source's files it needs) and ``read(source, paths)`` (those files as one raw
    table, or as several by name).
    """
    return importlib.import_module(f"pipeline.studies.{name}.study")


def effects(name: str) -> ModuleType:
    """Return the module ``effects`` in a folder of studies, for a study whose design allows more than regression.

    It offers ``effects(cohort, panels, study, params)``: the cohort and the further tables of its preparation in
    (by name), rows of the results table out.
    """
    return importlib.import_module(f"pipeline.studies.{name}.effects")


def intake(name: str) -> ModuleType:
    """Return the module ``intake`` in a folder of studies, for a study of a reader's own file.

    It offers ``intake(study, where)``: the file that the study's section names in, typed columns by role out.
    """
    return importlib.import_module(f"pipeline.studies.{name}.intake")
