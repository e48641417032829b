import numpy as np
import pytest
import statsmodels.api as sm

from pipeline.runtime.errors import StudyError
from pipeline.stats.cross_fitting import assign_folds, hashes
from pipeline.stats.individual import _least_squares, r_learner


def world(loans, seed, differs):
    """Confounded loans; treatment lowers default by eight points on average, by more where x is high if it differs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(loans, 4))
    treated = (rng.random(loans) < 1 / (1 + np.exp(-0.8 * x[:, 1]))).astype(int)
    effect = -0.08 + 0.08 * differs * -np.sign(x[:, 0])
    risk = 0.3 + 0.08 * np.clip(x[:, 1], -2, 2) + effect * treated
    return x, treated, (rng.random(loans) < risk).astype(int), effect


def learnt(loans, seed, differs):
    x, treated, default, effect = world(loans, seed, differs)
    names = np.arange(loans).astype(str)
    half = assign_folds(hashes(names, "half"), 2 * treated + default, 2).astype(bool)
    fold = assign_folds(hashes(names, "fold"), 2 * treated + default, 2)
    return r_learner(x, treated, default, half, fold, names, 0.95), effect[half]


def test_planted_differences_of_effects_are_found():
    found, truth = learnt(16_000, 1, differs=True)
    assert np.corrcoef(found.prediction, truth)[0, 1] > 0.8
    assert found.calibration.ci_low > 0.4
    assert found.average.estimate == pytest.approx(-0.08, abs=2.5 * found.average.std_error)
    assert found.thirds["lowest"].ci_high < -0.1 < -0.05 < found.thirds["highest"].ci_high
    assert found.highest_against_lowest.ci_low > 0.05


@pytest.mark.long
def test_absent_differences_are_seen_at_the_level_of_the_test():
    found = [learnt(1500, seed, differs=False)[0] for seed in range(6)]
    claimed = sum(one.calibration.ci_low > 0 for one in found)
    # One in forty is expected; two or more of six happen once in a hundred times.
    assert claimed <= 1
    assert np.mean([one.average.estimate for one in found]) == pytest.approx(-0.08, abs=0.035)


def test_the_errors_of_the_judging_regressions_are_those_of_statsmodels():
    rng = np.random.default_rng(2)
    x, y, weights, clusters = (
        rng.normal(size=(200, 2)),
        rng.normal(size=200),
        rng.uniform(1, 3, 200),
        np.arange(200) % 13,
    )
    slopes, variance = _least_squares(x, y, weights, clusters)
    theirs = sm.WLS(y, x, weights=weights).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert slopes == pytest.approx(theirs.params)
    assert variance == pytest.approx(theirs.cov_params(), rel=1e-8)


def test_what_is_learnt_does_not_see_the_held_out_loans():
    x, treated, default, _ = world(2000, 5, differs=True)
    names, half = np.arange(2000).astype(str), np.arange(2000) % 2 == 0
    fold = (np.arange(2000) // 2) % 2
    first = r_learner(x, treated, default, half, fold, names, 0.95)
    other = np.where(half, 1 - default, default)
    assert (r_learner(x, treated, other, half, fold, names, 0.95).prediction == first.prediction).all()


def test_a_half_without_an_arm_is_said():
    x, treated, default, _ = world(100, 6, differs=False)
    with pytest.raises(StudyError, match="both halves"):
        r_learner(x, treated, default, treated == 1, np.zeros(100, dtype=int), np.arange(100), 0.95)
