"""Many loans: what cannot be done on them is refused before it begins, with the limit and what to do instead."""

import re
import time

import numpy as np
import pandas as pd
import pytest

from benchmarks import large
from pipeline.runtime.errors import StudyError
from pipeline.stats import classifiers, neighbours, optimal, robust_errors, scores

LOANS = 20_000
LIMITS = {
    "optimal pairs": (optimal, "match.method nearest"),
    "pairs by Mahalanobis distance": (neighbours, "match.distance logit"),
    "pairs with replacement": (neighbours, "without replacement"),
    "boosted propensity score": (scores, "match.score to logistic"),
    "prediction, random forest": (classifiers, "boosted trees"),
    "prediction, pruned tree": (classifiers, "boosted trees"),
}


@pytest.fixture(scope="module")
def frame():
    return large.loans(LOANS)


@pytest.mark.parametrize("what", large.REFUSED)
def test_too_many_loans_are_refused_with_limit_and_alternative(what, frame, monkeypatch):
    module, instead = LIMITS[what]
    monkeypatch.setattr(module, "LIMIT", 1_500)
    with pytest.raises(StudyError, match=re.escape(instead)) as refused:
        large.REFUSED[what](frame)
    assert "1,500" in str(refused.value)


@pytest.mark.parametrize("what", ["pairs by Mahalanobis distance", "pairs with replacement", "prediction, pruned tree"])
def test_within_the_limit_nothing_is_refused(what, frame):
    large.REFUSED[what](frame)


@pytest.mark.parametrize("what", large.ANALYSES)
def test_the_analyses_of_a_large_cohort_run(what, frame):
    assert 0 < large.ANALYSES[what](frame) <= LOANS


def test_optimal_matching_is_refused_before_any_stratum_is_matched(frame, monkeypatch):
    matched = []
    monkeypatch.setattr("scipy.optimize.linear_sum_assignment", lambda cost: matched.append(cost))
    # The first stratum is small, the last one too large.
    stratum = np.where(np.arange(LOANS) < 20, 0, 1)
    monkeypatch.setattr(optimal, "LIMIT", 1_000)
    with pytest.raises(StudyError, match="add exact keys"):
        optimal.optimal(frame["treated"].to_numpy(), frame["x0"].to_numpy(), stratum, np.arange(LOANS))
    assert not matched


def test_the_stratum_named_is_the_one_with_the_most_pairs(monkeypatch):
    monkeypatch.setattr(optimal, "LIMIT", 100)
    # Five treated loans and forty controls; five and one.
    treated = np.repeat([1, 0, 1, 0], [5, 40, 5, 1])
    stratum = np.repeat([0, 1], [45, 6])
    with pytest.raises(StudyError, match="5 treated loans with 40 controls"):
        optimal.optimal(treated, np.arange(51.0), stratum, np.arange(51))


def test_the_wild_bootstrap_of_very_many_clusters_is_refused_before_weights_are_drawn(frame):
    design = frame[["treated", "x0"]].astype(float).assign(intercept=1.0)
    fit = robust_errors.partial_out(frame["default"].astype(float), design, "treated")
    start = time.perf_counter()
    with pytest.raises(StudyError, match="clustered error"):
        robust_errors.wild_bootstrap(fit, np.arange(LOANS), 0.95, draws=10**9)
    assert time.perf_counter() - start < 1


def test_made_up_loans_are_typed_tightly(frame):
    assert isinstance(frame["lender"].dtype, pd.CategoricalDtype)
    assert frame["default"].dtype == np.int8
    assert 0.02 < frame["default"].mean() < 0.3
    assert 0.1 < frame["treated"].mean() < 0.5
