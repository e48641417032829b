"""Fit and judge scores of default on later loans, with and without what CRM knows, and save the score."""

from pipeline.analyses.predict.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.core.seeds import seed_of
from pipeline.runtime import places, store
from pipeline.stats import saved_score


def run(study: str, params: Params) -> str:
    """Write a study's rows on prediction and the saved score; return how many rows there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    seed = seed_of(params.seed, study, "predict")
    found, model = rows(cohort, scope(protocol, cohort), params.predict.windows.get(study), params, seed)
    results.write(places.results(study, "predict"), results.table(study, "predict", found))
    store.write_json(places.reports(study) / "model.json", {"version": saved_score.VERSION, "study": study} | model)
    return f"{len(found):,} rows"
