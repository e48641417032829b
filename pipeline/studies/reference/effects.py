"""What the simulated design allows: every way to the programme's effect, and what CRM records add to a score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.stats import libraries
from pipeline.stats.design import design_matrix
from pipeline.stats.discrimination import compare
from pipeline.stats.estimators import estimate_all
from pipeline.stats.estimators_rows import AFTER, Engines
from pipeline.stats.logistic import predicted_log_odds

LIBRARIES = Engines(
    libraries.linear_probability, libraries.logit, libraries.two_stage, libraries.inside, libraries.poisson
)
"""What people read first comes from libraries that they know."""

TRAINING_MONTHS = 0.7
"""Share of the months of origination on which scores are fitted; they are judged on the later ones."""

CRM_RECORDS = ("communication_frequency", "satisfaction")
"""CRM factors that some loans have no record of; that there is none is a feature as well."""

COLUMNS = ("adoption_month", "branch_id", "programme_lot", "service_audit_score")
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(
    cohort: pd.DataFrame, panels: dict[str, pd.DataFrame], protocol: Study, params: Params
) -> list[dict[str, Any]]:
    """Return rows of the results table; the estimators' own lists say what they control for, not the protocol."""
    rows = estimate_all(
        cohort,
        panels["loan_months"],
        params.inference.level,
        seed=params.seed,
        ratio=params.match.ratio,
        caliper=params.match.caliper,
        order=params.match.order,
        engines=LIBRARIES,
    )
    terms = [*protocol.controls.loan, *protocol.controls.borrower, *protocol.controls.market]
    return [*rows, *_discrimination(cohort, terms, protocol, params.inference.level)]


def _discrimination(cohort: pd.DataFrame, hard: list[str], protocol: Study, level: float) -> Iterator[dict[str, Any]]:
    """Compare a score on hard information with one that has the CRM records up to the landmark as well.

    Loans that were open at the landmark, default after it: before it, records of default would be read as features.
    """
    loans = cohort[cohort["open_at_landmark"] == 1]
    months = pd.PeriodIndex(loans["origination_month"].astype(str), freq="M")
    every = months.unique().sort_values()
    cut = every[int(TRAINING_MONTHS * len(every))]
    # What came of the loans that teach was known when the first of those judged were granted.
    train, judged = (np.asarray(one) for one in (months + protocol.horizon_months < cut, months >= cut))
    records = ["treated", "information_sharing", "relationship_length", "early_warning"]
    for name in CRM_RECORDS:
        missing = loans[name].isna()
        # Later loans have no say in what fills a gap.
        filled = loans[name].fillna(loans[name][train].mean())
        loans = loans.assign(**{name: filled, f"no_{name}": missing.astype(int)})
        records += [name, f"no_{name}"]
    default = loans[AFTER].to_numpy()
    scores = []
    for features in (hard, [*hard, *records]):
        design = design_matrix(loans, features).matrix.drop(columns="intercept").to_numpy()
        scores.append(predicted_log_odds(design[train], default[train], design[judged], tolerance=1e-10))
    found = compare(default[judged], *scores, level, loans[protocol.cluster].to_numpy()[judged])
    names = ("hard_information", "with_crm_records", "gain")
    for name, one in zip(names, found, strict=True):
        yield {
            "estimator": "discrimination",
            "specification": name,
            "outcome": AFTER,
            "estimand": "area_under_curve" if name != "gain" else "difference_of_areas",
            "unit": "area",
            "n": int(judged.sum()),
            "note": f"fitted on loans whose outcome was known in {cut}, judged on those granted from then on",
        } | one._asdict()
