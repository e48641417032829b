import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.runtime.errors import StudyError
from pipeline.stats import month_regression as hazards
from pipeline.stats.month_regression import hazard_logit

ROWS, LENDERS = 6_000, 10


@pytest.fixture(scope="module")
def months():
    rng = np.random.default_rng(2)
    lender = rng.integers(0, LENDERS, ROWS)
    frame = pd.DataFrame(
        {
            "contacts": rng.exponential(1, ROWS),
            "score": rng.normal(size=ROWS) + lender / 9,
            "month": rng.integers(1, 13, ROWS),
        }
    )
    linear = -2.5 - 0.4 * frame["contacts"] + 0.5 * frame["score"] + rng.normal(0, 0.5, LENDERS)[lender]
    return frame.assign(lender=lender, event=(rng.random(ROWS) < 1 / (1 + np.exp(-linear))).astype(int))


COLUMNS = ["contacts", "score", "month"]


@pytest.mark.parametrize("factor", COLUMNS)
def test_hazard_is_that_of_statsmodels_with_indicators(months, factor):
    design = np.column_stack([months[COLUMNS], pd.get_dummies(months["lender"], dtype=float)])
    fit = sm.Logit(months["event"].to_numpy(), design).fit(
        disp=False, tol=1e-12, cov_type="cluster", cov_kwds={"groups": months["lender"].to_numpy()}
    )
    place = COLUMNS.index(factor)
    found = hazard_logit(months["event"], months[COLUMNS], factor, months["lender"], months["lender"], 0.95)
    assert found.estimate == pytest.approx(fit.params[place], rel=1e-7)
    assert found.std_error == pytest.approx(fit.bse[place], rel=1e-6)


def test_a_known_effect_is_found_in_any_order_of_rows(months):
    found, again = (
        hazard_logit(rows["event"], rows[COLUMNS], "contacts", rows["lender"], rows["lender"], 0.95)
        for rows in (months, months.sample(frac=1, random_state=1))
    )
    assert abs(found.estimate + 0.4) < 3 * found.std_error
    assert again == pytest.approx(found, rel=1e-8)


def test_groups_without_events_are_left_out(months):
    more = pd.concat([months, months.head(300).assign(lender=99, event=0)])
    with_them, without = (
        hazard_logit(rows["event"], rows[COLUMNS], "contacts", rows["lender"], rows["lender"], 0.95)
        for rows in (more, months)
    )
    assert with_them == without


def test_no_maximum_and_no_events_are_errors(months):
    separating = months.assign(score=months["event"] * 4.0)
    with pytest.raises(StudyError, match="no maximum"):
        hazard_logit(separating["event"], separating[COLUMNS], "contacts", months["lender"], months["lender"], 0.95)
    with pytest.raises(StudyError, match="no events"):
        hazard_logit(months["event"] * 0, months[COLUMNS], "contacts", months["lender"], months["lender"], 0.95)


def test_starting_from_a_tenth_ends_where_starting_from_nought_does(months, monkeypatch):
    def found():
        return hazard_logit(months["event"], months[COLUMNS], "contacts", months["lender"], months["lender"], 0.95)

    before = found()
    monkeypatch.setattr(hazards, "MANY", 1000)
    assert found() == pytest.approx(before, rel=1e-6)
