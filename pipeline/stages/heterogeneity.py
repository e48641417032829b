"""Ask whose default treatment changes, by groups on two scales and loan by loan."""

from pipeline.analyses.heterogeneity.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.core.seeds import seed_of
from pipeline.runtime import places


def run(study: str, params: Params) -> str:
    """Write a study's rows on differences between effects, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    seed = seed_of(params.seed, study, "heterogeneity")
    found = rows(cohort, scope(protocol, cohort), params.inference.level, seed)
    results.write(places.results(study, "heterogeneity"), results.table(study, "heterogeneity", found))
    return f"{len(found):,} rows"
