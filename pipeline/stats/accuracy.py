"""How good predicted probabilities of default are: order, calibration, decisions, and stability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError
from pipeline.stats.discrimination import compare, placements
from pipeline.stats.inference import codes, correction, effect, group_sums
from pipeline.stats.regression import Effect

LEAST_SHARE = 1e-4
"""Share that stands for an empty group in the stability index."""


def area(default: np.ndarray, score: np.ndarray, level: float) -> Effect:
    """Return the area under the ROC curve with DeLong's interval; the p-value is against chance, one half."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # The difference from itself is without error.
        return compare(default, score, score, level).first


def gain(default: np.ndarray, first: np.ndarray, second: np.ndarray, level: float) -> Effect:
    """Return the second score's area under the ROC curve less the first's with DeLong's interval for the same loans.

    Scores that order the loans alike have no difference, and no error of one.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = compare(default, first, second, level).difference
    return found if found.std_error > 0 else _effect(found.estimate, 0.0, level)


def clustered_gain(
    default: np.ndarray, first: np.ndarray, second: np.ndarray, clusters: np.ndarray, level: float
) -> Effect:
    """Return the second score's area under the ROC curve less the first's, loans of a cluster allowed to be alike.

    DeLong's components of the loans are added up by cluster (Obuchowski 1997, Biometrics 53); with each loan a cluster
    of its own the error is DeLong's but for a factor of n/(n-1).
    """
    bad = default.astype(bool)
    number_bad, number_good = int(bad.sum()), int((~bad).sum())
    influence = np.zeros(len(default))
    areas = []
    for score, sign in ((first, -1.0), (second, 1.0)):
        of_bad, of_good = placements(bad, score)
        areas.append(of_bad.mean())
        influence[bad] += sign * (of_bad - of_bad.mean()) / number_bad
        influence[~bad] += sign * (of_good - of_good.mean()) / number_good
    numbers = codes(clusters)
    groups = int(numbers.max()) + 1
    if groups < 2:
        raise StudyError("errors by cluster need at least two clusters.")
    variance = correction(groups, len(default)) * (group_sums(influence, numbers) ** 2).sum()
    return _effect(areas[1] - areas[0], variance**0.5, level)


def _effect(estimate: float, std_error: float, level: float) -> Effect:
    """Return an effect; two scores that never differ have neither error nor p-value of their own."""
    if std_error == 0:
        return Effect(float(estimate), 0.0, float(estimate), float(estimate), 1.0 if estimate == 0 else 0.0)
    return effect(estimate, std_error, level)


def mean_effect(
    values: np.ndarray, weights: np.ndarray | None, level: float, clusters: np.ndarray | None = None
) -> Effect:
    """Return the weighted mean of `values` (loans,) with the linearised error of a ratio of sums.

    With labels of `clusters` (loans,), loans of one cluster are allowed to be alike, with `inference.correction`.
    """
    weights = np.ones(len(values)) if weights is None else weights
    mean = np.average(values, weights=weights)
    parts, size = weights * (values - mean), 1.0
    if clusters is not None:
        numbers = codes(clusters)
        groups = int(numbers.max()) + 1
        if groups > 1:
            parts, size = group_sums(parts, numbers), correction(groups, len(values))
    return _effect(mean, np.sqrt(size * (parts**2).sum()) / weights.sum(), level)


def ratio_of_means(values: np.ndarray, of_each: np.ndarray, weights: np.ndarray | None, level: float) -> Effect:
    """Return sum(values) / sum(of_each), both weighted, with its linearised error (Cochran 1977, section 2.11)."""
    weights = np.ones(len(values)) if weights is None else weights
    below = (weights * of_each).sum()
    if below == 0:
        raise StudyError("the denominator of the ratio holds no loan.")
    ratio = (weights * values).sum() / below
    error = np.sqrt(((weights * (values - ratio * of_each)) ** 2).sum()) / below
    return _effect(ratio, error, level)


def share_interval(default: np.ndarray, weights: np.ndarray | None, level: float) -> tuple[float, float, float]:
    """Return a weighted share with its Wilson interval, for as many loans as its linearised variance is worth."""
    from scipy.stats import norm

    weights = np.ones(len(default)) if weights is None else weights
    share = float(np.average(default, weights=weights))
    variance = ((weights * (default - share)) ** 2).sum() / weights.sum() ** 2
    number = share * (1 - share) / variance if variance > 0 else weights.sum() ** 2 / (weights**2).sum()
    z = norm.ppf(0.5 + level / 2)
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return share, max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def kolmogorov_smirnov(default: np.ndarray, score: np.ndarray) -> float:
    """Return the largest distance between the scores' distributions of bad and of good loans."""
    from scipy.stats import ks_2samp

    bad = default.astype(bool)
    return float(ks_2samp(score[bad], score[~bad], method="asymp").statistic)


class Calibration(NamedTuple):
    """A logistic regression of default on the predicted log odds; one and nought where predictions are right."""

    slope: Effect
    """Below one: predictions are too extreme."""
    intercept: Effect
    """Calibration in the large: with the slope held at one; above zero: too little default is predicted."""


def calibration(default: np.ndarray, share: np.ndarray, weights: np.ndarray | None, level: float) -> Calibration:
    """Return slope and intercept of calibration (Cox 1958; Van Calster et al. 2019), with robust errors.

    `default` 0/1 (loans,), `share` predicted probabilities; with `weights` those of the population.
    """
    odds = np.log(np.clip(share, 1e-9, None)) - np.log(np.clip(1 - share, 1e-9, None))
    if np.ptp(odds) == 0:
        raise StudyError("all loans have the same predicted probability, so there is no slope.")
    ones = np.ones(len(odds))
    slopes, errors = _newton(np.column_stack([ones, odds]), default, np.zeros(len(odds)), weights)
    large, of_large = _newton(ones[:, None], default, odds, weights)
    return Calibration(effect(slopes[1], errors[1], level), effect(large[0], of_large[0], level))


def _newton(
    design: np.ndarray, default: np.ndarray, offset: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and robust errors (HC0) of a logistic regression with an offset."""
    weights = np.ones(len(default)) if weights is None else weights / weights.mean()
    slopes = np.zeros(design.shape[1])
    for _ in range(60):
        share = 1 / (1 + np.exp(-(design @ slopes + offset)))
        curvature = (design * (weights * share * (1 - share))[:, None]).T @ design
        try:
            step = np.linalg.solve(curvature, design.T @ (weights * (default - share)))
        except np.linalg.LinAlgError as error:
            raise StudyError("the calibration has no finite estimate.") from error
        slopes = slopes + step
        if np.abs(step).max() < 1e-10:
            break
        if np.abs(slopes).max() > 1e3:
            raise StudyError("the calibration has no finite estimate: predictions separate the loans.")
    else:
        raise StudyError("the calibration has no finite estimate.")
    if np.linalg.cond(curvature) > 1e12:
        raise StudyError("the calibration has no finite estimate: predictions separate the loans.")
    bread = np.linalg.inv(curvature)
    scores = design * (weights * (default - share))[:, None]
    return slopes, np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))


def flagged(score: np.ndarray, weights: np.ndarray | None, capacity: float) -> np.ndarray:
    """Return which loans are flagged (boolean) when the share `capacity` with the highest scores can be followed up.

    Loans of the score at which the capacity runs out are flagged together or not at all: whichever is nearer to it.
    """
    weights = np.ones(len(score)) if weights is None else weights
    values, place = np.unique(-score, return_inverse=True)
    reached = np.cumsum(np.bincount(place, weights, len(values))) / weights.sum()
    return place <= int(np.argmin(np.abs(reached - capacity)))


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
    edges = np.unique(np.quantile(train, np.arange(0.1, 1, 0.1)))
    counts = [
        np.bincount(np.searchsorted(edges, score, side="left"), weights, len(edges) + 1)
        for score, weights in ((train, train_weights), (test, test_weights))
    ]
    return stability(*counts)


def roc(default: np.ndarray, score: np.ndarray, places: int = 60) -> pd.DataFrame:
    """Return points of the ROC curve at equal steps of the share of good loans flagged: ``false_alarms, found``."""
    order = np.argsort(-score, kind="stable")
    bad = np.concatenate([[0], np.cumsum(default[order])])
    good = np.concatenate([[0], np.cumsum(1 - default[order])])
    last = np.concatenate([[True], np.diff(score[order]) != 0, [True]])
    x, y = good[last] / good[-1], bad[last] / bad[-1]
    at = np.linspace(0, 1, places + 1)
    return pd.DataFrame({"false_alarms": at, "found": np.interp(at, x, y)})


def reliability(
    default: np.ndarray, share: np.ndarray, weights: np.ndarray | None, level: float, groups: int = 10
) -> pd.DataFrame:
    """Return predicted and observed default of equal groups by prediction: ``predicted, rate, low, high, n``."""
    edges = np.unique(np.quantile(share, np.arange(1, groups) / groups))
    place = np.searchsorted(edges, share, side="left")
    rows = []
    for number in range(len(edges) + 1):
        inside = place == number
        if inside.any():
            within = None if weights is None else weights[inside]
            rate, low, high = share_interval(default[inside], within, level)
            rows.append((np.average(share[inside], weights=within), rate, low, high, int(inside.sum())))
    return pd.DataFrame(rows, columns=["predicted", "rate", "low", "high", "n"])


def gains(default: np.ndarray, score: np.ndarray, weights: np.ndarray | None, places: int = 20) -> pd.DataFrame:
    """Return lift by the share of loans flagged from the top: ``flagged, lift`` (one where the score says nothing)."""
    weights = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    found = np.cumsum((weights * default)[order]) / (weights * default).sum()
    last = np.concatenate([np.diff(score[order]) != 0, [True]])
    at = np.linspace(1 / places, 1, places)
    caught = np.interp(at, np.concatenate([[0], share[last]]), np.concatenate([[0], found[last]]))
    return pd.DataFrame({"flagged": at, "lift": caught / at})
