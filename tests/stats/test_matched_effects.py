import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.stats import matched_effects as effects
from pipeline.stats.matching import Matches
from pipeline.stats.neighbours import nearest
from pipeline.stats.regression import linear_probability, logit
from pipeline.stats.scores import maximum_likelihood
from pipeline.stats.weighting import entropy_balance, inverse_probability, overlap, probability


def loans(number, seed, effect=0.5):
    """Make up loans whose outcome and treatment follow the covariates; the effect is the same for all."""
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(number, 2))
    treated = (rng.random(number) < probability(covariates @ [0.6, -0.4] - 0.5)).astype(int)
    outcome = covariates @ [1.0, 0.5] + effect * treated + rng.normal(size=number)
    return covariates, treated, outcome


def test_the_difference_is_that_of_weighted_least_squares():
    import statsmodels.api as sm

    covariates, treated, outcome = loans(200, 1)
    rng = np.random.default_rng(0)
    weight, clusters = rng.random(200) * (rng.random(200) < 0.8), rng.integers(0, 30, 200)
    used = weight > 0
    design = sm.add_constant(np.column_stack([treated, covariates]))[used]
    model = sm.WLS(outcome[used], design, weights=weight[used])
    plain, clustered = model.fit(cov_type="HC1"), model.fit(cov_type="cluster", cov_kwds={"groups": clusters[used]})
    frame = pd.DataFrame(design, columns=["intercept", "treated", "a", "b"])
    y, own, w = (pd.Series(values) for values in (outcome[used], np.arange(used.sum()), weight[used]))
    found = linear_probability(y, frame, "treated", own, 0.95, w)
    assert (found.estimate, found.std_error) == pytest.approx((plain.params[1], plain.bse[1]), rel=1e-9)
    found = linear_probability(y, frame, "treated", pd.Series(clusters[used]), 0.9, w)
    assert found.std_error == pytest.approx(clustered.bse[1], rel=1e-9)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(clustered.conf_int(0.1)[1]), rel=1e-9)


def test_without_differences_of_weight_the_weighted_logit_is_the_plain_one():
    covariates, treated, outcome = loans(400, 2)
    design = pd.DataFrame({"intercept": 1.0, "treated": treated.astype(float), "a": covariates[:, 0]})
    default, clusters = pd.Series((outcome > 1).astype(int)), pd.Series(np.arange(400) // 4)
    for factor in ("treated", "a"):
        plain = logit(default, design, factor, clusters, 0.95)
        found = effects.weighted_logit(default, design, factor, clusters, 0.95, pd.Series(3.0, default.index))
        for one, other in zip(plain, found, strict=True):
            assert tuple(other) == pytest.approx(tuple(one), rel=1e-6)


def test_weights_of_the_logit_count_loans():
    """A loan of weight two is two loans of one cluster."""
    covariates, treated, outcome = loans(150, 3)
    design = pd.DataFrame({"intercept": 1.0, "treated": treated.astype(float), "a": covariates[:, 0]})
    default, times = pd.Series((outcome > 0.5).astype(int)), np.random.default_rng(1).integers(1, 4, 150)
    twice = np.repeat(np.arange(150), times)
    found = effects.weighted_logit(default, design, "treated", pd.Series(range(150)), 0.95, pd.Series(times * 1.0))
    plain = logit(
        default.iloc[twice].reset_index(drop=True),
        design.iloc[twice].reset_index(drop=True),
        "treated",
        pd.Series(twice),
        0.95,
    )
    size = len(twice)
    # The small-sample correction counts loans.
    ratio = np.sqrt((size - 1) / (size - 3) / (149 / 147))
    assert found.odds_ratio.estimate == pytest.approx(plain.odds_ratio.estimate, rel=1e-8)
    assert found.odds_ratio.std_error * ratio == pytest.approx(plain.odds_ratio.std_error, rel=1e-6)
    marginal = found.average_marginal_effect
    assert marginal.estimate == pytest.approx(plain.average_marginal_effect.estimate, rel=1e-8)
    assert marginal.std_error * ratio == pytest.approx(plain.average_marginal_effect.std_error, rel=1e-6)


def test_separation_stops_the_weighted_logit():
    design = pd.DataFrame({"intercept": 1.0, "treated": [0.0, 0, 0, 1, 1, 1]})
    with pytest.raises(StudyError, match="no maximum"):
        effects.weighted_logit(
            pd.Series([0, 0, 0, 1, 1, 1]), design, "treated", pd.Series(range(6)), 0.95, pd.Series(np.ones(6))
        )


METHODS = [
    {"method": "inverse_probability"},
    {"method": "inverse_probability", "estimand": "ATE"},
    {"method": "overlap"},
    {"method": "entropy_balancing"},
]


def difference(outcome, treated, weight):
    arm = treated == 1
    return np.average(outcome[arm], weights=weight[arm]) - np.average(outcome[~arm], weights=weight[~arm])


def estimated_again(covariates, treated, outcome, choices):
    if choices["method"] == "entropy_balancing":
        return difference(outcome, treated, entropy_balance(covariates, treated))
    design = np.column_stack([np.ones(len(treated)), covariates])
    score = probability(design @ maximum_likelihood(design, treated))
    if choices["method"] == "overlap":
        return difference(outcome, treated, overlap(treated, score))
    weight = inverse_probability(treated, score, estimand=choices.get("estimand", "ATT"))
    return difference(outcome, treated, weight)


@pytest.mark.parametrize("choices", METHODS)
def test_the_error_knows_that_weights_were_estimated(choices):
    """Leaving each loan out and doing everything again (the jackknife) gives the same error in large samples."""
    covariates, treated, outcome = loans(500, 4)
    found = effects.weighting_effect(outcome, treated, covariates, 0.95, **choices)
    assert found.estimate == pytest.approx(estimated_again(covariates, treated, outcome, choices), rel=1e-9)
    without = np.array(
        [
            estimated_again(*(np.delete(part, row, axis=0) for part in (covariates, treated, outcome)), choices)
            for row in range(500)
        ]
    )
    jackknife = np.sqrt(499 / 500 * ((without - without.mean()) ** 2).sum())
    assert found.std_error == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize("choices", METHODS)
def test_clusters_of_one_loan_change_nothing_and_copies_do(choices):
    covariates, treated, outcome = loans(300, 5)
    plain = effects.weighting_effect(outcome, treated, covariates, 0.95, **choices)
    single = effects.weighting_effect(outcome, treated, covariates, 0.95, clusters=np.arange(300), **choices)
    assert single.std_error == pytest.approx(plain.std_error)
    twice = [np.concatenate([part, part]) for part in (outcome, treated, covariates)]
    copied = effects.weighting_effect(*twice, 0.95, clusters=np.tile(np.arange(300), 2), **choices)
    # A score's coefficients, or the slopes of the weights, and two means; copies are rows, not clusters.
    parameters = covariates.shape[1] + (choices["method"] != "entropy_balancing") + 2
    rows = 599 / (600 - parameters) / (299 / (300 - parameters))
    assert copied.std_error**2 == pytest.approx(rows * plain.std_error**2, rel=1e-6)


def test_estimated_weights_cover_the_truth():
    """In 200 worlds with an effect of one half for all, 95% intervals hold it in about 95%."""
    hits = {place: 0 for place in range(len(METHODS))}
    for world in range(200):
        covariates, treated, outcome = loans(300, 1000 + world)
        for place, choices in enumerate(METHODS):
            found = effects.weighting_effect(outcome, treated, covariates, 0.95, **choices)
            hits[place] += found.ci_low <= 0.5 <= found.ci_high
    assert all(180 <= count <= 199 for count in hits.values()), hits


def matched_with_replacement(covariates, treated, ratio=1):
    rows = np.arange(len(treated))
    return nearest(treated, covariates, np.zeros(len(rows)), rows, ratio=ratio, replacement=True)


def test_abadie_imbens_by_hand():
    # Treated 0 and 1 use control 2 twice; 3 and 4 are the other controls.
    outcome = np.array([3.0, 5.0, 1.0, 2.0, 7.0])
    treated, points = np.array([1, 1, 0, 0, 0]), np.array([0.0, 0.1, 0.0, 1.0, 9.0])
    matches = Matches(np.array([0, 1]), np.array([2, 2]))
    found = effects.abadie_imbens(outcome, treated, points, np.zeros(5), matches, 0.95)
    # Gaps 2 and 4, mean 3. Control 2 serves K = 2 times, K' = 2; its nearest like has 2: variance (1 - 2)^2 / 2.
    assert found.estimate == 3
    assert found.std_error == pytest.approx(np.sqrt((1 + 1 + (4 - 2) * 0.5) / 4))


TIES_IN_MATCHING = {
    (1, 1): (0.947193877551, 0.265727839239, 269),
    (2, 1): (0.920238095238, 0.257652831099, 87),
    (1, 2): (0.947193877551, 0.265727839239, 269),
    (2, 2): (0.83380952381, 0.25159366037, 107),
    (1, 3): (0.947193877551, 0.265727839239, 269),
    (2, 3): (0.868174603175, 0.257320353545, 154),
}
"""Effect, error and number of matches by covariates and neighbours (tests/reference/matching_ties.R)."""


@pytest.mark.parametrize(("covariates", "neighbours"), TIES_IN_MATCHING)
def test_ties_are_averaged_as_in_matching(covariates, neighbours):
    row = np.arange(120)
    points = np.column_stack([7 * row % 11, row * row % 5])[:, :covariates].astype(float)
    points /= points.std(axis=0, ddof=1)
    treated = (3 * row % 7 < 2).astype(int)
    outcome = (13 * row % 17) / 4 + (7 * row % 11) / 2 + treated
    answers = set()
    for seed in range(3):
        place = np.random.default_rng(seed).permutation(120)
        matches = nearest(treated[place], points[place], np.zeros(120), place, ratio=neighbours, replacement=True)
        found = effects.abadie_imbens(
            outcome[place], treated[place], points[place], np.zeros(120), matches, 0.95, neighbours=neighbours
        )
        answers.add((round(found.estimate, 12), round(found.std_error, 12), len(matches.treated)))
    ((estimate, error, number),) = answers
    assert (estimate, error, number) == pytest.approx(TIES_IN_MATCHING[covariates, neighbours], rel=1e-10)


@pytest.mark.long
@pytest.mark.parametrize("ratio", [1, 2])
def test_abadie_imbens_cover_the_truth(ratio):
    hits = 0
    for world in range(200):
        covariates, treated, outcome = loans(400, 3000 + world)
        # One covariate alone matters here: matching on two has a bias of its own.
        outcome = outcome - covariates @ [1.0, 0.5] + np.sin(2 * covariates[:, 0])
        matches = matched_with_replacement(covariates[:, 0], treated, ratio)
        found = effects.abadie_imbens(outcome, treated, covariates[:, 0], np.zeros(400), matches, 0.95, neighbours=2)
        hits += found.ci_low <= 0.5 <= found.ci_high
    assert 180 <= hits <= 199


def test_without_controls_that_serve_twice_it_is_the_spread_of_the_gaps():
    outcome, treated = np.array([3.0, 5.0, 1.0, 2.0]), np.array([1, 1, 0, 0])
    matches = Matches(np.array([0, 1]), np.array([2, 3]))
    found = effects.abadie_imbens(outcome, treated, np.arange(4.0), np.zeros(4), matches, 0.95)
    gaps = np.array([2.0, 3.0])
    assert found.std_error == pytest.approx(np.sqrt(((gaps - gaps.mean()) ** 2).sum()) / 2)
