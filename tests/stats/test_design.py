import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import _decomposed as decomposed
from pipeline.stats.design import column_of, design_matrix, independent, term_values


@pytest.fixture
def loans():
    return pd.DataFrame(
        {
            "amount": [100.0, 200.0, 400.0, 800.0, 900.0, 500.0],
            "inquiries": [0, 1, 2, 1, 0, 5],
            "grade": pd.Categorical(list("BACABC"), list("ABCD"), ordered=True),
            "quarter": pd.Categorical(["Q1", "Q2", "Q1", "Q2", "Q1", "Q2"]),
        },
        index=[10, 11, 12, 13, 14, 15],
    )


@pytest.mark.parametrize(("term", "column"), [("income", "income"), ("log(income)", "income"), ("logs", "logs")])
def test_the_column_of_a_term(term, column):
    assert column_of(term) == column


def test_terms_in_their_order(loans):
    found = term_values(loans, ["inquiries", "log(amount)"])
    assert list(found) == ["inquiries", "log(amount)"]
    np.testing.assert_allclose(found["log(amount)"], np.log(loans["amount"]))
    assert found.index.equals(loans.index)


def test_an_intercept_numbers_and_indicators_without_the_first_level(loans):
    design = design_matrix(loans, ["inquiries", "quarter", "log(amount)"])
    assert list(design.matrix) == ["intercept", "inquiries", "quarter[Q2]", "log(amount)"]
    assert (design.matrix["intercept"] == 1).all()
    assert design.matrix["inquiries"].tolist() == [0, 1, 2, 1, 0, 5]
    assert design.matrix["quarter[Q2]"].tolist() == [0, 1, 0, 1, 0, 1]
    assert set(map(str, design.matrix.dtypes)) == {"float64"}
    assert design.matrix.index.equals(loans.index)
    assert design.dropped == []


def test_a_level_that_no_loan_has_is_dropped_by_name(loans):
    design = design_matrix(loans, ["grade"])
    assert list(design.matrix) == ["intercept", "grade[B]", "grade[C]"]
    assert design.dropped == ["grade[D]"]


def test_no_terms_are_an_intercept(loans):
    assert list(design_matrix(loans, []).matrix) == ["intercept"]


def test_the_later_of_two_collinear_columns_is_dropped(loans):
    loans["rate"] = np.where(loans["quarter"] == "Q1", 3.5, 4.25)
    first = design_matrix(loans, ["quarter", "amount", "rate", "inquiries"])
    assert first.dropped == ["rate"]
    other = design_matrix(loans, ["rate", "amount", "quarter", "inquiries"])
    assert other.dropped == ["quarter[Q2]"]


def test_every_column_that_is_determined_is_named(loans):
    loans = loans.assign(one=7.0, double=2 * loans["amount"], sum=loans["amount"] - 3 * loans["inquiries"] + 1)
    design = design_matrix(loans, ["one", "amount", "inquiries", "double", "sum", "quarter"])
    assert design.dropped == ["one", "double", "sum"]
    assert list(design.matrix) == ["intercept", "amount", "inquiries", "quarter[Q2]"]


def test_columns_of_very_different_size_are_kept(loans):
    loans = loans.assign(amount=loans["amount"] * 1e9, inquiries=loans["inquiries"] * 1e-9)
    assert design_matrix(loans, ["amount", "inquiries"]).dropped == []


def test_a_column_that_is_not_there(loans):
    with pytest.raises(StudyError, match=r"no column 'income', which the term log\(income\)"):
        design_matrix(loans, ["amount", "log(income)"])


def test_missing_values_are_counted(loans):
    loans["amount"] = loans["amount"].mask(loans["amount"] > 600)
    with pytest.raises(StudyError, match="'amount' has 2 missing values"):
        design_matrix(loans, ["amount"])


def test_what_has_no_logarithm_is_counted(loans):
    with pytest.raises(StudyError, match=r"log\(inquiries\): 2 loans have a value of zero or less"):
        design_matrix(loans, ["log(inquiries)"])


MATRIX = st.integers(1, 7).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(-2, 2).map(float), min_size=rows, max_size=rows), min_size=1, max_size=7
    ).map(lambda columns: np.array(columns).T)
)


@settings(max_examples=300, deadline=None)
@given(MATRIX)
def test_as_many_columns_are_kept_as_the_rank_says(matrix):
    kept = independent(matrix)
    assert kept.sum() == np.linalg.matrix_rank(matrix)
    if kept.any():
        assert np.linalg.matrix_rank(matrix[:, kept]) == kept.sum()


@settings(max_examples=300, deadline=None)
@given(MATRIX)
def test_a_column_is_kept_when_it_raises_the_rank(matrix):
    ranks = [np.linalg.matrix_rank(matrix[:, :end]) if end else 0 for end in range(matrix.shape[1] + 1)]
    assert independent(matrix).tolist() == (np.diff(ranks) > 0).tolist()


def test_what_stands_after_a_determined_column_is_kept():
    unit = np.eye(4)
    assert independent(unit[:, [0, 0, 1, 2]]).tolist() == [True, False, True, True]


def test_more_columns_than_rows():
    assert independent(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])).tolist() == [True, True, False]


def test_many_loans_and_months_that_determine_a_series():
    rng = np.random.default_rng(2)
    month = rng.integers(0, 20, 3000)
    columns = [np.ones(3000), *(month == level for level in range(1, 20)), np.sin(month), np.cos(month)]
    matrix = np.column_stack([*columns, rng.normal(size=(3000, 5))]).astype(float)
    assert independent(matrix).tolist() == [True] * 20 + [False] * 2 + [True] * 5


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 9),
    st.sampled_from([0.0, 1e-12, 1e-10, 1e-7, 1e-5, 1e-3]),
    st.booleans(),
)
def test_cross_products_keep_the_columns_that_a_decomposition_keeps(seed, columns, noise, twice):
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([np.ones(60), rng.normal(size=(60, columns)) * 10.0 ** rng.integers(-4, 5, columns)])
    unit = matrix / np.linalg.norm(matrix, axis=0)
    place = rng.integers(1, columns + 1)
    near = unit[:, :place].sum(axis=1) + noise * rng.normal(size=60) / np.sqrt(60)
    matrix = np.insert(matrix, place, near, axis=1)
    if twice:
        matrix = np.column_stack([matrix, matrix[:, -1] - matrix[:, 0]])
    assert (independent(matrix) == decomposed(matrix, 1e-8)).all()
