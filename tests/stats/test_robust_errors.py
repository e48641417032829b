import itertools

import numpy as np
import pandas as pd
import pyfixest
import pytest
import statsmodels.api as sm

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import codes
from pipeline.stats.regression import linear_probability
from pipeline.stats.robust_errors import (
    clustered,
    heteroskedastic,
    jackknife,
    leave_one_out,
    outside,
    partial_out,
    two_way,
    wild_bootstrap,
)

LOANS, BANKS, MONTHS = 400, 9, 7


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(8)
    bank, month = rng.integers(0, BANKS, LOANS), rng.integers(0, MONTHS, LOANS)
    habit, season = rng.normal(size=BANKS), rng.normal(size=MONTHS)
    crm = rng.normal(size=LOANS) + habit[bank]
    risk = 0.3 + 0.05 * crm + 0.1 * rng.normal(size=BANKS)[bank] + 0.1 * season[month]
    default = (rng.random(LOANS) < np.clip(risk, 0, 1)).astype(int)
    frame = pd.DataFrame({"crm": crm, "size": 9 + rng.normal(size=LOANS), "bank": bank, "month": month})
    frame["kind"] = pd.Categorical(np.where(bank == 3, "only here", rng.choice(["car", "home"], LOANS)))
    return frame.assign(default=default, weight=np.where(default == 1, 2.0, 7.0))


@pytest.fixture(scope="module")
def design(loans):
    return design_matrix(loans, ["crm", "size", "kind"]).matrix


@pytest.fixture(scope="module")
def fit(loans, design):
    return partial_out(loans["default"], design, "crm")


@pytest.mark.parametrize("weighted", [False, True])
def test_clustered_is_the_headline_and_robust_that_of_statsmodels(loans, design, weighted):
    weights = loans["weight"] if weighted else None
    fit = partial_out(loans["default"], design, "crm", weights)
    headline = linear_probability(loans["default"], design, "crm", loans["bank"], 0.95, weights)
    assert clustered(fit, loans["bank"].to_numpy(), 0.95) == pytest.approx(headline, rel=1e-9)
    theirs = sm.WLS(loans["default"], design, weights=loans["weight"] if weighted else 1.0).fit(cov_type="HC1")
    found = heteroskedastic(fit, 0.95)
    assert found.std_error == pytest.approx(theirs.bse["crm"], rel=1e-9)
    assert found.p_value == pytest.approx(theirs.pvalues["crm"], rel=1e-7)


def test_students_t_widens_the_interval(loans, fit):
    normal, student = (clustered(fit, loans["bank"].to_numpy(), 0.95, student=way) for way in (False, True))
    assert student.std_error == normal.std_error
    # The quantiles of t with eight degrees of freedom and of the normal distribution.
    assert (student.ci_high - student.ci_low) / (normal.ci_high - normal.ci_low) == pytest.approx(2.306004 / 1.959964)


def test_two_way_is_that_of_pyfixest(loans, design, fit):
    frame = (
        design.drop(columns="intercept")
        .set_axis(["crm", "size", "home", "here"], axis=1)
        .join(loans[["default", "bank", "month"]])
    )
    # Each of the three variances has the correction of its own number of clusters, as in statsmodels and sandwich.
    own = pyfixest.ssc(G_df="conventional")
    theirs = pyfixest.feols("default ~ crm + size + home + here", frame, vcov={"CRV1": "bank + month"}, ssc=own)
    found = two_way(fit, loans["bank"].to_numpy(), loans["month"].to_numpy(), 0.95)
    assert found.std_error == pytest.approx(theirs.se()["crm"], rel=1e-8)
    assert found.p_value == pytest.approx(theirs.pvalue()["crm"], rel=1e-6)


def test_two_ways_without_a_variance_are_a_sentence(fit):
    # Cells that agree inside and cancel across: rows of a Latin square, scores in the pattern + - / - +.
    first, second = np.arange(LOANS) % 2, (np.arange(LOANS) // 2) % 2
    score = np.where(first == second, 1.0, -1.0)
    lonely = fit._replace(factor=np.ones(LOANS), rest=score)
    with pytest.raises(StudyError, match="below zero"):
        two_way(lonely, first, second, 0.95)


def refit(loans, design, default):
    """Clustered t-statistic by statsmodels, without its corrections, which cancel."""
    found = sm.OLS(default, design).fit(
        cov_type="cluster", cov_kwds={"groups": loans["bank"].to_numpy(), "use_correction": False}
    )
    return found.params["crm"], found.bse["crm"]


@pytest.fixture(scope="module")
def few(loans):
    """Six banks: sixty-four patterns of signs, so that every draw can be run by hand."""
    rows = loans[loans["bank"] < 7].reset_index(drop=True)
    rows = rows[rows["bank"] != 3].reset_index(drop=True)
    rows = rows.assign(kind=rows["kind"].cat.remove_unused_categories(), bank=codes(rows["bank"]))
    return rows, design_matrix(rows, ["crm", "size", "kind"]).matrix


@pytest.mark.parametrize("hypothesis", [0.0, 0.03])
def test_the_wild_bootstrap_by_hand(few, hypothesis):
    rows, design = few
    y = rows["default"] - hypothesis * design["crm"]
    slope, error = refit(rows, design, y)
    null = sm.OLS(y, design.drop(columns="crm")).fit()
    further = 0
    for signs in itertools.product([1, -1], repeat=6):
        drawn = null.fittedvalues + null.resid * np.array(signs)[rows["bank"]]
        moved, of_drawn = refit(rows, design, drawn)
        further += abs(moved / of_drawn) >= abs(slope / error) * (1 - 1e-9)
    found = wild_bootstrap(partial_out(y, design, "crm"), rows["bank"].to_numpy(), 0.9, kind="enumerated")
    assert found.p_value == further / 64
    assert 2 / 64 <= found.p_value < 1


def test_the_interval_holds_what_is_not_rejected(few):
    rows, design = few
    bank = rows["bank"].to_numpy()
    found = wild_bootstrap(partial_out(rows["default"], design, "crm"), bank, 0.9, draws=999, seed=[1])
    for end, inward in ((found.ci_low, 1), (found.ci_high, -1)):
        for step, holds in ((1e-4, True), (-1e-4, False)):
            y = rows["default"] - (end + inward * step) * design["crm"]
            again = wild_bootstrap(partial_out(y, design, "crm"), bank, 0.9, draws=999, seed=[1])
            assert (again.p_value > 0.1) == holds


def test_the_wild_bootstrap_is_that_of_wildboottest():
    rng = np.random.default_rng(21)
    group = np.repeat(np.arange(10), [5, 9, 12, 20, 8, 30, 15, 11, 25, 6])
    shock = rng.normal(size=10)
    x = 0.7 * rng.normal(size=10)[group] + rng.normal(size=len(group))
    z = rng.normal(size=len(group))
    y = pd.Series(0.25 * x + 0.3 * z + 0.5 * shock[group] + rng.normal(size=len(group)))
    fit = partial_out(y, pd.DataFrame({"intercept": 1.0, "x": x, "z": z}), "x")
    found = wild_bootstrap(fit, group, 0.95, kind="enumerated")
    # wildboottest 0.3.2 runs all 1,024 patterns and gives 522 of them; it leaves out the sample and its mirror image.
    assert found.p_value == 524 / 1024
    assert found.estimate / found.std_error == pytest.approx(0.710188, abs=5e-7)
    # Drawn at random, with a Monte Carlo error of half a point; its figure for Webb's weights is 0.5245.
    assert wild_bootstrap(fit, group, 0.95, kind="rademacher", seed=3).p_value == pytest.approx(524 / 1024, abs=0.02)
    assert wild_bootstrap(fit, group, 0.95, kind="webb", seed=3).p_value == pytest.approx(0.5245, abs=0.02)


@pytest.mark.parametrize(("banks", "kind"), [(11, "webb"), (12, "rademacher")])
def test_below_twelve_clusters_the_draws_have_six_values(banks, kind):
    rng = np.random.default_rng(6)
    bank = np.repeat(np.arange(banks), 8)
    design = pd.DataFrame({"crm": rng.normal(size=len(bank)), "intercept": 1.0})
    fit = partial_out(pd.Series(rng.normal(size=len(bank))), design, "crm")
    found = {way: wild_bootstrap(fit, bank, 0.95, draws=199, kind=way) for way in (None, "webb", "rademacher")}
    assert found[None] == found[kind]
    assert found["webb"].p_value != found["rademacher"].p_value


def test_in_how_many_blocks_draws_are_made_plays_no_part(few, monkeypatch):
    rows, design = few
    fit, bank = partial_out(rows["default"], design, "crm"), rows["bank"].to_numpy()
    whole = wild_bootstrap(fit, bank, 0.9, draws=199)
    monkeypatch.setattr("pipeline.stats.robust_errors.AT_ONCE", 100)
    assert wild_bootstrap(fit, bank, 0.9, draws=199) == pytest.approx(whole)


@pytest.mark.long
def test_few_clusters_are_rejected_too_often_but_not_by_the_bootstrap():
    alarms = {"clustered": 0, "wild": 0}
    group = np.repeat(np.arange(8), [4, 6, 8, 10, 12, 14, 30, 60])
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=8)[group] + rng.normal(size=len(group)) / 2
        y = pd.Series(rng.normal(size=8)[group] + rng.normal(size=len(group)))
        fit = partial_out(y, pd.DataFrame({"intercept": 1.0, "x": x}), "x")
        alarms["clustered"] += clustered(fit, group, 0.95).p_value < 0.05
        alarms["wild"] += wild_bootstrap(fit, group, 0.95, draws=199, seed=seed).p_value <= 0.05
    # Five percent of 200 worlds is ten, with a Monte Carlo error of three.
    assert alarms["clustered"] > 30
    assert alarms["wild"] < 22


def test_leaving_out_clusters_needs_no_new_regression(loans, design, fit):
    found = leave_one_out(fit, loans["bank"].to_numpy())
    for bank in range(BANKS):
        rest = loans["bank"] != bank
        # Bank 3 takes the category that only it has with it.
        columns = [name for name in design if design.loc[rest, name].std() > 0 or name == "intercept"]
        again = sm.OLS(loans.loc[rest, "default"], design.loc[rest, columns]).fit()
        assert found[bank] == pytest.approx(again.params["crm"], rel=1e-8)
    by_hand = np.sqrt((BANKS - 1) / BANKS * ((found - fit.slope) ** 2).sum())
    assert jackknife(fit, found, 0.95).std_error == pytest.approx(by_hand)


def test_a_factor_of_one_cluster_has_no_jackknife(loans):
    of_one = loans.assign(crm=np.where(loans["bank"] == 2, loans["crm"], 0.0))
    design = design_matrix(of_one, ["crm", "size"]).matrix
    fit = partial_out(loans["default"], design, "crm")
    found = leave_one_out(fit, loans["bank"].to_numpy())
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]
    with pytest.raises(StudyError, match="nothing of the factor is left"):
        jackknife(fit, found, 0.95)


@pytest.mark.parametrize("companions", [0, 1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_a_factor_of_one_cluster_is_found_whatever_basis_its_null_space_has(seed, companions):
    # An eigenvector is determined but for its sign, and several of the same value but for a rotation.
    rng = np.random.default_rng(seed)
    bank = np.repeat(np.arange(6), 20)
    here = np.where((bank == 2)[:, None], rng.normal(size=(len(bank), 1 + companions)), 0.0)
    design = pd.DataFrame(here, columns=["crm", "a", "b"][: 1 + companions]).assign(intercept=1.0)
    found = leave_one_out(partial_out(pd.Series(rng.normal(size=len(bank))), design, "crm"), bank)
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]


@pytest.mark.parametrize("weighted", [False, True])
def test_fitted_values_outside_nought_and_one_are_counted(loans, design, weighted):
    steep = loans["default"].where(loans["crm"] > 0, 0)
    weights = loans["weight"] if weighted else None
    theirs = sm.WLS(steep, design, weights=loans["weight"] if weighted else 1.0).fit().fittedvalues
    expected = ((theirs < 0) | (theirs > 1)).mean()
    assert outside(steep, partial_out(steep, design, "crm", weights), weights) == expected > 0


def test_a_factor_that_is_not_in_the_design_is_a_sentence(loans, design):
    with pytest.raises(StudyError, match="the controls determine it"):
        partial_out(loans["default"], design.drop(columns="crm"), "crm")


def test_a_factor_that_the_controls_determine_is_a_sentence(loans, design):
    for factor in (0.0, 3.0, 2 * design["size"] - 1):
        with pytest.raises(StudyError, match="the controls determine it"):
            partial_out(loans["default"], design.assign(crm=factor), "crm")
