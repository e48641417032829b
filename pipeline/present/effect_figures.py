"""Figures of effects: correlations, regressions with more and more controls, what a study's own design allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.core.results import Results
from pipeline.present.figures import CONTROL, OTHER, QUIET, TREATED, WIDTH
from pipeline.present.intervals import Line, drawn, folded
from pipeline.present.labels import methods
from pipeline.present.numerals import fixed, whole, with_interval
from pipeline.present.tables import effects_in_points, row_parts
from pipeline.present.words import Words, split
from pipeline.runtime.errors import StudyError

RATIOS = ("ratio", "odds ratio")


def correlations(results: Results, words: Words, factors: list[str], kinds: list[tuple[str, str]]) -> Figure:
    """Correlations of every factor with default, a line each kind; open where the adjusted p-value is not small."""
    groups = []
    for factor in factors:
        lines = []
        for kind, given in kinds:
            row = results.one(stage="correlate", estimator=kind, specification=given, factor=factor)
            name = words.pair(words.label("correlations", kind), words.label("given", given))
            held = {"colour": QUIET, "marker": "D"} if given == "raw" else {}
            lines.append(Line(name, row, with_interval(row, 3), **held))
        groups.append((words.label("columns", factor), lines))
    return drawn(groups, words.text("columns.correlation"), numbers=words.text("drawn.interval"))


def ladder(results: Results, words: Words, factors: list[str], rungs: list[str]) -> Figure:
    """Effects with more and more controls, a panel a factor, each on its own scale with zero marked."""
    rows = effects_in_points(results)
    rows = rows[rows["factor"].isin(factors) & rows["specification"].isin(rungs)]
    columns = 2 if len(factors) in (2, 4) else min(3, len(factors))
    lines = [factors[at : at + columns] for at in range(0, len(factors), columns)]
    # What no factor of a line of panels has takes no room in it.
    shown = [
        [rung for rung in rungs if ((rows["specification"] == rung) & rows["factor"].isin(line)).any()]
        for line in lines
    ]
    titles = {name: folded(words.label("columns", name), 50 // columns) for name in factors}
    tall = [max(titles[name].count("\n") for name in line) for line in lines]
    heights = [0.18 * len(of_line) + 0.55 + 0.14 * more for of_line, more in zip(shown, tall, strict=True)]
    size = (WIDTH, sum(heights) + 0.2)
    figure, panels = plt.subplots(
        len(lines), columns, figsize=size, height_ratios=heights, layout="constrained", sharey="row", squeeze=False
    )
    for of_line, names, line in zip(panels, shown, lines, strict=True):
        for axes, factor in zip(of_line, line, strict=False):
            for row in rows[rows["factor"] == factor].itertuples():
                matched, place = row.specification in ("M6", "M7"), names.index(row.specification)
                colour = CONTROL if matched else TREATED
                axes.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=1.4)
                axes.plot(row.estimate, place, "s" if matched else "o", color=colour, markersize=4.5)
            axes.axvline(0, color="black", linewidth=1)
            axes.set_title(titles[factor], loc="left", fontsize=8.5)
            axes.grid(visible=False, axis="y")
            axes.locator_params(axis="x", nbins=9 - 2 * columns)
        of_line[0].set_yticks(range(len(names)), [f"{rung} {words.label('rungs', rung)}" for rung in names])
        of_line[0].set_ylim(len(names) - 0.5, -0.5)
        for axes in of_line[len(line) :]:
            axes.set_axis_off()
    figure.supxlabel(words.text("columns.points"), fontsize=8.5)
    return figure


def forest(results: Results, words: Words, estimators: Sequence[str], first: str | None = None) -> Figure:
    """Draw estimates of a study's own design with their intervals, under heads in place of prefixes.

    The specification ``first``, that of the headline, stands in bold.
    """
    rows = forest_rows(results, estimators)
    units = rows["unit"].unique()
    if len(units) != 1:
        raise StudyError(f"a forest needs rows of one unit, and {', '.join(estimators)} have {len(units)}.")
    ratio = units[0] in RATIOS
    return drawn(
        forest_groups(rows, words, first),
        words.label("effect_units", units[0]),
        start=1.0 if ratio else 0.0,
        ratio=ratio,
        numbers=words.text("joining.comma").join((words.text("drawn.interval"), words.text("columns.loans"))),
    )


def forest_groups(rows: pd.DataFrame, words: Words, first: str | None = None) -> list[tuple[str, list[Line]]]:
    """Put rows under heads: what takes most values names the lines, the rest of what differs names the groups.

    Groups and lines stand in the order of the words.
    """
    parts = [row_parts(row, words) for row in rows.itertuples()]
    values = [len({part[place] for part in parts}) for place in range(4)]
    inner = max((1, 2, 0, 3), key=lambda place: values[place])
    heads = [place for place in (3, 0, 2, 1) if values[place] > 1 and place != inner]
    order = [words.names(kind) for kind in ("estimators", "specifications", "factors", "outcomes")]
    keys = [(row.estimator, row.specification, split(row.factor)[0], row.outcome) for row in rows.itertuples()]

    def at(line: int) -> list[int]:
        return [order[place].get(keys[line][place], -1) for place in (*heads, inner)]

    groups: dict[str, list[Line]] = {}
    for line in sorted(range(len(rows)), key=at):
        row, part = rows.iloc[line], parts[line]
        head = words.text("joining.comma").join(part[place] for place in heads if part[place])
        said = f"{with_interval(row, 2)}  {whole(row.n)}"
        bold = row.specification == first
        groups.setdefault(head, []).append(Line(part[inner] or part[0], row, said, bold=bold))
    return list(groups.items())


def forest_rows(results: Results, estimators: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some estimators of the stage effects that have an interval, in the estimators' order."""
    rows = results.where(stage="effects", estimator=estimators)
    rows = rows[rows["ci_low"].notna()]
    return rows.iloc[rows["estimator"].map(list(estimators).index).argsort(kind="stable")].reset_index(drop=True)


def event_study(results: Results, words: Words) -> Figure:
    """Default before and after adoption: log rate ratio against the quarter before, with intervals."""
    rows = results.where(stage="effects", estimator="event_study", estimand="log_rate_ratio")
    quarter = rows["specification"].str.extract(r"([+-]\d+)")[0].astype(int)
    rows = rows.assign(quarter=quarter).sort_values("quarter", ignore_index=True)
    figure, axes = plt.subplots(figsize=(WIDTH, 2.6), layout="constrained")
    places = rows["quarter"].to_numpy()
    value = rows["estimate"].to_numpy(dtype=float)
    spread = np.abs(rows[["ci_low", "ci_high"]].to_numpy(dtype=float).T - value)
    axes.errorbar(places, value, yerr=spread, fmt="o", color=TREATED, capsize=3, markersize=5, linewidth=1.4)
    axes.plot(-1, 0, "o", color="white", markeredgecolor=TREATED, markersize=5)
    axes.axhline(0, color="black", linewidth=1)
    axes.axvline(-0.5, color=QUIET, linestyle="--", linewidth=1)
    axes.set_xticks([*places, -1])
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(words.text("columns.quarter"))
    axes.set_ylabel(words.text("columns.log_ratio"))
    return figure


def _multiples(results: Results) -> pd.DataFrame:
    """Mean estimate of every method as a multiple of the truth at which it aims, with its spread over worlds."""
    rows = results.where(stage="recovery", specification="base")
    wide = rows.pivot(index=["estimator", "outcome"], columns="estimand", values="estimate").reset_index()
    wide = wide[wide["truth"].notna() & (wide["truth"] != 0)]
    spread = np.sqrt(np.maximum(wide["rmse"] ** 2 - wide["bias"] ** 2, 0)) / wide["truth"].abs()
    multiple = wide["estimate"] / wide["truth"]
    wide = wide.assign(estimate=multiple, ci_low=multiple - spread, ci_high=multiple + spread)
    return wide.sort_values("estimate", kind="stable")


def recovery(results: Results, words: Words) -> Figure:
    """Estimate as a multiple of the truth by method, and beside it how often each sees an effect that is not there.

    Without worlds of no effect among the recovery rows there is nothing beside it.
    """
    label = {(one.estimator, one.outcome): one.label for one in methods(results)}
    null = results.where(stage="recovery", specification="null")
    null = null.pivot(index=["estimator", "outcome"], columns="estimand", values="estimate")
    # Contacts and satisfaction keep their own effects where the programme has none: seeing them is no false alarm.
    rejected: dict[Any, float] = {} if null.empty else (100 * null.loc[null["truth"] == 0, "rejection"]).to_dict()
    colours = {"recovers": TREATED, "biased": CONTROL}
    groups: dict[str, list[Line]] = {}
    for row in _multiples(results).itertuples():
        name = (row.estimator, row.outcome)
        said = label.get(name, "biased")
        share = rejected.get(name, math.nan)
        numbers = f"{fixed(row.estimate, 1)}" + ("" if math.isnan(share) else f"  ({fixed(share, 0)}%)")
        line = Line(words.label("estimators", row.estimator), row, numbers, colours.get(said, OTHER))
        groups.setdefault(said, []).append(line)
    heads = [
        (words.label("recovered", said), groups[said]) for said in words.text("labels.recovered") if said in groups
    ]
    numbers = words.text("columns.multiple_short")
    if rejected:
        numbers = words.bracketed(numbers, words.text("columns.false_alarms"))
    label_of = words.text("columns.multiple")
    return drawn(heads, label_of, start=1.0, numbers=numbers, limits=(-1.0, 5.0))
