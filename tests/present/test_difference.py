import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.results import table
from pipeline.present.difference import Version, difference, flat, told


def effect(low, high):
    return {"risk_difference": (low + high) / 2, "ci_low": low, "ci_high": high}


def version(name="one", caliper=0.2, effects=None, rows=(), verdicts=None):
    rows = list(rows)
    return Version(
        name,
        {"match": {"caliper": caliper}, "inference": {"level": 0.95}},
        {"lenders": {"loans": {"all": 9}} | (effects or {})},
        {("lenders", "regress"): table("lenders", "regress", rows)} if rows else {},
        verdicts or {},
    )


def said(before, after):
    return list(told(difference(before, after)))


def test_two_equal_versions_do_not_differ():
    assert said(version(), version("two")) == ["From one to two", "No parameter, number or verdict differs."]


def test_a_choice_that_changes_nothing_is_said_to_change_nothing():
    lines = said(version(), version("two", caliper=None))
    assert "  match.caliper: 0.2 became nothing" in lines
    assert lines[-1].startswith("No result differs")


@pytest.mark.parametrize(
    ("before", "after", "turn"),
    [
        (effect(-1, 1), effect(0.2, 1), ": is now significant"),
        (effect(0.2, 1), effect(-1, 1), ": is no longer significant"),
        (effect(0.2, 1), effect(-1, -0.2), ": the other sign"),
        (effect(0.2, 1), effect(0.4, 1), ""),
    ],
)
def test_a_headline_says_whether_its_reading_turned(before, after, turn):
    lines = said(version(effects={"treated": before}), version("two", effects={"treated": after}))
    line = next(line for line in lines if line.startswith("  treated: "))
    assert line.endswith(")" + turn)


def test_rows_are_counted_by_what_became_of_them():
    row = {"estimator": "logit", "factor": "treated", "p_value": 0.2}
    gone = {"estimator": "linear_probability", "estimate": 1.0}
    fresh = {"estimator": "poisson", "estimate": 1.0}
    kept = {"estimator": "raw", "estimate": 3.0, "n": 7}
    before, after = [row, gone, kept], [row | {"p_value": 0.01}, fresh, kept]
    lines = said(version(rows=before), version("two", rows=after))
    assert "  stage regress: of 3 rows 1 changed, 1 new, 1 gone" in lines
    assert "    logit / treated: p-value now below 0.05" in lines


def test_a_verdict_that_turned_is_named():
    lines = said(
        version(verdicts={("E01", "lenders"): "supported", ("E02", "lenders"): "mixed"}),
        version("two", verdicts={("E01", "lenders"): "not_supported", ("E02", "lenders"): "mixed"}),
    )
    assert lines[-2:] == ["Verdicts", "  E01, lenders: supported became not supported"]


def chosen(name, relations):
    return Version(name, {"studies": {"lenders": {"relations": relations}}, "inference": {"level": 0.95}})


def test_of_a_list_of_relations_only_what_changed_is_told():
    grade = {"name": "by_grade", "outcome": "default", "controls": []}
    debt = {"name": "by_debt", "outcome": "default", "controls": ["credit_grade"]}
    lines = said(chosen("one", [grade, debt]), chosen("two", [grade, debt | {"controls": ["credit_grade", "age"]}]))
    assert lines[2:4] == [
        "Parameters",
        "  studies.lenders.relations.by_debt.controls: credit_grade became credit_grade, age",
    ]
    assert len(lines) == 5
    lines = said(chosen("one", [grade, debt]), chosen("two", [debt]))
    assert lines[3:5] == [
        "  studies.lenders.relations.by_grade.outcome: default is gone",
        "  studies.lenders.relations.by_grade.controls: none is gone",
    ]


def test_entries_without_a_name_of_their_own_go_by_column_or_place():
    recent = {"column": "month", "at_least": 3}
    assert flat({"where": [recent, {"column": "age"}]}) == {"where.month.at_least": 3, "where.age.column": "age"}
    twice = flat({"where": [recent, {"column": "month", "at_most": 9}]})
    assert twice["where.1.at_least"] == 3 and twice["where.2.at_most"] == 9
    assert flat({"mixed": [{"name": "a"}, 1], "none": []}) == {"mixed": [{"name": "a"}, 1], "none": []}


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.lists(st.integers(), max_size=2))
trees = st.recursive(
    leaves, lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@given(trees)
def test_every_leaf_has_one_dotted_name(tree):
    def count(node):
        return sum(map(count, node.values())) if isinstance(node, dict) else 1

    assert len(flat(tree)) == count(tree)


def test_missing_numbers_are_equal_to_each_other():
    row = {"estimator": "raw", "estimate": None, "n": pd.NA}
    assert said(version(rows=[row]), version("two", rows=[row]))[-1] == "No parameter, number or verdict differs."


def test_a_list_and_the_same_in_a_line_do_not_differ():
    before, after = (
        Version(name, {"a": value, "b": numbers, "inference": {"level": 0.95}})
        for name, value, numbers in (("one", ["x", "log(y)"], [0.05, 2]), ("two", "x, log(y)", "0.05, 2"))
    )
    assert said(before, after)[-1] == "No parameter, number or verdict differs."
