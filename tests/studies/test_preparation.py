import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.studies.preparation import SampleFlow, meet


@pytest.fixture
def flow():
    frame = pd.DataFrame({"loan": list("abcde")}, index=[2, 4, 6, 8, 9])
    return SampleFlow(frame, pd.Series([1, 0, 1, 0, 1], frame.index))


def test_every_row_that_leaves_is_counted_once(flow):
    gone = flow.leave("first", pd.Series([True, True, False, False, False], [2, 4, 6, 8, 9]))
    assert gone["loan"].tolist() == ["a", "b"]
    flow.leave("second", pd.Series([True, False, True, False, False], [2, 4, 6, 8, 9]))
    flow.leave("nobody", pd.Series(False, [2, 4, 6, 8, 9]))
    assert flow.frame["loan"].tolist() == ["d", "e"]
    found = flow.table()
    assert found["step"].tolist() == [0, 1, 2, 3]
    assert found["reason"].tolist() == ["read", "first", "second", "nobody"]
    assert found["loans"].tolist() == [0, 2, 1, 0]
    assert found["defaults"].tolist() == [0, 1, 1, 0]
    assert found["remaining"].tolist() == [5, 3, 2, 2]
    assert found["remaining_defaults"].tolist() == [3, 2, 1, 1]


def test_a_row_that_leaves_unseen_is_noticed(flow):
    flow.frame = flow.frame.iloc[1:]
    flow.leave("first", pd.Series(False, [2, 4, 6, 8, 9]))
    with pytest.raises(AssertionError, match="does not add up"):
        flow.table()


def test_an_expected_count_is_met_or_named():
    meet(5, 5, "ended")
    meet(None, 5, "ended")
    with pytest.raises(StudyError, match=r"finds 5 where the study.s params\.yaml expects 0 \(expected\.ended\)"):
        meet(0, 5, "ended")
