"""What the page of the method compares besides what the studies compute: whole distributions, and Oster's delta."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect
from pipeline.stats.regression import linear_probability


def weighted_difference(
    outcome: np.ndarray, treated: np.ndarray, weight: np.ndarray, level: float, clusters: np.ndarray | None = None
) -> Effect:
    """Return the difference of weighted means (loans,) as `regression.linear_probability` has it.

    Loans without weight are left out; without `clusters` every loan is one of its own (HC1).
    """
    used = weight > 0
    design = pd.DataFrame({"intercept": 1.0, "treated": treated[used].astype(float)})
    labels = np.arange(len(design)) if clusters is None else clusters[used]
    y, own = pd.Series(outcome[used].astype(float)), pd.Series(labels)
    return linear_probability(y, design, "treated", own, level, pd.Series(weight[used]))


def ecdf(values: np.ndarray, arm: np.ndarray, weight: np.ndarray) -> pd.DataFrame:
    """Return the weighted empirical distribution of each arm: ``value, treated, control``, one row a value."""
    used = weight > 0
    value, place = np.unique(values[used], return_inverse=True)
    columns = {"value": value}
    for name, side in (("treated", arm[used]), ("control", ~arm[used])):
        mass = np.bincount(place, np.where(side, weight[used], 0.0), minlength=len(value))
        columns[name] = np.cumsum(mass) / mass.sum()
    return pd.DataFrame(columns)


def quantiles(values: np.ndarray, arm: np.ndarray, weight: np.ndarray, number: int = 99) -> pd.DataFrame:
    """Return weighted quantiles of each arm for a QQ plot: ``share, treated, control``, `number` rows."""
    steps = ecdf(values, arm, weight)
    share = np.arange(1, number + 1) / (number + 1)
    value = steps["value"].to_numpy()
    # The smallest value at which the distribution reaches the share, rounding aside.
    reach = {name: value[np.searchsorted(steps[name].to_numpy(), share - 1e-12)] for name in ("treated", "control")}
    return pd.DataFrame({"share": share, **reach})


class Oster(NamedTuple):
    """What selection on the unmeasured would do to a coefficient."""

    delta: float
    """How strong it must be, against selection on the measured, for the effect to be `null`."""
    short: float
    """Coefficient without controls, and with them; their R-squared."""
    long: float
    r_short: float
    r_long: float
    r_max: float


def oster_delta(
    outcome: np.ndarray,
    factor: np.ndarray,
    controls: np.ndarray,
    *,
    r_max: float | None = None,
    null: float = 0.0,
    weights: np.ndarray | None = None,
) -> Oster:
    """Return Oster's delta (2019, Journal of Business & Economic Statistics 37, proposition 3).

    Args:
        outcome, factor: (loans,). controls: those whose selection is compared with the unmeasured ones' (loans x k).
        r_max: R-squared when the unmeasured were controlled; None: 1.3 times that with the measured, at most 1 (her
            recommendation).
        null: the effect that is to be reached.
        weights: of weighted least squares (loans,).

    A delta above one says that the unmeasured would have to matter more than the measured. Raises StudyError when the
    controls leave nothing of the factor.
    """
    root = np.ones(len(outcome)) if weights is None else np.sqrt(weights / weights.mean())
    y, x = (root * (one - np.average(one, weights=weights)) for one in (outcome, factor))
    w = root[:, None] * (controls - np.average(controls, axis=0, weights=weights))
    left = x - w @ np.linalg.lstsq(w, x, rcond=None)[0]
    if left @ left < 1e-10 * (x @ x):
        raise StudyError("the controls determine the factor: its effect cannot be told from theirs.")
    of_y, of_x, tau = y @ y / len(y), x @ x / len(y), left @ left / len(y)
    short = float(x @ y / (x @ x))
    long = float(left @ y / (left @ left))
    both = np.column_stack([x, w])
    residual = y - both @ np.linalg.lstsq(both, y, rcond=None)[0]
    r_short, r_long = float(short**2 * of_x / of_y), float(1 - residual @ residual / (y @ y))
    r_max = min(1.3 * r_long, 1.0) if r_max is None else r_max
    bias, moved = long - null, short - long
    upper = (
        bias * (r_long - r_short) * of_y * tau
        + bias * of_x * tau * moved**2
        + 2 * bias**2 * tau * moved * of_x
        + bias**3 * (tau * of_x - tau**2)
    )
    lower = (
        (r_max - r_long) * of_y * moved * of_x
        + bias * (r_max - r_long) * of_y * (of_x - tau)
        + bias**2 * tau * moved * of_x
        + bias**3 * (tau * of_x - tau**2)
    )
    return Oster(float(upper / lower), short, long, r_short, r_long, float(r_max))
