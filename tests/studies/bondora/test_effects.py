import numpy as np
import pytest
import statsmodels.formula.api as smf

from pipeline.core import results
from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.present.words import Words
from pipeline.studies.bondora import study
from pipeline.studies.bondora.effects import NUMBER, RETURNING, effects
from tests.studies.bondora.sample import PARAMS, protocol, raw_table


@pytest.fixture(scope="module")
def cohort():
    return study.prepare({"bondora": raw_table(2500, 5)}, protocol(), Checks(quarantine_share=0.01, balance=0.1)).cohort


@pytest.fixture(scope="module")
def rows(cohort):
    return results.Results(results.table("bondora", "effects", effects(cohort, {}, protocol(), load(PARAMS))))


def fitted(cohort, formula):
    """Least squares by statsmodels' formulas, with errors clustered by month."""
    plain = cohort.assign(**{name: cohort[name].astype(object) for name in cohort.select_dtypes("category")})
    return smf.ols(formula, plain).fit(
        cov_type="cluster", cov_kwds={"groups": plain["origination_month"].astype("category").cat.codes}
    )


def test_the_two_rules_disagree_as_often_as_they_do(cohort, rows):
    word, record = cohort[RETURNING] == 1, cohort[NUMBER] >= 1
    counts = {row.specification: row.estimate for row in rows.where(estimator="agreement").itertuples()}
    assert counts["new_some"] == (~word & record).sum() > 0
    assert sum(counts.values()) == len(cohort)


def test_each_number_of_loans_is_compared_with_none_in_one_regression(cohort, rows):
    steps = cohort[NUMBER].clip(upper=6).astype(int).astype(str)
    fit = fitted(cohort.assign(step=steps), "default ~ C(step) + C(origination_month)")
    for step in range(1, 7):
        row = rows.one(estimator="by_number", specification="same_month", factor=f"earlier_{step}")
        assert row.estimate == pytest.approx(100 * fit.params[f"C(step)[T.{step}]"])
        assert row.std_error == pytest.approx(100 * fit.bse[f"C(step)[T.{step}]"], rel=1e-6)


def test_shorter_windows_hold_the_loans_that_they_say(cohort, rows):
    early = cohort[cohort["origination_date"] < "2017-01-01"]
    assert rows.one(estimator="watched", specification="until_2016-12").n == len(early)
    assert rows.one(estimator="watched", specification="term_over").n == cohort["term_over"].sum()


def test_behaviour_and_length_stand_apart_and_together(cohort, rows):
    back = cohort[cohort[RETURNING] == 1]
    controls = "C(credit_grade) + C(term) + np.log(amount) + age + np.log(income) + liabilities_log + debt_to_income"
    controls += " + free_cash_log + higher_education + C(origination_month)"
    fit = fitted(back, f"default ~ {NUMBER} + repaid_early + {controls}")
    for factor in (NUMBER, "repaid_early"):
        row = rows.one(estimator="behaviour", specification="together", factor=factor)
        assert (row.estimate, row.n) == (pytest.approx(100 * fit.params[factor]), len(back))


def test_what_the_platform_grants_is_in_its_own_units(cohort, rows):
    fit = fitted(cohort, f"interest_rate ~ {RETURNING} + C(origination_month)")
    row = rows.one(estimator="price", specification="same_month", factor=RETURNING)
    assert row.estimate == pytest.approx(fit.params[RETURNING])
    assert (row.unit, row.estimand) == ("points of interest", "mean_difference")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_label_that_the_rows_need_is_there(rows, language):
    words = Words(language, "bondora")
    shown = rows.frame[rows.frame["estimator"] != "follow_up"]
    for kind, column in (("estimators", "estimator"), ("estimands", "estimand"), ("specifications", "specification")):
        for name in shown[column].unique():
            assert words.label(kind, name), name
    assert np.isfinite(rows.frame["estimate"].astype(float)).all()
