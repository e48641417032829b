"""Bounds on an effect where the treatment also moves who is observed (Lee 2009, Review of Economic Studies 76)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import cluster_codes, codes


class Bounds(NamedTuple):
    """What the effect on those who would be observed in either arm can be at least and at most."""

    lower: float
    upper: float
    trimmed: float
    """Share of the observed rows that had to be set aside."""


class Interval(NamedTuple):
    """Bounds with their standard errors and an interval that covers the effect, not the whole range."""

    bounds: Bounds
    lower_error: float
    upper_error: float
    ci_low: float
    ci_high: float


def trimmed_means(values: np.ndarray, weights: np.ndarray, share: float) -> tuple[float, float]:
    """Return the mean without the highest `share`, and the mean without the lowest.

    `values` (rows,) ascending, with non-negative `weights`. The row at the cut stays with a part of its weight, so
    rows of equal value give the same answer in any order.
    """
    if share <= 0:
        mean = float(np.average(values, weights=weights))
        return mean, mean
    total = weights.sum()
    before = np.cumsum(weights) - weights
    low = np.clip((1 - share) * total - before, 0, weights)
    high = np.clip(before + weights - share * total, 0, weights)
    return float(low @ values / low.sum()), float(high @ values / high.sum())


class _Arm(NamedTuple):
    """One arm of one stratum: what each cluster adds to it."""

    size: np.ndarray
    """Rows of each cluster (clusters,)."""
    outcome: np.ndarray
    """Outcomes that are observed, ascending (observed,)."""
    group: np.ndarray
    """The cluster of each (observed,)."""


def _arms(
    outcome: np.ndarray, observed: np.ndarray, treated: np.ndarray, stratum: np.ndarray, groups: np.ndarray
) -> list[tuple[_Arm, _Arm]]:
    """Return (treated, control) of every stratum."""
    number = groups.max() + 1
    strata = codes(stratum)
    found = []
    for one in range(strata.max() + 1):
        pair = []
        for arm in (1, 0):
            of_arm = (strata == one) & (treated == arm)
            seen = np.flatnonzero(of_arm & (observed == 1))
            seen = seen[np.argsort(outcome[seen], kind="stable")]
            pair.append(_Arm(np.bincount(groups[of_arm], minlength=number), outcome[seen], groups[seen]))
        found.append((pair[0], pair[1]))
    return found


def _bounds(strata: list[tuple[_Arm, _Arm]], times: np.ndarray) -> Bounds:
    """Return the bounds when each cluster counts so many `times` (clusters,)."""
    lower = upper = always = seen = set_aside = 0.0
    for pair in strata:
        sizes = [float(arm.size @ times) for arm in pair]
        weights = [times[arm.group].astype(float) for arm in pair]
        counts = [float(one.sum()) for one in weights]
        if min(counts) == 0:
            raise StudyError("Lee bounds: in one stratum nobody of one arm is observed; use wider strata.")
        rates = [count / size for count, size in zip(counts, sizes, strict=True)]
        shares = [max(0.0, 1 - rates[1 - place] / rates[place]) for place in (0, 1)]
        one, other = (
            trimmed_means(arm.outcome, weight, share) for arm, weight, share in zip(pair, weights, shares, strict=True)
        )
        members = sum(sizes) * min(rates)
        # The lowest effect sets the treated's highest aside, or the controls' lowest.
        lower += members * (one[0] - other[1])
        upper += members * (one[1] - other[0])
        always += members
        seen += sum(counts)
        set_aside += sum(share * count for share, count in zip(shares, counts, strict=True))
    return Bounds(lower / always, upper / always, set_aside / seen)


def lee_interval(
    outcome: np.ndarray,
    observed: np.ndarray,
    treated: np.ndarray,
    stratum: np.ndarray,
    clusters: np.ndarray,
    *,
    level: float,
    draws: int,
    seed: int,
) -> Interval:
    """Bound the effect of a drawn treatment on an outcome that is seen only for some, with an interval for the effect.

    Args:
        outcome: (rows,); what stands where it is not observed plays no part.
        observed: 0/1, whether the outcome is seen (rows,).
        treated: 0/1, randomised within strata (rows,).
        stratum: labels (rows,). clusters: labels that the bootstrap draws (rows,).
        level, draws, seed: confidence level of the interval, and the bootstrap's number of draws and start.

    The treatment may bring rows into sight or out of it, but within a stratum not both (monotonicity). The arm of
    which more are observed is trimmed by the surplus share, once from above and once from below: the two means bound
    the mean of those who would be observed anyhow (Lee 2009, proposition 1a). Strata may differ in direction
    (Semenova 2020, arXiv 2008.12720), and are averaged by how many such rows they hold. Raises StudyError when
    a stratum has an arm of which nobody is observed.

    Errors come from a bootstrap that draws whole `clusters` (labels, rows); a draw that leaves an arm of a stratum
    unobserved is drawn again. The interval covers the effect itself with probability `level` (Imbens & Manski 2004,
    Econometrica 72, equations 6 and 7), which is narrower than one that covers the whole range between the bounds.
    """
    groups = cluster_codes(clusters)
    number = groups.max() + 1
    strata = _arms(outcome, observed, treated, stratum, groups)
    bounds = _bounds(strata, np.ones(number))
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    found: list[Bounds] = []
    failures = 0
    while len(found) < draws:
        times = np.bincount(generator.integers(number, size=number), minlength=number)
        try:
            found.append(_bounds(strata, times))
        except StudyError as error:
            failures += 1
            if failures > draws:
                raise StudyError(
                    "Lee bounds: most draws of clusters leave an arm of a stratum empty; use wider strata."
                ) from error
    lower_error, upper_error = np.std(np.array(found)[:, :2], axis=0, ddof=1)
    largest = max(lower_error, upper_error)
    quantile = _imbens_manski((bounds.upper - bounds.lower) / largest if largest > 0 else np.inf, level)
    return Interval(
        bounds,
        float(lower_error),
        float(upper_error),
        float(bounds.lower - quantile * lower_error),
        float(bounds.upper + quantile * upper_error),
    )


def _imbens_manski(width: float, level: float) -> float:
    """Solve Phi(c + width) - Phi(-c) = level: between the one-sided and the two-sided normal quantile."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    return brentq(lambda c: ndtr(c + width) - ndtr(-c) - level, 0, 10)
