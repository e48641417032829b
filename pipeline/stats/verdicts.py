"""What numbers say of a claim, by rules fixed before the numbers are read (docs/protocol.md).

A number is judged by its interval, by the smallest difference that matters and by the tests that it belongs to; the
verdicts of several lenders are put together without letting one outvote the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pipeline.stats.power import minimum_detectable
from pipeline.stats.synthesis import Synthesis, random_effects

Expected = Literal["lower", "higher", "either"]
Verdict = Literal[
    "supported",
    "supported_small",
    "contradicted",
    "contradicted_small",
    "no_important_effect",
    "inconclusive",
    "not_testable",
]
Overall = Literal[Verdict, "mixed", "simulated_only"]

WORST_FIRST: tuple[Verdict, ...] = (
    "contradicted",
    "not_testable",
    "inconclusive",
    "contradicted_small",
    "no_important_effect",
    "supported_small",
    "supported",
)
"""A claim of several parts has the verdict of its worst part."""

POWER = 0.8
"""Chance with which the smallest detectable effect would be found (Bloom 1995, Evaluation Review 19)."""

FEWEST = 3
"""Lenders from which like measures are pooled: with two, Hartung and Knapp's interval has one degree of freedom, and is
so wide that it hides what both say (Cochrane Handbook, section 10.10.4)."""


class Found(NamedTuple):
    """One number with its interval; what a row does not have is NaN."""

    estimate: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    p_value: float = math.nan
    unit: str = ""
    start: float | None = None
    """The point of no effect, where the unit does not tell it."""

    @property
    def neutral(self) -> float:
        """What the number is compared with: its own point of no effect, one for ratios, otherwise nought."""
        return neutral(self.unit) if self.start is None else self.start


class Judged(NamedTuple):
    """A verdict, why, and the smallest effect that the number could have shown."""

    verdict: Verdict
    reason: str
    smallest_detectable: float = math.nan


NO_NUMBER = Judged("not_testable", "the row has no number")
"""The verdict on an analysis that the loans did not allow."""


def is_ratio(unit: str) -> bool:
    """Say whether a unit is a ratio, whose point of no effect is one: odds, hazard, rate and risk ratios."""
    return "ratio" in unit and "log" not in unit


def neutral(unit: str) -> float:
    """Return the point of no effect of a unit: one for ratios, otherwise nought."""
    return 1.0 if is_ratio(unit) else 0.0


def smallest_detectable(found: Found, expected: Expected, level: float, most: float = math.inf) -> float:
    """Return the smallest effect in the expected direction that would have been found with probability `POWER`.

    The standard error is read off the interval (on the logarithm for ratios), so that it is that of the row's own
    method; the result has the row's unit. NaN where the row has no interval, or where even the largest effect that
    there can be (`most`, as a distance from the point of no effect) would have been too small to find.
    """
    from scipy.special import ndtri

    low, high = found.ci_low, found.ci_high
    ratio = is_ratio(found.unit)
    if math.isnan(low) or math.isnan(high) or math.isinf(high) or (ratio and low <= 0):
        return math.nan
    width = math.log(high / low) if ratio else high - low
    reach = minimum_detectable(width / 2 / ndtri(0.5 + level / 2), level, POWER)
    if reach > most:
        return math.nan
    step = -reach if expected == "lower" else reach
    start = found.neutral
    return start * math.exp(step) if ratio else start + step


def judge(
    found: Found,
    expected: Expected,
    margin: float,
    level: float,
    *,
    corrected: float,
    most: float = math.inf,
    beside: tuple[float, float] | None = None,
) -> Judged:
    """Judge one number.

    Parameters
    ----------
    found
        The number with its confidence interval at `level`.
    expected
        The side of the point of no effect that the claim names; ``either`` where it names none.
    margin
        The smallest difference that matters, as a distance from the point of no effect (on the logarithm for ratios).
    level
        Level of the interval, such as .95.
    corrected
        p-value after the correction for the tests that belong together.
    most
        See `smallest_detectable`.
    beside
        Interval of another estimate of the same effect, as distances from the point of no effect: where it reaches
        beyond the margin, the two do not agree that there is no important effect.

    Returns
    -------
    Judged
        `supported` or `contradicted` where the interval excludes no effect, the corrected p-value too, and the estimate
        is at least `margin` away; the same with `_small` where it is nearer; `no_important_effect` where the whole
        interval lies within `margin` (Lakens 2017, Social Psychological and Personality Science 8: equivalence); else
        `inconclusive`.
    """
    start, ratio = found.neutral, is_ratio(found.unit)
    if math.isnan(found.ci_low) or math.isnan(found.ci_high):
        return NO_NUMBER
    if found.ci_low == found.ci_high:
        return Judged("not_testable", "nothing varied, so that the interval has no width")
    least = smallest_detectable(found, expected, level, most)
    alpha = 1 - level
    beyond = found.ci_high < start or found.ci_low > start
    side = "lower" if found.estimate < start else "higher"
    away, low, high = (
        (math.log(x) if ratio and x > 0 else -math.inf if ratio else x - start)
        for x in (found.estimate, found.ci_low, found.ci_high)
    )
    within = -margin < low and high < margin
    if beyond and corrected < alpha:
        name = "supported" if expected in (side, "either") else "contradicted"
        said = "on the expected side" if name == "supported" else "on the other side"
        if expected == "either":
            said = "on one side of no effect"
        if abs(away) >= margin:
            return Judged(name, f"the whole interval lies {said}", least)  # type: ignore[arg-type]
        small = f"the whole interval lies {said}, nearer to no effect than the smallest difference that matters"
        return Judged(f"{name}_small", small, least)  # type: ignore[arg-type]
    if within and beside is not None and not -margin < beside[0] <= beside[1] < margin:
        return Judged("inconclusive", "another adjustment allows an effect that matters", least)
    if within:
        return Judged("no_important_effect", "the whole interval is within the smallest difference that matters", least)
    if beyond:
        return Judged("inconclusive", "not clear once the other tests are counted", least)
    return Judged("inconclusive", "the interval holds both no effect and effects that matter", least)


def worst(judged: Sequence[Judged]) -> int:
    """Return the place of the part that decides a claim of several parts, which holds only if every part holds."""
    return min(range(len(judged)), key=lambda place: WORST_FIRST.index(judged[place].verdict))


def corrected(p_values: Sequence[float], method: Literal["fdr_bh", "holm"]) -> list[float]:
    """Return p-values corrected for being many; NaN stays, and counts for nothing.

    ``fdr_bh`` is Benjamini and Hochberg's (1995) share of false discoveries, ``holm`` Holm's (1979) family-wise error.
    """
    import numpy as np

    from pipeline.stats.correlation import holm

    known = [place for place, p in enumerate(p_values) if not math.isnan(p)]
    result = [math.nan] * len(p_values)
    if known:
        p = np.array([p_values[place] for place in known])
        order, ranks = np.argsort(p), np.arange(1, len(p) + 1)
        rates = np.minimum.accumulate((p[order] * len(p) / ranks)[::-1])[::-1][np.argsort(order)]
        adjusted = holm(list(p)) if method == "holm" else np.minimum(rates, 1.0)
        for place, p in zip(known, adjusted, strict=True):
            result[place] = float(p)
    return result


def pooled(found: Sequence[Found], level: float) -> tuple[Found, Synthesis] | None:
    """Pool like numbers of at least `FEWEST` lenders (random effects, Hartung and Knapp); None below that.

    Ratios are pooled on the logarithm. Standard errors are read off the intervals. A number without an interval, or
    with one of no width, takes no part.
    """
    import numpy as np
    from scipy.special import ndtri

    ratio = is_ratio(found[0].unit)
    turn, back = (np.log, np.exp) if ratio else (np.asarray, float)
    start = 0.0 if ratio else found[0].neutral
    used = [one for one in found if one.ci_high > one.ci_low]
    if len(used) < FEWEST:
        return None
    centres = turn([one.estimate for one in used]) - start
    widths = turn([one.ci_high for one in used]) - turn([one.ci_low for one in used])
    whole = random_effects(centres, widths / 2 / ndtri(0.5 + level / 2), level)
    middle, low, high = (
        float(back(number + start)) for number in (whole.effect.estimate, whole.effect.ci_low, whole.effect.ci_high)
    )
    return Found(middle, low, high, whole.effect.p_value, found[0].unit, found[0].start), whole


def together(real: Mapping[str, Verdict], simulated: Iterable[Verdict]) -> tuple[Overall, str]:
    """Put the verdicts of unlike measures together; simulated ones are never evidence about the world.

    Returns the verdict and the count behind it: one lender's own; the common one of several; `mixed` where some support
    and some contradict; otherwise the weakest thing that can be said of all.
    """
    told: list[Verdict] = [verdict for verdict in real.values() if verdict != "not_testable"]
    if not told:
        if any(verdict != "not_testable" for verdict in simulated):
            return "simulated_only", "no real data decide it"
        return "not_testable", "no data here decide it"
    count = {name: told.count(name) for name in WORST_FIRST}
    of = f"of {len(told)} lender{'s' if len(told) > 1 else ''}"
    kinds = set(told)
    if len(kinds) == 1:
        return told[0], f"{count[told[0]]} {of}"
    if count["supported"] and count["contradicted"]:
        return "mixed", f"supported at {count['supported']} and contradicted at {count['contradicted']} {of}"
    if kinds <= {"supported", "supported_small"}:
        return "supported_small", f"{len(told)} {of}, too small to matter at {count['supported_small']}"
    if kinds <= {"contradicted", "contradicted_small"}:
        return "contradicted_small", f"{len(told)} {of}, too small to matter at {count['contradicted_small']}"
    if kinds <= {"supported_small", "contradicted_small", "no_important_effect"}:
        return "no_important_effect", f"{len(told)} {of}"
    for name in ("supported", "contradicted"):
        if count[name]:
            return "inconclusive", f"{name} at {count[name]} {of}"
    return "inconclusive", f"inconclusive at {count['inconclusive']} {of}"
