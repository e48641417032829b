"""A study's saved score: plain values that JSON holds, and the same probabilities again from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.stats import scorecard
from pipeline.stats.features import Encoder
from pipeline.stats.grading import cut_points, group_of

VERSION = 1

DIGITS = 8
"""Significant digits of a saved model's numbers, by which it is also judged: what is written is what is measured."""

TIERS = ("low", "medium", "high")


KINDS = ("scorecard", "logistic")
"""Models that are saved; the first is the one that grades."""


def saved_logistic(encoder: Encoder, intercept: float, slopes: np.ndarray, averages: np.ndarray) -> dict[str, Any]:
    """Return a logistic regression as plain values; `averages` are the training loans' means of its columns."""
    return {
        "features": encoder.features,
        "intercept": float(intercept),
        "coefficients": [float(one) for one in slopes],
        "averages": [float(one) for one in averages],
    }


def columns_of(model: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return what a loan's record must hold: ``column, kind`` (number or category), and what training loans held.

    Numbers have ``low, high, missing`` (whether training loans lacked it) and ``logarithm``, categories ``levels``.
    """
    if kind == "logistic":
        return [dict(feature) for feature in model["logistic"]["features"]]
    found = []
    for one in model["scorecard"]["characteristics"]:
        logarithm = one["term"] != one["column"]
        of_kind = {"levels": one["known"]} if one["kind"] == "category" else {"low": one["low"], "high": one["high"]}
        found.append(
            {"column": one["column"], "kind": one["kind"], "missing": one["missing"], "logarithm": logarithm} | of_kind
        )
    return found


WHOLE = ("edges", "low", "high")
"""What is never rounded: cuts, which have the digits that part the values beside them, and what training loans held."""


def tidied(model: Any) -> Any:
    """Return plain values with numbers at the digits that are written, but for those of `WHOLE`."""
    if isinstance(model, Mapping):
        return {name: value if name in WHOLE else tidied(value) for name, value in model.items()}
    if isinstance(model, list | tuple):
        return [tidied(value) for value in model]
    return float(f"{model:.{DIGITS - 1}e}") if isinstance(model, float) else model


def log_odds(model: Mapping[str, Any], kind: str, frame: pd.DataFrame) -> np.ndarray:
    """Return the log odds of default (loans,) of a saved model's part `kind`: scorecard, logistic, or renewed."""
    if kind == "scorecard":
        return scorecard.log_odds(frame, model["scorecard"])
    part = model[kind]
    return part["intercept"] + Encoder(part["features"]).matrix(frame) @ np.asarray(part["coefficients"], dtype=float)


def probability(model: Mapping[str, Any], kind: str, frame: pd.DataFrame) -> np.ndarray:
    """Return the probability of default (loans,) of a saved model's part `kind`."""
    return 1 / (1 + np.exp(-log_odds(model, kind, frame)))


def contributions(model: Mapping[str, Any], kind: str, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Return the terms and what each adds to the log odds against training's average (loans x terms)."""
    if kind == "scorecard":
        card = model["scorecard"]
        terms = [one["term"] for one in card["characteristics"]]
        by_term = [
            one["coefficient"] * float(np.dot(one["weights_of_evidence"], one["shares"]))
            for one in card["characteristics"]
        ]
        return terms, scorecard.contributions(frame, card) - np.asarray(by_term)
    part = model["logistic"]
    encoder = Encoder(part["features"])
    matrix = encoder.matrix(frame)
    usual = np.asarray(part["averages"], dtype=float)
    each = (matrix - usual) * np.asarray(part["coefficients"], dtype=float)
    names = [feature["term"] for feature in encoder.features]
    of_column = np.array([names.index(term) for term in encoder.terms], dtype=int)
    found = np.zeros((len(frame), len(names)))
    np.add.at(found.T, of_column, each.T)
    return names, found


class Cuts(NamedTuple):
    """Probabilities at which a score is cut."""

    grades: list[float]
    """From the safest; a loan at a cut belongs to the safer side."""
    tiers: list[float]
    alert: float
    """Loans above it raise an alert."""


def cuts(
    share: np.ndarray,
    grades: Sequence[float],
    tiers: Sequence[float],
    capacity: float,
    weights: np.ndarray | None,
    threshold: float | None = None,
) -> Cuts:
    """Return the cuts of training loans' probabilities at shares of these loans.

    Alerts are cut at the probability `threshold`, or, where there is none, so that a share `capacity` is above it.
    """
    alert = cut_points(share, [1 - capacity], weights)[0] if threshold is None else threshold
    return Cuts(cut_points(share, grades, weights), cut_points(share, tiers, weights), alert)


def judged(share: np.ndarray, at: Mapping[str, Any]) -> pd.DataFrame:
    """Return ``grade`` (from 1, the safest), ``tier`` and ``alert`` (0 or 1) of probabilities (loans,).

    `at` holds the fields of `Cuts`. Where scores are so alike that two tiers are cut at one place, the middle is empty.
    """
    names = np.array(TIERS if len(at["tiers"]) == len(TIERS) - 1 else (TIERS[0], TIERS[-1]))
    return pd.DataFrame(
        {
            "grade": group_of(share, at["grades"]) + 1,
            "tier": names[group_of(share, at["tiers"])],
            "alert": (share > at["alert"]).astype(np.int64),
        }
    )
