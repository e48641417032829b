"""Cases chosen by rule, so that nobody picks the story: near pairs of unlike fate, and units on and off a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FATES = {"with_claim": (0, 1), "against_claim": (1, 0), "both_repaid": (0, 0), "both_defaulted": (1, 1)}
"""Kinds of pair: whether the treated loan and its control defaulted."""


def nearest_of_each_fate(pairs: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return, for each kind of pair that there is, the row with the smallest distance and how many there are.

    `pairs` has the columns ``treated``, ``control`` (names of loans), ``treated_default``, ``control_default`` (0 or 1)
    and ``distance``. Equal distances are settled by the names, so the order of the rows does not matter. The nearest
    pair is the one in which the two loans were most alike before they parted (a most similar case: Seawright and
    Gerring 2008, Political Research Quarterly 61).
    """
    chosen = {}
    for name, (treated, control) in FATES.items():
        mine = pairs[(pairs["treated_default"] == treated) & (pairs["control_default"] == control)]
        if not mine.empty:
            first = mine.sort_values(["distance", "treated", "control"], kind="stable").index[0]
            chosen[name] = (int(pairs.index.get_loc(first)), len(mine))
    return chosen


def studentised(outcome: NDArray, design: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Return fitted values and internally studentised residuals of a weighted least squares regression.

    `outcome` has one number a unit, `design` one row a unit (with its constant), `weights` are inverse variances up to
    a factor. A residual is divided by its own standard deviation, so that units with little weight or much leverage
    are judged by what chance allows them (Cook and Weisberg 1982, Residuals and Influence in Regression, 2.2). Units
    whose fit leaves no freedom get NaN. ValueError if there are no more units than columns.
    """
    units, columns = design.shape
    if units <= np.linalg.matrix_rank(design):
        raise ValueError(f"{units} units cannot show how far they lie from a line of {columns} coefficients")
    root = np.sqrt(weights)
    left, sizes, _ = np.linalg.svd(design * root[:, None], full_matrices=False)
    basis = left[:, sizes > sizes[0] * 1e-10]
    fitted = basis @ (basis.T @ (outcome * root))
    residual = outcome * root - fitted
    leverage = (basis**2).sum(axis=1)
    variance = residual @ residual / (units - basis.shape[1])
    free = 1 - leverage
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(free > 1e-8, residual / np.sqrt(variance * free), np.nan)
    return fitted / root, scaled


def on_and_off(residuals: NDArray, names: list[str]) -> dict[str, int]:
    """Return the places of the unit on the line, the furthest above and the furthest below it.

    Ties are settled by the names. Cases on the line show the mechanism at work, those off it what it leaves out
    (Lieberman 2005, American Political Science Review 99).
    """
    known = [place for place in range(len(names)) if np.isfinite(residuals[place])]
    return {
        "on_line": min(known, key=lambda place: (abs(residuals[place].round(9)), names[place])),
        "above_line": min(known, key=lambda place: (-residuals[place].round(9), names[place])),
        "below_line": min(known, key=lambda place: (residuals[place].round(9), names[place])),
    }
