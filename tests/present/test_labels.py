"""Labels of methods in the simulation follow from one rule, on made-up rows."""

import math

import pytest

from pipeline.core import results
from pipeline.core.results import Results
from pipeline.pages.written import read
from pipeline.present import labels


@pytest.mark.parametrize(
    ("bias", "error", "truth", "coverage", "rejection", "said"),
    [
        (0.0, 0.01, -1.0, 0.95, 0.05, "recovers"),
        # Within a tenth of the truth, beyond it, or so near that the worlds are too few; the sign does not matter.
        (0.08, 0.01, -1.0, 0.95, 0.05, "recovers"),
        (0.081, 0.01, -1.0, 0.95, 0.05, "not_told"),
        (-0.119, 0.01, -1.0, 0.95, 0.05, "not_told"),
        (-0.12, 0.01, -1.0, 0.95, 0.05, "biased"),
        # Noise makes no method better.
        (0.0, 0.06, -1.0, 0.95, 0.05, "not_told"),
        (-0.3, 0.2, -1.0, 0.95, 0.05, "not_told"),
        (-0.3, 0.2, -1.0, 0.85, 0.05, "intervals_too_narrow"),
        # A placebo has no truth to be a tenth of.
        (0.019, 0.01, 0.0, 0.95, 0.05, "recovers"),
        (0.04, 0.01, 0.0, 0.95, 0.05, "biased"),
        (0.0, 0.01, -1.0, 0.90, 0.10, "recovers"),
        (0.0, 0.01, -1.0, 0.899, 0.05, "intervals_too_narrow"),
        (0.0, 0.01, -1.0, 0.95, 0.101, "intervals_too_narrow"),
        (0.0, 0.01, -1.0, 0.99, 0.05, "recovers"),
        (0.0, 0.01, -1.0, 0.995, 0.05, "intervals_too_wide"),
        # Bias comes first, and a method without worlds of no effect is not asked for rejections.
        (0.5, 0.01, -1.0, 0.5, 0.5, "biased"),
        (0.0, 0.01, -1.0, 0.95, math.nan, "recovers"),
    ],
)
def test_one_rule_labels_all(bias, error, truth, coverage, rejection, said):
    assert labels.label(bias, error, truth, coverage, rejection) == said


def rows(estimator, expected, null_truth=0.0, **more):
    numbers = dict(bias=0.01, estimate=-0.99, truth=-1.0, coverage=0.94) | more
    common = dict(estimator=estimator, outcome="default", n=200)
    yield common | dict(specification="all_scenarios", estimand=f"verdict_{expected}", estimate=1.0, n=None)
    for name, value in numbers.items():
        yield common | dict(specification="base", estimand=name, estimate=value, std_error=0.01)
    for name, value in dict(truth=null_truth, rejection=0.5, coverage=0.95).items():
        yield common | dict(specification="null", estimand=name, estimate=value, std_error=0.01)


def found(*made):
    frame = results.table("made_up", "recovery", [row for one in made for row in one])
    return Results(frame.astype(dict.fromkeys(results.NUMBERS, float)))


def test_what_was_expected_stands_beside_and_is_checked_against_the_label():
    told = {
        one.estimator: one
        for one in labels.methods(
            found(
                rows("logit", "fails", bias=0.4),
                rows("raw_difference", "fails", null_truth=-0.5),
                rows("lottery_instrument", "recovers", bias=0.4),
                rows("lagged_contacts", "right_sign", bias=1.9, estimate=0.9),
                rows("satisfaction_with_controls", "overstated", bias=-0.5, estimate=-1.5),
            )
        )
    }
    assert {name: (one.label, one.as_expected) for name, one in told.items()} == {
        "logit": ("biased", True),
        # Its own truth is not nought where the programme does nothing, so that half of the tests may well reject.
        "raw_difference": ("recovers", False),
        "lottery_instrument": ("biased", False),
        "lagged_contacts": ("biased", False),
        "satisfaction_with_controls": ("biased", True),
    }
    assert math.isnan(told["raw_difference"].rejection) and told["logit"].rejection == 0.5
    assert told["logit"].worlds == 200


def test_methods_that_reject_half_of_the_time_without_an_effect_do_not_recover():
    (one,) = labels.methods(found(rows("logit", "recovers")))
    assert one.label == "intervals_too_narrow" and not one.as_expected


def test_a_method_that_was_not_tried_where_the_programme_works_is_left_out():
    made = [row for row in rows("logit", "fails") if row["specification"] != "base"]
    assert labels.methods(found(made)) == []


def test_the_committed_recovery_has_a_label_for_every_method_that_it_tried():
    recovery = read("reference")
    tried = recovery.where(stage="recovery", specification="all_scenarios")
    told = labels.methods(recovery)
    assert len(told) == len(tried) > 0
    assert [labels.LABELS.index(one.label) for one in told] == sorted(labels.LABELS.index(one.label) for one in told)
    assert all(one.label == "biased" for one in told if one.estimator in labels.ASKED)
