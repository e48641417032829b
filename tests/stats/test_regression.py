import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.iv import IV2SLS
from linearmodels.iv.absorbing import AbsorbingLS
from linearmodels.panel import PooledOLS
from scipy.stats import norm

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.regression import linear_probability, logit

LOANS, STATES = 600, 12


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(9)
    state = rng.integers(0, STATES, LOANS)
    frame = pd.DataFrame(
        {
            "treated": rng.integers(0, 2, LOANS),
            "messages": rng.poisson(1.5, LOANS).astype(float),
            "score": rng.normal(size=LOANS) + rng.normal(size=STATES)[state] / 2,
            "month": pd.Categorical(rng.integers(0, 5, LOANS).astype(str)),
            "state": state,
        }
    )
    shock = rng.normal(size=STATES)[state] / 2
    chance = 1 / (1 + np.exp(1.2 - 0.4 * frame["treated"] - 0.2 * frame["messages"] + frame["score"] + shock))
    return frame.assign(default=(rng.random(LOANS) < chance).astype(int))


@pytest.fixture(scope="module")
def design(loans):
    return design_matrix(loans, ["treated", "messages", "score", "month"]).matrix


def effect(method, loans, design, factor, level=0.95):
    return method(loans["default"], design, factor, loans["state"], level)


# linearmodels, too, multiplies by G/(G-1) x (n-1)/(n-k) when debiased: no factor remains.
def test_linear_probability_is_that_of_linearmodels(loans, design):
    fit = IV2SLS(loans["default"], design, None, None).fit(cov_type="clustered", clusters=loans["state"], debiased=True)
    for factor in ("treated", "messages", "month[3]"):
        found = effect(linear_probability, loans, design, factor)
        assert found.estimate == pytest.approx(fit.params[factor], rel=1e-10)
        assert found.std_error == pytest.approx(fit.std_errors[factor], rel=1e-10)


def test_linear_probability_is_that_of_a_pooled_panel(loans, design):
    place = pd.MultiIndex.from_arrays([np.arange(LOANS), np.zeros(LOANS, dtype=int)])
    fit = PooledOLS(loans["default"].set_axis(place), design.set_axis(place)).fit(
        cov_type="clustered", clusters=loans["state"].set_axis(place), debiased=True, group_debias=True
    )
    found = effect(linear_probability, loans, design, "treated")
    assert found.estimate == pytest.approx(fit.params["treated"], rel=1e-10)
    assert found.std_error == pytest.approx(fit.std_errors["treated"], rel=1e-10)


def test_linear_probability_is_that_with_months_absorbed(loans, design):
    fit = AbsorbingLS(loans["default"], design[["treated", "messages", "score"]], absorb=loans[["month"]]).fit(
        cov_type="clustered", clusters=loans["state"], debiased=True
    )
    found = effect(linear_probability, loans, design, "treated")
    assert found.estimate == pytest.approx(fit.params["treated"], rel=1e-8)
    assert found.std_error == pytest.approx(fit.std_errors["treated"], rel=1e-8)


@pytest.mark.parametrize("noise", [1e-3, 1e-6])
def test_linear_probability_of_nearly_collinear_controls(loans, design, noise):
    rng = np.random.default_rng(4)
    near = design.drop(columns="score").assign(
        twin=design["messages"] + noise * rng.normal(size=LOANS), amount=1e6 + loans["score"]
    )
    peer = near.assign(twin=(near["twin"] - near["messages"]) / noise, amount=loans["score"])
    fit = sm.OLS(loans["default"], peer).fit(
        cov_type="cluster", cov_kwds={"groups": loans["state"], "use_correction": True}
    )
    found = effect(linear_probability, loans, near, "treated")
    assert found.estimate == pytest.approx(fit.params["treated"], rel=1e-7)
    assert found.std_error == pytest.approx(fit.bse["treated"], rel=1e-7)


def test_weighted_linear_probability_is_that_of_statsmodels(loans, design):
    weights = loans["messages"] + 0.5
    fit = sm.WLS(loans["default"], design, weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": loans["state"], "use_correction": True}
    )
    found = linear_probability(loans["default"], design, "treated", loans["state"], 0.95, weights)
    assert found.estimate == pytest.approx(fit.params["treated"], rel=1e-10)
    assert found.std_error == pytest.approx(fit.bse["treated"], rel=1e-10)
    assert found.p_value == pytest.approx(fit.pvalues["treated"], rel=1e-9)


def test_the_clustered_error_by_its_formula(loans, design):
    x, y = design.to_numpy(), loans["default"].to_numpy()
    bread = np.linalg.inv(x.T @ x)
    scores = pd.DataFrame(x * (y - x @ bread @ x.T @ y)[:, None]).groupby(loans["state"].to_numpy()).sum()
    correction = STATES / (STATES - 1) * (LOANS - 1) / (LOANS - x.shape[1])
    cov = correction * bread @ (scores.T.to_numpy() @ scores.to_numpy()) @ bread
    place = design.columns.get_loc("messages")
    assert effect(linear_probability, loans, design, "messages").std_error == pytest.approx(cov[place, place] ** 0.5)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_intervals_and_p_values_are_of_the_normal_distribution(loans, design, level):
    found = [effect(linear_probability, loans, design, "treated", level)]
    found.append(effect(logit, loans, design, "treated", level).average_marginal_effect)
    for one in found:
        half = norm.ppf(0.5 + level / 2) * one.std_error
        assert (one.ci_low, one.ci_high) == pytest.approx((one.estimate - half, one.estimate + half))
        assert one.p_value == pytest.approx(2 * norm.sf(abs(one.estimate) / one.std_error))


def test_labels_of_clusters_play_no_part(loans, design):
    found = effect(linear_probability, loans, design, "treated")
    names = loans["state"].map(lambda number: f"state {99 - number}").astype("category")
    other = linear_probability(loans["default"], design, "treated", names, 0.95)
    assert other == pytest.approx(found, rel=1e-10)


@pytest.fixture(scope="module")
def peer(loans, design):
    return sm.Logit(loans["default"].to_numpy(), design.to_numpy()).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": loans["state"].to_numpy()}
    )


@pytest.mark.parametrize("factor", ["treated", "messages", "score", "month[2]"])
def test_marginal_effects_are_those_of_statsmodels(loans, design, peer, factor):
    # dummy=True: 0/1 columns by their difference. The intercept has no marginal effect.
    margins = peer.get_margeff(dummy=True)
    place = design.columns.get_loc(factor) - 1
    found = effect(logit, loans, design, factor).average_marginal_effect
    assert found.estimate == pytest.approx(margins.margeff[place], rel=1e-7)
    assert found.std_error == pytest.approx(margins.margeff_se[place], rel=1e-6)


def test_the_odds_ratio_has_its_interval_on_the_log_scale(loans, design, peer):
    place = design.columns.get_loc("messages")
    found = effect(logit, loans, design, "messages", 0.9).odds_ratio
    assert found.estimate == pytest.approx(np.exp(peer.params[place]))
    assert found.std_error == pytest.approx(peer.bse[place])
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(np.exp(peer.conf_int(0.1)[place])))
    assert found.p_value == pytest.approx(peer.pvalues[place])


@pytest.mark.parametrize(
    ("factor", "coefficient", "marginal"),
    # Spector and Mazzeo (1980) in Greene, Econometric Analysis (5th ed.), table 21.1: 2.826, .095, 2.379. More
    # digits, and the average marginal effects (PSI as a difference), from Stata's logit and margins, as statsmodels
    # keeps them for its own tests.
    [
        ("GPA", 2.82611297, 0.36258085),
        ("TUCE", 0.09515767, 0.01220841),
        ("PSI", 2.37868773, 0.35751515),
    ],
)
def test_a_published_example(factor, coefficient, marginal):
    data = sm.datasets.spector.load_pandas()
    design = data.exog.assign(intercept=1.0)
    found = logit(data.endog, design, factor, pd.Series(range(32)), 0.95)
    assert np.log(found.odds_ratio.estimate) == pytest.approx(coefficient, abs=5e-7)
    assert found.average_marginal_effect.estimate == pytest.approx(marginal, abs=5e-7)


def test_every_loan_its_own_cluster_is_the_sandwich_with_its_correction():
    data = sm.datasets.spector.load_pandas()
    design = data.exog.assign(intercept=1.0)
    found = logit(data.endog, design, "GPA", pd.Series(range(32)), 0.95).odds_ratio
    sandwich = sm.Logit(data.endog, design).fit(disp=0, cov_type="HC0").bse["GPA"]
    # G/(G-1) x (n-1)/(n-k) with 32 clusters of one loan and 4 columns is 32/28.
    assert found.std_error == pytest.approx(sandwich * (32 / 28) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("method", [linear_probability, logit])
def test_one_cluster_is_too_few(loans, design, method):
    with pytest.raises(StudyError, match="at least two clusters"):
        method(loans["default"], design, "treated", pd.Series("CA", loans.index), 0.95)


def test_a_control_that_separates_default_is_an_error(loans, design):
    separating = design.assign(score=loans["default"] * 2.0 - 1 + loans["score"].abs() / 1e3)
    with pytest.raises(StudyError, match="logistic regression on treated"):
        effect(logit, loans, separating, "treated")


@pytest.mark.filterwarnings("error")
def test_a_group_without_defaults_is_an_error(loans, design):
    group = np.arange(LOANS) < 15
    safe = loans.assign(default=loans["default"].where(~group, 0))
    with pytest.raises(StudyError, match="logistic regression on treated"):
        effect(logit, safe, design.assign(group=group.astype(float)), "treated")


def test_a_factor_that_separates_default_is_an_error(loans, design):
    safe = loans.assign(default=loans["default"].where(loans["treated"] == 0, 0))
    with pytest.raises(StudyError, match="logistic regression on treated"):
        effect(logit, safe, design, "treated")
