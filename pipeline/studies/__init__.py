"""One folder per study: raw tables in, loan cohort out."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    from pipeline.core.protocol import Study


def module(name: str) -> ModuleType:
    """Return the module ``study`` in a study's folder, its own or the one that its choices name as ``module``.

    It offers ``load(folder, engine)`` (the raw tables of a study, in the engine where there is much to join) and
    ``prepare(tables, study, checks)`` (raw tables to a `Preparation`); where the study has sources also
    ``files(source, vintages)`` (which of a source's files it needs) and ``read(source, paths)`` (those files as one raw
    table, or as several by name).
    """
    return importlib.import_module(f"pipeline.studies.{name}.study")


def check(study: Study, where: str) -> None:
    """Check the choices of a study that only its module knows, such as ``eligibility``, before anything runs.

    `where` names the file in which they stand. Raises StudyError; modules without such choices check nothing.
    """
    if not name_fits(study.module):
        raise StudyError(f"{where}: module: there is no code in pipeline/studies/{study.module}: correct the name.")
    choices = getattr(module(study.module), "choices", None)
    if choices is not None:
        choices(study, where)


def name_fits(name: str) -> bool:
    """Say whether a folder of studies has this name."""
    return (Path(__file__).parent / name / "study.py").is_file()


def effects(name: str) -> ModuleType:
    """Return the module ``effects`` in a folder of studies, for a study whose design allows more than regression.

    It offers ``effects(cohort, panels, study, params)``: the cohort and the further tables of its preparation in
    (by name), rows of the results table out; and ``COLUMNS``, the columns of the cohort that it cannot do without,
    besides those that the study's choices name.
    """
    return importlib.import_module(f"pipeline.studies.{name}.effects")


def intake(name: str) -> ModuleType:
    """Return the module ``intake`` in a folder of studies, for a study of a reader's own file.

    It offers ``intake(study, where)``: the file that the study's choices name in, typed columns by role out.
    """
    return importlib.import_module(f"pipeline.studies.{name}.intake")
