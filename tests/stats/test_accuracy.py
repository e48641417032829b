import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import ks_2samp, norm, t
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint

from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy

LEVEL = 0.95


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(4)
    risk = rng.normal(size=600)
    default = (rng.random(600) < 1 / (1 + np.exp(2 - risk))).astype(float)
    return default, 1 / (1 + np.exp(2.3 - 1.4 * risk)), rng


def pairs(default, score):
    """Share of pairs of a bad and a good loan in which the bad one scores higher, ties counted half."""
    bad, good = score[default == 1], score[default == 0]
    return np.mean([(one > good).mean() + (one == good).mean() / 2 for one in bad])


def test_area_is_the_share_of_pairs_in_order(made):
    default, share, _ = made
    rough = np.round(share, 1)
    found = accuracy.area(default, rough, LEVEL)
    assert found.estimate == pytest.approx(pairs(default, rough))
    # The variance by leaving loans out one at a time, bad and good ones apart (the jackknife of DeLong's statistic).
    parts = []
    for kind in (1, 0):
        rows = np.flatnonzero(default == kind)
        left = [pairs(np.delete(default, row), np.delete(rough, row)) for row in rows]
        parts.append((len(rows) - 1) / len(rows) * ((left - np.mean(left)) ** 2).sum())
    assert found.std_error == pytest.approx(sum(parts) ** 0.5, rel=1e-9)


def test_a_score_gains_nothing_on_itself(made):
    default, share, _ = made
    for order in (share, share**3):
        found = accuracy.gain(default, share, order, LEVEL)
        assert (found.estimate, found.std_error, found.p_value) == (0, 0, 1)


def test_loans_of_their_own_cluster_have_delongs_error_and_copies_do_not_count_twice(made):
    default, share, rng = made
    other = share + 0.05 * rng.normal(size=len(share))
    by_loan = accuracy.gain(default, other, share, LEVEL)
    alone = accuracy.gain(default, other, share, LEVEL, np.arange(len(default)))
    assert alone.estimate == pytest.approx(by_loan.estimate)
    assert alone.std_error == pytest.approx(by_loan.std_error, rel=1e-12)
    twice = [np.tile(one, 2) for one in (default, other, share, np.arange(len(default)))]
    copied = accuracy.gain(*twice[:3], LEVEL, twice[3])
    assert copied.std_error == pytest.approx(alone.std_error, rel=1e-9)
    assert accuracy.gain(*twice[:3], LEVEL).std_error < 0.75 * copied.std_error
    with pytest.raises(StudyError, match="two clusters"):
        accuracy.gain(default, other, share, LEVEL, np.zeros(len(default)))


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_is_that_of_statsmodels(made, weighted):
    default, share, _ = made
    weights = np.where(default == 1, 1.0, 3.0) if weighted else np.ones(len(default))
    odds = np.log(share / (1 - share))
    scaled = weights / weights.mean()
    family = sm.families.Binomial()
    slope = sm.GLM(default, sm.add_constant(odds), family, freq_weights=scaled).fit(tol=1e-12)
    large = sm.GLM(default, np.ones(len(odds)), family, offset=odds, freq_weights=scaled).fit(tol=1e-12)
    found = accuracy.calibration(default, share, weights if weighted else None, LEVEL)
    assert found.slope.estimate == pytest.approx(slope.params[1], rel=1e-7)
    assert found.intercept.estimate == pytest.approx(large.params[0], rel=1e-7)
    if not weighted:
        robust = sm.GLM(default, sm.add_constant(odds), family).fit(cov_type="HC0", tol=1e-12)
        assert found.slope.std_error == pytest.approx(robust.bse[1], rel=1e-6)


def test_right_probabilities_are_calibrated_and_extreme_ones_are_not():
    rng = np.random.default_rng(1)
    odds = rng.normal(-1, 1, 40_000)
    default = (rng.random(40_000) < 1 / (1 + np.exp(-odds))).astype(float)
    right = accuracy.calibration(default, 1 / (1 + np.exp(-odds)), None, LEVEL)
    assert right.slope.ci_low < 1 < right.slope.ci_high and right.intercept.ci_low < 0 < right.intercept.ci_high
    extreme = accuracy.calibration(default, 1 / (1 + np.exp(-2 * odds - 1)), None, LEVEL)
    assert extreme.slope.estimate == pytest.approx(0.5, abs=0.02)


def test_one_probability_for_all_has_no_slope():
    with pytest.raises(StudyError, match="same predicted probability"):
        accuracy.calibration(np.array([0.0, 1, 0]), np.full(3, 0.3), None, LEVEL)


def test_shares_have_wilsons_interval_and_weights_bring_them_to_the_population():
    default = np.repeat([1.0, 0.0], [13, 87])
    _, low, high = accuracy.share_interval(default, None, LEVEL)
    assert (low, high) == pytest.approx(proportion_confint(13, 100, method="wilson"))
    # Every good loan stands for nine others.
    weighted, _, top = accuracy.share_interval(default, np.where(default == 1, 1.0, 10.0), LEVEL)
    assert weighted == pytest.approx(13 / 883) and top < low
    assert accuracy.share_interval(np.zeros(20), None, LEVEL)[1:] == pytest.approx(
        proportion_confint(0, 20, method="wilson"), abs=1e-12
    )


def test_ratio_of_means_has_the_spread_of_its_draws():
    rng = np.random.default_rng(0)
    default = (rng.random(3_000) < 0.2).astype(float)
    followed = (rng.random(3_000) < 0.1 + 0.3 * default).astype(float)
    found = accuracy.ratio_of_means(followed * default, default, None, LEVEL)
    assert found.estimate == pytest.approx(followed[default == 1].mean())
    assert found.std_error == pytest.approx(np.sqrt(found.estimate * (1 - found.estimate) / default.sum()), rel=1e-9)


def test_stability_by_hand():
    # (.3 - .5) ln(.3/.5) + (.7 - .5) ln(.7/.5)
    assert accuracy.stability(np.array([5, 5]), np.array([3, 7])) == pytest.approx(0.1694596, abs=1e-7)
    assert accuracy.stability(np.array([2.0, 8]), np.array([20, 80])) == pytest.approx(0, abs=1e-15)
    assert np.isfinite(accuracy.stability(np.array([5, 5]), np.array([0, 7])))
    rng = np.random.default_rng(2)
    same, moved = rng.normal(size=(2, 5_000))
    assert accuracy.score_stability(same, moved) < 0.02 < 0.25 < accuracy.score_stability(same, moved + 0.8)


def flagged(score, weights, capacity):
    """Which loans a share of the highest scores holds: those at its end all or none, whichever is nearer to it."""
    weights = np.ones(len(score)) if weights is None else weights
    values, place = np.unique(-score, return_inverse=True)
    reached = np.cumsum(np.bincount(place, weights, len(values))) / weights.sum()
    return place <= int(np.argmin(np.abs(reached - capacity)))


def test_the_riskiest_are_flagged_and_ties_stay_together():
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.1, 0.2, 0.3, 0.1, 0.0, 0.4])
    bad = (score > 0.45).astype(float)
    for weights, capacity, followed in ((None, 0.1, 1), (None, 0.3, 4), (np.where(score > 0.8, 5.0, 1.0), 0.3, 1)):
        top = np.arange(10) < followed
        assert np.flatnonzero(flagged(score, weights, capacity)).tolist() == np.flatnonzero(top).tolist()
        w = np.ones(10) if weights is None else weights
        found = accuracy.alerts(bad, score, weights, capacity, LEVEL)
        assert found.recall.estimate == pytest.approx((w * bad)[top].sum() / (w * bad).sum())


def test_savings_by_hand():
    default, share = np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.2, 0.01])
    # Followed up where probability x 15 is above 1: the first two.
    found = accuracy.savings(default, share, loss=60, contact=1, prevented=0.25)
    assert found.tolist() == [14, -1, 0]


def test_curves_end_where_they_must(made):
    default, share, _ = made
    curve = accuracy.roc(default, share, places=400)
    area = np.trapezoid(curve["found"], curve["false_alarms"])
    assert area == pytest.approx(accuracy.area(default, share, LEVEL).estimate, abs=2e-3)
    gains = accuracy.gains(default, share, None)
    assert gains["lift"].iloc[-1] == pytest.approx(1) and gains["lift"].iloc[0] > 1.5
    bins = accuracy.reliability(default, share, None, LEVEL)
    assert bins["n"].sum() == len(default) and len(bins) == 10
    assert np.average(bins["rate"], weights=bins["n"]) == pytest.approx(default.mean())
    assert accuracy.kolmogorov_smirnov(default, share) == pytest.approx(
        ks_2samp(share[default == 1], share[default == 0]).statistic
    )


def test_a_mean_by_cluster_is_that_of_statsmodels(made):
    default, share, rng = made
    clusters = rng.integers(0, 40, len(default))
    values = (default - share) ** 2
    for weights in (None, np.where(default == 1, 1.0, 3.0)):
        model = (
            sm.OLS(values, np.ones(len(values))) if weights is None else sm.WLS(values, np.ones(len(values)), weights)
        )
        theirs = model.fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
        found = accuracy.mean_effect(values, weights, LEVEL, clusters)
        assert found.estimate == pytest.approx(theirs.params[0])
        assert found.std_error == pytest.approx(theirs.bse[0] * np.sqrt(40 / 39))
        alone = accuracy.mean_effect(values, weights, LEVEL)
        robust = model.fit(cov_type="HC0")
        assert alone.std_error == pytest.approx(robust.bse[0])


def test_a_mean_that_a_cluster_rules_has_the_error_of_leaving_clusters_out(made):
    default, share, _ = made
    clusters = np.repeat(np.arange(11), [200, *[40] * 10])
    values = (default - share) ** 2
    found = accuracy.mean_effect(values, None, LEVEL, clusters)
    left = np.array([values[clusters != one].mean() for one in range(11)])
    assert found.std_error == pytest.approx(np.sqrt(10 / 11 * ((left - values.mean()) ** 2).sum()))
    degrees = 600**2 / (200**2 + 10 * 40**2) - 1
    assert found.ci_high - found.estimate == pytest.approx(t.ppf(0.975, degrees) * found.std_error)
    # One cluster says nothing of others.
    alone = accuracy.mean_effect(values, None, LEVEL, np.zeros(600))
    assert alone.estimate == values.mean() and np.isnan(alone[1:]).all()
    with pytest.raises(StudyError, match="600 of the judged loans have no cluster"):
        accuracy.mean_effect(values, None, LEVEL, np.full(600, np.nan))


def test_calibration_by_cluster_is_that_of_statsmodels(made):
    default, share, rng = made
    clusters = rng.integers(0, 30, len(default))
    odds = np.log(share / (1 - share))
    found = accuracy.calibration(default, share, None, LEVEL, clusters)
    family, by = sm.families.Binomial(), {"groups": clusters}
    slope = sm.GLM(default, sm.add_constant(odds), family).fit(cov_type="cluster", cov_kwds=by, tol=1e-12)
    large = sm.GLM(default, np.ones(600), family, offset=odds).fit(cov_type="cluster", cov_kwds=by, tol=1e-12)
    assert found.slope.std_error == pytest.approx(slope.bse[1], rel=1e-6)
    assert found.intercept.std_error == pytest.approx(large.bse[0], rel=1e-6)
    sizes = np.bincount(clusters)
    degrees = sizes.sum() ** 2 / (sizes**2).sum() - 1
    assert found.slope.p_value == pytest.approx(2 * t.sf(abs(slope.params[1] - 1) / slope.bse[1], degrees), rel=1e-5)


def test_rare_defaults_far_below_the_prediction_have_a_calibration():
    rng = np.random.default_rng(2)
    odds = rng.normal(-5, 0.6, 4_000)
    default = (rng.random(4_000) < 0.03).astype(float)
    theirs = sm.GLM(default, sm.add_constant(odds), sm.families.Binomial()).fit(tol=1e-12)
    found = accuracy.calibration(default, 1 / (1 + np.exp(-odds)), np.where(default == 1, 1.2, 5.0) / 5, LEVEL)
    plain = accuracy.calibration(default, 1 / (1 + np.exp(-odds)), None, LEVEL)
    assert plain.slope.estimate == pytest.approx(theirs.params[1], abs=1e-7) and np.isfinite(found.slope.estimate)


def test_shares_by_cluster_are_worth_as_many_loans_as_their_variance(made):
    rng = np.random.default_rng(8)
    clusters = np.repeat(np.arange(50), 20)
    level = np.repeat(rng.beta(2, 8, 50), 20)
    default = (rng.random(1_000) < level).astype(float)
    share, low, high = accuracy.share_interval(default, None, LEVEL, clusters)
    error = sm.OLS(default, np.ones(1_000)).fit(cov_type="cluster", cov_kwds={"groups": clusters}).bse[0]
    worth = share * (1 - share) / error**2
    level = 1 - 2 * norm.sf(t.ppf(0.975, 49))
    assert (low, high) == pytest.approx(proportion_confint(share * worth, worth, alpha=1 - level, method="wilson"))
    alone = accuracy.share_interval(default, None, LEVEL, np.arange(1_000))
    assert alone == pytest.approx(accuracy.share_interval(default, None, LEVEL), rel=2e-3)
    assert accuracy.share_interval(np.zeros(40), None, LEVEL, np.repeat([0, 1], 20))[2] > 0.5
    assert np.isnan(accuracy.share_interval(default, None, LEVEL, np.zeros(1_000))[1])


def test_alerts_are_those_of_a_bootstrap_over_clusters():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(40), 30)
    level = np.repeat(rng.normal(0, 1, 40), 30)
    score = level + rng.normal(size=1_200)
    default = (rng.random(1_200) < 1 / (1 + np.exp(2 - score))).astype(float)
    weights = np.where(default == 1, 1.0, 3.0)
    found = accuracy.alerts(default, score, weights, 0.1, LEVEL, clusters, seed=1)

    def by_hand(rows):
        w, bad, picked = weights[rows], default[rows] == 1, flagged(score[rows], weights[rows], 0.1)
        caught = w[picked & bad].sum()
        precision = caught / w[picked].sum()
        return precision, caught / w[bad].sum(), precision * w.sum() / w[bad].sum()

    assert [one.estimate for one in found] == pytest.approx(by_hand(np.arange(1_200)), rel=1e-12)
    rng = np.random.default_rng(9)
    drawn = [
        by_hand(np.concatenate([np.flatnonzero(clusters == one) for one in rng.integers(0, 40, 40)]))
        for _ in range(600)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert [one.std_error for one in found] == pytest.approx(np.std(drawn, axis=0), rel=0.1)
    assert [one.ci_low for one in found] == pytest.approx(low, rel=0.08)
    assert [one.ci_high for one in found] == pytest.approx(high, rel=0.08)
    alone = accuracy.alerts(default, score, weights, 0.1, LEVEL)
    assert alone.precision.std_error < 0.7 * found.precision.std_error
    assert accuracy.alerts(default, score, weights, 0.1, LEVEL, clusters, seed=1) == found
    with pytest.raises(StudyError, match="no loan defaulted"):
        accuracy.alerts(np.zeros(1_200), score, None, 0.1, LEVEL)


def test_a_missing_score_is_refused_wherever_loans_are_ranked(made):
    default, share, _ = made
    missing = np.where(np.arange(600) == 5, np.nan, share)
    for ask in (
        lambda: accuracy.area(default, missing, LEVEL),
        lambda: accuracy.gain(default, share, missing, LEVEL),
        lambda: accuracy.alerts(default, missing, None, 0.1, LEVEL),
        lambda: accuracy.kolmogorov_smirnov(default, missing),
        lambda: accuracy.calibration(default, missing, None, LEVEL),
        lambda: accuracy.roc(default, missing),
        lambda: accuracy.gains(default, missing, None),
        lambda: accuracy.reliability(default, missing, None, LEVEL),
        lambda: accuracy.score_stability(share, missing),
    ):
        with pytest.raises(StudyError, match="1 of 600 loans have no score"):
            ask()


def test_weighted_curves_are_those_of_scikit_learn(made):
    default, share, rng = made
    weights = rng.uniform(0.5, 4, 600)
    false, found, _ = roc_curve(default, share, sample_weight=weights)
    curve = accuracy.roc(default, share, weights=weights)
    assert curve["found"].to_numpy() == pytest.approx(np.interp(curve["false_alarms"], false, found), abs=2e-3)
    assert accuracy.kolmogorov_smirnov(default, share, weights) == pytest.approx(np.abs(found - false).max())
