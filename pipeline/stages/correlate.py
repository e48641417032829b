"""Correlate each CRM factor with default, raw and given the controls."""

from pipeline.analyses.correlate.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places


def run(study: str, params: Params) -> str:
    """Write the correlation rows of a study's results table, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    found = rows(cohort, scope(protocol, cohort), params.inference.level)
    results.write(places.results(study, "correlate"), results.table(study, "correlate", found))
    return f"{len(found):,} rows"
