"""Samples by outcome: a population is made up, sampled half and half, and must be seen again through the weights."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import norm

from pipeline.runtime.errors import StudyError
from pipeline.stats.correlation import orthonormal, partial, pearson, spearman, weighted_ranks
from pipeline.stats.design import design_matrix
from pipeline.stats.rates import default_rates
from pipeline.stats.regression import linear_probability, logit
from pipeline.stats.sampling import population_size, prior_ratio, to_population

LEVEL = 0.95


def population(loans, seed):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=loans)
    treated = (rng.random(loans) < 1 / (1 + np.exp(-score))).astype(float)
    chance = 1 / (1 + np.exp(2.2 - 0.6 * treated - 0.8 * score))
    default = (rng.random(loans) < chance).astype(int)
    return pd.DataFrame({"treated": treated, "score": score, "default": default})


def drawn(everyone, each, seed):
    """Draw as many defaults as others, with the weight that each one stands for."""
    rng = np.random.default_rng(seed)
    parts = []
    for _, of_outcome in everyone.groupby("default"):
        rows = rng.choice(len(of_outcome), each, replace=False)
        parts.append(of_outcome.iloc[rows].assign(weight=len(of_outcome) / each))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def everyone():
    return population(60_000, 1)


@pytest.fixture(scope="module")
def sample(everyone):
    return drawn(everyone, 1_500, 2)


def test_the_prior_ratio_turns_the_samples_rate_into_the_populations(everyone, sample):
    ratio = prior_ratio(sample["default"], sample["weight"])
    assert to_population(sample["default"].mean(), ratio) == pytest.approx(everyone["default"].mean(), abs=1e-12)


@example(rate=1.0, ratio=0.99999)
@given(rate=st.floats(0, 1), ratio=st.floats(0.01, 100))
def test_rates_stay_rates_and_go_back(rate, ratio):
    there = to_population(rate, ratio)
    assert 0 <= there <= 1
    assert to_population(there, 1 / ratio) == pytest.approx(rate, abs=1e-9)


def test_weights_that_differ_within_an_outcome_are_refused():
    with pytest.raises(StudyError, match="the same for all loans of one outcome"):
        prior_ratio([0, 0, 1], [1.0, 2.0, 1.0])
    with pytest.raises(StudyError, match="with and without default"):
        prior_ratio([0, 0], [1.0, 1.0])


def test_equal_weights_change_no_rate_and_no_regression(sample):
    ones = pd.Series(3.0, sample.index)
    plain = default_rates(sample["default"], sample["treated"], LEVEL)
    pd.testing.assert_frame_equal(default_rates(sample["default"], sample["treated"], LEVEL, ones), plain)
    design = design_matrix(sample, ["treated", "score"]).matrix
    clusters = pd.Series(np.arange(len(sample)) % 300)
    for method in (linear_probability, logit):
        found = method(sample["default"], design, "treated", clusters, LEVEL, ones)
        other = method(sample["default"], design, "treated", clusters, LEVEL)
        np.testing.assert_allclose(np.ravel(found), np.ravel(other), rtol=1e-9)


def test_rates_of_groups_are_weighted_means_with_the_samples_interval_carried_over(sample):
    found = default_rates(sample["default"], sample["treated"], LEVEL, sample["weight"])
    for value, group in sample.groupby("treated"):
        mean = np.average(group["default"], weights=group["weight"])
        assert found.loc[value, "rate"] == pytest.approx(mean, abs=1e-12)
        assert found.loc[value, "ci_low"] < mean < found.loc[value, "ci_high"]


def test_linear_and_marginal_effects_are_the_populations_and_odds_ratios_the_plain_ones(everyone, sample):
    design, of_all = design_matrix(sample, ["treated", "score"]).matrix, design_matrix(everyone, ["treated", "score"])
    rows, all_rows = pd.Series(range(len(sample))), pd.Series(range(len(everyone)))
    for factor in ("treated", "score"):
        truth = linear_probability(everyone["default"], of_all.matrix, factor, all_rows, LEVEL).estimate
        found = linear_probability(sample["default"], design, factor, rows, LEVEL, sample["weight"])
        assert abs(found.estimate - truth) < 3 * found.std_error
        unweighted = linear_probability(sample["default"], design, factor, rows, LEVEL)
        assert abs(unweighted.estimate - truth) > 3 * unweighted.std_error

        truth = logit(everyone["default"], of_all.matrix, factor, all_rows, LEVEL).average_marginal_effect.estimate
        weighted = logit(sample["default"], design, factor, rows, LEVEL, sample["weight"])
        plain = logit(sample["default"], design, factor, rows, LEVEL)
        assert weighted.odds_ratio == plain.odds_ratio
        marginal = weighted.average_marginal_effect
        assert abs(marginal.estimate - truth) < 3 * marginal.std_error
        assert abs(plain.average_marginal_effect.estimate - truth) > 3 * plain.average_marginal_effect.std_error


def test_the_marginal_effects_error_is_that_of_its_numerical_gradient(sample):
    import statsmodels.api as sm

    design = design_matrix(sample, ["treated", "score"]).matrix
    rows = pd.Series(range(len(sample)))
    fit = sm.Logit(sample["default"].to_numpy(), design.to_numpy()).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": rows.to_numpy(), "use_correction": True}
    )
    shift = np.log(prior_ratio(sample["default"], sample["weight"]))
    share = (sample["weight"] / sample["weight"].sum()).to_numpy()

    def of_treated(slopes):
        on, off = design.assign(treated=1.0).to_numpy(), design.assign(treated=0.0).to_numpy()
        return share @ (1 / (1 + np.exp(-on @ slopes - shift)) - 1 / (1 + np.exp(-off @ slopes - shift)))

    def of_score(slopes):
        p = 1 / (1 + np.exp(-design.to_numpy() @ slopes - shift))
        return share @ (p * (1 - p)) * slopes[design.columns.get_loc("score")]

    for factor, function in {"treated": of_treated, "score": of_score}.items():
        steps = 1e-6 * np.eye(design.shape[1])
        gradient = np.array([(function(fit.params + h) - function(fit.params - h)) / 2e-6 for h in steps])
        found = logit(sample["default"], design, factor, rows, LEVEL, sample["weight"]).average_marginal_effect
        assert found.estimate == pytest.approx(function(fit.params), rel=1e-9)
        assert found.std_error == pytest.approx(float(np.sqrt(gradient @ fit.cov_params() @ gradient)), rel=1e-5)


def test_weighted_ranks_are_ranks_of_loans_that_stand_for_many():
    values, weights = np.array([3.0, 1.0, 3.0, 2.0]), np.array([2.0, 1.0, 1.0, 3.0])
    from scipy.stats import rankdata

    repeated = rankdata(np.repeat(values, weights.astype(int)))
    expected = [repeated[np.repeat(values, weights.astype(int)) == value][0] - 0.5 for value in values]
    assert weighted_ranks(values, weights).tolist() == pytest.approx(expected)


def test_weighted_correlations_are_those_of_repeated_loans(sample):
    whole = sample.assign(weight=np.where(sample["default"] == 1, 2, 5))
    repeated = whole.loc[np.repeat(whole.index, whole["weight"])]
    weights = whole["weight"].to_numpy(float)
    y, x = whole["default"].to_numpy(float), whole["score"].to_numpy()
    again = repeated["score"].to_numpy(), repeated["default"].to_numpy(float)
    assert pearson(x, y, LEVEL, weights=weights).estimate == pytest.approx(pearson(*again, LEVEL).estimate)
    assert spearman(x, y, LEVEL, weights).estimate == pytest.approx(spearman(*again, LEVEL).estimate)
    controls = design_matrix(whole, ["treated"]).matrix.to_numpy()
    controls_again = design_matrix(repeated, ["treated"]).matrix.to_numpy()
    found = partial(whole[["score"]], whole["default"], orthonormal(controls, weights), LEVEL, weights)["score"]
    other = partial(repeated[["score"]], repeated["default"], orthonormal(controls_again), LEVEL)["score"]
    assert found.estimate == pytest.approx(other.estimate)
    # Repeating loans brings no information, so the interval of repeated loans is too narrow.
    assert found.std_error > other.std_error


@pytest.mark.long
@pytest.mark.parametrize("kind", ["pearson", "spearman", "partial"])
def test_intervals_of_weighted_correlations_hold_the_populations(everyone, kind):
    def correlation(loans, weights=None):
        x, y = loans["treated"].to_numpy(), loans["default"].to_numpy(float)
        if kind == "pearson":
            return pearson(x, y, LEVEL, weights=weights)
        if kind == "spearman":
            return spearman(loans["score"].to_numpy(), y, LEVEL, weights)
        controls = design_matrix(loans, ["score"]).matrix.to_numpy()
        return partial(loans[["treated"]], loans["default"], orthonormal(controls, weights), LEVEL, weights)["treated"]

    truth = correlation(everyone).estimate
    held = 0
    for seed in range(200):
        loans = drawn(everyone, 400, seed)
        found = correlation(loans, loans["weight"].to_numpy())
        held += found.ci_low <= truth <= found.ci_high
    # 95% of 200 worlds, with a Monte Carlo error of 1.5%; knowing the weights may widen the interval a little.
    assert 0.90 <= held / 200 <= 1.0


def test_two_samples_are_the_estimate_of_lincoln_and_petersen():
    found = population_size([200, 300], 200 + 300 - 60)
    assert found.size == pytest.approx(200 * 300 / 60)


def test_the_size_of_a_population_comes_out_of_three_draws():
    rng = np.random.default_rng(3)
    size, held = 5_000, 0
    for _ in range(200):
        draws = [rng.choice(size, each, replace=False) for each in (600, 600, 200)]
        found = population_size([600, 600, 200], len(np.unique(np.concatenate(draws))))
        held += abs(found.size - size) <= norm.ppf(0.975) * found.std_error
    assert 0.90 <= held / 200 <= 0.99


def test_draws_without_overlap_say_nothing():
    with pytest.raises(StudyError, match="these have none"):
        population_size([10, 10], 20)
    with pytest.raises(StudyError, match="one sample holds all"):
        population_size([10, 5], 10)


def test_the_error_of_two_samples_is_that_of_lincoln_and_petersen():
    one, other, both = 2_000, 3_000, 600
    found = population_size([one, other], one + other - both)
    # Seber (1982), section 3.1.2: n1 n2 (n1 - m) (n2 - m) / m^3.
    assert found.std_error**2 == pytest.approx(one * other * (one - both) * (other - both) / both**3, rel=1e-6)


def test_the_error_of_three_samples_is_the_curvature_of_the_likelihood():
    sizes, distinct = [300_000, 200_000, 100_000], 480_000
    found = population_size(sizes, distinct)

    def likelihood(size):
        # Darroch (1958): D different ones out of N, each sample drawn without replacement.
        return sum(gammaln(size - one + 1) for one in sizes) - gammaln(size - distinct + 1) - 2 * gammaln(size + 1)

    step = 5_000
    bend = likelihood(found.size + step) + likelihood(found.size - step) - 2 * likelihood(found.size)
    assert likelihood(found.size) >= max(likelihood(found.size - step), likelihood(found.size + step))
    assert found.std_error == pytest.approx((-bend / step**2) ** -0.5, rel=1e-3)
