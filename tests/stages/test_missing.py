"""The stage missing on made-up loans whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.missing import effects
from pipeline.core.params import load
from tests.sample import PARAMS
from tests.stats.test_missing_data import over_time


def loans(seed=3):
    """Return loans with points that differ by month of origination, and that month; and the study that reads them."""
    frame, points, bank = over_time(seed)
    months = frame.filter(like="month[").to_numpy()
    month = np.where(months.any(axis=1), 1 + months.argmax(axis=1), 0)
    cohort = pd.DataFrame(
        {
            "loan_id": [f"{place:05d}" for place in range(len(frame))],
            "institution_id": bank.astype(str),
            "origination_month": [f"2004-{1 + one:02d}" for one in month],
            "default": frame["default"].astype(int),
            "treated": 0,
            "points": points,
        }
    )
    study = load(PARAMS).study("reference")
    controls = study.controls.model_copy(update={"loan": [], "borrower": [], "market": []})
    return cohort, study.model_copy(update={"controls": controls, "factors": ["points"], "landmark": None})


def test_gaps_are_filled_given_everything_that_the_analysis_uses():
    cohort, study = loans()
    about = effects._about(cohort, [], study)
    assert "default" in about
    assert sum(name.startswith("origination_month[") for name in about) == 7
    weighted = effects._about(cohort.assign(weight=np.arange(len(cohort)) + 1.0), [], study)
    assert set(weighted) - set(about) == {"weight"}


def test_multiple_imputation_finds_an_effect_whose_factor_and_gaps_follow_the_calendar():
    found, choices = [], load(PARAMS)
    for seed in range(3):
        cohort, study = loans(seed)
        rows = effects.of_factors(cohort, ["points"], study, choices, f"{choices.seed} reference", arms=False)
        table = pd.DataFrame(list(rows)).query("estimand == 'risk_difference'").set_index("estimator")
        found.append(table.loc["multiple_imputation", ["estimate", "std_error"]].to_numpy(dtype=float))
    estimate, error = np.mean(found, axis=0)
    # The truth is five points less default a point; without the months it would be about three.
    assert estimate == pytest.approx(-5, abs=3 * error / 3**0.5)
    assert error < 1
