"""What differs between two versions of the study, in words: parameters, headline numbers, result rows, verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.core.results import COUNTS, KEY, NUMBERS

if TYPE_CHECKING:
    import pandas as pd

NAMED = 5
"""Rows of one stage that are named when their p-value crossed the level."""


@dataclass(frozen=True)
class Version:
    """One version of what the study chose and found."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By study: the content of its metrics.json."""
    results: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    """By study and stage: the rows."""
    verdicts: dict[tuple[str, str], str] = field(default_factory=dict)
    """By claim and study."""


def told(before: Version, after: Version) -> Iterator[str]:
    """Yield the lines that say what differs, the choices first."""
    yield f"From {before.name} to {after.name}"
    choices = [*_parameters(flat(before.params), flat(after.params))]
    findings = [line for study in _names(before.metrics, after.metrics) for line in _study(study, before, after)]
    verdicts = [*_verdicts(before.verdicts, after.verdicts)]
    if choices:
        yield from ("", "Parameters", *choices)
    yield from findings
    if verdicts:
        yield from ("", "Verdicts", *verdicts)
    if not choices and not findings and not verdicts:
        yield "No parameter, number or verdict differs."
    elif choices and not findings:
        yield "No result differs: these choices do not matter to it, or the stages have not run since (dvc status)."


def flat(tree: dict[str, Any], stem: str = "") -> dict[str, Any]:
    """Return the leaves of nested sections under dotted names; an entry of a list of sections goes by its name."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        inner = _entries(value) if isinstance(value, list) else value
        leaves |= flat(inner, f"{stem}{name}.") if isinstance(inner, dict) else {f"{stem}{name}": value}
    return leaves


def _entries(values: list[Any]) -> dict[str, Any] | None:
    """Return a list of sections as one section, by the name or column of each, else by place; None for other lists."""
    if not values or not all(isinstance(value, dict) for value in values):
        return None
    for key in ("name", "column"):
        names = [str(value.get(key)) for value in values]
        if all(key in value for value in values) and len(set(names)) == len(names):
            return {
                name: {inner: one for inner, one in value.items() if inner != key} or value
                for name, value in zip(names, values, strict=True)
            }
    return {str(place): value for place, value in enumerate(values, 1)}


def _names(before: dict[Any, Any], after: dict[Any, Any]) -> list[Any]:
    return [*before, *(name for name in after if name not in before)]


def _parameters(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in _names(before, after):
        if name not in after:
            yield f"  {name}: {_choice(before[name])} is gone"
        elif name not in before:
            yield f"  {name}: new, {_choice(after[name])}"
        elif before[name] != after[name]:
            yield f"  {name}: {_choice(before[name])} became {_choice(after[name])}"


def _choice(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_choice, value)) or "none" if isinstance(value, list) else str(value)


def _study(study: str, before: Version, after: Version) -> Iterator[str]:
    if study not in before.metrics or study not in after.metrics:
        yield from ("", f"{study}: only in {(after if study in after.metrics else before).name}")
        return
    old, new = before.metrics[study], after.metrics[study]
    headline = [line for name in _names(old, new) for line in _headline(name, old.get(name), new.get(name))]
    stages = [stage for (owner, stage) in _names(before.results, after.results) if owner == study]
    error = 1 - after.params["inference"]["level"]
    rows = [
        line
        for stage in sorted(stages)
        for line in _rows(stage, before.results.get((study, stage)), after.results.get((study, stage)), error)
    ]
    if headline or rows:
        yield from ("", study, *headline, *rows)


def _headline(name: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if old is None or new is None:
        yield f"  {name}: {'new, ' + _found(new) if old is None else _found(old) + ' is gone'}"
        return
    turn = _turn(old, new) if isinstance(old, dict) and isinstance(new, dict) else ""
    yield f"  {name}: {_found(old)} became {_found(new)}{turn}"


def _found(value: Any) -> str:
    if not isinstance(value, dict):
        return _number(value)
    estimate = value.get("points", value.get("estimate"))
    unit = " points" if "points" in value else ""
    if "ci_low" in value:
        return f"{_number(estimate)}{unit} ({_number(value['ci_low'])} to {_number(value['ci_high'])})"
    return f"{_number(estimate)}{unit}" + (f" (p {_number(value['p_value'])})" if "p_value" in value else "")


def _number(value: float) -> str:
    if value != round(value):
        return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
    return f"{value:,.0f}"


def _turn(old: dict[str, float], new: dict[str, float]) -> str:
    """Say whether the reading of a headline effect turned: its sign, or whether it can be told from zero."""
    sides = [int(each.get("ci_low", math.nan) > 0) - int(each.get("ci_high", math.nan) < 0) for each in (old, new)]
    if sides[0] == sides[1]:
        return ""
    if not sides[1]:
        return ": can no longer be told from zero"
    return ": can now be told from zero" if not sides[0] else ": the other sign"


def _rows(stage: str, old: pd.DataFrame | None, new: pd.DataFrame | None, error: float) -> Iterator[str]:
    if old is None or new is None:
        yield f"  stage {stage}: {'new' if old is None else 'gone'}"
        return
    old, new = old.set_index(list(KEY)), new.set_index(list(KEY))
    both = old.index.intersection(new.index)
    numbers = [*NUMBERS, *COUNTS]
    left, right = old.loc[both, numbers].astype(float), new.loc[both, numbers].astype(float)
    same = left.eq(right) | (left.isna() & right.isna())
    counts = {"changed": int((~same.all(axis=1)).sum()), "new": len(new) - len(both), "gone": len(old) - len(both)}
    if not any(counts.values()):
        return
    listed = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    yield f"  stage {stage}: of {len(old):,} rows {listed}"
    small = {"no longer": left["p_value"] < error, "now": right["p_value"] < error}
    turned = both[small["now"] != small["no longer"]]
    for name in turned[:NAMED]:
        when = "now" if small["now"][name] else "no longer"
        yield f"    {' / '.join(part for part in name[2:] if part)}: p-value {when} below {error:.2g}"
    if len(turned) > NAMED:
        yield f"    ... and {len(turned) - NAMED:,} more whose p-value crossed it"


def _verdicts(before: dict[tuple[str, str], str], after: dict[tuple[str, str], str]) -> Iterator[str]:
    for claim, study in _names(before, after):
        old, new = before.get((claim, study)), after.get((claim, study))
        if old != new:
            yield f"  {claim}, {study}: {_verdict(old)} became {_verdict(new)}"


def _verdict(name: str | None) -> str:
    return "none" if name is None else name.replace("_", " ")
