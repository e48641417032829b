"""What simulated worlds say of each method: one rule for all of them, and what was expected beforehand beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipeline.core.results import Results

Label = Literal["recovers", "biased", "intervals_too_narrow", "intervals_too_wide"]
LABELS: tuple[Label, ...] = ("recovers", "intervals_too_wide", "intervals_too_narrow", "biased")
"""From the best down."""

ERRORS, SHARE = 3.0, 0.1
"""Bias may be this many Monte Carlo errors, or this share of the truth, whichever is more."""

COVERAGE = (0.90, 0.99)
"""Within which the coverage of a 95% interval lies where a method recovers the truth."""

REJECTION = 0.10
"""How often a test may reject where there is no effect."""

ASKED = ("linear_probability", "logit", "matching_on_grade_and_loan_type")
"""Methods that the literature asks for."""


class Method(NamedTuple):
    """A method on an outcome: its label, what was expected of it, and the numbers behind both."""

    estimator: str
    outcome: str
    label: Label
    expected: str
    estimate: float
    truth: float
    bias: float
    coverage: float
    rejection: float
    """In worlds without an effect; NaN where the method's own truth is not nought even there."""
    worlds: int

    @property
    def as_expected(self) -> bool:
        """Whether the label, or the estimate where only its sign or size was foretold, is what was expected."""
        multiple = self.estimate / self.truth if self.truth else math.nan
        return {
            "recovers": self.label == "recovers",
            "must_pass": self.label == "recovers",
            "fails": self.label != "recovers",
            "must_fail": self.label != "recovers",
            "right_sign": multiple > 0,
            "overstated": multiple > 1,
        }[self.expected]


def label(bias: float, error: float, truth: float, coverage: float, rejection: float = math.nan) -> Label:
    """Return what simulated worlds say of a method.

    Parameters
    ----------
    bias, error, truth
        Mean error, its Monte Carlo standard error, and the truth, where the programme works.
    coverage
        Share of the intervals there that hold the truth.
    rejection
        Share of tests that reject in worlds without an effect; NaN where the method has no such worlds.
    """
    if abs(bias) > max(ERRORS * error, SHARE * abs(truth)):
        return "biased"
    if coverage < COVERAGE[0] or rejection > REJECTION:
        return "intervals_too_narrow"
    return "intervals_too_wide" if coverage > COVERAGE[1] else "recovers"


def methods(recovery: Results) -> list[Method]:
    """Label every method by the rows of the stage recovery, the best first.

    What was expected stands in the rows of all scenarios; a method that was not tried where the programme works is left
    out.
    """
    rows = recovery.where(stage="recovery")
    number: Mapping[tuple[str, ...], tuple[float, float, float]] = {
        (row.estimator, row.outcome, row.specification, row.estimand): (row.estimate, row.std_error, row.n)
        for row in rows.fillna({"n": 0}).itertuples()
    }
    missing = (math.nan, math.nan, 0)
    found = []
    for row in rows[rows["specification"] == "all_scenarios"].itertuples():
        name = row.estimator, row.outcome
        bias, error, worlds = number.get((*name, "base", "bias"), missing)
        if math.isnan(bias):
            continue
        estimate, truth, coverage = (number[(*name, "base", what)][0] for what in ("estimate", "truth", "coverage"))
        no_effect = number.get((*name, "null", "truth"), missing)[0] == 0
        rejection = number[(*name, "null", "rejection")][0] if no_effect else math.nan
        found.append(
            Method(
                *name,
                label(bias, error, truth, coverage, rejection),
                row.estimand.removeprefix("verdict_"),
                estimate,
                truth,
                bias,
                coverage,
                rejection,
                int(worlds),
            )
        )
    return sorted(found, key=lambda one: (LABELS.index(one.label), one.estimator, one.outcome))
