"""What cannot be estimated is named: rows without a cluster, covariates that tell each other, a factor that is the
outcome."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.stats.correlation import pearson, spearman
from pipeline.stats.design import collinear
from pipeline.stats.inference import cluster_codes
from pipeline.stats.regression import linear_probability, logit
from pipeline.stats.scores import maximum_likelihood, propensity_logit

RNG = np.random.default_rng(8)
LOANS = 300
AMOUNT = pd.Series(RNG.integers(1_000, 5_000, LOANS).astype(float))
AGE = pd.Series(RNG.normal(40, 9, LOANS))
TREATED = RNG.integers(0, 2, LOANS)


@pytest.fixture(autouse=True)
def _no_raw_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    "labels", [pd.Series(["a", None, "b", "c"]), pd.Series([1, np.nan, 2, 3]), pd.Categorical(["a", None, "b", "c"])]
)
def test_a_row_without_a_cluster_is_counted_and_said(labels):
    with pytest.raises(StudyError, match=r"has no label in 1 of 4 rows: give each row a label"):
        cluster_codes(labels)


def test_the_column_of_clusters_is_named_in_regressions():
    design = pd.DataFrame({"intercept": 1.0, "treated": TREATED.astype(float)})
    clusters = pd.Series(np.arange(LOANS) % 20, name="branch").astype(float).where(np.arange(LOANS) > 6)
    default = pd.Series(RNG.integers(0, 2, LOANS))
    for model in (linear_probability, logit):
        with pytest.raises(StudyError, match="the cluster column branch has no label in 7 of 300 rows"):
            model(default, design, "treated", clusters, 0.95)


@pytest.mark.parametrize(
    ("income", "said"),
    [
        (2 * AMOUNT, "income is a multiple of amount"),
        # In thousands, and with a constant: other units of one thing.
        (AMOUNT / 1000, "income is a multiple of amount"),
        (500 + 3 * AMOUNT, "income is told exactly by amount"),
        (2 * AMOUNT - 7 * AGE, "income is a combination of amount, age"),
    ],
)
def test_collinear_covariates_of_the_score_are_named(income, said):
    covariates = pd.DataFrame({"amount": AMOUNT, "age": AGE, "income": income})
    with pytest.raises(StudyError, match=f"cannot tell its covariates apart: {said}; leave one of them out"):
        propensity_logit(covariates, TREATED)


def test_covariates_that_are_only_alike_are_not_called_collinear():
    covariates = pd.DataFrame({"amount": AMOUNT, "income": 2 * AMOUNT + RNG.normal(0, 50, LOANS)})
    assert collinear(covariates) == {}
    assert np.isfinite(propensity_logit(covariates, TREATED)).all()


def test_covariates_too_alike_for_the_likelihood_are_not_called_separation():
    covariates = pd.DataFrame({"amount": AMOUNT, "income": 2 * AMOUNT + RNG.normal(0, 3, LOANS)})
    assert collinear(covariates) == {}
    with pytest.raises(StudyError, match="income is told nearly by amount"):
        propensity_logit(covariates, TREATED)


def test_separation_is_still_called_separation_and_without_raw_warnings():
    covariates = pd.DataFrame({"amount": AMOUNT, "age": TREATED * 10 + RNG.random(LOANS)})
    with pytest.raises(StudyError, match="its covariates separate the two arms"):
        propensity_logit(covariates, TREATED)


def test_a_logit_whose_columns_tell_each_other_says_so():
    design = pd.DataFrame({"intercept": 1.0, "amount": AMOUNT, "income": 2 * AMOUNT})
    with pytest.raises(StudyError, match="one is a combination of others"):
        maximum_likelihood(design.to_numpy(), TREATED)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_factor_that_is_the_outcome_has_a_correlation_of_one_and_no_interval(sign):
    default = RNG.integers(0, 2, LOANS).astype(float)
    factor = sign * 3 * default + 1
    for weights in (None, np.where(default == 1, 2.0, 5.0)):
        for found in (
            pearson(factor, default, 0.95, weights=weights),
            spearman(factor, default, 0.95, weights=weights),
        ):
            assert found.estimate == sign and np.isnan(found[1:]).all()


def test_a_regression_on_the_outcome_itself_is_refused():
    default = pd.Series(RNG.integers(0, 2, LOANS))
    design = pd.DataFrame({"intercept": 1.0, "collected": 5.0 * default, "age": AGE})
    with pytest.raises(StudyError, match="collected, with the controls if there are any, tells the outcome"):
        linear_probability(default, design, "collected", pd.Series(np.arange(LOANS) % 30), 0.95)
