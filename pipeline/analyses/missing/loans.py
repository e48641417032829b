"""Loans of which a column could have been measured, and the rows on them."""

from typing import Any

import pandas as pd

from pipeline.core.protocol import Study
from pipeline.stats.samples import candidates, number_treated

Row = dict[str, Any]


def askable(cohort: pd.DataFrame, name: str, protocol: Study) -> pd.DataFrame:
    """Return the loans of which a column could have been measured, with the default that belongs to it."""
    return candidates(cohort, name, protocol.after_origination())


def full_controls(protocol: Study) -> list[str]:
    """Return the full controls, time effects first."""
    ladder = protocol.controls.ladder()
    terms = [*ladder.values()][-1] if ladder else []
    return [*protocol.controls.time, *(term for term in terms if term not in protocol.controls.time)]


def row(loans: pd.DataFrame, protocol: Study, estimator: str, **more: Any) -> Row:
    """Return a row with the numbers of its loans."""
    counts = {"n": len(loans), "n_treated": number_treated(loans), "n_clusters": loans[protocol.cluster].nunique()}
    return {"estimator": estimator} | counts | more
