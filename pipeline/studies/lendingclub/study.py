"""Lending Club: default of borrowers who exchanged dated messages before funding.

Raw data: the platform's public loan statistics (2018Q3 release). One row a loan; all loans of 2007-2011 have ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pydantic import ValidationError

from pipeline.core.fields import Month, Section
from pipeline.core.protocol import Study
from pipeline.core.schema import check, check_cohort, cohort_schema
from pipeline.core.shared import Checks
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.sources import r_files
from pipeline.sources.records import Source, SourceFile
from pipeline.studies import market
from pipeline.studies.preparation import (
    Preparation,
    SampleFlow,
    in_arms,
    known_factors,
    meet,
    raw_tables,
    stop_if_too_many,
    tidy,
)

POST_OUTCOME = frozenset(
    {
        "out_prncp", "out_prncp_inv", "total_pymnt", "total_pymnt_inv", "total_rec_prncp", "total_rec_int",
        "total_rec_late_fee", "recoveries", "collection_recovery_fee", "last_pymnt_d", "last_pymnt_amnt",
        "next_pymnt_d", "last_credit_pull_d", "last_fico_range_high", "last_fico_range_low", "pymnt_plan",
        "hardship_flag", "hardship_type", "hardship_reason", "hardship_status", "deferral_term", "hardship_amount",
        "hardship_start_date", "hardship_end_date", "payment_plan_start_date", "hardship_length", "hardship_dpd",
        "hardship_loan_status", "orig_projected_additional_accrued_interest", "hardship_payoff_balance_amount",
        "hardship_last_payment_amount", "debt_settlement_flag", "debt_settlement_flag_date", "settlement_status",
        "settlement_date", "settlement_amount", "settlement_percentage", "settlement_term",
    }
)  # fmt: skip
"""Columns that are filled after the loan was paid out: reading one as a covariate would leak the outcome."""

GRADES = list("ABCDEFG")
OUTSIDE_POLICY = "Does not meet the credit policy. Status:"
DEFAULT = {"Fully Paid": 0, "Charged Off": 1}
"""States in which a loan has ended, and whether it defaulted. Other states are of loans still running."""
RUNNING = ["Current", "In Grace Period", "Late (16-30 days)", "Late (31-120 days)", "Default"]
VERIFICATION = ["Not Verified", "Source Verified", "Verified"]
EMPLOYMENT = ["n/a", "< 1 year", "1 year", *(f"{years} years" for years in range(2, 10)), "10+ years"]
HOMES = ["RENT", "MORTGAGE", "OWN", "OTHER"]


def _number(low: float, high: float, nullable: bool = False) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low, high), nullable=nullable)


def _text(*allowed: str) -> pa.Column:
    return pa.Column(str, pa.Check.isin(allowed) if allowed else None, nullable=False)


RAW = pa.DataFrameSchema(
    {
        "id": pa.Column(str),
        "loan_status": _text(*DEFAULT, *(OUTSIDE_POLICY + state for state in DEFAULT), *RUNNING),
        "issue_d": pa.Column("datetime64[ms]"),
        "addr_state": pa.Column(str, pa.Check.isin(list(market.STATES.values()))),
        "grade": _text(*GRADES),
        "fico_range_low": _number(300, 850),
        "fico_range_high": _number(300, 850),
        "purpose": _text(),
        "term": _text("36", "60"),
        "loan_amnt": _number(1, 100_000),
        # A fraction: .1065 is 10.65%.
        "int_rate": _number(0, 0.5),
        "verification_status": _text(*VERIFICATION),
        "desc": pa.Column(str, nullable=True),
        "annual_inc": _number(0, 1e9, nullable=True),
        "dti": _number(0, 100, nullable=True),
        "inq_last_6mths": _number(0, 100, nullable=True),
        # A fraction of the credit line; it may exceed one.
        "revol_util": _number(0, 10, nullable=True),
        "revol_bal": _number(0, 1e9, nullable=True),
        "delinq_2yrs": _number(0, 100, nullable=True),
        "pub_rec": _number(0, 100, nullable=True),
        "open_acc": _number(0, 200, nullable=True),
        "earliest_cr_line": pa.Column("datetime64[ms]", nullable=True),
        "emp_length": _text(*EMPLOYMENT),
        "home_ownership": _text(*HOMES, "NONE", "ANY"),
    }
)
"""The columns that the study uses and the rules they must meet. Names, zip codes and job titles are not read."""

PAID_BACK = pa.DataFrameSchema(
    {
        "funded_amnt": _number(1, 100_000),
        # Principal, interest and fees for late payment, and what came in after the loan was given up.
        "total_pymnt": _number(0, 1e6),
        "collection_recovery_fee": _number(0, 1e5),
    }
)
"""What became of the loan's money: an outcome, never among what explains or predicts one."""

READ = pa.DataFrameSchema(RAW.columns | PAID_BACK.columns)

FACTORS = (
    "communication_frequency",
    "communication_frequency_days",
    "information_sharing",
    "information_sharing_words",
)
"""What the platform lets one measure; params.yaml, beside, says which of them the study looks at."""

STUDY_COLUMNS = {
    "income": pa.Column(float, pa.Check.gt(0)),
    "debt_to_income": pa.Column(float),
    "inquiries_6_months": pa.Column(float),
    "revolving_utilisation": pa.Column(float),
    "delinquencies_2_years": pa.Column(float),
    "public_records": pa.Column(float),
    "open_accounts": pa.Column(float),
    "credit_history_years": pa.Column(float, pa.Check.ge(0)),
    "employment_length": pa.Column("category"),
    "home_ownership": pa.Column("category"),
    "income_verification": pa.Column("category"),
    # An outcome: what lenders received beyond the loan, in percent of it over its whole life, collection paid.
    "net_received": pa.Column(float, pa.Check.ge(-100)),
}

STAMP = re.compile(r"added on (\d{2})/(\d{2})/(\d{2})")
SENDER = r"\b(?:Borrower|\d+) added on \d{2}/\d{2}/\d{2}"
"""How a message begins; in the first months the borrower's number stands where "Borrower" stands later."""
MESSAGE = re.compile(rf"(?={SENDER})")
"""Where one message ends and the next begins."""
MARKUP = re.compile(rf"{SENDER} >|<br\s*/?>|\bnull$")
"""What the platform put around the borrower's words; ``null`` stands for an empty field."""


class Eligibility(Section):
    """The study's own choices under ``eligibility``: first and last month of origination."""

    first_month: Month
    last_month: Month


def files(source: Source, vintages: Sequence[int]) -> list[SourceFile]:
    """Return the files of a source that the study reads: the chosen years of loans, all of a market series."""
    if source.folder != "lendingclub":
        return list(source.files)
    by_year = {int(re.findall(r"\d{4}", file.name)[-1]): file for file in source.files}
    missing = sorted(set(vintages) - set(by_year))
    if missing:
        raise StudyError(
            f"studies.lendingclub.vintages: no file for {missing}; there are years {min(by_year)} to {max(by_year)}."
        )
    return [by_year[year] for year in sorted(set(vintages))]


def read(source: str, paths: Sequence[Path]) -> pd.DataFrame:
    """Read a source's files as one raw table, with only the columns that the study uses."""
    if source in market.SERIES:
        return market.read(source, paths[0])
    years = [r_files.read_rda(path, list(READ.columns)) for path in paths]
    raw = pd.concat(years, ignore_index=True)
    # Whole numbers with gaps and dates come in several widths: one each. A column of text stays text, so that the
    # data rules can name it.
    for name, rule in READ.columns.items():
        if str(rule.dtype) == "float64" and pd.api.types.is_numeric_dtype(raw[name]):
            raw[name] = raw[name].astype(float)
        elif str(rule.dtype).startswith("datetime") and pd.api.types.is_datetime64_any_dtype(raw[name]):
            raw[name] = raw[name].astype("datetime64[ms]")
    return raw


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame]:
    """Return the raw tables that `read` gave, one a source: they fit into memory, and no engine is needed."""
    return raw_tables(folder)


def without_late_messages(description: pd.Series, origination: pd.Series) -> pd.Series:
    """Return each loan's description without the messages dated after its month of origination.

    A later message could be an answer to how the loan went, and must reach no factor.
    """

    def early(text: str, month: str) -> str:
        kept = []
        for part in MESSAGE.split(text):
            stamp = STAMP.search(part)
            if stamp is None or f"20{stamp[3]}-{stamp[1]}" <= month:
                kept.append(part)
        return "".join(kept)

    months = origination.loc[description.index].dt.strftime("%Y-%m")
    texts = description.fillna("").astype(str)
    return pd.Series([early(text, month) for text, month in zip(texts, months, strict=True)], description.index)


def messages(description: pd.Series) -> pd.DataFrame:
    """Count the dated messages ("added on MM/DD/YY") in each loan's description.

    Returns ``communication_frequency`` (messages) and ``communication_frequency_days`` (distinct dates), same index,
    zero where there is none. A date that no calendar has is no message.
    """
    stamps = description.fillna("").astype(str).str.extractall(STAMP)
    dates = pd.to_datetime("20" + stamps[2] + stamps[0] + stamps[1], format="%Y%m%d", errors="coerce").dropna()
    by_loan = dates.groupby(level=0)
    counts = pd.DataFrame(
        {"communication_frequency": by_loan.size(), "communication_frequency_days": by_loan.nunique()}
    )
    return counts.reindex(description.index, fill_value=0).astype(float)


def words_written(description: pd.Series) -> pd.Series:
    """Return how many hundreds of words the borrower wrote, the platform's marks not counted."""
    text = description.fillna("").astype(str).str.replace(MARKUP, " ", regex=True)
    return text.str.split().str.len().astype(float) / 100


def _columns(raw: pd.DataFrame, known: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the cohort's columns for every raw row; what is missing stays missing."""
    month = raw["issue_d"].dt.to_period("M")
    description = without_late_messages(raw["desc"], raw["issue_d"])
    years = (raw["issue_d"] - raw["earliest_cr_line"]).dt.days / 365.25
    columns = pd.DataFrame(
        {
            "loan_id": raw["id"].astype(str),
            "institution_type": pd.Categorical([study.institution_type] * len(raw)),
            "region": pd.Categorical(raw["addr_state"]),
            "origination_date": raw["issue_d"],
            "origination_month": pd.Categorical(month.astype(str)),
            "origination_quarter": pd.Categorical(raw["issue_d"].dt.to_period("Q").astype(str)),
            "credit_grade": pd.Categorical(raw["grade"], GRADES, ordered=True),
            "credit_score": (raw["fico_range_low"] + raw["fico_range_high"]) / 2,
            "loan_type": pd.Categorical(raw["purpose"]),
            "amount": raw["loan_amnt"],
            "term_months": raw["term"].astype("int64"),
            "interest_rate": 100 * raw["int_rate"],
            # Nobody lives on nothing: zero is an income that was not stated.
            "income": raw["annual_inc"].where(raw["annual_inc"] > 0),
            "debt_to_income": raw["dti"],
            "inquiries_6_months": raw["inq_last_6mths"],
            # Nothing owed on revolving credit is zero utilisation, also where the file leaves the cell empty.
            "revolving_utilisation": 100
            * raw["revol_util"].mask(raw["revol_util"].isna() & (raw["revol_bal"] == 0), 0),
            "delinquencies_2_years": raw["delinq_2yrs"],
            "public_records": raw["pub_rec"],
            "open_accounts": raw["open_acc"],
            # A first credit line after the loan is a wrong date: the length is not known.
            "credit_history_years": years.where(years >= 0),
            "employment_length": pd.Categorical(raw["emp_length"], EMPLOYMENT, ordered=True),
            "home_ownership": pd.Categorical(
                raw["home_ownership"].where(raw["home_ownership"].isin(HOMES), "OTHER"), HOMES
            ),
            "income_verification": pd.Categorical(raw["verification_status"], VERIFICATION, ordered=True),
            "net_received": 100 * ((raw["total_pymnt"] - raw["collection_recovery_fee"]) / raw["funded_amnt"] - 1),
            "information_sharing": (raw["verification_status"] != "Not Verified").astype(float),
            "information_sharing_words": words_written(description),
        },
        index=raw.index,
    )
    columns = in_arms(columns.join(messages(description)).join(known), study, FACTORS)
    return columns.assign(default=raw["loan_status"].str.endswith("Charged Off").astype("int64"))


def choices(study: Study, where: str = "pipeline/studies/lendingclub/params.yaml") -> Eligibility:
    """Return the study's own choices, checked; `where` names their file."""
    try:
        eligible = Eligibility.model_validate(study.eligibility)
    except ValidationError as error:
        raise StudyError(
            f"{where}: eligibility must hold first_month and last_month ({error.errors()[0]['msg']})."
        ) from error
    known_factors(study, FACTORS, where)
    return eligible


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the raw tables into the loan cohort.

    `tables` holds one raw table a source, as `read` gives them. Raises StudyError when the raw table breaks its data
    rules, or the sample flow does not meet the counts that the protocol expects.
    """
    eligible = choices(study)
    table = "lendingclub"
    raw = tables[table].reset_index(drop=True)
    checked = check(raw, READ, table)
    stop_if_too_many(checked, len(raw), checks, table)
    flow = SampleFlow(raw, raw["loan_status"].astype(str).str.endswith("Charged Off").astype("int64"))
    everywhere = raw.index
    flow.leave("data_rule", pd.Series(~everywhere.isin(checked.good.index), everywhere))

    # In an order of its own, so that which of two records of a loan stays does not hang on the files' order.
    good = checked.good.sort_values(list(RAW.columns), kind="stable")
    known = market.join(
        good.rename(columns={"issue_d": "origination_date", "addr_state": "region"}),
        {source: tables[source] for source in study.sources if source in market.SERIES},
        study.release_lag_months,
    )
    loans = _columns(good, known, study)
    month = good["issue_d"].dt.to_period("M").astype(str)
    outside_policy = good["loan_status"].str.startswith(OUTSIDE_POLICY)
    running = good["loan_status"].isin(RUNNING)
    leaves = {
        "outside_policy": outside_policy,
        "not_ended": running,
        # Among records of ended loans, so that an earlier record of the same loan, still running, displaces none.
        "recorded_twice": good.loc[~running, "id"].duplicated().reindex(good.index, fill_value=False),
        "before_stamps": month < eligible.first_month,
        "after_last_month": month > eligible.last_month,
        "missing_market": known.isna().any(axis=1),
        "missing_borrower": loans.drop(columns=known.columns).isna().any(axis=1),
    }
    for reason, leaving in leaves.items():
        flow.leave(reason, leaving)
        if reason == "recorded_twice":
            ended = flow.table().iloc[-1]
            meet(study.expected.ended, int(ended["remaining"]), "ended")
            meet(study.expected.ended_defaults, int(ended["remaining_defaults"]), "ended_defaults")
    meet(study.expected.cohort, len(flow.frame), "cohort")

    schema = cohort_schema(STUDY_COLUMNS, study.factors, list(known.columns))
    stays = ~pd.concat([rule for reason, rule in leaves.items() if reason != "outside_policy"], axis=1).any(axis=1)
    return Preparation(
        cohort=check_cohort(tidy(loans.loc[flow.frame.index]), schema),
        robustness=check_cohort(tidy(loans[stays]), schema),
        flow=flow.table(),
        quarantined=checked.quarantined,
    )
