"""Effects by group of loans, and whether the groups differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.inference import Effect, cluster_codes


class ByGroup(NamedTuple):
    """One regression in which a factor has an effect of its own in every group."""

    effects: dict[str, Effect]
    """The effect in each group, in the groups' order."""
    last_against_first: Effect
    """The effect in the last group minus that in the first."""
    all_equal: float
    """p-value of the hypothesis that all groups have the same effect (Wald, chi-squared)."""


def by_group(
    outcome: pd.Series, design: pd.DataFrame, factor: str, group: pd.Series, clusters: pd.Series, level: float
) -> ByGroup:
    """Estimate the effect of `factor` in each group by least squares, with clustered errors as `linear_probability`.

    `design` holds `factor` and the controls (rows x columns, full rank), `group` a category (rows,) whose levels the
    factor is crossed with; indicators of the groups are added where the controls do not determine them. A plain
    comparison of "clear in one group, not in the other" is no test of a difference (Gelman & Stern 2006): the last
    two numbers are.
    """
    import statsmodels.api as sm
    from scipy.stats import norm

    levels = [name for name in group.cat.categories if (group == name).any()]
    if len(levels) < 2:
        raise StudyError("effects by group need at least two groups of loans.")
    member = np.column_stack([(group == name).to_numpy(dtype=float) for name in levels])
    crossed = member * design[factor].to_numpy(dtype=float)[:, None]
    controls = design.drop(columns=factor).to_numpy(dtype=float)
    # The crossed columns stand last: what the controls already say is no effect.
    matrix = np.column_stack([controls, member, crossed])
    kept = independent(matrix)
    if not kept[-len(levels) :].all():
        raise StudyError(f"effects by group: {factor} does not vary within every group.")
    fit = sm.OLS(outcome.to_numpy(dtype=float), matrix[:, kept]).fit(
        cov_type="cluster", cov_kwds={"groups": cluster_codes(clusters), "use_correction": True}
    )
    quantile = norm.ppf(0.5 + level / 2)
    covariance = fit.cov_params()

    def combination(weights: np.ndarray) -> Effect:
        value, error = float(weights @ fit.params), float(np.sqrt(weights @ covariance @ weights))
        return Effect(
            value, error, value - quantile * error, value + quantile * error, float(2 * norm.sf(abs(value) / error))
        )

    unit = np.eye(len(fit.params))[-len(levels) :]
    contrasts = unit[1:] - unit[0]
    equal = fit.wald_test(contrasts, use_f=False, scalar=True)
    return ByGroup(
        {str(name): combination(unit[place]) for place, name in enumerate(levels)},
        combination(unit[-1] - unit[0]),
        float(equal.pvalue),
    )
