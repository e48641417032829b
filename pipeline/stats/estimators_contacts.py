"""What contacts of earlier months, and of the same one, say of arrears and default."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.stats import difference_in_differences as did
from pipeline.stats.design import column_of
from pipeline.stats.estimators_rows import Row, plain, row
from pipeline.stats.month_regression import hazard_logit

MONTH_CONTROLS = (
    "credit_grade",
    "credit_score",
    "debt_to_income",
    "relationship_length",
    "small_firm",
    "month_number",
    "log(month_number)",
    "calendar_quarter",
)
"""Controls of the hazards, with age of the loan and calendar time."""

WINDOW = 3
"""Months over which lagged contacts are averaged; hazards begin when the window is full."""


LOG_ODDS = "log_odds_ratio"


def at_risk(loan_months: pd.DataFrame, *columns: str, clean: bool = False) -> pd.DataFrame:
    """Loan-months with a contact log and a full window of earlier months, with calendar time and `columns`.

    `clean` ones are those of loans that were current throughout the window.
    """
    stays = (loan_months["month_number"] > WINDOW) & loan_months["proactive_before"].notna()
    if clean:
        stays &= (loan_months["current_at_start"] == 1) & (loan_months["delinquent_before"] == 0)
    # Of so many months each column counts.
    needed = [column_of(term) for term in MONTH_CONTROLS if column_of(term) in loan_months]
    needed += ["institution_id", "institution_type", "calendar_month", *columns]
    kept = loan_months.loc[stays.to_numpy(), [*dict.fromkeys(needed)]]
    quarter = (did.month_numbers(kept["calendar_month"]) // 3).astype(int)
    return kept.assign(calendar_quarter=quarter.astype("category"))


def _hazard(
    estimator: str,
    months: pd.DataFrame,
    event: str,
    level: float,
    *,
    terms: tuple[str, ...] = (),
    note: str = "",
    within: str = "institution_id",
) -> Row:
    """Return the row of a hazard of `event` on the log of contacts, month controls and further `terms`."""
    lenders = months["institution_id"]
    design = plain(months, ["log_contacts", *MONTH_CONTROLS, *terms])
    found = hazard_logit(months[event].to_numpy(), design, "log_contacts", months[within], lenders, level)
    counted = {"n": len(months), "n_clusters": int(lenders.nunique())}
    return row((estimator, "controls", "log_contacts", event, LOG_ODDS), found, counted, "log odds ratio", note)


def contacts_then_arrears(loan_months: pd.DataFrame, level: float) -> Iterator[Row]:
    """Contacts of the months before -> arrears, among loans that were current throughout the window.

    The literature compares clients of all lenders of a type with the same controls. The programme brings contacts
    together with other help, and better lenders run it, so contacts alone are told apart only among loans of the same
    lender and enrolment.
    """
    clean = _with_contacts_before(at_risk(loan_months, "delinquent", "treated", "proactive_before", clean=True))
    yield _hazard("lagged_contacts", clean, "delinquent", level, within="institution_type")
    yield _hazard("lagged_contacts_given_enrolment", clean, "delinquent", level, terms=("treated",))


def contacts_then_default(loan_months: pd.DataFrame, level: float) -> Iterator[Row]:
    """Contacts of the months before -> default."""
    months = _with_contacts_before(at_risk(loan_months, "default", "proactive_before"))
    yield _hazard("lagged_contacts", months, "default", level, within="institution_type")


def _with_contacts_before(months: pd.DataFrame) -> pd.DataFrame:
    return months.assign(log_contacts=np.log1p(months["proactive_before"].astype(float)))


def same_period_contacts(loan_months: pd.DataFrame, level: float) -> Iterator[Row]:
    """Contacts of a month -> default in it, which is wrong on purpose."""
    months = at_risk(loan_months, "default", "proactive_contacts", "reactive_contacts")
    contacts = np.log1p((months["proactive_contacts"] + months["reactive_contacts"]).astype(float))
    note = "wrong on purpose: arrears cause contacts of the same month"
    yield _hazard("same_period_contacts", months.assign(log_contacts=contacts), "default", level, note=note)
