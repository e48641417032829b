"""Exact and coarsened exact matching: strata of loans that agree, and the weights that make the arms comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError

AUTOMATIC = "automatic"
"""Number of bins by Sturges' rule."""


def coarsen(values: pd.Series, cuts: Sequence[float] | int | str) -> np.ndarray:
    """Return the bin (from 0) of each value.

    `cuts`: a list of cut points, each of which opens a bin (a value on it belongs to the upper one); a number of bins
    of equal width between the smallest and the largest value; or ``automatic``: as many bins as Sturges' rule gives,
    the next whole number above log2(n) + 1 (Sturges 1926; the default of Iacus, King & Porro 2012).
    Raises StudyError when a value is missing or the cut points do not rise.
    """
    if values.isna().any():
        raise StudyError(f"'{values.name}' has missing values: drop or fill them before loans are matched on it.")
    numbers = values.to_numpy(dtype=float)
    if isinstance(cuts, str):
        cuts = int(np.ceil(np.log2(len(numbers)) + 1))
    if isinstance(cuts, int):
        # Inner edges only: the largest value belongs to the last bin.
        edges = np.linspace(numbers.min(), numbers.max(), cuts + 1)[1:-1]
    else:
        edges = np.asarray(cuts, dtype=float)
        if (np.diff(edges) <= 0).any():
            raise StudyError(f"the cut points of '{values.name}' must rise.")
    return np.searchsorted(edges, numbers, side="right")


def strata(frame: pd.DataFrame, cuts: Mapping[str, Sequence[float] | int | str] | None = None) -> np.ndarray:
    """Return the stratum (from 0) of each loan: those of one stratum agree in every column, coarsened by `cuts`."""
    cuts = cuts or {}
    bins = {name: coarsen(frame[name], cuts[name]) if name in cuts else frame[name] for name in frame}
    if not bins:
        return np.zeros(len(frame), dtype=np.int64)
    agreeing = pd.DataFrame(bins, index=frame.index)
    return agreeing.groupby(list(bins), observed=True, dropna=False).ngroup().to_numpy()


def stratum_weights(treated: np.ndarray, stratum: np.ndarray, estimand: str = "ATT") -> np.ndarray:
    """Weight the loans of each stratum so that both arms have the same mix of strata (Iacus, King & Porro 2012).

    ``ATT``: treated loans count once, controls as often as treated loans stand beside each of them. ``ATE``: both
    arms are brought to the mix of all loans in the strata that are left. Strata with one arm only weigh nothing. Each
    arm that is weighted has a mean weight of one over its loans that are left, as in MatchIt. Raises StudyError when
    no stratum holds both arms.
    """
    arm = treated.astype(bool)
    number = pd.factorize(stratum)[0]
    ones, zeros = np.bincount(number, arm)[number], np.bincount(number, ~arm)[number]
    both = (ones > 0) & (zeros > 0)
    if not both.any():
        raise StudyError("no stratum holds both a treated loan and a control: match on fewer or coarser columns.")
    target = ones if estimand == "ATT" else ones + zeros
    with np.errstate(divide="ignore"):
        weight = np.where(both, np.where(arm, target / np.maximum(ones, 1), target / np.maximum(zeros, 1)), 0.0)
    for side in (arm, ~arm):
        kept = side & both
        weight[kept] *= kept.sum() / weight[kept].sum()
    return weight
