"""Estimate what a study's design allows beyond matching and regression: experiments, instruments, panels."""

from pipeline import studies
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write the effects rows of the results table."""
    protocol = params.study(study)
    design = studies.effects(protocol.module)
    cohort = cohorts.read(study, protocol, design.COLUMNS)
    more = places.processed(study) / "more"
    panels = {path.stem: store.read_parquet(path) for path in sorted(more.glob("*.parquet"))}
    rows = design.effects(cohort, panels, protocol, params)
    results.write(places.results(study, "effects"), results.table(study, "effects", rows))
    return f"{len(rows):,} rows"
