"""What dates of adoption allow: lenders or branches before and after a practice, against those without it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.stats import estimators, libraries
from pipeline.studies.own.study import NOT_STATED

COLUMNS = ("adoption_month",)
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(
    cohort: pd.DataFrame, panels: dict[str, pd.DataFrame], protocol: Study, params: Params
) -> list[dict[str, Any]]:
    """Return rows of the results table, on loans of which is known where and when they were granted."""
    known = cohort["origination_date"].notna() & (cohort["institution_id"].astype(str) != NOT_STATED)
    engines = estimators.OURS._replace(poisson=libraries.poisson)
    return estimators.adoption(cohort[known], params.inference.level, seed=params.seed, engines=engines)
