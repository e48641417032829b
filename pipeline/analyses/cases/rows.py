"""Choose cases by rule from the matched pairs and the lenders of a simulated study, and lay out their timelines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.stats.cases import nearest_of_each_fate, on_and_off, studentised

PROTOCOLS = {
    "interview_guide": (Path("docs/interview-guide.md"), "questions", r"^\d+\. "),
    "coding_frame": (Path("docs/coding-frame.md"), "codes", r"^\| `"),
}
"""What prepares the interviews: a file, what it holds, and how a line of it begins."""

TOLD = ("institution_id", "institution_type", "credit_grade", "loan_type", "origination_month")
"""What is said of a loan in words ..."""
MEASURED = (
    "credit_score",
    "amount",
    "term_months",
    "debt_to_income",
    "relationship_length",
    "information_sharing",
    "satisfaction",
    "communication_frequency",
)
"""... and in numbers."""

MONTHLY = ("proactive_contacts", "reactive_contacts", "alert", "delinquent", "default")

Rows = Iterator[dict[str, Any]]


class Followed(NamedTuple):
    """Simulated loans that may be laid open one by one."""

    cohort: pd.DataFrame
    months: pd.DataFrame
    """Loan-months: ``loan_id``, ``month_number`` and `MONTHLY`."""
    pairs: pd.DataFrame
    """Names of loans: ``treated`` and its ``control``."""
    scores: pd.DataFrame
    """``loan_id`` and ``logit``, the log odds of treatment."""


def rows(protocols: Mapping[str, str], followed: Followed | None) -> list[dict[str, Any]]:
    """Return the rows of the cases; `protocols` holds the texts of `PROTOCOLS`, by name.

    Without `followed` a row says why there are none: loans of real people are never laid open one by one.
    """
    found = list(prepared(protocols))
    if followed is None:
        return [*found, {"estimator": "selection", "note": "loans of real clients are not shown one by one"}]
    cohort = followed.cohort.sort_values("loan_id", ignore_index=True)
    found += of_pairs(cohort, followed.months, followed.pairs, followed.scores)
    return [*found, *of_lenders(cohort)]


def prepared(protocols: Mapping[str, str]) -> Rows:
    """Yield how many questions and codes stand ready for interviews; a text's first part is English."""
    for name, (_, what, begins) in PROTOCOLS.items():
        english = protocols[name].split("\n# ")[0]
        count = len(re.findall(begins, english, flags=re.M))
        yield _fact("protocol", name, "prepared", count, what, unit=what)


def of_pairs(cohort: pd.DataFrame, months: pd.DataFrame, pairs: pd.DataFrame, scores: pd.DataFrame) -> Rows:
    """Yield the nearest pair of each fate: the two loans as they began, and their months."""
    loans = cohort.set_index("loan_id")
    logit = scores.set_index("loan_id")["logit"]
    told = pairs[["treated", "control"]].copy()
    for arm in ("treated", "control"):
        told[f"{arm}_default"] = loans["default"].reindex(told[arm]).to_numpy()
    told["distance"] = np.abs(logit.reindex(told["treated"]).to_numpy() - logit.reindex(told["control"]).to_numpy())
    told["distance"] = told["distance"].round(9)
    for case, (place, count) in nearest_of_each_fate(told).items():
        yield _fact("selection", case, "candidates", count, unit="pairs", n=len(told))
        yield _fact("selection", case, "distance", told["distance"].iloc[place], unit="log odds")
        for arm in ("treated", "control"):
            name = told[arm].iloc[place]
            own = f"{case}[{arm}]"
            yield _fact("loan", own, "loan_id", None, note=str(name))
            for column in TOLD:
                yield _fact("loan", own, column, None, note=str(loans.loc[name, column]))
            for column in MEASURED:
                yield _fact("loan", own, column, loans.loc[name, column])
            mine = months[months["loan_id"] == name].sort_values("month_number")
            for month in mine.itertuples():
                for column in MONTHLY:
                    yield _fact("loan_month", own, f"month[{month.month_number:02d}]", getattr(month, column), column)


def of_lenders(cohort: pd.DataFrame) -> Rows:
    """Yield the lenders on and off the line of default on the share enrolled, given the kind of lender."""
    cohort = cohort.assign(
        lender=cohort["institution_id"].astype(str),
        kind=cohort["institution_type"].astype(str),
        quarter=cohort["origination_quarter"].astype(str),
        started=cohort["adoption_month"].astype("string"),
    )
    lenders = cohort.groupby("lender", sort=True).agg(
        kind=("kind", "first"),
        started=("started", "first"),
        loans=("default", "size"),
        enrolled=("treated", "mean"),
        default=("default", "mean"),
    )
    kinds = pd.get_dummies(lenders["kind"], dtype=float)
    design = np.column_stack([kinds.to_numpy(), lenders["enrolled"].to_numpy()])
    # A rate's variance falls with the number of loans.
    fitted, residuals = studentised(
        lenders["default"].to_numpy(dtype=float), design, lenders["loans"].to_numpy(dtype=float)
    )
    names = list(lenders.index)
    lenders["fitted"], lenders["residual"] = fitted, residuals
    for lender in lenders.itertuples():
        for column in ("default", "enrolled", "fitted"):
            rate = 100 * getattr(lender, column)
            yield _fact("lender", lender.Index, column, rate, unit="percent", n=lender.loans, note=lender.kind)
    for case, place in on_and_off(residuals, names).items():
        lender = lenders.iloc[place]
        yield _fact("selection", case, "candidates", len(names), unit="lenders")
        yield _fact("selection", case, "residual", lender["residual"], unit="standard deviations")
        yield _fact("lender_case", case, "institution_id", None, note=names[place], n=lender["loans"])
        yield _fact("lender_case", case, "institution_type", None, note=lender["kind"])
        yield _fact(
            "lender_case", case, "adoption_month", None, note="" if pd.isna(lender["started"]) else lender["started"]
        )
        for column in ("default", "fitted", "enrolled"):
            yield _fact("lender_case", case, column, 100 * lender[column], unit="percent", n=lender["loans"])
        mine = cohort[cohort["lender"] == names[place]]
        for quarter, loans in mine.groupby("quarter", sort=True):
            for column, source in (("default", "default"), ("enrolled", "treated")):
                rate = 100 * loans[source].mean()
                yield _fact("lender_quarter", case, f"quarter[{quarter}]", rate, column, unit="percent", n=len(loans))


def _fact(estimator: str, case: str, factor: str, value: Any, estimand: str = "value", **more: Any) -> dict[str, Any]:
    number = None if value is None or pd.isna(value) else float(value)
    return {
        "estimator": estimator,
        "specification": case,
        "factor": factor,
        "estimand": estimand,
        "estimate": number,
    } | more
