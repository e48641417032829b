"""Try every method on simulated lenders whose truth is known: bias, coverage, false alarms, and a verdict on each.

One replication simulates a world, prepares it as the study is prepared, runs `estimate_all` and notes beside every
estimate the true value that it aims at.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analyses.recovery.expected import EXPECTED, SCENARIOS
from pipeline.analyses.recovery.verdicts import Judged, performance, target_rows, verdict_rows
from pipeline.core.params import Params
from pipeline.runtime.parallel import each
from pipeline.stats.difference_in_differences import month_numbers
from pipeline.stats.estimators import estimate_all
from pipeline.stats.estimators_rows import AFTER
from pipeline.studies.reference.generator import extract, lenders, simulate
from pipeline.studies.reference.months import DEFAULT, DELINQUENT
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.study import from_frames, prepare
from pipeline.studies.reference.truth import summarise
from pipeline.studies.reference.world import world

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


def rows(found: pd.DataFrame, verdicts: list[Judged]) -> list[dict[str, Any]]:
    """Return the rows of every measure, verdict and target, of what `replicate` found and `judge` said of it."""
    return [*performance(found), *verdict_rows(verdicts), *target_rows(found)]


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
    common, opened, answers = world(happier, seed), [], []
    for kind, number in lenders(happier):
        records = extract(happier, common, seed, kind, number)
        surveys, still_open = records.surveys(), records.course.state[:, landmark - 1] <= DELINQUENT
        opened.append(records.course.state[still_open, landmark + settings.horizon_months - 1] == DEFAULT)
        answers.append(surveys["satisfaction"][np.isin(surveys["loan_id"], records.loan_id[still_open])])
    here = cohort[cohort["open_at_landmark"] == 1]
    default_rises = np.concatenate(opened).mean() - here[AFTER].mean()
    answers_rise = np.concatenate(answers).mean() - here["satisfaction"].mean()
    return 100 * float(default_rises / answers_rise)
