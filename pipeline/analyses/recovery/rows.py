"""Try every method on simulated lenders whose truth is known: bias, coverage, false alarms, and a verdict on each.

One replication simulates a world, prepares it as the study is prepared, runs `estimate_all` and notes beside every
estimate the true value that it aims at. The stage stops when a method that must recover the truth does not, or when
one that must fail does not fail: then the generator, the preparation or the method is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import results
from pipeline.core.params import Params
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.runtime.parallel import each
from pipeline.stats.difference_in_differences import month_numbers
from pipeline.stats.estimators import AFTER, PLACEBO, estimate_all
from pipeline.studies.reference.generator import simulate
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.study import from_frames, prepare
from pipeline.studies.reference.truth import summarise
from pipeline.studies.reference.world import world

Verdict = Literal["recovers", "fails", "must_fail", "right_sign", "overstated", "must_pass"]


class Expected(NamedTuple):
    """What the design document (reference-study.md, What must come out) says of a method."""

    estimator: str
    outcome: str
    specification: str
    verdict: Verdict
    """`recovers`, `must_fail` and `must_pass` are enforced."""
    truth: str
    """Name of the true value (`truths`) at which the method aims."""
    targets: dict[str, float]
    """Mean estimate by scenario, as the document gives it."""


BOTH_EFFECTS = "institution_and_quarter_effects"

EXPECTED = (
    Expected("raw_difference", "default", "all_loans", "fails", "on_treated", {"base": -2.42, "null": -1.93}),
    Expected("linear_probability", "default", "controls", "fails", "on_treated", {"base": -1.39, "null": -0.51}),
    Expected("logit", "default", "controls", "fails", "on_treated", {"base": -1.39, "null": -0.51}),
    Expected(
        "matching_on_grade_and_loan_type",
        "default",
        "nearest_neighbour",
        "fails",
        "on_treated",
        {"base": -1.08, "null": -0.33},
    ),
    Expected("matching_on_quarter_and_institution", "default", "nearest_neighbour", "fails", "on_treated", {}),
    Expected("difference_in_levels", "default", BOTH_EFFECTS, "fails", "of_adoption", {"base": -0.84, "null": -0.45}),
    Expected(
        "poisson_difference_in_differences",
        "default",
        BOTH_EFFECTS,
        "recovers",
        "of_adoption_log_ratio",
        {"base": -0.183, "null": 0.0},
    ),
    Expected("poisson_imputation", "default", "never_and_not_yet_adopted", "recovers", "of_adoption_log_ratio", {}),
    Expected(
        "lottery_instrument",
        "default",
        "two_stage_least_squares",
        "recovers",
        "on_compliers",
        {"base": -0.96, "null": 0.0},
    ),
    Expected("over_control", "default", "complete_cases", "must_fail", "on_treated", {"base": 0.46, "null": -0.42}),
    Expected("same_period_contacts", "default", "controls", "must_fail", "of_contacts", {"base": 3.2, "null": 5.4}),
    Expected("lagged_contacts", "delinquent", "controls", "right_sign", "of_contacts", {"base": -0.36, "null": -0.08}),
    Expected("lagged_contacts_given_enrolment", "delinquent", "controls", "right_sign", "of_contacts", {}),
    Expected("satisfaction_with_controls", AFTER, "complete_cases", "overstated", "of_satisfaction", {"base": -0.44}),
    Expected(
        "satisfaction_instrument",
        AFTER,
        "two_stage_least_squares",
        "recovers",
        "of_satisfaction",
        {"base": -0.20},
    ),
    Expected(
        "satisfaction_instrument_two_samples", AFTER, "two_stage_least_squares", "recovers", "of_satisfaction", {}
    ),
    Expected("difference_in_levels", PLACEBO, BOTH_EFFECTS, "must_pass", "none", {"base": 0.0, "null": 0.0}),
    Expected(
        "poisson_difference_in_differences", PLACEBO, BOTH_EFFECTS, "must_pass", "none", {"base": 0.0, "null": 0.0}
    ),
)

WORLD_TARGETS = {
    ("default_rate", "commercial_bank"): 1.7,
    ("default_rate", "consumer_finance"): 3.1,
    ("default_rate", "p2p"): 11.0,
    ("default_rate", "grade A"): 1.9,
    ("default_rate", "grade B"): 3.3,
    ("default_rate", "grade C"): 4.4,
    ("default_rate", "grade D"): 5.5,
    ("default_rate", "grade E"): 7.2,
    ("truth", "on_treated"): -0.73,
    ("truth", "on_treated_risk_ratio"): 0.77,
    ("truth", "of_adoption"): -0.66,
    ("truth", "of_adoption_log_ratio"): -0.182,
    ("truth", "on_compliers"): -0.85,
    ("truth", "of_satisfaction_at_origination"): -0.18,
    ("truth", "of_satisfaction_odds_ratio"): 0.95,
}
"""What the document says of the base world itself."""

TABLES = (
    "institutions",
    "branches",
    "applications",
    "loans",
    "contacts",
    "surveys",
    "alerts",
    "repayments",
    "documents",
    "macro",
    "potential_outcomes",
)
"""What a replication simulates: no reviews, which no estimator reads."""

WITHOUT = (("lagged_contacts", "default"), ("event_study", "default"), ("permuted_adoption", "default"))
"""Estimates that no verdict needs."""

SCENARIOS = ("base", "benign", "null")
ALLOWED = 3.0
"""Monte Carlo standard errors by which a bound may be missed before it counts as missed."""
COVERAGE = (0.90, 0.99)
"""Within which the coverage of a 95% interval must lie where a method recovers the truth."""
FALSE_ALARMS = 0.10
"""How often a method that recovers the truth may miss it when the programme does nothing."""
RELATIVE = 0.15
"""Share of a target by which the mean estimate may differ, if that is more than Monte Carlo error allows."""
ENOUGH = 20
"""Replications below which verdicts are printed, not enforced: Monte Carlo errors are then themselves guesses."""


def run(study: str, params: Params) -> str:
    """Write the recovery rows of the results table; a verdict that breaks the design document stops the study."""
    protocol = params.study(study).recovery
    if protocol is None:
        raise StudyError(f"{places.choices(study)} has no section recovery.")
    found = replicate(study, params)
    verdicts = judge(found)
    rows = [*performance(found), *_verdict_rows(verdicts), *_target_rows(found)]
    results.write(places.results(study, "recovery"), results.table(study, "recovery", rows))
    broken = [one.sentence for one in verdicts if one.enforced and not one.as_expected]
    if broken and protocol.replications >= ENOUGH:
        raise StudyError("recovery: " + "; ".join(broken) + ".")
    missed = [row["estimator"] for row in rows if row["estimand"] == "target" and row["note"].startswith("not met")]
    said = f"{protocol.replications} replications of {len(protocol.scenarios)} scenarios"
    return f"{said}; targets not met: {', '.join(dict.fromkeys(missed)) or 'none'}"


def replicate(study: str, params: Params) -> pd.DataFrame:
    """Return one row a scenario, replication and quantity: ``estimate, std_error, ci_low, ci_high, p_value, truth``.

    Every replication has a seed of its own, derived from the study's seed, its scenario and its number, so neither
    the number of workers nor the other scenarios change it.
    """
    protocol = params.study(study).recovery
    tasks = [(scenario, number) for scenario in protocol.scenarios for number in range(protocol.replications)]
    worlds = each(partial(_world, study, params), tasks, params.parallel, label="worlds of the recovery")
    return pd.DataFrame([row for rows in worlds for row in rows])


def _world(study: str, params: Params, task: tuple[str, int]) -> list[dict[str, Any]]:
    return one_world(study, params, *task)


def one_world(study: str, params: Params, scenario: str, number: int) -> list[dict[str, Any]]:
    """Simulate, prepare and estimate one world; return its estimates beside the truth."""
    protocol = params.study(study)
    sequence = np.random.SeedSequence(params.seed, spawn_key=(SCENARIOS.index(scenario), number))
    seed = int(sequence.generate_state(1)[0])
    settings = Settings(scenario=scenario, scale=protocol.recovery.scale, horizon_months=protocol.horizon_months)
    tables = simulate(settings, seed, TABLES, dirt=False)
    prepared = prepare(from_frames(tables), protocol, params.checks)
    cohort, months = prepared.cohort, prepared.panels["loan_months"]
    rows = estimate_all(
        cohort,
        months,
        params.inference.level,
        permutations=0,
        seed=seed,
        ratio=params.match.ratio,
        caliper=params.match.caliper,
        order=params.match.order,
        without=WITHOUT,
    )
    estimates = {(row["estimator"], row["outcome"], row["specification"]): row for row in rows if "estimate" in row}
    true = truths(settings, seed, tables["potential_outcomes"], cohort, months, protocol.landmark.months)
    kept = []
    for one in EXPECTED:
        row = estimates.get((one.estimator, one.outcome, one.specification))
        if row is not None:
            numbers = {name: row[name] for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value")}
            kept.append(_named(one.estimator, one.outcome, scenario, number, numbers, true[one.truth], row["unit"]))
    default = 100 * cohort["default"]
    rates = default.groupby(cohort["institution_type"], observed=True).mean().to_dict()
    grades = default.groupby(cohort["credit_grade"], observed=True).mean()
    quantities = {("default_rate", str(kind)): rate for kind, rate in rates.items()}
    quantities |= {("default_rate", f"grade {grade}"): rate for grade, rate in grades.items()}
    quantities |= {("truth", name): value for name, value in true.items()}
    for (what, of), value in quantities.items():
        kept.append(_named(what, of, scenario, number, {"estimate": value}, np.nan, ""))
    return kept


def _named(
    estimator: str, outcome: str, scenario: str, number: int, numbers: dict[str, float], truth: float, unit: str
) -> dict[str, Any]:
    names = {"estimator": estimator, "outcome": outcome, "scenario": scenario, "number": number}
    return names | numbers | {"truth": truth, "unit": unit}


def truths(
    settings: Settings,
    seed: int,
    outcomes: pd.DataFrame,
    cohort: pd.DataFrame,
    months: pd.DataFrame,
    landmark: int,
) -> dict[str, float]:
    """Return the true values at which the estimators aim, in their units (points of default, log ratios).

    The effect of contacts is that of the first step's log odds, at the mean of the market over the months observed.
    """
    summary: Any = summarise(settings, outcomes)
    adoption, treated = summary["adoption_on_institution_quarters"], summary["enrolment_on_treated"]
    point = summary["satisfaction_one_point"]
    first = pd.Series([settings.first_month])
    since = (month_numbers(months["calendar_month"]) - month_numbers(first)[0]).astype(int)
    strain = np.maximum(world(settings, seed).market[since], 0).mean()
    return {
        "on_treated": treated["difference_points"],
        "on_treated_risk_ratio": treated["risk_ratio"],
        "of_adoption": adoption["difference_points"],
        "of_adoption_log_ratio": adoption["log_risk_ratio"],
        "on_compliers": summary["enrolment_on_lottery_compliers"]["difference_points"],
        "of_satisfaction_at_origination": point["difference_points"],
        "of_satisfaction_odds_ratio": point["odds_ratio"],
        "of_satisfaction": answers_after_landmark(settings, seed, cohort, landmark),
        "of_contacts": settings.risk_contact * (1 + settings.risk_contact_market * float(strain)),
        "none": 0.0,
    }


def answers_after_landmark(settings: Settings, seed: int, cohort: pd.DataFrame, landmark: int) -> float:
    """Return the true change in default after the landmark, in points, per point of the answers about satisfaction.

    The same world is simulated again with every client one point more satisfied; all else is drawn alike. The answers
    rise by less than that point: who is more satisfied answers more often, and none can answer more than ten. An
    analyst has only the answers, so default's change, over all loans open at the landmark, is divided by theirs.
    """
    happier = replace(settings, satisfaction_level=tuple(level + 1 for level in settings.satisfaction_level))
    tables = simulate(happier, seed, ("repayments", "surveys"), dirt=False)
    months, surveys = tables["repayments"], tables["surveys"]
    at_landmark = months[months["month_number"] == landmark]
    still_open = at_landmark.loc[at_landmark["state"].isin(["current", "delinquent"]), "loan_id"]
    default = months[(months["state"] == "default") & (months["month_number"] <= landmark + settings.horizon_months)]
    here = cohort[cohort["open_at_landmark"] == 1]
    default_rises = still_open.isin(default["loan_id"]).mean() - here[AFTER].mean()
    answers_rise = surveys.loc[surveys["loan_id"].isin(still_open), "satisfaction"].mean() - here["satisfaction"].mean()
    return 100 * float(default_rises / answers_rise)


class Performance(NamedTuple):
    """How one method did in one scenario: each measure with its Monte Carlo standard error."""

    replications: int
    estimate: tuple[float, float]
    truth: tuple[float, float]
    bias: tuple[float, float]
    rmse: tuple[float, float]
    coverage: tuple[float, float]
    rejection: tuple[float, float]


def measure(rows: pd.DataFrame) -> Performance:
    """Summarise the replications of one method in one scenario (Morris, White & Crowther 2019, table 6)."""
    n = len(rows)

    def mean(values: pd.Series) -> tuple[float, float]:
        return float(values.mean()), float(values.std() / n**0.5) if n > 1 else np.nan

    def share(hits: pd.Series) -> tuple[float, float]:
        p = float(hits.mean())
        return p, (p * (1 - p) / n) ** 0.5

    error = rows["estimate"] - rows["truth"]
    square, of_square = mean(error**2)
    rmse = square**0.5
    return Performance(
        n,
        mean(rows["estimate"]),
        mean(rows["truth"]),
        mean(error),
        (rmse, of_square / (2 * rmse) if rmse else np.nan),
        share((rows["ci_low"] <= rows["truth"]) & (rows["truth"] <= rows["ci_high"])),
        share((rows["ci_low"] > 0) | (rows["ci_high"] < 0)),
    )


def _of(found: pd.DataFrame, one: Expected, scenario: str) -> pd.DataFrame:
    same = (found["estimator"] == one.estimator) & (found["outcome"] == one.outcome)
    return found[same & (found["scenario"] == scenario)]


def performance(found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of every measure, with the Monte Carlo standard error as their standard error."""
    for scenario in found["scenario"].unique():
        for one in EXPECTED:
            rows = _of(found, one, scenario)
            if rows.empty:
                continue
            measured = measure(rows)
            for estimand, (value, error) in zip(Performance._fields[1:], measured[1:], strict=True):
                yield {
                    "estimator": one.estimator,
                    "specification": scenario,
                    "outcome": one.outcome,
                    "estimand": estimand,
                    "estimate": value,
                    "std_error": error,
                    "n": measured.replications,
                    "unit": "share" if estimand in ("coverage", "rejection") else rows["unit"].iloc[0],
                }


class Judged(NamedTuple):
    """Whether a method does what the design document says."""

    expected: Expected
    as_expected: bool
    enforced: bool
    sentence: str


def judge(found: pd.DataFrame) -> list[Judged]:
    """Compare each method with its expected verdict; a bound is missed beyond `ALLOWED` Monte Carlo standard errors.

    - recovers: coverage within `COVERAGE` in base; misses the truth at most in `FALSE_ALARMS` of worlds in null.
    - must_pass: rejects no effect at most in `FALSE_ALARMS` of worlds, in every scenario.
    - fails, must_fail: biased in base or null.
    - right_sign: the mean estimate has the sign of the truth; overstated: it also lies beyond the truth.

    A method without enough estimates, or a scenario that is not run, is left out.
    """
    judged = []
    for one in EXPECTED:
        by_scenario = {name: _of(found, one, name) for name in SCENARIOS}
        measured = {name: measure(rows) for name, rows in by_scenario.items() if len(rows) > 1}
        if "base" not in measured:
            continue
        good, said = _check(one.verdict, measured)
        enforced = one.verdict in ("recovers", "must_fail", "must_pass")
        words = one.verdict.replace("_", " ")
        sentence = f"{one.estimator} on {one.outcome}: expected '{words}', {said}"
        judged.append(Judged(one, good, enforced, sentence))
    return judged


def _check(verdict: Verdict, measured: dict[str, Performance]) -> tuple[bool, str]:
    base, null = measured["base"], measured.get("null")
    if verdict == "recovers":
        low, high = COVERAGE
        covered = base.coverage[0]
        good = not (_below(covered, low, base.replications) or _below(high, covered, base.replications, bound=high))
        said = f"coverage {covered:.3f} in base"
        if null:
            missed = 1 - null.coverage[0]
            good &= not _below(FALSE_ALARMS, missed, null.replications, bound=FALSE_ALARMS)
            said += f", misses the truth in {missed:.3f} of null worlds"
        return good, said
    if verdict == "must_pass":
        alarms = {name: one.rejection[0] for name, one in measured.items()}
        good = not any(
            _below(FALSE_ALARMS, alarm, measured[name].replications, bound=FALSE_ALARMS)
            for name, alarm in alarms.items()
        )
        return good, ", ".join(f"rejects in {alarm:.3f} of {name} worlds" for name, alarm in alarms.items())
    if verdict in ("fails", "must_fail"):
        scenarios = {name: one for name, one in measured.items() if name in ("base", "null")}
        good = any(abs(one.bias[0]) > ALLOWED * one.bias[1] for one in scenarios.values())
        return good, ", ".join(
            f"bias {one.bias[0]:.3g} ({one.bias[1]:.2g}) in {name}" for name, one in scenarios.items()
        )
    sign = np.sign(base.truth[0])
    good = sign * base.estimate[0] > ALLOWED * base.estimate[1]
    if verdict == "overstated":
        good &= sign * base.bias[0] > ALLOWED * base.bias[1]
    return bool(good), f"mean estimate {base.estimate[0]:.3g} ({base.estimate[1]:.2g}), truth {base.truth[0]:.3g}"


def _below(value: float, other: float, replications: int, bound: float | None = None) -> bool:
    """Whether a share lies below another by more than chance, with the Monte Carlo error that the bound implies."""
    p = other if bound is None else bound
    return value < other - ALLOWED * (p * (1 - p) / replications) ** 0.5


def _verdict_rows(verdicts: list[Judged]) -> Iterator[dict[str, Any]]:
    for one in verdicts:
        yield {
            "estimator": one.expected.estimator,
            "specification": "all_scenarios",
            "outcome": one.expected.outcome,
            "estimand": f"verdict_{one.expected.verdict}",
            "estimate": float(one.as_expected),
            "unit": "1 as expected, 0 not",
            "note": one.sentence,
        }


def _target_rows(found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of the document's targets with the band in which the mean must lie."""
    for scenario in found["scenario"].unique():
        for one in EXPECTED:
            rows = _of(found, one, scenario)
            if scenario in one.targets and len(rows) > 1:
                yield _target(rows, one.estimator, one.outcome, scenario, one.targets[scenario])
    for (what, of), target in WORLD_TARGETS.items():
        rows = found[(found["estimator"] == what) & (found["outcome"] == of) & (found["scenario"] == "base")]
        if len(rows) > 1:
            yield _target(rows, what, of, "base", target)


def _target(rows: pd.DataFrame, estimator: str, outcome: str, scenario: str, target: float) -> dict[str, Any]:
    mean, error = float(rows["estimate"].mean()), float(rows["estimate"].std() / len(rows) ** 0.5)
    tolerance = max(ALLOWED * error, RELATIVE * abs(target))
    met = abs(mean - target) <= tolerance
    return {
        "estimator": estimator,
        "specification": scenario,
        "outcome": outcome,
        "estimand": "target",
        "estimate": target,
        "ci_low": target - tolerance,
        "ci_high": target + tolerance,
        "n": len(rows),
        "unit": rows["unit"].iloc[0],
        "note": f"{'met' if met else 'not met'}: mean {mean:.3g} ({error:.2g})",
    }
