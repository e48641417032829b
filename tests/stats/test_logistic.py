"""The one logistic engine against statsmodels and scikit-learn, with every choice that it has."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from pipeline.runtime.errors import StudyError
from pipeline.stats import inference, logistic


@pytest.fixture
def loans():
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(800), rng.normal(size=800), 1000 * rng.random(800), rng.random(800) < 0.1])
    y = (rng.random(800) < logistic.sigmoid(x @ [-3, 0.5, 0.001, 1])).astype(float)
    return x, y, rng.integers(1, 5, 800).astype(float), rng.normal(size=800)


def test_weights_and_offset_are_those_of_a_generalised_linear_model(loans):
    x, y, weights, offset = loans
    found = logistic.maximum(x, y, weights, offset=offset)
    fit = sm.GLM(y, x, sm.families.Binomial(), freq_weights=weights, offset=offset).fit(tol=1e-13)
    assert found.slopes == pytest.approx(fit.params, rel=1e-8)
    assert found.probability == pytest.approx(fit.fittedvalues, rel=1e-8)
    assert np.sqrt(np.diag(found.bread)) == pytest.approx(fit.bse, rel=1e-8)


def test_many_rows_begin_from_the_maximum_of_one_in_ten(loans):
    x, y, weights, _ = (np.tile(one.T, 3).T for one in loans)
    some = slice(None, None, 10)
    fit = sm.GLM(y[some], x[some], sm.families.Binomial(), freq_weights=weights[some]).fit(tol=1e-13)
    near = logistic.nearly(x, y, weights)
    assert near == pytest.approx(fit.params, rel=1e-8)
    from_nought = logistic.maximum(x, y, weights)
    assert logistic.maximum(x, y, weights, start=near).slopes == pytest.approx(from_nought.slopes, rel=1e-9)
    # Where one in ten has no event, nothing better than the beginning is known.
    y[some] = 0
    assert logistic.nearly(x, y, weights) is None


def test_the_ridge_is_that_of_scikit_learn(loans):
    x, y, weights, _ = loans
    standard = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    standard[:, 0] = 1
    theirs = LogisticRegression(C=0.2, tol=1e-12, max_iter=1000).fit(standard[:, 1:], y, weights)
    found = logistic.maximum(standard, y, weights, ridge=np.array([0, 5, 5, 5.0]))
    assert found.slopes == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-5)
    theirs = LogisticRegression(C=1.0, tol=1e-12, max_iter=1000).fit(standard[:, 1:], y, weights)
    for many in (10, 10_000):
        intercept, slopes = logistic.penalised(standard[:, 1:], y, weights, many=many)
        assert [intercept, *slopes] == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-5)


def test_the_sandwich_is_that_of_statsmodels(loans):
    x, y, *_ = loans
    clusters = np.arange(800) % 37
    found = logistic.maximum(x, y)
    errors = np.sqrt(np.diag(inference.sandwich(found.bread, x, y - found.probability, clusters)))
    fit = sm.Logit(y, x).fit(disp=0, method="newton", tol=1e-13, cov_type="cluster", cov_kwds={"groups": clusters})
    assert errors == pytest.approx(fit.bse, rel=1e-8)
    one = inference.effect(found.slopes[3], errors[3], 0.95)
    assert inference.as_ratio(one)[2:4] == pytest.approx(np.exp(fit.conf_int()[3]), rel=1e-8)


def test_where_to_begin_changes_nothing(loans, monkeypatch):
    x, y, weights, _ = loans
    plain = logistic.maximum(x, y, weights)
    assert logistic.maximum(x, y, weights, start=np.array([5.0, -3, 0.01, 4])).slopes == pytest.approx(plain.slopes)
    before = logistic.predicted_log_odds(x[:, 1:], y, x[:, 1:], weights)
    monkeypatch.setattr(logistic, "MANY", 10)
    assert logistic.predicted_log_odds(x[:, 1:], y, x[:, 1:], weights) == pytest.approx(before, abs=1.1e-6)


def test_there_is_no_maximum_where_a_column_separates_or_two_agree(loans):
    x, y, *_ = loans
    assert logistic.maximum(np.column_stack([x, y]), y) is None
    assert logistic.maximum(np.column_stack([x, x[:, 1]]), y) is None
    with pytest.raises(StudyError, match="nobody defaults"):
        logistic.penalised(x, np.zeros(800))


def test_scores_rank_loans_that_taught_nothing():
    rng = np.random.default_rng(3)
    design = rng.normal(size=(4000, 2))
    default = (rng.random(4000) < logistic.sigmoid(1.5 * design[:, 0] - 2)).astype(int)
    score = logistic.predicted_log_odds(design[:3000], default[:3000], design[3000:])
    of_bad, of_good = (score[default[3000:] == kind] for kind in (1, 0))
    assert (of_bad[:, None] > of_good).mean() > 0.75
