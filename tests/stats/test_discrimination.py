import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.core.errors import StudyError
from pipeline.stats.discrimination import compare, out_of_time


def made_up(seed, n=80):
    rng = np.random.default_rng(seed)
    default = (rng.random(n) < 0.4).astype(int)
    # Rounded, so that there are ties.
    return default, np.round(default + rng.normal(0, 1.5, n), 1), np.round(default + rng.normal(0, 0.8, n), 1)


def by_definition(default, score):
    """Areas and structural components as DeLong et al. define them: every pair is compared."""
    bad, good = score[default == 1], score[default == 0]
    wins = (bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :])
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_definition(seed):
    default, first, second = made_up(seed)
    found = compare(default, first, second, 0.95)
    (a, a_bad, a_good), (b, b_bad, b_good) = by_definition(default, first), by_definition(default, second)
    assert (found.first.estimate, found.second.estimate) == pytest.approx((a, b))
    assert a == pytest.approx(roc_auc_score(default, first))
    variance = np.var(b_bad - a_bad, ddof=1) / len(a_bad) + np.var(b_good - a_good, ddof=1) / len(a_good)
    assert found.difference.std_error == pytest.approx(variance**0.5)
    alone = np.var(a_bad, ddof=1) / len(a_bad) + np.var(a_good, ddof=1) / len(a_good)
    assert found.first.std_error == pytest.approx(alone**0.5)
    assert found.first.ci_high - found.first.estimate == pytest.approx(1.959964 * alone**0.5, rel=1e-6)


def test_a_score_that_knows_nothing_is_one_half_and_gains_nothing():
    default, first, _ = made_up(1)
    found = compare(default, np.zeros(len(default)), np.zeros(len(default)), 0.95)
    assert found.first.estimate == 0.5
    assert found.difference.estimate == 0
    assert compare(default, first, first, 0.95).difference.std_error == pytest.approx(0, abs=1e-12)


def test_one_kind_of_loan_cannot_be_judged():
    with pytest.raises(StudyError, match="fewer than two"):
        compare(np.ones(9), np.arange(9.0), np.arange(9.0), 0.95)


def test_out_of_time_learns_from_the_training_loans_only():
    rng = np.random.default_rng(3)
    design = rng.normal(size=(4000, 2))
    default = (rng.random(4000) < 1 / (1 + np.exp(2 - 1.5 * design[:, 0]))).astype(int)
    train = np.arange(4000) < 3000
    score = out_of_time(design, default, train, ~train)
    assert len(score) == 1000
    assert roc_auc_score(default[~train], score) > 0.75
    changed = np.where(train, default, 1 - default)
    assert (out_of_time(design, changed, train, ~train) == score).all()
