"""The chapter on the specification curve: the effect under every combination of choices, and a test of all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import fixed, whole
from pipeline.present.page import Page
from pipeline.present.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.present.intervals import Groups

STAGE = "curve"

DIMENSIONS = (
    "kind",
    "model",
    "controls",
    "score",
    "distance",
    "caliper",
    "ratio",
    "order",
    "exact",
    "after",
    "outcome",
    "treatment",
    "sample",
)
"""What is chosen, in the order in which the figure and the table show it."""

OWN = "protocol"

WITHIN_STRATA = "within_strata"
"""The rows on specifications within the strata of a randomisation, where others are not."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results = page.results
    rows = specifications(results)
    if rows.empty:
        return
    yield f"## {page.text('headings.curve')}"
    counts = {part: _counts(results, part) for part in ("all", "matching", "regression")}
    joint = {row.estimand: row for row in _of(results, "joint_inference", "all") if not np.isnan(row.estimate)}
    spread = {row.estimand: row for row in _of(results, "spread", "all")}
    own = rows[rows["own"] == "headline"]
    checks = {row.specification: row for row in results.each(stage=STAGE, estimator="assumption")}
    yield page.text(
        "curve.lead",
        counts=counts["all"],
        # Such as those of matched groups with as many defaults on either side.
        zero=counts["all"]["specifications"] - counts["all"]["lower"] - counts["all"]["higher"],
        spread=spread["median"],
        headline=next(own.itertuples(), None),
        place=spread.get("place_of_headline"),
        central=page.params.specification_curve.typical,
        typical="headline_typical" in checks and checks["headline_typical"].note.startswith("passed"),
        alike="curve_of_one_mind" in checks and checks["curve_of_one_mind"].note.startswith("passed"),
    )
    if within := _counts(results, WITHIN_STRATA):
        yield page.text("curve.strata", counts=within, every=counts["all"])
    yield page.show_figure("curve", STAGE, counts=counts["all"])
    # Where a simulation knows it: what all specifications agree on need not be so.
    known = results.where(
        stage="recovery", estimator="raw_difference", specification=str(page.scope.protocol.scenario), estimand="truth"
    )
    for truth in known["estimate"]:
        within = float(np.mean((rows["ci_low"] <= truth) & (truth <= rows["ci_high"])))
        yield page.text("curve.truth", truth=truth, within=within)
    if joint:
        drawn = joint["median"].note.endswith("as the study randomised it")
        yield page.text(
            "curve.joint",
            joint=joint,
            drawn=drawn,
            permutations=int(joint["median"].note.split(" ")[0]),
            counts=counts,
            alpha=1 - page.params.inference.level,
        )
    yield page.text("curve.choices", counts=counts["matching"], threshold=page.params.checks.balance)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of the curve, where there is one."""
    return {"curve": (curve,)} if len(specifications(results)) else {}


def _of(results: Results, estimator: str, part: str) -> Iterator[Any]:
    return results.each(stage=STAGE, estimator=estimator, specification=part)


def _counts(results: Results, part: str) -> dict[str, int]:
    """Return how many specifications there are and which way they point; empty where there are none."""
    return {
        row.estimand: int(row.estimate)
        for row in _of(results, "specification_count", part)
        if not np.isnan(row.estimate)
    }


def specifications(results: Results) -> pd.DataFrame:
    """Return the specifications that have an effect, sorted by it, with a column for each choice (missing: not made).

    ``own`` is headline or matched for the study's own specifications, ``clear`` lower, higher or neither.
    """
    rows = results.where(stage=STAGE, estimator=["matching", "regression"])
    rows = rows[rows["estimate"].notna()]
    rows = rows.sort_values(["estimate", "specification", "outcome"], kind="stable", ignore_index=True)
    chosen = [dict(part.split("=", 1) for part in text.split("; ")) for text in rows["specification"]]
    made = pd.DataFrame(chosen, index=rows.index, columns=list(DIMENSIONS), dtype=object)
    made["kind"] = rows["estimator"]
    made["outcome"] = rows["outcome"].replace("default", OWN)
    made["own"] = ""
    for name, said in (("headline", "headline"), ("matched", "matched pairs")):
        made.loc[rows["note"].str.startswith(said), "own"] = name
    side = np.where(rows["ci_high"] < 0, "lower", np.where(rows["ci_low"] > 0, "higher", "neither"))
    return pd.concat([rows[["estimate", "ci_low", "ci_high"]], made], axis=1).assign(clear=side)


def _levels(rows: pd.DataFrame, name: str) -> list[str]:
    """Return the choices of a dimension: the study's own first, then numbers by size, then names."""

    def rank(value: str) -> tuple[bool, float, int]:
        try:
            return (value != OWN, float(value), 0)
        except ValueError:
            return (value != OWN, 0.0, found.index(value))

    found = sorted(rows[name].dropna().unique())
    if name == "controls":
        # Blocks join one after the other.
        found = [block for block in ("loan", "borrower", "market", "time") if block in found]
    return sorted(found, key=rank)


def choice(words: Words, name: str, value: str) -> str:
    """Return what a choice is called."""
    return words.known("curve_choices", f"{name}[{value}]") or value.replace("_", " ")


def curve(results: Results, words: Words) -> Figure:
    """Draw the sorted effects in their intervals, and below them how the effects lie that share a choice."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures
    from pipeline.present.intervals import height_of, listed

    rows = specifications(results)
    groups = _by_choice(rows, words)
    height = height_of(groups) + 0.5
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(figures.WIDTH, 2.6 + height), height_ratios=[2.2, height], layout="constrained"
    )
    _sorted(above, rows, words)
    figures.keys(figure, above)
    listed(below, groups, numbers=words.text("columns.median_and_number"))
    below.set_xlabel(words.text("columns.points"))
    return figure


def _sorted(axes: Axes, rows: pd.DataFrame, words: Words) -> None:
    """Draw every effect in the order of size, as a line in the band of the intervals."""
    from pipeline.present import figures

    place = np.arange(len(rows))
    axes.fill_between(place, rows["ci_low"], rows["ci_high"], color="#D9D9D9", linewidth=0)
    for side, colour in (("neither", "#7A7A7A"), ("lower", figures.TREATED), ("higher", figures.CONTROL)):
        of_side = rows["estimate"].where(rows["clear"] == side)
        axes.plot(place, of_side, color=colour, linewidth=3, solid_capstyle="round", label=words.label("sides", side))
    axes.axhline(0, color="black", linewidth=1)
    for own, marker in (("headline", "D"), ("matched", "s")):
        at = np.flatnonzero(rows["own"] == own)
        if len(at):
            style = {"color": "black", "markerfacecolor": "white", "markersize": 5.5, "linestyle": "", "zorder": 4}
            axes.plot(at, rows["estimate"].iloc[at], marker, label=words.label("curve_own", own), **style)
    # Few wide intervals must not flatten the rest.
    low, high = rows["ci_low"].quantile(0.02), rows["ci_high"].quantile(0.98)
    axes.set_ylim(min(low, rows["estimate"].min(), 0), max(high, rows["estimate"].max(), 0))
    axes.set_ylabel(words.text("columns.points"))
    axes.set_xlabel(words.text("columns.specifications_by_effect"))
    axes.grid(visible=False, axis="x")


def _by_choice(rows: pd.DataFrame, words: Words) -> Groups:
    """Return the median and the middle nine tenths of the effects that share a choice, and how many they are."""
    from pipeline.present import figures
    from pipeline.present.intervals import Line

    groups = []
    for name in DIMENSIONS:
        levels = _levels(rows, name)
        if len(levels) < 2:
            continue
        lines = []
        for level in levels:
            effects = rows.loc[rows[name] == level, "estimate"]
            middle = Middle(*effects.quantile([0.5, 0.05, 0.95]))
            said = f"{fixed(middle.estimate, 2)}  ({whole(len(effects))})"
            lines.append(Line(choice(words, name, level), middle, said, figures.QUIET))
        groups.append((words.label("curve_names", name), lines))
    return groups


class Middle(NamedTuple):
    """The median of some effects and the middle nine tenths of them."""

    estimate: float
    ci_low: float
    ci_high: float
