import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import cells, dates


def read(kind, *values, **choices):
    found = (dates.read if kind == "dates" else getattr(cells, kind))(pd.Series(list(values)), **choices)
    return found.meaning.tolist(), found.wrong.tolist()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.50", 1234.5),
        ("12.5%", 12.5),
        ("１２.５％", 12.5),
        ("$ 900", 900),
        ("￥1,200", 1200),
        ("USD 1,200.00", 1200),
        ("(300)", -300),
        ("-$5", -5),
        ("1.2万元", 12000),
        ("3亿", 3e8),
        ("36 months", 36),
        ("10+ years", 10),
        ("8分", 8),
        ("1 200", 1200),
        ("1'200.5", 1200.5),
        ("12,34,567", 1234567),
        ("1e3", 1000),
    ],
)
def test_numbers_as_people_write_them(text, number):
    meaning, wrong = read("numbers", text)
    assert meaning == [pytest.approx(number)] and wrong == [False]


@pytest.mark.parametrize("text", ["abc", "12 monkeys", "1,2,3", "(5", "1.2.3", "A12", "2019-01-01", "1_000", "inf"])
def test_what_is_no_number_is_said_to_be_none(text):
    meaning, wrong = read("numbers", text)
    assert math.isnan(meaning[0]) and wrong == [True]


@pytest.mark.parametrize(
    "text",
    ["", "  ", "N/A", "#N/A", "null", "-", "缺失", "0000-00-00", "9999-12-31", "31.12.9999", None, "(blank)", "<NA>",
     "TBD", "暂无", "нет данных", "Sin dato", "n.v.t."],
)  # fmt: skip
def test_empty_cells_are_missing_and_not_wrong(text):
    for kind in ("numbers", "dates", "flags"):
        meaning, wrong = read(kind, text)
        assert pd.isna(meaning[0]) and wrong == [False]


def test_a_decimal_comma_is_one_when_told():
    assert read("numbers", "1.234,50", "12,5%", decimal=",")[0] == [1234.5, 12.5]
    assert cells.decimal_marks(["1.234,50", "12,5"]) == cells.Marks(comma="1.234,50")
    assert cells.decimal_marks(["1,234", "12,500", "7"]) == cells.Marks(undecided="1,234")
    assert cells.decimal_marks(["1,234,567", "0.5"]) == cells.Marks(point="1,234,567")


@pytest.mark.parametrize(("text", "decimal"), [("0.132", ","), ("0,132", "."), ("-0.5000", ","), ("000,132", ".")])
def test_a_nought_begins_no_thousands(text, decimal):
    meaning, wrong = read("numbers", text, decimal=decimal)
    assert math.isnan(meaning[0]) and wrong == [True]


def test_days_that_programs_write_for_none_are_gaps_where_they_lie_far_from_all_others():
    loans = ["2015-03-01", "2016-04-01"] * 10
    for some, gone in (
        (["1900-01-01"], 1), (["2099-12-31"] * 80, 80), (["1900-01-01", "2099-12-31"], 2), (["1985-05-05"] * 3, 0),
        (["1970-01-01", "1971-02-03"], 0),
    ):  # fmt: skip
        column = pd.Series([*loans, *some])
        assert dates.read(column).meaning.isna().sum() == gone, some
        assert sum(dates.placeholders(column).values()) == gone
        assert not dates.read(column).wrong.any() and (~dates.there(column)).sum() == gone
    # Where all days are such, nothing says which is one.
    assert not dates.placeholders(pd.Series(["1900-01-01", "2099-12-31"]))


def test_percent_signs_and_units_are_counted():
    assert cells.numbers(pd.Series(["1%", "2%", "3"])).marks == {"percent": 2}
    assert cells.numbers(pd.Series(["3 years", "2年"])).marks == {"years": 1, "年": 1}


@given(st.lists(st.floats(-1e9, 1e9).map(lambda value: round(value, 2)), min_size=1))
def test_numbers_survive_thousands_separators(values):
    assert read("numbers", *(f"{value:,.2f}" for value in values))[0] == pytest.approx(values)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2015-03-01", "2015-03-01"),
        ("2015/3/1", "2015-03-01"),
        ("2015年3月1日", "2015-03-01"),
        ("2015年3月", "2015-03-01"),
        ("20150301", "2015-03-01"),
        ("201503", "2015-03-01"),
        ("1 Mar 2015", "2015-03-01"),
        ("March 5, 2015", "2015-03-05"),
        ("Mar-15", "2015-03-01"),
        ("5-Mar-15", "2015-03-05"),
        ("2015Q2", "2015-04-01"),
        ("2015-03-01 12:33:00", "2015-03-01"),
        ("2015-03-01T12:33:00Z", "2015-03-01"),
        ("43525", "2019-03-01"),
        ("31/12/2015", "2015-12-31"),
        ("12/31/2015", "2015-12-31"),
        ("03.04.2015", "2015-04-03"),
        ("106/07/25", "2017-07-25"),
        ("民國106年7月25日", "2017-07-25"),
    ],
)
def test_dates_as_people_write_them(text, day):
    meaning, wrong = read("dates", text)
    assert meaning == [pd.Timestamp(day)] and wrong == [False]


def test_the_other_cells_tell_whether_the_day_comes_first():
    assert read("dates", "03/04/2015", "25/04/2015")[0][0] == pd.Timestamp("2015-04-03")
    assert read("dates", "03/04/2015", "04/25/2015")[0][0] == pd.Timestamp("2015-03-04")
    assert read("dates", "03/04/2015", day_first=True)[0] == [pd.Timestamp("2015-04-03")]
    assert dates.read(pd.Series(["03/04/2015"])).marks == {"undecided": 1}


@pytest.mark.parametrize("text", ["2015-02-31", "soon", "99/99/2015", "13"])
def test_what_is_no_date_is_said_to_be_none(text):
    meaning, wrong = read("dates", text)
    assert pd.isna(meaning[0]) and wrong == [True]


def test_yes_and_no_in_several_languages_and_kinds():
    assert read("flags", "Yes", "n", "是", "否", "TRUE", 0, 1.0)[0] == [1, 0, 1, 0, 1, 0, 1]
    assert read("flags", True, False)[0] == [1, 0]
    assert read("flags", "违约", "正常", yes=["违约"], no=["正常"])[0] == [1, 0]
    assert read("flags", "maybe", "yes")[1] == [True, False]


def test_answers_in_words_become_numbers():
    meaning, wrong = read("measures", "满意", "非常不满意", None, "一般")
    assert meaning[:2] == [4, 1] and math.isnan(meaning[2]) and meaning[3] == 3 and not any(wrong)
    assert read("measures", "high", "low")[0] == [4, 2]
    assert read("measures", "yes", "no")[0] == [1, 0]
