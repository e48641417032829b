"""Bondora, an Estonian platform: default of customers who come back, and of those who come first.

Raw data: the platform's public loan book as others cleaned it: applications in Estonian, complete cases, no dates, no
numbers of loans. A loan is known by its row in that file. Its day of application is told by the file's count of days
(`FIRST_DAY`), its categories by columns of nought and one of which a level is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import ValidationError

from pipeline.core.fields import Month, Section
from pipeline.core.protocol import Study
from pipeline.core.schema import check, check_cohort, cohort_schema
from pipeline.core.shared import Checks
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.sources import tabular
from pipeline.sources.records import Source, SourceFile
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

SOURCE = "bondora"

FIRST_DAY = pd.Timestamp("2009-02-28")
"""The day from which the file counts, in thousands of days: inferred, for with it the file's own columns for the day of
the week agree for nine loans in ten, and are later by a day to six for the others. Good for months and quarters."""

GRADES = ["AA", "A", "B", "C"]
"""The platform's ratings on file, best first; the first has no column of its own."""

TERMS = {f"duration.{months:02d}": str(months) for months in (6, 9, 12, 18, 24, 36, 48, 60)}
"""Columns of the term, in months. Other terms have no column: `OTHER_TERM`."""
OTHER_TERM = "other"

VERIFICATION = {"ver.4": "income_and_expenses", "ver.3": "income"}
"""Columns of what was verified; the level without one is `NOT_VERIFIED`."""
NOT_VERIFIED = "neither"

USES = {
    "use.0": "consolidation",
    "use.1": "real_estate",
    "use.2": "home_improvement",
    "use.3": "business",
    "use.4": "education",
    "use.5": "travel",
    "use.6": "vehicle",
    "use.7": "other",
    "use.8": "health",
}
"""Columns of what the loan is for; the platform stopped asking in 2017, and the level without a column is `NO_USE`."""
NO_USE = "not_stated"

FACTORS = (
    "relationship_depth_returning",
    "relationship_depth_prior_loans",
    "information_sharing",
    "information_sharing_expenses",
)
"""What the file lets one measure; params.yaml, beside, says which of them the study looks at."""


def _number(low: float, high: float) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low, high))


ZERO_OR_ONE = _number(0, 1)

RAW = pa.DataFrameSchema(
    {
        "default": pa.Column(float, pa.Check.isin([0, 1])),
        "new": pa.Column(float, pa.Check.isin([0, 1])),
        "time": _number(0, 10),
        "Age": _number(18, 100),
        "Interest": _number(0, 100),
        "DebtToIncome": _number(0, 200),
        "NoOfPreviousLoansBeforeLoan": _number(0, 100),
        # Natural logarithms: of the amount, and of one more than the others.
        "log.amount": _number(0, 12),
        "inc.total": _number(0.1, 20),
        "liab.l": _number(0, 20),
        "FreeCash.l": _number(0, 20),
        "educ.5": ZERO_OR_ONE,
        # Whether the borrower repaid an earlier loan early, and more than one.
        "no.previous.repay.00": ZERO_OR_ONE,
        **dict.fromkeys((*TERMS, *VERIFICATION, *USES, *GRADES[1:]), ZERO_OR_ONE),
    }
)
"""The columns that the study uses and the rules they must meet. Sex is not among them: from mid-2017 to the end of 2018
the file knows hardly any woman."""

STUDY_COLUMNS = {
    "origination_year": pa.Column("category"),
    "term": pa.Column("category"),
    "verification": pa.Column("category"),
    "age": pa.Column(float, pa.Check.gt(0)),
    "income": pa.Column(float, pa.Check.gt(0)),
    "liabilities_log": pa.Column(float, pa.Check.ge(0)),
    "free_cash_log": pa.Column(float, pa.Check.ge(0)),
    "debt_to_income": pa.Column(float, pa.Check.ge(0)),
    "higher_education": pa.Column(float, pa.Check.isin([0, 1])),
    "repaid_early": pa.Column(float, pa.Check.isin([0, 1])),
    "watched_years": pa.Column(float, pa.Check.ge(0)),
    "term_over": pa.Column(int, pa.Check.isin([0, 1])),
}
"""Columns beyond those that all studies share. Euros, euros a month for income; logarithms are of one more, since debts
and free cash may be nought. `repaid_early` belongs to the relationship, never to the controls."""


class Eligibility(Section):
    """The study's own choice under ``eligibility``: the last month of application."""

    last_month: Month


def files(source: Source, vintages: Sequence[int]) -> list[SourceFile]:
    """Return the file of loans; the codebook beside it is for readers."""
    return [source.file("Bondora_clean.feather")]


def read(source: str, paths: Sequence[Path]) -> pd.DataFrame:
    """Read the file as one raw table, with only the columns that the study uses, all of them numbers."""
    return tabular.read_table(paths[0], tabular.form_of(paths[0]), list(RAW.columns)).frame.astype(float)


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame]:
    """Return the raw table that `read` gave."""
    return raw_tables(folder)


def level(raw: pd.DataFrame, names: Mapping[str, str], dropped: str) -> pd.Series:
    """Return the category of each loan from its columns of nought and one; where all are nought, the one dropped."""
    places = raw[list(names)].to_numpy()
    found = np.where(places.any(axis=1), np.array(list(names.values()), dtype=object)[places.argmax(axis=1)], dropped)
    return pd.Series(found, raw.index)


def _columns(raw: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the cohort's columns; the last application is the last day on which every loan was surely watched."""
    date = (FIRST_DAY + pd.to_timedelta((1000 * raw["time"]).round(), unit="D")).astype("datetime64[ms]")
    last = date.max()
    term = level(raw, TERMS, OTHER_TERM)
    months = pd.to_numeric(term.where(term != OTHER_TERM))
    checked = level(raw, VERIFICATION, NOT_VERIFIED)
    columns = pd.DataFrame(
        {
            "loan_id": [f"{row:05d}" for row in raw.index + 1],
            "institution_type": pd.Categorical([study.institution_type] * len(raw)),
            "origination_date": date,
            "origination_month": pd.Categorical(date.dt.strftime("%Y-%m")),
            "origination_quarter": pd.Categorical(date.dt.to_period("Q").astype(str)),
            "origination_year": pd.Categorical(date.dt.year.astype(str)),
            "credit_grade": pd.Categorical(
                level(raw, {name: name for name in GRADES[1:]}, GRADES[0]), GRADES, ordered=True
            ),
            "loan_type": pd.Categorical(level(raw, USES, NO_USE)),
            "term": pd.Categorical(term, [*TERMS.values(), OTHER_TERM]),
            # The file's logarithm is that of whole euros.
            "amount": np.exp(raw["log.amount"]).round(2),
            "interest_rate": raw["Interest"],
            "verification": pd.Categorical(checked, [NOT_VERIFIED, *reversed(VERIFICATION.values())], ordered=True),
            "age": raw["Age"],
            "income": np.expm1(raw["inc.total"]).round(2),
            "liabilities_log": raw["liab.l"],
            "free_cash_log": raw["FreeCash.l"],
            "debt_to_income": raw["DebtToIncome"],
            "higher_education": raw["educ.5"],
            "repaid_early": 1 - raw["no.previous.repay.00"],
            "watched_years": (last - date).dt.days / 365.25,
            "term_over": ((last - date).dt.days / (365.25 / 12) >= months).astype("int64"),
            "relationship_depth_returning": 1 - raw["new"],
            "relationship_depth_prior_loans": raw["NoOfPreviousLoansBeforeLoan"],
            "information_sharing": (checked != NOT_VERIFIED).astype(float),
            "information_sharing_expenses": raw["ver.4"],
            "default": raw["default"].astype("int64"),
        },
        index=raw.index,
    )
    return in_arms(columns, study, FACTORS)


def choices(study: Study, where: str = "pipeline/studies/bondora/params.yaml") -> Eligibility:
    """Return the study's own choices, checked; `where` names their file."""
    try:
        eligible = Eligibility.model_validate(study.eligibility)
    except ValidationError as error:
        raise StudyError(f"{where}: eligibility must hold last_month ({error.errors()[0]['msg']}).") from error
    known_factors(study, FACTORS, where)
    if study.treatment is None:
        raise StudyError(f"{where}: treatment must say which customers count as treated.")
    return eligible


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the raw table into the loan cohort; the wider sample holds applications of all months.

    Raises StudyError when the table breaks its data rules, or the sample flow does not meet the counts that the
    protocol expects.
    """
    eligible = choices(study)
    raw = tables[SOURCE].reset_index(drop=True)
    checked = check(raw, RAW, SOURCE)
    stop_if_too_many(checked, len(raw), checks, SOURCE)
    flow = SampleFlow(raw, raw["default"].eq(1).astype("int64"))
    flow.leave("data_rule", pd.Series(~raw.index.isin(checked.good.index), raw.index))
    loans = _columns(checked.good, study)
    flow.leave("watched_briefly", loans["origination_month"].astype(str) > eligible.last_month)
    counts = flow.table().iloc[-1]
    meet(study.expected.ended, int(counts["remaining"]), "ended")
    meet(study.expected.ended_defaults, int(counts["remaining_defaults"]), "ended_defaults")
    meet(study.expected.cohort, len(flow.frame), "cohort")
    schema = cohort_schema(STUDY_COLUMNS, study.factors, [])
    return Preparation(
        cohort=check_cohort(tidy(loans.loc[flow.frame.index]), schema),
        robustness=check_cohort(tidy(loans), schema),
        flow=flow.table(),
        quarantined=checked.quarantined,
    )
