"""Instrumental variables with one instrument for one treatment: two-stage least squares and Anderson-Rubin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import within
from pipeline.stats.inference import Effect, codes, correction, effect, group_sums

ROUNDING = 1e-12
"""Share of a factor's own spread, in squares, below which what is left of it is rounding noise."""


class Instrumented(NamedTuple):
    """What one instrument says about a treatment."""

    effect: Effect
    """Two-stage least squares."""
    first_stage: Effect
    """Of one unit of the instrument on the treatment."""
    first_stage_f: float
    """Cluster-robust F of the instrument; with one instrument also the effective F (Montiel Olea & Pflueger 2013)."""
    reduced_form: Effect
    """Of one unit of the instrument on the outcome."""
    anderson_rubin: tuple[float, float]
    """Interval that holds whatever the strength of the instrument; unbounded sides are infinite."""
    anderson_rubin_p: float
    """p-value of no effect."""


def residuals(values: np.ndarray, groups: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Return what least squares on group effects and `controls` leaves of the columns of `values` (rows x columns).

    By the theorem of Frisch, Waugh and Lovell regressions among the residuals have the coefficients of the long
    regression. Group means are taken out first, so that there is no column for each group.
    """
    values, controls = (within(one, [groups], np.ones(len(groups))) for one in (values, controls))
    return values - controls @ np.linalg.lstsq(controls, values, rcond=None)[0]


def inside(
    outcome: np.ndarray, factor: np.ndarray, *, groups: pd.Series, controls: pd.DataFrame, level: float
) -> Effect:
    """Return the coefficient of `factor` by least squares with group effects and controls, errors clustered by group.

    As `regression.linear_probability` gives it with an indicator for each group, without these columns: their number
    grows with the study. `controls` as in `two_stage`. Raises StudyError when nothing is left of the factor.
    """
    numbers = codes(groups)
    y, x = residuals(np.column_stack([outcome, factor]).astype(float), numbers, controls.to_numpy(dtype=float)).T
    information = float(x @ x)
    # Of a factor that is the same everywhere the mean is rounded, and so is what is left of it.
    if np.ptp(factor) == 0 or information <= ROUNDING * float(((factor - factor.mean()) ** 2).sum()):
        raise StudyError("the factor does not vary inside groups, or the controls determine it.")
    slope = float(x @ y) / information
    sums = group_sums(x * (y - slope * x), numbers)
    variance = correction(len(sums), len(y), len(sums) + controls.shape[1] + 1) * float(sums @ sums)
    return effect(slope, np.sqrt(variance) / information, level)


def two_stage(
    outcome: np.ndarray,
    treatment: np.ndarray,
    instrument: np.ndarray,
    *,
    groups: pd.Series,
    controls: pd.DataFrame,
    clusters: pd.Series | None,
    level: float,
) -> Instrumented:
    """Two-stage least squares with one instrument, group effects and controls.

    b = z'y / z'd, where y, d and z are outcome, treatment and instrument after `groups` and `controls` (numeric,
    full rank within groups) are partialled out. Assumes that, given these, the instrument is as good as random, moves
    the outcome through the treatment alone and no one's treatment the other way; then b averages the effect over
    those whom it moves (Imbens & Angrist 1994). Errors are clustered by `clusters` (None: robust, every row its own)
    and corrected by `inference.correction`; the Anderson-Rubin interval inverts the robust test that the instrument
    does not explain y - b d (Anderson & Rubin 1949), which with one instrument is a quadratic in b.
    """
    from scipy.special import ndtr, ndtri

    y, d, z = left(outcome, treatment, instrument, groups, controls)
    own = np.arange(len(y)) if clusters is None else codes(clusters)
    rows, parameters = len(y), codes(groups).max() + 1 + controls.shape[1] + 1
    factor = correction(own.max() + 1, rows, parameters)
    strength, zz = float(z @ d), float(z @ z)
    if zz <= 1e-12 * rows or abs(strength) <= 1e-12 * rows:
        raise StudyError("the instrument does not vary, or does not move the treatment, once the controls are out.")

    degrees = np.inf if clusters is None else own.max()
    b = float(z @ y) / strength
    std_error = np.sqrt(factor * (group_sums(z * (y - b * d), own) ** 2).sum()) / abs(strength)

    # Reduced form and first stage: cluster scores, their variances and covariance.
    of_y = group_sums(z * (y - z * (z @ y) / zz), own)
    of_d = group_sums(z * (d - z * strength / zz), own)
    var_y, var_d, cov = (factor * float(one @ other) for one, other in ((of_y, of_y), (of_d, of_d), (of_y, of_d)))
    first = effect(strength / zz, np.sqrt(var_d) / zz, level, degrees)
    reduced = effect(float(z @ y) / zz, np.sqrt(var_y) / zz, level, degrees)
    return Instrumented(
        effect=effect(b, std_error, level, degrees),
        first_stage=first,
        first_stage_f=strength**2 / var_d,
        reduced_form=reduced,
        anderson_rubin=_solve(strength, float(z @ y), var_d, var_y, cov, ndtri(0.5 + level / 2) ** 2),
        anderson_rubin_p=float(2 * ndtr(-abs(float(z @ y)) / np.sqrt(var_y))),
    )


def left(
    outcome: np.ndarray, treatment: np.ndarray, instrument: np.ndarray, groups: pd.Series, controls: pd.DataFrame
) -> np.ndarray:
    """Return what groups and controls leave of outcome, treatment and instrument (three rows of the loans' length)."""
    block = np.column_stack([outcome, treatment, instrument]).astype(float)
    return residuals(block, codes(groups), controls.to_numpy(dtype=float)).T


def two_sample(reduced_form: Effect, first_stage: Effect, level: float) -> Effect:
    """Return the effect of a treatment that was measured on a part of the sample only.

    b = reduced form / first stage, the first from all rows, the second from those whose treatment is known (Angrist &
    Krueger 1992), per unit of the treatment as measured there. It is the effect of a unit of the treatment on all rows
    only where the instrument moves the measured treatment of these as it moves the treatment of everybody. It moves it
    less where whoever has more of the treatment is measured more often, or where a bounded scale cuts the measure off;
    b is then larger in proportion, and nothing in the data tells by how much (reduced form and p-value stay as they
    are). So b answers: by how much does the outcome of all change when something moves the measure by one unit? The
    error is that of the ratio by the delta method, without the covariance of the two parts, which a strong first stage
    makes negligible.
    """
    b = reduced_form.estimate / first_stage.estimate
    relative = b * first_stage.std_error / first_stage.estimate
    return effect(b, np.hypot(reduced_form.std_error / first_stage.estimate, relative), level)


def _solve(zd: float, zy: float, var_d: float, var_y: float, cov: float, bound: float) -> tuple[float, float]:
    """Return the b with (zy - b zd)^2 <= bound x (var_y - 2 b cov + b^2 var_d).

    A weak instrument (zd^2 <= bound x var_d) leaves a set without end: the line, or the line without a stretch.
    """
    a, half, c = zd**2 - bound * var_d, zd * zy - bound * cov, zy**2 - bound * var_y
    if a <= 0:
        return -np.inf, np.inf
    root = np.sqrt(max(half**2 - a * c, 0.0))
    return (half - root) / a, (half + root) / a
