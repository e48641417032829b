"""What a score may know: blocks of columns by construct, and columns that follow from the outcome and are refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.fields import construct
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import column_of
from pipeline.stats.products import BLOCK

LADDER = ("hard", "relationship", "contacts", "text")
"""Nested blocks in the order in which a score learns them: each holds those before it."""

BLOCK_OF_CONSTRUCT = {
    "relationship_length": "relationship",
    "relationship_depth": "relationship",
    "loyalty": "relationship",
    "satisfaction": "contacts",
    "communication_frequency": "contacts",
    "communication_effectiveness": "contacts",
    "information_sharing": "contacts",
    "risk_assessment": "contacts",
    "early_warning": "contacts",
    "review_sentiment": "text",
}
"""The block of each CRM construct; what is not CRM is hard information."""

TEXT = ("information_sharing_words",)
"""Factors that are read off what a client wrote, whatever their construct."""

INITIAL = ("credit_grade", "credit_score")
"""Initial credit status: hard information in every study that has it, whether or not it is among the controls."""

AFTER_ORIGINATION = re.compile(
    r"default.*|months_to_default|open_at_.*|loss_given_default|stress_within_.*|past_due.*|ended|weight|treated"
    r"|loan_id|borrower_id|.*recover(y|ies).*|.*charged?_off.*|.*settlement.*|last_payment.*"
)
"""Columns that are, or follow from, the outcome, or name a loan: no score may use them."""


def blocks_of(hard: Sequence[str], factors: Sequence[str], there: Collection[str]) -> dict[str, list[str]]:
    """Return the terms that each block adds, in the order of `LADDER`; blocks without a term are left out.

    `hard` are the terms of the controls, ``log(column)`` or a column; `factors` the CRM factors; `there` the cohort's
    columns. Raises StudyError for a term that no score may know at its date.
    """
    plain = {column_of(term) for term in hard}
    of_block: dict[str, list[str]] = {name: [] for name in LADDER}
    of_block["hard"] = [*(name for name in INITIAL if name in there and name not in plain), *hard]
    for factor in factors:
        block = "text" if factor in TEXT else BLOCK_OF_CONSTRUCT[construct(factor)]
        # A control that measures the relationship is CRM all the same.
        of_block["hard"] = [term for term in of_block["hard"] if column_of(term) != factor]
        of_block[block].append(factor)
    for term in (term for terms in of_block.values() for term in terms):
        if AFTER_ORIGINATION.fullmatch(column_of(term)):
            raise StudyError(
                f"'{column_of(term)}' is known only when the loan has ended, or names the loan: no score may use it; "
                "take it out of the controls or the factors."
            )
    return {name: list(dict.fromkeys(terms)) for name, terms in of_block.items() if terms}


class Encoder(NamedTuple):
    """How columns become numbers, learnt from training loans alone; plain values, so that JSON can hold it."""

    features: list[dict[str, Any]]
    """One a term: ``term, column, logarithm, kind`` (number or category); numbers have ``mean, scale, low, high,
    missing`` (whether training loans lacked it), categories ``levels`` of which the first is the reference."""

    @property
    def columns(self) -> list[str]:
        """Names of the matrix's columns."""
        return [name for feature in self.features for name in _names(feature)]

    @property
    def terms(self) -> list[str]:
        """The term of each of the matrix's columns."""
        return [feature["term"] for feature in self.features for _ in _names(feature)]

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the numbers (loans x columns), standardised; a gap is at the mean, an unknown level like the first."""
        found = [column for feature in self.features for column in _encoded(frame[feature["column"]], feature)]
        matrix = np.empty((len(frame), len(found)))
        # Block after block, so that rows stay in the processor's cache while column after column is written to them.
        for start in range(0, len(frame) if found else 0, BLOCK):
            matrix[start : start + BLOCK] = np.stack([column[start : start + BLOCK] for column in found], axis=1)
        return matrix


def learn(frame: pd.DataFrame, terms: Sequence[str], weights: np.ndarray | None = None) -> Encoder:
    """Return the encoder of `terms` (a column or ``log(column)``) from training loans; constants are left out."""
    found = []
    weights = np.ones(len(frame)) if weights is None else weights
    for term in terms:
        name = column_of(term)
        column = frame[name]
        feature: dict[str, Any] = {"term": term, "column": name, "logarithm": term != name}
        if not pd.api.types.is_numeric_dtype(column):
            seen = _seen(column)
            order = column.cat.categories if column.dtype == "category" else sorted(seen)
            kept = [str(level) for level in order if str(level) in seen]
            if len(kept) > 1:
                found.append(feature | {"kind": "category", "levels": kept})
            continue
        values = _values(column, feature["logarithm"])
        known = np.isfinite(values)
        if known.sum() < 2 or np.ptp(values[known]) == 0:
            continue
        mean = float(np.average(values[known], weights=weights[known]))
        scale = float(np.sqrt(np.average((values[known] - mean) ** 2, weights=weights[known])))
        low, high = float(column[known].min()), float(column[known].max())
        found.append(
            feature
            | {"kind": "number", "mean": mean, "scale": scale, "low": low, "high": high}
            | {"missing": bool((~known).any())}
        )
    return Encoder(found)


def unseen_share(train: pd.Series, test: pd.Series) -> float:
    """Return the share of test loans whose level of a category no training loan has."""
    unseen = level_codes(test, sorted(_seen(train))) < 0
    return float((unseen & test.notna().to_numpy()).mean())


def _seen(column: pd.Series) -> set[str]:
    """Return the levels that some loan has."""
    if column.dtype == "category":
        codes = column.cat.codes.to_numpy()
        used = np.bincount(codes[codes >= 0], minlength=len(column.cat.categories)) > 0
        return {str(level) for level in column.cat.categories[used]}
    return set(column.astype("string").dropna().unique())


def _values(column: pd.Series, logarithm: bool) -> np.ndarray:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if not logarithm:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(values)
    return np.where(np.isfinite(found), found, np.nan)


def _names(feature: Mapping[str, Any]) -> list[str]:
    if feature["kind"] == "category":
        return [f"{feature['term']}[{level}]" for level in feature["levels"][1:]]
    return [feature["term"], *([f"{feature['term']}[missing]"] if feature["missing"] else [])]


def level_codes(column: pd.Series, levels: Sequence[str]) -> np.ndarray:
    """Return the place of each cell in `levels`; -1 for a level that is not among them, and for a gap."""
    categories = pd.Categorical(column)
    place = {level: number for number, level in enumerate(levels)}
    lookup = np.array([place.get(str(level), -1) for level in categories.categories] + [-1], dtype=np.int64)
    return lookup[categories.codes]


def _encoded(column: pd.Series, feature: Mapping[str, Any]) -> list[np.ndarray]:
    if feature["kind"] == "category":
        codes = level_codes(column, feature["levels"])
        return [(codes == place).astype(float) for place in range(1, len(feature["levels"]))]
    values = _values(column, feature["logarithm"])
    known = np.isfinite(values)
    standard = np.where(known, (values - feature["mean"]) / feature["scale"], 0.0)
    return [standard, *([(~known).astype(float)] if feature["missing"] else [])]
