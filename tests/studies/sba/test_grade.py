import numpy as np
import pandas as pd
import pytest

from pipeline.studies.sba import grade
from pipeline.studies.sba.grade import credit_grade, past_default_ratio


def loans(rows):
    frame = pd.DataFrame(rows, columns=["industry", "approved", "charged_off"])
    return frame.assign(
        approved=pd.to_datetime(frame["approved"]),
        charged_off=pd.to_datetime(frame["charged_off"]),
        weight=1.0,
        new_firm=0.0,
        employees=20.0,
    )


HISTORY = [("retail", "1994-05-01", "1995-03-01")] * 3 + [("retail", "1994-05-01", None)]
HISTORY += [("health", "1994-05-01", None)] * 4
NOW = [("retail", "1996-01-02", None), ("health", "1996-12-30", "1997-01-05"), ("not stated", "1996-06-01", None)]


def test_the_past_rate_is_that_of_loans_and_charge_offs_of_earlier_years(monkeypatch):
    monkeypatch.setattr(grade, "SMOOTHING", 0)
    # Three of four retail loans had failed, none of four health loans: 3/8 on average.
    assert past_default_ratio(loans(HISTORY + NOW)).tolist()[-3:] == pytest.approx([2.0, 0.0, 1.0])


def test_few_loans_are_drawn_to_the_average():
    retail, health, _ = past_default_ratio(loans(HISTORY + NOW)).tolist()[-3:]
    weight = grade.SMOOTHING
    assert retail == pytest.approx((3 + weight * 3 / 8) / (4 + weight) / (3 / 8))
    assert 0.9 < health < 1 < retail < 1.1


def test_nothing_of_the_year_itself_or_later_enters():
    table = loans(HISTORY + NOW)
    changed = table.copy()
    changed.loc[3:7, "charged_off"] = pd.Timestamp("1996-01-01")
    changed.loc[8:, "charged_off"] = pd.Timestamp("1996-12-31")
    pd.testing.assert_series_equal(past_default_ratio(changed), past_default_ratio(table))
    changed.loc[4:7, "charged_off"] = pd.Timestamp("1995-12-31")
    assert past_default_ratio(changed).iloc[-3] < past_default_ratio(table).iloc[-3]


def test_before_anything_failed_all_industries_are_alike():
    assert set(past_default_ratio(loans(HISTORY))) == {1.0}


def test_a_point_for_each_fact():
    table = loans([*HISTORY, *[NOW[1]] * 4, *[NOW[0]] * 2])
    place = np.arange(len(HISTORY), len(table))
    table.loc[place, "new_firm"] = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    table.loc[place, "employees"] = [5.0, 5.0, 4.0, 1.0, 1.0, 5.0]
    found = credit_grade(table)
    assert found.iloc[place].tolist() == ["A", "B", "B", "C", "D", "B"]
    assert found.cat.ordered
    assert credit_grade(table.assign(new_firm=np.nan, employees=np.nan)).iloc[place[0]] == "A"
