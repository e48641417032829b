"""Raise alerts month by month from what the records show, and judge them by the defaults that follow."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet

from pipeline.analyses.warning.rows import MONTHS, WHERE_THERE, Tables, rows
from pipeline.analyses.warning.signals import INFLOW
from pipeline.core import cohorts, results
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.core.seeds import seed_of
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write a study's rows on early warning, and return how many there are."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    more = places.processed(study) / "more"
    months, inflow, accounts = None, None, None
    if (more / "loan_months.parquet").exists():
        wanted = [name for name in _columns(more / "loan_months.parquet") if name in (*MONTHS, *WHERE_THERE)]
        months = store.read_parquet(more / "loan_months.parquet", wanted)
        inflow = recorded_inflow(places.interim(study) / "repayments.parquet", months)
    if (more / "account_months.parquet").exists():
        accounts = store.read_parquet(more / "account_months.parquet")
    seed = [seed_of(params.seed, study, "warning")]
    found = rows(cohort, Tables(months, inflow, accounts), scope(protocol, cohort), params, seed)
    results.write(places.results(study, "warning"), results.table(study, "warning", found))
    return f"{len(found):,} rows"


def recorded_inflow(repayments: Path, months: pd.DataFrame) -> pd.DataFrame | None:
    """Read what came into clients' accounts, up to the last of `months`; None where the records do not hold it."""
    if "month_number" not in months or not repayments.exists() or INFLOW not in _columns(repayments):
        return None
    last = int(months["month_number"].max())
    return store.read_parquet(repayments, ["loan_id", "month_number", INFLOW], [("month_number", "<=", last)])


def _columns(path: Path) -> list[str]:
    """Return the names of a parquet file's columns."""
    names: list[str] = pyarrow.parquet.read_schema(path).names
    return names
