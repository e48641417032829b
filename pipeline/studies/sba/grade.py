"""A credit grade from what a lender knows when it approves a loan.

The agency publishes no grade. This one is a score card of three facts: whether the firm is new, whether it is small,
and how loans to its industry had fared by the end of the year before. Nothing of the loan's own future enters.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.studies.grades import by_points

SMALL_FIRM = 5
"""A firm with fewer employees gets a point."""

SMOOTHING = 500
"""Loans at the average rate that are added to every industry, so that few loans make no extreme rate."""

UNKNOWN_INDUSTRY = "not stated"


def past_default_ratio(loans: pd.DataFrame) -> pd.Series:
    """Return, for each loan, its industry's past default rate as a multiple of all loans' past default rate.

    `loans` has ``approved`` and ``charged_off`` (dates, the latter missing for loans that never were), ``industry``
    and ``weight``. For a loan approved in year t, past are the loans approved before year t, and their defaults are
    those charged off before year t. One where the industry is not stated, or nothing is past.
    """
    year = loans["approved"].dt.year
    industries = np.array(sorted(set(loans["industry"]) - {UNKNOWN_INDUSTRY}), dtype=object)
    ratio = pd.Series(1.0, loans.index)
    known = loans["industry"] != UNKNOWN_INDUSTRY
    for now in np.unique(year):
        past = known & (year < now)
        defaulted = past & (loans["charged_off"].dt.year < now)
        weight = loans["weight"]
        everything = weight[past].groupby(loans["industry"][past]).sum().reindex(industries, fill_value=0.0)
        bad = weight[defaulted].groupby(loans["industry"][defaulted]).sum().reindex(industries, fill_value=0.0)
        if bad.sum() == 0:
            continue
        average = bad.sum() / everything.sum()
        rate = (bad + SMOOTHING * average) / (everything + SMOOTHING)
        here = known & (year == now)
        ratio[here] = loans["industry"][here].map(rate / average).astype(float)
    return ratio


def credit_grade(loans: pd.DataFrame) -> pd.Series:
    """Return the ordered grade of each loan: a point for a new firm, for a small one, and for a risky industry.

    An industry is risky when its past default rate lies above that of all. `loans` has what `past_default_ratio`
    reads, and ``new_firm`` (0/1) and ``employees``; a missing value of these gives no point.
    """
    points = (
        (loans["new_firm"] == 1).astype(int)
        + (loans["employees"] < SMALL_FIRM).astype(int)
        + (past_default_ratio(loans) > 1).astype(int)
    )
    return by_points(points)
