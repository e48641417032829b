"""Exact tests against other implementations and against shuffling."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import fisher_exact, nchypergeom_fisher

from pipeline.runtime.errors import StudyError
from pipeline.stats.exact import exact_tests, fisher


def test_two_groups_are_fishers_test():
    table = [[3, 17], [9, 11]]
    tests = exact_tests([3, 9], [20, 20], [0, 1])
    assert tests.any_difference == pytest.approx(fisher_exact(table).pvalue)
    lower = fisher_exact(table, alternative="less").pvalue
    assert tests.trend == pytest.approx(2 * lower)
    found = fisher((3, 9), (20, 20), 0.95)
    assert found.p_value == pytest.approx(tests.any_difference)
    assert found.ci_low < found.estimate < found.ci_high


def test_fisher_knows_the_lady_who_tasted_tea():
    """Four cups of each kind, three of four rightly named: R's fisher.test gives 6.408, and p .4857."""
    found = fisher((3, 1), (4, 4), 0.95)
    assert found.estimate == pytest.approx(6.408309, rel=1e-5)
    assert found.p_value == pytest.approx(0.4857143, rel=1e-6)
    # At the interval's ends the table found, or one further out, has half of what the level leaves.
    assert nchypergeom_fisher.sf(2, 8, 4, 4, found.ci_low) == pytest.approx(0.025, rel=1e-4)
    assert nchypergeom_fisher.cdf(3, 8, 4, 4, found.ci_high) == pytest.approx(0.025, rel=1e-4)


def test_three_groups_agree_with_shuffling():
    rng = np.random.default_rng(3)
    events, sizes, scores = [4, 3, 7], [40, 20, 12], [0.0, 1.0, 2.0]
    tests = exact_tests(events, sizes, scores)
    group, outcome = np.repeat([0, 1, 2], sizes), np.zeros(72)
    outcome[: sum(events)] = 1
    draws = np.array([np.bincount(group, rng.permutation(outcome), minlength=3) for _ in range(20_000)])
    summed = draws @ np.array(scores)
    here = np.array(events) @ np.array(scores)
    simulated = 2 * min((summed <= here).mean(), (summed >= here).mean())
    assert tests.trend == pytest.approx(simulated, abs=0.01)
    tables, counts = np.unique(draws, axis=0, return_counts=True)
    of_found = counts[(tables == events).all(axis=1)].item()
    # The share of draws that are no likelier than the table found.
    assert tests.any_difference == pytest.approx(counts[counts <= 1.3 * of_found].sum() / 20_000, abs=0.02)


def test_no_difference_at_all_has_a_p_value_of_one():
    tests = exact_tests([2, 2, 2], [10, 10, 10], [0, 1, 2])
    assert tests == pytest.approx((1.0, 1.0))


def test_a_table_that_is_too_large_is_refused():
    with pytest.raises(StudyError, match="takes too long"):
        exact_tests([3000, 3000, 3000], [5000, 5000, 5000], [0, 1, 2])


def test_small_tables_by_every_way_to_place_the_events():
    events, sizes, scores = [0, 1, 3], [4, 3, 3], np.array([0.0, 1.0, 3.0])
    group = np.repeat([0, 1, 2], sizes)
    tables = np.array([np.bincount(group[list(who)], minlength=3) for who in combinations(range(10), 4)])
    ways = {table: (tables == table).all(axis=1).sum() for table in set(map(tuple, tables.tolist()))}
    here, summed = ways[tuple(events)], tables @ scores
    no_likelier = sum(count for count in ways.values() if count <= here) / len(tables)
    tails = (summed <= scores @ events).mean(), (summed >= scores @ events).mean()
    assert exact_tests(events, sizes, list(scores)) == pytest.approx((no_likelier, 2 * min(tails)))
