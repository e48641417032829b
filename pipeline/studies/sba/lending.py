"""What follows a loan at one of many banks: the next loan, the wait, and what is lost."""

from __future__ import annotations

import pandas as pd

from pipeline.stats.design import design_matrix
from pipeline.stats.inference import scaled
from pipeline.stats.libraries import absorbed_linear, linear_probability
from pipeline.studies.sba.rows import (
    LINE,
    SAME_STATE,
    SHARING,
    WAIT,
    Rows,
    counts_of,
    in_points,
    row_of,
    within_banks,
)


def waiting(cohort: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Whether fuller documentation takes longer: months from approval to disbursement, in the cohort."""
    design = design_matrix(cohort, ["treated", *controls]).matrix
    banks, months = cohort["institution_id"], cohort[WAIT]
    common = {"outcome": "months_to_disbursement", "estimand": "mean_difference", "unit": "months"}
    number = {"n": len(cohort), "n_treated": int(cohort["treated"].sum()), "n_clusters": banks.nunique()}
    found = linear_probability(months, design, "treated", banks, level, cohort["weight"])
    yield row_of("waiting", "controls", "treated", found, **common | number)
    inside = absorbed_linear(months, design, ["treated"], banks, banks, level, cohort["weight"])
    yield row_of("waiting", "within_banks", "treated", inside.effects["treated"], **common | counts_of(inside))


def losses(loans: pd.DataFrame, eligible: set[str], controls: list[str], level: float) -> Rows:
    """Loss given default: the share of what was paid out that was charged off, and the lender's part of it."""
    from pipeline.stats.accuracy import mean_effect

    lost = loans[loans["loss_given_default"].notna()]
    lost = lost.assign(lender_loss=lost["loss_given_default"] * (1 - lost["guaranteed_share"]))
    banks = lost["institution_id"]
    for outcome in ("loss_given_default", "lender_loss"):
        mean = scaled(mean_effect(lost[outcome].to_numpy(), None, level, banks.to_numpy()), 100)
        number = {"n": len(lost), "n_clusters": banks.nunique(), "unit": "percent of the amount disbursed"}
        yield row_of("losses", "mean", "all", mean, outcome=outcome, estimand="mean", **number)
    for factor in (SHARING, SAME_STATE, LINE, WAIT):
        measured = lost[lost[factor].notna()]
        if factor == SHARING:
            # Only where little documentation was allowed is full documentation a choice.
            measured = measured[measured["loan_id"].isin(eligible)]
        found = within_banks(measured, [factor], controls, level, outcome="loss_given_default")
        points = {"estimand": "mean_difference", "unit": "percentage points of the amount disbursed"}
        yield row_of(
            "losses",
            "within_banks",
            factor,
            in_points(found, factor),
            outcome="loss_given_default",
            **points,
            **counts_of(found),
        )
