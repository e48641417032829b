"""How well scores rank loans that default above loans that do not: areas under the ROC curve, compared pairwise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError
from pipeline.stats.inference import certain, codes, degrees_of_freedom, group_sums
from pipeline.stats.regression import Effect


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
    own. Sums over few clusters, or over some that one cluster dominates, are not normal and their spread is
    underestimated: intervals are Student's t with `inference.degrees_of_freedom`. A bootstrap over clusters would need
    as many of them and chance besides.

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
    areas, parts = [], []
    for score in (first, second):
        if score is first and areas:
            areas, parts = areas * 2, parts * 2
            break
        of_bad, of_good = placements(bad, score, weights)
        area = float(np.average(of_bad, weights=weights[bad]))
        part = np.empty(len(bad))
        part[bad] = weights[bad] * (of_bad - area) / weights[bad].sum()
        part[~bad] = weights[~bad] * (of_good - area) / weights[~bad].sum()
        areas.append(area)
        parts.append(part)
    if clusters is None:
        numbers, degrees = np.arange(len(bad)), np.inf
    else:
        numbers = codes(clusters)
        if (numbers < 0).any():
            raise StudyError(f"{(numbers < 0).sum()} of the judged loans have no cluster.")
        degrees = degrees_of_freedom(np.bincount(numbers, weights))
    found = [
        certain(value, _error(part, bad, numbers), level, degrees)
        for value, part in zip(
            (areas[0] - 0.5, areas[1] - 0.5, areas[1] - areas[0]), (*parts, parts[1] - parts[0]), strict=True
        )
    ]
    singles = [
        one._replace(estimate=area, ci_low=max(one.ci_low + 0.5, 0.0), ci_high=min(one.ci_high + 0.5, 1.0))
        for one, area in zip(found[:2], areas, strict=True)
    ]
    return Discrimination(*singles, found[2])


def _error(part: np.ndarray, bad: np.ndarray, numbers: np.ndarray) -> float:
    """Return the error of a sum of loans' `part` (loans,) by Obuchowski's equations, clusters numbered from 0."""
    groups = int(numbers.max()) + 1
    of_bad, of_good = (group_sums(np.where(kind, part, 0.0), numbers) for kind in (bad, ~bad))
    variance = 0.0
    for sums, kind in ((of_bad, bad), (of_good, ~bad)):
        held = int((np.bincount(numbers[kind], minlength=groups) > 0).sum())
        if held < 2:
            raise StudyError("errors by cluster need at least two clusters with defaults, and two with other loans.")
        variance += held / (held - 1) * float(sums @ sums)
    return (variance + 2 * groups / (groups - 1) * float(of_bad @ of_good)) ** 0.5


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


def out_of_time(design: np.ndarray, default: np.ndarray, train: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Return the log odds of default for the loans in `judged`, from a logistic regression on those in `train`.

    `design` is loans x columns without an intercept, `train` and `judged` are masks (loans,). Columns are standardised
    and a ridge penalty of one prior loan keeps rare levels finite.
    """
    from sklearn.linear_model import LogisticRegression

    centre, scale = design[train].mean(axis=0), design[train].std(axis=0)
    ready = (design - centre) / np.where(scale > 0, scale, 1.0)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=100)
    model.fit(ready[train], default[train])
    return np.round(model.decision_function(ready[judged]), 6)
