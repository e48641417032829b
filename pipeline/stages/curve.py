"""Estimate the effect under every combination of choices that could as well have been made, and test all at once."""

from pipeline.analyses.curve.batches import computed, kept
from pipeline.analyses.curve.choices import LOTS, batches_of, job_of, permutations
from pipeline.analyses.curve.rows import NO_ARMS, rows
from pipeline.analyses.curve.samples import seen
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.core.seeds import seed_of
from pipeline.runtime import places, store
from pipeline.stats.samples import by_lot


def run(study: str, params: Params) -> str:
    """Write the rows of a study's specification curve; return how many specifications it has, or why it has none.

    Batches run side by side, and each leaves its results in a folder of its own until all are done, so that a run that
    was interrupted goes on where it was.
    """
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    protocol, path = allowed.protocol, places.results(study, "curve")
    if not allowed.arms:
        results.write(path, results.table(study, "curve", [NO_ARMS]))
        return NO_ARMS["note"]
    more = places.processed(study) / "more" / "robustness.parquet"
    with kept(study, params, (cohorts.path_of(study), more)) as folder:
        wider = any(sample.wider for sample in protocol.alternatives.samples.values())
        every = seen(cohort, store.read_parquet(more) if wider else None, protocol, params.seed)
        seed = seed_of(params.seed, study, "curve")
        loans = by_lot(every, params.specification_curve.most_loans, seed).reset_index(drop=True)
        job = job_of(protocol, params, seed, lottery=set(LOTS) <= set(cohort))
        batches = [*batches_of(job, allowed)]
        found = computed(folder, batches, loans, permutations(job, loans), params.parallel, f"curve {study}")
        written = [*rows(found, job, params), *results.drawn_by_lot(len(loans), len(every))]
        results.write(path, results.table(study, "curve", written))
    return f"{len(found):,} specifications"
