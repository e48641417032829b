"""Ask by which way the programme works: screening or behaviour, satisfaction, loyalty, contacts and quick answers.

Its dozens of regressions with lenders' effects and instruments are fitted by our engines: with linearmodels the stage
takes 93 processor seconds instead of 13, and every written digit is the same.
"""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from pipeline.analyses.mechanism.first_stages import answers, answers_less_other_months, first_stages, lot, reached
from pipeline.analyses.mechanism.loyalty import feedback, loyalty
from pipeline.analyses.mechanism.programme import Programme, Row
from pipeline.analyses.mechanism.satisfaction import go_live, satisfaction
from pipeline.analyses.mechanism.screening import assessment, screening
from pipeline.core.scope import Scope
from pipeline.runtime.errors import StudyError

WAYS = (
    screening,
    assessment,
    first_stages,
    lot,
    loyalty,
    feedback,
    satisfaction,
    go_live,
    reached,
    answers,
    answers_less_other_months,
)

WANTED = ("loan_ends", "alert_answers", "loan_months")
"""Further tables that the analysis takes, where the study has them."""


def rows(
    cohort: pd.DataFrame, more: Mapping[str, pd.DataFrame], allowed: Scope, level: float, balance: float
) -> list[Row]:
    """Return the rows on mechanisms; none where no programme starts at some lenders.

    Parameters
    ----------
    cohort
        Prepared loans.
    more
        Those of `WANTED` that the study has.
    allowed
        What the cohort allows of the protocol.
    level
        Confidence level of intervals.
    balance
        Standardised difference below which two groups count as alike.

    """
    needed = {"adopted", "institution_id", "origination_quarter"}
    if not needed <= set(cohort) or not allowed.arms or not 0 < cohort["adopted"].mean() < 1:
        return []
    programme = Programme(cohort, more, allowed.protocol, level, balance)
    return [row for way in WAYS for row in _tried(way, programme)]


def _tried(way: Callable[[Programme], Iterable[Row]], programme: Programme) -> list[Row]:
    """Return the rows of a way to default, or one that says why there are none."""
    try:
        return [*way(programme)]
    except StudyError as error:
        return [{"estimator": way.__name__, "specification": "not_estimated", "note": str(error)}]
