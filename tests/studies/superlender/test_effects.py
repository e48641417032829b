import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pipeline.core import results
from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.present.words import Words
from pipeline.studies.superlender import study
from pipeline.studies.superlender.effects import LATE, NUMBER, bounds, effects, survivors
from tests.studies.superlender.sample import PARAMS, protocol, raw_tables


@pytest.fixture(scope="module")
def prepared():
    return study.prepare(raw_tables(500, 5), protocol(), Checks(quarantine_share=0.01, balance=0.1))


@pytest.fixture(scope="module")
def rows(prepared):
    found = effects(prepared.cohort, prepared.panels, protocol(), load(PARAMS))
    return results.Results(results.table("superlender", "effects", found))


def of_several(prepared):
    earlier = prepared.panels["earlier_loans"]
    return earlier[earlier.groupby("client_id")["loan_number"].transform("size") > 1]


@pytest.mark.parametrize("outcome", ["first_repaid_late", "closed_late"])
def test_the_slope_within_clients_is_that_of_a_dummy_for_each_client(prepared, rows, outcome):
    loans = of_several(prepared)
    codes = pd.factorize(loans["client_id"])[0]
    fit = smf.ols(f"{outcome} ~ loan_number + C(client_id)", loans).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": True}
    )
    row = rows.one(estimator="punctuality", specification="within_clients", factor="loan_number", outcome=outcome)
    assert row.estimate == pytest.approx(100 * fit.params["loan_number"])
    assert row.std_error == pytest.approx(100 * fit.bse["loan_number"], rel=1e-6)
    assert (row.n, row.n_clusters) == (len(loans), len(set(codes)))


def test_the_pooled_slope_takes_all_loans_and_clusters_by_client(prepared, rows):
    loans = prepared.panels["earlier_loans"]
    fit = smf.ols("first_repaid_late ~ loan_number", loans).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(loans["client_id"])[0]}
    )
    row = rows.one(estimator="punctuality", specification="pooled", factor="loan_number", outcome="first_repaid_late")
    assert row.estimate == pytest.approx(100 * fit.params["loan_number"])
    assert (row.std_error, row.n) == (pytest.approx(100 * fit.bse["loan_number"], rel=1e-6), len(loans))


def test_without_the_last_loan_each_client_has_one_fewer(prepared, rows):
    loans = of_several(prepared)
    size = loans.groupby("client_id")["loan_number"].transform("size")
    kept = loans[(loans["loan_number"] < loans.groupby("client_id")["loan_number"].transform("max")) & (size > 2)]
    row = rows.one(
        estimator="punctuality",
        specification="within_clients_without_last",
        factor="loan_number",
        outcome="first_repaid_late",
    )
    assert row.n == len(kept)


def test_lateness_that_was_forgiven_is_counted_by_loan_and_by_client(prepared, rows):
    earlier = prepared.panels["earlier_loans"]
    late = set(earlier.loc[earlier["closed_late"] == 1, "client_id"])
    of_loans, of_clients = (rows.one(estimator="forgiven", specification=name) for name in ("earlier_loans", "clients"))
    assert of_loans.estimate == pytest.approx(100 * sum(earlier["closed_late"]) / len(earlier), abs=1e-5)
    assert of_clients.estimate == pytest.approx(100 * len(late) / earlier["client_id"].nunique(), abs=1e-5)
    assert 0 < of_loans.estimate < of_clients.estimate < 100


def test_bounds_follow_from_who_is_lost_at_each_step():
    # Half of ten are lost at the first loan, a quarter of eight at the second; a tenth of the long ones default.
    number = np.repeat([1, 2, 3], [10, 8, 10])
    default = np.concatenate([np.arange(10) < 5, np.arange(8) < 2, np.arange(10) < 1]).astype(float)
    found = bounds(default, number, 3)
    left = 1 - 0.5 * 0.75
    assert found["share_left"] == pytest.approx(left)
    assert found["lower_bound"] == pytest.approx((1 - left) * 0.1 - 0.5)
    assert found["upper_bound"] == pytest.approx((1 - left) * 0.1 + left - 0.5)
    # At the break-even rate, those who stayed and those who left together default as at the start.
    assert (1 - left) * 0.1 + left * found["break_even"] == pytest.approx(0.5)


def test_intervals_of_the_bounds_cover_their_range_and_repeat(prepared):
    first, again = (pd.DataFrame(survivors(prepared.cohort, 4, 0.95, seed)) for seed in (3, 3))
    pd.testing.assert_frame_equal(first, again)
    by = first.set_index("estimand")
    assert by.loc["lower_bound", "ci_low"] <= by.loc["lower_bound", "estimate"]
    assert by.loc["upper_bound", "ci_high"] >= by.loc["upper_bound", "estimate"]
    assert (by.loc["lower_bound", ["ci_low", "ci_high"]] == by.loc["upper_bound", ["ci_low", "ci_high"]]).all()
    even = by.loc["break_even"]
    assert even["ci_low"] < even["estimate"] < even["ci_high"]


def test_length_is_told_given_behaviour_and_given_terms(prepared, rows):
    loans = prepared.cohort.assign(
        **{name: prepared.cohort[name].astype(object) for name in prepared.cohort.select_dtypes("category")}
    )
    controls = "C(credit_grade) + first_loan_days_late + C(age_group) + C(origination_week)"
    for name, more in {"given_behaviour": LATE, "given_terms": "C(term) + np.log(amount) + interest_rate"}.items():
        fit = smf.ols(f"default ~ treated + {controls} + {more}", loans).fit()
        row = rows.one(estimator="length", specification=name, factor="treated")
        assert row.estimate == pytest.approx(100 * fit.params["treated"])


def test_what_is_granted_is_in_the_units_that_are_said(prepared, rows):
    monthly = prepared.cohort[prepared.cohort["term"] == "30"]
    slope = np.polyfit(monthly[NUMBER], monthly["interest_rate"], 1)[0]
    row = rows.one(estimator="lender_rules", specification="alone", outcome="interest_rate")
    assert (row.estimate, row.n, row.unit) == (pytest.approx(slope), len(monthly), "points of interest")
    slope = np.polyfit(prepared.cohort[NUMBER], 100 * np.log(prepared.cohort["amount"]), 1)[0]
    row = rows.one(estimator="lender_rules", specification="alone", outcome="amount_log")
    assert (row.estimate, row.unit) == (pytest.approx(slope), "percent")


def test_late_payments_order_defaults_as_counting_pairs_does(prepared, rows):
    loans = prepared.cohort
    bad, good = (loans.loc[loans["default"] == value, LATE].to_numpy() for value in (1, 0))
    pairs = (bad[:, None] > good).mean() + (bad[:, None] == good).mean() / 2
    assert rows.one(estimator="late_payments").estimate == pytest.approx(pairs)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_label_that_the_rows_need_is_there(rows, language):
    words = Words(language, "superlender")
    for kind, column in (("estimators", "estimator"), ("estimands", "estimand")):
        for name in rows.frame[column].unique():
            assert words.label(kind, name), name
    named = rows.frame[~rows.frame["specification"].isin(["all_left", "cohort"])]
    for name in named["specification"].unique():
        assert words.label("specifications", name), name
