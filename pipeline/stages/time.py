"""Follow loans month by month: cumulative incidence by arm, hazards, competing exits, and contacts before and after."""

from pipeline.analyses.time.rows import WANTED, rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write a study's rows on time, none where defaults carry no date; return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    paths = {name: places.processed(study) / "more" / f"{name}.parquet" for name in WANTED}
    more = {name: store.read_parquet(path) for name, path in paths.items() if path.exists()}
    found = rows(cohort, more, scope(protocol, cohort), params.inference.level)
    results.write(places.results(study, "time"), results.table(study, "time", found))
    return f"{len(found):,} rows" if found else "defaults carry no date here"
