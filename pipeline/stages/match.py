"""Make treated loans and controls comparable: pairs, strata or weights, as params.yaml asks."""

from pipeline.analyses.match.rows import matched
from pipeline.core import cohorts
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write weights, pairs, propensity scores and the support of every stratum; return how many loans are matched."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    found = matched(cohort, scope(protocol, cohort), params)
    folder = places.matched(study)
    for name, table in found.tables.items():
        store.write_parquet(folder / f"{name}.parquet", table)
    store.write_json(folder / "design.json", found.design)
    store.write_json(folder / "ties.json", found.ties)
    return found.said
