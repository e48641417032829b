"""The stages match, describe and regress with every design, on made-up loans."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core import params, results
from pipeline.runtime import places, store
from pipeline.stages import describe, match, regress
from tests.sample import PARAMS, market_tables, protocol, raw_loans

STUDY = "lendingclub"


@pytest.fixture(scope="module")
def prepared():
    from pipeline.studies.lendingclub import study

    choices = params.load(PARAMS)
    return study.prepare({STUDY: raw_loans(1500, seed=3), **market_tables()}, protocol(), choices.checks)


@pytest.fixture
def folder(tmp_path, monkeypatch, prepared):
    monkeypatch.chdir(tmp_path)
    store.write_parquet(places.processed(STUDY) / "cohort.parquet", prepared.cohort)
    store.write_parquet(places.processed(STUDY) / "flow.parquet", prepared.flow)
    return tmp_path


def chosen(**match_choices):
    """Parameters with some choices of matching changed; few exact keys, so that strata hold loans of both arms."""
    choices = params.load(PARAMS)
    study = protocol()
    matching = study.matching.model_copy(
        update={"exact": ["credit_grade", "term_months"], **match_choices.pop("m", {})}
    )
    studies = {**choices.studies, STUDY: study.model_copy(update={"matching": matching})}
    return choices.model_copy(update={"match": choices.match.model_copy(update=match_choices), "studies": studies})


def ran(choices):
    for stage in (match, describe, regress):
        stage.run(STUDY, choices)
    return results.read(places.results(STUDY, "describe"), places.results(STUDY, "regress"))


DESIGNS = {
    "pairs": {},
    "optimal": {"method": "optimal"},
    "several": {"ratio": 2, "caliper": None, "order": "largest", "discard": "both"},
    "replacement": {"replacement": True},
    "replacement, mahalanobis": {"replacement": True, "distance": "mahalanobis"},
    "mahalanobis": {"distance": "mahalanobis", "order": "data", "m": {"calipers": {"credit_score": 0.5}}},
    "boosting": {"score": "boosting", "folds": 2},
    "exact": {"method": "exact"},
    "coarsened": {
        "method": "coarsened_exact",
        "m": {
            "score": ["credit_score", "log(income)"],
            "cuts": {"credit_score": [700, 740], "log(income)": 3},
        },
    },
    "subclasses": {"method": "subclassification", "subclasses": 3},
    "inverse": {"method": "inverse_probability", "estimand": "ATE", "trim": 0.99, "stabilised": True},
    "overlap": {"method": "overlap"},
    "entropy": {"method": "entropy_balancing"},
}


VARIANTS = ("several", "replacement, mahalanobis", "mahalanobis", "boosting")
"""Designs that differ from others by a choice or two: for the nightly run."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in VARIANTS else ()) for name in DESIGNS]
)
def test_every_design_reaches_the_regressions(folder, prepared, name):
    rows = ran(chosen(**DESIGNS[name]))
    weights = store.read_parquet(places.matched(STUDY) / "weights.parquet").set_index("loan_id")["weight"]
    loans = prepared.cohort[prepared.cohort["loan_id"].isin(weights.index)]
    weight, arm = loans["loan_id"].map(weights), loans["treated"] == 1
    rates = [np.average(loans["default"][side], weights=weight[side]) for side in (arm, ~arm)]

    m6 = rows.one(stage="regress", estimator="linear_probability", specification="M6", factor="treated")
    assert m6.estimate == pytest.approx(100 * (rates[0] - rates[1]), rel=1e-6)
    assert (m6.n, m6.n_treated) == (len(loans), arm.sum())
    assert m6.std_error > 0
    marginal = rows.one(
        stage="regress", estimator="logit", specification="M6", factor="treated", estimand="average_marginal_effect"
    )
    assert marginal.estimate == pytest.approx(m6.estimate, abs=1e-5)
    assert not np.isnan(
        rows.one(stage="regress", estimator="linear_probability", specification="M7", factor="treated").estimate
    )

    assert rows.one(estimator="count", factor="matched_treated").estimate == arm.sum()
    assert rows.one(estimator="count", factor="matched_controls").estimate == (~arm).sum()
    for side, of in (("treated", arm), ("control", ~arm)):
        mean = rows.one(
            estimator="balance", specification="after", factor="credit_score", estimand=f"mean_{side}"
        ).estimate
        assert mean == pytest.approx(np.average(loans["credit_score"][of], weights=weight[of]), rel=1e-6)
    rate = rows.where(estimator="default_rate", factor="treated[1]").set_index("specification").loc["after_01"]
    assert rate["estimate"] == pytest.approx(100 * rates[0], rel=1e-6)


@pytest.mark.parametrize(("name", "estimator"), [("replacement", "abadie_imbens"), ("entropy", "weighting_estimated")])
def test_designs_with_errors_of_their_own_have_a_row_of_their_own(folder, name, estimator):
    rows = ran(chosen(**DESIGNS[name]))
    own = rows.one(stage="regress", estimator=estimator, factor="treated")
    m6 = rows.one(stage="regress", estimator="linear_probability", specification="M6", factor="treated")
    assert own.estimate == pytest.approx(m6.estimate, rel=1e-5)
    assert own.std_error != m6.std_error
    assert 0.5 < own.std_error / m6.std_error < 2


def test_weights_whose_estimation_no_error_allows_for_say_so(folder):
    rows = ran(chosen(method="inverse_probability", score="boosting", folds=2, discard="controls"))
    own = rows.one(stage="regress", estimator="weighting_estimated", factor="treated")
    assert np.isnan(own.estimate)
    assert own.note.endswith("a score by boosting, a cross-fitted score, loans discarded by their score")


def test_one_to_one_pairs_have_no_rows_beyond_those_of_all_designs(folder):
    rows = ran(chosen()).frame
    assert not rows["estimator"].isin(["abadie_imbens", "weighting_estimated"]).any()
    assert not rows["factor"].str.startswith("effective_").any()
    pairs = store.read_parquet(places.matched(STUDY) / "pairs.parquet")
    assert pairs["treated"].is_monotonic_increasing
    assert len(pairs) == pairs["treated"].nunique() == pairs["control"].nunique()


def test_weights_balance_exact_keys_as_covariates(folder):
    rows = ran(chosen(method="entropy_balancing"))
    found = rows.where(estimator="balance", specification="after", estimand="standardised_mean_difference")
    keys = found[found["factor"].str.startswith("credit_grade[") | (found["factor"] == "credit_score")]
    assert len(keys) > 3
    assert keys["estimate"].abs().max() < 1e-6


def test_the_order_of_the_cohort_plays_no_part(folder, prepared):
    choices = chosen(caliper=0.1)
    match.run(STUDY, choices)
    before = store.read_parquet(places.matched(STUDY) / "pairs.parquet")
    shuffled = prepared.cohort.sample(frac=1, random_state=1).reset_index(drop=True)
    store.write_parquet(places.processed(STUDY) / "cohort.parquet", shuffled)
    match.run(STUDY, choices)
    pd.testing.assert_frame_equal(store.read_parquet(places.matched(STUDY) / "pairs.parquet"), before)
