"""Follow loans month by month: cumulative incidence by arm, hazards, competing exits, and contacts before and after."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import pandas as pd

from pipeline.analyses.time.contacts import contacts, lags, structural
from pipeline.analyses.time.curves import curves, follow_up
from pipeline.analyses.time.hazards import hazards, kinds_of_arrears, market, stressed_market
from pipeline.analyses.time.months import Months, Row
from pipeline.core.scope import Scope
from pipeline.runtime.errors import StudyError

WANTED = ("loan_ends", "loan_months", "market_months")
"""Further tables that the analysis takes, where the study has them."""


def rows(cohort: pd.DataFrame, more: Mapping[str, pd.DataFrame], allowed: Scope, level: float) -> list[Row]:
    """Return the rows on time; none where defaults carry no date.

    `cohort` holds the prepared loans, `more` those of `WANTED` that the study has; intervals have confidence `level`.
    """
    protocol, found = allowed.protocol, []
    followed = follow_up(cohort, more.get("loan_ends"), protocol.horizon_months)
    if followed is not None and allowed.models:
        found += _tried("curves", partial(curves, cohort, followed, allowed, level))
    if "loan_months" in more and allowed.models and allowed.arms:
        months = Months(more["loan_months"], cohort, followed, more.get("market_months"), protocol, level)
        for part in (hazards, contacts, lags, structural, market, stressed_market, kinds_of_arrears):
            found += _tried(part.__name__, partial(part, months))
    return found


def _tried(name: str, part: Callable[[], Iterable[Row]]) -> list[Row]:
    """Return a part's rows, or one that says why there are none."""
    try:
        return [*part()]
    except StudyError as error:
        return [{"estimator": name, "specification": "not_estimated", "note": str(error)}]
