"""Ask what missing values could hide: patterns, tests, weights, imputation, and how far off they would have to be."""

import numpy as np
import pandas as pd

from pipeline.analyses.missing.effects import of_controls, of_factors
from pipeline.analyses.missing.gaps import against, by_chance, commonest, left_out, shares
from pipeline.analyses.missing.loans import Row, askable
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import Scope, as_measured, column_in
from pipeline.runtime.errors import StudyError


def rows(cohort: pd.DataFrame, flow: pd.DataFrame, allowed: Scope, params: Params, seed: str) -> list[Row]:
    """Return the rows on missing values of the results table.

    Parameters
    ----------
    cohort : (loans x columns)
    flow : (steps x columns)
        Loans that leave at each step of preparation: reason, loans, defaults.
    allowed : Scope
        What the cohort allows of the protocol.
    params : Params
        Of which: the level of confidence intervals, and how often and how long gaps are filled.
    seed : str
        From it and the names of what is filled the draws of the imputation follow.
    """
    # What stands for gaps among the controls is one way to fill them; here they are asked about.
    allowed = allowed._replace(protocol=as_measured(allowed.protocol, complete=True))
    protocol = allowed.protocol
    incomplete = _incomplete(cohort, allowed)
    gaps = [
        name for name in _looked_at(cohort, allowed, incomplete) if askable(cohort, name, protocol)[name].isna().any()
    ]

    found = [*left_out(flow), *shares(cohort, gaps, protocol)]
    if gaps and allowed.models:
        found += commonest(cohort, gaps, protocol)
        found += against(cohort, gaps, protocol, params.inference.level, arms=allowed.arms)
        found += by_chance(cohort, gaps, incomplete, protocol, params.inference.level, allowed.factors)
        late = [name for name in allowed.factors if name in gaps]
        for same in _asked_together(late, protocol):
            try:
                found += [*of_factors(cohort, same, protocol, params, seed, arms=allowed.arms)]
            except (StudyError, np.linalg.LinAlgError) as error:
                found += [{"estimator": "complete_cases", "factor": name, "note": str(error)} for name in same]
        with_gaps = [term for term in incomplete if column_in(term) in gaps]
        if with_gaps:
            found += of_controls(cohort, allowed.factors[0], with_gaps, protocol, params, seed)
    return found


def _incomplete(cohort: pd.DataFrame, allowed: Scope) -> list[str]:
    """Return the terms that join the controls although they have gaps: those named, and controls left out for gaps."""
    protocol = allowed.protocol
    named = [term for term in protocol.incomplete if column_in(term) in cohort]
    left_out = [item.name for item in allowed.left_out if item.reason == "gaps" and item.name in cohort]
    terms = dict.fromkeys([*named, *(name for name in left_out if name not in map(column_in, named))])
    numeric = [term for term in terms if pd.api.types.is_numeric_dtype(cohort[column_in(term)])]
    there = [term for term in numeric if cohort[column_in(term)].nunique() > 1]
    return [term if (cohort[column_in(term)].dropna() > 0).all() else column_in(term) for term in there]


def _looked_at(cohort: pd.DataFrame, allowed: Scope, incomplete: list[str]) -> list[str]:
    """Return the columns whose gaps are asked about: treatment, factors, controls, and those named as incomplete."""
    ladder = allowed.protocol.controls.ladder()
    controls = [column_in(term) for term in ([*ladder.values()][-1] if ladder else [])]
    named = [*(["treated"] if allowed.arms else []), *allowed.protocol.factors, *controls, *map(column_in, incomplete)]
    return [name for name in dict.fromkeys(named) if name in cohort]


def _asked_together(factors: list[str], protocol: Study) -> list[list[str]]:
    """Group factors that could be measured on the same loans."""
    late = protocol.after_origination()
    groups = [[name for name in factors if name not in late], [name for name in factors if name in late]]
    return [group for group in groups if group]
