"""Lee bounds against counting by hand, simulated truth, and their own limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from pipeline.runtime.errors import StudyError
from pipeline.stats.bounds import _arms, _bounds, lee_interval, trimmed_means


def lee_bounds(outcome, observed, treated, stratum):
    """The bounds alone, each row a cluster of its own."""
    rows = len(outcome)
    return _bounds(_arms(outcome, observed, treated, stratum, np.arange(rows)), np.ones(rows))


def test_trimming_by_hand():
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert trimmed_means(values, np.ones(5), 0.2) == (2.5, 4.75)
    assert trimmed_means(values, np.ones(5), 0.0) == (4.0, 4.0)
    # Half of the highest is kept: (1 + 2 + 3 + 4 + 10/2) / 4.5, and so at the other end.
    low, high = trimmed_means(values, np.ones(5), 0.1)
    assert low == pytest.approx(15 / 4.5) and high == pytest.approx(19.5 / 4.5)
    # A row that counts twice is two rows.
    doubled = trimmed_means(values, np.array([1.0, 2.0, 1.0, 1.0, 1.0]), 0.25)
    assert doubled == pytest.approx(trimmed_means(np.array([1.0, 2.0, 2.0, 3.0, 4.0, 10.0]), np.ones(6), 0.25))


def test_bounds_by_hand():
    # All ten treated are seen and eight of ten controls: the surplus is a fifth of the treated, two rows.
    outcome = np.array([*range(1, 11), *[3.0] * 8, np.nan, np.nan])
    observed = np.array([1] * 18 + [0] * 2)
    treated = np.repeat([1, 0], 10)
    found = lee_bounds(outcome, observed, treated, np.zeros(20))
    assert found.lower == pytest.approx(np.mean(range(1, 9)) - 3)
    assert found.upper == pytest.approx(np.mean(range(3, 11)) - 3)
    assert found.trimmed == pytest.approx(2 / 18)
    # With the arms exchanged the controls are trimmed, and the bounds change sign and place.
    swapped = lee_bounds(outcome, observed, 1 - treated, np.zeros(20))
    assert (swapped.lower, swapped.upper) == pytest.approx((-found.upper, -found.lower))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_bounds_do_not_hang_on_the_order_of_rows_and_hold_the_difference(seed):
    rng = np.random.default_rng(seed)
    rows = 200
    outcome = rng.integers(0, 3, rows).astype(float)
    observed = (rng.random(rows) < 0.7).astype(int)
    treated, stratum = rng.integers(0, 2, rows), rng.integers(0, 2, rows)
    found = lee_bounds(outcome, observed, treated, stratum)
    order = rng.permutation(rows)
    assert found == pytest.approx(lee_bounds(outcome[order], observed[order], treated[order], stratum[order]))
    assert found.lower <= found.upper + 1e-12


def test_where_all_are_seen_both_bounds_are_the_difference():
    rng = np.random.default_rng(1)
    outcome, treated = rng.normal(size=100), np.tile([0, 1], 50)
    found = lee_bounds(outcome, np.ones(100), treated, np.zeros(100))
    difference = outcome[treated == 1].mean() - outcome[treated == 0].mean()
    assert found.lower == pytest.approx(difference) and found.upper == pytest.approx(difference)
    assert found.trimmed == 0


def world(rng, rows=4000, effect=-0.5):
    """The treatment draws in people who pay worse: the naive comparison sees harm where there is a benefit."""
    treated, cluster = rng.integers(0, 2, rows), rng.integers(0, 40, rows)
    quality = rng.normal(size=rows)
    always = quality > 0
    observed = np.where(always, 1, ((quality > -0.25) & (treated == 1)).astype(int))
    outcome = -2 * quality + effect * treated + rng.normal(size=rows)
    return outcome, observed, treated, cluster


def test_the_truth_lies_between_the_bounds_where_the_naive_comparison_is_wrong():
    rng = np.random.default_rng(4)
    outcome, observed, treated, _ = world(rng, rows=40_000)
    seen = observed == 1
    naive = outcome[seen & (treated == 1)].mean() - outcome[seen & (treated == 0)].mean()
    assert abs(naive + 0.5) > 0.2
    found = lee_bounds(outcome, observed, treated, np.zeros(len(outcome)))
    assert found.lower < -0.5 < found.upper


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(9)
    covered = 0
    for place in range(40):
        outcome, observed, treated, cluster = world(rng, rows=800)
        one = lee_interval(outcome, observed, treated, np.zeros(800), cluster, level=0.9, draws=60, seed=place)
        covered += one.ci_low <= -0.5 <= one.ci_high
    # The truth lies inside the bounds here, so it is covered more often than it must be.
    assert covered >= 33


def test_the_interval_is_two_sided_without_a_gap_and_one_sided_with_a_wide_one():
    rng = np.random.default_rng(5)
    outcome, observed, treated, cluster = world(rng)
    everybody = np.ones(len(outcome))
    point = lee_interval(outcome, everybody, treated, np.zeros(len(outcome)), cluster, level=0.95, draws=99, seed=1)
    half = point.bounds.lower - point.ci_low
    assert half / point.lower_error == pytest.approx(norm.ppf(0.975), rel=1e-6)
    wide = lee_interval(outcome, observed, treated, np.zeros(len(outcome)), cluster, level=0.95, draws=99, seed=1)
    assert (wide.bounds.lower - wide.ci_low) / wide.lower_error == pytest.approx(norm.ppf(0.95), rel=1e-4)
    again = lee_interval(outcome, observed, treated, np.zeros(len(outcome)), cluster, level=0.95, draws=99, seed=1)
    assert wide == again


def test_an_arm_that_nobody_sees_is_refused():
    observed, treated = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    with pytest.raises(StudyError, match="nobody of one arm"):
        lee_bounds(np.arange(4.0), observed, treated, np.zeros(4))
    # Where most draws of clusters leave an arm empty it is refused too, instead of drawing for ever.
    alone, stratum = np.arange(10), np.repeat(np.arange(5), 2)
    with pytest.raises(StudyError, match="most draws"):
        lee_interval(np.arange(10.0), np.ones(10), alone % 2, stratum, alone, level=0.9, draws=20, seed=1)
