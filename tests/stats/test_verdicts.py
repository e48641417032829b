import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from pipeline.stats import verdicts
from pipeline.stats.verdicts import Found

LEVEL = 0.95
POINTS = "percentage points"


def found(low, high, unit=POINTS, **more):
    middle = math.sqrt(low * high) if verdicts.is_ratio(unit) else (low + high) / 2
    return Found(middle, low, high, unit=unit, **more)


def judge(low, high, expected="lower", margin=1.0, unit=POINTS, corrected=0.0, **more):
    return verdicts.judge(found(low, high, unit, **more), expected, margin, LEVEL, corrected=corrected).verdict


@pytest.mark.parametrize(
    ("low", "high", "expected", "verdict"),
    [
        (-3, -1, "lower", "supported"),
        (-3, -1, "higher", "contradicted"),
        (1, 3, "lower", "contradicted"),
        (1, 3, "higher", "supported"),
        (1, 3, "either", "supported"),
        (-3, -1, "either", "supported"),
        # Clear of nought, and nearer to it than what matters.
        (-0.9, -0.1, "lower", "supported_small"),
        (-1.7, -0.1, "lower", "supported_small"),
        (0.1, 0.9, "lower", "contradicted_small"),
        (0.1, 0.9, "either", "supported_small"),
        # As far as what matters is far enough.
        (-1.5, -0.5, "lower", "supported"),
        # Nought inside: all of it near, or not.
        (-0.9, 0.9, "lower", "no_important_effect"),
        (-1.0, 0.9, "lower", "inconclusive"),
        (-0.9, 1.0, "lower", "inconclusive"),
        (-3, 0, "lower", "inconclusive"),
        (-30, 30, "either", "inconclusive"),
        (-0.5, 0.5, "either", "no_important_effect"),
    ],
)
def test_a_verdict_follows_interval_and_margin(low, high, expected, verdict):
    assert judge(low, high, expected) == verdict


@pytest.mark.parametrize(
    ("beside", "verdict"),
    [((-0.9, 0.9), "no_important_effect"), ((-0.5, 1.0), "inconclusive"), ((-1.2, 0.1), "inconclusive")],
)
def test_another_estimate_must_agree_that_there_is_no_important_effect_and_changes_nothing_else(beside, verdict):
    def told(low, high):
        return verdicts.judge(found(low, high), "lower", 1.0, LEVEL, corrected=0.0, beside=beside).verdict

    assert told(-0.8, 0.8) == verdict
    assert (told(-3, -1), told(-0.9, -0.1), told(-3, 1)) == ("supported", "supported_small", "inconclusive")


def test_ratios_are_judged_on_the_logarithm():
    margin = math.log(1.2)
    assert judge(0.5, 0.9, margin=margin, unit="odds ratio") == "supported"
    assert judge(1.1, 1.9, margin=margin, unit="hazard ratio") == "contradicted"
    assert judge(0.85, 0.99, margin=margin, unit="odds ratio") == "supported_small"
    assert judge(1 / 1.19, 1.19, margin=margin, unit="odds ratio") == "no_important_effect"
    assert judge(1 / 1.21, 1.19, margin=margin, unit="odds ratio") == "inconclusive"
    assert judge(-0.5, -0.1, margin=margin, unit="log odds ratio") == "supported"


def test_a_point_of_no_effect_may_be_given():
    assert judge(0.51, 0.53, "higher", 0.01, "area", start=0.5) == "supported"
    assert judge(0.51, 0.53, "higher", 0.01, "area") == "supported"
    assert judge(0.49, 0.53, "higher", 0.01, "area", start=0.5) == "inconclusive"
    assert judge(0.495, 0.505, "higher", 0.01, "area", start=0.5) == "no_important_effect"


def test_other_tests_are_counted():
    assert judge(-3, -1, corrected=0.049) == "supported"
    assert judge(-3, -1, corrected=0.051) == "inconclusive"
    assert judge(-0.9, -0.1, corrected=0.2) == "no_important_effect"


def test_what_has_no_number_or_no_width_is_not_testable():
    assert judge(math.nan, math.nan) == "not_testable"
    assert judge(0.0, 0.0) == "not_testable"


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(0.01, 3), st.sampled_from(["lower", "higher"]), st.floats(0, 1))
def test_a_verdict_turns_with_the_sign(middle, half, margin, expected, p):
    other = {"lower": "higher", "higher": "lower"}[expected]
    one = judge(middle - half, middle + half, expected, margin, corrected=p)
    assert one == judge(-middle - half, -middle + half, other, margin, corrected=p)
    swapped = judge(middle - half, middle + half, other, margin, corrected=p)
    turned = {"supported": "contradicted", "contradicted": "supported"}
    name, small = one.removesuffix("_small"), "_small" if one.endswith("_small") else ""
    assert swapped == (turned[name] + small if name in turned else one)


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(0.01, 3))
def test_a_wider_margin_never_makes_more_of_a_number(middle, half, margin):
    order = ["supported", "supported_small", "no_important_effect"]
    near = judge(middle - half, middle + half, margin=margin)
    wide = judge(middle - half, middle + half, margin=2 * margin)
    if near in order and wide in order:
        assert order.index(wide) >= order.index(near)


def test_the_smallest_detectable_effect_is_two_quantiles_of_the_error():
    reach = (norm.ppf(0.975) + norm.ppf(0.8)) * 1.0
    number = found(-norm.ppf(0.975), norm.ppf(0.975))
    assert verdicts.smallest_detectable(number, "lower", LEVEL) == pytest.approx(-reach)
    assert verdicts.smallest_detectable(number, "higher", LEVEL) == pytest.approx(reach)
    odds = found(math.exp(-norm.ppf(0.975)), math.exp(norm.ppf(0.975)), "odds ratio")
    assert verdicts.smallest_detectable(odds, "lower", LEVEL) == pytest.approx(math.exp(-reach))
    # A rate of one per cent cannot fall by more.
    assert math.isnan(verdicts.smallest_detectable(number, "lower", LEVEL, most=1.0))
    assert verdicts.smallest_detectable(number, "lower", LEVEL, most=3.0) == pytest.approx(-reach)


def test_p_values_are_corrected_as_by_hand():
    p = [0.01, 0.04, 0.03, math.nan, 0.5]
    holm = verdicts.corrected(p, "holm")
    assert holm[:3] == pytest.approx([0.04, 0.09, 0.09]) and math.isnan(holm[3]) and holm[4] == pytest.approx(0.5)
    found = verdicts.corrected(p, "fdr_bh")
    assert found[:3] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3]) and found[4] == pytest.approx(0.5)
    assert verdicts.corrected([math.nan], "holm")[0] != verdicts.corrected([math.nan], "holm")[0]


def test_the_worst_part_decides():
    parts = [verdicts.Judged(name, "") for name in ("supported", "no_important_effect", "supported_small")]
    assert verdicts.worst(parts) == 1
    assert verdicts.worst([*parts, verdicts.Judged("inconclusive", "")]) == 3
    assert verdicts.worst([verdicts.Judged("not_testable", ""), verdicts.Judged("contradicted", "")]) == 1


def test_like_numbers_are_pooled_from_three_lenders_on():
    numbers = [found(0.55, 0.65, "area", start=0.5), found(0.58, 0.66, "area", start=0.5)]
    assert verdicts.pooled(numbers, LEVEL) is None
    whole, synthesis = verdicts.pooled([*numbers, found(0.60, 0.62, "area", start=0.5)], LEVEL)
    assert whole.start == 0.5 and whole.unit == "area" and synthesis.studies == 3
    # By hand: no variation between lenders beyond chance, so weights are inverse variances.
    errors = np.array([0.05, 0.04, 0.01]) / norm.ppf(0.975)
    weight = errors**-2.0
    mean = (weight * [0.60, 0.62, 0.61]).sum() / weight.sum()
    error = weight.sum() ** -0.5
    reach = t.ppf(0.975, 2) * error
    assert whole.estimate == pytest.approx(mean)
    assert (whole.ci_low, whole.ci_high) == pytest.approx((mean - reach, mean + reach))


def test_ratios_are_pooled_on_the_logarithm_and_what_has_no_width_takes_no_part():
    numbers = [found(0.6, 1.4, "odds ratio"), found(1 / 1.4, 1 / 0.6, "odds ratio"), found(0.5, 2, "odds ratio")]
    whole, _ = verdicts.pooled(numbers, LEVEL)
    assert whole.estimate == pytest.approx(1) and whole.ci_low == pytest.approx(1 / whole.ci_high)
    assert verdicts.pooled([*numbers[:2], found(1, 1, "odds ratio")], LEVEL) is None


@pytest.mark.parametrize(
    ("real", "verdict"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "contradicted", "inconclusive"], "mixed"),
        # One lender does not beat three others.
        (["supported", "inconclusive", "no_important_effect", "inconclusive"], "inconclusive"),
        (["contradicted", "inconclusive"], "inconclusive"),
        (["supported", "supported_small"], "supported_small"),
        (["contradicted", "contradicted_small"], "contradicted_small"),
        (["no_important_effect", "contradicted_small", "supported_small"], "no_important_effect"),
        (["supported", "no_important_effect"], "inconclusive"),
        (["inconclusive", "no_important_effect"], "inconclusive"),
        (["not_testable", "supported"], "supported"),
    ],
)
def test_several_lenders(real, verdict):
    assert verdicts.together(dict(enumerate(real)), [])[0] == verdict


def test_a_simulation_is_never_evidence_about_the_world():
    assert verdicts.together({}, ["supported"])[0] == "simulated_only"
    assert verdicts.together({"bank": "not_testable"}, ["not_testable"])[0] == "not_testable"
    assert verdicts.together({"bank": "inconclusive"}, ["supported"])[0] == "inconclusive"
    verdict, reason = verdicts.together(dict.fromkeys("abcd", "inconclusive") | {"e": "supported"}, [])
    assert verdict == "inconclusive" and reason == "supported at 1 of 5 lenders"
