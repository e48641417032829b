"""Next loans and leaving, and how loyalty, default and lending go with each other."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.mechanism.programme import Programme, Row
from pipeline.core import results
from pipeline.stats import feedback as lagged

PRIME = 2
"""How many of the best grades are prime clients'."""


def loyalty(programme: Programme) -> Iterator[Row]:
    """Yield what the programme does to next loans and to leaving, and whom the lenders record these of."""
    if "months_to_next_loan" not in programme.cohort:
        return
    loans = programme.cohort.assign(
        next_loan=programme.cohort["months_to_next_loan"].notna().astype(float),
        left_lender=programme.cohort["months_to_leaving"].notna().astype(float),
    )
    recorded = np.maximum(loans["next_loan"], loans["left_lender"])
    for specification, of in (("default", loans["end"] == "default"), ("no_default", loans["end"] != "default")):
        yield programme.row(
            "loyalty_records",
            specification,
            "loyalty",
            "recorded",
            "share",
            estimate=100 * float(recorded[of].mean()),
            unit="percent",
            note="next loan or leaving on record, by how the loan ended",
            loans=loans[of],
        )
    clients = loans["borrower_id"].value_counts() if "borrower_id" in loans else pd.Series(dtype=int)
    if len(clients):
        yield programme.row(
            "loyalty_records",
            "clients_with_several_loans",
            "loyalty",
            "recorded",
            "count",
            estimate=int((clients > 1).sum()),
            unit="clients",
            note="the default of a later loan could be asked of these",
            loans=loans,
        )
    prime = loans["credit_grade"].cat.codes < PRIME if loans["credit_grade"].cat.ordered else None
    for outcome in ("next_loan", "left_lender"):
        found = programme.linear(loans, outcome, ["treated"])["treated"]
        yield programme.row(
            "loyalty",
            "controls",
            "treated",
            outcome,
            "risk_difference",
            **results.in_points(found),
            loans=loans,
        )
        if "programme_lot" not in loans:
            continue
        groups = {"lottery": loans["programme_lot"].notna()}
        if prime is not None:
            groups |= {"lottery_prime": groups["lottery"] & prime, "lottery_others": groups["lottery"] & ~prime}
        for specification, of in groups.items():
            found = programme.lottery(loans[of], outcome).effect
            yield programme.row(
                "loyalty",
                specification,
                "treated",
                outcome,
                "effect_on_compliers",
                **results.in_points(found),
                note="of all loans, in default or not: a client in default has not come back",
                loans=loans[of],
                clusters="loan_id",
            )


def feedback(programme: Programme) -> Iterator[Row]:
    """Yield, by lender and quarter, how loyalty, default and lending go with each other a quarter earlier."""
    needed = {"months_to_next_loan", "end", "months"}
    if not needed <= set(programme.cohort):
        return
    loans = programme.cohort
    panel = lagged.panel(
        loans["institution_id"],
        loans["origination_date"],
        loans["months"],
        {"default": loans["months"].where(loans["end"] == "default"), "loyalty": loans["months_to_next_loan"]},
    )
    found = lagged.cross_lags(panel, programme.level)
    units = {"default": "percent", "loyalty": "percent", "lending": "log points"}
    for (cause, outcome), one in found.items():
        yield {
            "estimator": "feedback",
            "specification": "a_quarter_later",
            "factor": cause,
            "outcome": outcome,
            "estimand": "change_per_unit",
            **one._asdict(),
            "n": len(panel),
            "n_clusters": panel["lender"].nunique(),
            "unit": f"{units[outcome]} for one {units[cause].removesuffix('s')}",
            "note": "given all three a quarter earlier; effects of lenders and quarters; n counts both together",
        }
