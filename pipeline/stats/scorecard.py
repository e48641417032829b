"""Points scorecard: weights of evidence of bins, a logistic regression on them, points for each bin (Siddiqi 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.stats.design import column_of
from pipeline.stats.features import level_codes
from pipeline.stats.grading import between

MOST_BINS = 6
SMALLEST_BIN = 0.05
"""Share of training loans below which a bin is not formed: its weight would be noise."""

CHANCE = 0.01
"""A characteristic gets points only where bins that say nothing would inform so much with no more than this chance. The
usual threshold of .02 for the information value would keep out weak factors whose worth is the question here."""

SMOOTHING = 0.5
"""Loans added to each count, so that a bin without defaults has a finite weight."""


class Evidence(NamedTuple):
    """Weight of evidence of each bin, and the information value of all."""

    weights: np.ndarray
    """ln(share of good loans in the bin / share of bad loans in it): above zero where loans are safer than all."""
    information: float


def weights_of_evidence(good: np.ndarray, bad: np.ndarray, smoothing: float = SMOOTHING) -> Evidence:
    """Return the weights of evidence and the information value of bins with these counts of good and bad loans.

    Siddiqi (2006), Credit Risk Scorecards, chapter 6; `smoothing` is added to each count.
    """
    of_good, of_bad = good + smoothing, bad + smoothing
    of_good, of_bad = of_good / of_good.sum(), of_bad / of_bad.sum()
    weights = np.log(of_good / of_bad)
    return Evidence(weights, float(((of_good - of_bad) * weights).sum()))


def bins_of(frame: pd.DataFrame, term: str, default: np.ndarray, weights: np.ndarray) -> dict[str, Any] | None:
    """Return how a characteristic is cut into bins, with counts and weights of evidence; None for a constant.

    Numbers are cut by a tree of one column whose default rate may only rise or only fall (the direction of the rank
    correlation), so that points follow the number's order. Levels of a category with enough loans are bins; the rare
    ones share one. A gap is a bin of its own where training loans have gaps.
    """
    name = column_of(term)
    column = frame[name]
    found: dict[str, Any] = {"term": term, "column": name}
    total = weights.sum()
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        known = np.isfinite(values)
        if known.sum() < 2 or np.ptp(values[known]) == 0:
            return None
        edges = _edges(values[known], default[known], weights[known])
        found |= {
            "kind": "number",
            "edges": edges,
            "low": float(values[known].min()),
            "high": float(values[known].max()),
        }
        found["missing"] = bool((~known).any())
    else:
        texts = column.astype("string")
        shares = pd.Series(weights).groupby(texts.to_numpy(dtype=object)).sum() / total
        order = column.cat.categories if column.dtype == "category" else sorted(texts.dropna().unique())
        kept = [str(level) for level in order if shares.get(str(level), 0) >= SMALLEST_BIN]
        seen = sorted(set(texts.dropna().unique()))
        if len(seen) < 2:
            return None
        found |= {"kind": "category", "levels": kept, "known": seen, "missing": False}
    place = bin_of(column, found)
    number = count_bins(found)
    bad = np.bincount(place, weights * default, number)
    good = np.bincount(place, weights * (1 - default), number)
    evidence = weights_of_evidence(good, bad)
    empty = good + bad == 0
    weight = np.where(empty, 0.0, evidence.weights)
    return found | {
        "weights_of_evidence": weight.tolist(),
        "information_value": evidence.information,
        "shares": ((good + bad) / total).tolist(),
        "rates": np.divide(bad, good + bad, out=np.zeros(number), where=~empty).tolist(),
    }


def _edges(values: np.ndarray, default: np.ndarray, weights: np.ndarray) -> list[float]:
    from sklearn.tree import DecisionTreeClassifier

    # The tree sees places in the order of values, which are exact where it keeps seven digits of a number; a cut is
    # given with the digits that part the two values beside it.
    distinct, place = np.unique(values, return_inverse=True)
    counts = np.bincount(place)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    covariance = np.cov(ranks, default, aweights=weights)[0, 1]
    tree = DecisionTreeClassifier(
        max_leaf_nodes=MOST_BINS,
        min_samples_leaf=max(2, int(np.ceil(SMALLEST_BIN * len(values)))),
        monotonic_cst=[1 if covariance > 0 else -1],
        random_state=0,
    )
    tree.fit(place[:, None], default, sample_weight=weights)
    inner = tree.tree_.threshold[tree.tree_.feature >= 0]
    below = sorted({int(np.floor(one)) for one in inner})
    ends = ((float(distinct[one]), float(distinct[one + 1])) for one in below)
    return [between(low, high, low / 2 + high / 2) for low, high in ends]


def by_chance(binning: Mapping[str, Any], default: np.ndarray) -> float:
    """Return how likely bins that say nothing would have so large an information value.

    Times (good loans x bad loans) / all loans it is then about chi-squared with one degree of freedom less than bins.
    Cutting bins by default makes chance look better, so this is a generous test.
    """
    from scipy.special import chdtrc

    bad = default.sum()
    degrees = sum(share > 0 for share in binning["shares"]) - 1
    return float(chdtrc(max(degrees, 1), binning["information_value"] * bad * (len(default) - bad) / len(default)))


def count_bins(binning: Mapping[str, Any]) -> int:
    """Return the number of bins: numbers have one more than edges, categories one for the rare; and one for gaps."""
    of_kind = len(binning["edges"]) + 1 if binning["kind"] == "number" else len(binning["levels"]) + 1
    return of_kind + bool(binning["missing"])


def bin_of(column: pd.Series, binning: Mapping[str, Any]) -> np.ndarray:
    """Return the bin (loans,) of each cell: by upper edges (inclusive) or by level; a gap in training's bin of gaps.

    A gap of a characteristic that training loans never lacked, and an unknown level, fall into the bin of the average
    weight: the last one of categories, the middle one of numbers.
    """
    if binning["kind"] == "number":
        values = column.to_numpy(dtype=float, na_value=np.nan)
        place = np.searchsorted(np.asarray(binning["edges"], dtype=float), values, side="left")
        known = np.isfinite(values)
        gap = len(binning["edges"]) + 1 if binning["missing"] else len(binning["edges"]) // 2
        return np.where(known, place, gap)
    codes = level_codes(column, binning["levels"])
    return np.where(codes < 0, len(binning["levels"]), codes)


def fit(
    frame: pd.DataFrame, terms: Sequence[str], default: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Any]:
    """Return a scorecard as plain values: ``intercept`` and ``characteristics`` with bins and a ``coefficient`` each.

    Log odds of default are the intercept plus coefficient times weight of evidence. Coefficients are at most zero: a
    characteristic whose coefficient comes out above zero, because others say the same, leaves, the worst first.
    """
    from pipeline.stats.classifiers import logistic

    weights = np.ones(len(frame)) if weights is None else weights
    every = (bins_of(frame, term, default, weights) for term in terms)
    cut = [one for one in every if one is not None and by_chance(one, default) <= CHANCE]
    while True:
        evidence = (
            np.column_stack([np.asarray(one["weights_of_evidence"])[bin_of(frame[one["column"]], one)] for one in cut])
            if cut
            else np.empty((len(frame), 0))
        )
        intercept, slopes = logistic(evidence, default, weights)
        if not len(slopes) or slopes.max() <= 0:
            break
        del cut[int(slopes.argmax())]
    characteristics = [one | {"coefficient": float(slope)} for one, slope in zip(cut, slopes, strict=True)]
    return {"intercept": float(intercept), "characteristics": characteristics}


def log_odds(frame: pd.DataFrame, card: Mapping[str, Any]) -> np.ndarray:
    """Return the log odds of default (loans,) that a scorecard gives."""
    return card["intercept"] + contributions(frame, card).sum(axis=1)


def contributions(frame: pd.DataFrame, card: Mapping[str, Any]) -> np.ndarray:
    """Return what each characteristic adds to the log odds of default (loans x characteristics)."""
    found = [
        one["coefficient"] * np.asarray(one["weights_of_evidence"])[bin_of(frame[one["column"]], one)]
        for one in card["characteristics"]
    ]
    return np.column_stack(found) if found else np.zeros((len(frame), 0))


class Scale(NamedTuple):
    """How log odds become points: `base` points at `odds` good loans to a bad one, `double` more double the odds."""

    base: float
    odds: float
    double: float


def points(card: Mapping[str, Any], scale: Scale) -> list[list[int]]:
    """Return the points of each bin of each characteristic, in whole numbers; their sum is the score.

    Siddiqi (2006), chapter 6: factor = double / ln 2, offset = base - factor ln(odds), shared by the characteristics.
    """
    number = max(len(card["characteristics"]), 1)
    factor = scale.double / np.log(2)
    start = (scale.base - factor * np.log(scale.odds) - factor * card["intercept"]) / number
    return [
        [round(float(start - factor * one["coefficient"] * weight)) for weight in one["weights_of_evidence"]]
        for one in card["characteristics"]
    ]
