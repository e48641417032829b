"""What a result says of a claim: supported, contradicted or undecided, by rules fixed before the results are read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pipeline.stats.power import minimum_detectable

Expected = Literal["lower", "higher", "zero", "either"]
Verdict = Literal["supported", "contradicted", "inconclusive", "depends", "no_sign", "met", "not_met", "not_testable"]
Overall = Literal[
    "supported",
    "contradicted",
    "mixed",
    "inconclusive",
    "depends",
    "no_sign",
    "met",
    "not_met",
    "simulated_only",
    "not_testable",
]

POWER = 0.8
"""Chance with which the smallest detectable effect would be found (Bloom 1995, Evaluation Review 19)."""


class Found(NamedTuple):
    """One number with its interval; what a row does not have is NaN."""

    estimate: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    p_value: float = math.nan
    p_adjusted: float = math.nan
    """Adjusted for the family of tests that the row belongs to; NaN where none was declared."""
    unit: str = ""


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


def neutral(unit: str, threshold: float = math.nan) -> float:
    """Return what a number is compared with: the threshold if there is one, one for ratios, otherwise nought."""
    if not math.isnan(threshold):
        return threshold
    return 1.0 if is_ratio(unit) else 0.0


def smallest_detectable(found: Found, expected: Expected, level: float, threshold: float = math.nan) -> float:
    """Return the smallest effect in the expected direction that would have been found with probability `POWER`.

    The standard error is read off the interval (on the logarithm for ratios), so that it is that of the row's own
    method; the result has the row's unit. NaN where the row has no interval. About 2.8 standard errors at 95% (Bloom
    1995).
    """
    from scipy.stats import norm

    low, high = found.ci_low, found.ci_high
    ratio = is_ratio(found.unit)
    if math.isnan(low) or math.isnan(high) or math.isinf(high) or (ratio and low <= 0):
        return math.nan
    width = math.log(high / low) if ratio else high - low
    reach = minimum_detectable(width / 2 / norm.ppf(0.5 + level / 2), level, POWER)
    step = -reach if expected == "lower" else reach
    start = neutral(found.unit, threshold)
    return start * math.exp(step) if ratio else start + step


def interval(found: Found, expected: Expected, level: float, threshold: float = math.nan) -> Judged:
    """Judge one number by where its whole interval lies.

    `expected` is the side of the point of no effect (or of `threshold`) that the claim names: ``lower`` or ``higher``;
    ``zero`` expects no difference, as a test of trends before a programme does; ``either`` expects some difference.
    Where the family of tests is declared, its adjusted p-value must also be below 1 - `level`.
    """
    middle = neutral(found.unit, threshold)
    alpha = 1 - level
    bounded = not (math.isnan(found.ci_low) or math.isnan(found.ci_high))
    below = bounded and found.ci_high < middle
    above = bounded and found.ci_low > middle
    if not bounded and math.isnan(threshold) and found.p_value < alpha:
        # A test without an interval: the estimate, where there is one, gives the side.
        below, above = found.estimate < middle, found.estimate > middle
    if not bounded and math.isnan(found.p_value):
        return NO_NUMBER
    clear = (below or above or (not bounded and found.p_value < alpha)) and not found.p_adjusted >= alpha
    if expected == "zero":
        if clear:
            return Judged("contradicted", "differs where no difference was expected")
        return Judged("supported", "no difference, as expected")
    least = smallest_detectable(found, expected, level, threshold)
    if expected == "either":
        if clear:
            return Judged("depends", "the difference can be told from none", least)
        return Judged("no_sign", "the difference cannot be told from none", least)
    if clear and (below or above):
        if below == (expected == "lower"):
            return Judged("supported", "the whole interval lies on the expected side", least)
        return Judged("contradicted", "the whole interval lies on the other side", least)
    if below or above:
        return Judged("inconclusive", "not clear once the other tests of its family are counted", least)
    return Judged("inconclusive", "the interval includes the point of no effect", least)


def all_of(judged: Sequence[Judged]) -> tuple[int, Judged]:
    """Judge a claim of several parts: it holds only if every part holds, and falls with any.

    Returns the verdict after the place of the part that decides it: the first, if all hold.
    """
    for verdict in ("contradicted", "not_testable", "inconclusive"):
        for place, part in enumerate(judged):
            if part.verdict == verdict:
                return place, part
    return 0, judged[0]._replace(reason="every part of the claim holds") if len(judged) > 1 else judged[0]


class Slope(NamedTuple):
    """The step from one group to the next, with its interval, and how many steps clearly go against it."""

    found: Found
    against: int


def slope(rates: Sequence[Found], expected: Expected, level: float) -> Slope:
    """Fit a line through ordered groups' rates, each weighted by the inverse of its variance.

    `rates` stand in order; standard errors are read off their intervals. Also counts the steps between neighbours that
    go against the expected direction by more than chance at `level`.
    """
    from scipy.stats import norm

    quantile = norm.ppf(0.5 + level / 2)
    errors = [(rate.ci_high - rate.ci_low) / 2 / quantile for rate in rates]
    weights = [1 / error**2 for error in errors]
    total = sum(weights)
    centre = sum(weight * place for place, weight in enumerate(weights)) / total
    spread = sum(weight * (place - centre) ** 2 for place, weight in enumerate(weights))
    estimate = (
        sum(
            weight * (place - centre) * rate.estimate
            for place, (weight, rate) in enumerate(zip(weights, rates, strict=True))
        )
        / spread
    )
    error = spread**-0.5
    sign = 1 if expected == "higher" else -1
    against = sum(
        sign * (after.estimate - before.estimate) < -quantile * math.hypot(first, second)
        for before, after, first, second in zip(rates[:-1], rates[1:], errors[:-1], errors[1:], strict=True)
    )
    p_value = float(2 * norm.sf(abs(estimate / error)))
    unit = f"{rates[0].unit} a step"
    return Slope(Found(estimate, estimate - quantile * error, estimate + quantile * error, p_value, unit=unit), against)


def trend(fitted: Slope, expected: Expected, level: float) -> Judged:
    """Judge a claim that rates rise (``higher``) or fall (``lower``) from group to group."""
    judged = interval(fitted.found, expected, level)
    if judged.verdict == "supported" and fitted.against:
        return Judged("inconclusive", "the trend is as expected, but a step clearly goes the other way")
    return judged


def value(numbers: Iterable[float], expected: Expected, threshold: float) -> tuple[float, Judged]:
    """Judge a requirement by the largest absolute number there is: below (``lower``) or above the threshold."""
    known = [abs(number) for number in numbers if not math.isnan(number)]
    if not known:
        return math.nan, NO_NUMBER
    largest = max(known)
    met = largest < threshold if expected == "lower" else largest > threshold
    side = "below" if largest < threshold else "not below"
    return largest, Judged("met" if met else "not_met", f"{side} the threshold of {threshold:g}")


def overall(real: Mapping[str, Verdict], simulated: Mapping[str, Verdict], *, required: bool) -> tuple[Overall, str]:
    """Put the verdicts of all studies together; simulated ones are never evidence about the world.

    `required` marks requirements of method, which some study must meet. Returns the verdict and the count behind it.
    """
    told = [verdict for verdict in real.values() if verdict != "not_testable"]
    if required:
        met = sum(verdict == "met" for verdict in [*told, *simulated.values()])
        return ("met", f"met by {met} studies") if met else ("not_met", "met by no study")
    if not told:
        if any(verdict != "not_testable" for verdict in simulated.values()):
            return "simulated_only", "no real data decide it"
        return "not_testable", "no data here decide it"
    counts = {name: told.count(name) for name in ("supported", "contradicted", "depends")}
    said = f"of {len(told)} real lenders"
    if counts["supported"] and counts["contradicted"]:
        return "mixed", f"supported by {counts['supported']} and contradicted by {counts['contradicted']} {said}"
    for name in ("supported", "contradicted"):
        if counts[name]:
            return name, f"{name} by {counts[name]} {said}"
    if counts["depends"]:
        return "depends", f"depends at {counts['depends']} {said}"
    if "no_sign" in told:
        return "no_sign", f"no sign of dependence at {told.count('no_sign')} {said}"
    return "inconclusive", f"not decided {said.replace('of', 'at', 1)}"
