"""Pages say of a method what it assumes and for whom it holds, and of a number which factor and unit it is of."""

import pytest

from pipeline.analyses.evidence.margins import deviation
from pipeline.present.words import FOLDER, LANGUAGES
from tests.present.test_first_sentence import report, rows

WORDS = [*FOLDER.rglob("*.yaml"), *FOLDER.parents[1].rglob("words.*.yaml")]


@pytest.mark.parametrize(
    ("language", "whom", "assumed"),
    [("en", "would borrow with and without it", "randomised within strata"), ("zh", "有无承诺都会借款", "随机分配")],
)
def test_lee_bounds_are_said_to_assume_what_they_assume_and_for_whom_they_hold(language, whom, assumed):
    lead = report("karlan_zinman", language).text("lead")
    assert whom in lead and assumed in lead
    for path in WORDS:
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert not [said for said in ("assume nothing", "assuming nothing", "不作任何假定") if said in text], path


def test_the_czech_headline_speaks_of_one_factor_and_names_the_unit_of_each_number():
    factor = "communication_frequency"
    found = {"estimator": "firth", "specification": "controls", "estimand": "minimum_detectable_odds_ratio"}
    detectable = rows("berka").one(stage="effects", factor=factor, **found).estimate
    slope = rows("berka").one(stage="regress", estimator="linear_probability", specification="M3", factor=factor)
    spread = deviation(factor, rows("berka"))
    for language in LANGUAGES:
        lead = report("berka", language).text("lead")
        assert f"{detectable:.2f}" in lead
        assert f"{slope.estimate:.2f}" in lead and f"{slope.estimate * spread:.2f}" in lead


@pytest.mark.parametrize("study", ["berka", "bondora", "karlan_zinman", "lendingclub", "superlender"])
def test_loans_after_a_cut_in_time_are_called_later_and_not_of_the_same_period(study):
    cuts = rows(study).where(stage="predict", estimator="split", estimand="test_loans")["note"]
    assert cuts.str.match(r"\d{4}-\d\d-\d\d").all()
    for language, same in (("en", "same period"), ("zh", "同一时期")):
        page = report(study, language)
        text = " ".join(" ".join([*page.chapters(), *page.failed()]).split())
        assert same not in text
        assert {"en": "granted later", "zh": "较晚发放"}[language] in text or study == "berka"


def test_factors_that_the_binned_means_leave_to_other_figures_are_named():
    title, caption = (
        "of the 2 factors drawn here",
        "Not drawn here, since the figures of default rates by group show them:",
    )
    (_, after) = "\n".join(report("bondora").inside("correlate")).split(caption)
    assert after.startswith(" returning customer and earlier loans.")
    assert title in "\n".join(report("bondora").inside("correlate"))


@pytest.mark.parametrize("study", ["bondora", "superlender", "karlan_zinman"])
def test_slopes_of_the_rate_by_grade_name_their_controls(study):
    alone = rows(study).one(stage="grade", estimator="terms_by_grade", factor="interest_rate").estimate
    (given,) = rows(study).each(stage="correlate", estimator="relation", specification="rate_by_grade")
    text = " ".join(" ".join(report(study).chapters()).split())
    assert f"({alone:.2f} points a grade without controls" in text
    assert (f"{given.estimate:.2f} given " in text) == (given.note != "given nothing else")


COINED = (
    *("to the whole file", "span by span", "of area", "more area", "that area", "an area of", "Area of"),
    *("还原到整个文件", "逐段", "同一时期的其他贷款"),
)


def test_pages_say_what_the_field_says():
    for path in WORDS:
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert not [said for said in COINED if said in text], path
