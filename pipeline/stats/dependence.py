"""Partial dependence: what a model says on average when one characteristic of all loans is set to a value."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.stats.prediction import Fitted, Sample, importance

MOST_LOANS = 2_000
"""Loans over which predictions are averaged: every k-th of those given."""

POINTS = 11
"""Values of a number at which it is asked: quantiles from the 5th to the 95th percentile, where there are loans."""

MOST_LEVELS = 12
"""Levels of a category that are asked, the most common ones."""


class Dependence(NamedTuple):
    """How a model's mean prediction depends on one characteristic."""

    term: str
    column: str
    lost: float
    """Area under the ROC curve that is lost when its values are permuted."""
    values: list[float] | list[str]
    """Rising numbers, or levels in their order."""
    shares: np.ndarray
    """Mean probability of default at each value."""


def thinned(sample: Sample, most: int) -> Sample:
    """Return every k-th loan, so that at most about `most` are left."""
    return sample.part(np.arange(0, len(sample.loans), max(1, len(sample.loans) // most)))


def partial_dependence(
    fitted: Fitted, loans: pd.DataFrame, feature: dict[str, Any], weights: np.ndarray | None = None
) -> tuple[list[Any], np.ndarray]:
    """Return the values at which a feature is asked, and the mean probability of default at each.

    The average over `loans` of predictions with the feature set and all else as it is (Friedman 2001, Annals of
    Statistics 29). scikit-learn's function of that name sets one column of a matrix; a level is several.
    """
    column = loans[feature["column"]]
    values: list[Any]
    if feature["kind"] == "category":
        common = column.astype("string").value_counts().index[:MOST_LEVELS]
        values = [level for level in feature["levels"] if level in set(common)]
        settings = [pd.Categorical([level] * len(loans), feature["levels"]) for level in values]
    else:
        at = np.nanquantile(column.astype(float), np.linspace(0.05, 0.95, POINTS), method="inverted_cdf")
        values = [float(one) for one in np.unique(at)]
        settings = [np.full(len(loans), one) for one in values]
    predicted = [fitted.probability(loans.assign(**{feature["column"]: one})) for one in settings]
    return values, np.array([float(np.average(one, weights=weights)) for one in predicted])


def most_important(fitted: Fitted, test: Sample, number: int, repeats: int, seed: list[int]) -> list[Dependence]:
    """Return the partial dependence on the `number` terms whose permutation loses most area, the first ahead."""
    assert fitted.encoder is not None
    features = {feature["term"]: feature for feature in fitted.encoder.features}
    lost = importance(fitted, test, {term: [term] for term in features}, repeats, seed)
    order = sorted(lost, key=lambda term: (-lost[term][0], term))[:number]
    few = thinned(test, MOST_LOANS)
    found = []
    for term in order:
        values, shares = partial_dependence(fitted, few.loans, features[term], few.weights)
        found.append(Dependence(term, features[term]["column"], lost[term][0], values, shares))
    return found
