import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import t

from pipeline.runtime.errors import StudyError
from pipeline.stats.synthesis import random_effects

# Seven trials' log odds ratios and standard errors, made up.
ESTIMATES = np.array([-0.42, -0.10, 0.05, -0.61, -0.33, 0.21, -0.28])
ERRORS = np.array([0.18, 0.12, 0.20, 0.25, 0.10, 0.22, 0.15])


def by_hand(y, s):
    def excess(tau2):
        w = 1 / (s**2 + tau2)
        return (w * (y - (w * y).sum() / w.sum()) ** 2).sum() - (len(y) - 1)

    tau2 = brentq(excess, 0, 10) if excess(0) > 0 else 0.0
    w = 1 / (s**2 + tau2)
    mean = (w * y).sum() / w.sum()
    knapp = (w * (y - mean) ** 2).sum() / (len(y) - 1) / w.sum()
    return mean, max(knapp, 1 / w.sum()) ** 0.5, tau2


def test_agrees_with_the_equations():
    mean, error, tau2 = by_hand(ESTIMATES, ERRORS)
    found = random_effects(ESTIMATES, ERRORS, 0.95)
    assert found.effect.estimate == pytest.approx(mean, abs=1e-5)
    assert found.effect.std_error == pytest.approx(error, abs=1e-5)
    assert found.between == pytest.approx(tau2**0.5, abs=1e-4)
    assert found.effect.ci_high - found.effect.estimate == pytest.approx(t.ppf(0.975, 6) * error, abs=1e-4)
    reach = t.ppf(0.975, 5) * (tau2 + error**2) ** 0.5
    assert found.prediction == pytest.approx((mean - reach, mean + reach), abs=1e-3)
    assert found.weights == pytest.approx(1 / (tau2 + ERRORS**2) / (1 / (tau2 + ERRORS**2)).sum(), abs=1e-4)
    w = 1 / ERRORS**2
    q = (w * (ESTIMATES - (w * ESTIMATES).sum() / w.sum()) ** 2).sum()
    assert found.heterogeneity == pytest.approx(1 - 6 / q, abs=1e-9)


def test_like_studies_show_no_heterogeneity_and_keep_the_classical_error():
    found = random_effects(np.array([0.2, 0.2, 0.2]), np.array([0.1, 0.1, 0.1]), 0.95)
    assert (found.between, found.heterogeneity, found.p_heterogeneity) == (0, 0, 1)
    assert found.effect.std_error == pytest.approx(0.1 / 3**0.5)


def test_the_order_of_studies_plays_no_part():
    shuffled = np.random.default_rng(1).permutation(len(ESTIMATES))
    one, other = random_effects(ESTIMATES, ERRORS, 0.9), random_effects(ESTIMATES[shuffled], ERRORS[shuffled], 0.9)
    assert np.allclose(one.effect, other.effect)


def test_one_study_cannot_be_pooled():
    with pytest.raises(StudyError, match="at least two studies"):
        random_effects(np.array([0.1]), np.array([0.1]), 0.95)
