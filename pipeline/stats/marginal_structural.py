"""Weights of marginal structural models for counts that are repeated month by month, such as contacts."""

from __future__ import annotations

import numpy as np

from pipeline.stats.histories import window_sum


def stabilised_weights(
    count: np.ndarray,
    given_start: np.ndarray,
    given_history: np.ndarray,
    loan: np.ndarray,
    month: np.ndarray,
    window: int,
) -> np.ndarray:
    """Return the stabilised inverse probability weight of each loan-month's earlier counts, NaN without a full window.

    The product, over the `window` months before, of f(count | start) / f(count | history), both Poisson: `given_start`
    and `given_history` are the means (loan-months,) that models with what is fixed at the start, and with what has
    happened since as well, expect (Robins, Hernan & Brumback 2000, Epidemiology 11). Weights of a recent window, rather
    than of everything since the start, belong to models of the recent history (Neugebauer, van der Laan, Joffe &
    Tager 2007, Electronic Journal of Statistics 1). In the weighted months, counts no longer depend on
    what has happened since the start, if the second model holds what drives both counts and outcome, and no count is
    impossible in any history. Rows are sorted by `loan` and `month`.
    """
    given_start, given_history = np.maximum(given_start, 1e-12), np.maximum(given_history, 1e-12)
    ratio = count * (np.log(given_start) - np.log(given_history)) + given_history - given_start
    return np.exp(window_sum(ratio, loan, month, window))


def truncated(weights: np.ndarray, share: float) -> np.ndarray:
    """Return weights moved to their quantiles at `share` and 1 - `share` where they lie beyond (Cole & Hernan 2008)."""
    return np.clip(weights, *np.quantile(weights, [share, 1 - share]))


def dispersion(count: np.ndarray, mean: np.ndarray) -> float:
    """Return Pearson's statistic a loan-month: one where counts vary as much as Poisson's do."""
    return float(((count - mean) ** 2 / np.maximum(mean, 1e-12)).mean())
