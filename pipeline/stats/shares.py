"""Shares with their uncertainty where loans of one cluster are alike."""

from __future__ import annotations

import numpy as np

from pipeline.stats.inference import Effect


def on_log_odds(found: Effect, whole: float = 1.0) -> Effect:
    """Return a share of `whole` with its interval made on the log odds, which keeps it between nought and all.

    That of a probability predicted by logistic regression (delta method, Agresti 2013, Categorical Data Analysis,
    section 5.1). With few clusters the interval of the share itself leaves these bounds. Nothing moves where the share
    has no error, or is nought or all.
    """
    from scipy.special import expit, logit

    share = found.estimate / whole
    if not (found.std_error > 0 and 0 < share < 1):
        return found
    half = (found.ci_high - found.ci_low) / (2 * whole * share * (1 - share))
    low, high = whole * expit(logit(share) + half * np.array([-1, 1]))
    return found._replace(ci_low=float(low), ci_high=float(high))
