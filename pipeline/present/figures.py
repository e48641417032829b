"""The figures, each a pure function of result rows and words."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter

from pipeline.core.results import Results
from pipeline.present.labels import methods
from pipeline.present.numerals import fixed, whole
from pipeline.present.tables import row_label
from pipeline.present.words import WIDE, Words, filled, split, upper_first
from pipeline.runtime import store
from pipeline.runtime.errors import StudyError

WIDTH = 7.0
"""Width of every figure in inches: that of the report's text, so that letters keep their size in print."""

TREATED, CONTROL, QUIET = "#0072B2", "#D55E00", "#595959"
"""Blue and vermilion of Okabe & Ito's palette, which colour-blind readers can tell apart, and a grey."""

WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "SimHei",
    "Noto Serif CJK SC",
    "Noto Sans CJK JP",
    "Noto Serif CJK JP",
    "Arial Unicode MS",
)
"""Fonts with Chinese characters, as systems bring them, the preferred ones first."""

NO_FONT = (
    "no font here has Chinese characters, so the PDF shows none: install one (Debian's package fonts-noto-cjk) and run "
    "again; the HTML page and the figures are whole"
)

OWN_FONT = "DejaVu Sans"
"""The font that comes with matplotlib."""

SQUARE = "\N{EM DASH}"
"""As wide as the letters are high, as every Chinese character is."""

STYLE = {
    "svg.hashsalt": "crm",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.dpi": 100,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
}


def draw(figure: Callable[..., Figure], path: Path, *inputs: object) -> None:
    """Draw a figure and write it as SVG whose bytes depend on nothing but the figure.

    Letters become outlines of the font that comes with matplotlib. It has no Chinese characters: a figure with some
    keeps all its letters as text, for the reader's browser to draw with a font of its own, and the room that they take
    is computed, so that the bytes do not depend on the fonts of this machine either.
    """
    wide = _wide(inputs)
    style = STYLE | {"font.family": [OWN_FONT]} | ({"svg.fonttype": "none"} if wide else {})
    written = io.StringIO()
    with sns.axes_style("whitegrid"), plt.rc_context(style), _measured() if wide else contextlib.nullcontext():
        drawn = figure(*inputs)
        drawn.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(drawn)
    families = ", ".join(f"'{name}'" for name in (*WIDE_FONTS, OWN_FONT))
    store.write_text(path, named_by_text(written.getvalue()).replace(f"'{OWN_FONT}'", f"{families}, sans-serif"))


def named_by_text(svg: str) -> str:
    """Name each clip path and marker by a hash of its text as it is written.

    Matplotlib hashes the coordinates before it rounds them, and their last bits differ between processors.
    """
    found = re.findall(r'<clipPath id="(p\w+)">(.*?)</clipPath>|<path id="(m\w+)" (.*?)/>', svg, flags=re.DOTALL)
    names = {}
    for clip, inside, marker, drawn in found:
        kind, text = ("p", inside) if clip else ("m", drawn)
        names[clip or marker] = kind + hashlib.sha256(text.encode()).hexdigest()[:10]
    if not names:
        return svg
    return re.sub(rf"\b(?:{'|'.join(names)})\b", lambda name: names[name[0]], svg)


@contextlib.contextmanager
def _measured() -> Iterator[None]:
    """Measure text by the font that comes with matplotlib, a Chinese character as the square that it fills."""
    kept = RendererSVG.get_text_width_height_descent

    def measure(renderer: RendererSVG, text: str, font: FontProperties, ismath: Any) -> tuple[float, float, float]:
        return kept(renderer, WIDE.sub(SQUARE, text), font, ismath)

    RendererSVG.get_text_width_height_descent = measure
    try:
        yield
    finally:
        RendererSVG.get_text_width_height_descent = kept


def wide_fonts() -> list[str]:
    """Return the fonts of this machine that have Chinese characters, the preferred ones first."""
    from matplotlib import font_manager

    known = set(font_manager.get_font_names())
    return [name for name in WIDE_FONTS if name in known]


def missing_font(page: str) -> str:
    """Return what to add to a stage's message where a page has Chinese characters and no font here has them."""
    return f" ({NO_FONT})" if WIDE.search(page) and not wide_fonts() else ""


def _wide(inputs: tuple[object, ...]) -> bool:
    """Say whether a figure has Chinese characters: its words, or values of columns that came with the data."""
    values = (value for one in inputs if isinstance(one, Results) for value in one.frame["factor"])
    return any(one.wide() for one in inputs if isinstance(one, Words)) or any(map(WIDE.search, values))


def _whiskers(axes: plt.Axes, rows: pd.DataFrame, places: np.ndarray, *, across: bool, **style: object) -> None:
    """Points with their intervals, along x (`across`) or y."""
    value = rows["estimate"].to_numpy(dtype=float)
    spread = np.abs(rows[["ci_low", "ci_high"]].to_numpy(dtype=float).T - value)
    if across:
        axes.errorbar(value, places, xerr=spread, **style)
    else:
        axes.errorbar(places, value, yerr=spread, **style)


def flow(results: Results, words: Words) -> Figure:
    """Sample flow: a column of boxes with what remains, and beside it why others left."""
    rows = results.where(estimator="sample_flow", outcome="all")
    remaining = rows[rows["estimand"] == "remaining"].reset_index(drop=True)
    left = rows[rows["estimand"] == "left"].reset_index(drop=True)
    defaults = results.where(estimator="sample_flow", outcome="default", estimand="remaining")
    steps = [0, *left.index[left["estimate"] > 0]]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.95 * len(steps)), layout="constrained")
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-len(steps) + 0.35, 0.65)
    box = {"boxstyle": "round,pad=0.02,rounding_size=0.08", "linewidth": 1.1}
    for place, step in enumerate(steps):
        y = -place
        axes.add_patch(FancyBboxPatch((0.3, y - 0.3), 4.2, 0.6, facecolor="#EAF3F9", edgecolor=TREATED, **box))
        title = words.label("reasons", "read") if step == 0 else ""
        counts = {"loans": whole(remaining.estimate[step]), "defaults": whole(defaults.estimate[step])}
        held = filled(words.text("drawn.flow"), **counts)
        text = f"{title}\n{held}" if title else held
        axes.text(2.4, y, text, ha="center", va="center")
        if place:
            axes.annotate("", (2.4, y + 0.3), (2.4, y + 0.7), arrowprops={"arrowstyle": "->", "color": QUIET})
            axes.plot([2.4, 5.0], [y + 0.5, y + 0.5], color=QUIET, linewidth=0.9)
            reason = words.label("reasons", left.factor[step])
            axes.text(5.1, y + 0.5, f"{whole(left.estimate[step])}  {reason}", va="center", color="black")
    return figure


def raw(results: Results, words: Words, factor: str) -> Figure:
    """Default rate by dose of a factor (``treated``: by arm), with the rate of all loans as a line."""
    rows = _rates(results, factor)
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0), layout="constrained")
    places = np.arange(len(rows))
    _whiskers(axes, rows, places, across=False, fmt="o", color=TREATED, capsize=4, markersize=7, linewidth=1.6)
    for place, row in zip(places, rows.itertuples(), strict=True):
        label = f"{fixed(row.estimate, 1)}%\n{filled(words.text('drawn.loans'), loans=whole(row.n))}"
        axes.annotate(label, (place, row.ci_high), xytext=(0, 5), textcoords="offset points", ha="center", fontsize=8)
    average = results.one(estimator="default_rate", factor="all", specification="before_00").estimate
    axes.axhline(average, color=QUIET, linestyle="--", linewidth=1)
    names = [words.level(split(name)[1]) for name in rows["factor"]]
    if factor == "treated":
        arms = ["treated" if split(name)[1] == "1" else "control" for name in rows["factor"]]
        names = [upper_first(words.label("arms", arm)) for arm in arms]
    axes.set_xticks(places, names)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_ylim(0, rows["ci_high"].max() * 1.25)
    axes.grid(visible=False, axis="x")
    # The arms' names say what they are.
    axes.set_xlabel(words.label("columns", factor) if factor != "treated" else "")
    axes.set_ylabel(words.in_percent(words.text("columns.rate")))
    return figure


def _rates(results: Results, group: str, sample: str = "before") -> pd.DataFrame:
    rows = results.where(estimator="default_rate")
    keep = rows["specification"].str.startswith(sample) & rows["factor"].str.startswith(f"{group}[")
    return rows[keep].sort_values("specification", ignore_index=True)


def rates(results: Results, words: Words, groups: list[str]) -> Figure:
    """Default rates by group, a panel each."""
    found = [_rates(results, group) for group in groups]
    columns = 2
    lines = math.ceil(len(groups) / columns)
    tallest = [max(len(rows) for rows in found[line * columns : (line + 1) * columns]) for line in range(lines)]
    figure, panels = plt.subplots(
        lines,
        columns,
        figsize=(WIDTH, sum(0.19 * rows + 0.75 for rows in tallest)),
        height_ratios=[0.19 * rows + 0.5 for rows in tallest],
        layout="constrained",
        sharex=True,
        squeeze=False,
    )
    average = results.one(estimator="default_rate", factor="all", specification="before_00").estimate
    for axes, group, rows in zip(panels.flat, groups, found, strict=False):
        places = np.arange(len(rows))[::-1]
        _whiskers(
            axes,
            rows,
            places,
            across=True,
            fmt="o",
            color=TREATED,
            capsize=2.5,
            markersize=4.5,
            linewidth=1.2,
        )
        axes.axvline(average, color=QUIET, linestyle="--", linewidth=1)
        axes.set_yticks(places, [words.level(split(name)[1]) for name in rows["factor"]])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_title(words.label("columns", group), loc="left")
        axes.grid(visible=False, axis="y")
    for axes in panels.flat[len(groups) :]:
        axes.set_axis_off()
    for axes in panels[-1]:
        axes.set_xlabel(words.in_percent(words.text("columns.rate")))
    figure.get_layout_engine().set(h_pad=0.06)
    return figure


def balance(results: Results, words: Words, threshold: float) -> Figure:
    """Love plot: absolute standardised differences of every covariate before and after matching."""
    rows = results.where(estimator="balance", estimand="standardised_mean_difference")
    wide = rows.pivot(index="factor", columns="specification", values="estimate").abs()
    wide = wide.sort_values(["before", "after"], kind="stable")
    figure, axes = plt.subplots(figsize=(WIDTH, 0.165 * len(wide) + 0.9), layout="constrained")
    places = np.arange(len(wide))
    axes.hlines(places, wide["after"], wide["before"], color="#BBBBBB", linewidth=1)
    axes.plot(
        wide["before"],
        places,
        "o",
        color=CONTROL,
        markerfacecolor="white",
        markersize=4.5,
        label=words.label("samples", "before"),
    )
    axes.plot(wide["after"], places, "o", color=TREATED, markersize=4.5, label=words.label("samples", "after"))
    axes.axvline(threshold, color="black", linestyle=":", linewidth=1.1)
    axes.set_yticks(places, [words.column(name) for name in wide.index], fontsize=7.5)
    axes.set_ylim(-0.8, len(wide) - 0.2)
    axes.set_xlim(left=-0.003)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"|{words.text('columns.standardised')}|")
    axes.legend(loc="lower right")
    return figure


def overlap(results: Results, words: Words) -> Figure:
    """Score distribution of the two arms, before and after matching."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.6), layout="constrained", sharey=True, sharex=True)
    for axes, sample in zip(panels, ("before", "after"), strict=True):
        for arm, colour in (("treated", TREATED), ("control", CONTROL)):
            rows = results.where(estimator="score_distribution", specification=f"{sample}_{arm}")
            middles = rows["outcome"].astype(float)
            axes.step(
                middles,
                100 * rows["estimate"],
                where="mid",
                color=colour,
                linewidth=1.6,
                label=words.label("arms", arm),
            )
            axes.fill_between(middles, 100 * rows["estimate"], step="mid", color=colour, alpha=0.12)
        axes.set_title(upper_first(words.label("samples", sample)), loc="left")
        axes.set_xlabel(words.label("columns", "propensity_score"))
    panels[0].set_ylabel(words.in_percent(words.text("columns.share")))
    panels[0].set_ylim(bottom=0)
    # Beside the panels: scores may lie anywhere in them.
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def correlations(results: Results, words: Words, factors: list[str], kinds: list[tuple[str, str]]) -> Figure:
    """Heat map of correlations: factors by kind of correlation and what is held fixed."""
    rows = results.where(stage="correlate")
    values = np.array(
        [
            [
                rows[(rows.estimator == kind) & (rows.specification == given) & (rows.factor == factor)].estimate.item()
                for kind, given in kinds
            ]
            for factor in factors
        ]
    )
    names = [f"{words.label('correlations', kind)}\n{words.label('given', given)}" for kind, given in kinds]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.48 * len(factors) + 1.1), layout="constrained")
    reach = np.abs(values).max()
    sns.heatmap(
        values,
        ax=axes,
        cmap="vlag",
        vmin=-reach,
        vmax=reach,
        annot=np.vectorize(lambda value: fixed(value, 3))(values),
        fmt="",
        annot_kws={"fontsize": 8.5},
        linewidths=1,
        xticklabels=names,
        yticklabels=[words.label("columns", factor) for factor in factors],
        cbar_kws={
            "label": words.text("columns.correlation"),
            "format": FuncFormatter(lambda value, _: fixed(value, 2)),
        },
    )
    axes.tick_params(axis="x", labelsize=7.5, rotation=0)
    axes.tick_params(axis="y", rotation=0)
    return figure


def ladder(results: Results, words: Words, factors: list[str], rungs: list[str]) -> Figure:
    """Effects up the ladder, a panel a factor, each on its own scale with zero marked."""
    models = (
        ("linear_probability", "risk_difference", "o", TREATED, -0.13),
        ("logit", "average_marginal_effect", "s", CONTROL, 0.13),
    )
    columns = 2
    lines = math.ceil(len(factors) / columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(WIDTH, 1.95 * lines), layout="constrained", sharey=True, squeeze=False
    )
    for axes, factor in zip(panels.flat, factors, strict=False):
        for estimator, estimand, marker, colour, shift in models:
            rows = results.where(
                stage="regress", estimator=estimator, estimand=estimand, factor=factor, specification=rungs
            )
            places = rows["specification"].map(rungs.index).to_numpy() + shift
            _whiskers(
                axes,
                rows,
                places,
                across=True,
                fmt=marker,
                color=colour,
                markersize=4,
                capsize=2,
                linewidth=1.1,
            )
        axes.axvline(0, color="black", linewidth=1)
        axes.set_title(words.label("columns", factor), loc="left")
        axes.grid(visible=False, axis="y")
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(rungs)), [f"{rung} {words.label('rungs', rung)}" for rung in rungs])
    panels[0, 0].set_ylim(len(rungs) - 0.5, -0.5)
    for axes in panels.flat[len(factors) :]:
        axes.set_axis_off()
    for place, axes in enumerate(panels.flat[: len(factors)]):
        if place + columns >= len(factors):
            axes.set_xlabel(words.text("columns.points"))
            axes.tick_params(axis="x", labelbottom=True)
    return figure


def _multiples(results: Results) -> pd.DataFrame:
    """Mean estimate of every method as a multiple of the truth at which it aims, with its spread over worlds."""
    rows = results.where(stage="recovery", specification="base")
    wide = rows.pivot(index=["estimator", "outcome"], columns="estimand", values="estimate").reset_index()
    wide = wide[wide["truth"].notna() & (wide["truth"] != 0)]
    spread = np.sqrt(np.maximum(wide["rmse"] ** 2 - wide["bias"] ** 2, 0))
    return wide.assign(multiple=wide["estimate"] / wide["truth"], spread=spread / wide["truth"].abs())


def recovery(results: Results, words: Words) -> Figure:
    """Estimate as a multiple of the truth by method, and beside it how often each sees an effect that is not there.

    Without worlds of no effect among the recovery rows there is nothing beside it.
    """
    label = {(one.estimator, one.outcome): one.label for one in methods(results)}
    found = _multiples(results)
    found = found.iloc[np.argsort(found["multiple"].to_numpy(), kind="stable")]
    null = results.where(stage="recovery", specification="null")
    null = null.pivot(index=["estimator", "outcome"], columns="estimand", values="estimate")
    # Contacts and satisfaction keep their own effects where the programme has none: seeing them is no false alarm.
    false_alarms = {} if null.empty else (100 * null.loc[null["truth"] == 0, "rejection"]).to_dict()
    names = [(row.estimator, row.outcome) for row in found.itertuples()]
    colours = {"recovers": TREATED, "biased": CONTROL}
    low, high = -1.0, 5.0
    widths = [2.2, 1] if false_alarms else [1]
    figure, panels = plt.subplots(
        1,
        len(widths),
        figsize=(WIDTH, 0.3 * len(names) + 1.1),
        layout="constrained",
        sharey=True,
        width_ratios=widths,
        squeeze=False,
    )
    left = panels[0, 0]
    for place, (name, row) in enumerate(zip(names, found.itertuples(), strict=True)):
        colour = colours.get(label.get(name, ""), "#009E73")
        shown = min(max(row.multiple, low), high)
        marker = "o" if shown == row.multiple else "<" if shown == low else ">"
        ends = np.clip([row.multiple - row.spread, row.multiple + row.spread], low, high)
        left.plot(ends, [place, place], color=colour, linewidth=1.6)
        left.plot(shown, place, marker, color=colour, markersize=5.5)
        if marker != "o":
            text = fixed(row.multiple, 1)
            inward = (7, 0) if marker == "<" else (-7, 0)
            side = "left" if marker == "<" else "right"
            left.annotate(text, (shown, place), inward, textcoords="offset points", va="center", ha=side, fontsize=8)
        for right in panels[0, 1:]:
            right.plot(false_alarms.get(name, np.nan), place, "o", color=colour, markersize=5.5)
    left.axvline(1, color="black", linewidth=1)
    left.axvline(0, color=QUIET, linestyle=":", linewidth=1)
    left.set_xlim(low - 0.15, high + 0.15)
    left.set_yticks(range(len(names)), [words.label("estimators", estimator) for estimator, _ in names])
    left.set_xlabel(words.text("columns.multiple"))
    for right in panels[0, 1:]:
        right.axvline(5, color="black", linewidth=1)
        right.set_xlim(-4, 104)
        right.set_xlabel(words.text("columns.false_alarms"))
    for axes in panels.flat:
        axes.grid(visible=False, axis="y")
    return figure


def forest(results: Results, words: Words, estimators: list[str]) -> Figure:
    """Draw estimates of some estimators of the stage effects with their intervals, all on one scale."""
    rows = results.where(stage="effects", estimator=estimators)
    rows = rows[rows["ci_low"].notna()]
    rows = rows.iloc[rows["estimator"].map(estimators.index).argsort(kind="stable")].reset_index(drop=True)
    units = rows["unit"].unique()
    if len(units) != 1:
        raise StudyError(f"a forest needs rows of one unit, and {', '.join(estimators)} have {len(units)}.")
    figure, axes = plt.subplots(figsize=(WIDTH, 0.26 * len(rows) + 0.9), layout="constrained")
    places = np.arange(len(rows))
    _whiskers(axes, rows, places, across=True, fmt="o", color=TREATED, capsize=2.5, markersize=4.5, linewidth=1.3)
    ratio = units[0] in ("ratio", "odds ratio")
    axes.axvline(1 if ratio else 0, color="black", linewidth=1)
    if ratio:
        axes.set_xscale("log")
    axes.set_yticks(places, [row_label(row, words) for row in rows.itertuples()])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(words.label("effect_units", units[0]))
    axes.grid(visible=False, axis="y")
    return figure


def synthesis(results: Results, words: Words, of_study: dict[str, Words]) -> Figure:
    """Odds ratios of every study's factors by construct, in units that can be compared."""
    rows = results.where(estimator="like_units")
    rows = rows[rows["estimate"].notna()]
    order = list(words.text("labels.constructs"))
    rows = rows.assign(
        construct=rows["specification"].map(order.index),
        last=rows["note"] == "simulated",
        place=rows["study"].map(list(of_study).index),
    )
    rows = rows.sort_values(["construct", "last", "place", "factor"], kind="stable", ignore_index=True)
    # A line of its own heads every construct.
    places = np.arange(len(rows)) + rows["construct"].rank(method="dense").to_numpy()
    names = []
    figure, axes = plt.subplots(figsize=(WIDTH, 0.24 * (places[-1] + 1) + 0.8), layout="constrained")
    for place, row in zip(places, rows.itertuples(), strict=True):
        binary = row.estimand == "log_odds_ratio_of_one"
        colour = QUIET if row.note == "simulated" else TREATED
        marker = "s" if binary else "o"
        axes.plot(np.exp([row.ci_low, row.ci_high]), [place, place], color=colour, linewidth=1.4)
        axes.plot(np.exp(row.estimate), place, marker, color=colour, markersize=5)
        own = of_study[row.study]
        names.append(words.bracketed(own.label("columns", row.factor), own.text("short")))
    for _, of_construct in rows.groupby("construct", sort=True):
        head = places[of_construct.index[0]] - 1
        title = words.label("constructs", of_construct["specification"].iloc[0])
        axes.annotate(
            title,
            (0, head),
            (-4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="center",
            fontweight="bold",
            fontsize=8.5,
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(max(np.exp(rows["ci_low"].min()), 0.2) / 1.1, min(np.exp(rows["ci_high"].max()), 5) * 1.1)
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in (0.2, 0.33, 0.5, 0.75, 1, 1.33, 2, 3, 5) if low < tick < high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.set_yticks(places, names)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.set_xlabel(words.text("columns.forest"))
    axes.grid(visible=False, axis="y")
    return figure


def event_study(results: Results, words: Words) -> Figure:
    """Default before and after adoption: log rate ratio against the quarter before, with intervals."""
    rows = results.where(stage="effects", estimator="event_study", estimand="log_rate_ratio")
    quarter = rows["specification"].str.extract(r"([+-]\d+)")[0].astype(int)
    rows = rows.assign(quarter=quarter).sort_values("quarter", ignore_index=True)
    figure, axes = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
    places = rows["quarter"].to_numpy()
    _whiskers(axes, rows, places, across=False, fmt="o", color=TREATED, capsize=3, markersize=5, linewidth=1.4)
    axes.plot(-1, 0, "o", color="white", markeredgecolor=TREATED, markersize=5)
    axes.axhline(0, color="black", linewidth=1)
    axes.axvline(-0.5, color=QUIET, linestyle="--", linewidth=1)
    axes.set_xticks([*places, -1])
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(words.text("columns.quarter"))
    axes.set_ylabel(words.text("columns.log_ratio"))
    return figure
