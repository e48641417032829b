"""Turn raw tables into the loan cohort and count every row that leaves."""

from pipeline import studies
from pipeline.core.params import Params
from pipeline.runtime import places, store
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.studies.preparation import Parts


def run(study: str, params: Params) -> str:
    """Write the cohort, what surrounds it (robustness sample, panels), the sample flow and the quarantined rows."""
    protocol = params.study(study)
    module = studies.module(protocol.module)
    if protocol.simulated:
        # Queries read these tables where they lie.
        for path in sorted(places.interim(study).glob("*.parquet")):
            store.scanned(path)
    engine = Engine(params.engine, params.engine_address, params.engine_memory)
    prepared = module.prepare(module.load(places.interim(study), engine), protocol, params.checks)
    if prepared.cohort.empty:
        raise StudyError("no loan is left in the cohort: look at the study's eligibility and at the sample flow.")
    folder = places.processed(study)
    store.write_parquet(folder / "cohort.parquet", prepared.cohort)
    store.write_parquet(folder / "flow.parquet", prepared.flow)
    store.write_csv(folder / "quarantine.csv", prepared.quarantined)
    done = (
        f"{len(prepared.cohort):,} loans, {int(prepared.cohort['default'].sum()):,} defaults; "
        f"{len(prepared.quarantined):,} raw rows quarantined"
    )
    more, panels, further = folder / "more", prepared.panels, prepared.further
    more.mkdir(parents=True, exist_ok=True)
    if prepared.robustness is not None:
        store.write_parquet(more / "robustness.parquet", prepared.robustness)
    # What is written need not be held while longer tables are made.
    del prepared
    for name in panels:
        if isinstance(panels, Parts):
            store.write_parquet_parts(more / f"{name}.parquet", panels.parts(name))
        else:
            store.write_parquet(more / f"{name}.parquet", panels[name])
    for name, make in further.items():
        store.write_parquet(more / f"{name}.parquet", make())
    return done
