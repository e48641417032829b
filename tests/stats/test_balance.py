import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
