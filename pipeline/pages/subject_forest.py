"""The forest of one subject: each lender with its weight and loans, the mean, and where one more lender is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.core.results import Results
from pipeline.pages.subjects import Subject, drawn
from pipeline.present import intervals
from pipeline.present.figures import QUIET, TREATED
from pipeline.present.intervals import Line
from pipeline.present.numerals import whole, with_interval
from pipeline.present.synthesis_figures import Ratio
from pipeline.present.words import Words

ENDS = (0.4, 2.5)
"""Odds ratios between which the axis stays; an interval that leaves it ends in an arrow."""


def forest(subjects: Sequence[Subject], found: Results, words: Words, of_study: Mapping[str, Words]) -> Figure:
    """Draw one subject: lenders in each unit with weights, means, prediction intervals, and drawn lots below."""
    groups = [(words.label("estimands", one.kind), _lines(one, words, of_study)) for one in subjects]
    apart = [row for row in drawn(found) if row.specification in subjects[0].constructs]
    if apart:
        lots = [Line(_named(row, of_study, words), row, _said(row, whole(row.n)), TREATED, "s") for row in apart]
        groups.append((words.text("columns.drawn"), lots))
    names = (words.text("drawn.interval"), words.text("columns.loans"), words.text("columns.weight"))
    numbers = words.text("joining.comma").join(names)
    return intervals.drawn(groups, words.text("columns.forest"), start=1.0, ratio=True, limits=ENDS, numbers=numbers)


def _lines(subject: Subject, words: Words, of_study: Mapping[str, Words]) -> list[Line]:
    """Return the lines of one unit: lenders, their mean, and the interval for one more."""
    lines = [
        Line(_named(row, of_study, words), ratio, _said(ratio, whole(row.n), subject.weight(row)))
        for row in subject.parts.itertuples()
        for ratio in [_ratio(row)]
    ]
    if subject.mean is not None:
        name, over = words.text("columns.pooled"), words.text("columns.prediction")
        mean, expected = _ratio(subject.mean), _ratio(subject.prediction)
        lines.append(Line(name, mean, _said(mean, whole(subject.mean.n)), "black", "D", bold=True))
        lines.append(Line(over, expected, _said(expected), QUIET, "|"))
    return lines


def _named(row: Any, of_study: Mapping[str, Words], words: Words) -> str:
    own = of_study[row.study]
    return words.bracketed(own.label("columns", row.factor), own.text("short"))


def _said(ratio: Any, *more: str) -> str:
    return "  ".join([with_interval(ratio, 2, 1.0), *filter(None, more)])


def _ratio(row: Any) -> Ratio:
    return Ratio(*np.exp([row.estimate, row.ci_low, row.ci_high]))
