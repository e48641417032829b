"""Repeat the headline regressions with other errors, effects and shapes."""

from pipeline.analyses.robustness.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places


def run(study: str, params: Params) -> str:
    """Write a study's rows on robustness, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    found = rows(cohort, scope(protocol, cohort), params.inference.level, f"{params.seed} {study}")
    results.write(places.results(study, "robustness"), results.table(study, "robustness", found))
    return f"{len(found):,} rows"
