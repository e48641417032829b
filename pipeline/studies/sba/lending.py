"""What follows a loan at one of many banks: the next loan, the wait, and what is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import scaled
from pipeline.stats.libraries import absorbed_linear, linear_probability
from pipeline.studies.sba.rows import (
    EXPOSED,
    LATE,
    LINE,
    SAME_STATE,
    SHARING,
    WAIT,
    Row,
    Rows,
    counts_of,
    in_points,
    row_of,
    within_banks,
)

RENEWAL_WINDOW = 24
"""Months after approval in which a default counts for a score, and after which a loan can teach the next one."""


def renewal(loans: pd.DataFrame, protocol: Study, level: float) -> Rows:
    """Judge a score that stays as it was when a span begins beside one that is fitted anew each January.

    The spans are the recession and the equally long one before it: late approvals, which decide nothing. Either score
    learns from loans that are old enough on its day for a default within the window to have shown; judged are the
    loans approved in the span.
    """
    from pipeline.stats import accuracy, prediction

    named = [*protocol.controls.loan, *protocol.controls.borrower]
    terms = ["guarantee_band" if term == "guaranteed_share" else term for term in named]
    # Months to default count from payment, the day of a score from approval.
    event = (loans[WAIT] + loans["months_to_default"] <= RENEWAL_WINDOW).to_numpy(dtype=float)
    sample = prediction.Sample(loans, event, loans["weight"].to_numpy(dtype=float))
    date = loans["origination_date"]

    def learnt(day: pd.Timestamp) -> prediction.Fitted:
        return prediction.fit(
            sample.part((date < day - pd.DateOffset(months=RENEWAL_WINDOW)).to_numpy()), terms, "logistic"
        )

    begin, end = EXPOSED
    spans = {"recession": EXPOSED, "before_recession": (begin - (end - begin), begin - pd.Timedelta(days=1))}
    for name, (first, last) in spans.items():
        inside = date.between(first, last).to_numpy()
        row: Row = {"outcome": f"default_within_{RENEWAL_WINDOW}", "n": int(inside.sum())}
        row |= {"n_clusters": loans.loc[inside, "institution_id"].nunique()}
        judged = sample.part(inside)
        try:
            frozen = learnt(first).probability(judged.loans)
            renewed = np.empty(len(frozen))
            year = judged.loans["origination_date"].dt.year.to_numpy()
            for of in np.unique(year):
                day = max(pd.Timestamp(year=int(of), month=1, day=1), first)
                renewed[year == of] = learnt(day).probability(judged.loans[year == of])
            shares = {"frozen": frozen, "renewed": renewed}
            banks = judged.loans["institution_id"].astype(str).to_numpy()
            right = {
                kind: accuracy.ratio_of_means(judged.default, share, judged.weights, level, banks)
                for kind, share in shares.items()
            }
            areas = {
                kind: accuracy.area(judged.default, share, level, banks, judged.weights)
                for kind, share in shares.items()
            }
        except (StudyError, ValueError) as error:
            yield row_of("renewal", name, "frozen_model", None, **row, note=str(error))
            continue
        lost = (judged.default - frozen) ** 2 - (judged.default - renewed) ** 2
        worse = accuracy.mean_effect(lost, judged.weights, level, banks)
        note = "squared error of the frozen score less that of the renewed one, by bank; above nought: frozen is worse"
        note = f"{note}; {LATE}"
        yield row_of(
            "renewal",
            name,
            "frozen_model",
            worse,
            estimand="frozen_less_renewed",
            unit="squared error",
            note=note,
            **row,
        )
        for kind in shares:
            ratio = right[kind]._replace(p_value=np.nan)
            more = {
                "estimand": "observed_to_expected",
                "unit": "ratio",
                "note": f"defaults over defaults expected; {LATE}",
            }
            yield row_of("renewal", f"{name}_{kind}", "frozen_model", ratio, **more, **row)
            yield row_of(
                "renewal",
                f"{name}_{kind}",
                "frozen_model",
                areas[kind],
                estimand="area_under_curve",
                unit="area",
                note=LATE,
                **row,
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
