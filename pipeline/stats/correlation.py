"""Correlations of a factor with a 0/1 outcome, with intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError


class Correlation(NamedTuple):
    """A correlation coefficient, its interval and two-sided p-value."""

    estimate: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float


def _with_interval(r: float, variance: float, level: float) -> Correlation:
    """Interval on Fisher's z = atanh(r), whose variance is `variance`; the standard error is given on r's scale."""
    from scipy.stats import norm

    z, error = np.arctanh(r), np.sqrt(variance)
    half = norm.ppf(0.5 + level / 2) * error
    p_value = 2 * norm.sf(abs(z) / error)
    return Correlation(r, error * (1 - r**2), float(np.tanh(z - half)), float(np.tanh(z + half)), float(p_value))


def _vary(factor: np.ndarray, outcome: np.ndarray) -> None:
    if np.ptp(factor) == 0 or np.ptp(outcome) == 0:
        raise StudyError("a correlation needs a factor and an outcome that vary; one of them has a single value.")


def pearson(factor: np.ndarray, outcome: np.ndarray, level: float, controls: int = 0) -> Correlation:
    """Pearson correlation; with a 0/1 outcome it is the point-biserial one.

    `controls` is the number of controls that were taken out of both before (partial correlation): each costs a
    degree of freedom, var(z) = 1 / (n - controls - 3) (Fisher 1924).
    """
    _vary(factor, outcome)
    r = float(np.corrcoef(factor, outcome)[0, 1])
    return _with_interval(r, 1 / (len(factor) - controls - 3), level)


def spearman(factor: np.ndarray, outcome: np.ndarray, level: float) -> Correlation:
    """Spearman's rank correlation; var(z) = (1 + r^2 / 2) / (n - 3) (Bonett & Wright 2000)."""
    from scipy.stats import rankdata

    _vary(factor, outcome)
    r = float(np.corrcoef(rankdata(factor), rankdata(outcome))[0, 1])
    return _with_interval(r, (1 + r**2 / 2) / (len(factor) - 3), level)


def partial(factors: pd.DataFrame, outcome: pd.Series, controls: np.ndarray, level: float) -> dict[str, Correlation]:
    """Partial correlation of each factor with the outcome given `controls`.

    `controls` is a design matrix (loans x columns, with intercept, of full rank). Factor and outcome are replaced by
    what a linear regression on the controls leaves of them.
    """
    both = np.column_stack([factors.to_numpy(dtype=float), outcome.to_numpy(dtype=float)])
    basis, _ = np.linalg.qr(controls)
    rest = both - basis @ (basis.T @ both)
    left = np.linalg.norm(rest, axis=0) / np.linalg.norm(both, axis=0)
    determined = [name for name, share in zip([*factors, "the outcome"], left, strict=True) if not share > 1e-8]
    if determined:
        raise StudyError(
            f"{', '.join(determined)}: the controls leave no variation, so there is no partial correlation."
        )
    return {
        name: pearson(rest[:, place], rest[:, -1], level, controls.shape[1] - 1) for place, name in enumerate(factors)
    }


def holm(p_values: list[float]) -> list[float]:
    """Adjust a family of p-values for multiplicity (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    return list(multipletests(p_values, method="holm")[1])
