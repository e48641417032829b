"""A report's first sentence follows the rule of the evidence, margin and all, and names the checks that failed."""

import functools

import pytest

from pipeline.core import params
from pipeline.core.results import Results
from pipeline.pages.report import Report
from pipeline.pages.written import read
from pipeline.present.page import labels_of
from pipeline.present.trail import Trail
from pipeline.present.words import LANGUAGES, Words
from tests.choices import contents

REAL = ("karlan_zinman", "lendingclub", "sba", "berka")


@functools.cache
def rows(study):
    return read(study)


def report(study, language="en", margin=0.1, found=None):
    content = contents()
    content["evidence"]["margins"]["default"] = margin
    found = rows(study) if found is None else found
    words = Words(language, study, study, labels_of(found))
    return Report(found, params.validated(content), study, words, Trail(study), [], "markdown")


@pytest.mark.parametrize(
    ("study", "factor", "rung", "margin", "said"),
    [
        # The same interval, -1.0 to 4.6 points of a rate of 9.6%.
        ("sba", "information_sharing", "M5", 0.1, "is inconclusive: with all controls"),
        ("sba", "information_sharing", "M5", 0.9, "shows no important difference for the claim"),
        # -10.2 points of a rate of 11.1%.
        ("berka", "relationship_depth_cards", "M3", 0.1, "is supported here, as an association: with all controls"),
        ("berka", "relationship_depth_cards", "M3", 0.95, "here, as an association, but the estimate is below"),
        ("berka", "relationship_depth_cards", "M1", 0.1, "without any controls"),
    ],
)
def test_the_margin_decides_and_not_significance_alone(study, factor, rung, margin, said):
    assert said in report(study, margin=margin).claim(factor, rung)


def turned(study, **which):
    """The rows of a study in which some have their sign turned."""
    frame = rows(study).frame.copy()
    mine = frame[list(which)].eq(list(which.values())).all(axis=1)
    assert mine.any()
    low, high = -frame.loc[mine, "ci_high"], -frame.loc[mine, "ci_low"]
    frame.loc[mine, "estimate"] *= -1
    frame.loc[mine, "ci_low"], frame.loc[mine, "ci_high"] = low, high
    return Results(frame)


def test_a_sign_that_turns_turns_the_sentence():
    found = turned("berka", stage="regress", factor="relationship_depth_cards", specification="M3")
    assert "is contradicted by this evidence: with" in report("berka", found=found).claim(
        "relationship_depth_cards", "M3"
    )
    assert "by this evidence, but the estimate is" in report("berka", margin=0.95, found=found).claim(
        "relationship_depth_cards", "M3"
    )


def test_under_randomisation_its_own_test_speaks_and_nobody_calls_it_an_association():
    row = rows("karlan_zinman").one(
        stage="effects", estimator="randomisation_test", specification="strata_rates", outcome="default",
        estimand="difference",
    )  # fmt: skip
    said = report("karlan_zinman").claim("relationship_length_promised", "M5")
    assert f"{abs(row.estimate):.2f} percentage points" in said and "as randomised, within strata" in said
    assert "association" not in report("karlan_zinman", margin=0.001).claim("relationship_length_promised", "M5")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", REAL)
def test_checks_that_failed_stand_beside_the_first_sentence(study, language):
    page = report(study, language)
    factor = page.words.text("lead").split("claim(")[1].split(")")[0].split(",")[0].strip("\"' ")
    beside = page.failed_beside(factor)
    first = page.findings().splitlines()[0]
    assert beside and beside in first
    assert f"**{first}**" in page.render()
    passed = rows(study).frame.copy()
    passed.loc[passed["estimator"] == "assumption", "note"] = "passed"
    without = report(study, language, found=Results(passed)).failed_beside(factor)
    assert len(without) < len(beside) or study == "karlan_zinman"


def test_a_slope_that_lives_on_the_highest_values_does_not_speak():
    found = rows("lendingclub")
    slope = found.one(
        stage="robustness", estimator="dose", specification="without_top", factor="communication_frequency"
    )
    said = report("lendingclub").claim("communication_frequency", "M5")
    assert f"{slope.estimate:.2f} percentage points" in said and "without the highest values" in said


@pytest.mark.parametrize("study", ["sba", "superlender"])
def test_the_advice_on_scores_rests_on_the_gain_that_the_chapter_reports(study):
    own = report(study)
    (way,) = set(rows(study).where(stage="predict", estimator="split")["specification"]) - {"other_institutions"}
    gain = rows(study).one(
        stage="predict", estimator="logistic", factor="with_crm", estimand="auc_gain_clustered", specification=way
    )
    assert ("Add what is known" in " ".join(own.todo())) == (gain.ci_low > 0)
    assert f"{gain.estimate:.4f}" in " ".join(own.todo())
