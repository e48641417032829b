"""Sentences that are chosen by a condition say what the row says that the condition stands for."""

import re

import pytest

from pipeline.analyses.predict.lookup import main
from pipeline.analyses.robustness.page import _specified
from pipeline.core import params
from pipeline.core.results import Results
from pipeline.pages import seen
from pipeline.pages.evidence import advice
from pipeline.pages.evidence import said as answers
from pipeline.present.numerals import signed
from pipeline.present.sample_figures import group_rates
from pipeline.present.words import LANGUAGES, Words
from pipeline.sources.claims import load_bearings, load_claims
from tests.present.test_first_sentence import report, rows
from tests.present.test_said_of_estimates import book_in, changed, chapter

STUDIES = params.load().compared

ALONE = ("superlender",)
"""Studies in which no column groups loans."""


def in_language(study, language, name, found=None):
    """One chapter of a study's report in a language."""
    page = report(study, language, found=found)
    heading = page.text(f"headings.{name}")
    return next(block for block in page.chapters() if block.startswith(f"### {heading}"))


def title(study, language, name):
    """The title of a figure in a study's report."""
    return next(one["caption"] for one in rendered(study, language) if one["file"].endswith(f"/{name}.svg"))


def rendered(study, language):
    page = report(study, language)
    page.render()
    return page.contents


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", STUDIES)
def test_intervals_are_said_to_overlap_only_where_those_that_are_drawn_do(study, language):
    page = report(study, language)
    facts = seen.raw(page.results, page.words, page.scope, page.params)
    drawn = group_rates(page.results, facts["first"].factor.split("[")[0])
    first, last = drawn.iloc[0], drawn.iloc[-1]
    overlap = first["ci_low"] <= last["ci_high"] and last["ci_low"] <= first["ci_high"]
    said = page.text("messages.raw", **facts)
    if re.search("overlap|区间重叠", said):
        assert overlap
    if "互不重叠" in said:
        assert not overlap


def test_two_groups_whose_clustered_difference_is_not_significant_do_not_overlap_for_it():
    arms = group_rates(rows("sba"), "treated")
    assert arms["ci_high"].iloc[0] < arms["ci_low"].iloc[-1]
    assert "does not differ significantly" in title("sba", "en", "raw")
    assert "无显著差异" in title("sba", "zh", "raw")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("study", STUDIES)
def test_the_title_on_standard_errors_names_fixed_effects_where_some_are_drawn(study, language):
    head = report(study)._drawn["robustness"][1]
    drawn = _specified(rows(study), head)
    assert (study in ALONE) == (len(drawn) == 1)
    named = re.search("fixed effects|固定效应", title(study, language, "robustness"))
    assert bool(named) == any(estimator == "group_effects" for _, estimator, _ in drawn)


@pytest.mark.parametrize("study", STUDIES)
def test_only_loans_that_a_column_groups_are_said_to_be_clustered_or_asked_about(study):
    adjust, predict = chapter(study, "adjust"), chapter(study, "predict")
    assert ("takes loans as independent, and so does DeLong" in predict) == (study in ALONE)
    assert ("The interval is clustered by" in predict) == (study not in ALONE)
    if "Permuting single loans" in adjust:
        assert ("the chapter on standard errors asks that" in adjust) == (study not in ALONE)


@pytest.mark.parametrize("study", STUDIES)
def test_a_grade_counts_as_the_lenders_where_the_evidence_judges_it_as_such(study):
    judged = {one.study for one in load_bearings(load_claims(), {"reference"}) if one.estimator == "recorded"}
    assert {"lendingclub", "bondora"} <= judged
    for language, ours in zip(LANGUAGES, ("The grade was built here", "等级是这里自建的"), strict=True):
        assert Words(language, study, study).has("grade_built_here") == (study not in judged)
        said = in_language(study, language, "grade")
        assert (ours in said) == (study not in judged)
    text = chapter(study, "grade")
    assert ("The grade on record" in text) == (study in judged)
    assert study in judged or "graded too kindly" not in text


def test_the_grades_that_taught_the_score_are_said_to_rise_where_they_do():
    which = {"stage": "grade", "estimator": "trend", "factor": "score_grade", "estimand": "steps_down"}
    assert "as among those that it learnt from" in chapter("lendingclub", "grade")
    down = changed("lendingclub", {"estimate": 1.0}, **which, specification="train")
    text = chapter("lendingclub", "grade", found=down)
    assert "rises with every grade of the score among later loans:" in text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.9, "a higher interest rate"), (-0.9, -0.1, "a lower interest rate"), (-0.1, 0.1, "does not differ")],
)
def test_a_worse_grade_is_said_to_cost_more_only_where_it_does(low, high, said):
    change = {"estimate": (low + high) / 2, "ci_low": low, "ci_high": high}
    found = changed("bondora", change, stage="grade", estimator="terms_by_grade", factor="interest_rate")
    assert said in chapter("bondora", "grade", found=found)


@pytest.mark.parametrize("study", ["karlan_zinman", "lendingclub", "superlender"])
def test_what_a_score_saves_is_printed_on_its_side_of_zero(study):
    saved = main(rows(study)).where(estimator="logistic", factor="with_crm")
    saved = saved[saved["estimand"].str.startswith("saving_gain")]
    values = saved[["estimate", "ci_low", "ci_high"]].to_numpy().ravel()
    hidden = [value for value in values if value and abs(value) < 0.0005]
    text = chapter(study, "predict")
    assert hidden and all(signed(value, 3) in text for value in hidden)


def test_a_range_beyond_zero_is_seen_to_be():
    which = {"stage": "robustness", "estimator": "leave_one_cluster_out", "factor": "treated"}
    (low,) = rows("sba").where(**which, estimand="smallest")["estimate"]
    assert -0.005 < low < 0
    for language, said in zip(LANGUAGES, ("its sign rests on", "符号取决于"), strict=True):
        text = in_language("sba", language, "robustness")
        assert said in text and signed(low, 2) in text


@pytest.mark.parametrize("study", STUDIES)
def test_nobody_chooses_among_ties_where_there_are_none(study):
    tied = rows(study).one(stage="adjust", estimator="assumption", specification="tied_controls").estimate
    for language, none in zip(LANGUAGES, ("No matched treated loan had", "都没有几笔距离相同"), strict=True):
        text = in_language(study, language, "adjust")
        assert (none in text) == (tied == 0) and " 0.0% could choose" not in text


def test_a_ratio_that_was_not_tested_is_not_called_insignificant():
    which = {"stage": "heterogeneity", "factor": "information_sharing", "specification": "credit_grade"}
    assert "income verified” by rating" in chapter("bondora", "heterogeneity")
    found = changed("bondora", {"estimate": float("nan")}, **which, estimand="wald_ratio")
    text = chapter("bondora", "heterogeneity", found=found)
    assert "; as a ratio it could not be tested" in text and "not significantly as a ratio" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_chapter_on_missing_values_names_the_rules_that_left_loans_out(language):
    page = report("sba", language)
    left = rows("sba").where(stage="missing", estimator="left_out_for_gaps", estimand="loans")
    text = in_language("sba", language, "missing").lower()
    assert (left["estimate"] > 0).sum() == 2
    for row in left[left["estimate"] > 0].itertuples():
        assert page.words.label("reasons", row.specification).lower() in text and f"{row.estimate:.0f}" in text


def test_one_activity_differs_and_several_differ():
    frame = rows("berka").frame.copy()
    mine = (frame["estimator"] == "falling_before_loan") & frame["p_adjusted"].notna()
    for number, said in ((1, "one differs significantly"), (2, "two differ significantly")):
        frame.loc[frame.index[mine][:number], "p_adjusted"] = 0.001
        assert said in chapter("berka", "warning", found=Results(frame))


@pytest.mark.parametrize("study", STUDIES)
def test_intervals_of_factors_without_a_default_are_said_to_be_too_narrow(study):
    firth = rows(study).where(stage="regress", estimator="firth")
    bare = list(dict.fromkeys(firth.loc[firth["estimate"].notna(), "factor"]))
    assert bool(bare) == (study == "berka")
    for language, said in zip(LANGUAGES, ("too narrow", "区间过窄"), strict=True):
        page = report(study, language)
        for text in ("\n".join(page.inside("correlate")), in_language(study, language, "grade")):
            assert (said in text) == bool(bare)
            sentence = text[: text.find(said)].lower()[-150:]
            assert all(page.words.label("columns", name).lower() in sentence for name in bare)


@pytest.mark.parametrize(("study", "asked"), [("lendingclub", False), ("bondora", True), ("berka", True)])
def test_only_a_relationship_tells_how_well_a_lender_knows_its_clients(study, asked):
    text = chapter(study, "grade")
    question = text.partition("clients whom the lender knows better")[2]
    assert bool(question) == asked
    assert "message" not in question and "statements" not in question


@pytest.mark.parametrize(("language", "best"), [("en", "at best "), ("zh", "最高为")])
def test_advice_says_where_certainties_differ_that_it_names_the_highest(language, best):
    page = book_in(language)
    found = [row for row in page.findings if row.study == "bondora"]
    assert {row.certainty for row in found} == {"very_low"} and best not in advice.conclusion(page, found)
    found[0] = found[0]._replace(certainty="low")
    assert f"{best}{page.word('certainty', 'low')}" in advice.conclusion(page, found)


def test_the_first_of_several_experiments_is_not_called_the_only_one():
    page = book_in("zh")
    (row,) = (one for one in page.findings if one.design == "randomised")
    assert "唯一" not in answers.randomised(page, row, 0) + answers.randomised(page, row, 1)


@pytest.mark.parametrize(
    ("low", "high", "said", "zh"),
    [
        (1.0, 3.0, "it catches 2.0 percentage points more than chance", "比随机预警多发现 2.0 个百分点"),
        (-3.0, -1.0, "it catches 2.0 percentage points fewer than chance", "比随机预警少发现 2.0 个百分点"),
        (-1.0, 5.0, "whether it catches more than chance is inconclusive", "是否多于随机预警，证据不足以下结论"),
    ],
)
def test_falling_activity_is_said_to_warn_only_where_it_catches_more_than_chance(low, high, said, zh):
    which = {"stage": "warning", "estimator": "alerts", "specification": "falling_activity"}
    change = {"estimate": (low + high) / 2, "ci_low": low, "ci_high": high}
    found = changed("reference", change, **which, estimand="caught_over_random")
    text = chapter("reference", "warning", found=found)
    assert said in text and "warns without any score" not in text
    assert ("by itself is no early warning" in text) == (high < 0)
    assert zh.replace(" ", "") in in_language("reference", "zh", "warning", found=found).replace(" ", "")


@pytest.mark.parametrize(
    ("language", "one", "several"),
    [
        ("en", "and 1 estimates a difference of exactly zero", "and 3 estimate a difference of exactly zero"),
        ("zh", "另有1种的差异恰为零", "另有3种的差异恰为零"),
    ],
)
def test_specifications_of_less_and_more_default_and_none_add_up(language, one, several):
    which = {"stage": "curve", "estimator": "specification_count", "specification": "all"}
    for lower, said in ((42, several), (44, one), (45, None)):
        found = changed("berka", {"estimate": 168.0}, **which, estimand="specifications")
        for name, count in (("lower", lower), ("higher", 123)):
            mine = found.frame[[*which, "estimand"]].eq([*which.values(), name]).all(axis=1)
            found.frame.loc[mine, "estimate"] = float(count)
        text = in_language("berka", language, "curve", found=found)
        assert said in text if said else "exactly zero" not in text and "恰为零" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_curve_whose_ends_show_nothing_is_not_said_to_show_nothing(language):
    said = {
        "en": "association with more default lies between its low and its high values",
        "zh": "违约增多出现在中间的取值",
    }
    text = in_language("bondora", language, "robustness")
    end = rows("bondora").one(stage="robustness", estimator="shape", estimand="low_end")
    assert f"{end.ci_low:.2f}" in text and f"{end.ci_high:.2f}" in text and said[language] in text
    # Where an end shows something, or no value does, nothing is said of the middle.
    ends = {"stage": "robustness", "estimator": "shape", "estimand": "high_end"}
    assert said[language] not in in_language(
        "bondora", language, "robustness", changed("bondora", {"ci_low": 1.01}, **ends)
    )
    logit = {"stage": "regress", "estimator": "logit", "estimand": "odds_ratio", "specification": "M5"}
    nothing = changed("bondora", {"ci_low": 0.9}, **logit)
    assert said[language] not in in_language("bondora", language, "robustness", nothing)


@pytest.mark.parametrize("language", LANGUAGES)
def test_groups_that_leave_the_comparison_are_named(language):
    which = {"stage": "heterogeneity", "factor": "treated", "estimator": "moderation", "estimand": "wald_difference"}
    name = rows("sba").where(**which)["specification"].iloc[0]
    note = "3 degrees of freedom; left out: A"
    found = changed("sba", {"note": note}, **which, specification=name)
    said = {"en": "the comparison leaves out A", "zh": "比较时剔除了A"}
    assert said[language] in in_language("sba", language, "heterogeneity", found=found)
    assert said[language] not in in_language("sba", language, "heterogeneity")
