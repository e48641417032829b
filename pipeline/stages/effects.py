"""Estimate what a study's design allows beyond matching and regression: experiments, instruments, panels."""

from pipeline import studies
from pipeline.core import places, results, store
from pipeline.core.params import Params


def run(study: str, params: Params) -> str:
    """Write the effects rows of the results table."""
    processed = places.processed(study)
    cohort = store.read_parquet(processed / "cohort.parquet")
    panels = {path.stem: store.read_parquet(path) for path in sorted((processed / "more").glob("*.parquet"))}
    protocol = params.study(study)
    rows = studies.effects(protocol.module).effects(cohort, panels, protocol, params)
    results.write(places.results(study, "effects"), results.table(study, "effects", rows))
    return f"{len(rows):,} rows"
