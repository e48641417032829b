"""Default rates with their uncertainty."""

from __future__ import annotations

import pandas as pd

from pipeline.stats.sampling import prior_ratio, to_population


def wilson(rate: pd.Series, size: pd.Series, level: float) -> tuple[pd.Series, pd.Series]:
    """Return the ends of the score interval (Wilson 1927) of each rate (a fraction) among `size` loans."""
    from scipy.special import ndtri

    z = ndtri(0.5 + level / 2)
    middle, share = rate + z**2 / (2 * size), 1 + z**2 / size
    half = z * (rate * (1 - rate) / size + (z / (2 * size)) ** 2) ** 0.5
    return ((middle - half) / share).clip(0, 1), ((middle + half) / share).clip(0, 1)


def default_rates(default: pd.Series, group: pd.Series, level: float, weights: pd.Series | None = None) -> pd.DataFrame:
    """Return the default rate of each group with its Wilson score interval (Wilson 1927).

    `default` is 0/1, `group` labels the same loans. One row a group in the group's own order, indexed by its label:
    ``rate, ci_low, ci_high`` as fractions, ``n``, ``defaults``. With `weights` of a sample by outcome, rate and
    bounds are brought to the population: they rise with the sample's rate, so its interval keeps its coverage.
    """
    counts = default.groupby(group, observed=True).agg(defaults="sum", n="size")
    low, high = wilson(counts["defaults"] / counts["n"], counts["n"], level)
    rates = counts.assign(rate=counts["defaults"] / counts["n"], ci_low=low, ci_high=high)
    if weights is None:
        return rates
    ratio = prior_ratio(default, weights)
    return rates.assign(**{name: to_population(rates[name], ratio) for name in ("rate", "ci_low", "ci_high")})


def dose_groups(factor: pd.Series, edges: list[float]) -> pd.Series:
    """Group a factor by lower edges; the last group is open: edges 0, 1, 2 give the labels "0", "1" and "2+"."""
    labels = [f"{edge:g}" for edge in edges[:-1]] + [f"{edges[-1]:g}+"]
    return pd.cut(factor, [*edges, float("inf")], right=False, labels=labels)
