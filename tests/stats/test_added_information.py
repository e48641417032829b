import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.stats.added_information import added
from pipeline.stats.prediction import Sample
from pipeline.stats.splits import by_time


def loans(slope, seed, number=4000):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"known": rng.normal(size=number), "further": rng.normal(size=number)})
    frame["date"] = pd.Timestamp("2001-01-01") + pd.to_timedelta(np.arange(number) // 40, unit="D")
    risk = 1 / (1 + np.exp(1.5 - frame["known"] - slope * frame["further"]))
    return frame, (rng.random(number) < risk).astype(float)


def found(slope, seed=1):
    frame, default = loans(slope, seed)
    split = by_time(frame["date"], None, 0.7)
    return added(Sample(frame, default, None), split, ["known"], ["further"], np.arange(len(frame)) // 10, 0.95)


def test_a_column_that_tells_of_default_adds_and_one_that_does_not_adds_nothing():
    tells, silent = found(1.0), found(0.0)
    assert tells.gain.ci_low > 0.05
    assert silent.gain.ci_low < 0 < silent.gain.ci_high or abs(silent.gain.estimate) < 0.002
    for one in (tells, silent):
        assert one.gain.estimate == pytest.approx(one.given.estimate - one.without.estimate)


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    """What is judged is what came later, by a model that has not seen it."""
    frame, default = loans(1.0, 2, 400)
    split = by_time(frame["date"], None, 0.7)
    one = added(Sample(frame, default, None), split, ["known"], ["further"], np.arange(400), 0.95)
    later, bad = frame["known"].to_numpy()[split.test], default[split.test] == 1
    # One column: the order of the model is the order of the column.
    right = (later[bad][:, None] > later[~bad][None, :]).mean()
    assert one.without.estimate == pytest.approx(right, abs=1e-9)


def test_loans_of_one_kind_cannot_be_judged():
    frame, default = loans(1.0, 3, 400)
    split = by_time(frame["date"], None, 0.7)
    default[split.test] = 0
    with pytest.raises(StudyError, match="fewer than two"):
        added(Sample(frame, default, None), split, ["known"], ["further"], np.arange(400), 0.95)
