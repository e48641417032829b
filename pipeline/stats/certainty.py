"""How sure evidence is, after Core GRADE (Guyatt and others 2025, BMJ 389): a start by design, steps down for reasons.

For what CRM does, the start is the design's; for what goes together or foretells, a cohort that was followed is the
right design, so it starts high (Iorio and others 2015, BMJ 350: GRADE for prognosis).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pipeline.stats.verdicts import Verdict

Certainty = Literal["high", "moderate", "low", "very_low"]
LEVELS: tuple[Certainty, ...] = ("very_low", "low", "moderate", "high")

OF_EFFECTS: dict[str, Certainty] = {
    "randomised": "high",
    "quasi_experimental": "moderate",
    "matched_observational": "low",
    "descriptive": "very_low",
}
"""Where the certainty of an effect starts."""


class Graded(NamedTuple):
    """A certainty, where it started, and the reasons for each step down."""

    level: Certainty
    start: Certainty
    reasons: tuple[str, ...]
    """Codes: ``bias:`` with a check's name, ``selection``, ``indirectness``, ``imprecision``, ``inconsistency``."""


def imprecise(verdict: Verdict, low: float, high: float, margin: float) -> bool:
    """Say whether an interval leaves open what a reader needs to know.

    `low` and `high` bound the interval, `margin` is the smallest difference that matters, all as distances from no
    effect. It does where nothing could be told, and where a difference that was told may yet be too small to matter.
    """
    if verdict == "inconclusive":
        return True
    return verdict in ("supported", "contradicted") and min(abs(low), abs(high)) < margin


def grade(start: Certainty, reasons: Sequence[str]) -> Graded:
    """Take a step down for each kind of reason: several reasons of one kind are one step."""
    kinds = {reason.split(":")[0] for reason in reasons}
    place = max(LEVELS.index(start) - len(kinds), 0)
    return Graded(LEVELS[place], start, tuple(reasons))


def start_of(design: str, *, effect: bool) -> Certainty:
    """Return where certainty starts: by design for effects, high for what goes together or foretells."""
    return OF_EFFECTS[design] if effect else "high"


def several(graded: Sequence[Graded], *, agree: bool, pooled: bool) -> Graded:
    """Grade what several lenders say together.

    The body of evidence starts where its strongest lender stands and keeps that lender's reasons; pooled evidence is as
    weak as its weakest part. Where lenders do not agree, that is a step more.
    """
    pick = min if pooled else max
    one = pick(graded, key=lambda each: LEVELS.index(each.level))
    return one if agree else grade(one.start, [*one.reasons, "inconsistency"])
