"""Does an outcome rise or fall from one ordered group to the next? Tests of a trend, and the groups."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError


class Trend(NamedTuple):
    """A test statistic, standard normal where there is no trend and above zero where the outcome rises."""

    statistic: float
    p_value: float


def ordered_groups(values: np.ndarray, most: int, smallest: int = 1) -> np.ndarray:
    """Return a group number from 0 for each of `values` (rows,), in rising order.

    Each value is a group where there are at most `most` different ones; otherwise groups are of about equal size, and
    equal values stay together, so that there may be fewer. A group of fewer than `smallest` rows joins the next one,
    the last one the one before it.
    """
    distinct = np.unique(values)
    if len(distinct) <= most:
        return _joined(np.searchsorted(distinct, values), smallest)
    # A group ends with the value that holds its share; the largest value may stand alone.
    ends = np.searchsorted(distinct, np.quantile(values, np.arange(1, most) / most), side="right")
    ends = np.unique(np.minimum(ends, len(distinct) - 1))
    return _joined(np.searchsorted(ends, np.searchsorted(distinct, values), side="right"), smallest)


def _joined(groups: np.ndarray, smallest: int) -> np.ndarray:
    """Join small groups to their neighbours."""
    joins, number, size = [], 0, 0
    for count in np.bincount(groups):
        joins.append(number)
        size += count
        if size >= smallest:
            number, size = number + 1, 0
    return np.minimum(np.array(joins), max(number - 1, 0))[groups]


def _two_groups(groups: np.ndarray) -> None:
    if len(np.unique(groups)) < 2:
        raise StudyError("a trend needs at least two groups.")


def cochran_armitage(outcome: np.ndarray, scores: np.ndarray) -> Trend:
    """Test a linear trend of a 0/1 `outcome` (rows,) in its group's `scores` (rows,) (Cochran 1954, Armitage 1955).

    The square of the statistic is the number of rows times the squared correlation. Takes rows as independent, and
    holds under sampling by the outcome. Raises StudyError when outcome or scores do not vary.
    """
    from scipy.special import ndtr

    _two_groups(scores)
    if np.ptp(outcome) == 0:
        raise StudyError("a trend needs rows with and without the outcome.")
    statistic = float(np.sqrt(len(outcome)) * np.corrcoef(outcome, scores)[0, 1])
    return Trend(statistic, float(2 * ndtr(-abs(statistic))))


def jonckheere_terpstra(outcome: np.ndarray, groups: np.ndarray) -> Trend:
    """Test whether an `outcome` (rows,) of any scale tends to be larger in later `groups` (rows, numbers in order).

    Counts the pairs of rows from different groups that stand in the groups' order, ties half, and compares with the
    mean and the variance without a trend, which allow for ties (Hollander & Wolfe, Nonparametric Statistical Methods,
    section 6.2). No correction for continuity. Takes rows as independent. Raises StudyError when nothing varies.
    """
    from scipy.special import ndtr

    _two_groups(groups)
    parts = [np.sort(outcome[groups == group]) for group in np.unique(groups)]
    inside = 0.0
    for place, later in enumerate(parts):
        for earlier in parts[:place]:
            below = np.searchsorted(earlier, later, side="left") + np.searchsorted(earlier, later, side="right")
            inside += below.sum() / 2
    n = float(len(outcome))
    sizes = np.array([len(part) for part in parts], dtype=float)
    ties = np.unique(outcome, return_counts=True)[1].astype(float)

    def pairs(of: Any) -> Any:
        return of * (of - 1)

    first = pairs(n) * (2 * n + 5) - (pairs(sizes) * (2 * sizes + 5)).sum() - (pairs(ties) * (2 * ties + 5)).sum()
    second = (pairs(sizes) * (sizes - 2)).sum() * (pairs(ties) * (ties - 2)).sum()
    third = pairs(sizes).sum() * pairs(ties).sum()
    variance = first / 72 + second / (36 * pairs(n) * (n - 2)) + third / (8 * pairs(n))
    if not variance > 1e-9:
        raise StudyError("a trend needs an outcome that varies.")
    statistic = float((inside - (n**2 - (sizes**2).sum()) / 4) / np.sqrt(variance))
    return Trend(statistic, float(2 * ndtr(-abs(statistic))))
