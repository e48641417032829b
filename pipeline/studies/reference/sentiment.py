"""Sentiment of short reviews in English and Chinese, learned from those that carry stars.

One model serves both languages, because sequences of characters need neither words nor spaces between them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

FOLDS = 5
"""Parts of the texts; each is scored by a model that has not seen it."""
LONGEST = 4
"""Characters of the longest sequence: an English word's stem, a Chinese phrase."""
PENALTY = 1.0
"""Of the ridge regression, in units of its squared coefficients; with texts this short it hardly matters."""
MIDDLE, HALF_RANGE = 3, 2
"""Stars run from one to five; sentiment from minus one to one."""
DECIMALS = 4
"""Of a sentiment: far coarser than the solver's tolerance, so that all machines agree."""


class Agreement(NamedTuple):
    """How far two measures of the same loans agree."""

    correlation: float
    loans: int


def sentiments(texts: Sequence[str], stars: Sequence[float]) -> np.ndarray:
    """Return the sentiment of each text, from -1 to 1: stars predicted by a ridge regression on characters.

    `stars` are missing (nan) where the client gave none. No text scores itself, nor does a text of the same
    wording: the fold of a text hangs on its wording alone. Missing throughout when no text carries stars. The
    result hangs on the order of rows only within the solver's tolerance; sort them first.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    stars = np.asarray(stars, dtype=float)
    scored = np.full(len(texts), np.nan)
    fold = np.array([zlib.crc32(text.encode()) % FOLDS for text in texts])
    rated = ~np.isnan(stars)
    if not rated.any():
        return scored
    # Weights of sequences are learned from all texts: they hold no stars.
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, LONGEST), sublinear_tf=True)
    matrix = features.fit_transform(texts)
    for part in np.unique(fold):
        learn, score = rated & (fold != part), fold == part
        if learn.any():
            model = Ridge(alpha=PENALTY, solver="sparse_cg", tol=1e-10).fit(matrix[learn], stars[learn])
            scored[score] = model.predict(matrix[score])
    return np.round(np.clip((scored - MIDDLE) / HALF_RANGE, -1, 1), DECIMALS)


def agreement(cohort: pd.DataFrame) -> Agreement:
    """Return the correlation of `review_sentiment` with `satisfaction` among loans that have both."""
    both = cohort[["review_sentiment", "satisfaction"]].dropna()
    return Agreement(float(both["review_sentiment"].corr(both["satisfaction"])), len(both))
