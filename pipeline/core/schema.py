"""The loan cohort: one table for every study, and the data rules that raw tables and cohorts must meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pandera.pandas as pa

from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Sequence


LARGEST = 1e15
"""No amount, rate or count of one loan is as large, in any currency; squares of much larger numbers overflow."""


class Checked(NamedTuple):
    """What a table looks like after its data rules were applied."""

    good: pd.DataFrame
    """The rows that meet every rule, under their row numbers in the table."""
    quarantined: pd.DataFrame
    """The other rows, with a column ``reason`` that names every rule they break."""
    failures: pd.DataFrame
    """One row a broken rule: ``column, rule, rows, first_five``."""


def check(frame: pd.DataFrame, schema: pa.DataFrameSchema, table: str) -> Checked:
    """Apply all data rules of a table at once and set the rows that break one aside.

    A table whose shape is wrong (a missing column, a column of another type) is a StudyError that lists everything
    that is wrong with it, because no row of such a table can be trusted.
    """
    frame = frame.reset_index(drop=True)
    # Not for pandera to find: it would take a column named dask for a table of that package.
    undeclared = [name for name in frame if name not in schema.columns]
    try:
        schema.validate(frame.drop(columns=undeclared) if undeclared else frame, lazy=True)
        cases = pd.DataFrame(columns=["column", "check", "failure_case", "index"])
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
    shape = cases[cases["index"].isna()]
    wrong = [f"column {name} is not declared" for name in undeclared if schema.strict]
    wrong += dict.fromkeys(_shape_fault(case) for case in shape.itertuples())
    if wrong:
        raise StudyError(f"{table}: {'; '.join(wrong)}.")
    cases = cases.assign(index=cases["index"].astype(int))
    failures = (
        cases.sort_values("index", kind="stable")
        .groupby(["column", "check"], sort=True)
        .agg(
            rows=("index", "nunique"),
            first_five=("failure_case", lambda found: ", ".join(map(str, found[:5]))),
        )
        .reset_index()
        .rename(columns={"check": "rule"})
    )
    reasons = (
        (cases["column"].astype(str) + ": " + cases["check"].astype(str))
        .groupby(cases["index"])
        .agg(lambda broken: "; ".join(sorted(set(broken))))
    )
    good = frame.drop(index=reasons.index)
    quarantined = frame.loc[reasons.index].assign(reason=reasons).reset_index(drop=True)
    return Checked(good, quarantined, failures)


def _shape_fault(case: Any) -> str:
    if case.check == "column_in_dataframe":
        return f"column {case.failure_case} is missing"
    if str(case.check).startswith("dtype("):
        return f"column {case.column} should be {case.check[7:-2]} and is {case.failure_case}"
    return f"column {case.column} cannot be checked"


def cohort_schema(
    study_columns: Mapping[str, pa.Column], factors: Sequence[str], market: Sequence[str]
) -> pa.DataFrameSchema:
    """Return the schema of a study's cohort: one row a loan, no missing value, no unknown column.

    Roles: keys, initial credit status, loan and time are common to all studies; ``study_columns`` are the
    borrower's finances and what else the study declares; ``factors`` are its CRM factors, ``market`` its series.
    ``weight`` is how many loans of the population a loan stands for, where loans were sampled by their outcome;
    ``term_months`` and ``interest_rate`` are absent where no file gives them as they stood at origination.
    """
    zero_or_one = pa.Check.isin([0, 1])
    return pa.DataFrameSchema(
        {
            "loan_id": pa.Column(str, unique=True),
            "institution_type": pa.Column("category"),
            "region": pa.Column("category", required=False),
            "origination_date": pa.Column("datetime64[ms]"),
            "origination_month": pa.Column("category"),
            "origination_quarter": pa.Column("category"),
            "credit_grade": pa.Column("category"),
            "credit_score": pa.Column(float, required=False),
            "loan_type": pa.Column("category"),
            "amount": pa.Column(float, pa.Check.gt(0)),
            "term_months": pa.Column(int, pa.Check.gt(0), required=False),
            "interest_rate": pa.Column(float, pa.Check.in_range(0, 100), required=False),
            **study_columns,
            **{name: pa.Column(float) for name in market},
            **{name: pa.Column(float) for name in factors},
            "treated": pa.Column(int, zero_or_one),
            "default": pa.Column(int, zero_or_one),
            "weight": pa.Column(float, pa.Check.gt(0), required=False),
        },
        strict=True,
        ordered=False,
    )


def check_cohort(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return the cohort if it meets its schema; otherwise one StudyError lists every column and rule that fails."""
    checked = check(frame, schema, "the cohort")
    for name in frame.select_dtypes("number"):
        if (huge := frame[name].abs() > LARGEST).any():
            first = frame[huge].iloc[0]
            of = f" (the first: loan {first['loan_id']})" if "loan_id" in frame else ""
            raise StudyError(
                f"column {name} of the cohort holds {first[name]:g} in {int(huge.sum()):,} rows{of}, which is no value "
                "of a loan: correct the cells, or leave these rows out."
            )
    if len(checked.quarantined):
        broken = [
            f"{case.column} {case.rule} in {case.rows} rows ({case.first_five})"
            for case in checked.failures.itertuples()
        ]
        raise StudyError(f"the cohort breaks its schema: {'; '.join(broken)}.")
    return frame
