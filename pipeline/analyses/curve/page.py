"""The chapter on the specification curve: the effect under every combination of choices, and a test of all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import fixed, whole
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    rows = specifications(results)
    if rows.empty:
        return
    yield f"## {page.text('headings.curve')}"
    counts = {part: _counts(results, part) for part in ("all", "matching", "regression")}
    joint = {row.estimand: row for row in _of(results, "joint_inference", "all") if not np.isnan(row.estimate)}
    spread = {row.estimand: row for row in _of(results, "spread", "all")}
    own = rows[rows["own"] == "headline"]
    checks = {row.specification: row for row in results.where(stage=STAGE, estimator="assumption").itertuples()}
    yield page.text(
        "curve.lead",
        counts=counts["all"],
        spread=spread["median"],
        headline=next(own.itertuples(), None),
        place=spread.get("place_of_headline"),
        typical="headline_typical" in checks and checks["headline_typical"].note.startswith("passed"),
        alike="curve_of_one_mind" in checks and checks["curve_of_one_mind"].note.startswith("passed"),
    )
    yield page.show_figure("curve", STAGE)
    # Where a simulation knows it: what all specifications agree on need not be so.
    known = results.where(
        stage="recovery", estimator="raw_difference", specification=str(page.scope.protocol.scenario), estimand="truth"
    )
    for truth in known["estimate"]:
        within = float(np.mean((rows["ci_low"] <= truth) & (truth <= rows["ci_high"])))
        yield page.text("curve.truth", truth=truth, within=within)
    if joint:
        drawn = joint["median"].note.endswith("lottery")
        yield page.text(
            "curve.joint",
            joint=joint,
            drawn=drawn,
            permutations=int(joint["median"].note.split(" ")[0]),
            counts=counts,
            alpha=1 - page.params.inference.level,
        )
    yield page.show_table("curve", choices(results, words), STAGE)
    yield page.text("curve.choices", counts=counts["matching"], threshold=page.params.checks.balance)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of the curve, where there is one."""
    return {"curve": (curve,)} if len(specifications(results)) else {}


def _of(results: Results, estimator: str, part: str) -> Iterator[Any]:
    return results.where(stage=STAGE, estimator=estimator, specification=part).itertuples()


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
    """Draw the sorted effects with their intervals, and below them which choices each specification makes."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    rows = specifications(results)
    colours = {"neither": "#9A9A9A", "lower": figures.TREATED, "higher": figures.CONTROL}
    lines = [(name, _levels(rows, name)) for name in DIMENSIONS]
    lines = [(name, levels) for name, levels in lines if len(levels) > 1]
    height = 0.145 * (sum(len(levels) for _, levels in lines) + 1.35 * len(lines))
    figure, (above, below) = plt.subplots(
        2,
        1,
        figsize=(figures.WIDTH, 2.9 + height),
        height_ratios=[2.7, height],
        layout="constrained",
        sharex=True,
    )
    place = np.arange(len(rows))
    for side, colour in colours.items():
        of_side = (rows["clear"] == side).to_numpy()
        _strokes(above, place[of_side], rows["ci_low"][of_side], rows["ci_high"][of_side], color=colour, alpha=0.35)
        above.plot(place[of_side], rows["estimate"][of_side], ".", color=colour, markersize=2.4, zorder=3)
    above.axhline(0, color="black", linewidth=1)
    for own, marker in (("headline", "D"), ("matched", "s")):
        for at in np.flatnonzero(rows["own"] == own):
            for axes in (above, below):
                axes.axvline(at, color="black", linewidth=0.6, linestyle=(0, (2, 3)), alpha=0.6, zorder=1)
            above.plot(
                at,
                rows["estimate"][at],
                marker,
                color="black",
                markerfacecolor="white",
                markersize=5.5,
                zorder=4,
                label=words.label("curve_own", own),
            )
    # Few wide intervals must not flatten the rest.
    low, high = rows["ci_low"].quantile(0.02), rows["ci_high"].quantile(0.98)
    above.set_ylim(min(low, rows["estimate"].min(), 0), max(high, rows["estimate"].max(), 0))
    above.margins(y=0.05)
    above.set_ylabel(words.text("columns.points"))
    if (rows["own"] != "").any():
        above.legend(loc="upper left")
    ticks: list[tuple[float, str, bool]] = []
    at = 0.0
    for name, levels in lines:
        ticks.append((at, words.label("curve_names", name), True))
        for level in levels:
            at += 1
            ticks.append((at, choice(words, name, level), False))
            for side, colour in colours.items():
                chosen = place[((rows[name] == level) & (rows["clear"] == side)).to_numpy()]
                _strokes(below, chosen, at - 0.34, at + 0.34, color=colour)
        at += 1.35
    below.set_ylim(at - 0.6, -0.8)
    below.set_yticks([one for one, _, _ in ticks], [text for _, text, _ in ticks])
    for label, (_, _, head) in zip(below.get_yticklabels(), ticks, strict=True):
        label.set_fontweight("bold" if head else "normal")
        label.set_fontsize(7.5)
    below.tick_params(axis="y", length=0)
    below.set_xlim(-0.01 * len(rows) - 0.5, 1.01 * len(rows) - 0.5)
    below.set_xlabel(words.text("columns.specifications_by_effect"))
    above.grid(visible=False, axis="x")
    below.grid(visible=False)
    return figure


def _strokes(axes: Axes, at: np.ndarray, low: Any, high: Any, **style: Any) -> None:
    """Draw upright strokes as one line with gaps: hundreds of them in a small file."""
    if not len(at):
        return
    size = len(at)
    x = np.repeat(at.astype(float), 3)
    y = np.column_stack([np.broadcast_to(low, size), np.broadcast_to(high, size), np.full(size, np.nan)]).ravel()
    # Strokes of neighbours touch where there are hundreds, and stay apart where there are few.
    (line,) = axes.plot(x, y, linewidth=float(np.clip(300 / axes.figure.get_figwidth() / 60, 0.5, 1.0)), **style)
    line.get_path().should_simplify = False


def choices(results: Results, words: Words) -> str:
    """Lay out the median effect of the specifications that share a choice."""
    rows = results.where(stage=STAGE, estimator="by_choice")
    numbers = {
        (row.specification, row.estimand): row.estimate for row in rows.itertuples() if not np.isnan(row.estimate)
    }
    shown = specifications(results)
    body = []
    for name in DIMENSIONS:
        for level in _levels(shown, name):
            key = f"{name}={level}"
            if (key, "median") in numbers:
                chosen = words.pair(words.label("curve_names", name), choice(words, name, level))
                body.append([chosen, whole(numbers[key, "specifications"]), fixed(numbers[key, "median"], 2)])
    return markdown([words.text(f"columns.{name}") for name in ("choice", "number", "median_effect")], body)
