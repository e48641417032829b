"""Describe the sample: flow, balance before and after matching, score overlap, default rates."""

import json

from pipeline.analyses.describe.rows import Matched, rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import LeftOut, reduced, scope
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write the descriptive rows of a study's results table, and return how many there are."""
    protocol = params.study(study)
    folder = places.matched(study)
    cohort = cohorts.read(study, protocol)
    flow = store.read_parquet(places.processed(study) / "flow.parquet")
    tables = {name: store.read_parquet(folder / f"{name}.parquet") for name in ("scores", "strata", "weights")}
    matched = Matched(json.loads((folder / "design.json").read_text(encoding="utf-8")), **tables)
    allowed = scope(protocol, cohort)
    if matched.design.get("failed"):
        allowed = reduced(protocol, [*allowed.left_out, LeftOut("no_design", note=matched.design["failed"])])
    found = rows(cohort, flow, matched, allowed, params.inference.level)
    results.write(places.results(study, "describe"), results.table(study, "describe", found))
    return f"{len(found):,} rows"
