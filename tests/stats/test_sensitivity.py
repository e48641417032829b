import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measures import oster_delta
from pipeline.runtime.errors import StudyError
from pipeline.stats.sensitivity import bias_adjusted, e_value, rosenbaum_bounds, sensitivity_value


def pairs(only_treated, only_control, both=3, neither=4):
    """Matched pairs by which of the two loans defaulted, as outcome, treated and pair."""
    outcomes = [(1, 0)] * only_treated + [(0, 1)] * only_control + [(1, 1)] * both + [(0, 0)] * neither
    number = len(outcomes)
    return np.array(outcomes).ravel(), np.tile([1, 0], number), np.repeat(np.arange(number), 2)


def test_bounds_are_the_tails_of_discordant_pairs():
    from scipy.stats import binom

    found = rosenbaum_bounds(*pairs(6, 20), np.array([1.0, 2.0]))
    assert found["fewer"].tolist() == pytest.approx([binom.cdf(6, 26, 0.5), binom.cdf(6, 26, 1 / 3)])
    assert found["more"].tolist() == pytest.approx([binom.sf(5, 26, 0.5), binom.sf(5, 26, 2 / 3)])
    assert found["fewer_low"][1] == pytest.approx(binom.cdf(6, 26, 2 / 3))


def test_without_hidden_bias_it_is_mcnemar_s_test():
    from statsmodels.stats.contingency_tables import mcnemar

    found = rosenbaum_bounds(*pairs(6, 20), np.array([1.0])).iloc[0]
    assert 2 * found["fewer"] == pytest.approx(mcnemar([[3, 6], [20, 4]], exact=True).pvalue)


def test_exact_tails_are_near_their_normal_approximation():
    """On Rosenbaum's (2002, section 4.3.2) counts, smoking and lung cancer: 110 against 12 discordant pairs."""
    from scipy.stats import norm

    gammas = np.array([2.0, 4.0, 5.0, 6.0])
    share = gammas / (1 + gammas)
    approximate = norm.sf((109.5 - 122 * share) / np.sqrt(122 * share * (1 - share)))
    assert rosenbaum_bounds(*pairs(110, 12), gammas)["more"].to_numpy() == pytest.approx(approximate, abs=0.007)


def test_sets_of_one_and_many_agree_with_a_simulation():
    rng = np.random.default_rng(3)
    number, gamma = 400, 2.0
    outcome = (rng.random((number, 3)) < 0.3).astype(int)
    treated = np.zeros((number, 3), int)
    treated[:, 0] = 1
    set_of = np.repeat(np.arange(number), 3)
    bound = rosenbaum_bounds(outcome.ravel(), treated.ravel(), set_of, np.array([gamma])).iloc[0]["more"]
    # The worst case: odds of being the treated one are gamma times higher for a loan that defaults.
    chosen = np.where(outcome == 1, gamma, 1.0)
    chosen = chosen / chosen.sum(axis=1, keepdims=True)
    draws = rng.random((4000, number, 1)) < chosen.cumsum(axis=1)
    first = draws.argmax(axis=2)
    hits = outcome[np.arange(number), first].sum(axis=1)
    assert bound == pytest.approx((hits >= outcome[:, 0].sum()).mean(), abs=0.04)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_bounds_widen_with_gamma(more, fewer):
    if more + fewer == 0:
        with pytest.raises(StudyError, match="no matched set holds both outcomes"):
            rosenbaum_bounds(*pairs(more, fewer), np.array([1.0]))
        return
    found = rosenbaum_bounds(*pairs(more, fewer), np.array([1.0, 1.5, 3.0]))
    for side in ("fewer", "more"):
        assert (found[side].diff().dropna() >= -1e-12).all()
        assert (found[f"{side}_low"] <= found[side] + 1e-12).all()


def test_the_sensitivity_value_is_where_the_bound_crosses():
    value = sensitivity_value(*pairs(6, 30))
    assert value > 1
    assert rosenbaum_bounds(*pairs(6, 30), np.array([value]))["fewer"][0] == pytest.approx(0.025, abs=1e-6)
    assert sensitivity_value(*pairs(10, 11)) == 1


def test_what_bounds_cannot_take():
    with pytest.raises(StudyError, match="odds ratio of 1 or more"):
        rosenbaum_bounds(*pairs(1, 2), np.array([0.5]))
    with pytest.raises(StudyError, match="one treated loan each"):
        rosenbaum_bounds(np.array([1, 0, 0]), np.array([1, 1, 0]), np.zeros(3), np.array([1.0]))


def test_published_e_values():
    # VanderWeele & Ding (2017): a risk ratio of 3.9 (1.8 to 8.7) has E-values of 7.26 and 3.0.
    found = e_value(3.9, 1.8, 8.7)
    assert (round(found.estimate, 2), round(found.interval, 1)) == (7.26, 3.0)
    protective = e_value(1 / 3.9, 1 / 8.7, 1 / 1.8)
    assert tuple(protective) == pytest.approx(tuple(found))
    assert e_value(1.2, 0.9, 1.6).interval == 1
    # An interval may begin or end at the estimate itself: 2 + sqrt(2), 3 + sqrt(6).
    assert tuple(e_value(2.0, 2.0, 2.0)) == pytest.approx((2 + np.sqrt(2),) * 2)
    assert tuple(e_value(3.0, 2.0, 3.0)) == pytest.approx((3 + np.sqrt(6), 2 + np.sqrt(2)))
    with pytest.raises(StudyError, match="positive ratio inside its interval"):
        e_value(1.0, 1.1, 1.2)


def worlds(seed, delta):
    """A sample in which selection on the unmeasured is exactly `delta` times that on the measured.

    Columns are made orthogonal in the sample, so that its moments are those of the model.
    """
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(500, 4))
    base = np.linalg.qr(raw - raw.mean(axis=0))[0] * np.sqrt(500)
    one, two, of_factor, noise = base.T
    measured, unmeasured = 0.8 * one, 0.6 * two
    # cov(unmeasured, x) / var(unmeasured) = delta cov(measured, x) / var(measured), with unit variances 0.64, 0.36.
    slope = 0.5
    factor = slope * measured + delta * slope * unmeasured + of_factor
    outcome = 0.7 * factor + measured + unmeasured + 0.5 * noise
    explained = 1 - (0.25 * noise @ noise) / (outcome @ outcome)
    return outcome, factor, one[:, None], explained


@pytest.mark.parametrize("delta", [0.5, 1.0, 2.0, -0.5])
def test_delta_is_found_where_the_truth_is_known(delta):
    for seed in range(3):
        outcome, factor, controls, r_max = worlds(seed, delta)
        assert oster_delta(outcome, factor, controls, r_max=r_max, null=0.7).delta == pytest.approx(delta, rel=1e-6)


def test_the_parts_of_delta():
    import statsmodels.api as sm

    outcome, factor, controls, _ = worlds(4, 1.0)
    found = oster_delta(outcome, factor, controls)
    short = sm.OLS(outcome, sm.add_constant(factor)).fit()
    long = sm.OLS(outcome, sm.add_constant(np.column_stack([factor, controls]))).fit()
    assert (found.short, found.r_short) == pytest.approx((short.params[1], short.rsquared))
    assert (found.long, found.r_long) == pytest.approx((long.params[1], long.rsquared))
    assert found.r_max == pytest.approx(min(1, 1.3 * long.rsquared))
    with pytest.raises(StudyError, match="determine the factor"):
        oster_delta(outcome, factor, factor[:, None])


def confounded(loans, seed=0):
    rng = np.random.default_rng(seed)
    measured, hidden = rng.normal(size=(2, loans))
    factor = measured + hidden + rng.normal(size=loans)
    outcome = 0.5 * factor + measured + hidden + rng.normal(size=loans)
    return outcome, factor, measured[:, None], hidden


def test_oster_with_weights_is_that_of_repeated_loans():
    outcome, factor, controls, _ = confounded(400)
    times = 1 + np.arange(400) % 3
    each = np.repeat(np.arange(400), times)
    weighted = oster_delta(outcome, factor, controls, weights=times.astype(float))
    assert weighted == pytest.approx(oster_delta(outcome[each], factor[each], controls[each]))
    adjusted = bias_adjusted(outcome, factor, controls, np.arange(400) % 20, weights=times.astype(float))
    counted = bias_adjusted(outcome[each], factor[each], controls[each], (np.arange(400) % 20)[each])
    assert adjusted.estimate == pytest.approx(counted.estimate)
    assert adjusted.std_error == pytest.approx(counted.std_error)


@pytest.mark.parametrize("more", [0, 2])
def test_the_bias_adjusted_effect_is_where_delta_is_one(more):
    outcome, factor, controls, _ = confounded(2000)
    further = np.random.default_rng(1).normal(size=(2000, more))
    controls, outcome = np.column_stack([controls, 1 + further]), outcome + further.sum(axis=1)
    found = bias_adjusted(outcome, factor, controls, np.arange(2000) % 40, others=[1.1, 2.0])
    at = oster_delta(outcome, factor, controls, null=found.estimate)
    assert at.delta == pytest.approx(1.0) and (at.r_long, at.r_max) == pytest.approx((found.r_long, found.r_max))
    for times, delta in found.deltas.items():
        theirs = oster_delta(outcome, factor, controls, r_max=min(times * found.r_long, 1.0))
        assert delta == pytest.approx(theirs.delta)
    half = bias_adjusted(outcome, factor, controls, np.arange(2000) % 40, delta=0.5)
    assert oster_delta(outcome, factor, controls, null=half.estimate).delta == pytest.approx(0.5)


def test_it_recovers_an_effect_that_the_unmeasured_hide_as_much_as_the_measured():
    outcome, factor, controls, hidden = confounded(40_000)
    whole = np.column_stack([factor, controls, hidden])
    whole = np.column_stack([np.ones(len(whole)), whole])
    rest = outcome - whole @ np.linalg.lstsq(whole, outcome, rcond=None)[0]
    with_both = 1 - rest @ rest / ((outcome - outcome.mean()) ** 2).sum()
    plain = oster_delta(outcome, factor, controls)
    found = bias_adjusted(outcome, factor, controls, np.arange(40_000) % 50, times=with_both / plain.r_long)
    assert plain.long > 0.9
    assert found.estimate == pytest.approx(0.5, abs=3 * found.std_error) and found.std_error < 0.05


def test_the_jackknife_leaves_out_each_cluster():
    outcome, factor, controls, _ = confounded(300)
    cluster = np.arange(300) % 12
    found = bias_adjusted(outcome, factor, controls, cluster)
    without = np.array(
        [
            bias_adjusted(outcome[stays], factor[stays], controls[stays], cluster[stays]).estimate
            for stays in (cluster != one for one in range(12))
        ]
    )
    assert found.std_error == pytest.approx(np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum()))


def test_no_bound_where_the_controls_determine_the_factor():
    outcome, factor, _, _ = confounded(100)
    with pytest.raises(StudyError, match="determine the factor"):
        bias_adjusted(outcome, factor, factor[:, None], np.arange(100) % 5)
