"""Estimate the same contrast by every adjustment, and ask what hidden confounding could do."""

import json

from pipeline.analyses.adjust.loans import Matched
from pipeline.analyses.adjust.rows import rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.core.seeds import seed_of
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write a study's rows on adjustment and its checks; return how many there are, or why there is nothing to say."""
    protocol = params.study(study)
    folder = places.matched(study)
    cohort = cohorts.read(study, protocol)
    design, ties = (json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("design", "ties"))
    matched = Matched(design, store.read_parquet(folder / "pairs.parquet"), ties)
    allowed = scope(protocol, cohort)
    found = rows(cohort, matched, allowed, params, seed_of(params.seed, study, "adjust"))
    results.write(places.results(study, "adjust"), results.table(study, "adjust", found))
    return f"{len(found):,} rows" if allowed.arms else found[0]["note"]
