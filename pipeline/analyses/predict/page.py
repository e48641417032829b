"""The chapter on prediction: whether a score that knows the client better predicts default better."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, fixed, percent, whole
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first, split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "predict"

MODELS = ("logistic", "scorecard", "tree", "forest", "boosting")

HARD, ALL = "hard", "with_crm"

MEANINGS = ("grade_and_lender", "application", "everything")
"""What may count as hard information, the narrowest first."""

LONGEST = 22
"""Letters of a level's name that stand below an axis; a panel's title has hardly more in a line."""

COLOURS = {"logistic": "#0072B2", "boosting": "#D55E00", "tree": "#009E73"}
"""Models that are drawn, in Okabe & Ito's colours."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    yield f"## {page.text('headings.predict')}"
    if results.where(stage=STAGE, estimator="logistic").empty:
        yield page.text("predict.nothing", note=results.where(stage=STAGE)["note"].iloc[0])
        return
    rows = _main(results)
    counts = {row.estimand: row.estimate for row in _of(rows, "split").itertuples()}
    cut = _of(rows, "split")["note"].iloc[0]
    way = _of(rows, "split")["specification"].iloc[0]
    named = {"counts": counts, "cut": cut, "way": way, "how": words.label("score_splits", way)}
    named["window"] = counts["months_to_outcome"] if "_within_" in rows["outcome"].iloc[0] else None
    named["later"] = rows["outcome"].iloc[0] == "default_after_landmark"
    named["market"] = _part(results, rows, "market") is not None
    named["complete"] = _optional(rows, "logistic", ALL, "auc_gain_of_complete_clustered")
    named["landmark"] = page.scope.protocol.landmark
    last = ALL if len(_cell(rows, "logistic", ALL, "auc")) else HARD
    named["full"] = _one(rows, "logistic", last, "auc")
    gain = _cell(rows, "logistic", ALL, "auc_gain_clustered")
    if len(gain) and not np.isnan(gain["estimate"].iloc[0]):
        named |= {
            "gain": _one(rows, "logistic", ALL, "auc_gain_clustered"),
            "by_loan": _one(rows, "logistic", ALL, "auc_gain"),
            "hard": _one(rows, "logistic", HARD, "auc"),
            "brier": _one(rows, "logistic", ALL, "brier_gain"),
            "saving": _one(rows, "logistic", ALL, "saving_gain"),
            "at_half": _one(rows, "logistic", ALL, "saving_gain_at_half"),
            "at_twice": _one(rows, "logistic", ALL, "saving_gain_at_twice"),
            "cluster": lower_first(
                words.known("columns", page.scope.protocol.cluster) or page.scope.protocol.cluster.replace("_", " ")
            ),
        }
        yield page.text("predict.headline", **named)
    else:
        yield page.text("predict.one_block", **named)
    yield page.text("predict.split", **named)
    if len(results.where(stage=STAGE, estimator="roc")):
        yield page.show_figure("predict", STAGE, **named)
    best = _models(rows, last)
    yield page.text("predict.models", models=best, name=lambda row: words.label("score_models", row.estimator), **named)
    yield page.show_table("predict", scores(rows, words, last), STAGE, last=_compared(rows), **named)
    slope, large = (_optional(rows, "logistic", last, f"calibration_{name}") for name in ("slope", "intercept"))
    lift, precision = (_optional(rows, "logistic", last, name) for name in ("lift", "precision"))
    if slope is not None and lift is not None:
        yield page.text("predict.decisions", slope=slope, large=large, lift=lift, precision=precision, **named)
    parts = {name: _part(results, rows, name) for name in ("market", "elsewhere", "renewed")}
    if any(part is not None for part in parts.values()):
        hard_elsewhere = _optional(
            results.where(stage=STAGE, specification="other_institutions"), "logistic", HARD, "auc"
        )
        yield page.text("predict.further", parts=parts, hard_elsewhere=hard_elsewhere, **named)
    yield from _meanings(page, rows)
    depends = results.where(stage=STAGE, estimator="partial_dependence")
    if len(depends):
        named["best"] = lower_first(words.label("score_models", depends["note"].iloc[0]))
        yield page.text("predict.dependence", columns=_ranges(depends, words), **named)
        yield page.show_figure("predict_dependence", STAGE, **named)
    leaves = _of(rows, "tree_node")
    if len(leaves) > 1:
        yield page.show_figure("predict_tree", STAGE, **named)
    elif len(leaves):
        yield page.text("predict.no_tree", **named)
    yield page.text("predict.card", **named)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the panels, and the tree where it has a branch."""
    if results.where(stage=STAGE, estimator="logistic").empty:
        return {}
    found: dict[str, tuple[Any, ...]] = {}
    if len(results.where(stage=STAGE, estimator="roc")):
        found["predict"] = (panels,)
    if len(results.where(stage=STAGE, estimator="tree_node")) > 1:
        found["predict_tree"] = (tree,)
    if len(results.where(stage=STAGE, estimator="partial_dependence")):
        found["predict_dependence"] = (dependence,)
    return found


def panels(results: Results, words: Words) -> Figure:
    """ROC curves, reliability, lift, and the area that is lost when a block's columns are dealt out anew."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, ((roc, reliable), (lift, lost)) = plt.subplots(2, 2, figsize=(figures.WIDTH, 6.2), layout="constrained")
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
    roc.legend(loc="lower right")
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
        top = max(top, x.max(), y[:, 0].max())
    reliable.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle=":")
    reliable.set_xlabel(words.text("predict.columns.predicted"))
    reliable.set_ylabel(words.text("predict.columns.observed"))
    _importance(lost, rows, words)
    return figure


def _importance(axes: Any, rows: pd.DataFrame, words: Words) -> None:
    from pipeline.stats.features import LADDER

    of_blocks = rows[rows["estimator"].str.startswith("importance_")]
    names = [block for block in LADDER if block in set(of_blocks["factor"])]
    if not names:
        # The last span holds too few defaults to deal anything out.
        axes.set_axis_off()
        return
    for shift, name in ((-0.15, "logistic"), (0.15, "boosting")):
        found = of_blocks[of_blocks["estimator"] == f"importance_{name}"].set_index("factor")
        there = [block for block in names if block in found.index]
        places = [names.index(block) + shift for block in there]
        axes.barh(places, [found.loc[block, "estimate"] for block in there], height=0.28, color=COLOURS[name])
    axes.set_yticks(range(len(names)), [words.label("feature_blocks", block) for block in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(words.text("predict.columns.auc_lost"))


def dependence(results: Results, words: Words) -> Figure:
    """Draw the best tree model's mean prediction by the columns that matter most to it, a panel each."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    rows = results.where(stage=STAGE, estimator="partial_dependence")
    columns = list(_by_importance(results.where(stage=STAGE)))
    lines = (len(columns) + 2) // 3
    figure, panels = plt.subplots(
        lines, 3, figsize=(figures.WIDTH, 2.2 * lines), layout="constrained", sharey=True, squeeze=False
    )
    for axes, column in zip(panels.flat, columns, strict=False):
        here = rows[rows["factor"] == column]
        try:
            x = here["outcome"].astype(float).to_numpy()
        except ValueError:
            names = [words.known("levels", level) or level for level in here["outcome"]]
            axes.plot(range(len(names)), here["estimate"], "o", color=figures.TREATED, markersize=4.5)
            # Three short names fit side by side, a word a line; more stand upright.
            few = len(names) <= 3
            names = [name.replace(" ", "\n") if few else name[:LONGEST] for name in names]
            axes.set_xticks(range(len(names)), names, rotation=0 if few else 90, fontsize=7)
            axes.set_xlim(-0.5, len(names) - 0.5)
        else:
            order = np.argsort(x)
            style = {"color": figures.TREATED, "markersize": 3, "linewidth": 1.3}
            axes.plot(x[order], here["estimate"].to_numpy()[order], "o-", **style)
            if x.max() >= 10_000:
                axes.xaxis.set_major_formatter(lambda value, _: whole(value))
                axes.locator_params(axis="x", nbins=4)
            if len(x) <= 2:
                axes.set_xticks(x)
        label = textwrap.fill(words.known("columns", column) or column, LONGEST + 4)
        axes.set_title(label, fontsize="medium", loc="left")
    for axes in list(panels.flat)[len(columns) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(words.text("predict.columns.predicted"))
        axes.set_ylim(bottom=0)
    return figure


def _by_importance(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the points of partial dependence by column, the one that matters most first."""
    depends = _of(rows, "partial_dependence")
    lost = _of(rows, "term_importance").sort_values("estimate", ascending=False, kind="stable")
    return {name: depends[depends["factor"] == name] for name in lost["factor"]}


def _ranges(depends: pd.DataFrame, words: Words) -> list[tuple[str, float, float]]:
    """Return the lowest and the highest mean prediction by column, the widest range first."""
    found = [
        (words.known("columns", str(name)) or str(name), points["estimate"].min(), points["estimate"].max())
        for name, points in depends.groupby("factor", sort=True)
    ]
    return sorted(found, key=lambda one: one[1] - one[2])


def _meanings(page: Page, rows: pd.DataFrame) -> Iterator[str]:
    """Yield what the design expects beside what comes out at each meaning of hard information."""
    found = {
        name: tuple(_optional(rows, "hard_information", name, f"auc_{rung}") for rung in (HARD, ALL))
        for name in ("design", *MEANINGS)
    }
    if any(row is None for pair in found.values() for row in pair):
        return
    expected = found.pop("design")
    met = [
        page.words.label("hard_information", name)
        for name, pair in found.items()
        if all(want.ci_low <= row.estimate <= want.ci_high for row, want in zip(pair, expected, strict=True))
    ]
    yield page.text("predict.meanings", expected=expected, met=met, **found)
    body = [
        [
            page.words.label("hard_information", name),
            *(f"{fixed(row.estimate, 3)} [{fixed(row.ci_low, 3)}, {fixed(row.ci_high, 3)}]" for row in pair),
        ]
        for name, pair in found.items()
    ]
    names = ("meaning", "auc_hard", "auc_all")
    table = markdown([page.text(f"predict.columns.{name}") for name in names], body)
    yield page.show_table("predict_meanings", table, STAGE)


def tree(results: Results, words: Words) -> Figure:
    """Draw the pruned tree from the left: where a rule holds the way goes up, where not it goes down."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

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
    for path, row in node.items():
        x, y = len(path) - 1, place[path]
        for side in "lr":
            if path + side in node:
                axes.plot(
                    [x, x, x + 1], [y, place[path + side], place[path + side]], color=figures.QUIET, linewidth=0.9
                )
        colour = figures.CONTROL if row.estimate > worst / 2 else figures.TREATED
        axes.plot(x, y, "o", color=colour, markersize=4 + 8 * row.estimate / worst)
        if path + "l" in node:
            behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            axes.annotate(
                _rule(row, words), (x, y), (8, 0), textcoords="offset points", va="center", fontsize=7.5, bbox=behind
            )
        else:
            text = f"{percent(row.estimate)} ({whole(row.n)})"
            axes.annotate(text, (x, y), (8, 0), textcoords="offset points", va="center", fontsize=7.5)
    return figure


def _rule(row: Any, words: Words) -> str:
    """Say what a node asks; where it holds, the way goes up."""
    column, level = split(row.factor)
    label = words.known("columns", column) or column
    if level == "missing":
        return f"{label}: {words.text('predict.measured')}"
    if level is not None:
        return f"{label}: {words.text('predict.no')} {words.known('levels', level) or level}"
    threshold = float(row.note)
    shown = whole(threshold) if abs(threshold) >= 1000 else f"{threshold:.4g}".replace("-", "\N{MINUS SIGN}")
    return f"{label} \N{LESS-THAN OR EQUAL TO} {shown}"


def scores(rows: pd.DataFrame, words: Words, last: str) -> str:
    """Every model: areas with intervals, the gain, errors, calibration and what following up would save."""
    body = []
    both = _compared(rows) == ALL
    for name in MODELS:
        full = _optional(rows, name, last, "auc")
        if full is None:
            continue
        cells = [words.label("score_models", name)]
        hard = _optional(rows, name, HARD, "auc") if both else None
        gain = _optional(rows, name, ALL, "auc_gain_clustered") if both else None
        if both:
            cells.append(MISSING if hard is None else fixed(hard.estimate, 3))
        cells.append(f"{fixed(full.estimate, 3)} [{fixed(full.ci_low, 3)}, {fixed(full.ci_high, 3)}]")
        if both:
            none = gain is None or np.isnan(gain.estimate)
            cells.append(
                MISSING if none else f"{fixed(gain.estimate, 3)} [{fixed(gain.ci_low, 3)}, {fixed(gain.ci_high, 3)}]"
            )
        for estimand, decimals in (
            ("kolmogorov_smirnov", 3),
            ("brier", 4),
            ("calibration_slope", 2),
            ("calibration_intercept", 2),
            ("precision", 1),
            ("recall", 1),
            ("saving", 2),
        ):
            row = _optional(rows, name, last, estimand)
            cells.append(MISSING if row is None else fixed(row.estimate, decimals))
        body.append(cells)
    names = ["model", *(["auc_hard"] if both else []), "auc", *(["auc_gain"] if both else [])]
    names += ["kolmogorov_smirnov", "brier", "slope", "intercept", "precision", "recall", "saving"]
    return markdown([words.text(f"predict.columns.{name}") for name in names], body)


def _compared(rows: pd.DataFrame) -> str:
    """Return the rung that is shown, `ALL` only where hard information stands beside it."""
    both = all(len(_cell(rows, "logistic", rung, "auc")) for rung in (HARD, ALL))
    return ALL if both else HARD


def _main(results: Results) -> pd.DataFrame:
    """Return the rows of the moment at which every model was tried, as its split judges them."""
    rows = results.where(stage=STAGE)
    models = rows[rows["estimator"].isin(MODELS)]
    later = models["outcome"] == "default_after_landmark"
    outcome = models["outcome"][later if later.any() else ~later].iloc[0]
    way = rows[(rows["estimator"] == "split") & (rows["outcome"] == outcome)]["specification"].iloc[0]
    kept = (rows["outcome"] == outcome) & (rows["specification"] == way)
    return rows[kept | (rows["estimator"] == "tree_node")].reset_index(drop=True)


def _of(rows: pd.DataFrame, estimator: str) -> pd.DataFrame:
    return rows[rows["estimator"] == estimator]


def _cell(rows: pd.DataFrame, model: str, rung: str, estimand: str) -> pd.DataFrame:
    return rows[(rows["estimator"] == model) & (rows["factor"] == rung) & (rows["estimand"] == estimand)]


def _one(rows: pd.DataFrame, model: str, rung: str, estimand: str) -> Any:
    return next(_cell(rows, model, rung, estimand).itertuples(index=False))


def _optional(rows: pd.DataFrame, model: str, rung: str, estimand: str) -> Any:
    found = _cell(rows, model, rung, estimand)
    found = found[found["estimate"].notna()]
    return next(found.itertuples(index=False), None)


def _models(rows: pd.DataFrame, last: str) -> list[Any]:
    """Return the models' areas, the largest first."""
    found = [_one(rows, name, last, "auc") for name in MODELS if len(_cell(rows, name, last, "auc"))]
    return sorted(found, key=lambda row: -row.estimate)


def _part(results: Results, rows: pd.DataFrame, name: str) -> Any:
    if name == "market":
        return _optional(rows, "logistic", "market", "auc_step")
    if name == "renewed":
        return _optional(rows, "logistic", ALL, "auc_gain_on_static")
    elsewhere = results.where(stage=STAGE, specification="other_institutions")
    return _optional(elsewhere, "logistic", ALL, "auc_gain_clustered")
