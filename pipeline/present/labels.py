"""What simulated worlds say of each method: one rule for all of them, and what was expected beforehand beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipeline.core.results import Results

Label = Literal["recovers", "not_told", "biased", "intervals_too_narrow", "intervals_too_wide"]
LABELS: tuple[Label, ...] = ("recovers", "not_told", "intervals_too_wide", "intervals_too_narrow", "biased")
"""From the best down."""

SHARE = 0.1
"""Bias, in either direction, within which a method counts as recovering the truth: as a share of it."""

ERRORS = 1.96
"""Monte Carlo errors on either side of a bias that make its 95% confidence interval."""

COVERAGE = (0.90, 0.99)
"""Within which the coverage of a 95% interval lies where a method recovers the truth."""

REJECTION = 0.10
"""How often a test may reject where there is no effect."""

OF_OTHERS = ("contacts", "satisfaction")
"""Words in the names of methods that aim at the effect of one contact, or of a point of satisfaction."""

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
    def of_programme(self) -> bool:
        """Whether it aims at an effect of the programme, whichever loans it is of; a placebo outcome has none."""
        return bool(self.truth) and not any(word in self.estimator for word in OF_OTHERS)

    @property
    def as_expected(self) -> bool:
        """Whether label, or estimate where only its sign or size was foretold, is not against what was expected.

        What so many worlds do not tell is against nothing.
        """
        multiple = self.estimate / self.truth if self.truth else math.nan
        return {
            "recovers": self.label in ("recovers", "not_told"),
            "must_pass": self.label in ("recovers", "not_told"),
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

    Returns
    -------
    Label
        By the 95% confidence interval of the bias: ``biased`` where all of it lies beyond `SHARE` of the truth, and
        ``not_told`` where a part does. Of a placebo outcome, whose truth is nought, the interval must hold nought.
    """
    within = SHARE * abs(truth)
    if abs(bias) - ERRORS * error > within:
        return "biased"
    if coverage < COVERAGE[0] or rejection > REJECTION:
        return "intervals_too_narrow"
    if truth and abs(bias) + ERRORS * error > within:
        return "not_told"
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
