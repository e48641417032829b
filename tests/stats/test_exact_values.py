"""Values by hand, by enumeration, or of another implementation, for formulas that simulation would check to a digit."""

import itertools

import numpy as np
import pytest

from pipeline.stats import grading, trend


def test_the_variance_of_a_trend_is_that_of_all_orders():
    # Ties in both; every order of nine loans is as likely as any other without a trend.
    group = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    values = np.array([1, 1, 2, 1, 2, 3, 3, 3])
    found = grading.jonckheere(values, group)
    every = []
    for order in itertools.permutations(range(8)):
        moved = values[list(order)]
        every.append(
            sum(
                (moved[late] > moved[early]) + (moved[late] == moved[early]) / 2
                for early, late in itertools.combinations(range(8), 2)
                if group[early] < group[late]
            )
        )
    assert found.z == pytest.approx((found.statistic - np.mean(every)) / np.std(every), rel=1e-12)


@pytest.mark.parametrize("levels", [2, 4, 500])
def test_both_tests_of_a_trend_agree(levels):
    rng = np.random.default_rng(levels)
    group = rng.integers(0, 5, 300)
    values = np.minimum(rng.integers(0, levels, 300) + group // 2, levels - 1)
    one, other = grading.jonckheere(values, group), trend.jonckheere_terpstra(values, group)
    assert (one.z, one.p_value) == pytest.approx((other.statistic, other.p_value), rel=1e-10)
