"""What each block of controls takes away from a raw effect, whatever the order in which blocks come (Gelbach 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, cluster_codes, correction, effect

WHOLE = "all"
"""Name under which the difference itself stands."""


def gelbach(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    blocks: Mapping[str, Sequence[str]],
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> dict[str, Effect]:
    """Split the raw coefficient of `factor` less the one with all controls into the parts of blocks of controls.

    `outcome` (rows,), `design` (rows x columns, full rank) holds ``intercept``, `factor` and the controls; `blocks`
    names the columns of each block, every control once. A block's part is the coefficient of the factor in a regression
    of the block's fitted contribution on the factor alone, so that the parts add up to the difference (Gelbach 2016,
    Journal of Labor Economics 34, equation 8). Errors are by the delta method on the joint regressions: cluster-robust
    over the sum of what estimating the block's coefficients and its regression on the factor bring, with the correction
    of `inference.correction`, where k is that of the regression with all controls. With `weights` all regressions are
    weighted. The difference stands under `WHOLE`. Raises StudyError when the controls determine the factor.
    """
    if factor not in design:
        raise StudyError(f"{factor} does not vary, or the controls determine it: nothing can be said of its effect.")
    cluster = cluster_codes(clusters)
    w = np.ones(len(outcome)) if weights is None else weights.to_numpy(dtype=float)
    names, y = list(design.columns), outcome.to_numpy(dtype=float)
    x = design.to_numpy(dtype=float)
    centre = w @ x / w.sum()
    centre[names.index("intercept")] = 0.0
    x = x - centre
    scale = np.sqrt(w @ x**2)
    x /= scale
    weighted = w[:, None] * x
    inverse = np.linalg.inv(weighted.T @ x)
    slopes = inverse @ (weighted.T @ y)
    rest = w * (y - x @ slopes)
    place = names.index(factor)
    # Alone, the factor is regressed on with an intercept: deviations from its mean.
    alone = x[:, place]
    information = w @ alone**2

    moved, found = {}, {}
    for block, columns in blocks.items():
        places = [names.index(name) for name in columns]
        part = x[:, places] @ slopes[places]
        # Regressions of the block's columns on the factor, and of what they contribute.
        on_factor = (w * alone) @ x[:, places] / information
        size = float((w * alone) @ part / information)
        residual = w * (part - w @ part / w.sum() - size * alone)
        found[block] = size
        moved[block] = (x @ (inverse[:, places] @ on_factor)) * rest + alone * residual / information
    found[WHOLE], moved[WHOLE] = sum(found.values()), sum(moved.values())
    count = int(cluster.max()) + 1
    by = correction(count, len(y), x.shape[1])
    return {
        block: effect(
            size / scale[place],
            np.sqrt(by * (np.bincount(cluster, moved[block]) ** 2).sum()) / scale[place],
            level,
        )
        for block, size in found.items()
    }
