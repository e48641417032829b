"""Figures of a study's own design: heads in place of prefixes, the order of the words, the headline in bold."""

import pandas as pd
import pytest

from pipeline.pages.written import read
from pipeline.present.effect_figures import forest_groups, forest_rows
from pipeline.present.words import LANGUAGES, Words


@pytest.fixture(scope="module")
def rows():
    return {name: read(name) for name in ("karlan_zinman", "sba", "superlender")}


def groups(rows, study, estimators, first=None, language="en"):
    return forest_groups(forest_rows(rows[study], estimators), Words(language, study), first)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_line_repeats_what_its_head_could_say(rows, language):
    for study, estimators in (
        ("karlan_zinman", ["factors"]),
        ("superlender", ["punctuality"]),
        ("sba", ["moderated_by_unemployment", "moderated_by_small_firm", "moderated_by_exposed"]),
    ):
        found = groups(rows, study, estimators, language=language)
        names = [[line.label for line in lines] for _, lines in found]
        assert all(len(set(of_group)) == len(of_group) > 1 for of_group in names), study
        assert len({head for head, _ in found}) == len(found) > 1


def test_lines_stand_in_the_order_of_the_words_and_the_headline_is_bold(rows):
    heads = dict(groups(rows, "karlan_zinman", ["by_risk"]))
    assert [line.label for line in heads["default"]] == [
        "low risk",
        "medium risk",
        "high risk",
        "last group minus first",
    ]
    for _, lines in groups(rows, "karlan_zinman", ["promise"], "strata_rates"):
        assert [line.bold for line in lines] == [True] + [False] * (len(lines) - 1)


def test_one_kind_of_difference_needs_no_head(rows):
    row = rows["karlan_zinman"].where(stage="effects", estimator="by_risk", outcome="default")
    assert [head for head, _ in forest_groups(row[row["ci_low"].notna()], Words("en", "karlan_zinman"))] == [""]


def test_a_yes_or_no_is_called_so():
    english, chinese = (Words(language, "karlan_zinman") for language in LANGUAGES)
    assert english.answers([1.0, 0.0]) == ["no", "yes"] and chinese.answers([0, 1]) == ["否", "是"]
    assert english.answers([0, 2]) is None and english.answers([0, 1, 2]) is None


def test_a_tree_asks_a_yes_or_no_for_no():
    from pipeline.analyses.predict.drawings import _rule

    words = Words("en", "bondora")
    row = pd.DataFrame({"factor": ["higher_education"], "note": ["0.5"]}).itertuples().__next__()
    assert _rule(row, words, {"higher_education"}) == "Higher education: no"
    assert _rule(row, words, set()).endswith("0.5")


def test_names_of_a_kind_stand_as_they_are_written():
    places = Words("en", "karlan_zinman").names("specifications")
    assert places["low"] < places["medium"] < places["high"] < places["groups_compared"]


def test_a_correlation_short_of_one_does_not_read_as_one():
    from pipeline.analyses.correlate.page import in_cell

    assert [in_cell(value) for value in (0.42, -0.7, 0.953, -0.987)] == [".4", "-.7", ".95", "-.99"]
