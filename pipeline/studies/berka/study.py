"""A Czech bank of the nineties: default of borrowers by how often their account's statement is sent.

Raw data: the tables of the PKDD 1999 challenge (Berka & Sochorova), 682 loans, joined with Ibis. Dates are YYMMDD, and
a birth number is a woman's when 50 is added to its month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.core.protocol import Study
from pipeline.core.schema import check, check_cohort, cohort_schema
from pipeline.core.shared import Checks
from pipeline.runtime import store
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.sources import readers
from pipeline.sources.records import Source, SourceFile
from pipeline.studies.berka.tables import (
    BAD,
    BEFORE_LOAN,
    FREQUENCIES,
    JOINED,
    RAW,
    TABLES,
    TRANSACTIONS,
    UNDATED,
    WEEKS_PER_MONTH,
    joined,
)
from pipeline.studies.preparation import Preparation, SampleFlow, in_arms, known_factors, meet, stop_if_too_many, tidy

DAYS_PER_MONTH = 365.25 / 12

MONTHS_BEFORE = 12
"""Months before the loan in which its account is followed."""

GRADES = list("ABCD")
"""Quarters of the score, best first."""

FACTORS = (
    "communication_frequency",
    "communication_frequency_statements",
    "relationship_length",
    "relationship_depth_cards",
    "relationship_depth_second_person",
)
"""What the bank's tables let one measure; params.yaml, beside, says which of them the study looks at."""

PENNY = 0.011
"""Crowns by which an aggregate may differ from the transactions that it sums up."""

STUDY_COLUMNS = {
    "origination_year": pa.Column("category"),
    "payment": pa.Column(float, pa.Check.gt(0)),
    "balance_mean": pa.Column(float),
    "balance_min": pa.Column(float),
    "balance_last": pa.Column(float),
    "largest_credit": pa.Column(float, pa.Check.gt(0)),
    "transactions_per_month": pa.Column(float, pa.Check.gt(0)),
    "age": pa.Column(float, pa.Check.in_range(10, 110)),
    "female": pa.Column(float, pa.Check.isin([0, 1])),
    "district_salary": pa.Column(float),
    "district_unemployment": pa.Column(float),
    "ended": pa.Column(int, pa.Check.isin([0, 1])),
}
"""Columns beyond those that all studies share: Czech crowns, years, percent."""


def files(source: Source, vintages: Sequence[int]) -> list[SourceFile]:
    """Return the files of a source that the study reads: not those of undated tables."""
    return [file for file in source.files if file.name.split(".")[0] not in UNDATED]


def read(source: str, paths: Sequence[Path]) -> dict[str, pd.DataFrame] | pd.DataFrame:
    """Read a source's files as text: the bank's tables by name, the other sources as one table each."""
    if source == "berka":
        tables = {path.name.split(".")[0]: path for path in paths}
        return {name: readers.read_delimited(tables[name], columns, ";") for name, columns in TABLES.items()}
    columns, separator = (BEFORE_LOAN, ",") if source == "berka_before_loan" else (TRANSACTIONS, ";")
    return pd.concat([readers.read_delimited(path, columns, separator) for path in paths], ignore_index=True)


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame | ir.Table]:
    """Return the raw tables that `read` gave, by name: those that are joined in the engine, the others as frames."""
    names = [path.stem for path in sorted(folder.glob("*.parquet"))]
    tables = engine.read(folder, [name for name in names if name in JOINED])
    return tables | {name: store.read_parquet(folder / f"{name}.parquet") for name in names if name not in JOINED}


def compare_with_transactions(loans: pd.DataFrame, transactions: pd.DataFrame) -> pd.Series:
    """Say for which loans the aggregates disagree with the transactions themselves, where those are at hand.

    `loans` are rows as `joined` gives them, `transactions` the raw text. A loan
    disagrees when one of its transactions is not dated before it, or when their number, the mean or lowest balance, or
    the largest credit is another.
    """
    known = pd.DataFrame(
        {
            "account_id": transactions["account_id"].astype(str),
            "date": pd.to_datetime("19" + transactions["date"].astype(str), format="%Y%m%d", errors="coerce"),
            "credit": transactions["amount"].astype(float).where(transactions["type"].astype(str) == "credit"),
            "balance": transactions["balance"].astype(float),
        }
    )
    found = known.groupby("account_id").agg(
        last=("date", "max"),
        number=("date", "size"),
        mean=("balance", "mean"),
        low=("balance", "min"),
        high=("credit", "max"),
    )
    found = found.reindex(loans["account_id"]).set_axis(loans.index)
    at_hand = found["number"].notna()
    differs = (
        ~(found["last"] < loans["loan_date"])
        | (found["number"] != loans["transactions"])
        | ((found["mean"] - loans["balance_mean"]).abs() > PENNY)
        | ((found["low"] - loans["balance_min"]).abs() > PENNY)
        | ((found["high"] - loans["largest_credit"]).abs() > PENNY)
    )
    return at_hand & differs


def account_months(loans: pd.DataFrame, transactions: pd.DataFrame) -> pd.DataFrame:
    """Follow the accounts month by month up to their loans, where the transactions themselves are at hand.

    `loans` are rows as `joined` gives them, `transactions` the raw text. One row
    for each of up to `MONTHS_BEFORE` whole months (of a twelfth of a year) in which the account was already in use:
    ``loan_id, months_before`` (1 is the last one before the loan), the month's mean ``balance`` (the last one known
    where nothing moved), the sum of ``credits`` in crowns and the number of ``transactions``.
    """
    day = pd.to_datetime("19" + transactions["date"].astype(str), format="%Y%m%d", errors="coerce")
    moves = pd.DataFrame(
        {
            "account_id": transactions["account_id"].astype(str),
            "day": day,
            "credits": transactions["amount"].astype(float).where(transactions["type"].astype(str) == "credit", 0.0),
            "balance": transactions["balance"].astype(float),
        }
    )
    keys = loans[["account_id", "loan_id", "loan_date"]]
    moves = moves.merge(keys.dropna(), on="account_id")
    before = (moves["loan_date"] - moves["day"]).dt.days
    moves = moves[before > 0].assign(months_before=np.ceil(before / DAYS_PER_MONTH))
    # The month in which the account came into use is no whole one.
    oldest = moves.groupby("loan_id")["months_before"].max() - 1
    by_month = moves.groupby(["loan_id", "months_before"]).agg(
        balance=("balance", "mean"), credits=("credits", "sum"), transactions=("day", "size")
    )
    every = [(loan, float(month)) for loan, last in oldest.items() for month in range(1, int(last) + 2)]
    table = by_month.reindex(pd.MultiIndex.from_tuples(every, names=["loan_id", "months_before"])).sort_index()
    # Backwards in the table is forwards in time.
    table["balance"] = table["balance"].groupby(level="loan_id").bfill()
    table = table.fillna({"credits": 0.0, "transactions": 0}).reset_index()
    table = table[table["months_before"] <= np.minimum(table["loan_id"].map(oldest), MONTHS_BEFORE)]
    types = {"months_before": "int64", "transactions": "int64"}
    return table.assign(loan_id=table["loan_id"].astype(str).str.zfill(5)).astype(types).reset_index(drop=True)


def score(loans: pd.DataFrame) -> pd.Series:
    """Return a score of initial credit status, 0 to 100, from balances and income before the loan alone.

    The mean of three ranks among the loans: mean balance, lowest balance, and the largest single credit, which stands
    for income (the tables of all loans name no salary). Default plays no part in the rule, and neither do the loan's
    own terms, statements, cards or persons.
    """
    ranks = [loans[name].rank(pct=True) for name in ("balance_mean", "balance_min", "largest_credit")]
    return 100 * sum(ranks) / len(ranks)


def _columns(loans: pd.DataFrame, study: Study) -> pd.DataFrame:
    month = loans["loan_date"].dt.to_period("M").astype(str)
    months_before = (loans["loan_date"] - loans["first_transaction"]).dt.days / DAYS_PER_MONTH
    per_month = loans["transactions"] / months_before
    step = loans["frequency"].map(FREQUENCIES)
    statements = np.select([step == 0, step == 1], [1.0, WEEKS_PER_MONTH], per_month)
    points = score(loans)
    quarter = np.minimum((4 * points.rank(pct=True, method="first")).apply(np.ceil).astype(int), 4)
    columns = pd.DataFrame(
        {
            "loan_id": loans["loan_id"].str.zfill(5).astype(str),
            "institution_type": pd.Categorical([study.institution_type] * len(loans)),
            "region": pd.Categorical(loans["district"].astype(str)),
            "origination_date": loans["loan_date"],
            "origination_month": pd.Categorical(month),
            "origination_quarter": pd.Categorical(loans["loan_date"].dt.to_period("Q").astype(str)),
            "origination_year": pd.Categorical(loans["loan_date"].dt.year.astype(str)),
            # The highest quarter of the score is the best grade.
            "credit_grade": pd.Categorical([GRADES[4 - place] for place in quarter], GRADES, ordered=True),
            "credit_score": points,
            "loan_type": pd.Categorical(["cash_loan"] * len(loans)),
            "amount": loans["amount"],
            "term_months": loans["duration"].astype("int64"),
            "payment": loans["payments"],
            "balance_mean": loans["balance_mean"],
            "balance_min": loans["balance_min"],
            "balance_last": loans["balance_last"],
            "largest_credit": loans["largest_credit"],
            "transactions_per_month": per_month,
            "age": (loans["loan_date"] - loans["birth_date"]).dt.days / 365.25,
            "female": loans["female"].astype(float),
            "district_salary": loans["district_salary"],
            "district_unemployment": loans["district_unemployment"],
            "ended": loans["status"].isin(["A", "B"]).astype("int64"),
            "communication_frequency": step.astype(float),
            "communication_frequency_statements": statements,
            "relationship_length": (loans["loan_date"] - loans["account_date"]).dt.days / 365.25,
            "relationship_depth_cards": (loans["cards_before"] > 0).astype(float),
            "relationship_depth_second_person": (loans["second_persons"] > 0).astype(float),
            "default": loans["status"].map(BAD).astype("int64"),
        },
        index=loans.index,
    )
    return in_arms(columns, study, FACTORS)


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the bank's tables into the loan cohort.

    Raises StudyError when the tables break their data rules, aggregates disagree with the transactions that they sum
    up, or the sample flow does not meet the counts that the protocol expects.
    """
    known_factors(study, FACTORS, "pipeline/studies/berka/params.yaml")
    if study.treatment is None:
        raise StudyError(
            "studies.berka.treatment must say from which frequency of statements a loan counts as treated."
        )
    raw = joined(tables)
    checked = check(raw, RAW, "berka")
    stop_if_too_many(checked, len(raw), checks, "berka")
    flow = SampleFlow(raw, raw["status"].map(BAD).fillna(0).astype("int64"))
    flow.leave("data_rule", pd.Series(~raw.index.isin(checked.good.index), raw.index))
    good = checked.good
    disagrees = compare_with_transactions(good, tables["berka_transactions"])
    if disagrees.any():
        raise StudyError(
            f"berka: the aggregates of {int(disagrees.sum())} loans disagree with the transactions that they sum up "
            f"(loan {good.loc[disagrees, 'loan_id'].iloc[0]} first): fetch the files again."
        )
    flow.leave("late_activity", good["last_transaction"] >= good["loan_date"])
    flow.leave("account_after_loan", good["account_date"] >= good["loan_date"])
    meet(study.expected.ended, len(flow.frame), "ended")
    meet(study.expected.ended_defaults, int(flow.table()["remaining_defaults"].iloc[-1]), "ended_defaults")
    meet(study.expected.cohort, len(flow.frame), "cohort")
    loans = tidy(_columns(good.loc[flow.frame.index], study))
    return Preparation(
        cohort=check_cohort(loans, cohort_schema(STUDY_COLUMNS, study.factors, [])),
        flow=flow.table(),
        quarantined=checked.quarantined,
        panels={
            "account_months": account_months(good.loc[flow.frame.index], tables["berka_transactions"]),
        },
    )
