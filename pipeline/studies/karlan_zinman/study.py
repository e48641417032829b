"""A South African consumer lender's field experiment: the randomised promise of a long relationship.

Raw data: the offers of credit that the lender mailed to 53,810 former clients in 2003 (Karlan & Zinman 2008).
Randomised were the interest rate in the letter, and whether that rate would hold for a year of further loans to those
who repay. Who borrowed was the client's choice, so the cohort holds the borrowers and the panel ``offers`` everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import pandera.pandas as pa
from pydantic import Field, ValidationError

from pipeline.core.fields import Numbers, Section
from pipeline.core.protocol import Study
from pipeline.core.schema import check, check_cohort, cohort_schema
from pipeline.core.shared import Checks
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.sources import readers
from pipeline.sources.records import Source, SourceFile
from pipeline.studies.preparation import (
    Preparation,
    SampleFlow,
    known_factors,
    meet,
    raw_tables,
    stop_if_too_many,
    tidy,
)

SOURCE = "karlan_zinman"

POST_OFFER = frozenset({"amount", "term_months"})
"""Columns that follow from the letter, because the client chose them afterwards: never among matching covariates or
the controls of the ladder."""

WAVES = {1: "2003-07", 2: "2003-09", 3: "2003-10"}
"""The months in which the letters went out (Karlan & Zinman 2008, section II)."""

BY_BRANCH = 2
"""The wave in which the promise was drawn for whole branches: nearly all clients of a branch share it there. In the
third it varies within every branch. A branch with fewer letters than `BRANCH_LETTERS` holds other branches' clients,
whose draw is not known: each of them stays as drawn."""
BRANCH_LETTERS = 20

RISKS = {"LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
"""The lender's risk classes, best first; randomisation was within them."""

FACTORS = (
    "relationship_length_promised",
    "relationship_depth_prior_loans",
    "relationship_depth_dormancy",
)
"""What the experiment and the files let one measure; params.yaml, beside, says which of them the study looks at."""

SHOWN = 0.2
"""The higher of the two shares past due above which the authors' outcomes count a loan as in arrears."""


def _number(low: float, high: float, nullable: bool = False) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low, high), nullable=nullable)


def _whole(low: int, high: int) -> pa.Column:
    return pa.Column(int, pa.Check.in_range(low, high))


RAW = pa.DataFrameSchema(
    {
        "wave": _whole(1, 3),
        "risk": pa.Column(str, pa.Check.isin(list(RISKS))),
        "branchuse": pa.Column(str),
        "province": pa.Column(str),
        "yearlong": _whole(0, 1),
        # Percent a month: what the letter offered, and what the contract charged (the same or less).
        "offer4": _number(0, 20),
        "final4": _number(0, 20),
        "tookup": _whole(0, 1),
        "loansize": _whole(0, 100_000),
        "term": _number(0, 60),
        # Average amount past due in months 7 to 12, of those who borrowed.
        "pstdue_average": _number(0, 100_000, nullable=True),
        "lastamount": _number(1, 100_000),
        "dormancy": _whole(0, 120),
        "trcount": _number(0, 200, nullable=True),
        "appscore": _number(0, 100),
        "itcany": _number(0, 1),
        # Thousands of rand a month.
        "grossincome": _number(0, 1e5, nullable=True),
        "dependants": _number(0, 30, nullable=True),
        # Zero where it is not known.
        "age": _number(0, 120, nullable=True),
        "female": _whole(0, 1),
        "married": _number(0, 1, nullable=True),
        "edhi": _whole(0, 1),
        "rural": _whole(0, 1),
    }
)
"""The columns that the study uses and the rules they must meet."""

ZERO_OR_ONE = pa.Check.isin([0, 1])
STUDY_COLUMNS = {
    "institution_id": pa.Column("category"),
    "stratum": pa.Column("category"),
    "lottery_unit": pa.Column(str),
    "lottery_stratum": pa.Column(str),
    "offer_rate": pa.Column(float, pa.Check.in_range(0, 100)),
    "last_amount": pa.Column(float, pa.Check.gt(0)),
    "credit_record": pa.Column(float, ZERO_OR_ONE),
    "income": pa.Column(float, pa.Check.gt(0)),
    "dependants": pa.Column(float, pa.Check.ge(0)),
    "age": pa.Column(float, pa.Check.gt(0)),
    "female": pa.Column(float, ZERO_OR_ONE),
    "married": pa.Column(float, ZERO_OR_ONE),
    "more_educated": pa.Column(float, ZERO_OR_ONE),
    "rural": pa.Column(float, ZERO_OR_ONE),
    "past_due_share": pa.Column(float, pa.Check.ge(0)),
    "past_due_any": pa.Column(int, ZERO_OR_ONE),
    "past_due_above_fifth": pa.Column(int, ZERO_OR_ONE),
}
"""Columns beyond those that all studies share; rand, rand a month, years, and percent a month for rates."""

OFFER_COLUMNS = (
    "loan_id",
    "origination_month",
    "credit_grade",
    "stratum",
    "lottery_unit",
    "lottery_stratum",
    "institution_id",
    "treated",
    "took_up",
    "offer_rate",
    "interest_rate",
    "last_amount",
    "credit_score",
    "credit_record",
    "income",
    "dependants",
    "age",
    "female",
    "married",
    "more_educated",
    "rural",
    "relationship_depth_prior_loans",
    "relationship_depth_dormancy",
    "default",
    "past_due_share",
    "past_due_any",
    "past_due_above_fifth",
)
"""The panel ``offers``: every mailed offer of every wave. Outcomes are missing where no loan was taken."""


class Eligibility(Section):
    """The study's own choices under ``eligibility``: waves of the experiment, and the share that makes a default."""

    waves: Annotated[Numbers[int], Field(min_length=1)]
    past_due_above: Annotated[float, Field(ge=0, lt=1)]


def files(source: Source, vintages: Sequence[int]) -> list[SourceFile]:
    """Return the files of a source that the study reads: all of them; it has no vintages."""
    return list(source.files)


def read(source: str, paths: Sequence[Path]) -> pd.DataFrame:
    """Read the offers, with only the columns that the study uses, under their row numbers in the file."""
    raw = readers.read_dta(paths[0], list(RAW.columns))
    # The file names nobody: the number of its row is the one key there is.
    return raw.assign(row=range(1, len(raw) + 1))


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame]:
    """Return the raw tables that `read` gave, one a source: they fit into memory, and no engine is needed."""
    return raw_tables(folder)


def _lottery(raw: pd.DataFrame) -> pd.DataFrame:
    """Return for each letter its unit and stratum of randomisation: ``lottery_unit, lottery_stratum``.

    A unit is the client, or the branch in the wave `BY_BRANCH`; clients were drawn within branch and risk class.
    """
    client = "client " + raw["row"].astype(str)
    branch = raw["wave"].astype(str) + " " + raw["branchuse"]
    by_branch = raw["wave"] == BY_BRANCH
    letters = raw.groupby(["wave", "branchuse"])["row"].transform("size")
    alone = by_branch & (letters < BRANCH_LETTERS)
    stratum = (branch + " " + raw["risk"]).mask(by_branch, raw["wave"].astype(str)).mask(alone, client)
    unit = client.mask(by_branch & ~alone, "branch " + branch)
    return pd.DataFrame({"lottery_unit": unit, "lottery_stratum": stratum}).astype("str")


def _columns(raw: pd.DataFrame, study: Study, above: float) -> pd.DataFrame:
    """Return the cohort's columns, and ``took_up``, for every raw row; what is missing stays missing."""
    month = raw["wave"].map(WAVES)
    risk = raw["risk"].map(RISKS)
    borrowed = raw["tookup"] == 1
    share = (raw["pstdue_average"] / raw["loansize"]).where(borrowed)
    strata = [f"{month}, {risk}" for month in WAVES.values() for risk in RISKS.values()]

    def flag(rule: pd.Series) -> pd.Series:
        return rule.astype(float).where(share.notna())

    columns = pd.DataFrame(
        {
            "loan_id": raw["row"].map("{:05d}".format),
            "institution_id": pd.Categorical(raw["branchuse"].astype(str)),
            "institution_type": pd.Categorical([study.institution_type] * len(raw)),
            "region": pd.Categorical(raw["province"].astype(str)),
            "origination_date": pd.to_datetime(month + "-01").astype("datetime64[ms]"),
            "origination_month": pd.Categorical(month),
            "origination_quarter": pd.Categorical(pd.PeriodIndex(month, freq="Q").astype(str)),
            "credit_grade": pd.Categorical(risk, list(RISKS.values()), ordered=True),
            "credit_score": raw["appscore"],
            "loan_type": pd.Categorical(["cash_loan"] * len(raw)),
            "amount": raw["loansize"].astype(float),
            "term_months": raw["term"].astype("int64"),
            "interest_rate": raw["final4"],
            "stratum": pd.Categorical(month + ", " + risk, strata),
            "offer_rate": raw["offer4"],
            "last_amount": raw["lastamount"],
            "credit_record": raw["itcany"],
            "income": 1000 * raw["grossincome"],
            "dependants": raw["dependants"],
            "age": raw["age"].where(raw["age"] > 0),
            "female": raw["female"].astype(float),
            "married": raw["married"],
            "more_educated": raw["edhi"].astype(float),
            "rural": raw["rural"].astype(float),
            "relationship_length_promised": raw["yearlong"].astype(float),
            "relationship_depth_prior_loans": raw["trcount"],
            "relationship_depth_dormancy": raw["dormancy"].astype(float),
            "took_up": raw["tookup"],
            "past_due_share": share,
            "past_due_any": flag(share > 0),
            "past_due_above_fifth": flag(share > SHOWN),
            "default": flag(share > above),
        },
        index=raw.index,
    )
    return columns.join(_lottery(raw))


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the raw table into the cohort of borrowers and the panel ``offers`` of everybody who got a letter.

    Raises StudyError when the raw table breaks its data rules, or the sample flow does not meet the counts that the
    protocol expects.
    """
    eligible = choices(study)
    raw = tables[SOURCE].reset_index(drop=True)
    checked = check(raw, RAW.add_columns({"row": pa.Column(int)}), SOURCE)
    stop_if_too_many(checked, len(raw), checks, SOURCE)
    everyone = _columns(checked.good.sort_values("row", kind="stable"), study, eligible.past_due_above)
    flow = SampleFlow(raw, everyone["default"].reindex(raw.index).fillna(0).astype("int64"))
    flow.leave("data_rule", pd.Series(~raw.index.isin(checked.good.index), raw.index))
    needed = everyone.drop(columns="took_up").columns
    leaves = {
        "no_loan": everyone["took_up"] == 0,
        "other_wave": ~checked.good["wave"].isin(eligible.waves).reindex(everyone.index),
        "missing_borrower": everyone[needed].isna().any(axis=1),
    }
    for reason, leaving in leaves.items():
        flow.leave(reason, leaving)
        if reason == "no_loan":
            meet(study.expected.ended, len(flow.frame), "ended")
            meet(study.expected.ended_defaults, int(flow.table()["remaining_defaults"].iloc[-1]), "ended_defaults")
    meet(study.expected.cohort, len(flow.frame), "cohort")

    treated = (everyone[study.treatment.factor] >= study.treatment.at_least).astype("int64")
    everyone = everyone.assign(treated=treated)
    loans = everyone.loc[flow.frame.index].drop(columns="took_up")
    loans = loans.drop(columns=[name for name in FACTORS if name not in study.factors])
    outcomes = ("default", "past_due_any", "past_due_above_fifth")
    loans = loans.astype(dict.fromkeys(outcomes, "int64"))
    return Preparation(
        cohort=check_cohort(tidy(loans), cohort_schema(STUDY_COLUMNS, study.factors, [])),
        flow=flow.table(),
        quarantined=checked.quarantined,
        panels={"offers": tidy(everyone[list(OFFER_COLUMNS)])},
    )


def choices(study: Study, where: str = "pipeline/studies/karlan_zinman/params.yaml") -> Eligibility:
    """Return the study's own choices, checked; `where` names their file."""
    try:
        eligible = Eligibility.model_validate(study.eligibility)
    except ValidationError as error:
        raise StudyError(
            f"{where}: eligibility must hold waves and past_due_above ({error.errors()[0]['msg']})."
        ) from error
    wrong = [wave for wave in eligible.waves if wave not in WAVES]
    if wrong:
        raise StudyError(f"{where}: eligibility.waves: there is no wave {wrong}; there are {list(WAVES)}.")
    known_factors(study, FACTORS, where)
    if study.treatment is None:
        raise StudyError(f"{where}: treatment must say which factor was drawn by lot.")
    return eligible
