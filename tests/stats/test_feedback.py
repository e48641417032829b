import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.stats.feedback import LENDING, cross_lags, panel


def test_events_are_counted_by_the_calendar_per_hundred_loans_still_followed():
    loans = pd.DataFrame(
        {
            "lender": ["a"] * 4 + ["b"] * 2,
            "origination": pd.to_datetime(["2004-01", "2004-02", "2004-04", "2004-07", "2004-01", "2004-04"]),
            "months": [6, 6, 6, 6, 6, 6],
            "default": [4, np.nan, 3, np.nan, np.nan, np.nan],
        }
    )
    found = panel(loans["lender"], loans["origination"], loans["months"], {"default": loans["default"]})
    rows = found.set_index(["lender", "quarter"])
    # Quarter 1: two loans of a from before, one defaults in May; one loan granted. Quarter 2: one loan of three, and
    # one granted; b grants nothing then, so that its quarter has no logarithm.
    assert rows.loc[(0, 1)].to_dict() == {"default": 50.0, LENDING: 0.0}
    assert rows.loc[(0, 2), "default"] == pytest.approx(100 / 3)
    assert rows.loc[(1, 1), "default"] == 0 and (1, 2) not in rows.index


def lenders(slope, seed=1, count=60, quarters=40):
    rng = np.random.default_rng(seed)
    fixed, common = rng.normal(size=count), rng.normal(size=quarters)
    cause, outcome = np.zeros((count, quarters)), np.zeros((count, quarters))
    for at in range(1, quarters):
        cause[:, at] = fixed + common[at] + rng.normal(size=count)
        outcome[:, at] = 2 * fixed - common[at] + slope * cause[:, at - 1] + rng.normal(size=count)
    lender, quarter = np.divmod(np.arange(count * quarters), quarters)
    frame = pd.DataFrame({"lender": lender, "quarter": quarter, "cause": cause.ravel(), "outcome": outcome.ravel()})
    return frame[frame["quarter"] > 0]


def test_a_cause_is_found_a_quarter_later_and_nothing_the_other_way():
    found = cross_lags(lenders(-0.5), 0.95)
    assert found["cause", "outcome"].ci_low < -0.5 < found["cause", "outcome"].ci_high
    assert found["cause", "outcome"].ci_high < -0.4
    assert abs(found["outcome", "cause"].estimate) < 0.06
    none = cross_lags(lenders(0.0, 2), 0.95)["cause", "outcome"]
    assert none.ci_low < 0 < none.ci_high


def test_one_lender_has_none_to_be_set_against():
    with pytest.raises(StudyError, match="too few lenders"):
        cross_lags(lenders(0.0, 3, count=1), 0.95)
