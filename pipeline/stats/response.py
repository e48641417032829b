"""Who answered: a model of response, and the weights with which those who answered stand for all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import grouped_logit
from pipeline.stats.design import independent
from pipeline.stats.discrimination import area
from pipeline.stats.inference import Effect, as_ratio, cluster_codes, effect


class Response(NamedTuple):
    """A logistic regression of having answered, and what follows from it."""

    odds_ratios: dict[str, Effect]
    """Of one unit more of each column; standard errors are on the log scale and cluster-robust."""
    probability: np.ndarray
    """Fitted probability of an answer (loans,)."""
    weights: np.ndarray
    """Inverse probability weights of those who answered (answered loans,), with mean one."""
    area: float
    """Area under the ROC curve: how well the columns tell who answers, one half for not at all."""

    @property
    def effective_share(self) -> float:
        """Number of equally weighted answers that would tell as much, as a share of the answers (Kish 1965)."""
        return float(self.weights.sum() ** 2 / (self.weights @ self.weights) / len(self.weights))


def response(measured: np.ndarray, design: pd.DataFrame, clusters: pd.Series, level: float) -> Response:
    """Model who answered by a logistic regression, and weight answers by the inverse of its probability.

    `measured` (loans,) is boolean, `design` (loans x columns, of full rank, with ``intercept``) what response may
    depend on. Weighted answers stand for all loans if, given these columns, response does not depend on the answer
    (Horvitz & Thompson 1952; Seaman & White 2013). Yes-or-no columns at which all or none answered join the first
    level, because they have no finite estimate. Raises StudyError when all or none answered.
    """
    y = np.asarray(measured, dtype=float)
    if np.ptp(y) == 0:
        raise StudyError("a model of response needs loans with and without an answer.")
    kept = []
    for name in design.columns.drop("intercept"):
        column = design[name].to_numpy(dtype=float)
        if set(np.unique(column)) <= {0.0, 1.0} and any(np.ptp(y[column == value]) == 0 for value in (0.0, 1.0)):
            continue
        kept.append(name)
    x = design[kept].to_numpy(dtype=float)
    scale = x.std(axis=0)
    # Columns in their own units, from loans to logarithms of money: standardised for the solver alone.
    standard = (x - x.mean(axis=0)) / scale
    standing = independent(np.column_stack([np.ones(len(y)), standard]))[1:]
    kept, standard, scale = list(np.array(kept, dtype=object)[standing]), standard[:, standing], scale[standing]
    if not kept:
        share = np.full(len(y), y.mean())
        return Response({}, share, np.ones(int(y.sum())), 0.5)
    fit = grouped_logit(y, standard, [np.zeros(len(y), dtype=int)], cluster_codes(clusters), "who answered")
    probability = 1 / (1 + np.exp(-fit.index))
    ratios = {}
    for place, name in enumerate(kept):
        error = np.sqrt(fit.variance[place, place])
        ratios[name] = as_ratio(effect(fit.slopes[place] / scale[place], error / scale[place], level))
    weights = 1 / probability[y == 1]
    return Response(ratios, probability, weights / weights.mean(), area(y, fit.index.round(9)))
