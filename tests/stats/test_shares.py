import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from pipeline.stats.accuracy import mean_effect
from pipeline.stats.inference import effect
from pipeline.stats.shares import on_log_odds


def test_the_interval_of_a_share_is_that_of_a_logistic_regression_on_nothing():
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(40), 25)
    values = (rng.random(1000) < expit(-3 + rng.normal(size=40)[clusters])).astype(float)
    weights = np.ones(1000)
    found = on_log_odds(mean_effect(values, weights, 0.95, clusters))
    # Of 40 clusters of one size the error has 39 degrees of freedom.
    by_cluster = {"cov_type": "cluster", "cov_kwds": {"groups": clusters, "df_correction": True}, "use_t": True}
    fit = sm.Logit(values, np.ones(1000)).fit(disp=False, tol=1e-12, **by_cluster)
    assert found.estimate == pytest.approx(expit(fit.params[0]))
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expit(fit.conf_int()[0])), rel=1e-6)


@pytest.mark.parametrize("whole", [1.0, 100.0])
def test_an_interval_of_a_share_never_leaves_nought_and_all(whole):
    for share, error in ((0.283, 0.14), (0.001, 0.01), (0.999, 0.3), (0.5, 1e9)):
        wide = effect(share * whole, error * whole, 0.95, 1)
        assert wide.ci_low < 0 or wide.ci_high > whole
        found = on_log_odds(wide, whole)
        assert 0 <= found.ci_low < found.estimate < found.ci_high <= whole
        assert (found.estimate, found.std_error, found.p_value) == (wide.estimate, wide.std_error, wide.p_value)
        assert on_log_odds(effect(share, 1e-6, 0.95)).ci_low == pytest.approx(share - 1.96e-6, abs=1e-8)


def test_what_has_no_error_or_is_all_keeps_its_interval():
    for found in (effect(0.3, np.nan, 0.95), effect(1.0, 0.1, 0.95), effect(0.0, 0.1, 0.95), effect(1.4, 0.1, 0.95)):
        assert str(on_log_odds(found)) == str(found)
