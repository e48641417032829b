import pandas as pd
import pandera.pandas as pa
import pytest

from pipeline.core.schema import check, check_cohort
from pipeline.runtime.errors import StudyError

SCHEMA = pa.DataFrameSchema(
    {
        "amount": pa.Column(float, [pa.Check.gt(0), pa.Check.lt(100)]),
        "grade": pa.Column(str, pa.Check.isin(["A", "B"])),
        "income": pa.Column(float, nullable=True),
    }
)


def loans(**columns):
    rows = len(next(iter(columns.values()), [0, 0]))
    return pd.DataFrame({"amount": [1.0] * rows, "grade": ["A"] * rows, "income": [None] * rows} | columns).astype(
        {"income": float}
    )


def test_good_rows_pass_with_their_row_numbers():
    checked = check(loans(amount=[1.0, -1.0, 3.0]).set_axis([7, 8, 9]), SCHEMA, "loans")
    pd.testing.assert_frame_equal(checked.good, loans(amount=[1.0, 3.0]).set_axis([0, 2]))


def test_a_table_without_failures():
    checked = check(loans(), SCHEMA, "loans")
    assert len(checked.good) == 2
    assert len(checked.quarantined) == len(checked.failures) == 0
    assert list(checked.quarantined) == ["amount", "grade", "income", "reason"]
    assert list(checked.failures) == ["column", "rule", "rows", "first_five"]


def test_all_failures_of_a_table_are_reported_together():
    amounts = [1.0, -6.0, -5.0, -4.0, 0.0, -2.0, -1.0, 200.0]
    grades = ["A", "Z", "B", None, "B", "B", "B", "Y"]
    failures = check(loans(amount=amounts, grade=grades), SCHEMA, "loans").failures
    found = {(row.column, row.rule): (row.rows, row.first_five) for row in failures.itertuples()}
    assert found == {
        ("amount", "greater_than(0)"): (6, "-6.0, -5.0, -4.0, 0.0, -2.0"),
        ("amount", "less_than(100)"): (1, "200.0"),
        ("grade", "isin(['A', 'B'])"): (2, "Z, Y"),
        ("grade", "not_nullable"): (1, "nan"),
    }


def test_a_bad_row_is_set_aside_with_all_its_reasons():
    checked = check(loans(amount=[1.0, -1.0, 2.0], grade=["A", "Z", "Z"]), SCHEMA, "loans")
    assert checked.quarantined["amount"].tolist() == [-1.0, 2.0]
    assert checked.quarantined["reason"].tolist() == [
        "amount: greater_than(0); grade: isin(['A', 'B'])",
        "grade: isin(['A', 'B'])",
    ]


def test_a_row_is_counted_once_for_a_column_that_must_be_unique():
    schema = pa.DataFrameSchema({"loan_id": pa.Column(str, unique=True)})
    checked = check(pd.DataFrame({"loan_id": ["1", "2", "1"]}), schema, "loans")
    assert checked.good["loan_id"].tolist() == ["2"]
    assert checked.failures["rows"].tolist() == [2]


def test_a_wrong_shape_is_one_error_that_lists_everything():
    frame = loans().drop(columns=["grade", "income"]).astype({"amount": int})
    with pytest.raises(StudyError) as caught:
        check(frame, SCHEMA, "loans")
    message = str(caught.value)
    assert message.startswith("loans: ")
    assert "\n" not in message
    for wrong in (
        "column grade is missing",
        "column income is missing",
        "column amount should be float64 and is int64",
    ):
        assert wrong in message


def test_text_where_numbers_belong_is_named():
    with pytest.raises(StudyError, match="column amount"):
        check(loans(amount=["1", "many"]), SCHEMA, "loans")


def test_a_cohort_that_meets_its_schema_is_returned():
    frame = loans()
    pd.testing.assert_frame_equal(check_cohort(frame, SCHEMA), frame)


def test_a_cohort_that_does_not_is_an_error_with_every_rule():
    with pytest.raises(StudyError) as caught:
        check_cohort(loans(amount=[-1.0, -2.0, 1.0], grade=["A", "A", "Z"]), SCHEMA)
    message = str(caught.value)
    assert "amount greater_than(0) in 2 rows (-1.0, -2.0)" in message
    assert "grade isin(['A', 'B']) in 1 rows (Z)" in message


def test_an_undeclared_column_of_a_cohort_is_named():
    schema = pa.DataFrameSchema({"amount": pa.Column(float)}, strict=True)
    with pytest.raises(StudyError, match="recoveries"):
        check_cohort(pd.DataFrame({"amount": [1.0], "recoveries": [0.0]}), schema)
