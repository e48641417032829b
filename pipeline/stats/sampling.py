"""Loans that were sampled by their outcome: from the sample's odds to those of the population."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError


def prior_ratio(outcome: pd.Series | np.ndarray, weights: pd.Series | np.ndarray) -> float:
    """Return by what the sample's odds of the outcome are multiplied to give the population's.

    `outcome` is 0/1 (loans,), `weights` says how many loans of the population each one stands for. Sampling by the
    outcome leaves odds ratios as they are and moves all odds by one factor, the ratio of the two weights (King & Zeng
    2001, section 4.1). Raises StudyError when a weight differs within an outcome, because then no one factor will do.
    """
    y, w = np.asarray(outcome, dtype=float), np.asarray(weights, dtype=float)
    ratio = 1.0
    for value, power in ((1, 1), (0, -1)):
        of_outcome = w[y == value]
        if len(of_outcome) == 0:
            raise StudyError("sampling weights need loans with and without default.")
        if np.ptp(of_outcome) > 1e-9 * of_outcome[0]:
            raise StudyError("the column weight must be the same for all loans of one outcome: give one weight each.")
        ratio *= of_outcome[0] ** power
    return float(ratio)


def to_population(rate: np.ndarray | pd.Series, ratio: float) -> np.ndarray | pd.Series:
    """Return the rates in the population of rates in the sample, whose odds `ratio` multiplies."""
    # Summed in this order a rate of one stays one to the last bit.
    return ratio * rate / (ratio * rate + (1 - rate))


class PopulationSize(NamedTuple):
    """How large a population is, and the standard error."""

    size: float
    std_error: float


def population_size(sizes: Sequence[int], distinct: int) -> PopulationSize:
    """Estimate the size of a population from the overlap of independent random samples.

    `sizes` are the samples' numbers of loans, `distinct` how many different loans they hold together. Maximum
    likelihood: 1 - distinct/N = product of (1 - size/N), with its large-sample error (Darroch 1958, equations 7 and
    8). Raises StudyError when no loan is in two samples.
    """
    from scipy.optimize import brentq

    total = sum(sizes)
    if len(sizes) < 2 or distinct >= total:
        raise StudyError("the size of a population shows in the overlap of samples, and these have none.")
    if distinct <= max(sizes):
        raise StudyError("one sample holds all loans of the others: their overlap says nothing about the population.")

    def excess(size: float) -> float:
        return 1 - distinct / size - float(np.prod([1 - one / size for one in sizes]))

    high = float(total)
    while excess(high) < 0:
        high *= 2
    size = brentq(excess, distinct * (1 + 1e-12), high, xtol=1e-6)
    information = 1 / (size - distinct) + (len(sizes) - 1) / size - sum(1 / (size - one) for one in sizes)
    return PopulationSize(size, information**-0.5)
