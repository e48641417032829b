import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.outliers_influence import variance_inflation_factor

from pipeline.stats.correlation import adjusted, holm, orthonormal, partial, pearson, spearman, variance_inflation


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(5)
    messages = rng.poisson(1, 300).astype(float)
    score, income = rng.normal(size=300) - 0.3 * messages, rng.normal(size=300)
    default = (rng.random(300) < 1 / (1 + np.exp(1 - 0.4 * messages + score))).astype(float)
    return pd.DataFrame({"messages": messages, "score": score, "income": income, "default": default})


def closed_form(r, variance, level):
    """Interval and p-value of a correlation by Fisher's transformation."""
    half = stats.norm.ppf(0.5 + level / 2) * variance**0.5
    z = np.arctanh(r)
    return np.tanh(z - half), np.tanh(z + half), 2 * stats.norm.sf(abs(z) / variance**0.5)


def test_pearson_is_scipys_with_its_interval(loans):
    found = pearson(loans["messages"].to_numpy(), loans["default"].to_numpy(), 0.9)
    other = stats.pearsonr(loans["messages"], loans["default"])
    assert found.estimate == pytest.approx(other.statistic, abs=1e-12)
    assert (found.ci_low, found.ci_high) == pytest.approx(other.confidence_interval(0.9), abs=1e-12)


def test_with_a_default_it_is_the_point_biserial_one(loans):
    found = pearson(loans["messages"].to_numpy(), loans["default"].to_numpy(), 0.95)
    assert found.estimate == pytest.approx(stats.pointbiserialr(loans["default"], loans["messages"]).statistic)


def test_pearsons_error_and_p_value_in_closed_form(loans):
    found = pearson(loans["messages"].to_numpy(), loans["default"].to_numpy(), 0.95, controls=4)
    assert found[2:] == pytest.approx(closed_form(found.estimate, 1 / (300 - 4 - 3), 0.95), abs=1e-12)
    assert found.std_error == pytest.approx((1 - found.estimate**2) / 293**0.5)


def test_the_error_of_a_weighted_sample_is_that_of_the_infinitesimal_jackknife(loans):
    x, y, weights = loans["messages"].to_numpy(), loans["score"].to_numpy(), np.random.default_rng(1).gamma(2, 1, 300)

    def weighted(w):
        cov = np.cov(x, y, aweights=w)
        return cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])

    found = pearson(x, y, 0.95, 1, weights)
    assert found.estimate == pytest.approx(weighted(weights), abs=1e-12)
    # What a loan counts for: how the correlation moves with its weight, by differences.
    step = 1e-4 * np.diag(weights)
    influence = [(weighted(weights + one) - weighted(weights - one)) / 2e-4 for one in step]
    variance = np.sum(np.square(influence)) * 300 / (300 - 1 - 3)
    assert found.std_error == pytest.approx(variance**0.5, rel=1e-6)
    assert found[2:] == pytest.approx(
        closed_form(found.estimate, variance / (1 - found.estimate**2) ** 2, 0.95), rel=1e-6
    )


def test_spearman_is_scipys_with_the_interval_of_bonett_and_wright(loans):
    found = spearman(loans["messages"].to_numpy(), loans["default"].to_numpy(), 0.95)
    r = stats.spearmanr(loans["messages"], loans["default"]).statistic
    assert found.estimate == pytest.approx(r, abs=1e-12)
    assert found[2:] == pytest.approx(closed_form(r, (1 + r**2 / 2) / 297, 0.95), abs=1e-12)


def given(r, x, y, z):
    """The textbook recursion: correlation of x and y given z, from those without it."""
    return (r[x, y] - r[x, z] * r[y, z]) / np.sqrt((1 - r[x, z] ** 2) * (1 - r[y, z] ** 2))


def test_partial_is_the_textbook_recursion(loans):
    names = ["messages", "default", "score", "income"]
    r = np.corrcoef(loans[names].to_numpy().T)
    one = np.column_stack([np.ones(300), loans["score"]])
    found = partial(loans[["messages"]], loans["default"], orthonormal(one), 0.95)["messages"]
    assert found.estimate == pytest.approx(given(r, 0, 1, 2), abs=1e-12)
    assert found[2:] == pytest.approx(closed_form(found.estimate, 1 / (300 - 1 - 3), 0.95), abs=1e-12)

    # And again, given the second control.
    within = {(x, y): given(r, x, y, 2) for x in (0, 1, 3) for y in (0, 1, 3) if x != y}
    two = np.column_stack([one, loans["income"]])
    found = partial(loans[["messages"]], loans["default"], orthonormal(two), 0.95)["messages"]
    assert found.estimate == pytest.approx(given(within, 0, 1, 3), abs=1e-12)


def test_partial_is_the_correlation_of_residuals(loans):
    controls = np.column_stack([np.ones(300), loans["score"], loans["score"] ** 2, loans["income"]])

    def rest(name):
        fitted = np.linalg.lstsq(controls, loans[name].to_numpy(), rcond=None)[0]
        return loans[name] - controls @ fitted

    both = loans[["messages", "income"]].assign(income=loans["income"] ** 2)
    found = partial(both, loans["default"], orthonormal(controls), 0.95)
    assert list(found) == ["messages", "income"]
    assert found["messages"].estimate == pytest.approx(
        stats.pearsonr(rest("messages"), rest("default")).statistic, abs=1e-12
    )


def test_partial_without_controls_is_pearson(loans):
    found = partial(loans[["messages"]], loans["default"], orthonormal(np.ones((300, 1))), 0.95)["messages"]
    expected = pearson(loans["messages"].to_numpy(), loans["default"].to_numpy(), 0.95)
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # 12 loans and 3 controls: an interval that forgot them (variance 1/9, not 1/6) would cover 89% of the time.
    # 1,000 draws give the share a standard error of 0.7 points; 4 of them are 2.8.
    rng = np.random.default_rng(11)
    truth, covered = 0.5, 0
    for _ in range(1000):
        controls = np.column_stack([np.ones(12), rng.normal(size=(12, 3))])
        shared = controls @ [0, 1, -1, 2]
        x = rng.normal(size=12)
        y = truth * x + np.sqrt(1 - truth**2) * rng.normal(size=12)
        found = partial(pd.DataFrame({"x": x + shared}), pd.Series(y - shared), orthonormal(controls), 0.95)["x"]
        covered += found.ci_low <= truth <= found.ci_high
    assert abs(covered / 1000 - 0.95) < 0.028


def test_holm_by_hand():
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04; none may be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_rows_without_a_test_are_not_of_the_family():
    rows = [{"p_value": 0.01}, {"note": "not estimated"}, {"p_value": 0.04}, {"p_value": float("nan")}]
    found = adjusted(rows)
    assert [row.get("p_adjusted") for row in found] == [pytest.approx(0.02), None, pytest.approx(0.04), None]
    assert "p_adjusted" not in rows[0] and adjusted([{"note": "nothing"}]) == [{"note": "nothing"}]


def test_holm_ends_at_one_and_leaves_a_lone_test_alone():
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([0.04]) == pytest.approx([0.04])


def test_one_basis_serves_every_rung(loans):
    controls = np.column_stack([np.ones(300), loans["score"], loans["income"]])
    weights = np.where(loans["default"] == 1, 2.0, 5.0)
    for w in (None, weights):
        basis = orthonormal(controls, w)
        for columns in (1, 2, 3):
            found = partial(loans[["messages"]], loans["default"], basis[:, :columns], 0.95, w)["messages"]
            own = orthonormal(controls[:, :columns], w)
            expected = partial(loans[["messages"]], loans["default"], own, 0.95, w)["messages"]
            assert found == pytest.approx(expected, abs=1e-12)


def test_variance_inflation_is_statsmodels(loans):
    both = np.column_stack([np.ones(300), loans["score"], loans["income"], loans["messages"]])
    found = variance_inflation(loans["messages"].to_numpy(), orthonormal(both[:, :3]))
    assert found == pytest.approx(variance_inflation_factor(both, 3))
    assert np.isinf(variance_inflation(3 - 2 * loans["score"].to_numpy(), orthonormal(both[:, :3])))
