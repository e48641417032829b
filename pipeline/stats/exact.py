"""Exact tests of a table of groups by event: no large-sample approximation, whatever the counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError

TOLERANCE = 1e-7
"""Relative difference up to which two tables count as equally likely (Fisher's test in R uses the same)."""

MOST = 5_000_000
"""Tables beyond which enumeration takes too long."""


class OddsRatio(NamedTuple):
    """Conditional odds ratio of a two-by-two table with Fisher's exact test."""

    estimate: float
    ci_low: float
    ci_high: float
    p_value: float


def fisher(events: tuple[int, int], sizes: tuple[int, int], level: float) -> OddsRatio:
    """Compare (treated, control) `events` among `sizes`: Fisher's exact test and the conditional odds ratio.

    The estimate maximises the likelihood given both margins, the interval is exact (Cornfield 1956): a logistic
    regression of the event on one 0/1 factor by conditional likelihood.
    """
    from scipy.stats import fisher_exact
    from scipy.stats.contingency import odds_ratio

    table = [[event, size - event] for event, size in zip(events, sizes, strict=True)]
    found = odds_ratio(table, kind="conditional")
    interval = found.confidence_interval(confidence_level=level)
    return OddsRatio(
        float(found.statistic), float(interval.low), float(interval.high), float(fisher_exact(table).pvalue)
    )


def _tables(events: int, sizes: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield every way to spread the events over groups of these sizes."""
    if len(sizes) == 1:
        if events <= sizes[0]:
            yield (events,)
        return
    for first in range(min(events, sizes[0]) + 1):
        for rest in _tables(events - first, sizes[1:]):
            yield (first, *rest)


class ExactTests(NamedTuple):
    """P-values given both margins of the table."""

    any_difference: float
    """Of all tables, those no likelier than the one found (Freeman & Halton 1951)."""
    trend: float
    """Twice the smaller tail of the events' summed scores, at most one: the exact Cochran-Armitage test."""


def exact_tests(events: list[int], sizes: list[int], scores: list[float]) -> ExactTests:
    """Test whether groups differ in their event rates, and whether the rate rises or falls with the groups' scores.

    Groups have `events` among `sizes` rows and an ordered dose, `scores`. Every table with these margins is enumerated.
    Raises StudyError where there are too many.
    """
    from scipy.special import gammaln

    if np.prod([min(sum(events), size) + 1.0 for size in sizes[:-1]]) > MOST:
        raise StudyError("an exact test of so large a table takes too long: use fewer groups.")
    tables = np.array(list(_tables(sum(events), sizes)))
    size = np.array(sizes)
    likelihood = -(gammaln(tables + 1) + gammaln(size - tables + 1)).sum(axis=1)
    probability = np.exp(likelihood - likelihood.max())
    probability /= probability.sum()
    here = int(np.flatnonzero((tables == np.array(events)).all(axis=1))[0])
    any_difference = probability[probability <= probability[here] * (1 + TOLERANCE)].sum()
    summed = tables @ np.array(scores)
    near = 1e-9 * max(1.0, np.abs(summed).max())
    low = probability[summed <= summed[here] + near].sum()
    high = probability[summed >= summed[here] - near].sum()
    return ExactTests(float(min(1.0, any_difference)), float(min(1.0, 2 * min(low, high))))
