"""Choose cases by rule from a simulated study, and lay out their timelines."""

from pipeline.analyses.cases.rows import PROTOCOLS, Followed, rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write the rows of a study's cases, and return how many there are."""
    protocol, followed = params.study(study), None
    if protocol.design == "simulated":
        matched = places.matched(study)
        followed = Followed(
            cohorts.read(study, protocol, ["institution_id", "adoption_month"]),
            store.read_parquet(places.processed(study) / "more" / "loan_months.parquet"),
            store.read_parquet(matched / "pairs.parquet"),
            store.read_parquet(matched / "scores.parquet"),
        )
    found = rows({name: file.read_text(encoding="utf-8") for name, (file, *_) in PROTOCOLS.items()}, followed)
    results.write(places.results(study, "cases"), results.table(study, "cases", found))
    return f"{len(found)} rows"
