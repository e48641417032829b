"""What differs between two versions of the study: parameters, headline numbers, result rows, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline.core import yaml
from pipeline.core.results import COUNTS, KEY, NUMBERS
from pipeline.present.words import FOLDER, filled

if TYPE_CHECKING:
    import pandas as pd

GONE: Any = object()
"""Stands where a version has no such value; None is a value of its own."""

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
    figures: dict[str, bytes] = field(default_factory=dict)
    """By path: the pictures of the reports."""


class Moved(NamedTuple):
    """What has another value than before; GONE where a version has none."""

    name: str
    old: Any
    new: Any


class Rows(NamedTuple):
    """What became of a stage's rows; `turned` are those whose p-value crossed the level, and whether it is below."""

    stage: str
    there: Literal["both", "new", "gone"]
    total: int = 0
    counts: Mapping[str, int] = MappingProxyType({})
    turned: Sequence[tuple[str, bool]] = ()


class Study(NamedTuple):
    """What differs in a study; `only` names the version that alone has it."""

    name: str
    only: str | None
    numbers: list[Moved]
    rows: list[Rows]


class Difference(NamedTuple):
    """All that differs between two versions."""

    before: Version
    after: Version
    choices: list[Moved]
    studies: list[Study]
    verdicts: list[Moved]
    error: float
    """Level that p-values cross."""


def difference(before: Version, after: Version) -> Difference:
    """Lay two versions side by side."""
    error = 1 - after.params["inference"]["level"]
    found = [_study(name, before, after, error) for name in _names(before.metrics, after.metrics)]
    return Difference(
        before,
        after,
        _moved(_in_a_line(flat(before.params)), _in_a_line(flat(after.params))),
        [one for one in found if one.only or one.numbers or one.rows],
        [one._replace(name=", ".join(one.name)) for one in _moved(before.verdicts, after.verdicts)],
        error,
    )


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


def _in_a_line(choices: dict[str, Any]) -> dict[str, Any]:
    """Return choices with each list of names or numbers in a line, as which it may have been written."""

    def plain(value: Any) -> bool:
        return isinstance(value, list) and value != [] and not any(isinstance(one, dict | list) for one in value)

    return {name: ", ".join(map(str, value)) if plain(value) else value for name, value in choices.items()}


def _names(before: dict[Any, Any], after: dict[Any, Any]) -> list[Any]:
    return [*before, *(name for name in after if name not in before)]


def _moved(before: dict[Any, Any], after: dict[Any, Any]) -> list[Moved]:
    pairs = [(name, before.get(name, GONE), after.get(name, GONE)) for name in _names(before, after)]
    return [Moved(name, old, new) for name, old, new in pairs if old is GONE or new is GONE or old != new]


def _study(study: str, before: Version, after: Version, error: float) -> Study:
    if study not in before.metrics or study not in after.metrics:
        return Study(study, (after if study in after.metrics else before).name, [], [])
    stages = sorted(stage for (owner, stage) in _names(before.results, after.results) if owner == study)
    rows = (_rows(stage, *(one.results.get((study, stage)) for one in (before, after)), error) for stage in stages)
    numbers = _moved(effects(before.metrics[study]), effects(after.metrics[study]))
    return Study(study, None, numbers, [one for one in rows if one is not None])


def effects(metrics: dict[str, Any], stem: str = "") -> dict[str, Any]:
    """Return headline numbers by dotted name, an effect whole with its interval."""
    found: dict[str, Any] = {}
    for name, value in metrics.items():
        inside = isinstance(value, dict) and "ci_low" not in value
        found |= effects(value, f"{stem}{name}.") if inside else {f"{stem}{name}": value}
    return found


def turn(old: Any, new: Any) -> Literal["unclear", "clear", "sign"] | None:
    """Say whether the reading of a headline effect turned: its sign, or whether it can be told from zero."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return None
    before, now = (
        int(each.get("ci_low", math.nan) > 0) - int(each.get("ci_high", math.nan) < 0) for each in (old, new)
    )
    return None if before == now else "unclear" if not now else "clear" if not before else "sign"


def _rows(stage: str, old: pd.DataFrame | None, new: pd.DataFrame | None, error: float) -> Rows | None:
    if old is None or new is None:
        return Rows(stage, "new" if old is None else "gone")
    old, new = old.set_index(list(KEY)), new.set_index(list(KEY))
    both = old.index.intersection(new.index)
    numbers = [*NUMBERS, *COUNTS]
    left, right = old.loc[both, numbers].astype(float), new.loc[both, numbers].astype(float)
    same = left.eq(right) | (left.isna() & right.isna())
    counts = {"changed": int((~same.all(axis=1)).sum()), "new": len(new) - len(both), "gone": len(old) - len(both)}
    if not any(counts.values()):
        return None
    small, smaller = left["p_value"] < error, right["p_value"] < error
    turned = [(" / ".join(filter(None, name[2:])), bool(smaller[name])) for name in both[small != smaller]]
    return Rows(stage, "both", len(old), {what: count for what, count in counts.items() if count}, turned)


class Telling:
    """What a difference is called in a language."""

    def __init__(self, language: str = "en") -> None:
        """Read the words of comparisons."""
        self._words = yaml.read(FOLDER / language / "comparison.yaml")

    def text(self, path: str, **values: Any) -> str:
        """Return the words under a dotted path, filled in."""
        found: Any = self._words
        for step in path.split("."):
            found = found[step]
        return filled(found, **values) if values else found

    def choice(self, value: Any) -> str:
        """Return the value of a choice."""
        if value is None or isinstance(value, bool):
            return self.text(f"choices.{ {None: 'nothing', True: 'true', False: 'false'}[value] }")
        return (
            ", ".join(map(self.choice, value)) or self.text("choices.none") if isinstance(value, list) else str(value)
        )

    def number(self, value: Any) -> str:
        """Return a headline number: a count, an effect in percentage points with its interval, or another number."""
        if isinstance(value, dict):
            estimate = next(number for name, number in value.items() if not name.startswith("ci_"))
            shown = {"estimate": estimate, "ci_low": value["ci_low"], "ci_high": value["ci_high"]}
            return self.text("effect", **{name: _number(number) for name, number in shown.items()})
        return _number(value)

    def verdict(self, value: str) -> str:
        """Return a verdict."""
        return yaml.read(FOLDER / self._words["language"] / "evidence.yaml")["verdicts"].get(
            value, value.replace("_", " ")
        )

    def moved(self, one: Moved, shown: Callable[[Any], str]) -> str:
        """Return in a sentence what something was and is."""
        if one.old is GONE:
            return self.text("new", name=one.name, value=shown(one.new))
        if one.new is GONE:
            return self.text("gone", name=one.name, value=shown(one.old))
        turned = turn(one.old, one.new)
        said = self.text("became", name=one.name, old=shown(one.old), new=shown(one.new))
        return f"{said}{self.text('colon')}{self.text(f'turns.{turned}')}" if turned else said

    def rows(self, one: Rows, error: float) -> Iterator[str]:
        """Yield what became of a stage's rows, the first of those whose p-value crossed the level by name."""
        if one.there != "both":
            yield self.text(f"stage_{one.there}", stage=one.stage)
            return
        listed = self.text("comma").join(self.text(f"counts.{what}", n=f"{n:,}") for what, n in one.counts.items())
        yield self.text("rows", stage=one.stage, total=f"{one.total:,}", listed=listed)
        for name, below in one.turned[:NAMED]:
            yield "  " + self.text("below" if below else "above", name=name, error=f"{error:.2g}")
        if len(one.turned) > NAMED:
            yield "  " + self.text("more", n=f"{len(one.turned) - NAMED:,}")


def told(found: Difference) -> Iterator[str]:
    """Yield the lines that say what differs, the choices first."""
    words = Telling()
    yield words.text("from_to", one=found.before.name, other=found.after.name)
    if found.choices:
        yield from (
            "",
            words.text("headings.choices"),
            *(f"  {words.moved(one, words.choice)}" for one in found.choices),
        )
    for study in found.studies:
        if study.only:
            yield from ("", words.text("only", study=study.name, version=study.only))
            continue
        rows = (line for one in study.rows for line in words.rows(one, found.error))
        yield from ("", study.name, *(f"  {words.moved(one, words.number)}" for one in study.numbers))
        yield from (f"  {line}" for line in rows)
    if found.verdicts:
        yield from (
            "",
            words.text("headings.verdicts"),
            *(f"  {words.moved(one, words.verdict)}" for one in found.verdicts),
        )
    if closing := closing_of(found):
        yield words.text(closing)


def closing_of(found: Difference) -> Literal["same", "idle"] | None:
    """Return which sentence closes a comparison in which no result differs."""
    if not (found.choices or found.studies or found.verdicts):
        return "same"
    return "idle" if found.choices and not found.studies else None


def _number(value: float) -> str:
    if value != round(value):
        return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
    return f"{value:,.0f}"
