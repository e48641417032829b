import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import ks_2samp
from statsmodels.stats.proportion import proportion_confint

from pipeline.core.errors import StudyError
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


def test_the_riskiest_are_flagged_and_ties_stay_together():
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.1, 0.2, 0.3, 0.1, 0.0, 0.4])
    assert np.flatnonzero(accuracy.flagged(score, None, 0.1)).tolist() == [0]
    assert np.flatnonzero(accuracy.flagged(score, None, 0.3)).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(accuracy.flagged(score, np.where(score > 0.8, 5.0, 1.0), 0.3)).tolist() == [0]


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
    clusters = rng.integers(0, 12, len(default))
    values = (default - share) ** 2
    for weights in (None, np.where(default == 1, 1.0, 3.0)):
        model = (
            sm.OLS(values, np.ones(len(values))) if weights is None else sm.WLS(values, np.ones(len(values)), weights)
        )
        theirs = model.fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False})
        found = accuracy.mean_effect(values, weights, LEVEL, clusters)
        assert found.estimate == pytest.approx(theirs.params[0])
        assert found.std_error == pytest.approx(theirs.bse[0] * np.sqrt(12 / 11))
        alone = accuracy.mean_effect(values, weights, LEVEL)
        robust = model.fit(cov_type="HC0")
        assert alone.std_error == pytest.approx(robust.bse[0])
