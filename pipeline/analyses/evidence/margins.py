"""The smallest difference that matters, in the unit of a row."""

from __future__ import annotations

import math
from typing import NamedTuple

from pipeline.core.protocol import Study
from pipeline.core.results import Results
from pipeline.core.shared import Margins
from pipeline.runtime.errors import StudyError
from pipeline.stats.verdicts import is_ratio

HALF = ("auc", "area_under_curve", "share_of_screening")
"""Estimands of which one half means nothing: a coin's discrimination, and a share that is no more than the rest."""

OF_DEFAULT = ("percentage points", "percent", "percent a step", "percent for one percent", "percent for one log point")
"""Units of differences of default rates."""

BY_OUTCOME = {"interest_rate": "interest_rate", "net_received": "received", "loss_given_default": "received"}
"""The margin of an outcome that is told in its own unit."""

BY_UNIT = {
    "area": "area",
    "correlation": "correlation",
    "of 100 lent": "saved",
    "months": "months",
    "days": "days",
}
"""The margin of a unit that does not depend on the cohort."""


class Margin(NamedTuple):
    """How near to no effect is too small (on the logarithm for ratios), and how far away an effect can be at all."""

    size: float
    most: float


def default_rate(has: Results) -> float:
    """Return the share of a study's loans that default, as its description has it."""
    return (
        float(has.one(stage="describe", estimator="default_rate", specification="before_00", factor="all").estimate)
        / 100
    )


def margin_of(unit: str, outcome: str, rate: float, margins: Margins, protocol: Study) -> Margin:
    """Return the margin of a row.

    Parameters
    ----------
    unit, outcome
        As the row has them.
    rate
        Share of the cohort's loans that default.
    margins
        The choices of params.yaml.
    protocol
        The study's: of simulated loans, what has no margin of its own takes the one for all others, and of interest
        rates the margin is the share of a year's that their months are.

    Raises
    ------
    StudyError
        Where a real lender's row has a unit without a margin.
    """
    if outcome in BY_OUTCOME:
        share = protocol.rate_months / 12 if outcome == "interest_rate" else 1
        return Margin(share * getattr(margins, BY_OUTCOME[outcome]), math.inf)
    if unit in OF_DEFAULT:
        return Margin(100 * rate * margins.default, 100 * rate)
    if unit == "squared error":
        return Margin(margins.squared_error * rate * (1 - rate), math.inf)
    if unit in BY_UNIT:
        return Margin(getattr(margins, BY_UNIT[unit]), 0.5 if unit == "area" else math.inf)
    if is_ratio(unit) or unit.startswith("log"):
        # The odds (or rate) of a risk that is lower by the share that matters, against those of the risk.
        lower = rate * (1 - margins.default)
        size = -math.log(lower / rate) if "rate" in unit else -math.log(lower / (1 - lower) / (rate / (1 - rate)))
        return Margin(size, math.inf)
    if protocol.simulated:
        return Margin(margins.others, math.inf)
    raise StudyError(f"no margin is stated for the unit '{unit}' of the outcome {outcome}: add it to evidence.margins.")


def start_of(estimand: str, specification: str) -> float | None:
    """Return the point of no effect where the unit does not tell it: one half for what is held against a coin."""
    return 0.5 if estimand in HALF and specification != "gain" else None


def deviation(factor: str, has: Results) -> float | None:
    """Return the standard deviation of a factor with more than two values; None for others.

    It is that of the study's cohort: of CRM's factors from the description, of controls among the untreated.
    """
    if factor.endswith("]"):
        # One level of a category is yes or no.
        return None
    for row in has.each(stage="describe", estimator="summary", factor=factor, estimand="binary"):
        if row.estimate:
            return None
        return float(
            has.one(stage="describe", estimator="summary", factor=factor, estimand="standard_deviation").estimate
        )
    held = has.where(
        stage="describe", estimator="balance", specification="before", factor=factor, estimand="sd_control"
    )
    values = held["estimate"].dropna()
    return float(values.iloc[0]) if len(values) else None
