"""How good predicted probabilities of default are: order, calibration, decisions, and stability."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.discrimination import compare, ranked
from pipeline.stats.inference import (
    DOMINANT,
    Effect,
    certain,
    cluster_codes,
    codes,
    correction,
    degrees_of_freedom,
    effect,
    group_sums,
    sandwich,
)
from pipeline.stats.logistic import maximum

Labels: TypeAlias = np.ndarray | pd.Series | None
"""Labels of clusters (loans,); None: every loan is one of its own."""

DRAWS = 999
"""Draws of a bootstrap, so that quantiles of usual levels are draws."""

LEAST_SHARE = 1e-4
"""Share that stands for an empty group in the stability index."""


def area(
    default: np.ndarray,
    score: np.ndarray,
    level: float,
    clusters: Labels = None,
    weights: np.ndarray | None = None,
) -> Effect:
    """Return the area under the ROC curve with its interval; the p-value is against chance, one half.

    As `discrimination.compare`, which see for the arguments: DeLong's error, or by `clusters` (loans,) Obuchowski's.
    """
    return compare(default, score, score, level, clusters, weights).first


def gain(
    default: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    level: float,
    clusters: Labels = None,
    weights: np.ndarray | None = None,
) -> Effect:
    """Return the second score's area under the ROC curve less the first's, as `discrimination.compare` does.

    Scores that order the loans alike have no difference, and no error of one.
    """
    return compare(default, first, second, level, clusters, weights).difference


class _Error(NamedTuple):
    """How uncertain a sum is, from each loan's part in it."""

    size: float
    degrees: float


def _error(parts: np.ndarray, sizes: np.ndarray, clusters: Labels) -> _Error:
    """Return the error of the sum of `parts` (loans,) and its degrees of freedom.

    With `clusters` the parts are added up by cluster first, with `inference.correction` for one coefficient, and
    `sizes` (loans,) say how much of the measure rests on each loan: its weight in the denominator, by which the
    degrees of freedom are counted. Where one cluster holds more than `DOMINANT` of that, each sum is divided by what is
    left without its cluster, which gives the jackknife over clusters exactly for a ratio. Where all rests on one
    cluster there is no error to be had, and it is missing.
    """
    if clusters is None:
        return _Error(float(np.sqrt((parts**2).sum())), np.inf)
    held = sizes != 0
    numbers = codes(clusters)
    if (numbers < 0).any():
        raise StudyError(f"{(numbers < 0).sum()} of the judged loans have no cluster.")
    if len(np.unique(numbers[held])) < 2:
        return _Error(np.nan, 1.0)
    sums = group_sums(parts, numbers)
    of_clusters = np.bincount(numbers, np.abs(sizes))
    shares = of_clusters / of_clusters.sum()
    of_clusters = of_clusters[of_clusters > 0]
    size = correction(len(of_clusters), int(held.sum()), 1)
    if shares.max() > DOMINANT:
        sums, size = sums / (1 - shares), 1 / size
    return _Error(float(np.sqrt(size * (sums**2).sum())), degrees_of_freedom(of_clusters))


def mean_effect(values: np.ndarray, weights: np.ndarray | None, level: float, clusters: Labels = None) -> Effect:
    """Return the weighted mean of `values` (loans,) with the linearised error of a ratio of sums.

    With labels of `clusters` (loans,), loans of one cluster are allowed to be alike, with `inference.correction` and
    Student's t; where all are of one cluster, error, interval and p-value are missing.
    """
    return ratio_of_means(values, np.ones(len(values)), weights, level, clusters)


def ratio_of_means(
    values: np.ndarray,
    of_each: np.ndarray,
    weights: np.ndarray | None,
    level: float,
    clusters: Labels = None,
) -> Effect:
    """Return sum(values) / sum(of_each), both weighted, with its linearised error (Cochran 1977, section 2.11).

    With `clusters` (loans,) as in `mean_effect`.
    """
    weights = np.ones(len(values)) if weights is None else weights
    below = (weights * of_each).sum()
    if below == 0:
        raise StudyError("the denominator of the ratio holds no loan.")
    ratio = (weights * values).sum() / below
    found = _error(weights * (values - ratio * of_each) / below, weights * of_each, clusters)
    return certain(ratio, found.size, level, found.degrees)


class Alerts(NamedTuple):
    """What following up the loans with the highest scores finds."""

    precision: Effect
    """Share of the followed loans that default."""
    recall: Effect
    """Share of the defaults that are followed."""
    lift: Effect
    """Default rate of the followed loans by that of all."""


def alerts(
    default: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray | None,
    capacity: float,
    level: float,
    clusters: Labels = None,
    seed: int = 0,
) -> Alerts:
    """Return precision, recall and lift of following up a share `capacity` of the loans, the highest scores first.

    Loans of the score at which the capacity runs out are followed up all or not at all: whichever is nearer to it.
    Intervals are quantiles of a bootstrap over clusters (loans without them), errors its standard deviation: the score
    at which the capacity runs out is a quantile of these very loans, and where most of those followed are of one
    cluster, a straight line through it says little of what the other clusters would give (a lift of 2.3 was 0.1 without
    one bank of 772, which a linearised interval of 1.6 to 3.1 did not show).

    Parameters
    ----------
    default, score : arrays (loans,)
        0/1, and scores, higher where the risk is.
    weights : array (loans,), optional
        How many loans of the population each stands for.
    capacity, level : float
        Share that is followed up, and confidence level.
    clusters : array or Series (loans,), optional
        Labels of what is drawn.
    seed : int
        Of the draws, `DRAWS` in number; those without a default are left out.

    Returns
    -------
    Alerts
        Shares and a ratio; there is no p-value.

    Raises
    ------
    StudyError
        Where no loan defaulted or none can be followed up.
    """
    weights = np.ones(len(default)) if weights is None else weights
    numbers = np.arange(len(default)) if clusters is None else cluster_codes(clusters)
    order = np.argsort(-ranked(score), kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    numbers, weights = numbers[order], weights[order]
    defaulted = np.flatnonzero(default[order])
    bad_up_to = np.searchsorted(defaulted, last, side="right")
    held_by = (weights, weights * default[order])
    every, bad_of_each = (np.bincount(numbers, held, int(numbers.max()) + 1) for held in held_by)
    places = [int(np.searchsorted(last, part * len(order))) + 1 for part in (3 * capacity, 1.0)]

    def found(times: np.ndarray) -> np.ndarray:
        all_loans, all_bad = times @ every, times @ bad_of_each
        if all_bad == 0:
            return np.full(3, np.nan)
        # Nearly always the capacity runs out in the first part of the loans, and what follows need not be added up.
        for place in places:
            upto = int(last[:place][-1]) + 1
            held = weights[:upto] * times[numbers[:upto]]
            loans = np.cumsum(held)[last[:place]]
            # The score at which the followed share is nearest to the capacity: beside the one at which it is reached.
            start = max(int(np.searchsorted(loans, capacity * all_loans)) - 1, 0)
            if start + 3 <= len(loans):
                break
        at = start + int(np.argmin(np.abs(loans[start : start + 3] / all_loans - capacity)))
        bad = held[defaulted[: bad_up_to[at]]].sum()
        precision, recall = bad / loans[at], bad / all_bad
        return np.array([precision, recall, precision * all_loans / all_bad])

    estimates = found(np.ones(len(every)))
    if np.isnan(estimates).any():
        raise StudyError("no loan defaulted, or none can be followed up.")
    rng, number = np.random.default_rng(seed), len(every)
    drawn = [found(rng.multinomial(number, np.full(number, 1 / number))) for _ in range(DRAWS)]
    known = np.array([one for one in drawn if np.isfinite(one).all()])
    low, high = np.quantile(known, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    each = zip(estimates, known.std(axis=0, ddof=1), low, high, strict=True)
    return Alerts(
        *(Effect(float(value), float(error), float(start), float(end), np.nan) for value, error, start, end in each)
    )


def share_interval(
    default: np.ndarray, weights: np.ndarray | None, level: float, clusters: Labels = None
) -> tuple[float, float, float]:
    """Return a weighted share with its Wilson interval, for as many loans as its linearised variance is worth.

    With `clusters` (loans,) that variance allows loans of one to be alike, and Student's t stands for the normal; where
    all are of one cluster, limits are missing. A share of nought or one says nothing of how alike loans are, so it
    counts the effective number of clusters instead of loans.
    """
    from scipy.special import stdtrit

    weights = np.ones(len(default)) if weights is None else weights
    share = float(np.average(default, weights=weights))
    found = _error(weights * (default - share) / weights.sum(), weights, clusters)
    if np.isnan(found.size):
        return share, np.nan, np.nan
    if found.size > 0:
        number = share * (1 - share) / found.size**2
    elif clusters is None:
        number = weights.sum() ** 2 / (weights**2).sum()
    else:
        number = found.degrees + 1
    z = stdtrit(found.degrees, 0.5 + level / 2)
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return share, max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def kolmogorov_smirnov(default: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the largest distance between the scores' distributions of bad and of good loans, weighted or not."""
    curve = _steps(default, score, weights)
    return float(np.abs(curve[1] - curve[0]).max())


class Calibration(NamedTuple):
    """A logistic regression of default on the predicted log odds; one and nought where predictions are right."""

    slope: Effect
    """Below one: predictions are too extreme. The p-value is against one."""
    intercept: Effect
    """Calibration in the large: with the slope held at one; above zero: too little default is predicted."""


def calibration(
    default: np.ndarray, share: np.ndarray, weights: np.ndarray | None, level: float, clusters: Labels = None
) -> Calibration:
    """Return slope and intercept of calibration (Cox 1958; Van Calster et al. 2019), with robust errors.

    `default` 0/1 (loans,), `share` predicted probabilities; with `weights` those of the population. With `clusters`
    (loans,) errors are by cluster, with `inference.correction` and Student's t; fewer than two are a StudyError.
    """
    share = ranked(share)
    odds = np.log(np.clip(share, 1e-9, None)) - np.log(np.clip(1 - share, 1e-9, None))
    if np.ptp(odds) == 0:
        raise StudyError("all loans have the same predicted probability, so there is no slope.")
    ones = np.ones(len(odds))
    numbers = None if clusters is None else cluster_codes(clusters)
    slopes, errors = _recalibrated(np.column_stack([ones, odds]), default, np.zeros(len(odds)), weights, numbers)
    large, of_large = _recalibrated(ones[:, None], default, odds, weights, numbers)
    degrees = np.inf if numbers is None else degrees_of_freedom(np.bincount(numbers, weights))
    of_one = effect(slopes[1] - 1, errors[1], level, degrees).p_value
    slope = effect(slopes[1], errors[1], level, degrees)._replace(p_value=of_one)
    return Calibration(slope, effect(large[0], of_large[0], level, degrees))


def _recalibrated(
    design: np.ndarray,
    default: np.ndarray,
    offset: np.ndarray,
    weights: np.ndarray | None,
    clusters: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and robust errors (HC0, or by cluster number) of a logistic regression with an offset."""
    weights = np.ones(len(default)) if weights is None else weights / weights.mean()
    found = maximum(design, default, weights, offset=offset)
    if found is None:
        raise StudyError("the calibration has no finite estimate: predictions separate the loans.")
    rest = weights * (default - found.probability)
    scores = design * rest[:, None]
    alone = found.bread @ (scores.T @ scores) @ found.bread
    variance = alone if clusters is None else sandwich(found.bread, design, rest, clusters)
    return found.slopes, np.sqrt(np.diag(variance))


def savings(default: np.ndarray, share: np.ndarray, *, loss: float, contact: float, prevented: float) -> np.ndarray:
    """Return what following up risky loans saves, for each loan (loans,), in units of 100 lent.

    A loan is followed up where that pays on average: predicted probability x `prevented` (share of its loss that
    follow-up avoids) x `loss` (lost of 100 lent to who defaults) above the cost `contact` (Elkan 2001).
    """
    followed = share * prevented * loss > contact
    return np.where(followed, default * prevented * loss - contact, 0.0)


def stability(before: np.ndarray, after: np.ndarray) -> float:
    """Return the population stability index of two distributions over the same groups (counts or shares).

    Sum of (after - before) x ln(after / before) (Siddiqi 2006, chapter 9): below .1 hardly a change, above .25 a great
    one by usage. Empty groups count as `LEAST_SHARE`.
    """
    first = np.maximum(before / before.sum(), LEAST_SHARE)
    second = np.maximum(after / after.sum(), LEAST_SHARE)
    return float(((second - first) * np.log(second / first)).sum())


def score_stability(
    train: np.ndarray,
    test: np.ndarray,
    train_weights: np.ndarray | None = None,
    test_weights: np.ndarray | None = None,
) -> float:
    """Return the stability index of a score over the tenths of its training distribution."""
    edges = np.unique(np.quantile(ranked(train), np.arange(0.1, 1, 0.1)))
    counts = [
        np.bincount(np.searchsorted(edges, ranked(score), side="left"), weights, len(edges) + 1)
        for score, weights in ((train, train_weights), (test, test_weights))
    ]
    return stability(*counts)


def _steps(default: np.ndarray, score: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of good and of bad loans at or above each score, from nothing to all."""
    weights = np.ones(len(score)) if weights is None else weights
    score = ranked(score)
    order = np.argsort(-score, kind="stable")
    last = np.concatenate([[True], np.diff(score[order]) != 0, [True]])
    good, bad = (np.concatenate([[0], np.cumsum((weights * one)[order])])[last] for one in (1 - default, default))
    return good / good[-1], bad / bad[-1]


def roc(default: np.ndarray, score: np.ndarray, places: int = 60, weights: np.ndarray | None = None) -> pd.DataFrame:
    """Return points of the ROC curve at equal steps of the share of good loans flagged: ``false_alarms, found``."""
    at = np.linspace(0, 1, places + 1)
    return pd.DataFrame({"false_alarms": at, "found": np.interp(at, *_steps(default, score, weights))})


def reliability(
    default: np.ndarray,
    share: np.ndarray,
    weights: np.ndarray | None,
    level: float,
    groups: int = 10,
    clusters: Labels = None,
) -> pd.DataFrame:
    """Return predicted and observed default of equal groups by prediction: ``predicted, rate, low, high, n``."""
    edges = np.unique(np.quantile(ranked(share), np.arange(1, groups) / groups))
    place = np.searchsorted(edges, share, side="left")
    rows = []
    for number in range(len(edges) + 1):
        inside = place == number
        if inside.any():
            within = None if weights is None else weights[inside]
            labels = None if clusters is None else np.asarray(clusters)[inside]
            rate, low, high = share_interval(default[inside], within, level, labels)
            rows.append((np.average(share[inside], weights=within), rate, low, high, int(inside.sum())))
    return pd.DataFrame(rows, columns=["predicted", "rate", "low", "high", "n"])


def gains(default: np.ndarray, score: np.ndarray, weights: np.ndarray | None, places: int = 20) -> pd.DataFrame:
    """Return lift by the share of loans flagged from the top: ``flagged, lift`` (one where the score says nothing)."""
    weights = np.ones(len(score)) if weights is None else weights
    score = ranked(score)
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    found = np.cumsum((weights * default)[order]) / (weights * default).sum()
    last = np.concatenate([np.diff(score[order]) != 0, [True]])
    at = np.linspace(1 / places, 1, places)
    caught = np.interp(at, np.concatenate([[0], share[last]]), np.concatenate([[0], found[last]]))
    return pd.DataFrame({"flagged": at, "lift": caught / at})
