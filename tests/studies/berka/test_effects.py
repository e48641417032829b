import numpy as np
import pandas as pd
import pytest

from pipeline.core import results
from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.present.words import Words
from pipeline.stats.design import design_matrix
from pipeline.stats.firth import firth_logit
from pipeline.studies.berka import effects as effects_module
from pipeline.studies.berka import study
from pipeline.studies.berka.effects import effects
from tests.studies.berka.sample import PARAMS, protocol, raw_tables

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


@pytest.fixture(scope="module")
def cohort():
    return study.prepare(raw_tables(300, 5), protocol(), CHECKS).cohort


@pytest.fixture(scope="module")
def rows(cohort):
    return results.Results(results.table("berka", "effects", effects(cohort, {}, protocol(), load(PARAMS))))


def test_every_estimate_has_its_minimum_detectable_effect_beside_it(rows):
    firth = rows.where(estimator="firth")
    kinds = firth.groupby(["specification", "factor"])["estimand"].agg(set)
    assert len(kinds) == 3 * 6
    assert (kinds == {"odds_ratio", "minimum_detectable_odds_ratio"}).all()
    detectable = firth[firth["estimand"] == "minimum_detectable_odds_ratio"]["estimate"].astype(float)
    assert ((detectable > 0) & (detectable < 1)).all()


def test_the_penalised_odds_ratio_is_that_of_the_regression(cohort, rows):
    every = list(protocol().controls.ladder().values())[-1]
    found = firth_logit(cohort["default"], design_matrix(cohort, ["treated", *every]).matrix, "treated", 0.95)
    row = rows.one(estimator="firth", specification="controls", factor="treated", estimand="odds_ratio")
    assert row.estimate == pytest.approx(np.exp(found.log_odds_ratio))
    assert (row.ci_low, row.ci_high) == pytest.approx((np.exp(found.ci_low), np.exp(found.ci_high)))


def test_a_factor_that_separates_default_has_finite_answers(cohort):
    changed = cohort.assign(relationship_depth_cards=((cohort["default"] == 0) & (cohort.index % 5 == 0)).astype(float))
    rows = results.Results(results.table("berka", "effects", effects(changed, {}, protocol(), load(PARAMS))))
    row = rows.one(estimator="firth", specification="alone", factor="relationship_depth_cards", estimand="odds_ratio")
    assert 0 < row.estimate < 1 and 0 < row.ci_low < row.ci_high < np.inf
    exact = rows.one(estimator="exact", factor="relationship_depth_cards", estimand="conditional_odds_ratio")
    assert exact.estimate == 0 and exact.ci_low == 0 and exact.p_value < 0.05


def test_the_frequency_table_has_a_rate_for_every_step(cohort, rows):
    for step, loans in cohort.groupby("communication_frequency"):
        row = rows.one(estimator="exact_table", estimand=f"rate_{step:g}")
        assert (row.estimate, row.n) == (pytest.approx(100 * loans["default"].mean()), len(loans))
    assert 0 < rows.one(estimator="exact_table", estimand="trend").p_value <= 1


def test_every_label_that_the_rows_need_is_there(rows):
    words = Words("en", "berka")
    frame = rows.frame[rows.frame["estimator"] != "power"]
    for estimator in frame["estimator"].unique():
        assert words.label("estimators", estimator)
    for estimand in frame["estimand"].unique():
        assert words.label("estimands", estimand)


def test_every_row_says_how_many_loans_it_rests_on(rows):
    assert rows.frame["n"].notna().all()
    assert pd.api.types.is_numeric_dtype(rows.frame["n"])


def test_what_the_account_adds_is_the_difference_of_two_areas(rows):
    areas = {row.specification: row.estimate for row in rows.where(estimator="account_before_loan").itertuples()}
    assert areas["gain"] == pytest.approx(areas["application_and_account"] - areas["application"])


def test_too_few_defaults_to_judge_by_are_said_in_a_row(cohort):
    changed = cohort.assign(default=(cohort["loan_id"] == cohort["loan_id"].min()).astype(int))
    note = effects_module._account(changed, protocol(), load(PARAMS))
    assert "fewer than two" in next(note)["note"]
