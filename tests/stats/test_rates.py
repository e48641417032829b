import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm

from pipeline.stats.accuracy import mean_effect
from pipeline.stats.inference import effect
from pipeline.stats.rates import default_rates, dose_groups, on_log_odds, wilson


def rate(defaults, loans, level=0.95):
    default = pd.Series([1] * defaults + [0] * (loans - defaults))
    return default_rates(default, pd.Series("all", default.index), level).loc["all"]


@pytest.mark.parametrize(
    ("defaults", "loans", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_that_newcombe_published(defaults, loans, low, high):
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3 (Wilson's score).
    found = rate(defaults, loans)
    assert (found["ci_low"].round(4), found["ci_high"].round(4)) == (low, high)
    assert found["rate"] == defaults / loans


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_ends_are_the_roots_of_the_score_test(level):
    z, share = norm.ppf(0.5 + level / 2), pd.Series([0.0, 7 / 40, 0.9])
    low, high = wilson(share, pd.Series([40, 40, 40]), level)
    for end in (low, high):
        assert ((share - end) ** 2).tolist() == pytest.approx((z**2 * end * (1 - end) / 40).tolist(), abs=1e-12)
    assert (low <= share).all() and (share < high).all()


def test_groups_keep_their_own_order_and_their_loans():
    default = pd.Series([1, 0, 1, 0, 0])
    group = pd.Series(pd.Categorical(["high", "high", "low", "low", "low"], ["low", "none", "high"]))
    found = default_rates(default, group, 0.95)
    assert found.index.tolist() == ["low", "high"]
    assert found["n"].tolist() == [3, 2]
    assert found["defaults"].tolist() == [1, 1]
    assert found["rate"].tolist() == [1 / 3, 1 / 2]


def test_doses_open_at_their_edges():
    found = dose_groups(pd.Series([0.0, 0.99, 1.0, 2.0, 2.5, 100.0]), [0, 1, 2])
    assert found.tolist() == ["0", "0", "1", "2+", "2+", "2+"]
    assert list(found.cat.categories) == ["0", "1", "2+"]
    assert found.cat.ordered


def test_one_edge_is_one_open_group():
    assert dose_groups(pd.Series([1.0, 5.0]), [1]).tolist() == ["1+", "1+"]


def test_fractions_are_edges_too():
    assert dose_groups(pd.Series([0.1, 0.5]), [0, 0.25]).tolist() == ["0", "0.25+"]


def test_below_the_first_edge_is_no_group():
    found = dose_groups(pd.Series([0.0, 1.0]), [1, 2])
    assert found.isna().tolist() == [True, False]


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
