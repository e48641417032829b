"""Ask by which way the programme works: screening or behaviour, satisfaction, loyalty, contacts and quick answers."""

from pipeline.analyses.mechanism.rows import WANTED, rows
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write a study's rows on mechanisms, none where no programme starts at some lenders; return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    paths = {name: places.processed(study) / "more" / f"{name}.parquet" for name in WANTED}
    more = {name: store.read_parquet(path) for name, path in paths.items() if path.exists()}
    found = rows(cohort, more, scope(protocol, cohort), params.inference.level, params.checks.balance)
    results.write(places.results(study, "mechanism"), results.table(study, "mechanism", found))
    return f"{len(found):,} rows" if found else "no lender starts a programme here"
