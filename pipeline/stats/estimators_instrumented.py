"""What instruments say of the programme and of satisfaction: the lottery of places, the audit of branches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.stats.estimators_rows import AFTER, CONTROLS, Engines, Row, counts, plain, row
from pipeline.stats.inference import Effect
from pipeline.stats.instruments import Instrumented, two_sample

SATISFACTION_CONTROLS = tuple(term for term in CONTROLS if term != "institution_type")
"""Institution effects stand in for the institution's type."""

PER_POINT = "risk_difference_per_point"


def instrumented(
    name: str, factor: str, outcome: str, estimand: str, found: Instrumented, counted: Row
) -> Iterator[Row]:
    """Yield the rows of one instrument: two-stage least squares, the Anderson-Rubin interval, the first stage."""
    bounded = bool(np.isfinite(found.anderson_rubin).all())
    low, high = found.anderson_rubin if bounded else (np.nan, np.nan)
    weak_proof = Effect(found.effect.estimate, np.nan, low, high, found.anderson_rubin_p)
    note = "interval that a weak instrument cannot mislead" if bounded else "the interval has no end: a weak instrument"
    yield row((name, "two_stage_least_squares", factor, outcome, estimand), found.effect, counted)
    yield row((name, "anderson_rubin", factor, outcome, estimand), weak_proof, counted, note=note)
    first = (name, "first_stage", factor, outcome, "first_stage")
    yield row(first, found.first_stage, counted, f"units of {factor}")
    yield {
        "estimator": name,
        "specification": "first_stage",
        "factor": factor,
        "outcome": outcome,
        "estimand": "first_stage_f",
        "estimate": found.first_stage_f,
        "unit": "F statistic",
        **counted,
    }


def lottery(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    """Effect on those whom winning a place enrols. Lots are drawn loan by loan, so every loan is its own cluster."""
    offered = cohort[cohort["programme_lot"].notna()]
    found = engines.two_stage(
        offered["default"].to_numpy(),
        offered["treated"].to_numpy(),
        offered["programme_lot"].to_numpy(),
        groups=offered["institution_id"],
        controls=plain(offered, ["origination_quarter"]),
        clusters=None,
        level=level,
    )
    name, counted = "lottery_instrument", counts(offered, "loan_id")
    yield from instrumented(name, "treated", "default", "effect_on_compliers", found, counted)


def _answered(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort[(cohort["open_at_landmark"] == 1) & cohort["satisfaction"].notna()]


def satisfaction(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    """Effect of satisfaction on later default among those who answered, controls and lenders held equal."""
    loans = _answered(cohort)
    found = engines.inside(
        loans[AFTER].to_numpy(),
        loans["satisfaction"].to_numpy(),
        groups=loans["institution_id"],
        controls=plain(loans, [*SATISFACTION_CONTROLS, "treated"]),
        level=level,
    )
    key = ("satisfaction_with_controls", "complete_cases", "satisfaction", AFTER, PER_POINT)
    yield row(key, found, counts(loans))


def satisfaction_instrument(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    """Use the audit of a branch's service as instrument for its clients' satisfaction; branches are the clusters.

    Among those who answer, clients of a poor branch are the ones who like the lender for other reasons. The version
    with two samples takes the outcome from all loans open at the landmark, so that who answers does not select the
    loans whose default is compared. Satisfaction is known from answers alone, so both are effects per point of the
    answers: whoever is more satisfied answers more often, and the scale ends at ten, so that a branch's service moves
    answers by less than it moves satisfaction.
    """

    def fitted(loans: pd.DataFrame, treatment: str) -> Instrumented:
        return engines.two_stage(
            loans[AFTER].to_numpy(),
            loans[treatment].to_numpy(),
            loans["service_audit_score"].to_numpy(),
            groups=loans["institution_id"],
            controls=plain(loans, SATISFACTION_CONTROLS),
            clusters=loans["branch_id"],
            level=level,
        )

    name, answered, every = "satisfaction_instrument", _answered(cohort), cohort[cohort["open_at_landmark"] == 1]
    found = fitted(answered, "satisfaction")
    yield from instrumented(name, "satisfaction", AFTER, PER_POINT, found, counts(answered, "branch_id"))
    reduced_form = fitted(every, "service_audit_score").reduced_form
    yield row(
        (f"{name}_two_samples", "two_stage_least_squares", "satisfaction", AFTER, PER_POINT),
        two_sample(reduced_form, found.first_stage, level),
        counts(every, "branch_id"),
        note="outcome of all loans open at the landmark; per point by which service moves the answers of respondents",
    )
