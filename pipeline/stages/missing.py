"""Ask what missing values could hide."""

from pipeline.analyses.missing.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write a study's rows on missing values, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    flow = store.read_parquet(places.processed(study) / "flow.parquet")
    found = rows(cohort, flow, scope(protocol, cohort), params, f"{params.seed} {study}")
    results.write(places.results(study, "missing"), results.table(study, "missing", found))
    return f"{len(found):,} rows"
