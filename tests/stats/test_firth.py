"""Firth's regression against its closed form, brute force, and maximum likelihood where that is good."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2, fisher_exact

from pipeline.runtime.errors import StudyError
from pipeline.stats.firth import firth_logit, standardised_difference


def table(a, b, c, d):
    """Rows of a two-by-two table: events and others with the factor, events and others without."""
    x = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])
    y = np.repeat([1, 0, 1, 0], [a, b, c, d])
    return pd.Series(y), pd.DataFrame({"intercept": 1.0, "x": x})


@pytest.mark.parametrize("cells", [(5, 15, 10, 40), (0, 36, 76, 570), (3, 0, 20, 50), (0, 5, 8, 0)])
def test_in_a_two_by_two_table_half_an_observation_is_added_to_every_cell(cells):
    """The penalty of a saturated logistic model is that of Haldane and Anscombe (Firth 1993, section 3.3)."""
    a, b, c, d = (cell + 0.5 for cell in cells)
    found = firth_logit(*table(*cells), "x", 0.95)
    assert found.log_odds_ratio == pytest.approx(np.log(a * d / (b * c)), abs=1e-7)
    assert found.ci_low < found.log_odds_ratio < found.ci_high
    assert np.isfinite([found.ci_low, found.ci_high]).all()


def penalised(beta, x, y):
    line = x @ beta
    p = 1 / (1 + np.exp(-line))
    information = x.T @ (x * (p * (1 - p))[:, None])
    return -(y @ line - np.logaddexp(0, line).sum() + 0.5 * np.linalg.slogdet(information)[1])


def brute_profile(x, y, place, value):
    rest = [column for column in range(x.shape[1]) if column != place]

    def objective(others):
        beta = np.empty(x.shape[1])
        beta[place], beta[rest] = value, others
        return penalised(beta, x, y)

    return -minimize(objective, np.zeros(len(rest)), method="BFGS", options={"gtol": 1e-9}).fun


def sample(seed, rows=80, slope=1.0):
    rng = np.random.default_rng(seed)
    design = pd.DataFrame({"intercept": 1.0, "x": rng.integers(0, 2, rows).astype(float), "z": rng.normal(3, 2, rows)})
    probability = 1 / (1 + np.exp(2.5 - slope * design["x"] - 0.2 * design["z"]))
    return pd.Series((rng.random(rows) < probability).astype(int)), design


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_estimate_interval_and_p_value_agree_with_brute_force(seed):
    y, design = sample(seed)
    x = design.to_numpy()
    found = firth_logit(y, design, "x", 0.9)
    best = minimize(penalised, np.zeros(3), args=(x, y.to_numpy()), method="BFGS", options={"gtol": 1e-9})
    assert found.log_odds_ratio == pytest.approx(best.x[1], abs=1e-5)
    # Scaling the columns changes the penalised likelihood by a constant only.
    for end in (found.ci_low, found.ci_high):
        fall = 2 * (-best.fun - brute_profile(x, y.to_numpy(), 1, end))
        assert fall == pytest.approx(chi2.ppf(0.9, 1), abs=1e-4)
    fall = 2 * (-best.fun - brute_profile(x, y.to_numpy(), 1, 0.0))
    assert found.p_value == pytest.approx(chi2.sf(fall, 1), abs=1e-5)


def test_the_error_without_an_effect_is_that_of_the_score_test():
    """In a two-by-two table the information on the factor given the intercept is n p (1 - p) x (1 - x)."""
    y, design = table(20, 80, 60, 340)
    found = firth_logit(y, design, "x", 0.95)
    p, x = 0.16, 0.2
    # The penalty draws the common rate a little towards a half.
    assert found.null_error == pytest.approx((500 * p * (1 - p) * x * (1 - x)) ** -0.5, rel=0.01)


def test_in_large_samples_it_is_maximum_likelihood():
    import statsmodels.api as sm

    y, design = sample(4, rows=20_000)
    found = firth_logit(y, design, "x", 0.95)
    other = sm.Logit(y.to_numpy(), design.to_numpy()).fit(disp=False)
    assert found.log_odds_ratio == pytest.approx(other.params[1], abs=2e-3)
    assert found.std_error == pytest.approx(other.bse[1], rel=1e-2)


def test_the_interval_holds_zero_exactly_when_the_test_does_not_reject():
    for seed in range(12):
        y, design = sample(seed, slope=1.2)
        found = firth_logit(y, design, "x", 0.95)
        assert (found.ci_low <= 0 <= found.ci_high) == (found.p_value >= 0.05)


def test_units_of_the_factor_change_the_coefficient_alone():
    y, design = sample(6)
    once = firth_logit(y, design, "z", 0.95)
    thousand = firth_logit(y, design.assign(z=1000 * design["z"]), "z", 0.95)
    assert thousand.log_odds_ratio * 1000 == pytest.approx(once.log_odds_ratio, rel=1e-6)
    assert thousand.ci_high * 1000 == pytest.approx(once.ci_high, rel=1e-6)
    assert thousand.p_value == pytest.approx(once.p_value, abs=1e-8)


@pytest.mark.long
def test_intervals_cover_the_truth_with_few_events():
    covered = [
        (found := firth_logit(*sample(seed, rows=60, slope=1.0), "x", 0.9)).ci_low <= 1.0 <= found.ci_high
        for seed in range(60)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.11)


def test_what_cannot_be_estimated_is_refused():
    y, design = sample(1)
    with pytest.raises(StudyError, match="with and without the event"):
        firth_logit(0 * y, design, "x", 0.95)
    with pytest.raises(StudyError, match="does not vary"):
        firth_logit(y, design.drop(columns="x"), "x", 0.95)


def test_the_difference_in_a_table_with_an_empty_cell_is_that_of_its_rates_with_half_an_observation_more():
    outcome, design = table(0, 36, 76, 570)
    found = standardised_difference(outcome, design, "x", 0.95)
    assert found.estimate == pytest.approx(0.5 / 37 - 76.5 / 647, abs=1e-7)
    assert found.ci_low < found.estimate < found.ci_high < 0
    assert found.p_value == firth_logit(outcome, design, "x", 0.95).p_value and np.isnan(found.std_error)
    # Fisher's exact test is more careful than the likelihood ratio, and of the same mind.
    assert found.p_value < fisher_exact([[0, 36], [76, 570]]).pvalue < 0.05


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_difference_holds_no_effect_where_the_odds_ratio_does_and_averages_over_all_rows(seed):
    outcome, design = sample(seed, rows=120, slope=0.3)
    found, odds = (method(outcome, design, "x", 0.9) for method in (standardised_difference, firth_logit))
    assert (found.ci_low < 0 < found.ci_high) == (odds.ci_low < 0 < odds.ci_high)
    x, y = design.to_numpy(), outcome.to_numpy()
    best = minimize(penalised, np.zeros(3), args=(x, y), method="BFGS", options={"gtol": 1e-9}).x
    arms = [1 / (1 + np.exp(-(design.assign(x=value).to_numpy() @ best))) for value in (1.0, 0.0)]
    assert found.estimate == pytest.approx((arms[0] - arms[1]).mean(), abs=1e-6)
