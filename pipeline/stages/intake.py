"""Read a reader's own file and keep the columns that have a role as typed parquet; the file stays where it is."""

from pipeline import studies
from pipeline.core.params import Params
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError


def run(study: str, params: Params) -> str:
    """Write the columns by role, and where each comes from; return a line that says what was read."""
    protocol = params.study(study)
    if protocol.own is None:
        raise StudyError(f"{places.choices(study)} has no section own: its files are collected, not taken in.")
    taken = studies.intake(protocol.module).intake(protocol, str(places.choices(study)))
    store.write_parquet(places.interim(study) / "loans.parquet", taken.loans)
    store.write_parquet(places.interim(study) / "columns.parquet", taken.columns)
    for name, rows in taken.followed.items():
        store.write_parquet(places.interim(study) / f"{name}.parquet", rows)
    idle = f"; nothing uses {', '.join(taken.unused)}" if taken.unused else ""
    return f"{len(taken.loans):,} rows, {len(taken.columns)} columns with a role, from {protocol.own['file']}{idle}"
