"""Read a reader's own file and keep the columns that have a role as typed parquet; the file stays where it is."""

from pathlib import Path

from pipeline import studies
from pipeline.core import params as parameters
from pipeline.core.params import Params
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError


def run(study: str, params: Params) -> str:
    """Write the columns by role, and where each comes from; return a line that says what was read."""
    protocol = params.study(study)
    if protocol.own is None:
        raise StudyError(f"studies.{study} in params.yaml has no section own: its files are collected, not taken in.")
    _same_file(study, str(protocol.own.get("file")))
    taken = studies.intake(protocol.module).intake(protocol, f"studies.{study}")
    store.write_parquet(places.interim(study) / "loans.parquet", taken.loans)
    store.write_parquet(places.interim(study) / "columns.parquet", taken.columns)
    return f"{len(taken.loans):,} rows, {len(taken.columns)} columns with a role, from {protocol.own['file']}"


def _same_file(study: str, file: str) -> None:
    """Raise a StudyError when dvc.yaml watches another file than the one that is read."""
    pipeline = Path("dvc.yaml")
    if not pipeline.exists():
        return
    owned = {
        name: item for part in parameters.read(pipeline).get("vars", []) for name, item in part.get("owned", {}).items()
    }
    watched = (owned.get(study) or {}).get("file")
    if watched is not None and watched != file:
        raise StudyError(
            f"params.yaml names {file} under studies.{study}.own.file and dvc.yaml {watched} under owned: write one "
            "path in both."
        )
