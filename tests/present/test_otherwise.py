"""Sentences name the rows on the same factor that read otherwise: other models, the highest values left out, groups."""

import pytest

from pipeline.present import otherwise
from pipeline.present.page import effect_row
from pipeline.present.words import LANGUAGES
from tests.present.test_first_sentence import report, rows
from tests.present.test_said_of_estimates import changed

LOGIT = {"stage": "regress", "estimator": "logit", "estimand": "odds_ratio", "specification": "M1"}
BESIDE = {"en": "whereas the odds ratio", "zh": "而同一设定的逻辑回归"}


def said(study, factor, rung, language="en", found=None):
    return report(study, language, found=found)._effects.sentence(factor, rung)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_logistic_regression_that_disagrees_stands_beside_the_linear_one(language):
    odds = rows("sba").one(**LOGIT, factor="information_sharing")
    assert f"{odds.estimate:.2f}" in said("sba", "information_sharing", "M1", language)
    assert BESIDE[language] in said("sba", "information_sharing", "M1", language)
    agrees = changed("sba", {"ci_low": 0.9}, **LOGIT, factor="information_sharing")
    assert BESIDE[language] not in said("sba", "information_sharing", "M1", language, agrees)


@pytest.mark.parametrize("study", ["karlan_zinman", "lendingclub", "sba", "berka", "bondora", "superlender"])
def test_it_stands_there_exactly_where_significance_differs(study):
    for odds in rows(study).each(stage="regress", estimator="logit", estimand="odds_ratio", outcome="default"):
        row = effect_row(rows(study), odds.factor, odds.specification)
        missing = any(number != number for number in (odds.ci_low, row.ci_low)) or row.estimator == "firth"
        apart = not missing and (odds.ci_low > 1 or odds.ci_high < 1) != (row.ci_low > 0 or row.ci_high < 0)
        assert ("odds ratio" in said(study, odds.factor, odds.specification)) == apart


def test_a_slope_that_only_the_highest_values_hide_is_said_and_does_not_decide():
    factor = "information_sharing_words"
    slope = rows("lendingclub").one(
        stage="robustness", estimator="dose", specification="without_top", factor=factor
    )  # fmt: skip
    text = said("lendingclub", factor, "M5")
    assert f"({slope.estimate:.2f} percentage points".replace("-", "\N{MINUS SIGN}") in text
    assert "by the protocol the slope of all loans decides" in text
    # A slope of another specification has none beside it, nor one that is significant itself.
    assert "highest" not in said("lendingclub", factor, "M1") + said("lendingclub", "communication_frequency", "M5")
    assert "without the highest values" in report("lendingclub").claim(factor, "M5")
    assert "with all controls and" not in report("lendingclub").claim(factor, "M5")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_group_that_differs_by_more_than_matters_stands_beside_no_important_difference(language):
    group = rows("lendingclub").one(
        stage="robustness", estimator="dose", specification="group_4", factor="communication_frequency"
    )
    assert f"{group.estimate:.2f}" in report("lendingclub", language).text("lead")
    assert otherwise.apart(rows("lendingclub"), "communication_frequency", group.estimate) is None
