import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.evidence import checks, findings, margins, requirements
from pipeline.analyses.evidence import rows as evidence
from pipeline.analyses.evidence.deciding import deciding
from pipeline.core import params, results
from pipeline.core.fields import construct
from pipeline.core.results import Results
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import ALL, Bearing, Claim, Limit, load_bearings, load_claims
from pipeline.stats.verdicts import Found

PARAMS = params.load()
MARGINS = PARAMS.evidence.margins


def claim(kind="effect", **more):
    known = dict(id="E09", document="A", section="1", claim_en="A.", claim_zh="甲。", factor="programme")
    known |= dict(outcome="default", expected_sign="lower", needs_en="", needs_zh="", priority="1")
    return Claim.model_validate(known | {"class": kind, "studies": "berka"} | more)


def bearing(column="treated", study="berka", **more):
    names = ("stage", "estimator", "specification", "outcome", "estimand", "argument_en", "argument_zh")
    known = dict.fromkeys(names, "") | dict(claim="E09", study=study, column=column, reverse="", moderator="")
    return Bearing.model_validate(known | more)


def has(*rows, study="berka"):
    """Return results; a row without a stage is a regression of default."""
    known = dict(stage="regress", estimator="linear_probability", specification="M5", factor="treated", n=100)
    known |= dict(outcome="default", estimand="risk_difference", unit="percentage points")
    frames = []
    rows = [known | row for row in (*rows, *described())]
    for stage in sorted({row["stage"] for row in rows}):
        frames.append(results.table(study, stage, [row for row in rows if row["stage"] == stage]))
    return Results(pd.concat(frames, ignore_index=True).astype(dict.fromkeys(results.NUMBERS, float)))


def described(rate=10.0):
    common = dict(stage="describe", outcome="", unit="")
    yield (
        common
        | dict(estimator="default_rate", specification="before_00", factor="all", outcome="default")
        | dict(estimand="rate", estimate=rate)
    )
    for name, value in (("binary", 0.0), ("standard_deviation", 2.0)):
        yield common | dict(estimator="summary", specification="", factor="contacts", estimand=name, estimate=value)
    yield common | dict(estimator="summary", specification="", factor="treated", estimand="binary", estimate=1.0)


def number(estimate, error=1.0, **more):
    return dict(estimate=estimate, ci_low=estimate - 1.96 * error, ci_high=estimate + 1.96 * error, p_value=0.01) | more


# Which row decides.


def test_all_controls_decide_an_effect_and_none_an_association():
    found = has(number(1, specification="M1"), number(2, specification="M3"), number(3))
    assert deciding(claim(), bearing(), found).specification == "M5"
    assert deciding(claim("association"), bearing(), found).specification == "M1"
    without = has(number(1, specification="M1"), number(2, specification="M3"), number(3, specification="M2"))
    assert deciding(claim(), bearing(), without).specification == "M3"


def test_the_larger_sample_and_the_lottery_come_first():
    larger = dict(stage="effects", estimator="all_loans")
    found = has(number(1), number(2, specification="controls", **larger), number(3, specification="alone", **larger))
    assert deciding(claim(), bearing(), found).estimate == 2
    assert deciding(claim("association"), bearing(), found).estimate == 3
    lots = dict(stage="effects", estimator="randomisation_test", specification="strata_rates", estimand="difference")
    found = has(number(1), number(2, specification="controls", **larger), number(4, **lots))
    assert deciding(claim(), bearing(), found).estimate == 4


def test_moderation_and_prediction_have_rows_of_their_own():
    pair = dict(stage="heterogeneity", estimator="interaction", specification="unemployment")
    found = has(
        number(1, estimand="difference_per_standard_deviation", **pair),
        number(2, estimand="last_against_first", **pair | dict(specification="credit_grade")),
        number(0.6, stage="predict", estimator="chosen", specification="same_period", factor="hard", estimand="auc"),
        number(0.7, stage="predict", estimator="chosen", specification="out_of_time", factor="hard", estimand="auc"),
    )
    assert deciding(claim("moderation"), bearing(moderator="unemployment"), found).estimate == 1
    assert deciding(claim("moderation"), bearing(moderator="credit_grade"), found).estimate == 2
    assert deciding(claim("prediction"), bearing("hard"), found).estimate == 0.7


def test_a_named_row_is_taken_as_named_and_a_missing_one_stops_the_build():
    named = dict(stage="regress", estimator="logit", specification="M5", outcome="default", estimand="odds_ratio")
    found = has(number(1), number(0.5, estimator="logit", estimand="odds_ratio"))
    assert deciding(claim("credit"), bearing(**named, argument_en="so", argument_zh="故"), found).estimator == "logit"
    with pytest.raises(StudyError, match=r"claim E09 of study berka needs the row .* did you mean"):
        deciding(claim(), bearing("contacts"), found)


def test_a_row_that_could_not_be_estimated_says_why():
    found = has(dict(specification="not_estimated", factor="", estimand="", note="too few defaults."))
    row = deciding(claim(), bearing(), found)
    assert row.note == "too few defaults." and math.isnan(row.estimate)


# Margins.


YEARLY = SimpleNamespace(simulated=False, rate_months=12)
MONTHLY = SimpleNamespace(simulated=False, rate_months=1)
SIMULATED = SimpleNamespace(simulated=True, rate_months=12)


@pytest.mark.parametrize(
    ("unit", "outcome", "size"),
    [
        ("percentage points", "default", 1.0),
        ("area", "default", 0.01),
        ("correlation", "default", 0.05),
        ("squared error", "default", 0.01 * 0.1 * 0.9),
        ("percentage points", "interest_rate", 0.25),
        ("of 100 lent", "default", 0.1),
        # A risk of 10% that falls to 9%: odds of 1/9 that fall to 9/91.
        ("odds ratio", "default", math.log((1 / 9) / (9 / 91))),
        ("log odds ratio", "default", math.log((1 / 9) / (9 / 91))),
        ("log rate ratio", "default", -math.log(0.9)),
    ],
)
def test_the_smallest_difference_that_matters(unit, outcome, size):
    assert margins.margin_of(unit, outcome, 0.1, MARGINS, YEARLY).size == pytest.approx(size)


def test_the_margin_of_a_rate_is_that_of_its_months():
    size = margins.margin_of("units of the outcome", "interest_rate", 0.1, MARGINS, MONTHLY).size
    assert size == pytest.approx(MARGINS.interest_rate / 12)
    days = margins.margin_of("days", "first_late", 0.1, MARGINS, MONTHLY)
    assert days.size == MARGINS.days


def test_a_unit_without_a_margin_stops_the_build_for_real_lenders_alone():
    with pytest.raises(StudyError, match="no margin is stated for the unit 'apples'"):
        margins.margin_of("apples", "trees", 0.1, MARGINS, YEARLY)
    assert margins.margin_of("apples", "trees", 0.1, MARGINS, SIMULATED).size == MARGINS.others


def test_more_of_it_is_told_per_standard_deviation_and_yes_or_no_as_it_is():
    found = has(number(1, factor="contacts"), number(1))
    assert margins.deviation("contacts", found) == 2.0
    assert margins.deviation("treated", found) is None and margins.deviation("loan_type[car]", found) is None
    part = evidence.part_of(claim(), bearing("contacts"), found, PARAMS.study("berka"), PARAMS)
    assert part.per == "standard_deviation" and part.found.estimate == 2.0
    assert part.found.ci_high - part.found.ci_low == pytest.approx(2 * 2 * 1.96)
    assert evidence.part_of(claim(), bearing(), found, PARAMS.study("berka"), PARAMS).found.estimate == 1.0


# Checks.


def test_failed_checks_are_those_of_the_comparison_or_of_the_score():
    failed = dict(estimator="assumption", outcome="default", estimate=1.0, note="failed; threshold 0")
    found = has(
        dict(failed, stage="adjust", specification="placebo_outcomes"),
        dict(failed, stage="curve", specification="curve_of_one_mind", note="passed; threshold 0"),
        dict(failed, stage="predict", specification="score_stable"),
    )
    assert [one.name for one in checks.checks_of(found, "treated", treated=True, scored=False)] == ["placebo_outcomes"]
    assert checks.checks_of(found, "contacts", treated=False, scored=False) == []
    assert [one.name for one in checks.checks_of(found, "hard", treated=False, scored=True)] == ["score_stable"]


def test_bounds_a_bootstrap_and_a_slope_of_the_top_speak_against_a_row():
    errors = dict(stage="robustness", estimator="errors")
    dose = dict(stage="robustness", estimator="dose")
    bounds = dict(stage="effects", estimator="lee_bounds", specification="waves")
    found = has(
        number(3, specification="clustered", **errors),
        number(3, 2, specification="wild_bootstrap", **errors),
        number(3, specification="linear", **dose),
        number(0.1, specification="without_top", **dose),
        number(-3, 4, estimand="lower_bound", **bounds),
        number(0.5, 4, estimand="upper_bound", **bounds),
    )
    names = [one.name for one in checks.checks_of(found, "treated", treated=True, scored=False)]
    assert names == ["attrition_bounds", "wild_bootstrap", "slope_without_top"]
    agree = has(number(3, specification="clustered", **errors), number(3, specification="wild_bootstrap", **errors))
    assert checks.checks_of(agree, "treated", treated=True, scored=False) == []


def test_bounds_of_the_arms_speak_against_the_factor_that_makes_them_and_no_other():
    left = dict(stage="effects", estimator="survivors", specification="all_left")
    found = has(number(-3, 4, estimand="lower_bound", **left), number(2, 4, estimand="upper_bound", **left))
    names = {
        treated: [one.name for one in checks.checks_of(found, "contacts", treated=treated, scored=False)]
        for treated in (True, False)
    }
    assert names == {True: ["attrition_bounds"], False: []}
    # Bounds of one sign do not fail for want of precision, which is judged elsewhere.
    found = has(number(-3, 4, estimand="lower_bound", **left), number(-1, 4, estimand="upper_bound", **left))
    assert checks.checks_of(found, "contacts", treated=True, scored=False) == []


def test_a_bootstrap_that_cannot_be_had_disagrees_with_nothing():
    errors = dict(stage="robustness", estimator="errors")
    none = dict(estimate=math.nan, specification="wild_bootstrap", note="every loan is a cluster of its own.")
    found = has(number(3, specification="clustered", **errors), errors | none)
    assert checks.checks_of(found, "treated", treated=True, scored=False) == []


def test_where_an_arm_has_no_default_penalised_likelihood_decides():
    penalised = number(-4, 3, estimator="firth", p_value=0.2)
    assert deciding(claim(), bearing(), has(number(-4), penalised)).estimator == "firth"
    assert line(weighed(number(-4), penalised).verdicts)["verdict"] == "inconclusive"
    # Where it found no number, the linear row, whose error means nothing, does not step in.
    lost = penalised | dict(estimate=np.nan, ci_low=np.nan, ci_high=np.nan, p_value=np.nan, note="no maximum.")
    assert line(weighed(number(-4), lost).verdicts)["verdict"] == "not_testable"
    # It speaks for its own rung: one with more controls comes first.
    fewer = penalised | {"specification": "M3"}
    assert deciding(claim(), bearing(), has(number(-4), fewer)).estimator == "linear_probability"


def test_no_important_effect_needs_the_doubly_robust_estimate_of_the_treatment_too():
    robust = dict(stage="adjust", estimator="doubly_robust", specification="controls")
    robust |= dict(estimand="risk_difference_of_treated")
    near, far = number(0.2, 0.2, **robust), number(2, 0.8, **robust)
    assert line(weighed(number(0, 0.3)).verdicts)["verdict"] == "no_important_effect"
    assert line(weighed(number(0, 0.3), near).verdicts)["verdict"] == "no_important_effect"
    assert line(weighed(number(0, 0.3), far).verdicts)["verdict"] == "inconclusive"
    # An effect that is clear stays clear, and what is no treatment has no such estimate.
    assert line(weighed(number(-4), far).verdicts)["verdict"] == "supported"
    other = weighed(number(0, 0.1, factor="contacts"), far, bearings=[bearing("contacts")])
    assert line(other.verdicts)["verdict"] == "no_important_effect"


def test_a_slope_that_lives_on_the_top_does_not_decide():
    dose = dict(stage="robustness", estimator="dose", factor="contacts")
    whole, rest = number(3, specification="linear", **dose), number(0.1, specification="without_top", **dose)
    found = has(number(3, factor="contacts"), whole, rest)
    part = evidence.part_of(claim(), bearing("contacts"), found, PARAMS.study("berka"), PARAMS)
    assert part.row.specification == "without_top" and part.found.estimate == pytest.approx(0.2)
    kept = has(number(3, factor="contacts"), whole, rest | number(3))
    assert evidence.part_of(claim(), bearing("contacts"), kept, PARAMS.study("berka"), PARAMS).row.stage == "regress"


# Putting it together.


def weighed(*rows, claims=None, bearings=None, limits=()):
    return evidence.weigh(claims or [claim()], bearings or [bearing()], limits, {"berka": has(*rows)}, PARAMS)


def line(table, claim="E09", study="berka"):
    return table[(table["claim"] == claim) & (table["study"] == study)].iloc[0]


def test_a_row_has_a_verdict_a_certainty_and_reasons():
    limits = [
        Limit(claim="E09", study="berka", answer="proxy", reason_en="a.", reason_zh="甲。"),
        Limit(claim=ALL, study="berka", answer="selected", reason_en="b.", reason_zh="乙。"),
    ]
    found = line(weighed(number(-4)).verdicts)
    assert (found["verdict"], found["certainty"], found["design"]) == ("supported", "low", "matched_observational")
    assert found["margin"] == pytest.approx(1.0) and found["reason"] and not found["why"]
    found = line(weighed(number(-4), limits=limits).verdicts)
    assert (found["certainty"], found["why"]) == ("very_low", "selection indirectness")
    found = line(weighed(number(-4, 3, p_value=0.2), limits=limits).verdicts)
    assert (found["verdict"], found["why"]) == ("inconclusive", "selection indirectness imprecision")
    assert line(weighed(number(-4)).verdicts, study="overall")["verdict"] == "supported"


def test_holm_counts_the_effects_and_one_coefficient_once():
    claims = [claim(), claim(id="E10"), claim(id="E31"), claim("association", id="E02")]
    bearings = [bearing(), bearing(claim="E10"), bearing("contacts", claim="E31"), bearing(claim="E02")]
    rows = [number(-4, p_value=0.02), number(-4, factor="contacts", p_value=0.03), number(-3, specification="M1")]
    table = weighed(*rows, claims=claims, bearings=bearings).verdicts
    assert [line(table, name)["p_family"] for name in ("E09", "E10", "E31")] == pytest.approx([0.04, 0.04, 0.04])
    assert pd.isna(line(table, "E02")["p_family"])
    # Three distinct rows: .01, .02 and .03, all .03 after Benjamini and Hochberg.
    assert [line(table, name)["p_adjusted"] for name in ("E09", "E31", "E02")] == pytest.approx([0.03] * 3)


def test_moderation_takes_the_family_of_its_study():
    pair = dict(stage="heterogeneity", estimator="interaction", specification="unemployment")
    row = number(-4, p_value=0.001, p_adjusted=0.2, estimand="difference_per_standard_deviation", **pair)
    asked = [bearing(moderator="unemployment")]
    found = line(weighed(row, claims=[claim("moderation", expected_sign="either")], bearings=asked).verdicts)
    assert (found["verdict"], found["p_family"], found["per"]) == ("inconclusive", 0.2, "standard_deviation")


def test_less_of_a_reversed_column_is_more_of_the_practice():
    asked = [bearing(reverse="yes")]
    assert line(weighed(number(4), bearings=asked).verdicts)["verdict"] == "supported"
    assert line(weighed(number(-4), bearings=asked).verdicts)["verdict"] == "contradicted"


def test_a_claim_of_several_parts_holds_if_all_hold_and_shows_the_worst():
    asked = [bearing(), bearing("contacts")]
    both = weighed(number(-4), number(-4, factor="contacts"), bearings=asked)
    assert line(both.verdicts)["verdict"] == "supported" and len(both.parts) == 2
    one = weighed(number(-4), number(0.1, 3, factor="contacts", p_value=0.9), bearings=asked)
    assert line(one.verdicts)["verdict"] == "inconclusive" and line(one.verdicts)["factor"] == "contacts"
    assert list(one.parts["verdict"]) == ["supported", "inconclusive"]


def test_a_study_that_cannot_answer_says_why():
    limit = Limit(claim="E09", study="berka", answer="none", reason_en="it does not ask.", reason_zh="没有询问。")
    table = evidence.weigh([claim()], [], [limit], {"berka": has()}, PARAMS).verdicts
    assert (line(table)["verdict"], line(table)["reason"]) == ("not_testable", "it does not ask.")
    assert line(table, study="overall")["verdict"] == "not_testable"


def test_lots_speak_only_for_what_they_drew():
    protocol = SimpleNamespace(simulated=False, design="randomised")
    assert evidence.design_of(claim(), bearing(), None, protocol) == "randomised"
    assert evidence.design_of(claim(), bearing("contacts"), None, protocol) == "matched_observational"
    assert evidence.design_of(claim("association"), bearing(), None, protocol) == "descriptive"


# The first screen.


def test_findings_are_effects_on_default_one_row_a_number_the_strongest_first():
    claims = [claim(), claim(id="E10"), claim(id="E31"), claim("association", id="E02")]
    bearings = [bearing(), bearing(claim="E10"), bearing("contacts", claim="E31"), bearing(claim="E02")]
    rows = [number(-4), number(-5, factor="contacts"), number(-3, specification="M1")]
    found = findings.findings(weighed(*rows, claims=claims, bearings=bearings).parts)
    assert list(found["claims"]) == ["E31", "E09 E10"] and list(found["factor"]) == ["contacts", "treated"]


def test_what_is_needed_finds_the_smallest_difference_in_eight_of_ten():
    from scipy.stats import norm

    table = findings.needed([claim()], {"berka": has()}, PARAMS)
    row = table[table["practice"] == "programme"].iloc[0]
    assert (row["rate"], row["margin"], row["claims"]) == (pytest.approx(10.0), pytest.approx(1.0), "E09")
    # With half of these loans in each arm, the difference is 2.8 standard errors, by the variances of both rates.
    error = math.sqrt((0.1 * 0.9 + 0.09 * 0.91) / (row["loans"] / 2))
    assert norm.sf(norm.ppf(0.975) - 0.01 / error) == pytest.approx(0.8, abs=0.005)
    assert row["loans_by_branch"] == pytest.approx(4.96 * row["loans"], abs=1)
    # With as many as show that nothing matters, the margin is 1.96 + 1.28 standard errors of two equal rates.
    error = math.sqrt(2 * 0.1 * 0.9 / (row["loans_equivalent"] / 2))
    assert 0.01 / error == pytest.approx(norm.ppf(0.975) + norm.ppf(0.9), abs=0.001)
    assert row["loans_equivalent_by_branch"] == pytest.approx(4.96 * row["loans_equivalent"], abs=1)


# Requirements.


def test_every_requirement_has_a_check_that_can_fail():
    asked = {one.id for one in load_claims() if one.kind == "requirement"}
    assert asked == set(requirements.CHECKS)
    flow = dict(stage="describe", estimator="sample_flow", factor="read", outcome="all", unit="loans")
    poor = has(
        dict(flow, specification="step_00", estimand="remaining", estimate=10.0),
        dict(flow, specification="step_00", estimand="left", estimate=0.0),
        dict(flow, specification="step_01", estimand="remaining", estimate=7.0),
        dict(flow, specification="step_01", estimand="left", estimate=2.0),
        *(
            dict(
                stage="describe", estimator="count", specification="", estimand="", outcome="", factor=name, estimate=n
            )
            for name, n in (("loans", 10.0), ("defaults", 10.0))
        ),
    )
    bare = SimpleNamespace(institution_type="pawnbroker", factors=["treated"])
    failing = {name: check(poor, bare).status for name, check in requirements.CHECKS.items() if name != "M15"}
    # A regression stands there, so what asks for one finds a part of what it asks for.
    assert {name for name, status in failing.items() if status != "not_done"} <= {"M01", "M16"}
    assert "met" not in failing.values()


def test_losses_are_counted_step_by_step():
    flow = dict(stage="describe", estimator="sample_flow", factor="read", outcome="all", unit="loans")

    def steps(last):
        numbers = {"step_00": (10.0, 0.0), "step_01": (8.0, 2.0), "step_02": (last, 3.0)}
        for name, (remaining, left) in numbers.items():
            yield dict(flow, specification=name, estimand="remaining", estimate=remaining)
            yield dict(flow, specification=name, estimand="left", estimate=left)

    assert requirements.losses_counted(has(*steps(5.0)), None) == ("met", 2, 2)
    assert requirements.losses_counted(has(*steps(6.0)), None) == ("partly", 1, 2)


def test_balance_is_asked_of_every_covariate_that_the_claim_names():
    row = dict(stage="describe", estimator="balance", specification="after", estimand="standardised_mean_difference")
    good = [dict(row, factor="credit_grade[A]", estimate=0.05), dict(row, factor="loan_type[car]", estimate=-0.05)]
    assert requirements.balance(has(*good), None).status == "met"
    assert requirements.balance(has(good[0]), None).status == "partly"
    off = dict(row, factor="credit_score", estimate=-0.2)
    assert requirements.balance(has(*good, off), None).status == "partly"
    assert requirements.over_all(["not_done", "partly"]) == "partly"


# The ledger against the studies: no picking.


def test_every_factor_of_a_construct_is_asked_of_every_study_that_is_asked():
    """Where a claim on default is asked of a real lender, all its columns that measure the construct take part."""
    claims = {one.id: one for one in load_claims()}
    simulated = [name for name in PARAMS.compared if PARAMS.study(name).simulated]
    bearings = [one for one in load_bearings(list(claims.values()), simulated) if one.study not in simulated]
    for one in claims.values():
        if one.kind not in ("effect", "association"):
            continue
        for study in {item.study for item in bearings if item.claim == one.id and not item.named}:
            mine = {name for name in PARAMS.study(study).factors if construct(name) == one.factor}
            asked = {item.column for item in bearings if (item.claim, item.study) == (one.id, study)}
            drawn = PARAMS.study(study).treatment.factor
            assert mine - asked <= ({drawn} if "treated" in asked else set()), f"{one.id} leaves out columns of {study}"


def test_found_tells_its_point_of_no_effect():
    assert Found(1.0).neutral == 0 and Found(1.0, unit="odds ratio").neutral == 1 and Found(1, start=0.5).neutral == 0.5
