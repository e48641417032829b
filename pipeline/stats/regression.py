"""Linear probability and logistic regression of default on one factor, with clustered errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.products import weighted_products
from pipeline.stats.sampling import prior_ratio

SOUND = 1e10
"""Condition of cross products up to which least squares are solved from them."""


EXACT = 1e-10
"""Share of the largest outcome below which what a regression leaves of it is rounding."""


class Effect(NamedTuple):
    """One coefficient, or a function of it, with interval and two-sided p-value (normal distribution)."""

    estimate: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float


def linear_probability(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Effect:
    """Return the coefficient of `factor` in a linear probability model (ordinary least squares).

    `outcome` is 0/1 (loans,), `design` holds `factor` and the controls (loans x columns, full rank), `clusters`
    labels the loans. Errors are cluster-robust with the correction of `inference.correction`. With sampling `weights`
    (loans,) the coefficient is the population's (weighted least squares).
    """
    from pipeline.stats.inference import cluster_codes, correction, effect

    y, x = outcome.to_numpy(dtype=float), design.to_numpy(dtype=float)
    direction = np.eye(x.shape[1])[_place(design, factor)]
    if weights is not None:
        root = np.sqrt(weights.to_numpy(dtype=float))
        y, x = y * root, x * root[:, None]
    products = x.T @ x
    length = np.sqrt(np.diag(products))
    if np.linalg.cond(products / np.outer(length, length)) > SOUND:
        x, triangle = np.linalg.qr(x)
        products, direction = x.T @ x, np.linalg.solve(triangle.T, direction)
    scores = np.column_stack([x.T @ y, direction])
    found = np.linalg.solve(products, scores)
    # A second pass takes out what rounding left.
    fitted, influence = (x @ found).T
    found += np.linalg.solve(products, np.column_stack([x.T @ (y - fitted), direction - x.T @ influence]))
    fitted, influence = (x @ found).T
    if np.abs(y - fitted).max() <= EXACT * np.abs(y).max():
        raise StudyError(
            f"{factor}, with the controls if there are any, tells the outcome of every loan exactly: it records the "
            "outcome itself, or follows from it; leave it out."
        )
    sums = np.bincount(cluster_codes(clusters), influence * (y - fitted))
    variance = correction(len(sums), len(y), x.shape[1]) * (sums**2).sum()
    return effect(influence @ y, np.sqrt(variance), level)


def _place(design: pd.DataFrame, factor: str) -> int:
    if factor not in design:
        raise StudyError(f"{factor} does not vary, or the controls determine it: nothing can be said of its effect.")
    return design.columns.get_loc(factor)


def _spread(probability: np.ndarray) -> np.ndarray:
    """Return p (1 - p), the variance of a 0/1 outcome and the slope of the logistic function."""
    return probability * (1 - probability)


class LogitEffects(NamedTuple):
    """What a logistic regression says about a factor, on two scales."""

    odds_ratio: Effect
    """Of one unit more; its standard error is on the log scale."""
    average_marginal_effect: Effect
    """Of one unit more on the probability of the outcome, averaged over the loans."""


def logit(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> LogitEffects:
    """Fit a logistic regression by maximum likelihood and return the effect of `factor`.

    Arguments and errors as in `linear_probability`. The marginal effect of a 0/1 factor is the mean difference
    between all loans with and all loans without it, of any other the mean slope; its error is by the delta method
    (Greene, Econometric Analysis, section 17.3). Raises StudyError when there is no maximum (separation).

    With `weights` of a sample by outcome (see `prior_ratio`) the fit, and so the odds ratio, is the plain one, which
    such sampling leaves consistent (Prentice & Pyke 1979). The marginal effect is the population's: the intercept
    moves by the logarithm of the prior ratio, and the mean runs over weighted loans.
    """
    import statsmodels.api as sm
    from scipy.stats import norm
    from statsmodels.tools.sm_exceptions import PerfectSeparationError, PerfectSeparationWarning

    from pipeline.stats.design import no_collinear
    from pipeline.stats.inference import cluster_codes

    x, y, place = design.to_numpy(), outcome.to_numpy(dtype=float), _place(design, factor)
    # From the share of defaults, not from a half, some steps nearer to the maximum.
    share = y.mean()
    start = np.where(design.columns == "intercept", np.log(share / (1 - share)), 0.0) if 0 < share < 1 else None
    with warnings.catch_warnings():
        # On the way to no maximum the likelihood overflows; the sentence below says what happened.
        warnings.simplefilter("ignore", category=PerfectSeparationWarning)
        warnings.simplefilter("ignore", category=RuntimeWarning)
        try:
            # Designs have full rank: that need not be found out again.
            model = sm.Logit(y, x, check_rank=False)
            # What nearly all the time goes to, by half the sums.
            model.hessian = lambda slopes: -weighted_products(x, _spread(model.predict(slopes)))
            fit = model.fit(
                start_params=start,
                method="newton",
                maxiter=50,
                disp=False,
                warn_convergence=False,
                cov_type="cluster",
                cov_kwds={"groups": cluster_codes(clusters), "use_correction": True},
            )
        except (PerfectSeparationError, np.linalg.LinAlgError) as error:
            no_collinear(design.drop(columns="intercept", errors="ignore"), f"the logistic regression on {factor}")
            raise StudyError(
                f"the logistic regression on {factor} has no maximum: something separates default perfectly."
            ) from error
    if not fit.mle_retvals["converged"]:
        no_collinear(design.drop(columns="intercept", errors="ignore"), f"the logistic regression on {factor}")
        raise StudyError(
            f"the logistic regression on {factor} does not converge: something may separate default perfectly."
        )
    slope, std_error = fit.params[place], fit.bse[place]
    quantile = norm.ppf(0.5 + level / 2)
    odds_ratio = Effect(
        np.exp(slope),
        std_error,
        np.exp(slope - quantile * std_error),
        np.exp(slope + quantile * std_error),
        fit.pvalues[place],
    )

    unit = np.zeros(x.shape[1])
    at, total = fit.predict, len(y)
    averaged: Callable[[np.ndarray], float] = np.mean
    if weights is not None:
        w = weights.to_numpy(dtype=float)
        shift, total = np.log(prior_ratio(y, w)), w.sum()

        def at(rows: np.ndarray) -> np.ndarray:
            return 1 / (1 + np.exp(-(rows @ fit.params + shift)))

        def averaged(values: np.ndarray) -> float:
            return w @ values / total

    else:
        w = 1.0
    if set(np.unique(x[:, place])) <= {0.0, 1.0}:
        on, off = x.copy(), x.copy()
        on[:, place], off[:, place] = 1.0, 0.0
        p_on, p_off = at(on), at(off)
        effect = averaged(p_on - p_off)
        gradient = ((w * _spread(p_on)) @ on - (w * _spread(p_off)) @ off) / total
    else:
        p = at(x)
        density = _spread(p)
        unit[place] = 1.0
        effect = averaged(density) * slope
        gradient = slope * ((w * density * (1 - 2 * p)) @ x) / total + averaged(density) * unit
    spread = float(np.sqrt(gradient @ fit.cov_params() @ gradient))
    marginal = Effect(
        float(effect),
        spread,
        effect - quantile * spread,
        effect + quantile * spread,
        float(2 * norm.sf(abs(effect) / spread)),
    )
    return LogitEffects(odds_ratio, marginal)
