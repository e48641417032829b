"""Grade loans by the saved score, judge these grades and those on record, and look at what goes with a tier."""

from pipeline.analyses.grade.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places
from pipeline.sources.scores import read_json


def run(study: str, params: Params) -> str:
    """Write a study's rows on grades and tiers, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    file = places.reports(study) / "model.json"
    model = read_json(file, f"run the stage predict again: make reproduce STUDY={study}")
    found = rows(cohort, model, scope(protocol, cohort), params.predict.windows.get(study), params)
    results.write(places.results(study, "grade"), results.table(study, "grade", found))
    return f"{len(found):,} rows"
