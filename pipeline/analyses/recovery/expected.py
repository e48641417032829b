"""What the design document of the simulated study says must come out, by method and scenario."""

from typing import Literal, NamedTuple

from pipeline.stats.estimators import PLACEBO
from pipeline.stats.estimators_rows import AFTER

SCENARIOS = ("base", "benign", "null")

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
