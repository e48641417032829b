import itertools

import numpy as np
import pytest
from scipy import stats

from pipeline.runtime.errors import StudyError
from pipeline.stats.trend import cochran_armitage, jonckheere_terpstra, ordered_groups


def test_cochran_armitage_on_the_textbooks_malformations():
    # Agresti, Categorical Data Analysis, infants by mother's drinking: X-squared 6.6 on one degree, p .010.
    score = np.repeat([0, 0.5, 1.5, 4, 7], [17114, 14502, 793, 127, 38])
    counts = [(17066, 48), (14464, 38), (788, 5), (126, 1), (37, 1)]
    outcome = np.concatenate([np.repeat([0, 1], pair) for pair in counts])
    found = cochran_armitage(outcome, score)
    assert found.statistic > 0
    assert found.statistic**2 == pytest.approx(6.57, abs=0.005)
    assert found.p_value == pytest.approx(0.010, abs=0.0005)


def test_cochran_armitage_by_its_own_formula():
    bad, size, score = np.array([12, 9, 4]), np.array([60, 70, 80]), np.array([0, 1, 2])
    outcome = np.concatenate([np.repeat([1, 0], [b, n - b]) for b, n in zip(bad, size, strict=True)])
    p, n = bad.sum() / size.sum(), size.sum()
    top = (score * (bad - size * p)).sum()
    variance = p * (1 - p) * ((size * score**2).sum() - (size * score).sum() ** 2 / n)
    assert cochran_armitage(outcome, np.repeat(score, size)).statistic == pytest.approx(top / variance**0.5)


def test_jonckheere_terpstra_of_two_groups_is_mann_and_whitneys():
    rng = np.random.default_rng(3)
    groups, outcome = rng.integers(0, 2, 200), rng.poisson(2, 200)
    other = stats.mannwhitneyu(outcome[groups == 1], outcome[groups == 0], use_continuity=False, method="asymptotic")
    found = jonckheere_terpstra(outcome + groups, groups)
    assert found.statistic > 2
    assert jonckheere_terpstra(outcome, groups).p_value == pytest.approx(other.pvalue, rel=1e-9)


def test_jonckheere_terpstra_of_a_yes_or_no_outcome_is_mann_and_whitneys_of_the_groups():
    rng = np.random.default_rng(4)
    groups = rng.integers(0, 5, 300)
    outcome = (rng.random(300) < 0.2 + 0.1 * groups).astype(int)
    other = stats.mannwhitneyu(groups[outcome == 1], groups[outcome == 0], use_continuity=False, method="asymptotic")
    assert jonckheere_terpstra(outcome, groups).p_value == pytest.approx(other.pvalue, rel=1e-9)


def test_jonckheere_terpstra_has_the_mean_and_variance_of_all_orders():
    groups, outcome = np.array([0, 0, 1, 1, 2, 2, 2]), np.array([1, 1, 2, 3, 3, 3, 4])

    def count(values):
        return sum(
            (values[j] > values[i]) + (values[j] == values[i]) / 2
            for i, j in itertools.combinations(range(7), 2)
            if groups[i] < groups[j]
        )

    every = np.array([count(order) for order in itertools.permutations(outcome)])
    found = jonckheere_terpstra(outcome, groups).statistic
    assert found == pytest.approx((count(outcome) - every.mean()) / every.std())


def test_groups_keep_equal_values_together():
    assert ordered_groups(np.array([3, 1, 1, 9]), 3).tolist() == [1, 0, 0, 2]
    values = np.array([0.0] * 70 + list(range(1, 31)))
    groups = ordered_groups(values, 5)
    assert len({*groups[:70]}) == 1
    assert sorted({*groups}) == list(range(groups.max() + 1))
    assert (np.diff(groups[np.argsort(values)]) >= 0).all()
    assert np.bincount(ordered_groups(np.arange(1000.0), 5)).tolist() == [200] * 5
    # A group ends with the value that holds its share, and the largest value may stand alone.
    assert ordered_groups(np.array([1, 2, 3, 3, 3, 3]), 2).tolist() == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("values", [[1] * 95 + [2, 3, 4, 5, 6, 7], [7] * 95 + [1, 2, 3, 4, 5, 6]])
def test_a_value_that_most_rows_share_is_not_the_only_group(values):
    assert sorted({*ordered_groups(np.array(values), 5)}) == [0, 1]


def test_small_groups_join_their_neighbours():
    values = np.repeat([1, 2, 3, 4, 5], [2, 40, 40, 5, 6])
    assert ordered_groups(values, 10, smallest=30).tolist() == [0] * 42 + [1] * 51
    assert ordered_groups(np.arange(5), 10, smallest=30).tolist() == [0] * 5


def test_what_does_not_vary_has_no_trend():
    with pytest.raises(StudyError, match="two groups"):
        cochran_armitage(np.array([0, 1]), np.array([1, 1]))
    with pytest.raises(StudyError, match="varies"):
        jonckheere_terpstra(np.ones(4), np.array([0, 0, 1, 1]))
