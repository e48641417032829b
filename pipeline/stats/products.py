"""Weighted cross products of a design, block after block, so that no weighted copy of it is ever held."""

from __future__ import annotations

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


def grouped_products(x: np.ndarray, weights: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return X'WX (columns x columns) and the weighted sums of each group (groups x columns).

    `group` numbers the rows from 0 and rises with them: a block's groups then stand side by side.
    """
    products = np.zeros((x.shape[1], x.shape[1]))
    sums = np.zeros((int(group[-1]) + 1, x.shape[1]))
    heavy = np.empty((min(BLOCK, len(x)), x.shape[1]))
    for start in range(0, len(x), BLOCK):
        rows, numbers = x[start : start + BLOCK], group[start : start + BLOCK]
        weighted = np.multiply(rows, weights[start : start + BLOCK, None], out=heavy[: len(rows)])
        products += rows.T @ weighted
        first = np.flatnonzero(np.diff(numbers, prepend=-1))
        sums[numbers[first]] += np.add.reduceat(weighted, first, axis=0)
    return products, sums
