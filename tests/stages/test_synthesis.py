import numpy as np
import pytest

from pipeline.analyses.synthesis.rows import pooled
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
        "n": 100,
        "note": design,
    }


def effects(rows):
    return {(r["specification"], r["outcome"], r["estimand"]): r for r in pooled(rows, 0.95)}


def test_like_effects_of_two_lenders_are_pooled():
    found = effects([row("a", "x", -0.2), row("b", "y", 0.4)])
    together = found["communication_frequency", "default", ONE]
    assert together["estimate"] == pytest.approx(0.1)
    assert together["n"] == 200
    assert together["note"] == "a: x, b: y"
    by_itself = random_effects(np.array([-0.2, 0.4]), np.array([0.1, 0.1]), 0.95)
    assert found["communication_frequency", "default", f"{ONE}, heterogeneity"]["estimate"] == by_itself.heterogeneity


@pytest.mark.parametrize(
    "other",
    [
        row("b", "y", 0.4, design="simulated"),
        row("b", "y", 0.4, outcome="arrears"),
        row("b", "y", 0.4, unit=SPREAD),
        row("b", "y", 0.4, construct="satisfaction"),
        row("b", "y", np.nan) | {"std_error": np.nan},
        row("a", "y", 0.4),
    ],
    ids=["simulated", "other outcome", "other unit", "other construct", "not estimated", "same study"],
)
def test_what_is_not_alike_is_not_pooled(other):
    assert not effects([row("a", "x", -0.2), other])


def test_a_study_speaks_once():
    found = effects([row("a", "first", -0.2), row("a", "second", 0.9), row("b", "y", 0.4)])
    assert found["communication_frequency", "default", ONE]["estimate"] == pytest.approx(0.1)


def test_a_factor_that_counts_what_a_relationship_lacks_turns_its_sign():
    rows = [row("a", "dormancy", 0.2), row("b", "y", -0.4)]
    (together, *_) = pooled(rows, 0.95, ["dormancy"])
    assert together["estimate"] == pytest.approx(-0.3)
