"""How well scores tell loans that default from loans that do not: areas under the ROC curve, compared pairwise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.core.errors import StudyError
from pipeline.stats.inference import effect
from pipeline.stats.regression import Effect


class Discrimination(NamedTuple):
    """Areas under the ROC curve of two scores on the same loans, and their difference."""

    first: Effect
    second: Effect
    difference: Effect
    """Second less first."""


def compare(default: np.ndarray, first: np.ndarray, second: np.ndarray, level: float) -> Discrimination:
    """Compare two scores (loans,) of the same loans' 0/1 `default` (loans,); higher scores mean more risk.

    Errors allow for both areas coming from the same loans (DeLong, DeLong & Clarke-Pearson 1988), computed from
    midranks (Sun & Xu 2014). The p-value of an area is against chance, one half. Raises StudyError when the loans are
    all of one kind.
    """
    bad = default.astype(bool)
    number_bad, number_good = int(bad.sum()), int((~bad).sum())
    if min(number_bad, number_good) < 2:
        raise StudyError(
            "a score cannot be judged on loans of which fewer than two defaulted, or fewer than two did not."
        )
    placed = [placements(bad, first)]
    placed.append(placed[0] if second is first else placements(bad, second))
    beaten_by_bad, beaten_by_good = zip(*placed, strict=True)
    areas = [of_bad.mean() for of_bad in beaten_by_bad]
    covariance = np.cov(beaten_by_bad) / number_bad + np.cov(beaten_by_good) / number_good
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    singles = [
        effect(area - 0.5, covariance[place, place] ** 0.5, level)._replace(estimate=float(area))
        for place, area in enumerate(areas)
    ]
    shifted = [one._replace(ci_low=one.ci_low + 0.5, ci_high=one.ci_high + 0.5) for one in singles]
    return Discrimination(*shifted, effect(areas[1] - areas[0], max(spread, 0.0) ** 0.5, level))


def placements(bad: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of good loans that each bad one's score beats, and of bad ones that beat each good one's.

    `bad` is a mask (loans,), and both are in the order of their loans; ties count half. One sort gives all of it.
    """
    distinct, place = np.unique(score, return_inverse=True)
    of_bad, of_good = (np.bincount(place[one], minlength=len(distinct)) for one in (bad, ~bad))
    beaten_good, beaten_bad = (np.cumsum(one) - one / 2 for one in (of_good, of_bad))
    return beaten_good[place[bad]] / of_good.sum(), 1 - beaten_bad[place[~bad]] / of_bad.sum()


def out_of_time(design: np.ndarray, default: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the log odds of default for the loans outside `train`, from a logistic regression on those inside.

    `design` is loans x columns without an intercept, `train` a mask (loans,). Columns are standardised and a ridge
    penalty of one prior loan keeps rare levels finite.
    """
    from sklearn.linear_model import LogisticRegression

    centre, scale = design[train].mean(axis=0), design[train].std(axis=0)
    ready = (design - centre) / np.where(scale > 0, scale, 1.0)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=100)
    model.fit(ready[train], default[train])
    return np.round(model.decision_function(ready[~train]), 6)
