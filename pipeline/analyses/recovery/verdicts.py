"""How each method did over the simulated worlds, and whether that is what the design document says of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.recovery.expected import EXPECTED, SCENARIOS, WORLD_TARGETS, Expected, Verdict

ALLOWED = 3.0
"""Monte Carlo standard errors by which a bound may be missed before it counts as missed."""
COVERAGE = (0.90, 0.99)
"""Within which the coverage of a 95% interval must lie where a method recovers the truth."""
FALSE_ALARMS = 0.10
"""How often a method that recovers the truth may miss it when the programme does nothing."""
RELATIVE = 0.15
"""Share of a target by which the mean estimate may differ, if that is more than Monte Carlo error allows."""


class Performance(NamedTuple):
    """How one method did in one scenario: each measure with its Monte Carlo standard error."""

    replications: int
    estimate: tuple[float, float]
    truth: tuple[float, float]
    bias: tuple[float, float]
    rmse: tuple[float, float]
    coverage: tuple[float, float]
    rejection: tuple[float, float]


def measure(rows: pd.DataFrame) -> Performance:
    """Summarise the replications of one method in one scenario (Morris, White & Crowther 2019, table 6)."""
    n = len(rows)

    def mean(values: pd.Series) -> tuple[float, float]:
        return float(values.mean()), float(values.std() / n**0.5) if n > 1 else np.nan

    def share(hits: pd.Series) -> tuple[float, float]:
        p = float(hits.mean())
        return p, (p * (1 - p) / n) ** 0.5

    error = rows["estimate"] - rows["truth"]
    square, of_square = mean(error**2)
    rmse = square**0.5
    return Performance(
        n,
        mean(rows["estimate"]),
        mean(rows["truth"]),
        mean(error),
        (rmse, of_square / (2 * rmse) if rmse else np.nan),
        share((rows["ci_low"] <= rows["truth"]) & (rows["truth"] <= rows["ci_high"])),
        share((rows["ci_low"] > 0) | (rows["ci_high"] < 0)),
    )


def _of(found: pd.DataFrame, one: Expected, scenario: str) -> pd.DataFrame:
    same = (found["estimator"] == one.estimator) & (found["outcome"] == one.outcome)
    return found[same & (found["scenario"] == scenario)]


def performance(found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of every measure, with the Monte Carlo standard error as their standard error."""
    for scenario in found["scenario"].unique():
        for one in EXPECTED:
            rows = _of(found, one, scenario)
            if rows.empty:
                continue
            measured = measure(rows)
            for estimand, (value, error) in zip(Performance._fields[1:], measured[1:], strict=True):
                yield {
                    "estimator": one.estimator,
                    "specification": scenario,
                    "outcome": one.outcome,
                    "estimand": estimand,
                    "estimate": value,
                    "std_error": error,
                    "n": measured.replications,
                    "unit": "share" if estimand in ("coverage", "rejection") else rows["unit"].iloc[0],
                }


class Judged(NamedTuple):
    """Whether a method does what the design document says."""

    expected: Expected
    as_expected: bool
    enforced: bool
    sentence: str


def judge(found: pd.DataFrame) -> list[Judged]:
    """Compare each method with its expected verdict; a bound is missed beyond `ALLOWED` Monte Carlo standard errors.

    - recovers: coverage within `COVERAGE` in base; misses the truth at most in `FALSE_ALARMS` of worlds in null.
    - must_pass: rejects no effect at most in `FALSE_ALARMS` of worlds, in every scenario.
    - fails, must_fail: biased in base or null.
    - right_sign: the mean estimate has the sign of the truth; overstated: it also lies beyond the truth.

    A method without enough estimates, or a scenario that is not run, is left out.
    """
    judged = []
    for one in EXPECTED:
        by_scenario = {name: _of(found, one, name) for name in SCENARIOS}
        measured = {name: measure(rows) for name, rows in by_scenario.items() if len(rows) > 1}
        if "base" not in measured:
            continue
        good, said = _check(one.verdict, measured)
        enforced = one.verdict in ("recovers", "must_fail", "must_pass")
        words = one.verdict.replace("_", " ")
        sentence = f"{one.estimator} on {one.outcome}: expected '{words}', {said}"
        judged.append(Judged(one, good, enforced, sentence))
    return judged


def _check(verdict: Verdict, measured: dict[str, Performance]) -> tuple[bool, str]:
    base, null = measured["base"], measured.get("null")
    if verdict == "recovers":
        low, high = COVERAGE
        covered = base.coverage[0]
        good = not (_below(covered, low, base.replications) or _below(high, covered, base.replications, bound=high))
        said = f"coverage {covered:.3f} in base"
        if null:
            missed = 1 - null.coverage[0]
            good &= not _below(FALSE_ALARMS, missed, null.replications, bound=FALSE_ALARMS)
            said += f", misses the truth in {missed:.3f} of null worlds"
        return good, said
    if verdict == "must_pass":
        alarms = {name: one.rejection[0] for name, one in measured.items()}
        good = not any(
            _below(FALSE_ALARMS, alarm, measured[name].replications, bound=FALSE_ALARMS)
            for name, alarm in alarms.items()
        )
        return good, ", ".join(f"rejects in {alarm:.3f} of {name} worlds" for name, alarm in alarms.items())
    if verdict in ("fails", "must_fail"):
        scenarios = {name: one for name, one in measured.items() if name in ("base", "null")}
        good = any(abs(one.bias[0]) > ALLOWED * one.bias[1] for one in scenarios.values())
        return good, ", ".join(
            f"bias {one.bias[0]:.3g} ({one.bias[1]:.2g}) in {name}" for name, one in scenarios.items()
        )
    sign = np.sign(base.truth[0])
    good = sign * base.estimate[0] > ALLOWED * base.estimate[1]
    if verdict == "overstated":
        good &= sign * base.bias[0] > ALLOWED * base.bias[1]
    return bool(good), f"mean estimate {base.estimate[0]:.3g} ({base.estimate[1]:.2g}), truth {base.truth[0]:.3g}"


def _below(value: float, other: float, replications: int, bound: float | None = None) -> bool:
    """Whether a share lies below another by more than chance, with the Monte Carlo error that the bound implies."""
    p = other if bound is None else bound
    return value < other - ALLOWED * (p * (1 - p) / replications) ** 0.5


def verdict_rows(verdicts: list[Judged]) -> Iterator[dict[str, Any]]:
    """Rows that say of each method whether it is as expected."""
    for one in verdicts:
        yield {
            "estimator": one.expected.estimator,
            "specification": "all_scenarios",
            "outcome": one.expected.outcome,
            "estimand": f"verdict_{one.expected.verdict}",
            "estimate": float(one.as_expected),
            "unit": "1 as expected, 0 not",
            "note": one.sentence,
        }


def target_rows(found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of the document's targets with the band in which the mean must lie."""
    for scenario in found["scenario"].unique():
        for one in EXPECTED:
            rows = _of(found, one, scenario)
            if scenario in one.targets and len(rows) > 1:
                yield _target(rows, one.estimator, one.outcome, scenario, one.targets[scenario])
    for (what, of), target in WORLD_TARGETS.items():
        rows = found[(found["estimator"] == what) & (found["outcome"] == of) & (found["scenario"] == "base")]
        if len(rows) > 1:
            yield _target(rows, what, of, "base", target)


def _target(rows: pd.DataFrame, estimator: str, outcome: str, scenario: str, target: float) -> dict[str, Any]:
    mean, error = float(rows["estimate"].mean()), float(rows["estimate"].std() / len(rows) ** 0.5)
    tolerance = max(ALLOWED * error, RELATIVE * abs(target))
    met = abs(mean - target) <= tolerance
    return {
        "estimator": estimator,
        "specification": scenario,
        "outcome": outcome,
        "estimand": "target",
        "estimate": target,
        "ci_low": target - tolerance,
        "ci_high": target + tolerance,
        "n": len(rows),
        "unit": rows["unit"].iloc[0],
        "note": f"{'met' if met else 'not met'}: mean {mean:.3g} ({error:.2g})",
    }
