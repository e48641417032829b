"""Climb the regression ladder for each CRM factor, on all loans and on matched pairs."""

import json

from pipeline.analyses.regress.rows import Design, rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write the regression rows of the results table."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    folder, wider = places.matched(study), places.processed(study) / "more" / "robustness.parquet"
    scores = folder / "scores.parquet"
    design = Design(
        *(store.read_parquet(folder / f"{name}.parquet") for name in ("pairs", "weights", "covariates")),
        scores=store.read_parquet(scores) if scores.exists() else None,
        choices=json.loads((folder / "design.json").read_text(encoding="utf-8")),
    )
    larger = store.read_parquet(wider) if wider.exists() else None
    found = rows(cohort, larger, design, protocol, params.inference.level)
    results.write(places.results(study, "regress"), results.table(study, "regress", found))
    return f"{len(found):,} rows"
