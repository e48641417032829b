"""Estimate the effect on the treated by every adjustment, and ask what chance and hidden confounding could do."""

import pandas as pd

from pipeline.analyses.adjust.checks import hidden_bias, permuted, placebo, selection, ties
from pipeline.analyses.adjust.loans import Loans, Matched, Row, headline
from pipeline.analyses.adjust.models import models
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.scope import Scope
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.samples import by_lot


def rows(cohort: pd.DataFrame, matched: Matched, allowed: Scope, params: Params, seed: int) -> list[Row]:
    """Return the rows on adjustment and its checks; the order of the loans does not matter.

    Parameters
    ----------
    cohort : (loans x columns)
    matched : Matched
    allowed : Scope
        What the cohort allows of the protocol.
    params : Params
        Of which: the level of confidence intervals, the choices of adjustment, and the threshold of balance.
    seed : int
        By it loans are split for cross-fitting, drawn where there are too many, and treatment is permuted.
    """
    if not allowed.arms:
        note = "there are not two arms of loans to compare."
        return [{"estimator": "doubly_robust", "specification": "matching", "factor": "treated", "note": note}]
    frame = cohort.sort_values("loan_id", ignore_index=True)
    loans = Loans(frame, allowed.protocol, params.inference.level, params.adjust, seed)

    few = loans._replace(frame=by_lot(frame, params.adjust.most_loans, seed).reset_index(drop=True))
    found = [*models(few, params.checks.balance)]
    found += results.drawn_by_lot(len(few.frame), len(frame), factor="cross_fitting", outcome="default")
    found += [*ties(loans, matched), *hidden_bias(loans, matched)]
    try:
        design = design_matrix(frame, ["treated", *headline(loans.protocol)]).matrix
    except StudyError as error:
        found.append(loans.row("placebo_outcome", "controls", "standardised_difference", note=str(error)))
    else:
        if len(design) > design.shape[1] + 1:
            found += [*placebo(loans, design), *permuted(loans, design), *selection(loans, design)]
        else:
            note = "there are no more loans than controls."
            found.append(loans.row("placebo_outcome", "controls", "standardised_difference", note=note))
    return found
