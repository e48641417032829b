"""Lists of intervals: groups under heads, an interval a line, arrows where one leaves the axis, numbers beside it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from pipeline.present.figures import QUIET, TREATED, WIDTH
from pipeline.present.words import WIDE, upper_first

HEAD, LINE = 0.22, 0.19
"""Height of a line of a list of intervals in inches, and of the head of a group."""

LONGEST, HEADS = 30, 38
"""Letters of a label and of a head in one line; a Chinese character takes the room of two."""


APART = 0.15
"""Least distance of two ticks, as a share of a logarithmic axis."""

PIECES = re.compile(r"（?(?:[a-zA-Z0-9.,&-]+|.)[、；）]*")
"""What stays on one line of a long Chinese phrase: a character or a Latin word, with the marks beside it."""


class Line(NamedTuple):
    """A line of a list of intervals."""

    label: str
    row: Any
    """Has estimate, ci_low and ci_high; without an interval only the point is drawn."""
    said: str = ""
    """The numbers at the right."""
    colour: str = TREATED
    marker: str = "o"
    bold: bool = False


Groups = Sequence[tuple[str, Sequence[Line]]]
"""Lines under the head of their group; an empty head takes no line."""


def drawn(
    groups: Groups,
    label: str,
    *,
    start: float = 0.0,
    numbers: str = "",
    ratio: bool = False,
    limits: tuple[float, float] | None = None,
    longest: int = LONGEST,
) -> Figure:
    """Draw a list of intervals, an interval a line, with its numbers to the right.

    Parameters
    ----------
    groups, label, numbers
        The lines, what the axis shows, and what the numbers are.
    start, ratio
        Point of no effect; whether the axis is logarithmic.
    limits
        Ends of the axis; none: those of `reach`. Where an interval goes on beyond them stands an arrow.
    longest
        Letters of a label in one line.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, height_of(groups, longest) + 0.75), layout="constrained")
    listed(axes, groups, start=start, numbers=numbers, ratio=ratio, limits=limits, longest=longest)
    axes.set_xlabel(folded(label, HEADS))
    return figure


def height_of(groups: Groups, longest: int = LONGEST) -> float:
    """Return the height of a list in inches."""
    return sum(HEAD * _lines(head) + LINE * sum(_tall(line, longest) for line in lines) for head, lines in groups)


def _lines(head: str) -> int:
    return 1 + folded(head, HEADS).count("\n") if head else 0


def _tall(line: Line, longest: int) -> float:
    return 1 + 0.7 * folded(line.label, longest).count("\n")


def listed(
    axes: Axes,
    groups: Groups,
    *,
    start: float = 0.0,
    numbers: str = "",
    ratio: bool = False,
    limits: tuple[float, float] | None = None,
    longest: int = LONGEST,
) -> None:
    """Draw a list of intervals into axes, as `drawn` describes it."""
    low, high = limits or reach([line.row for _, lines in groups for line in lines], start, ratio=ratio)
    if ratio:
        axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks: list[tuple[float, str, str]] = []
    at = 0.0
    beside = axes.get_yaxis_transform()
    for head, lines in groups:
        if head:
            at += HEAD / LINE * _lines(head)
            ticks.append((at - (1 + _lines(head)) / 2, folded(upper_first(head), HEADS), "bold"))
        for line in lines:
            at += (_tall(line, longest) - 1) / 2
            ticks.append((at, folded(line.label, longest), "bold" if line.bold else "normal"))
            _interval(axes, line, at, (low, high))
            axes.text(1.03, at, line.said, transform=beside, va="center", fontsize=8)
            at += (_tall(line, longest) + 1) / 2
    axes.axvline(start, color="black", linewidth=1, zorder=1)
    axes.set_ylim(at - 0.4, -0.7)
    axes.set_yticks([place for place, _, _ in ticks], [text for _, text, _ in ticks])
    for tick, (_, _, weight) in zip(axes.get_yticklabels(), ticks, strict=True):
        tick.set_fontweight(weight)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    if numbers:
        axes.text(1.03, -0.75, numbers, transform=beside, va="bottom", fontsize=8, color=QUIET)
    if ratio:
        of_ratios(axes)


def of_ratios(axes: Axes) -> None:
    """Put true ticks on a logarithmic axis of ratios, the rounder ones first, as many as have room."""
    low, high = axes.get_xlim()
    shown: list[float] = []
    for tick in (1, 0.5, 2, 0.2, 5, 0.1, 10, 0.8, 1.25, 0.01, 100):
        apart = [abs(np.log(tick / other)) for other in shown]
        if low <= tick <= high and min(apart, default=np.inf) > APART * np.log(high / low):
            shown.append(tick)
    axes.xaxis.set_major_locator(FixedLocator(sorted(shown)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def reach(rows: Sequence[Any], start: float = 0.0, *, ratio: bool = False) -> tuple[float, float]:
    """Return the ends of an axis: every point lies within, and intervals unless they are far wider than most."""
    table = np.array([[row.ci_low, row.estimate, row.ci_high] for row in rows], dtype=float)
    table = table[~np.isnan(table[:, 1])]
    table = np.where(np.isnan(table), table[:, [1]], table)
    scaled = np.log(table) if ratio else table
    zero = np.log(start) if ratio else start
    usual = 3 * np.median(scaled[:, 2] - scaled[:, 0])
    low = min(zero, *np.maximum(scaled[:, 0], scaled[:, 1] - usual))
    high = max(zero, *np.minimum(scaled[:, 2], scaled[:, 1] + usual))
    margin = 0.04 * (high - low) or 0.5
    ends = (low - margin, high + margin)
    return (float(np.exp(ends[0])), float(np.exp(ends[1]))) if ratio else ends


def _interval(axes: Axes, line: Line, at: float, limits: tuple[float, float]) -> None:
    row, colour = line.row, line.colour
    if np.isnan(row.estimate):
        return
    if not np.isnan(row.ci_low):
        ends = np.clip([row.ci_low, row.ci_high], *limits)
        axes.plot(ends, [at, at], color=colour, linewidth=1.5, zorder=2)
        # The tip of an arrow is the end of the axis, so that it points at no label.
        for beyond, end, mark in ((row.ci_low < limits[0], 0, 4), (row.ci_high > limits[1], 1, 5)):
            if beyond:
                axes.plot(limits[end], at, marker=mark, color=colour, markersize=5.5)
    if limits[0] <= row.estimate <= limits[1]:
        axes.plot(row.estimate, at, line.marker, color=colour, markersize=4.5, zorder=3)


def folded(label: str, longest: int = LONGEST) -> str:
    """Return a label on as many lines as it needs.

    A Chinese one breaks between phrases; a phrase too long for a line in halves, but in no name of Latin letters.
    """
    if not WIDE.search(label):
        return "\n".join(textwrap.wrap(label, longest)) or label
    lines = [""]
    for phrase in filter(None, re.split(r"(?=（)|(?<=[，：])|(?= ≤)", label)):
        parts = -(-_room(phrase) // longest)
        limit = longest if parts == 1 else min(longest, 2 + _room(phrase) // parts)
        for piece in [phrase] if parts == 1 else PIECES.findall(phrase):
            fits = _room(lines[-1] + piece) <= limit
            lines[-1:] = [lines[-1] + piece] if fits else [lines[-1], piece]
    return "\n".join(line.strip() for line in lines if line.strip())


def _room(text: str) -> int:
    """Return how many letters wide a text is; a Chinese character takes the room of two."""
    return len(text) + len(WIDE.findall(text))
