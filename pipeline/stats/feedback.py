"""How several rates of a lender move each other from one quarter to the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.inference import Effect, codes

A_QUARTER = 3
"""Months."""

LENDING = "lending"


def panel(
    lender: pd.Series, origination: pd.Series, months: pd.Series, events: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """Count by lender and calendar quarter what happened to loans.

    `lender` and `origination` (loans,) say who granted a loan and when, `months` how long it was followed, and each of
    `events` the month in which something happened, missing where it did not. One row a lender and quarter from the
    second quarter in which loans were granted to the last: ``lender``, ``quarter`` (a number), of each event the
    number per hundred loans granted before the quarter and not yet through all months of follow-up, and ``lending``,
    a hundred times the log of the loans granted.
    """
    who, start = codes(lender), origination.dt.year.to_numpy() * 12 + origination.dt.month.to_numpy() - 1
    first, last = int(start.min()) // A_QUARTER, int(start.max()) // A_QUARTER
    quarters, lenders, span = last - first + 1, int(who.max()) + 1, int(months.max())

    def counted(month: np.ndarray, stays: np.ndarray) -> np.ndarray:
        quarter = month // A_QUARTER - first
        there = stays & (quarter >= 0) & (quarter < quarters)
        place = who[there] * quarters + quarter[there]
        return np.bincount(place, minlength=lenders * quarters).reshape(lenders, quarters).astype(float)

    granted = counted(start, np.ones(len(who), dtype=bool))
    total = np.cumsum(granted, axis=1)
    behind = span // A_QUARTER
    gone = np.zeros_like(total)
    gone[:, behind:] = total[:, : max(quarters - behind, 0)]
    at_risk = np.zeros_like(total)
    at_risk[:, 1:] = total[:, :-1] - gone[:, :-1]
    columns = {}
    for name, when in events.items():
        known = when.notna().to_numpy()
        columns[name] = counted(start + when.fillna(0).to_numpy(dtype=int), known)
    number, quarter = np.divmod(np.arange(lenders * quarters), quarters)
    with np.errstate(divide="ignore", invalid="ignore"):
        frame = pd.DataFrame(
            {"lender": number, "quarter": quarter}
            | {name: (100 * counts / at_risk).ravel() for name, counts in columns.items()}
            | {LENDING: (100 * np.log(granted)).ravel()}
        )
    return frame[np.isfinite(frame).all(axis=1) & (frame["quarter"] > 0)].reset_index(drop=True)


def cross_lags(panel: pd.DataFrame, level: float) -> dict[tuple[str, str], Effect]:
    """Return how each column of a panel goes with every other one a quarter later: ``(cause, outcome)`` to slope.

    A vector autoregression of one lag: each column on all columns of the lender's quarter before, with effects of
    lenders and quarters, errors by lender (Holtz-Eakin, Newey & Rosen 1988, Econometrica 56). With effects of lenders
    the slopes are biased by the order of one over the number of quarters (Nickell 1981, Econometrica 49).
    """
    names = [name for name in panel if name not in ("lender", "quarter")]
    before = panel.assign(quarter=panel["quarter"] + 1)
    both = panel.merge(before, on=["lender", "quarter"], suffixes=("", "_before"))
    if both["lender"].nunique() < 2 or len(both) <= 2 * len(names):
        raise StudyError("too few lenders or quarters to follow one quarter into the next.")
    design = both[[f"{name}_before" for name in names]]
    found: dict[tuple[str, str], Effect] = {}
    for outcome in names:
        fit = absorbed_linear(both[outcome], design, list(design), both[["lender", "quarter"]], both["lender"], level)
        found |= {(name, outcome): fit.effects[f"{name}_before"] for name in names if name != outcome}
    return found
