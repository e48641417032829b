import itertools

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from pipeline.runtime.errors import StudyError
from pipeline.stats import grading
from pipeline.stats.discrimination import compare


def brute(values, group):
    """Count pairs of different groups in order, ties half."""
    return sum(
        (b > a) + (a == b) / 2 for (a, g), (b, h) in itertools.permutations(zip(values, group, strict=True), 2) if g < h
    )


def test_a_trend_counts_the_pairs_of_jonckheere_and_terpstra():
    rng = np.random.default_rng(3)
    group = rng.integers(0, 4, 80)
    default = (rng.random(80) < 0.2 + 0.15 * group).astype(float)
    bad, good = default.sum(), 80 - default.sum()
    sizes = np.bincount(group)
    centred = brute(default, group) - (80**2 - (sizes**2).sum()) / 4
    wins = mannwhitneyu(group[default == 1], group[default == 0]).statistic
    # Pairs inside a group take no part in the one, and count half in the other.
    assert centred == pytest.approx(wins - bad * good / 2)
    found = grading.trend(default, group, 0.95, None)
    area = roc_auc_score(default, group)
    single = compare(default, group, group, 0.95).first
    assert found.estimate == pytest.approx((area - 0.5) / single.std_error) and found.estimate > 2
    assert found.p_value == pytest.approx(2 * norm.sf(found.estimate), rel=1e-9)
    assert grading.trend(default, -group, 0.95, None).estimate == pytest.approx(-found.estimate)


def test_a_trend_by_cluster_holds_its_level():
    rejected = np.zeros(2)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(30), 20)
        of_cluster = rng.normal(0, 1.5, (2, 30))
        group = np.digitize(of_cluster[0][clusters] + rng.normal(0, 0.5, 600), [-1, 0, 1])
        default = (rng.random(600) < 1 / (1 + np.exp(1 - of_cluster[1][clusters]))).astype(float)
        rejected += [grading.trend(default, group, 0.95, labels).p_value < 0.05 for labels in (clusters, None)]
    assert rejected[0] / 300 < 0.09 < 0.3 < rejected[1] / 300


def test_one_group_or_one_value_has_no_trend():
    for values, group in (([1, 0, 1, 0], [2, 2, 2, 2]), ([1, 1, 1, 1], [0, 1, 2, 2])):
        with pytest.raises(StudyError, match=r"two groups|fewer than two"):
            grading.trend(np.array(values), np.array(group), 0.95, None)


@pytest.mark.parametrize(
    ("low", "high"),
    [(200501.0, 200502.0), (20050131.0, 20050201.0), (0.1 + 0.2, 0.30000000000000010), (1.0, 2.0), (1e15, 1e15 + 1)],
)
def test_a_cut_parts_what_it_stands_between(low, high):
    for near in (low, low / 2 + high / 2, high):
        assert low <= grading.between(low, high, near) < high
    assert grading.between(1.0, 2.0, 1.5) == 1.5 and grading.between(0.0, 1.0, 1 / 3) == 0.333333


def test_loans_at_a_cut_stand_on_the_safer_side_however_it_is_rounded():
    # Few probabilities, as of a scorecard; at six digits .1234561 is .123456, below the loans that it is of.
    share = np.repeat([0.05, 0.1234561, 0.4000004], [30, 50, 20])
    cuts = grading.cut_points(share, [0.3, 0.8])
    assert np.bincount(grading.group_of(share, cuts)).tolist() == [30, 50, 20]
    with pytest.raises(StudyError, match="1 of 2 loans have no score"):
        grading.group_of(np.array([0.1, np.nan]), cuts)
    with pytest.raises(StudyError, match="no score"):
        grading.cut_points(np.array([0.1, np.nan]), [0.5])


def test_cuts_hold_the_shares_that_were_asked_for():
    rng = np.random.default_rng(5)
    share = rng.beta(1, 9, 20_000)
    cuts = grading.cut_points(share, [0.1, 0.5, 0.9])
    assert np.bincount(grading.group_of(share, cuts)) / 20_000 == pytest.approx([0.1, 0.4, 0.4, 0.1], abs=1e-3)
    # Loans that stand for others count as often.
    doubled = grading.cut_points(np.array([0.1, 0.2, 0.3]), [0.5], np.array([1.0, 1.0, 8.0]))
    assert doubled == [0.3]
    assert grading.cut_points(np.full(50, 0.2), [0.2, 0.8]) == [0.2]


def test_steps_and_moves():
    assert grading.steps_down([1, 2, 1.5, 3, 2.9]) == 2
    found = grading.migration(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3)
    assert found.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 0]]


def test_destinations_by_hand():
    # One loan moves and stays, one defaults in its third month, one is repaid after its second.
    loan = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    month = np.array([1, 2, 3, 4, 1, 2, 3, 1, 2])
    grade = np.array([0, 1, 1, 0, 2, 2, 3, 1, 1])
    default = np.where(loan == 1, 3, 0)
    gone, bad = grading.ENDED, grading.DEFAULTED
    assert grading.destination(grade, loan, month, default, 1).tolist() == [1, 1, 0, gone, 2, 3, bad, 1, gone]
    assert grading.destination(grade, loan, month, default, 3).tolist()[0::4] == [0, bad, gone]
    # A month that is not on record is no later month.
    gap = grading.destination(np.array([0, 1]), np.array([0, 0]), np.array([1, 3]), np.zeros(2), 1)
    assert gap.tolist() == [gone, gone]


def test_the_order_of_groups_is_scikit_learns_area():
    draw = np.random.default_rng(3)
    group = draw.integers(1, 4, 400)
    default = (draw.random(400) < 0.1 * group).astype(float)
    clusters = draw.integers(0, 40, 400)
    found = grading.order(default, group, 0.95, clusters)
    assert found.estimate == pytest.approx(roc_auc_score(default, group), abs=1e-10)
    assert found.ci_low < found.estimate < found.ci_high
