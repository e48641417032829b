"""Figures of the sample: who stays in it, default by group, and how alike the two arms are."""

from __future__ import annotations

import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.core.results import Results
from pipeline.present.figures import CONTROL, QUIET, TREATED, WIDTH, keys
from pipeline.present.intervals import Line, drawn, folded
from pipeline.present.numerals import fixed, whole
from pipeline.present.words import Words, filled, split, upper_first

FEW = 30
"""A level of fewer loans does not stretch the axis."""

MOST = 12
"""So many covariates a figure of balance shows, those that differ most; a table holds them all."""


def flow(results: Results, words: Words) -> Figure:
    """Sample flow: a bar for what remains after each rule by which loans left, and above it why they did."""
    steps = flow_steps(results)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.44 * len(steps) + 0.2), layout="constrained")
    axes.set_axis_off()
    most = steps["remaining"].iloc[0]
    for place, step in enumerate(steps.itertuples()):
        axes.barh(place, 1, height=0.42, color="#EDEDED")
        axes.barh(place, step.remaining / most, height=0.42, color=TREATED, alpha=0.75)
        counts = {"loans": whole(step.remaining), "defaults": whole(step.defaults)}
        axes.text(1.02, place, filled(words.text("drawn.flow"), **counts), va="center")
        if len(step.reasons) == 1:
            reason = words.label("reasons", step.reasons[0])
        else:
            reason = filled(words.text("drawn.rules"), number=len(step.reasons))
        said = f"\N{MINUS SIGN}{whole(step.left)}  {reason}" if place else reason
        axes.text(0, place - 0.27, said, va="bottom", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(steps) - 0.6, -0.75)
    return figure


SMALL = 0.02
"""Rules by which less than this share of the loans left share a bar where they follow each other."""


def flow_steps(results: Results) -> pd.DataFrame:
    """Return the bars of the flow: ``reasons`` (of one rule or several), ``left``, ``remaining``, ``defaults``."""
    rows = results.where(estimator="sample_flow")
    wide = rows.pivot(index=["specification", "factor"], columns=["estimand", "outcome"], values="estimate")
    wide = wide.sort_index().reset_index()
    read, bars = wide["remaining", "all"].iloc[0], []
    small = False
    for place, (reason, left, remaining, defaults) in enumerate(
        zip(wide["factor"], wide["left", "all"], wide["remaining", "all"], wide["remaining", "default"], strict=True)
    ):
        if place and not left:
            continue
        if small and left < SMALL * read:
            bars[-1] = ([*bars[-1][0], reason], bars[-1][1] + left, remaining, defaults)
        else:
            bars.append(([reason], left, remaining, defaults))
        small = place > 0 and left < SMALL * read
    return pd.DataFrame(bars, columns=["reasons", "left", "remaining", "defaults"])


def raw(results: Results, words: Words, factor: str) -> Figure:
    """Default rate by level of a factor (``treated``: by arm), with the rate of all loans as a line."""
    rows = group_rates(results, factor)
    average = results.one(estimator="default_rate", factor="all", specification="before_00")
    names = [folded(name) for name in raw_names(words, factor, rows)]
    lines = [Line(name, row, _counted(row)) for name, row in zip(names, rows.itertuples(), strict=True)]
    lines.append(Line(words.text("drawn.all_loans"), average, _counted(average), QUIET, "D"))
    # The arms' names say what they are.
    head = words.label("columns", factor) if factor != "treated" else ""
    return _rates(words, [(head, lines)], average.estimate)


def raw_names(words: Words, factor: str, rows: pd.DataFrame) -> list[str]:
    """Return what the groups of the raw pattern are called: the arms, or the levels of a factor."""
    levels = [split(name)[1] or "" for name in rows["factor"]]
    if factor == "treated":
        return [upper_first(words.label("arms", "treated" if level == "1" else "control")) for level in levels]
    return spans([words.level(level) for level in levels])


def spans(names: Sequence[str]) -> list[str]:
    """Name groups of whole numbers by both ends where their names are the lower ones: 1, 5, 9+ are 1–4, 5–8, 9+."""
    lows = [re.fullmatch(r"(\d+)\+?", name) for name in names]
    if not all(lows) or not names[-1].endswith("+"):
        return list(names)
    starts = [int(low[1]) for low in lows if low]
    ends = [start - 1 for start in starts[1:]]
    found = [f"{low}\N{EN DASH}{end}" if end > low else str(low) for low, end in zip(starts, ends, strict=False)]
    return [*found, names[-1]]


def group_rates(results: Results, group: str) -> pd.DataFrame:
    """Return the default rates of all loans by level of a column, in the levels' order."""
    rows = results.where(estimator="default_rate")
    keep = rows["specification"].str.startswith("before") & rows["factor"].str.startswith(f"{group}[")
    return rows[keep].sort_values("specification", ignore_index=True)


def rates(results: Results, words: Words, groups: Sequence[str]) -> Figure:
    """Default rates by group, with the rate of all loans as a line."""
    average = results.one(estimator="default_rate", factor="all", specification="before_00").estimate
    found = [
        (words.label("columns", group), [Line(name, row, _counted(row)) for name, row in zip(names, rows, strict=True)])
        for group in groups
        for table in [group_rates(results, group)]
        for names, rows in [(raw_names(words, group, table), list(table.itertuples()))]
        if rows
    ]
    return _rates(words, found, average)


def _rates(words: Words, groups: Sequence[tuple[str, list[Line]]], average: float) -> Figure:
    rows = [line.row for _, lines in groups for line in lines]
    # A level of a handful of loans must not flatten the rest.
    ends = (0.0, 1.05 * max(row.ci_high for row in rows if row.n >= FEW or row is rows[0]))
    numbers = words.bracketed(words.in_percent(words.text("columns.rate")), words.text("columns.loans"))
    label = words.in_percent(words.text("columns.rate"))
    return drawn(groups, label, start=average, numbers=numbers, limits=ends)


def _counted(row: object) -> str:
    return f"{fixed(row.estimate, 1)}  ({whole(row.n)})"  # type: ignore[attr-defined]


def balance(results: Results, words: Words, threshold: float) -> Figure:
    """Love plot: absolute standardised differences before and after matching, of the covariates that differ most."""
    rows = results.where(estimator="balance", estimand="standardised_mean_difference")
    wide = rows.pivot(index="factor", columns="specification", values="estimate").abs()
    wide = wide.assign(most=wide.max(axis=1)).sort_values(["most", "before"], kind="stable").tail(MOST)
    names = [folded(words.column(name), 36) for name in wide.index]
    tall = 0.27 if any("\n" in name for name in names) else 0.2
    figure, axes = plt.subplots(figsize=(WIDTH, tall * len(wide) + 1.0), layout="constrained")
    # What differs by far most must not flatten the rest.
    limit = max(3 * threshold, float(wide["most"].quantile(0.75)) * 1.5)
    places = np.arange(len(wide))
    axes.hlines(places, np.minimum(wide["after"], limit), np.minimum(wide["before"], limit), color="#BBBBBB")
    for sample, colour, fill in (("before", CONTROL, "white"), ("after", TREATED, TREATED)):
        style = {"color": colour, "markerfacecolor": fill, "markersize": 5, "linestyle": ""}
        label = upper_first(words.label("samples", sample))
        axes.plot(np.minimum(wide[sample], limit), places, marker="o", label=label, clip_on=False, **style)
    for place, (before, after) in enumerate(zip(wide["before"], wide["after"], strict=True)):
        if max(before, after) > limit:
            said = " / ".join(fixed(value, 2) for value in (before, after))
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            text = f"{said} \N{RIGHTWARDS ARROW}"
            axes.text(0.975 * limit, place, text, va="center", ha="right", fontsize=8, bbox=box)
    axes.axvline(threshold, color="black", linestyle=":", linewidth=1.1)
    axes.set_yticks(places, names)
    axes.set_ylim(-0.8, len(wide) - 0.2)
    axes.set_xlim(-0.003, min(limit, 1.08 * float(wide["most"].max())))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"|{words.text('columns.standardised')}|")
    keys(figure, axes)
    return figure


def overlap(results: Results, words: Words) -> Figure:
    """Score distribution of the two arms, before and after matching."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.4), layout="constrained", sharey=True, sharex=True)
    for axes, sample in zip(panels, ("before", "after"), strict=True):
        for arm, colour in (("treated", TREATED), ("control", CONTROL)):
            rows = results.where(estimator="score_distribution", specification=f"{sample}_{arm}")
            middles, shares = rows["outcome"].astype(float), 100 * rows["estimate"]
            style = {"color": colour, "linewidth": 1.6, "linestyle": "-" if arm == "treated" else "--"}
            axes.step(middles, shares, where="mid", label=upper_first(words.label("arms", arm)), **style)
            axes.fill_between(middles, shares, step="mid", color=colour, alpha=0.12)
        axes.set_title(upper_first(words.label("samples", sample)), loc="left")
        axes.set_xlabel(words.label("columns", "propensity_score"))
        axes.locator_params(axis="x", nbins=5)
    panels[0].set_ylabel(words.in_percent(words.text("columns.share")))
    panels[0].set_ylim(bottom=0)
    # Above the panels: scores may lie anywhere in them.
    keys(figure, panels[0])
    return figure
