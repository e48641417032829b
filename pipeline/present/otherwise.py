"""Rows on the same factor that read otherwise than the one that a sentence is about: what it must not keep silent."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from pipeline.core.results import Results


def logistic(results: Results, factor: str, rung: str, row: Any) -> Any:
    """Return the odds ratio of the same specification where it is significant and `row` is not, or the reverse."""
    if row.estimator != "linear_probability":
        # Penalised likelihood stands in where the logistic regression has no estimate.
        return None
    named = {"stage": "regress", "estimator": "logit", "estimand": "odds_ratio", "outcome": "default"}
    for odds in results.each(**named, factor=factor, specification=rung):
        # A comparison with nothing is false, so that an estimate without an interval reads like any other.
        if not math.isnan(odds.ci_low + odds.ci_high + row.ci_low) and excludes(odds, 1) != excludes(row, 0):
            return odds
    return None


def below_top(results: Results, factor: str, row: Any) -> Any:
    """Return the slope without the highest values where it is significant and `row`, the slope of all loans, is not."""
    by = {one.specification: one for one in results.each(stage="robustness", estimator="dose", factor=factor)}
    if "linear" not in by or "without_top" not in by or excludes(row, 0):
        return None
    # Slopes of other specifications have none beside them.
    same = math.isclose(by["linear"].estimate, row.estimate, rel_tol=1e-6)
    return by["without_top"] if same and excludes(by["without_top"], 0) else None


class Group(NamedTuple):
    """A group of values of a factor, held against the lowest."""

    row: Any
    held: str
    lowest: str


def apart(results: Results, factor: str, margin: float) -> Group | None:
    """Return the group of highest values that differs from the lowest significantly and by more than `margin`."""
    found = None
    for row in results.each(stage="robustness", estimator="dose", factor=factor, estimand="risk_difference"):
        named = re.fullmatch(r"values (.+), against (.+)", row.note)
        if named and excludes(row, 0) and abs(row.estimate) > margin:
            found = Group(row, named[1], named[2])
    return found


def excludes(row: Any, start: float) -> bool:
    """Say whether a row's interval excludes the point of no effect."""
    return bool(row.ci_low > start or row.ci_high < start)
