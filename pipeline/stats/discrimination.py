"""How well scores rank loans that default above loans that do not: areas under the ROC curve, compared pairwise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import DOMINANT, Effect, certain, codes, correction, degrees_of_freedom, group_sums


class Discrimination(NamedTuple):
    """Areas under the ROC curve of two scores on the same loans, and their difference."""

    first: Effect
    second: Effect
    difference: Effect
    """Second less first."""


def compare(
    default: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    level: float,
    clusters: np.ndarray | pd.Series | None = None,
    weights: np.ndarray | None = None,
) -> Discrimination:
    """Compare two scores of the same loans, with errors that allow for both areas coming from the same loans.

    Without `clusters` the errors are DeLong's, and intervals and p-values normal. With them the structural components
    of the loans are added up by cluster, over defaults and other loans together (Obuchowski 1997, Biometrics 53,
    567-578, section 3.2), which is closed, exact and DeLong's to the last digit where each loan is a cluster of its
    own. Sums over few clusters are not normal: intervals are Student's t with `inference.degrees_of_freedom`. Where one
    cluster holds more than `inference.DOMINANT` of the loans of either kind, the error is that of the jackknife over
    clusters if it is the larger: it is closed as well, and holds the truth where sums by cluster miss it (with three
    tenths of the loans in one of 36 clusters, simulated 95% intervals held it in 93% of samples, by sums in 88%, for
    independent loans in 64%). A bootstrap over clusters would bring chance besides.

    Parameters
    ----------
    default : array (loans,)
        0/1.
    first, second : arrays (loans,)
        Scores, higher where the risk is; ties count half.
    level : float
        Confidence level.
    clusters : array or Series (loans,), optional
        Labels; loans of one cluster may be alike in any way. None: every loan for itself.
    weights : array (loans,), optional
        How many loans of the population each stands for. Weights that depend on `default` alone change nothing.

    Returns
    -------
    Discrimination
        The p-value of an area is against chance, one half.

    Raises
    ------
    StudyError
        For fewer than two loans of a kind or, with clusters, where all of a kind are of one cluster; for a missing
        score, outcome or cluster.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, 837-845; Sun & Xu (2014) for the midranks.
    """
    default = np.asarray(default, dtype=float)
    if not np.isin(default, (0, 1)).all():
        raise StudyError("an outcome that a score is judged by must be 0 or 1 for every loan.")
    bad = default == 1
    if min(bad.sum(), (~bad).sum()) < 2:
        raise StudyError(
            "a score cannot be judged on loans of which fewer than two defaulted, or fewer than two did not."
        )
    weights = np.ones(len(bad)) if weights is None else weights
    if clusters is None:
        numbers, degrees = np.arange(len(bad)), np.inf
    else:
        numbers = codes(clusters)
        if (numbers < 0).any():
            raise StudyError(f"{(numbers < 0).sum()} of the judged loans have no cluster.")
        degrees = degrees_of_freedom(np.bincount(numbers, weights))
    dominated = max(_shares(weights, numbers, kind).max() for kind in (bad, ~bad)) > DOMINANT
    areas: list[float] = []
    parts: list[np.ndarray] = []
    without: list[np.ndarray] = []
    for score in (first, second):
        if score is first and areas:
            areas, parts, without = areas * 2, parts * 2, without * 2
            break
        of_bad, of_good = placements(bad, score, weights)
        area = float(np.average(of_bad, weights=weights[bad]))
        part = np.empty(len(bad))
        part[bad] = weights[bad] * (of_bad - area) / weights[bad].sum()
        part[~bad] = weights[~bad] * (of_good - area) / weights[~bad].sum()
        areas.append(area)
        parts.append(part)
        if dominated:
            without.append(_without(bad, score, weights, numbers, (of_bad, of_good)))
    errors = [_error(part, bad, numbers) for part in (*parts, parts[1] - parts[0])]
    if dominated:
        moved = [one - value for one, value in zip(without, areas, strict=True)]
        groups = len(without[0])
        jackknifed = [((groups - 1) / groups * float(one @ one)) ** 0.5 for one in (*moved, moved[1] - moved[0])]
        errors = [max(pair) for pair in zip(errors, jackknifed, strict=True)]
    values = (areas[0] - 0.5, areas[1] - 0.5, areas[1] - areas[0])
    found = [certain(value, error, level, degrees) for value, error in zip(values, errors, strict=True)]
    singles = [
        one._replace(estimate=area, ci_low=max(one.ci_low + 0.5, 0.0), ci_high=min(one.ci_high + 0.5, 1.0))
        for one, area in zip(found[:2], areas, strict=True)
    ]
    return Discrimination(singles[0], singles[1], found[2])


def _error(part: np.ndarray, bad: np.ndarray, numbers: np.ndarray) -> float:
    """Return the error of a sum of loans' `part` (loans,) by Obuchowski's equations, clusters numbered from 0."""
    groups = int(numbers.max()) + 1
    of_bad, of_good = (group_sums(np.where(kind, part, 0.0), numbers) for kind in (bad, ~bad))
    variance = 0.0
    for sums, kind in ((of_bad, bad), (of_good, ~bad)):
        held = int((np.bincount(numbers[kind], minlength=groups) > 0).sum())
        if held < 2:
            raise StudyError("errors by cluster need at least two clusters with defaults, and two with other loans.")
        variance += correction(held, held) * float(sums @ sums)
    return (variance + 2 * correction(groups, groups) * float(of_bad @ of_good)) ** 0.5


def _shares(weights: np.ndarray, numbers: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Return the share of the loans of a kind (mask, loans,) that each cluster holds."""
    held = np.bincount(numbers, np.where(kind, weights, 0.0))
    return held / held.sum()


def _without(
    bad: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray,
    numbers: np.ndarray,
    placed: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the area without each cluster (clusters,): all pairs less those with a loan of it, which count once."""
    groups = int(numbers.max()) + 1
    of_bad, of_good = (np.bincount(numbers[kind], weights[kind], groups) for kind in (bad, ~bad))
    total_bad, total_good = of_bad.sum(), of_good.sum()
    won = [
        other * np.bincount(numbers[kind], weights[kind] * share, groups)
        for kind, share, other in zip((bad, ~bad), placed, (total_good, total_bad), strict=True)
    ]
    # Pairs inside a cluster, by one sort of cluster and score.
    cells, place = np.unique(
        np.column_stack([numbers, np.unique(score, return_inverse=True)[1]]), axis=0, return_inverse=True
    )
    place = place.reshape(-1)
    in_bad, in_good = (np.bincount(place[kind], weights[kind], len(cells)) for kind in (bad, ~bad))
    begin = np.flatnonzero(np.diff(cells[:, 0], prepend=-1))
    passed = np.cumsum(in_good) - in_good
    below = passed - passed[begin][cells[:, 0]]
    inside = np.bincount(cells[:, 0], in_bad * (below + in_good / 2), groups)
    pairs = (total_bad - of_bad) * (total_good - of_good)
    left = won[0].sum() - won[0] - won[1] + inside
    # Without a cluster that holds all of a kind there is no area; `_error` says so.
    return np.divide(left, pairs, out=np.full(groups, np.nan), where=pairs > 0)


def ranked(score: np.ndarray) -> np.ndarray:
    """Return the score as numbers; StudyError for a missing one, which any order would put at one of its ends."""
    score = np.asarray(score, dtype=float)
    if missing := int(np.isnan(score).sum()):
        raise StudyError(f"{missing} of {len(score)} loans have no score, and a loan without a score has no rank.")
    return score


def placements(bad: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of good loans that each bad one's score beats, and of bad ones that beat each good one's.

    `bad` is a mask (loans,), and both are in the order of their loans; ties count half. One sort gives all of it. With
    `weights` (loans,) the shares are those of the population.
    """
    weights = np.ones(len(bad)) if weights is None else weights
    distinct, place = np.unique(ranked(score), return_inverse=True)
    of_bad, of_good = (np.bincount(place[one], weights[one], len(distinct)) for one in (bad, ~bad))
    beaten_good, beaten_bad = (np.cumsum(one) - one / 2 for one in (of_good, of_bad))
    return beaten_good[place[bad]] / of_good.sum(), 1 - beaten_bad[place[~bad]] / of_bad.sum()


def area(default: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the area under the ROC curve alone, of 0/1 `default` and `score` (loans,), ties counted half."""
    bad = np.asarray(default).astype(bool)
    return float(np.average(placements(bad, score, weights)[0], weights=None if weights is None else weights[bad]))
