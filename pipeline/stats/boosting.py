"""Predictions of scikit-learn's histogram gradient boosting of two classes, by the bins in which its trees have learnt.

A loan's bins, of a byte each, lead to the same leaves as its numbers, of eight bytes, by which scikit-learn looks for
them: 120 trees answer for 26,000 loans of 45 columns in 0.16 s of processor time instead of 0.69 s, and in 0.11 s where
the loans are in their bins already. Private attributes of the model are read; tests hold every number equal to the
library's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def probability(model: Any, design: np.ndarray) -> np.ndarray:
    """Return a fitted HistGradientBoostingClassifier's probabilities of one (loans,); `design` is loans x columns."""
    from scipy.special import expit

    return expit(_added(model, model._predictors, _bins(model, design), model._baseline_prediction.item()))


class Binned:
    """Trees that predict the same loans again and again, with some columns permuted among them."""

    def __init__(self, model: Any, design: np.ndarray) -> None:
        """Put the loans of `design` (loans x columns) into the bins of a fitted `model`."""
        self._model, self._bins = model, _bins(model, design)

    def permuted(self, columns: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return what gives probabilities of one (loans,) where each loan has `columns` (a mask) of another one.

        Which one an order of the loans says, as places (loans,). Trees that ask for none of these columns answer once.
        """
        from scipy.special import expit

        trees = self._model._predictors
        asks = [bool(columns[one.nodes["feature_idx"][one.nodes["is_leaf"] == 0]].any()) for (one,) in trees]
        moving, still = (
            [one for one, moves in zip(trees, asks, strict=True) if moves is kind] for kind in (True, False)
        )
        rest = _added(self._model, still, self._bins, self._model._baseline_prediction.item())
        kept, moved = self._bins[:, columns], self._bins.copy()

        def share(order: np.ndarray) -> np.ndarray:
            moved[:, columns] = kept[order]
            return expit(_added(self._model, moving, moved, rest))

        return share


def _bins(model: Any, design: np.ndarray) -> np.ndarray:
    return model._bin_mapper.transform(design)


def _added(model: Any, trees: Sequence[Any], bins: np.ndarray, start: np.ndarray | float) -> np.ndarray:
    """Return `start` and after it, in their order, what the trees say of binned loans (loans,)."""
    found = np.full(len(bins), start, dtype=float)
    for (one,) in trees:
        found += one.predict_binned(bins, model._bin_mapper.missing_values_bin_idx_, 1)
    return found
