import itertools

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from pipeline.core.errors import StudyError
from pipeline.stats import grading


def brute(values, group):
    """Count pairs of different groups in order, ties half."""
    return sum(
        (b > a) + (a == b) / 2 for (a, g), (b, h) in itertools.permutations(zip(values, group, strict=True), 2) if g < h
    )


@pytest.mark.parametrize("levels", [2, 4, 1_000])
def test_the_statistic_by_counting_and_its_moments_by_shuffling(levels):
    rng = np.random.default_rng(levels)
    group = np.repeat([0, 1, 2, 3], [9, 14, 6, 11])
    values = rng.integers(0, levels, 40) + 0.0
    found = grading.jonckheere(values, group)
    assert found.statistic == brute(values, group)
    drawn = np.array([grading.jonckheere(rng.permutation(values), group).statistic for _ in range(3_000)])
    error = (found.statistic - drawn.mean()) / drawn.std()
    assert found.z == pytest.approx(error, abs=0.08)
    assert grading.jonckheere(values, -group).z == pytest.approx(-found.z)


def test_two_groups_are_the_test_of_mann_and_whitney():
    rng = np.random.default_rng(3)
    values, group = rng.integers(0, 5, 60), rng.integers(0, 2, 60)
    theirs = mannwhitneyu(values[group == 1], values[group == 0], use_continuity=False, method="asymptotic")
    found = grading.jonckheere(values, group)
    assert found.statistic == theirs.statistic
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_one_group_or_one_value_has_no_trend():
    for values, group in (([1, 0, 1], [2, 2, 2]), ([1, 1, 1], [0, 1, 2])):
        with pytest.raises(StudyError, match="two groups"):
            grading.jonckheere(np.array(values), np.array(group))


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
