"""Judge rules of whom to treat, as the data alone would and by the true potential outcomes of a simulation."""

from pipeline.analyses.policy.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.core.seeds import seed_of
from pipeline.runtime import places, store

TRUTH = ["loan_id", "risk_if_not_enrolled", "risk_if_enrolled", "risk_contact_only"]
"""Columns of the true potential outcomes that rules are judged by."""


def run(study: str, params: Params) -> str:
    """Write a study's rows on rules of treatment, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    truth = store.read_parquet(places.truth(study) / "potential_outcomes.parquet", TRUTH)
    seed = [seed_of(params.seed, study, "policy")]
    found = rows(cohort, truth, scope(protocol, cohort), params, seed)
    results.write(places.results(study, "policy"), results.table(study, "policy", found))
    return f"{len(found):,} rows"
