"""More of a factor: the slope, the slope without the highest values, and groups of values against the lowest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.inference import Effect

TOP = 0.025
"""Largest share of rows that leaves with the highest values."""

LAST = 4
"""The value of a count from which it falls into the last group."""

HANDFUL = 5
"""Values up to which each one of a count is a group of its own; otherwise as many groups."""


class Part(NamedTuple):
    """One reading of how an outcome goes with more of a factor."""

    name: str
    """``linear``, ``without_top`` or ``group_0``, ``group_1`` and so on from the lowest values."""
    effect: Effect | None
    """Of one unit more, or of the group against the lowest, itself nought; None where it cannot be estimated."""
    rows: np.ndarray
    """The rows (boolean) that the slope rests on, or that are in the group."""
    note: str


def below_top(values: pd.Series) -> np.ndarray:
    """Return which rows (boolean) are not among those with the highest values.

    The bound is the smallest value that at least 97.5% of the rows do not exceed; rows above it leave, rows at it stay.
    So ties stay together and at most 2.5% of the rows leave: none where more than that share the highest value.
    """
    return (values <= np.quantile(values, 1 - TOP, method="inverted_cdf")).to_numpy()


def groups(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return the group of each row, from nought for the lowest values, and what the groups hold.

    A count (whole numbers from nought) of few values, or one that at most a fifth of the rows have four or more of, is
    grouped as 0, 1, 2, 3 and 4 and more (few values: each by itself); all else in fifths, in which rows of one value
    stay together in the lower fifth. Groups that no row is in are not there.
    """
    distinct = np.unique(values)
    whole = distinct[0] >= 0 and (distinct == distinct.round()).all()
    few = len(distinct) <= HANDFUL
    if whole and (few or (values >= LAST).mean() <= 1 / HANDFUL):
        held = values.to_numpy() if few else np.minimum(values, LAST)
    else:
        edges = np.quantile(values, np.arange(1, HANDFUL) / HANDFUL, method="inverted_cdf")
        held = np.searchsorted(edges, values, side="left")
    place = np.unique(held, return_inverse=True)[1]
    ends = [(values[place == one].min(), values[place == one].max()) for one in range(place.max() + 1)]
    return place, [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in ends]


def dose(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    absorb: pd.Series | pd.DataFrame,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Iterator[Part]:
    """Yield the readings of how `outcome` goes with more of `factor`, by least squares.

    Parameters
    ----------
    outcome : (rows,)
    design : (rows x columns)
        The factor, of more than two values, and the controls.
    factor : str
    absorb : (rows,) or (rows x 2)
        Groups, such as periods, whose effects are taken out.
    clusters : (rows,)
        Rows of one cluster may resemble each other.
    level : float
        Level of confidence intervals.
    weights : (rows,), optional
        Of sampling. Which values are the highest, and the fifths, are told from the rows without them.
    """
    values = design[factor]

    def effects(columns: pd.DataFrame, stays: np.ndarray) -> dict[str, Effect]:
        whole = pd.concat([columns, design.drop(columns=factor)], axis=1)[stays]
        of_rows = None if weights is None else weights[stays]
        found = absorbed_linear(
            outcome[stays], whole, list(columns), absorb[stays], clusters[stays], level, of_rows
        ).effects
        return {name: one for name, one in found.items() if isinstance(one, Effect)}

    everyone, kept = np.ones(len(values), dtype=bool), below_top(values)
    left = "no row has more" if kept.all() else f"{(~kept).sum():,} of {len(kept):,} have more"
    slopes = {
        "linear": (everyone, "of one unit more"),
        "without_top": (kept, f"of one unit more, up to {values[kept].max():g}: {left}"),
    }
    for name, (stays, note) in slopes.items():
        try:
            yield Part(name, effects(values.to_frame(), stays)[factor], stays, note)
        except StudyError as error:
            yield Part(name, None, stays, str(error))
    place, held = groups(values)
    names = [f"group_{number}" for number in range(len(held))]
    columns = pd.DataFrame({name: (place == number) * 1.0 for number, name in enumerate(names)}, index=values.index)
    try:
        lowest = Effect(0.0, np.nan, np.nan, np.nan, np.nan)
        found, why = {names[0]: lowest} | effects(columns.iloc[:, 1:], everyone), ""
    except StudyError as error:
        found, why = {}, str(error)
    for number, name in enumerate(names):
        note = f"values {held[number]}"
        if number == 0:
            note += "; the others are held against it"
        elif why:
            note += f"; {why}"
        else:
            note += f", against {held[0]}"
        yield Part(name, found.get(name), place == number, note)
