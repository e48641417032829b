from pathlib import Path

import numpy as np
import pytest

from pipeline.analyses.recovery.expected import EXPECTED
from pipeline.analyses.recovery.rows import TABLES
from pipeline.core import params, results
from pipeline.stats import estimators, estimators_instrumented
from pipeline.stats.inference import Effect
from pipeline.stats.instruments import Instrumented
from pipeline.studies.reference.generator import simulate
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.study import from_frames, prepare

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def prepared():
    chosen = params.load(PARAMS)
    tables = simulate(Settings(scale=0.06), 2, TABLES, dirt=False)
    return prepare(from_frames(tables), chosen.study("reference"), chosen.checks)


@pytest.fixture(scope="module")
def rows(prepared):
    return estimators.estimate_all(prepared.cohort, prepared.panels["loan_months"], 0.95, permutations=49, seed=1)


def test_rows_fit_the_results_table(rows):
    table = results.table("reference", "effects", rows)
    assert len(table) == len(rows)
    assert (table["specification"] != "").all()
    done = table[table["estimate"].notna()]
    assert len(done) > 30
    with_interval = done[done["ci_low"].notna()]
    assert (with_interval["ci_low"] <= with_interval["estimate"]).all()
    assert (with_interval["estimate"] <= with_interval["ci_high"]).all()


def test_every_method_that_is_judged_is_estimated(rows):
    named = {(row["estimator"], row["outcome"], row["specification"]) for row in rows}
    assert {(one.estimator, one.outcome, one.specification) for one in EXPECTED} <= named


def test_the_event_study_goes_from_five_quarters_before_to_seven_after(rows):
    named = [row["specification"] for row in rows if row["estimator"] == "event_study"]
    quarters = [int(name.split()[1]) for name in named if name.startswith("quarter")]
    # The quarter before adoption is what the others are held against.
    assert quarters == [*range(-5, -1), *range(8)]
    assert "quarter -5 or earlier" in named and "quarter +7 or later" in named


def one(rows, estimator, specification, outcome="default", estimand=None):
    found = [
        row
        for row in rows
        if (row["estimator"], row["specification"], row["outcome"]) == (estimator, specification, outcome)
        and estimand in (None, row.get("estimand"))
    ]
    assert len(found) == 1
    return found[0]


def test_raw_difference_is_that_of_means(prepared, rows):
    means = 100 * prepared.cohort.groupby("treated")["default"].mean()
    row = one(rows, "raw_difference", "all_loans")
    assert row["estimate"] == pytest.approx(means[1] - means[0])
    assert row["n_treated"] == prepared.cohort["treated"].sum()


def test_lottery_is_estimated_among_those_offered(prepared, rows):
    offered = prepared.cohort["programme_lot"].notna()
    assert one(rows, "lottery_instrument", "two_stage_least_squares")["n"] == offered.sum()
    first = one(rows, "lottery_instrument", "first_stage", estimand="first_stage")
    assert 0.4 < first["estimate"] < 0.6
    assert one(rows, "lottery_instrument", "first_stage", estimand="first_stage_f")["estimate"] > 100


def test_errors_of_pairs_allow_for_institutions(prepared, rows):
    loose, strict = (one(rows, name, "nearest_neighbour") for name in estimators.MATCHING)
    assert loose["n"] == 2 * loose["n_treated"]
    for found in (loose, strict):
        assert "by institution" in found["note"]
        assert found["n_clusters"] <= prepared.cohort["institution_id"].nunique()
    # Pairs within institutions have no error of their own beside that of institutions.
    assert strict["note"].endswith("clustered by institution")
    assert strict["n_treated"] < loose["n_treated"] <= prepared.cohort["treated"].sum()


def test_the_order_of_rows_plays_no_part(prepared, rows):
    cohort, months = (
        frame.sample(frac=1, random_state=3) for frame in (prepared.cohort, prepared.panels["loan_months"])
    )
    again = estimators.estimate_all(cohort, months, 0.95, permutations=49, seed=1)
    first, second = (results.table("reference", "effects", found) for found in (rows, again))
    for name in ("estimate", "std_error", "p_value"):
        assert np.allclose(first[name].astype(float), second[name].astype(float), rtol=1e-5, equal_nan=True)


def test_what_cannot_be_estimated_says_why_and_the_rest_goes_on(prepared, rows):
    """Without lots the lottery falls silent; what is left out is left out; nothing else changes."""
    cohort = prepared.cohort.assign(programme_lot=prepared.cohort["programme_lot"] * 0)
    left_out = (("event_study", "default"), ("lagged_contacts", "default"), ("lagged_contacts", "delinquent"))
    fewer = estimators.estimate_all(cohort, prepared.panels["loan_months"], 0.95, permutations=0, without=left_out)
    row = one(fewer, "lottery_instrument", "not_estimated")
    assert "instrument" in row["note"]
    assert "estimate" not in row
    missing = {row["estimator"] for row in rows} - {row["estimator"] for row in fewer}
    assert missing == {"event_study", "lagged_contacts", "lagged_contacts_given_enrolment", "permuted_adoption"}
    assert one(fewer, "linear_probability", "controls") == one(rows, "linear_probability", "controls")


def test_an_interval_without_an_end_is_not_given():
    effect = Effect(-0.1, 0.05, -0.2, 0.0, 0.04)
    for ends, given in (((-0.3, 0.1), True), ((-np.inf, 0.1), False), ((-0.3, np.inf), False)):
        found = Instrumented(effect, effect, 9.0, effect, ends, 0.06)
        row = list(estimators_instrumented.instrumented("lot", "calls", "late", "late", found, {}))[1]
        assert (row["estimate"], row["p_value"]) == (-10, 0.06)
        expected = (-30, 10) if given else (np.nan, np.nan)
        assert [row.get("ci_low", np.nan), row.get("ci_high", np.nan)] == pytest.approx(expected, nan_ok=True)
        assert ("no end" in row["note"]) != given
