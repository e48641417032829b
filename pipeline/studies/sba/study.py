"""Small Business Administration: default of small firms by how much they had to document, and by who lent to them.

Raw data: three draws from the agency's file of guaranteed loans, each half charged off and half paid in full. Loans
were drawn by their outcome, so every loan carries a weight: how many loans of the file it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import PositiveFloat, PositiveInt, ValidationError

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
    known_factors,
    meet,
    raw_tables,
    stop_if_too_many,
    tidy,
)
from pipeline.studies.sba.banks import crosswalk
from pipeline.studies.sba.grade import UNKNOWN_INDUSTRY, credit_grade

LOANS, CASE = "sba_loans", "sba_teaching_case"

NEVER_COVARIATES = frozenset(
    {
        # Months until the loan ended, for one charged off: it stops early because it failed.
        "term",
        # Known when the loan has ended.
        "mis_status", "chg_off_date", "chg_off_prin_gr", "balance_gross",
        # What was drawn in the end; for a line of credit that grows with trouble. The amount approved stands for it.
        "disbursement_gross",
        # Filled in years after approval for loans of the nineties, and more often for those that then failed.
        "urban_rural",
        # Promised or found jobs; the file does not say when they were counted.
        "create_job", "retained_job",
    }
)  # fmt: skip
"""Raw columns that tell, or may tell, how the loan went. Those among them that are read make the outcome alone."""

TERM = "term"
"""Months until the loan ended. Read to show whom the file leaves out, and kept apart from all that is analysed."""

STATUS = {"PIF": 0, "CHGOFF": 1}
"""Paid in full and charged off: all loans of the draws have ended."""
FIRST_DAY, LAST_DAY = pd.Timestamp("1960-01-01"), pd.Timestamp("2014-12-31")
"""Years are typed with two digits in the agency's file: a date outside these went to the wrong century."""
STATES = sorted(market.STATES.values())
DAYS_PER_MONTH = 365.25 / 12
GUARANTEE_BANDS = (0, 60, 75, 80, 85, 90, 100)
"""Percent at which a band of the guaranteed share begins: each programme has its own, and the rules set the others."""
LONGEST_WAIT = 24.0
"""Months from approval to disbursement above which a loan counts with this many: a few lie decades apart."""

SECTORS = {
    11: "agriculture and mining", 21: "agriculture and mining", 22: "transport and utilities", 23: "construction",
    31: "manufacturing", 32: "manufacturing", 33: "manufacturing", 42: "wholesale", 44: "retail", 45: "retail",
    48: "transport and utilities", 49: "transport and utilities", 51: "information", 52: "finance",
    53: "real estate", 54: "professional services", 55: "support services", 56: "support services",
    61: "education", 62: "health", 71: "arts", 72: "lodging and food", 81: "other services", 92: "other services",
}  # fmt: skip
"""Sectors of the North American Industry Classification System by the code's first two digits; those with hardly any
loan (mining, utilities, management of companies, public administration) stand with a neighbour."""


def _date(nullable: bool = False) -> pa.Column:
    return pa.Column("datetime64[ms]", pa.Check.in_range(FIRST_DAY, LAST_DAY), nullable=nullable)


def _money(least: float = 0, nullable: bool = False) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(least, 1e7), nullable=nullable)


RAW = pa.DataFrameSchema(
    {
        "loan_nr_chk_dgt": pa.Column(str),
        "state": pa.Column(str, pa.Check.isin(STATES)),
        "bank": pa.Column(str, nullable=True),
        "bank_state": pa.Column(str, nullable=True),
        "naics": pa.Column(float, pa.Check.in_range(0, 999_999)),
        "approval_date": _date(),
        "no_emp": pa.Column(float, pa.Check.in_range(0, 9_999)),
        # 1 existing, 2 new; 0 and missing are not stated.
        "new_exist": pa.Column(float, pa.Check.isin([0, 1, 2]), nullable=True),
        "franchise_code": pa.Column(float, pa.Check.ge(0)),
        # Y and N; other codes have no meaning in the agency's guide, and two of the draws left them empty.
        "rev_line_cr": pa.Column(str, nullable=True),
        "low_doc": pa.Column(str, nullable=True),
        "chg_off_date": _date(nullable=True),
        "disbursement_date": _date(nullable=True),
        "disbursement_gross": _money(),
        "mis_status": pa.Column(str, pa.Check.isin(list(STATUS))),
        "chg_off_prin_gr": _money(),
        "gr_appv": _money(least=1),
        "sba_appv": _money(),
    },
    checks=pa.Check(lambda loans: loans["sba_appv"] <= loans["gr_appv"], name="guarantee_within_loan", ignore_na=True),
)
"""The columns that the study uses and the rules they must meet. Names and addresses of firms are not read."""

CASE_COLUMNS = ["Selected", "Default", "RealEstate", "Portion", "Recession"]

FACTORS = {
    "information_sharing": pa.Column(float, pa.Check.isin([0, 1]), nullable=True),
    "relationship_depth_same_state": pa.Column(float, pa.Check.isin([0, 1])),
    "relationship_depth_revolving_line": pa.Column(float, pa.Check.isin([0, 1]), nullable=True),
    "communication_effectiveness_months": pa.Column(float, pa.Check.in_range(0, LONGEST_WAIT)),
}
"""What the file lets one measure. Missing where the file holds no code that the guide explains."""

STUDY_COLUMNS = {
    "institution_id": pa.Column("category"),
    "industry": pa.Column("category"),
    "approval_year": pa.Column("category"),
    "guaranteed_share": pa.Column(float, pa.Check.in_range(0, 1)),
    "guarantee_band": pa.Column("category"),
    "employees": pa.Column(float, pa.Check.ge(1)),
    "new_firm": pa.Column(float, pa.Check.isin([0, 1])),
    "franchise": pa.Column(float, pa.Check.isin([0, 1])),
    "months_to_default": pa.Column(float, nullable=True),
    "loss_given_default": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
}


class Eligibility(Section):
    """The study's own choices under ``eligibility``."""

    first_month: Month
    last_month: Month
    first_approval: Month
    last_approval: Month
    last_disbursement: Month
    ceiling: PositiveFloat
    ceiling_before: PositiveFloat
    ceiling_raised: Month
    lowest_guarantee: PositiveFloat
    highest_guarantee: PositiveFloat
    population_charged_off: PositiveInt
    population_paid: PositiveInt


def files(source: Source, vintages: Sequence[int]) -> list[SourceFile]:
    """Return the files of a source that the study reads: all of them."""
    return list(source.files)


def read(source: str, paths: Sequence[Path]) -> pd.DataFrame:
    """Read a source's files as one raw table, with only the columns that the study uses; ``draw`` counts the files."""
    if source in market.SERIES:
        return market.read(source, paths[0])
    if source == CASE:
        return _read_case(paths[0])
    draws = [r_files.read_rds(path, [*RAW.columns, TERM]) for path in paths]
    raw = pd.concat([draw.assign(draw=place) for place, draw in enumerate(draws, 1)], ignore_index=True)
    raw["loan_nr_chk_dgt"] = raw["loan_nr_chk_dgt"].map("{:.0f}".format).astype("string")
    for name, rule in RAW.columns.items():
        if str(rule.dtype).startswith("datetime") and pd.api.types.is_datetime64_any_dtype(raw[name]):
            raw[name] = raw[name].astype("datetime64[ms]")
    return raw


def _read_case(path: Path) -> pd.DataFrame:
    try:
        case = pd.read_csv(path, encoding="utf-8-sig", usecols=CASE_COLUMNS)[CASE_COLUMNS]
        return case.astype(float)
    except (ValueError, OSError) as error:
        raise StudyError(f"{path} is not the teaching case ({error}): remove the file and fetch it again.") from error


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame]:
    """Return the raw tables that `read` gave, one a source: they fit into memory, and no engine is needed."""
    return raw_tables(folder)


def resolve(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Bring the records of one loan together.

    A loan that several draws hold is one loan. Where one record leaves a column empty the other's value stands, since
    two of the draws lost codes that the third kept. Returns the loans, each under the number of its first record in
    an order of its own, and whether (boolean) its records hold different values in any column.
    """
    key = "loan_nr_chk_dgt"
    columns = list(RAW.columns)
    ordered = raw[columns].sort_values(columns, kind="stable", na_position="last")
    again = ordered.duplicated(key)
    several = ordered[ordered.duplicated(key, keep=False)]
    loans = ordered[~again].copy()
    merged = several.groupby(key, sort=True)[columns[1:]].first()
    numbers = loans.loc[loans[key].isin(merged.index), key]
    for name in columns[1:]:
        loans.loc[numbers.index, name] = merged.loc[numbers, name].array
    different = (several.groupby(key, sort=True)[columns[1:]].nunique() > 1).any(axis=1)
    return loans, loans[key].isin(different.index[different])


def _columns(loans: pd.DataFrame, study: Study, eligible: Eligibility) -> pd.DataFrame:
    """Return the cohort's columns for every loan; what is missing stays missing."""
    approved, paid_out = loans["approval_date"], loans["disbursement_date"]
    charged_off = loans["mis_status"].map(STATUS).astype("int64")
    defaults = int(charged_off.sum())
    weights = {
        1: eligible.population_charged_off / max(defaults, 1),
        0: eligible.population_paid / max(len(loans) - defaults, 1),
    }
    codes = {"Y": 1.0, "N": 0.0}
    industry = (loans["naics"] // 10_000).astype(int).map(SECTORS).fillna(UNKNOWN_INDUSTRY)
    names = crosswalk(loans)
    institution = loans[["bank", "bank_state"]].astype(object).merge(names, how="left", on=["bank", "bank_state"])
    new_firm = loans["new_exist"].map({1.0: 0.0, 2.0: 1.0})
    share = loans["sba_appv"] / loans["gr_appv"]
    bands = pd.cut(
        # The file keeps shares as amounts in whole dollars.
        (100 * share).round(),
        [*GUARANTEE_BANDS, np.inf],
        right=False,
        labels=[f"{least}+" for least in GUARANTEE_BANDS],
        ordered=False,
    )
    columns = pd.DataFrame(
        {
            "loan_id": loans["loan_nr_chk_dgt"].astype(str),
            "institution_id": institution["institution_id"].to_numpy(),
            "institution_type": pd.Categorical([study.institution_type] * len(loans)),
            "region": pd.Categorical(loans["state"]),
            "industry": pd.Categorical(industry),
            "origination_date": approved,
            "origination_month": pd.Categorical(approved.dt.to_period("M").astype(str)),
            "origination_quarter": pd.Categorical(approved.dt.to_period("Q").astype(str)),
            "approval_year": pd.Categorical(approved.dt.year.astype(str)),
            "loan_type": pd.Categorical(["small_business"] * len(loans)),
            "amount": loans["gr_appv"],
            "guaranteed_share": share,
            "guarantee_band": bands,
            # A firm without employees counts its owner.
            "employees": loans["no_emp"].clip(lower=1),
            "new_firm": new_firm,
            # Codes zero and one are no franchise.
            "franchise": (loans["franchise_code"] > 1).astype(float),
            "months_to_default": ((loans["chg_off_date"] - paid_out).dt.days / DAYS_PER_MONTH).where(charged_off == 1),
            "loss_given_default": (loans["chg_off_prin_gr"] / loans["disbursement_gross"])
            .clip(upper=1)
            .where((charged_off == 1) & (loans["disbursement_gross"] > 0)),
            "information_sharing": 1 - loans["low_doc"].map(codes).astype(float),
            "relationship_depth_same_state": (loans["bank_state"] == loans["state"]).eq(True).astype(float),
            "relationship_depth_revolving_line": loans["rev_line_cr"].map(codes).astype(float),
            "communication_effectiveness_months": ((paid_out - approved).dt.days / DAYS_PER_MONTH).clip(
                upper=LONGEST_WAIT
            ),
            "default": charged_off,
            "weight": charged_off.map(weights).astype(float),
        },
        index=loans.index,
    )
    known = columns.assign(approved=approved, charged_off=loans["chg_off_date"].where(charged_off == 1))
    columns["credit_grade"] = credit_grade(known.assign(industry=industry))
    return columns


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the raw tables into the loan cohort.

    `tables` holds one raw table a source, as `read` gives them. The cohort holds the loans that could have been
    granted on little documentation and were approved early enough to have ended; the robustness sample has those of
    other guaranteed shares and those approved later as well. Of the panels, ``loans`` are all loans approved in the
    months that decide, for the other factors, ``later`` those approved after them; ``other_guarantees`` are the cohort
    with the one addition, ``later_approvals`` the other one alone; ``terms`` are the months that each loan ran, which
    no analysis may use.
    Raises StudyError when the raw table breaks its data rules, or the sample flow does not meet the counts that the
    protocol expects.
    """
    eligible = choices(study)
    raw = tables[LOANS].reset_index(drop=True)
    flow = SampleFlow(raw, (raw["mis_status"] == "CHGOFF").astype("int64"))
    merged, contradictory = resolve(raw)
    flow.leave("recorded_twice", pd.Series(~raw.index.isin(merged.index), raw.index))
    ended = flow.table().iloc[-1]
    meet(study.expected.ended, int(ended["remaining"]), "ended")
    meet(study.expected.ended_defaults, int(ended["remaining_defaults"]), "ended_defaults")

    checked = check(merged, RAW, LOANS)
    stop_if_too_many(checked, len(merged), checks, LOANS)
    good = checked.good.set_index(merged.index[checked.good.index])
    flow.leave("data_rule", pd.Series(~merged.index.isin(good.index), merged.index))
    flow.leave("records_differ", contradictory.loc[good.index])

    # The grade learns from every loan of the file, so it is made before anyone leaves.
    loans = _columns(good, study, eligible)
    known = market.join(
        loans[["origination_date", "region"]],
        {source: tables[source] for source in study.sources if source in market.SERIES},
        study.release_lag_months,
    )
    loans = loans.join(known)
    paid = good["mis_status"] == "PIF"
    disbursed = good["disbursement_date"].dt.to_period("M").astype(str)
    borrower = ["new_firm", "guaranteed_share", "amount"]
    leaves = {
        # Paid in full, and yet an amount or a day of charge-off.
        "outcome_contradicted": paid & (good["chg_off_date"].notna() | (good["chg_off_prin_gr"] > 0)),
        "no_disbursement": good["disbursement_date"].isna(),
        "disbursed_before_approval": good["disbursement_date"] < good["approval_date"],
        "disbursed_late": disbursed.where(good["disbursement_date"].notna(), "") > eligible.last_disbursement,
        "no_lender": loans["institution_id"].isna() | good["bank_state"].isna(),
        "missing_market": known.isna().any(axis=1),
        "missing_borrower": loans[borrower].isna().any(axis=1),
    }
    for reason, leaving in leaves.items():
        flow.leave(reason, leaving)
    wide = loans.loc[flow.frame.index]

    month = loans["origination_month"].astype(str)
    too_late = month > eligible.last_month
    ceiling = np.where(month < eligible.ceiling_raised, eligible.ceiling_before, eligible.ceiling)
    outside = (month < eligible.first_approval) | (month > eligible.last_approval)
    flow.leave("outside_programme", outside)
    flow.leave("above_ceiling", loans["amount"] > ceiling)
    flow.leave("programme_not_stated", loans["information_sharing"].isna())
    with_other_guarantees = loans.loc[flow.frame.index]
    share = loans["guaranteed_share"].round(2)
    flow.leave("other_guarantee", ~share.between(eligible.lowest_guarantee, eligible.highest_guarantee))
    with_later = loans.loc[flow.frame.index]
    flow.leave("approved_late", too_late)
    meet(study.expected.cohort, len(flow.frame), "cohort")

    schema = _schema(study, list(known.columns))
    banks = crosswalk(merged).astype({"bank": "string", "bank_state": "string", "institution_id": "string"})
    return Preparation(
        cohort=_checked(loans.loc[flow.frame.index], study, schema),
        robustness=_checked(with_other_guarantees, study, schema),
        flow=flow.table(),
        quarantined=checked.quarantined,
        panels={
            "loans": _tidy(wide[((month >= eligible.first_month) & ~too_late)[wide.index]]),
            "later": _tidy(wide[too_late[wide.index]]),
            "other_guarantees": _checked(with_other_guarantees[~too_late[with_other_guarantees.index]], study, schema),
            "later_approvals": _checked(with_later[too_late[with_later.index]], study, schema),
            "terms": _terms(raw),
            "draws": raw[["loan_nr_chk_dgt", "draw"]]
            .rename(columns={"loan_nr_chk_dgt": "loan_id"})
            .assign(default=(raw["mis_status"] == "CHGOFF").astype("int64")),
            "teaching_case": tables[CASE],
            "crosswalk": banks,
        },
    )


def _terms(raw: pd.DataFrame) -> pd.DataFrame:
    """Return ``loan_id, term_months``, a row a loan."""
    terms = raw[["loan_nr_chk_dgt", TERM]].sort_values(["loan_nr_chk_dgt", TERM], ignore_index=True)
    terms = terms.drop_duplicates("loan_nr_chk_dgt", ignore_index=True)
    return terms.rename(columns={"loan_nr_chk_dgt": "loan_id", TERM: "term_months"})


def choices(study: Study, where: str = "pipeline/studies/sba/params.yaml") -> Eligibility:
    """Return the study's own choices, checked; `where` names their file."""
    try:
        found = Eligibility.model_validate(study.eligibility)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise StudyError(f"{where}: eligibility.{name}: {problem['msg'].lower()}.") from error
    known_factors(study, FACTORS, where)
    return found


def _schema(study: Study, series: list[str]) -> pa.DataFrameSchema:
    factors = {name: rule for name, rule in FACTORS.items() if name in {*study.factors, study.treatment.factor}}
    return cohort_schema({**STUDY_COLUMNS, **factors}, (), series)


def _checked(loans: pd.DataFrame, study: Study, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return loans with the arm they belong to and the columns of the schema, checked."""
    factor = loans[study.treatment.factor]
    loans = _tidy(loans.assign(treated=(factor >= study.treatment.at_least).astype("int64")))
    return check_cohort(loans[[name for name in schema.columns if name in loans]], schema)


def _tidy(loans: pd.DataFrame) -> pd.DataFrame:
    """Sort by loan, make institutions a category, drop categories that no loan has."""
    return tidy(loans.assign(institution_id=pd.Categorical(loans["institution_id"])))
