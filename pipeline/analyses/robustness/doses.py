"""Whether default goes with more of a factor: slope, slope without the highest values, groups of values."""

from collections.abc import Iterator

import pandas as pd

from pipeline.analyses.robustness.sample import Row, Sample
from pipeline.core import results
from pipeline.stats.dose import dose


def doses(sample: Sample) -> Iterator[Row]:
    """Yield default by more of a factor of more than two values, with all controls."""
    if sample.loans[sample.factor].nunique() < 3 or sample.factor not in sample.slim:
        return
    absorb = pd.Series(0, sample.loans.index) if sample.periods is None else sample.periods
    of_loans = (sample.default, sample.slim, sample.factor, absorb, sample.clusters, sample.level, sample.weights)
    for part in dose(*of_loans):
        found = results.in_points(part.effect) if part.effect else {}
        yield sample.row("dose", part.name, "risk_difference", **found, stays=part.rows, note=part.note)
