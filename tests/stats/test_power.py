"""Minimum detectable effects against simulated power."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.stats.power import (
    design_effect,
    detectable_rates,
    loans_for_equivalence,
    loans_needed,
    minimum_detectable,
)


def test_at_the_usual_choices_it_is_two_point_eight_errors():
    assert minimum_detectable(1.0, 0.95, 0.8) == pytest.approx(2.8016, abs=1e-4)


def test_an_effect_of_that_size_is_found_as_often_as_asked():
    rng = np.random.default_rng(1)
    effect = minimum_detectable(0.3, 0.9, 0.7)
    found = np.abs(rng.normal(effect, 0.3, 40_000) / 0.3) > norm.ppf(0.95)
    assert found.mean() == pytest.approx(0.7, abs=0.01)


def test_rates_at_the_edge_are_told_apart_as_often_as_asked():
    rng = np.random.default_rng(2)
    low, high = detectable_rates(0.2, 800, 400, 0.95, 0.8)
    assert low < 0.2 < high
    for rate in (low, high):
        one, other = rng.binomial(400, rate, 20_000) / 400, rng.binomial(800, 0.2, 20_000) / 800
        pooled = (400 * one + 800 * other) / 1200
        z = (one - other) / np.sqrt(pooled * (1 - pooled) * (1 / 400 + 1 / 800))
        assert (np.abs(z) > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.015)


def test_where_not_even_no_event_is_far_enough_there_is_no_number():
    low, high = detectable_rates(0.05, 100, 20, 0.95, 0.8)
    assert math.isnan(low) and 0.05 < high < 1


def test_the_loans_that_are_needed_detect_the_rate():
    arm = loans_needed(0.1, 0.08, 0.95, 0.8)
    low, _ = detectable_rates(0.1, round(arm), round(arm), 0.95, 0.8)
    assert low == pytest.approx(0.08, abs=1e-3)
    assert loans_needed(0.1, 0.09, 0.95, 0.8) > 3 * arm


def test_equal_rates_are_shown_to_be_within_the_margin_as_often_as_asked():
    from statsmodels.stats.proportion import _power_ztost

    rng = np.random.default_rng(5)
    for rate, share, level, power in ((0.1, 0.2, 0.95, 0.8), (0.4, 0.1, 0.9, 0.6)):
        margin = rate * share
        arm = round(loans_for_equivalence(rate, margin, level, power))
        one, other = rng.binomial(arm, rate, (2, 40_000)) / arm
        half = norm.ppf(0.5 + level / 2) * np.sqrt((one * (1 - one) + other * (1 - other)) / arm)
        assert (np.abs(one - other) + half < margin).mean() == pytest.approx(power, abs=0.015)
        # Two one-sided tests at half of what the level leaves, by statsmodels.
        spread = 2 * rate * (1 - rate) / arm
        known, _ = _power_ztost(
            -margin, spread, margin, spread, 0, spread, alpha=(1 - level) / 2, discrete=False, nobs=arm
        )
        assert known == pytest.approx(power, abs=2e-3)
    # A third more than detecting the margin, where the rates hardly differ.
    more = loans_for_equivalence(0.1, 0.001, 0.95, 0.8) / loans_needed(0.1, 0.099, 0.95, 0.8)
    assert more == pytest.approx(10.51 / 7.85, rel=0.01)


def test_a_design_effect_is_the_variance_of_groups():
    draw = np.random.default_rng(4)
    size, correlation, groups = 20, 0.1, 4000
    common = draw.normal(0, correlation**0.5, (groups, 1))
    values = common + draw.normal(0, (1 - correlation) ** 0.5, (groups, size))
    # The variance of a group's mean against that of as many independent values.
    assert values.mean(axis=1).var() * size == pytest.approx(design_effect(size, correlation), rel=0.06)
    assert design_effect(1, correlation) == 1
