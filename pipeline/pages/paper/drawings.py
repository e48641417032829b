"""The paper's own figures: verdicts by class, and the effects of practices side by side."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from pipeline.pages.evidence import first, said
from pipeline.pages.evidence.book import Book
from pipeline.present.figures import CONTROL, QUIET, TREATED
from pipeline.present.words import Words, upper_first

WIDTH = 7.0
"""Inches: these figures hold numbers beside their axes."""

COLOURS = {
    "supported": (TREATED, "white", ""),
    "supported_small": ("#9CC9E3", "black", ""),
    "mixed": ("#CC79A7", "black", ""),
    "contradicted_small": ("#F2B48C", "black", ""),
    "contradicted": (CONTROL, "white", ""),
    "no_important_effect": ("#8F959C", "black", ""),
    "inconclusive": ("#D5D8DC", "black", ""),
    "simulated_only": ("#FFFFFF", "black", "////"),
    "not_testable": ("#FFFFFF", "black", ""),
}
"""Of each verdict: its colour, that of the number in it, and its hatching."""


HEAD: dict[str, Any] = {
    "xycoords": ("axes fraction", "data"),
    "textcoords": "offset points",
    "ha": "right",
    "va": "center",
    "fontweight": "bold",
    "fontsize": 8,
}
"""How the head of a group stands beside the axis."""


def verdicts(words: Words, book: Book) -> Figure:
    """Draw the statements of each class as a bar, parted by verdict over the real lenders, with numbers."""
    there = {book.row(one.id).verdict for one in book.ledger.claims if one.kind not in first.APART}
    shown = [name for name in COLOURS if name in there]
    counts = first.counts(book, shown)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.36 * len(counts) + 1.15), layout="constrained")
    for place, line in enumerate(counts):
        left = 0
        for name, number in zip(shown, line["counts"], strict=True):
            colour, letters, hatch = COLOURS[name]
            axes.barh(place, number, left=left, height=0.72, color=colour, hatch=hatch, edgecolor=QUIET, linewidth=0.6)
            if number:
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6} if hatch else None
                axes.text(left + number / 2, place, str(number), ha="center", va="center", color=letters, bbox=box)
            left += number
    axes.set_yticks(range(len(counts)), [upper_first(book.word("kinds", line["kind"])) for line in counts])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    handles = [
        plt.Rectangle((0, 0), 1, 1, facecolor=COLOURS[name][0], hatch=COLOURS[name][2], edgecolor=QUIET, linewidth=0.6)
        for name in shown
    ]
    names = [book.word("verdicts", name) for name in shown]
    figure.legend(handles, names, loc="outside lower left", ncols=3, handlelength=1.4, columnspacing=1.4)
    return figure


def findings(words: Words, book: Book) -> Figure:
    """Draw every finding with its interval, by practice; an interval that leaves the axis ends in an arrow."""
    order = list(book.word("advice", "factors"))
    rows = sorted(book.findings, key=lambda row: order.index(said.practice_of(book, row)))
    groups = [said.practice_of(book, row) for row in rows]
    # A line of its own heads every practice.
    heads = np.cumsum([place == 0 or groups[place] != groups[place - 1] for place in range(len(rows))])
    places = np.arange(len(rows)) + heads
    reach = 1.15 * float(np.quantile([abs(end) for row in rows for end in (row.ci_low, row.ci_high)], 0.93))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.165 * (places[-1] + 1) + 0.7), layout="constrained")
    for place, row in zip(places, rows, strict=True):
        _line(axes, place, row, reach)
        axes.text(1.02 * reach, place, book.short(row), va="center", fontsize=7.5)
    for place, group in zip(places, groups, strict=True):
        if place - 1 not in places:
            head = book.word("advice", "factors", group, "name")
            axes.annotate(head, (0, place - 1), (-4, 0), **HEAD)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(places[-1] + 0.8, -0.8)
    axes.set_yticks(places, [_name(book, row) for row in rows], fontsize=7.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(book.word("figures", "points"))
    return figure


def _line(axes: plt.Axes, place: int, row: Any, reach: float) -> None:
    colour = {"supported": TREATED, "contradicted": CONTROL}.get(row.verdict.removesuffix("_small"), QUIET)
    low, high = max(row.ci_low, -reach), min(row.ci_high, reach)
    axes.plot([low, high], [place, place], color=colour, linewidth=1.4)
    for end, edge, marker in ((row.ci_low, -reach, "<"), (row.ci_high, reach, ">")):
        if abs(end) > reach and end * edge > 0:
            axes.plot(0.99 * edge, place, marker, color=colour, markersize=4, clip_on=False)
    marker = "D" if row.design == "randomised" else "o"
    axes.plot(min(max(row.estimate, -reach), reach), place, marker, color=colour, markersize=4.5)


def _name(book: Book, row: Any) -> str:
    per = book.word("figures", "per") if row.per else ""
    return f"{book.word('short', row.study)}{book.word('colon')}{book.measured(row.study, row.factor)}{per}"
