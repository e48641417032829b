"""The figure that lays the studies side by side."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.core.results import Results
from pipeline.present.figures import QUIET, TREATED
from pipeline.present.intervals import Line, drawn
from pipeline.present.numerals import whole, with_interval
from pipeline.present.words import Words


class Ratio(NamedTuple):
    """An odds ratio and its interval."""

    estimate: float
    ci_low: float
    ci_high: float


def synthesis(results: Results, words: Words, of_study: dict[str, Words]) -> Figure:
    """Odds ratios of every study's factors by construct, in units that can be compared."""
    rows = results.where(estimator="like_units")
    rows = rows[rows["estimate"].notna()]
    rows = rows.assign(last=rows["note"] == "simulated", place=rows["study"].map(list(of_study).index))
    groups = []
    for construct in words.text("labels.constructs"):
        of_construct = rows[rows["specification"] == construct]
        of_construct = of_construct.sort_values(["last", "place", "factor"], kind="stable")
        lines = [_line(row, words, of_study) for row in of_construct.itertuples()]
        if lines:
            groups.append((words.label("constructs", construct), lines))
    every = [line.row for _, lines in groups for line in lines]
    # A few intervals reach very far; the others must stay readable.
    ends = (max(min(row.ci_low for row in every), 0.2) / 1.1, min(max(row.ci_high for row in every), 5.0) * 1.1)
    numbers = words.text("joining.comma").join((words.text("drawn.interval"), words.text("columns.loans")))
    return drawn(groups, words.text("columns.forest"), start=1.0, ratio=True, limits=ends, numbers=numbers)


def _line(row: Any, words: Words, of_study: dict[str, Words]) -> Line:
    ratio = Ratio(*np.exp([row.estimate, row.ci_low, row.ci_high]))
    own = of_study[row.study]
    marker = "s" if row.estimand == "log_odds_ratio_of_one" else "o"
    name = words.bracketed(own.label("columns", row.factor), own.text("short"))
    said = with_interval(ratio, 2, 1.0) + ("" if pd.isna(row.n) else f"  {whole(row.n)}")
    return Line(name, ratio, said, QUIET if row.note == "simulated" else TREATED, marker)
