import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.stats.samples import by_lot, candidates, number_treated, places_by_lot, sample_for


@pytest.fixture
def cohort():
    return pd.DataFrame(
        {
            "calls": [1.0, np.nan, 3.0, 4.0],
            "default": [1, 0, 1, 0],
            "open_at_landmark": [1, 1, 0, 1],
            "default_after_landmark": [0, 0, 0, 1],
        }
    )


def test_a_factor_measured_up_to_the_landmark_takes_the_loans_open_then_and_their_later_default(cohort):
    found = candidates(cohort, "calls", ["calls"])
    assert found.index.tolist() == [0, 1, 3] and found["default"].tolist() == [0, 0, 1]
    # One that is known at origination takes all of them, as they are.
    assert candidates(cohort, "calls", []) is cohort
    assert sample_for(cohort, "calls", ["calls"]).index.tolist() == [0, 3]
    assert sample_for(cohort, "calls", []).index.tolist() == [0, 2, 3]
    with pytest.raises(StudyError, match="no column 'visits'"):
        candidates(cohort, "visits", [])
    with pytest.raises(StudyError, match="no loan"):
        sample_for(cohort.assign(calls=np.nan), "calls", [])


def test_of_no_more_loans_than_asked_for_all_stay():
    loans = pd.DataFrame({"loan": range(5)})
    assert by_lot(loans, 5, 1) is loans
    assert places_by_lot(5, 5, 1).tolist() == places_by_lot(5, 6, 1).tolist() == [0, 1, 2, 3, 4]


def test_loans_are_drawn_once_in_their_order_and_each_as_often_as_any_other():
    loans = pd.DataFrame({"loan": range(20)})
    times = np.zeros(20)
    for seed in range(2_000):
        drawn = by_lot(loans, 5, seed)["loan"].to_numpy()
        assert len(drawn) == 5 and (np.diff(drawn) > 0).all()
        assert (drawn == places_by_lot(20, 5, seed)).all()
        times[drawn] += 1
    # Each is drawn a quarter of the time; chi-squared of 19 less what drawing without replacement takes off.
    assert ((times - 500) ** 2 / 375).sum() < 45


def test_the_treated_are_counted_where_the_data_say_who_they_are():
    assert number_treated(pd.DataFrame({"treated": [1, 0, 1]})) == 2
    assert number_treated(pd.DataFrame({"treated": [np.nan, np.nan]})) is None
    assert number_treated(pd.DataFrame({"treated": [np.nan, 1]})) == 1
