import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measures import ecdf, quantiles
from pipeline.stats.balance import balance, indicators

TREATED = np.array([1, 1, 0, 0, 0])


def compared(values, **choices):
    return balance(pd.DataFrame({"x": values}), TREATED, **choices).loc["x"]


def test_hand_computed():
    row = compared([5.0, 7.0, 1.0, 3.0, 5.0])
    # Means 6 and 3, variances 2 and 4: 3 over the root of their mean, 3.
    assert (row["mean_treated"], row["mean_control"]) == (6, 3)
    assert row["sd_treated"] == pytest.approx(2**0.5)
    assert row["sd_control"] == pytest.approx(2)
    assert row["scale"] == pytest.approx(3**0.5)
    assert row["standardised_mean_difference"] == pytest.approx(3**0.5)
    assert row["variance_ratio"] == pytest.approx(0.5)


def test_a_share_has_no_variance_ratio():
    row = compared([1, 1, 0, 1, 0])
    # Shares 1 and 1/3, variances 0 and 1/3.
    assert row["standardised_mean_difference"] == pytest.approx((2 / 3) / (1 / 6) ** 0.5)
    assert np.isnan(row["variance_ratio"])


@pytest.mark.parametrize("values", [[2.0, 4.0, 1.0, 3.0, 5.0], [7.0] * 5, [0] * 5, [0.1] * 5])
def test_equal_means_differ_by_exactly_zero(values):
    assert compared(values)["standardised_mean_difference"] == 0


def test_means_that_differ_by_rounding_alone_are_equal():
    row = compared([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3])
    assert row["standardised_mean_difference"] == 0


def test_a_control_arm_that_does_not_vary_has_no_variance_ratio():
    row = compared([2.0, 4.0, 5.0, 5.0, 5.0])
    assert np.isnan(row["variance_ratio"])
    assert row["standardised_mean_difference"] == pytest.approx(-2)


def test_the_scale_before_matching_can_be_kept():
    row = compared([5.0, 7.0, 1.0, 3.0, 5.0], scale=pd.Series({"x": 6.0}))
    assert row["scale"] == 6
    assert row["standardised_mean_difference"] == pytest.approx(0.5)
    assert row["sd_control"] == pytest.approx(2)


FLOATS = st.lists(st.integers(-50, 50).map(float), min_size=5, max_size=5)


@settings(max_examples=50, deadline=None)
@given(FLOATS, st.sampled_from([0.01, 3.0, 1000.0]), st.sampled_from([-7.0, 0.0, 2.5]))
def test_units_play_no_part(values, factor, shift):
    one, other = compared(values), compared(factor * np.array(values) + shift)
    smd = "standardised_mean_difference"
    assert other[smd] == pytest.approx(one[smd], rel=1e-9, nan_ok=True)
    if not set(values) <= {0, 1}:
        assert other["variance_ratio"] == pytest.approx(one["variance_ratio"], rel=1e-9, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(FLOATS)
def test_exchanging_the_arms_changes_the_sign(values):
    frame = pd.DataFrame({"x": values})
    one, other = balance(frame, TREATED).loc["x"], balance(frame, 1 - TREATED).loc["x"]
    smd = "standardised_mean_difference"
    assert one[smd] == pytest.approx(-other[smd])


def test_categories_become_indicators_of_every_level():
    frame = pd.DataFrame({"n": [1, 2], "grade": pd.Categorical(["B", "A"], ["A", "B", "C"])})
    found = indicators(frame)
    expected = {"n": [1.0, 2.0], "grade[A]": [0.0, 1.0], "grade[B]": [1.0, 0.0], "grade[C]": [0.0, 0.0]}
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected))


def test_weights_count_loans():
    """A loan of weight two is two loans, but for the divisor of the variance."""
    values = pd.DataFrame({"x": [5.0, 7.0, 1.0, 3.0, 5.0], "y": [0.0, 1.0, 1.0, 0.0, 1.0]})
    times = np.array([1, 2, 3, 1, 2])
    rows = np.repeat(np.arange(5), times)
    weighted = balance(values, TREATED, weight=times.astype(float))
    repeated = balance(values.iloc[rows], TREATED[rows])
    for name in ("mean_treated", "mean_control"):
        np.testing.assert_allclose(weighted[name], repeated[name])
    plain, ones = balance(values, TREATED), balance(values, TREATED, weight=np.ones(5))
    np.testing.assert_allclose(ones.to_numpy(float), plain.to_numpy(float))


def arms(seed=1, number=300):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=number), "b": rng.normal(size=number), "c": rng.integers(0, 2, number)})
    return frame, (rng.random(number) < 0.4).astype(int)


def test_distributions_are_compared_as_kolmogorov_and_smirnov_do():
    from scipy.stats import ks_2samp

    frame, treated = arms()
    for name in frame:
        steps = ecdf(frame[name].to_numpy(), treated == 1, np.ones(300))
        one, other = (frame.loc[treated == arm, name] for arm in (1, 0))
        assert (steps["treated"] - steps["control"]).abs().max() == pytest.approx(ks_2samp(one, other).statistic)


def test_weighted_distributions_count_loans():
    frame, treated = arms()
    times = np.random.default_rng(2).integers(0, 3, 300)
    rows = np.repeat(np.arange(300), times)
    values = frame["a"].to_numpy()
    weighted, repeated = (
        quantiles(values, treated == 1, times.astype(float)),
        quantiles(values[rows], treated[rows] == 1, np.ones(len(rows))),
    )
    pd.testing.assert_frame_equal(weighted, repeated)
    sorted_values = np.sort(values[rows][treated[rows] == 1])
    half = sorted_values[int(np.ceil(len(sorted_values) / 2)) - 1]
    assert weighted.loc[weighted["share"] == 0.5, "treated"].item() == half


def test_ratios_of_small_variances_by_hand():
    frame = pd.DataFrame({"x": [0.2, 0.6, 0.1, 0.2, 0.3], "flat": [1.0, 3.0, 2.0, 2.0, 2.0]})
    ratio = balance(frame, np.array([1, 1, 0, 0, 0]))["variance_ratio"]
    # Variances .08 and .01; of a constant there is no ratio.
    assert ratio["x"] == pytest.approx(8) and np.isnan(ratio["flat"])


def test_differences_are_in_roots_of_the_mean_variance_of_both_arms():
    rng = np.random.default_rng(5)
    treated = np.repeat([1, 0], [40, 70])
    values = rng.normal(size=110) * (1 + treated) + treated
    weight = np.where(treated == 1, 1.0, rng.random(110))
    one, other = values[treated == 1], values[treated == 0]
    frame = pd.DataFrame({"x": values})
    # Of the loans before any weighting.
    scale = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    found = balance(frame, treated, balance(frame, treated)["scale"], weight)
    gap = one.mean() - np.average(other, weights=weight[treated == 0])
    assert found.loc["x", "standardised_mean_difference"] == pytest.approx(gap / scale)
