"""The paper's own figures: verdicts by class, and the effects of practices side by side."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from pipeline.pages.evidence import first, said
from pipeline.pages.evidence.book import Book
from pipeline.present.figures import CONTROL, QUIET, TREATED, WIDTH
from pipeline.present.intervals import Line, drawn, folded
from pipeline.present.numerals import with_interval
from pipeline.present.words import Words, upper_first

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


LONGEST = 50
"""Letters of a finding's label in one line: lender and practice need more than most labels."""


def verdicts(words: Words, book: Book) -> Figure:
    """Draw the statements of each class as a bar, parted by verdict over the real lenders, with numbers."""
    there = {book.row(one.id).verdict for one in book.ledger.claims if one.kind not in first.APART}
    shown = [name for name in COLOURS if name in there]
    counts = first.counts(book, shown)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.36 * len(counts) + 1.6), layout="constrained")
    for place, line in enumerate(counts):
        left = 0
        for name, number in zip(shown, line["counts"], strict=True):
            colour, letters, hatch = COLOURS[name]
            axes.barh(place, number, left=left, height=0.72, color=colour, hatch=hatch, edgecolor=QUIET, linewidth=0.6)
            if number:
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6} if hatch else None
                axes.text(left + number / 2, place, str(number), ha="center", va="center", color=letters, bbox=box)
            left += number
    names = [folded(upper_first(book.word("kinds", line["kind"])), 22) for line in counts]
    axes.set_yticks(range(len(counts)), names)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    handles = [
        plt.Rectangle((0, 0), 1, 1, facecolor=COLOURS[name][0], hatch=COLOURS[name][2], edgecolor=QUIET, linewidth=0.6)
        for name in shown
    ]
    names = [book.word("verdicts", name) for name in shown]
    figure.legend(handles, names, loc="outside lower left", ncols=2, handlelength=1.4, columnspacing=1.4)
    return figure


def findings(words: Words, book: Book) -> Figure:
    """Draw every finding with its interval, by practice; an interval that leaves the axis ends in an arrow."""
    order = list(book.word("advice", "factors"))
    rows = sorted(book.findings, key=lambda row: order.index(said.practice_of(book, row)))
    reach = 1.15 * float(np.quantile([abs(end) for row in rows for end in (row.ci_low, row.ci_high)], 0.93))
    lines: dict[str, list[Line]] = {}
    for row in rows:
        colour = {"supported": TREATED, "contradicted": CONTROL}.get(row.verdict.removesuffix("_small"), QUIET)
        marker = "D" if row.design == "randomised" else "o"
        line = Line(_name(book, row), row, with_interval(row, 2), colour, marker)
        head = book.word("advice", "factors", said.practice_of(book, row), "name")
        lines.setdefault(head, []).append(line)
    style = {"numbers": words.text("drawn.interval"), "limits": (-reach, reach), "longest": LONGEST}
    return drawn(list(lines.items()), book.word("figures", "points"), **style)


def _name(book: Book, row: Any) -> str:
    per = book.word("figures", "per") if row.per else ""
    return f"{book.word('short', row.study)}{book.word('colon')}{book.measured(row.study, row.factor)}{per}"
