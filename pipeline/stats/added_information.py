"""What further columns add to what is already known of loans: areas under the ROC curve without and with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats import prediction
from pipeline.stats.discrimination import compare
from pipeline.stats.inference import Effect
from pipeline.stats.prediction import Sample
from pipeline.stats.splits import Split


class Added(NamedTuple):
    """Areas under the ROC curve on the loans that are judged, and the second less the first, clustered."""

    without: Effect
    given: Effect
    gain: Effect


def added(
    sample: Sample, split: Split, known: Sequence[str], more: Sequence[str], clusters: np.ndarray, level: float
) -> Added:
    """Learn default from the terms `known`, and from these and `more`, and judge both on the split's test loans.

    Logistic regressions with a ridge penalty of one prior loan; `clusters` (loans,) are labels of the whole sample.
    Raises StudyError where the judged loans are all of one kind.
    """
    default = sample.default[split.test]
    if min(default.sum(), len(default) - default.sum()) < 2:
        raise StudyError("fewer than two of the later loans defaulted, or fewer than two did not.")
    first, second = (
        prediction.predict(sample, split, terms, "logistic").share for terms in ([*known], [*known, *more])
    )
    return Added(*compare(default, first, second, level, np.asarray(clusters)[split.test]))
