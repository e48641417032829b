import pandas as pd
import pytest
from scipy.stats import norm

from pipeline.stats.rates import default_rates, dose_groups, wilson


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
