"""The rules of the verdicts, and what simulated worlds say of each method."""

from __future__ import annotations

import math
from typing import Any

from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import Book
from pipeline.present import labels
from pipeline.present.numerals import MISSING, fixed, percent, whole
from pipeline.present.words import upper_first


def context(book: Book) -> dict[str, Any]:
    """Return the methods with their labels, the rule, and the smallest differences that matter."""
    tried = said.tried(book)
    margins = book.params.evidence.margins.model_dump()
    return {
        "methods": [method(book, one) for one in tried],
        "worlds": whole(max((one.worlds for one in tried), default=0)),
        "study": book.simulated[0],
        "lead": said.simulation(book),
        "rule": {
            "share": percent(100 * labels.SHARE),
            "low": percent(100 * labels.COVERAGE[0]),
            "high": percent(100 * labels.COVERAGE[1]),
            "rejection": percent(100 * labels.REJECTION),
        },
        "margins": [{"name": name, "value": margin(name, value)} for name, value in margins.items()],
    }


def margin(name: str, value: float) -> str:
    """Return a margin as it is chosen: shares in percent."""
    return percent(100 * value) if name in ("default", "squared_error") else f"{value:g}"


def method(book: Book, one: labels.Method) -> dict[str, Any]:
    """Return a method as a row of the table."""
    return {
        "name": upper_first(book.word("methods", "estimators", one.estimator)),
        "outcome": one.outcome,
        "label": one.label,
        "said": book.recovered(one.label),
        "expected": one.expected,
        "as_expected": one.as_expected,
        "estimate": fixed(one.estimate, 2),
        "truth": fixed(one.truth, 2),
        "bias": fixed(one.bias, 3),
        "coverage": percent(100 * one.coverage),
        "rejection": MISSING if math.isnan(one.rejection) else percent(100 * one.rejection),
    }
