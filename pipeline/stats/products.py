"""Weighted cross products of a design, block after block, so that no weighted copy of it is ever held."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BLOCK = 4096
"""Rows at a time: few enough to stay in a processor's cache between their weighting and their sums."""


def weighted_products(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return X'WX (columns x columns) in the precision of `x` (rows x columns); `weights` (rows,) are not negative."""
    found = np.zeros((x.shape[1], x.shape[1]), dtype=x.dtype)
    root = np.sqrt(weights).astype(x.dtype, copy=False)[:, None]
    # The product of a matrix with itself is symmetric: half of it need not be computed.
    for start in range(0, len(x), BLOCK):
        half = x[start : start + BLOCK] * root[start : start + BLOCK]
        found += half.T @ half
    return found


class NewtonSums(NamedTuple):
    """What one of Newton's steps needs of a regression with group effects."""

    fitted: np.ndarray
    """Expected outcome (rows,)."""
    density: np.ndarray
    """Weight of each row in the information (rows,)."""
    rest: np.ndarray
    """Weighted residual (rows,)."""
    products: np.ndarray
    """X'WX (columns x columns)."""
    by_group: np.ndarray
    """Sums of the weighted columns (groups x columns)."""
    score: np.ndarray
    """X' times the residuals (columns,)."""


MEAN: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | float]]] = {
    "logit": lambda index: ((p := 1 / (1 + np.exp(-index))), p * (1 - p)),
    "poisson": lambda index: ((mean := np.exp(index)), mean),
    "linear": lambda index: (index, 1.0),
}
"""Expected outcome and its slope at a linear predictor, by family."""


def newton_sums(
    columns: np.ndarray,
    outcome: np.ndarray,
    weights: np.ndarray,
    group: np.ndarray,
    own: np.ndarray,
    slopes: np.ndarray,
    family: str,
    certain: float,
) -> NewtonSums | None:
    """Return the sums of a step from `own` effects (groups,) and `slopes` (columns,), in one pass over the rows.

    `columns` lie one after the other (columns x rows), `outcome` and `weights` are (rows,); `group` numbers the rows
    from 0 and rises with them: a block's groups then stand side by side. None as soon as a linear predictor lies beyond
    `certain`; those of family ``linear`` may.
    """
    number, rows = columns.shape
    fitted, density, rest = np.empty(rows), np.empty(rows), np.empty(rows)
    products, score = np.zeros((number, number)), np.zeros(number)
    by_group = np.zeros((int(group[-1]) + 1, number))
    heavy = np.empty((number, min(BLOCK, rows)))
    for start in range(0, rows, BLOCK):
        part = slice(start, start + BLOCK)
        block, numbers = columns[:, part], group[part]
        index = own[numbers] + slopes @ block
        if family != "linear" and not np.abs(index).max() < certain:
            return None
        fitted[part], slope = MEAN[family](index)
        density[part] = weights[part] * slope
        rest[part] = weights[part] * (outcome[part] - fitted[part])
        weighted = np.multiply(block, density[part], out=heavy[:, : len(numbers)])
        products += block @ weighted.T
        score += block @ rest[part]
        first = np.flatnonzero(np.diff(numbers, prepend=-1))
        by_group[numbers[first]] += np.add.reduceat(weighted, first, axis=1).T
    return NewtonSums(fitted, density, rest, products, by_group, score)
