"""What the simulated lenders' design allows: every way to the programme's effect that the literature takes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.core.params import Params, Study
from pipeline.stats.estimators import estimate_all

PERMUTATIONS = 999
"""Adoption calendars that the randomisation test deals out."""


def effects(
    cohort: pd.DataFrame, panels: dict[str, pd.DataFrame], protocol: Study, params: Params
) -> list[dict[str, Any]]:
    """Return rows of the results table; the estimators' own lists say what is controlled for, not the protocol."""
    return estimate_all(
        cohort,
        panels["loan_months"],
        params.inference.level,
        permutations=PERMUTATIONS,
        seed=params.seed,
        ratio=params.match.ratio,
        caliper=params.match.caliper,
        order=params.match.order,
    )
