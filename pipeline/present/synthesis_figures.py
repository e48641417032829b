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
    """Odds ratios of every study's factors by construct, in units that can be compared, with what pools them.

    Pooled rows name how many studies they pool; arrows stand where an interval leaves the axis.
    """
    rows = results.where(estimator="like_units")
    rows = rows[rows["estimate"].notna()].assign(pooled=False)
    together = results.where(estimator="random_effects", unit="log odds ratio")
    together = together[~together["estimand"].str.contains(",")].assign(pooled=True)
    rows = pd.concat([rows, together])
    rows = rows.assign(
        last=rows["pooled"] * 1 + (rows["note"] == "simulated") * 2,
        place=[list(of_study).index(name) if name in of_study else len(of_study) for name in rows["study"]],
    )
    groups = []
    for construct in words.text("labels.constructs"):
        of_construct = rows[rows["specification"] == construct]
        of_construct = of_construct.sort_values(["last", "place", "factor"], kind="stable")
        lines = [_line(row, words, of_study) for row in of_construct.itertuples()]
        if lines:
            groups.append((words.label("constructs", construct), lines))
    alone = [line.row for _, lines in groups for line in lines if line.marker != "D"]
    # Pooled intervals of two studies may reach very far; the effects must stay readable.
    ends = (max(min(row.ci_low for row in alone), 0.2) / 1.1, min(max(row.ci_high for row in alone), 5.0) * 1.1)
    numbers = f"{words.text('drawn.interval')}, {words.text('columns.loans')}"
    return drawn(groups, words.text("columns.forest"), start=1.0, ratio=True, limits=ends, numbers=numbers)


def _line(row: Any, words: Words, of_study: dict[str, Words]) -> Line:
    ratio = Ratio(*np.exp([row.estimate, row.ci_low, row.ci_high]))
    if row.pooled:
        pooled = words.text("joining.comma").join((words.text("columns.pooled"), words.label("outcomes", row.outcome)))
        said = f"{with_interval(ratio, 2, 1.0)}  k = {len(row.note.split(', '))}"
        return Line(pooled, ratio, said, "black", "D", bold=True)
    own = of_study[row.study]
    marker = "s" if row.estimand == "log_odds_ratio_of_one" else "o"
    name = words.bracketed(own.label("columns", row.factor), own.text("short"))
    said = with_interval(ratio, 2, 1.0) + ("" if pd.isna(row.n) else f"  {whole(row.n)}")
    return Line(name, ratio, said, QUIET if row.note == "simulated" else TREATED, marker)
