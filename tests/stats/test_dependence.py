"""Partial dependence against scikit-learn's own, by hand, and on columns of which one matters."""

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import partial_dependence as theirs

from pipeline.stats import dependence, prediction
from pipeline.stats.prediction import Sample


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(11)
    loans = pd.DataFrame(
        {
            "debt": rng.integers(0, 5, 1_500).astype(float),
            "idle": rng.normal(size=1_500),
            "kind": pd.Categorical(rng.choice(["a", "b", "c"], 1_500, p=[0.5, 0.3, 0.2])),
        }
    )
    odds = -3 + 0.8 * loans["debt"] + 1.5 * (loans["kind"] == "c")
    return Sample(loans, (rng.random(1_500) < 1 / (1 + np.exp(-odds))).astype(float), None)


def fitted(sample, kind):
    return prediction.fit(sample, ["debt", "idle", "kind"], kind, seed=1)


def feature(model, term):
    return next(one for one in model.encoder.features if one["term"] == term)


@pytest.mark.parametrize("kind", ["boosting", "tree"])
def test_a_number_as_scikit_learn_has_it(sample, kind):
    model = fitted(sample, kind)
    values, shares = dependence.partial_dependence(model, sample.loans, feature(model, "debt"))
    assert values == [0, 1, 2, 3, 4]
    matrix = model.encoder.matrix(sample.loans)
    place = model.encoder.columns.index("debt")
    found = theirs(model.model, matrix, [place], method="brute", response_method="predict_proba", percentiles=(0, 1))
    assert shares == pytest.approx(found["average"][0], abs=1e-6)


def test_a_level_by_hand(sample):
    model = fitted(sample, "logistic")
    values, shares = dependence.partial_dependence(model, sample.loans, feature(model, "kind"))
    assert values == ["a", "b", "c"]
    intercept, slopes = model.model
    matrix = model.encoder.matrix(sample.loans.assign(kind=pd.Categorical(["c"] * 1_500, ["a", "b", "c"])))
    assert shares[2] == pytest.approx((1 / (1 + np.exp(-(intercept + matrix @ slopes)))).mean(), abs=1e-6)
    assert shares[2] > shares[0] + 0.15


def test_what_matters_comes_first_and_loans_that_stand_for_others_count_as_often(sample):
    model = fitted(sample, "boosting")
    found = dependence.most_important(model, sample, 2, 2, [3])
    assert [one.term for one in found] == ["debt", "kind"] and found[0].lost > found[1].lost > 0
    weights = np.where(sample.loans["kind"] == "c", 9.0, 1.0)
    _, plain = dependence.partial_dependence(model, sample.loans, feature(model, "debt"))
    _, heavy = dependence.partial_dependence(model, sample.loans, feature(model, "debt"), weights)
    assert (heavy > plain).all()
    assert len(dependence.thinned(sample, 100).loans) == 100
