import pytest

from pipeline.stats import certainty


@pytest.mark.parametrize(
    ("start", "reasons", "level"),
    [
        ("high", [], "high"),
        ("high", ["indirectness"], "moderate"),
        # Several failed checks are one kind of reason.
        ("high", ["bias:placebo_outcomes", "bias:attrition_bounds"], "moderate"),
        ("high", ["bias:placebo_outcomes", "indirectness", "imprecision"], "very_low"),
        ("low", ["selection", "indirectness", "imprecision"], "very_low"),
        ("very_low", [], "very_low"),
    ],
)
def test_each_kind_of_reason_is_a_step_down(start, reasons, level):
    assert certainty.grade(start, reasons).level == level


def test_certainty_starts_with_the_design_for_effects_alone():
    assert [certainty.start_of(name, effect=True) for name in ("randomised", "matched_observational")] == [
        "high",
        "low",
    ]
    assert certainty.start_of("descriptive", effect=False) == "high"
    assert certainty.start_of("descriptive", effect=True) == "very_low"


@pytest.mark.parametrize(
    ("verdict", "low", "high", "imprecise"),
    [
        ("inconclusive", -3, 2, True),
        ("supported", -3, -1.5, False),
        # What was told may yet be too small to matter.
        ("supported", -3, -0.5, True),
        ("contradicted", 0.5, 3, True),
        ("no_important_effect", -0.9, 0.9, False),
        ("supported_small", -0.9, -0.1, False),
    ],
)
def test_an_interval_that_leaves_the_answer_open_is_imprecise(verdict, low, high, imprecise):
    assert certainty.imprecise(verdict, low, high, 1.0) == imprecise


def test_several_lenders_are_as_sure_as_the_strongest_and_pooled_ones_as_the_weakest():
    strong, weak = certainty.grade("high", ["indirectness"]), certainty.grade("low", ["imprecision"])
    assert certainty.several([strong, weak], agree=True, pooled=False) == strong
    assert certainty.several([strong, weak], agree=True, pooled=True) == weak
    apart = certainty.several([strong, weak], agree=False, pooled=False)
    assert apart.level == "low" and apart.reasons == ("indirectness", "inconsistency")
