"""The chapter on differences between effects: by groups on both scales, and predicted loan by loan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.core.protocol import rungs_of
from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, p_value, whole
from pipeline.present.page import Page, effect_row
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first, split
from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "heterogeneity"

SCALES = {"difference": "risk_difference", "ratio": "odds_ratio"}


class Moderated(NamedTuple):
    """A factor and a moderator: the effect in each group, and the tests of equality."""

    factor: str
    name: str
    groups: dict[str, dict[str, Any]]
    """Rows by scale (`SCALES`) and level, in the groups' order."""
    tests: dict[str, Any]
    """Rows of the test by scale."""

    @property
    def left_out(self) -> list[str]:
        """Levels that allow no comparison."""
        named = re.search(r"left out: (.+)", self.tests["difference"].note) if "difference" in self.tests else None
        return named[1].split(", ") if named else []

    def clear(self, scale: str, alpha: float) -> bool:
        """Say whether the groups differ on a scale once the other moderators are counted."""
        return scale in self.tests and self.tests[scale].p_adjusted < alpha


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    found = moderated(results, page.scope)
    of_treatment = [one for one in found if one.factor == "treated"]
    learnt = {row.estimand: row for row in results.each(stage=STAGE, estimator="individual_effects")}
    known = {name: row for name, row in learnt.items() if not np.isnan(row.estimate)}
    if not found and not known:
        return
    alpha = 1 - page.params.inference.level
    yield f"## {page.text('headings.heterogeneity')}"
    if of_treatment:
        by_scale = {
            scale: [lower_first(moderator(words, one.name)) for one in of_treatment if one.clear(scale, alpha)]
            for scale in SCALES
        }
        # Whether the other scale was asked wherever one of them shows a difference.
        both = all("ratio" in one.tests for one in of_treatment if one.clear("difference", alpha))
        said = {scale: words.series(names) for scale, names in by_scale.items()}
        left = [
            (lower_first(moderator(words, one.name)), words.series([group(words, level) for level in one.left_out]))
            for one in of_treatment
            if one.left_out
        ]
        yield page.text("heterogeneity.tests", number=len(of_treatment), both=both, left=left, **said)
        yield page.show_figure("heterogeneity", STAGE, number=len(of_treatment), clear=said["difference"])
        clear = [one for one in of_treatment if any(one.clear(scale, alpha) for scale in SCALES)]
        if clear:
            yield page.text("heterogeneity.groups", found=[_ends(words, one, alpha) for one in clear])
        yield page.show_table("heterogeneity", tests(of_treatment, words), STAGE)
    others = [one for one in found if one.factor != "treated"]
    if others:
        named = [
            (lower_first(words.known("columns", one.factor) or one.factor), _ends(words, one, alpha)) for one in others
        ]
        yield page.text("heterogeneity.others", found=named)
    if "calibration" in known:
        thirds = [known.get(f"{place}_third") for place in ("lowest", "highest")]
        yield page.text(
            "heterogeneity.individual",
            average=known["average_effect"],
            calibration=known["calibration"],
            lowest=thirds[0],
            highest=thirds[1],
            gap=known.get("highest_against_lowest"),
        )


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of effects by group, where there are any."""
    found = [one for one in moderated(results, scope) if one.factor == "treated"]
    return {"heterogeneity": (by_group, scope)} if found else {}


def moderated(results: Results, scope: Scope) -> list[Moderated]:
    """Return every factor and moderator with effects by group, in the order of the protocol."""
    rows = results.where(stage=STAGE, estimator="by_group")
    rows = rows[rows["estimate"].notna()]
    declared = [*scope.protocol.moderators]
    found: dict[tuple[str, str], Moderated] = {}
    order = rows.assign(
        name=[split(text)[0] for text in rows["specification"]],
        place=[int(note.split(" of ")[0]) for note in rows["note"]],
    ).sort_values(["factor", "name", "place"], kind="stable")
    scale_of = {estimand: scale for scale, estimand in SCALES.items()}
    for row in order.itertuples():
        name, level = split(row.specification)
        one = found.setdefault((row.factor, name), Moderated(row.factor, name, {}, {}))
        one.groups.setdefault(scale_of[row.estimand], {})[str(level)] = row
    for row in results.each(stage=STAGE, estimator="moderation"):
        scale = row.estimand.removeprefix("wald_")
        if scale in SCALES and (row.factor, row.specification) in found and not np.isnan(row.estimate):
            found[row.factor, row.specification].tests[scale] = row

    def rank(one: Moderated) -> tuple[bool, str, int]:
        place = declared.index(one.name) if one.name in declared else len(declared)
        return (one.factor != "treated", one.factor, place)

    return sorted((one for one in found.values() if "difference" in one.groups), key=rank)


def by_group(results: Results, words: Words, scope: Scope) -> Figure:
    """Draw the effect of treatment in each group: percentage points to the left, odds ratios to the right."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures
    from pipeline.present.intervals import Line, folded, height_of, listed

    found = [one for one in moderated(results, scope) if one.factor == "treated"]
    points, ratios = (
        [
            (
                moderator(words, one.name),
                [
                    Line(group(words, level), one.groups.get(scale, {}).get(level, Nothing()), said, colour)
                    for level, row in one.groups["difference"].items()
                    for said in [whole(row.n) if scale == "ratio" else ""]
                ],
            )
            for one in found
        ]
        for scale, colour in (("difference", figures.TREATED), ("ratio", figures.QUIET))
    )
    size = (figures.WIDTH, height_of(points) + 0.75)
    figure, (left, right) = plt.subplots(1, 2, figsize=size, layout="constrained", width_ratios=[3, 2])
    listed(left, points)
    listed(right, ratios, start=1.0, ratio=True, numbers=words.text("columns.loans"))
    # The effect among all loans, from which the groups may differ.
    left.axvline(
        effect_row(results, "treated", list(rungs_of(scope.protocol))[-1]).estimate, color=figures.QUIET, ls=":"
    )
    right.set_yticks([])
    left.set_xlabel(words.text("columns.points"))
    right.set_xlabel(folded(words.text("columns.odds_ratio"), 14))
    return figure


class Nothing(NamedTuple):
    """A group whose effect is not estimated on a scale."""

    estimate: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan


def tests(found: list[Moderated], words: Words) -> str:
    """Lay out the tests of equal effects: p-values on both scales, plain and by Holm's method."""
    body = []
    for one in found:
        line = [moderator(words, one.name), str(len(one.groups["difference"]))]
        for scale in SCALES:
            row = one.tests.get(scale)
            line += [MISSING, MISSING] if row is None else [p_value(row.p_value), p_value(row.p_adjusted)]
        body.append(line)
    names = ("moderator", "groups", "p_difference", "p_holm", "p_ratio", "p_holm")
    return markdown([words.text(f"columns.{name}") for name in names], body)


def moderator(words: Words, name: str) -> str:
    """Return what a moderator is called."""
    return words.known("moderators", name) or words.known("columns", name) or name


def group(words: Words, level: str) -> str:
    """Return what a group is called: a third, a range of numbers, or the level of a category."""
    known = words.known("groups", level)
    if known is not None:
        return known
    ranges = {"below": r"<(?P<low>.+)", "between": r"(?P<low>.+)-<(?P<high>.+)", "from": r">=(?P<low>.+)"}
    for form, pattern in ranges.items():
        if match := re.fullmatch(pattern, level):
            text = words.text(f"ranges.{form}")
            for name, value in match.groupdict().items():
                text = text.replace(f"{{{{ {name} }}}}", value)
            return text
    try:
        return words.level(level)
    except StudyError:
        return level


def _ends(words: Words, one: Moderated, alpha: float) -> dict[str, Any]:
    """Return the groups with the lowest and the highest effect, and on which scales the groups differ."""
    ordered = sorted(one.groups["difference"].items(), key=lambda item: item[1].estimate)
    return {
        "name": lower_first(moderator(words, one.name)),
        "lowest": (group(words, ordered[0][0]), ordered[0][1]),
        "highest": (group(words, ordered[-1][0]), ordered[-1][1]),
        "difference": one.clear("difference", alpha),
        "ratio": one.clear("ratio", alpha),
        "has_ratio": "ratio" in one.tests,
        "p": min(row.p_adjusted for row in one.tests.values()) if one.tests else np.nan,
    }
