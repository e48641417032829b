from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from pipeline.analyses.synthesis.rows import judged, pooled, practices
from pipeline.core import results
from pipeline.core.results import Results
from pipeline.pages.subjects import Subject
from pipeline.stats.synthesis import random_effects

ONE, SPREAD = "log_odds_ratio_of_one", "log_odds_ratio_of_a_standard_deviation"


def row(study, factor, estimate, *, construct="communication_frequency", outcome="default", unit=ONE, design="matched"):
    return {
        "study": study,
        "factor": factor,
        "specification": construct,
        "outcome": outcome,
        "estimator": "like_units",
        "estimand": unit,
        "estimate": estimate,
        "std_error": 0.1,
        "ci_low": estimate - 0.2,
        "ci_high": estimate + 0.2,
        "p_value": 0.5,
        "n": 100,
        "note": design,
    }


def effects(rows):
    found = [r for r in pooled(rows, 0.95) if r["estimator"] == "random_effects"]
    return {(r["specification"], r["outcome"], r["estimand"]): r for r in found}


def test_like_effects_of_three_lenders_are_pooled():
    found = effects([row("a", "x", -0.2), row("b", "y", 0.4), row("c", "z", 0.1)])
    together = found["communication", "default", ONE]
    assert together["estimate"] == pytest.approx(0.1)
    assert together["n"] == 300
    assert together["note"] == "a: x, b: y, c: z"
    by_itself = random_effects(np.array([-0.2, 0.4, 0.1]), np.full(3, 0.1), 0.95)
    assert found["communication", "default", f"{ONE}, heterogeneity"]["estimate"] == by_itself.heterogeneity


@pytest.mark.parametrize(
    "other",
    [
        row("b", "y", 0.4, design="simulated"),
        row("b", "y", 0.4, design="randomised"),
        row("b", "y", 0.4, unit=SPREAD),
        row("b", "y", 0.4, construct="satisfaction"),
        row("b", "y", np.nan) | {"std_error": np.nan},
        row("a", "y", 0.4),
    ],
    ids=["simulated", "drawn by lot", "other unit", "other construct", "not estimated", "same study"],
)
def test_what_is_not_alike_is_not_pooled(other):
    assert not effects([row("a", "x", -0.2), row("c", "z", 0.1), other])


def test_a_study_speaks_once():
    found = effects([row("a", "first", -0.2), row("a", "second", 0.9), row("b", "y", 0.4), row("c", "z", 0.1)])
    assert found["communication", "default", ONE]["estimate"] == pytest.approx(0.1)


def test_a_factor_that_counts_what_a_relationship_lacks_turns_its_sign():
    rows = [row("a", "dormancy", 0.2), row("b", "y", -0.4), row("c", "z", -0.3)]
    found = [*pooled(rows, 0.95, ["dormancy"])]
    assert next(r for r in found if r["estimator"] == "random_effects")["estimate"] == pytest.approx(-0.3)
    part = next(r for r in found if r["estimator"] == "part" and r["study"] == "a")
    assert (part["estimate"], part["ci_low"], part["ci_high"]) == pytest.approx((-0.2, -0.4, 0.0))


def test_length_and_depth_of_a_relationship_and_arrears_are_one_subject():
    rows = [
        row("a", "x", -0.2, construct="relationship_length"),
        row("b", "y", 0.4, construct="relationship_depth", outcome="arrears"),
        row("c", "z", 0.1, construct="loyalty"),
    ]
    assert effects(rows)["relationship", "default_or_arrears", ONE]["estimate"] == pytest.approx(0.1)


def test_weights_sum_to_one_and_what_is_left_out_is_pooled_from_the_others():
    rows = [row("a", "x", -0.2), row("b", "y", 0.4) | {"std_error": 0.3}, row("c", "z", 0.1), row("d", "w", -0.05)]
    found = [*pooled(rows, 0.95)]
    weights = {r["study"]: r["estimate"] for r in found if r["estimand"] == f"{ONE}, weight"}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["b"] < weights["a"] == weights["c"] == weights["d"]
    left = {r["study"]: r["estimate"] for r in found if r["estimator"] == "leave_one_out"}
    assert left["b"] == pytest.approx(-0.05)
    assert set(left) == {"a", "b", "c", "d"}


def test_what_a_lender_does_is_told_by_rank_correlations():
    loans = pd.DataFrame({"relationship_length": [1.0, 2, 3, 5, np.nan], "amount": [1.0, 4, 9, 3, 7]})
    loans["credit_grade"] = pd.Categorical(["B", "B", None, "A", "A"], ["A", "B"], ordered=True)
    found = {r["outcome"]: r for r in practices("a", SimpleNamespace(factors=["relationship_length"]), loans)}
    assert found["amount"]["estimate"] == pytest.approx(spearmanr([1, 2, 3, 5], [1, 4, 9, 3]).statistic)
    assert found["credit_grade"]["estimate"] == pytest.approx(spearmanr([1, 2, 5], [1, 1, 0]).statistic)
    assert found["credit_grade"]["n"] == 3
    assert set(found) == {"amount", "credit_grade"}


@pytest.mark.parametrize(
    ("low", "high", "scatter", "disagree", "finding", "reasons"),
    [
        (-0.3, -0.1, 0.0, False, "less", ("indirectness",)),
        (0.1, 0.3, 0.0, False, "more", ("indirectness",)),
        (-0.1, 0.3, 0.0, False, "unclear", ("indirectness", "imprecision")),
        (-0.3, -0.1, 0.6, False, "less", ("indirectness", "inconsistency")),
        (-0.3, -0.1, 0.0, True, "less", ("indirectness", "inconsistency")),
    ],
)
def test_what_a_mean_shows_turns_with_its_sign_and_certainty_with_its_reasons(
    low, high, scatter, disagree, finding, reasons
):
    found, graded = judged(low, high, scatter, disagree=disagree)
    assert (found, graded.reasons, graded.start) == (finding, reasons, "low")
    assert graded.level == "very_low"


def test_a_lender_whose_slope_is_gone_without_the_top_has_neither_less_nor_more_default():
    found = [*pooled([row("a", "x", -0.4), row("b", "y", 0.4), row("c", "z", 0.4)], 0.95)]
    top = {"study": "b", "estimator": "without_top", "specification": "communication_frequency", "factor": "y"}
    words = SimpleNamespace(counted=str, label=lambda *names: names[-1])
    of_study = {name: SimpleNamespace(text=lambda key, name=name: name) for name in "abc"}

    def told(rows):
        held = Results(results.table("synthesis", "synthesis", rows))
        facts = Subject(held, "communication", ONE, words, of_study).facts()
        return [facts[name] for name in ("less", "more", "top", "undecided")]

    assert told(found) == [["a"], ["b", "c"], [], 0]
    assert told([*found, top]) == [["a"], ["c"], ["b"], 0]


def test_two_lenders_stand_side_by_side_without_a_mean():
    found = [*pooled([row("a", "x", -0.2), row("b", "y", 0.4)], 0.95)]
    assert {r["estimator"] for r in found} == {"part"}
    assert {r["study"] for r in found} == {"a", "b"}
