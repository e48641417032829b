"""The forest of one subject: each lender with its weight and loans, the mean, and where one more lender is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pipeline.core.results import Results
from pipeline.pages.subjects import Subject, drawn
from pipeline.present.figures import QUIET, TREATED, WIDTH
from pipeline.present.numerals import percent, whole
from pipeline.present.words import Words

ENDS = (0.25, 4.0)
"""Odds ratios between which the axis stays; an interval that leaves it ends in an arrow."""

TICKS = (0.25, 0.5, 0.75, 1, 1.33, 2, 4)


class Line(NamedTuple):
    """A line of the forest: a head, a lender, a mean, an interval for one more lender, or drawn lots."""

    kind: Literal["head", "lender", "mean", "prediction", "drawn"]
    text: str
    row: Any = None
    loans: str = ""
    weight: str = ""


def lines(subjects: Sequence[Subject], found: Results, words: Words, of_study: Mapping[str, Words]) -> Iterator[Line]:
    """Give the lines from top to bottom: the lenders of each unit with their mean, then what was drawn by lot."""

    def named(row: Any) -> str:
        own = of_study[row.study]
        return words.bracketed(own.label("columns", row.factor), own.text("short"))

    for subject in subjects:
        yield Line("head", words.label("estimands", subject.kind))
        for row in subject.parts.itertuples():
            yield Line("lender", named(row), row, whole(row.n), percent(100 * subject.weight(row)))
        yield Line("mean", words.text("columns.pooled"), subject.mean, whole(subject.mean.n))
        if subject.prediction:
            yield Line("prediction", words.text("columns.prediction"), subject.prediction)
    apart = [row for row in drawn(found) if row.specification in subjects[0].constructs]
    if apart:
        yield Line("head", words.text("columns.drawn"))
    for row in apart:
        yield Line("drawn", named(row), row, whole(row.n))


def _draw(axes: Axes, place: int, line: Line) -> None:
    """Draw a line's estimate and interval: odds ratios as they are, their logarithms taken back."""
    numbers = np.array([line.row.ci_low, line.row.estimate, line.row.ci_high], dtype=float)
    low, at, high = numbers if line.kind == "drawn" else np.exp(numbers)
    colour = {"mean": "black", "prediction": QUIET}.get(line.kind, TREATED)
    shown = np.clip([low, high], *ENDS)
    axes.plot(shown, [place, place], color=colour, linewidth=1.4, linestyle=":" if line.kind == "prediction" else "-")
    for end, cut, marker in zip((low, high), shown, "<>", strict=True):
        if end != cut:
            axes.plot(cut, place, marker, color=colour, markersize=5)
    if line.kind != "prediction":
        axes.plot(at, place, {"mean": "D", "drawn": "s"}.get(line.kind, "o"), color=colour, markersize=5)
    _beside(axes, place, line.loans, line.weight)


def _beside(axes: Axes, place: float, *texts: str) -> None:
    """Write how many loans and what weight, in two columns beside the axes."""
    for text, at in zip(texts, (42, 82), strict=True):
        where = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "right", "annotation_clip": False}
        axes.annotate(text, (1, place), (at, 0), textcoords="offset points", fontsize=8, color=QUIET, **where)


def forest(subjects: Sequence[Subject], found: Results, words: Words, of_study: Mapping[str, Words]) -> Figure:
    """Draw one subject: lenders in each unit with weights, means, prediction intervals, and drawn lots below."""
    every = list(lines(subjects, found, words, of_study))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.27 * len(every) + 0.9), layout="constrained")
    axes.set_xscale("log")
    axes.set_xlim(ENDS[0] / 1.05, ENDS[1] * 1.05)
    for place, line in enumerate(every):
        if line.row is not None:
            _draw(axes, place, line)
    _beside(axes, -0.9, words.text("columns.loans"), words.text("columns.weight"))
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xticks(TICKS)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.set_yticks(range(len(every)), [line.text for line in every])
    for label, line in zip(axes.get_yticklabels(), every, strict=True):
        label.set_fontweight("bold" if line.kind in ("head", "mean") else "normal")
    axes.set_ylim(len(every) - 0.4, -0.6)
    axes.set_xlabel(words.text("columns.forest"))
    axes.grid(visible=False, axis="y")
    return figure
