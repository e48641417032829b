"""The answer to the question of the title, by rule from the findings: nothing in it is chosen by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pipeline.stats.certainty import LEVELS

Shown = Literal["less", "less_small", "more", "more_small", "none", "unclear"]
SHOWN: dict[str, Shown] = {
    "supported": "less",
    "supported_small": "less_small",
    "contradicted": "more",
    "contradicted_small": "more_small",
    "no_important_effect": "none",
    "inconclusive": "unclear",
}
"""What a verdict says of default. Every claim of an effect on default expects less of it, so that the verdict, and not
the sign of a number, tells the direction: a practice may be measured by what it lacks."""


class Counted(NamedTuple):
    """Findings counted by what they show of default, and how sure the surest of them is."""

    of: int
    lenders: int
    less: int
    less_small: int
    more: int
    more_small: int
    none: int
    unclear: int
    best: str
    """The highest certainty among them; nothing where there is no finding."""
    alike: bool
    """Whether all have that certainty."""


class Answer(NamedTuple):
    """What the first sentences say."""

    direct: Counted
    """Findings on what the literature means, and not on a practice that stands for it."""
    randomised: tuple[Any, ...]
    """Findings of randomised experiments, as rows."""
    observed: Counted
    """All others."""


def counted(findings: Sequence[Any]) -> Counted:
    """Count findings by what they show."""
    shown = [SHOWN[row.verdict] for row in findings]
    levels = [row.certainty for row in findings]
    return Counted(
        of=len(shown),
        lenders=len({row.study for row in findings}),
        **{name: shown.count(name) for name in SHOWN.values()},
        best=max(levels, key=LEVELS.index, default=""),
        alike=len(set(levels)) == 1,
    )


def is_proxy(row: Any) -> bool:
    """Say whether a finding is on something that stands for what the literature means."""
    return "indirectness" in (row.why or "").split()


def answer(findings: Sequence[Any]) -> Answer:
    """Return what all findings together answer: the rows of `findings.findings`, with None for what is missing."""
    return Answer(
        direct=counted([row for row in findings if not is_proxy(row)]),
        randomised=tuple(row for row in findings if row.design == "randomised"),
        observed=counted([row for row in findings if row.design != "randomised"]),
    )
