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
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import Ridge

    stars = np.asarray(stars, dtype=float)
    rated = ~np.isnan(stars)
    if not rated.any():
        return np.full(len(texts), np.nan)
    # Many clients use the same words: each wording is read once and weighs as much as all who used it.
    wordings, wording = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    fold = np.array([zlib.crc32(text.encode()) % FOLDS for text in wordings])
    counts = CountVectorizer(analyzer="char", ngram_range=(1, LONGEST)).fit_transform(wordings)
    # Weights of sequences are learned from all texts: they hold no stars.
    features = TfidfTransformer(sublinear_tf=True).fit(counts)
    holding = (counts > 0).T @ np.bincount(wording)
    features.idf_ = np.log((1 + len(texts)) / (1 + holding)) + 1
    matrix = features.transform(counts)
    often = np.bincount(wording[rated], minlength=len(wordings))
    mean = np.bincount(wording[rated], stars[rated], len(wordings)) / np.maximum(often, 1)
    scored = np.full(len(wordings), np.nan)
    for part in np.unique(fold):
        learn, score = (often > 0) & (fold != part), fold == part
        if learn.any():
            model = Ridge(alpha=PENALTY, solver="sparse_cg", tol=1e-10)
            scored[score] = model.fit(matrix[learn], mean[learn], often[learn]).predict(matrix[score])
    return np.round(np.clip((scored - MIDDLE) / HALF_RANGE, -1, 1), DECIMALS)[wording]


def agreement(cohort: pd.DataFrame) -> Agreement:
    """Return the correlation of `review_sentiment` with `satisfaction` among loans that have both."""
    both = cohort[["review_sentiment", "satisfaction"]].dropna()
    return Agreement(float(both["review_sentiment"].corr(both["satisfaction"])), len(both))
