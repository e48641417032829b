"""Estimate the programme's effect in every way that the literature takes, right and wrong."""

from pipeline.core import places, results, store
from pipeline.core.params import Params
from pipeline.stats.estimators import estimate_all

PERMUTATIONS = 999
"""Adoption calendars that the randomisation test deals out."""


def run(study: str, params: Params) -> str:
    """Write the effects rows of the results table."""
    processed = places.processed(study)
    rows = estimate_all(
        store.read_parquet(processed / "cohort.parquet"),
        store.read_parquet(processed / "more" / "loan_months.parquet"),
        params.inference.level,
        permutations=PERMUTATIONS,
        seed=params.seed,
        ratio=params.match.ratio,
        caliper=params.match.caliper,
        order=params.match.order,
    )
    results.write(places.results(study, "effects"), results.table(study, "effects", rows))
    return f"{len(rows):,} rows"
