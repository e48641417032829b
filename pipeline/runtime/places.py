"""Where every file of a study lives, relative to the repository's root. The stages of DVC name the same paths."""

from __future__ import annotations

from pathlib import Path

PIPELINES = (Path("dvc.yaml"), Path("analyses/dvc.yaml"))
PIPELINE_LOCKS = tuple(file.with_suffix(".lock") for file in PIPELINES)
"""Where the stages stand, and what DVC writes beside: the whole of a lock file for every stage that runs."""

CODE = Path("data/code")
"""Hashes of the code that each stage runs, one file a stage (and study, where its code differs)."""

RAW = Path("data/raw")
"""Files as their producers published them, verified by checksum, one folder a source."""

STUDIES = Path("pipeline/studies")
"""One folder a study: its choices, code, words, notebook and source records."""

NO_STUDY = ("evidence", "log", "method", "notebooks", "synthesis")
"""Folders under reports that belong to no single study, so that none can have such a name."""

LOCKS = Path(".cache/locks")
"""One file for every stage and study that ran: while it runs, its process holds a lock on the file."""


def choices(study: str) -> Path:
    """File of a study's own choices."""
    return STUDIES / study / "params.yaml"


def interim(study: str) -> Path:
    """Folder of the raw tables, one parquet file a source."""
    return Path("data/interim") / study


def processed(study: str) -> Path:
    """Folder of the prepared tables: cohort, robustness, flow, quarantine."""
    return Path("data/processed") / study


def matched(study: str) -> Path:
    """Folder of what matching yields: pairs, scores, strata."""
    return processed(study) / "matched"


def truth(study: str) -> Path:
    """Folder of what a simulation knows and no analysis may read."""
    return Path("data/truth") / study


def reports(study: str) -> Path:
    """Folder of what people read."""
    return Path("reports") / study


def results(study: str, stage: str) -> Path:
    """File of an analysis stage's results table."""
    return reports(study) / "results" / f"{stage}.csv"


def log(study: str | None) -> Path:
    """Folder of the logs of a study's stages, or of the stages of all studies; git does not keep it."""
    return (Path("reports") if study is None else reports(study)) / "log"
