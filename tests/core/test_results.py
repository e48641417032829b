import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import results
from pipeline.runtime.errors import StudyError

ROW = {
    "estimator": "logit",
    "specification": "M1",
    "factor": "treated",
    "outcome": "default",
    "estimand": "odds",
}


def written(path, frame):
    results.write(path, frame)
    return results.read(path)


def plain(frame):
    """Return a results table with missing numbers as NaN, as they come from the file."""
    return frame.astype(dict.fromkeys(results.NUMBERS, "float64") | dict.fromkeys(results.COUNTS, "Int64"))


def test_every_row_has_every_column_and_the_name_of_its_stage():
    frame = results.table("lendingclub", "regress", [ROW | {"estimate": 1.5, "n": 10}])
    assert tuple(frame.columns) == results.COLUMNS
    row = frame.iloc[0]
    assert (row["study"], row["stage"], row["estimate"], row["n"]) == ("lendingclub", "regress", 1.5, 10)
    assert row["unit"] == row["note"] == ""
    assert frame[["std_error", "p_value", "n_treated"]].isna().all(axis=None)


def test_rows_are_sorted_by_key_whatever_their_order():
    rows = [
        ROW | {"factor": factor, "specification": rung, "estimate": place}
        for place, (rung, factor) in enumerate([("M2", "a"), ("M1", "b"), ("M1", "a"), ("M10", "a")])
    ]
    frame = results.table("s", "t", rows)
    found = [("M1", "a"), ("M1", "b"), ("M10", "a"), ("M2", "a")]
    assert list(zip(frame["specification"], frame["factor"], strict=True)) == found
    pd.testing.assert_frame_equal(frame, results.table("s", "t", reversed(rows)))


def test_two_rows_with_one_key_are_a_mistake():
    with pytest.raises(ValueError, match=r"two rows with the key .*'estimand': 'odds'"):
        results.table("s", "t", [ROW | {"estimate": 1}, ROW | {"estimate": 2}])
    assert len(results.table("s", "t", [ROW, ROW | {"outcome": "late"}])) == 2


def test_an_unknown_column_is_a_mistake():
    with pytest.raises(ValueError, match=r"not columns of the results table: \['estimat', 'se'\]"):
        results.table("s", "t", [ROW | {"se": 1, "estimat": 2}])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.123456785, 0.12345678),
        (0.1234567851, 0.12345679),
        (123456789.0, 123456790.0),
        (-2 / 3, -0.66666667),
        (9.9e-13, 0.0),
        (-9.9e-13, 0.0),
        (1.1e-12, 1.1e-12),
        (-0.0, 0.0),
        (35002, 35002.0),
    ],
)
def test_estimates_are_rounded_and_cleared_of_noise(value, kept):
    found = results.table("s", "t", [ROW | {"estimate": value}])["estimate"].iloc[0]
    assert found == kept
    assert math.copysign(1, found) == math.copysign(1, kept)


@pytest.mark.parametrize("name", ["p_value", "p_adjusted"])
def test_small_p_values_are_kept_and_what_only_the_last_bits_tell_is_zero(name):
    frame = results.table("s", "t", [ROW | {"factor": "a", name: 1.23456789e-14}, ROW | {"factor": "b", name: 1e-74}])
    assert frame[name].tolist() == [1.2345679e-14, 0.0]


def test_an_assumption_says_whether_it_holds():
    held, broken = (
        results.assumption("balance", value, 0.1, passed=value < 0.1, factor=name)
        for name, value in (("a", 0.05), ("b", 0.2))
    )
    frame = results.table("s", "t", [held, broken])
    assert frame["note"].tolist() == ["passed; threshold 0.1", "failed; threshold 0.1"]
    assert set(frame["estimator"]) == {"assumption"} and frame["estimate"].tolist() == [0.05, 0.2]


def test_nan_is_missing(tmp_path):
    frame = results.table("s", "t", [ROW | {"estimate": float("nan"), "std_error": np.nan, "n": None}])
    assert frame[["estimate", "std_error", "n"]].isna().all(axis=None)
    assert written(tmp_path / "a.csv", frame).frame["estimate"].isna().all()


def test_what_differs_below_the_digits_written_gives_the_same_file(tmp_path):
    third = 1 / 3
    for name, value in {"a": third, "b": np.nextafter(third, 1)}.items():
        results.write(tmp_path / name, results.table("s", "t", [ROW | {"estimate": value}]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


WORD = st.text(st.characters(exclude_categories=["C"]), max_size=6)
NUMBER = st.none() | st.floats(allow_nan=False)
COUNT = st.none() | st.integers(0, 10**9)
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: WORD for name in (*results.KEY[2:], "unit", "note")}
        | dict.fromkeys(results.NUMBERS, NUMBER)
        | dict.fromkeys(results.COUNTS, COUNT)
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: tuple(row[name] for name in results.KEY[2:]),
)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("results") / "a.csv"
    frame = results.table("s", "t", rows)
    read = written(path, frame).frame
    pd.testing.assert_frame_equal(read, plain(frame), check_dtype=False, check_exact=True)
    # A page that writes rows it has read writes the same bytes.
    first = path.read_bytes()
    results.write(path, read)
    assert path.read_bytes() == first


def test_words_that_look_missing_stay_words(tmp_path):
    frame = results.table("s", "t", [ROW | {"factor": "NA", "note": "null", "unit": "nan"}])
    row = written(tmp_path / "a.csv", frame).one(factor="NA")
    assert (row.note, row.unit) == ("null", "nan")


def test_a_table_without_rows(tmp_path):
    assert len(written(tmp_path / "a.csv", results.table("s", "t", [])).frame) == 0


@pytest.fixture
def found(tmp_path):
    for stage in ("describe", "regress"):
        rows = [ROW | {"factor": factor, "estimate": place} for place, factor in enumerate("abc")]
        results.write(tmp_path / stage, results.table("s", stage, rows))
    return results.read(tmp_path / "describe", tmp_path / "regress")


def test_several_stages_are_read_together(found):
    assert len(found.frame) == 6
    assert found.where(stage="regress", factor=["a", "c"])["estimate"].tolist() == [0, 2]
    assert len(found.where(stage="regress", factor="zzz")) == 0


def test_one_row(found):
    row = found.one(stage="regress", factor="b")
    assert (row.estimate, row.estimator) == (1, "logit")


@pytest.mark.parametrize(("columns", "number"), [({"factor": "zzz"}, 0), ({"factor": "a"}, 2)])
def test_no_row_or_several_are_not_one(found, columns, number):
    with pytest.raises(StudyError, match=rf"hold {number} rows, not one, for .*'factor': '{columns['factor']}'"):
        found.one(**columns)


def test_an_absent_table_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match=r"regress\.csv does not exist: run the stage that writes it"):
        results.read(tmp_path / "regress.csv")
