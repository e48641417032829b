import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stats import verdicts
from pipeline.stats.verdicts import Found, Judged

LEVEL = 0.95


def found(low, high, unit="percentage points", **more):
    middle = math.sqrt(low * high) if unit.endswith("ratio") and "log" not in unit else (low + high) / 2
    return Found(middle, low, high, unit=unit, **more)


@pytest.mark.parametrize(
    ("low", "high", "unit", "expected", "verdict"),
    [
        (-3, -1, "percentage points", "lower", "supported"),
        (-3, -1, "percentage points", "higher", "contradicted"),
        (1, 3, "percentage points", "lower", "contradicted"),
        (-1, 3, "percentage points", "lower", "inconclusive"),
        (-1, 0, "percentage points", "lower", "inconclusive"),
        (0.5, 0.9, "odds ratio", "lower", "supported"),
        (1.1, 1.9, "hazard ratio", "lower", "contradicted"),
        (0.5, 1.0, "ratio", "lower", "inconclusive"),
        (-0.5, -0.1, "log odds ratio", "lower", "supported"),
        (1, 3, "percentage points", "either", "depends"),
        (-3, -1, "percentage points", "either", "depends"),
        (-1, 1, "percentage points", "either", "no_sign"),
        (-1, 1, "percentage points", "zero", "supported"),
        (1, 3, "percentage points", "zero", "contradicted"),
    ],
)
def test_a_verdict_follows_the_whole_interval(low, high, unit, expected, verdict):
    assert verdicts.interval(found(low, high, unit), expected, LEVEL).verdict == verdict


def test_an_area_must_lie_above_its_threshold_and_not_above_nought():
    area = found(0.55, 0.65, "area")
    assert verdicts.interval(area, "higher", LEVEL).verdict == "supported"
    assert verdicts.interval(area, "higher", LEVEL, threshold=0.6).verdict == "inconclusive"
    assert verdicts.interval(found(0.61, 0.65, "area"), "higher", LEVEL, threshold=0.6).verdict == "supported"
    assert verdicts.interval(found(0.51, 0.59, "area"), "higher", LEVEL, threshold=0.6).verdict == "contradicted"


def test_the_family_of_tests_counts_where_it_is_declared():
    alone = found(-3, -0.1)
    assert verdicts.interval(alone, "lower", LEVEL).verdict == "supported"
    judged = verdicts.interval(alone._replace(p_adjusted=0.09), "lower", LEVEL)
    assert (judged.verdict, judged.reason) == (
        "inconclusive",
        "not clear once the other tests of its family are counted",
    )
    assert verdicts.interval(alone._replace(p_adjusted=0.04), "lower", LEVEL).verdict == "supported"


@pytest.mark.parametrize(
    ("estimate", "p", "expected", "verdict"),
    [
        (-2.0, 0.01, "lower", "supported"),
        (2.0, 0.01, "lower", "contradicted"),
        (-2.0, 0.2, "lower", "inconclusive"),
        (1.1, 0.35, "zero", "supported"),
        (9.0, 0.001, "zero", "contradicted"),
        (math.nan, 0.01, "either", "depends"),
        (math.nan, 0.01, "lower", "inconclusive"),
        (math.nan, math.nan, "lower", "not_testable"),
    ],
)
def test_a_test_without_interval_is_judged_by_its_p_value(estimate, p, expected, verdict):
    assert verdicts.interval(Found(estimate, p_value=p), expected, LEVEL).verdict == verdict


@given(st.floats(-5, 5), st.floats(0.01, 5))
def test_the_mirrored_claim_has_the_mirrored_verdict(centre, half):
    here, there = found(centre - half, centre + half), found(-centre - half, -centre + half)
    assert verdicts.interval(here, "lower", LEVEL).verdict == verdicts.interval(there, "higher", LEVEL).verdict


@given(st.floats(-3, 3), st.floats(0.01, 3))
def test_a_ratio_has_the_verdict_of_its_logarithm(centre, half):
    log = found(centre - half, centre + half, "log odds ratio")
    ratio = found(math.exp(centre - half), math.exp(centre + half), "odds ratio")
    assert verdicts.interval(log, "lower", LEVEL).verdict == verdicts.interval(ratio, "lower", LEVEL).verdict
    least = verdicts.smallest_detectable(log, "lower", LEVEL)
    assert verdicts.smallest_detectable(ratio, "lower", LEVEL) == pytest.approx(math.exp(least))


def test_the_smallest_detectable_effect_is_two_point_eight_errors():
    # Bloom (1995, table 1): 2.8 standard errors for a two-sided test at 5% and 80% power.
    error = 2.0
    number = found(0.5 - 1.959964 * error, 0.5 + 1.959964 * error)
    assert verdicts.smallest_detectable(number, "higher", LEVEL) == pytest.approx(2.8 * error, abs=0.01)
    assert verdicts.smallest_detectable(number, "lower", LEVEL) == pytest.approx(-2.8 * error, abs=0.01)
    assert math.isnan(verdicts.smallest_detectable(Found(1.0), "lower", LEVEL))
    # No loan in default among the treated: the odds ratio's interval begins at nought.
    assert math.isnan(verdicts.smallest_detectable(Found(0, 0, 0.8, unit="odds ratio"), "lower", LEVEL))


def test_of_several_parts_the_one_that_fails_decides():
    yes, no, open_ = (Judged(name, name, 1.0) for name in ("supported", "contradicted", "inconclusive"))
    assert verdicts.all_of([yes, yes]) == (0, yes._replace(reason="every part of the claim holds"))
    assert verdicts.all_of([yes]) == (0, yes)
    assert verdicts.all_of([yes, open_]) == (1, open_)
    assert verdicts.all_of([open_, no]) == (1, no)
    assert verdicts.all_of([no, open_]) == (0, no)


def rates(*levels, error=0.5):
    half = 1.959964 * error
    return [Found(level, level - half, level + half, unit="percent") for level in levels]


def test_the_slope_of_rates_is_the_weighted_regression():
    import statsmodels.api as sm

    groups = [Found(y, y - h, y + h, unit="percent") for y, h in [(5, 1), (7, 0.5), (8, 2), (12, 1.5)]]
    fitted = verdicts.slope(groups, "higher", LEVEL)
    design = sm.add_constant(np.arange(4.0))
    weights = [(1.959963985 / h) ** 2 for h in (1, 0.5, 2, 1.5)]
    other = sm.WLS([5, 7, 8, 12], design, weights=weights).fit(cov_type="fixed scale")
    assert fitted.found.estimate == pytest.approx(other.params[1])
    assert fitted.found.ci_high - fitted.found.estimate == pytest.approx(1.959963985 * other.bse[1])
    assert fitted.against == 0
    assert fitted.found.unit == "percent a step"


@pytest.mark.parametrize(
    ("levels", "expected", "verdict"),
    [
        ((5, 7, 9, 12), "higher", "supported"),
        ((5, 7, 9, 12), "lower", "contradicted"),
        ((12, 9, 7, 5), "lower", "supported"),
        # A small step back is chance, a clear one is not.
        ((5, 8, 7.8, 12), "higher", "supported"),
        ((5, 14, 9, 20), "higher", "inconclusive"),
        ((7, 7.1, 6.9, 7), "higher", "inconclusive"),
    ],
)
def test_a_trend_must_go_one_way(levels, expected, verdict):
    fitted = verdicts.slope(rates(*levels), expected, LEVEL)
    assert verdicts.trend(fitted, expected, LEVEL).verdict == verdict


def test_a_requirement_is_held_against_its_threshold():
    assert verdicts.value([0.02, -0.09, math.nan], "lower", 0.1)[1].verdict == "met"
    assert verdicts.value([0.02, -0.11], "lower", 0.1) == (0.11, Judged("not_met", "not below the threshold of 0.1"))
    assert verdicts.value([10_001], "higher", 10_000)[1].verdict == "met"
    assert verdicts.value([9_999], "higher", 10_000)[1].verdict == "not_met"


@pytest.mark.parametrize(
    ("real", "simulated", "verdict"),
    [
        (["supported", "inconclusive"], "contradicted", "supported"),
        (["contradicted", "inconclusive"], "supported", "contradicted"),
        (["supported", "contradicted"], "supported", "mixed"),
        (["inconclusive", "not_testable"], "supported", "inconclusive"),
        (["depends", "no_sign"], "no_sign", "depends"),
        (["no_sign", "not_testable"], "depends", "no_sign"),
        (["not_testable", "not_testable"], "supported", "simulated_only"),
        (["not_testable", "not_testable"], "not_testable", "not_testable"),
    ],
)
def test_simulated_lenders_never_count_as_the_world(real, simulated, verdict):
    by_study = dict(zip("ab", real, strict=True))
    assert verdicts.overall(by_study, {"made": simulated}, required=False)[0] == verdict
    if verdict not in ("simulated_only", "not_testable"):
        without = verdicts.overall(by_study, {}, required=False)
        assert without == verdicts.overall(by_study, {"made": simulated}, required=False)


def test_the_count_behind_a_verdict_is_said():
    real = {"a": "supported", "b": "inconclusive", "c": "not_testable"}
    assert verdicts.overall(real, {}, required=False)[1] == "supported by 1 of 2 real lenders"


def test_a_requirement_is_met_by_any_study():
    assert verdicts.overall({"a": "not_testable"}, {"made": "met"}, required=True)[0] == "met"
    assert verdicts.overall({"a": "not_met"}, {"made": "not_testable"}, required=True)[0] == "not_met"


@pytest.mark.parametrize("expected", ["lower", "higher", "zero", "either"])
def test_no_number_says_nothing(expected):
    assert verdicts.interval(Found(math.nan), expected, 0.95) == verdicts.NO_NUMBER
    assert verdicts.value([math.nan], "lower", 1)[1] == verdicts.NO_NUMBER
