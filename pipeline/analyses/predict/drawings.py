"""The figures of the chapter on prediction."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.analyses.predict.lookup import ALL, HARD, STAGE, of
from pipeline.core.results import Results
from pipeline.present.numerals import percent, whole
from pipeline.present.words import WIDE, Words, split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 24
"""Letters of a level's name that stand below an axis; a panel's title has hardly more in a line."""

COLOURS = {"logistic": "#0072B2", "boosting": "#D55E00", "tree": "#009E73"}
"""Models that are drawn, in Okabe & Ito's colours."""


def panels(results: Results, words: Words) -> Figure:
    """ROC curves, reliability, lift, and the area that is lost when a block's columns are permuted."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, ((roc, reliable), (lift, lost)) = plt.subplots(2, 2, figsize=(figures.WIDTH, 5.4), layout="constrained")
    rows = results.where(stage=STAGE)
    last = ALL if len(rows[(rows.estimator == "roc") & (rows.factor == ALL)]) else HARD
    drawn = [(last, name, colour, "-") for name, colour in COLOURS.items()]
    if last == ALL:
        drawn.insert(0, (HARD, "logistic", figures.QUIET, "--"))
    for estimator, axes in (("roc", roc), ("gains", lift)):
        for rung, name, colour, line in drawn:
            of_curve = rows[(rows.estimator == estimator) & (rows.factor == rung) & (rows.estimand == name)]
            x = of_curve["outcome"].astype(float).to_numpy()
            order = np.argsort(x)
            label = words.label("score_models", name) if rung == last else words.label("feature_blocks", HARD)
            scaled = 100 * x[order] if estimator == "gains" else x[order]
            value = of_curve["estimate"].to_numpy()[order]
            axes.plot(scaled, value, line, color=colour, linewidth=1.4, label=label)
    roc.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    roc.set_xlabel(words.text("predict.columns.false_alarm_share"))
    roc.set_ylabel(words.text("predict.columns.found_share"))
    roc.set_aspect("equal")
    lift.axhline(1, color="black", linewidth=0.8, linestyle=":")
    lift.set_xlabel(words.text("predict.columns.flagged"))
    lift.set_ylabel(words.text("predict.columns.lift"))
    top = 1.0
    for name in ("logistic", "boosting"):
        of_curve = rows[(rows.estimator == "reliability") & (rows.factor == last) & (rows.estimand == name)]
        x = of_curve["outcome"].astype(float).to_numpy()
        y = of_curve[["estimate", "ci_low", "ci_high"]].to_numpy(dtype=float)
        order = np.argsort(x)
        x, y = x[order], y[order]
        spread = np.abs(y[:, 1:].T - y[:, 0])
        reliable.errorbar(
            x, y[:, 0], yerr=spread, fmt="o-", color=COLOURS[name], markersize=3.5, linewidth=1.1, capsize=2
        )
        top = max(top, x.max())
    reliable.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle=":")
    reliable.set_xlabel(words.text("predict.columns.predicted"))
    reliable.set_ylabel(words.text("predict.columns.observed"))
    shown = [(roc, "roc"), (reliable, "reliability"), (lift, "gains")]
    if _importance(lost, rows, words):
        shown.append((lost, "importance"))
    for axes, name in shown:
        axes.set_title(words.text(f"predict.panels.{name}"), loc="left")
    figures.keys(figure, roc)
    return figure


def _importance(axes: Any, rows: pd.DataFrame, words: Words) -> bool:
    """Draw the importance of blocks, or say that there is none to draw."""
    from pipeline.present.intervals import folded
    from pipeline.stats.features import LADDER

    of_blocks = rows[rows["estimator"].str.startswith("importance_")]
    names = [block for block in LADDER if block in set(of_blocks["factor"])]
    if not names:
        # The last span holds too few defaults to permute anything.
        axes.set_axis_off()
        return False
    for shift, name in ((-0.15, "logistic"), (0.15, "boosting")):
        found = of_blocks[of_blocks["estimator"] == f"importance_{name}"].set_index("factor")
        there = [block for block in names if block in found.index]
        places = [names.index(block) + shift for block in there]
        axes.barh(places, [found.loc[block, "estimate"] for block in there], height=0.28, color=COLOURS[name])
    axes.set_yticks(range(len(names)), [folded(words.label("feature_blocks", block), 16) for block in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(words.text("predict.columns.auc_lost"))
    return True


def dependence(results: Results, words: Words) -> Figure:
    """Draw the best tree model's mean prediction by the columns that matter most to it, a panel each."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures
    from pipeline.present.intervals import folded
    from pipeline.present.sample_figures import group_rates

    rows = results.where(stage=STAGE, estimator="partial_dependence")
    columns = list(_by_importance(results.where(stage=STAGE)))
    lines = (len(columns) + 1) // 2
    figure, panels = plt.subplots(
        lines, 2, figsize=(figures.WIDTH, 1.9 * lines), layout="constrained", sharey=True, squeeze=False
    )
    for axes, column in zip(panels.flat, columns, strict=False):
        here = rows[rows["factor"] == column]
        try:
            x = here["outcome"].astype(float).to_numpy()
        except ValueError:
            # Levels stand in the order of the figure of default rates, and numbers in theirs.
            ordered = [split(name)[1] for name in group_rates(results, column)["factor"]]
            number = pd.to_numeric(here["outcome"], errors="coerce")
            place = here["outcome"].map({level: place for place, level in enumerate(ordered)})
            here = here.iloc[place.fillna(number).argsort(kind="stable")]
            names = [words.known("levels", level) or level for level in here["outcome"]]
            axes.plot(range(len(names)), here["estimate"], "o", color=figures.TREATED, markersize=4.5)
            # Three names fit side by side, a word a line, and so do very short ones; others stand upright.
            few = len(names) <= 3 or max(map(len, names)) * len(names) <= LONGEST
            names = [name.replace(" ", "\n") if few else textwrap.fill(name, LONGEST) for name in names]
            axes.set_xticks(range(len(names)), names, rotation=0 if few else 90)
            axes.set_xlim(-0.5, len(names) - 0.5)
        else:
            order = np.argsort(x)
            style = {"color": figures.TREATED, "markersize": 3, "linewidth": 1.3}
            # Between the two values of a yes or no there is nothing.
            axes.plot(x[order], here["estimate"].to_numpy()[order], "o" if len(x) <= 2 else "o-", **style)
            if x.max() >= 10_000:
                axes.xaxis.set_major_formatter(lambda value, _: whole(value))
                axes.locator_params(axis="x", nbins=4)
            if len(x) <= 2:
                axes.set_xticks(sorted(x), words.answers(x))
                axes.margins(x=0.4)
        axes.set_title(folded(words.known("columns", column) or column, LONGEST + 2), fontsize="medium", loc="left")
    for axes in list(panels.flat)[len(columns) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(words.text("predict.columns.predicted"))
        axes.set_ylim(0, 1.08 * rows["estimate"].max())
    return figure


def _by_importance(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the points of partial dependence by column, the one that matters most first."""
    depends = of(rows, "partial_dependence")
    lost = of(rows, "term_importance").sort_values("estimate", ascending=False, kind="stable")
    return {name: depends[depends["factor"] == name] for name in lost["factor"]}


def tree(results: Results, words: Words) -> Figure:
    """Draw the pruned tree from the left: where a rule holds the way goes up, where not it goes down."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures
    from pipeline.present.intervals import folded

    rows = results.where(stage=STAGE, estimator="tree_node")
    node = {row.specification: row for row in rows.itertuples()}

    def leaves(path: str) -> list[str]:
        below = [leaf for side in "lr" if path + side in node for leaf in leaves(path + side)]
        return below or [path]

    ends = leaves("n")
    deepest = max(map(len, ends)) - 1
    place = {}
    for path in sorted(node, key=len, reverse=True):
        inner = path + "l" in node
        place[path] = (place[path + "l"] + place[path + "r"]) / 2 if inner else float(ends.index(path))
    figure, axes = plt.subplots(figsize=(figures.WIDTH, 0.42 * len(ends) + 0.5), layout="constrained")
    axes.set_axis_off()
    axes.set_xlim(-0.15, deepest + 0.75)
    axes.set_ylim(len(ends) - 0.4, -0.7)
    worst = max(row.estimate for row in node.values()) or 1.0
    depends = of(results.where(stage=STAGE), "partial_dependence").groupby("factor")["outcome"]
    answers = {str(name) for name, values in depends if set(values) <= {"0", "1"}}
    broad = round(90 / (deepest + 0.9))
    for path, row in node.items():
        x, y = len(path) - 1, place[path]
        for side in "lr":
            if path + side in node:
                axes.plot(
                    [x, x, x + 1], [y, place[path + side], place[path + side]], color=figures.QUIET, linewidth=0.9
                )
        colour = figures.CONTROL if row.estimate > worst / 2 else figures.TREATED
        axes.plot(x, y, "o", color=colour, markersize=4 + 8 * row.estimate / worst)
        if path + "l" not in node:
            text, at = f"{percent(row.estimate)} ({whole(row.n)})", {"xytext": (8, 0), "va": "center"}
        elif path == "n":
            text, at = folded(_rule(row, words, answers), broad - 3), {"xytext": (8, 0), "va": "center"}
        else:
            # Before the point, on the side of its line that no other line takes.
            above = path.endswith("l")
            text = folded(_rule(row, words, answers), broad)
            at = {"xytext": (-5, 3 if above else -3), "va": "bottom" if above else "top", "ha": "right"}
        axes.annotate(text, (x, y), textcoords="offset points", fontsize=8, linespacing=1.15, **at)
    return figure


def _rule(row: Any, words: Words, answers: set[str]) -> str:
    """Say what a node asks, `answers` being the columns of a yes or no; where it holds, the way goes up."""
    column, level = split(row.factor)
    label = words.known("columns", column) or column
    if level == "missing":
        return words.pair(label, words.text("predict.measured"))
    if level is not None:
        gap = "" if WIDE.search(words.text("predict.no")) else " "
        return words.pair(label, f"{words.text('predict.no')}{gap}{words.known('levels', level) or level}")
    if column in answers:
        return words.pair(label, words.text("labels.no"))
    threshold = float(row.note)
    shown = whole(threshold) if abs(threshold) >= 1000 else f"{threshold:.4g}".replace("-", "\N{MINUS SIGN}")
    return f"{label} \N{LESS-THAN OR EQUAL TO}\N{NO-BREAK SPACE}{shown}"
