"""Make treated loans and controls comparable: pairs, strata or weights, as params.yaml asks."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST, Scope
from pipeline.core.shared import Match
from pipeline.runtime.errors import StudyError
from pipeline.stats.comparison import PAIRS, STRATA, WEIGHTS, Comparison, compare, share_tied
from pipeline.stats.design import design_matrix, score_columns
from pipeline.stats.scores import propensity

RENUMBERED = 20
"""Orders of ties under which pairs are formed again."""

MOST = 200_000
"""Loans up to which that is done: each time takes a second a million."""


class Matched(NamedTuple):
    """What matching yields."""

    tables: dict[str, pd.DataFrame]
    """``pairs``, ``scores``, ``strata`` (the support of each), ``weights`` (of loans above zero), ``covariates``."""
    design: dict[str, Any]
    """What later stages must know to give the effect an error that fits the design; ``failed`` where there is none."""
    ties: dict[str, Any]
    """The share of pairs that a tie decided, and the effect under other orders of ties."""
    said: str
    """A sentence on how many loans are matched."""


def matched(cohort: pd.DataFrame, allowed: Scope, params: Params) -> Matched:
    """Return the matched loans of a cohort as the section ``match`` asks; tables without rows where none can be."""
    if not allowed.matching:
        return _unmatched(params.match, "")
    if not allowed.of_reader:
        return _matched(cohort, allowed.protocol, params)
    try:
        return _matched(cohort, allowed.protocol, params)
    except StudyError as error:
        # A published study whose design fails is a mistake; a reader's loans may allow none, and the report says why.
        return _unmatched(params.match, str(error))


def _unmatched(match: Match, reason: str) -> Matched:
    """Return tables without rows; `reason` is a sentence where matching was tried."""
    nobody = pd.DataFrame({"loan_id": pd.Series(dtype=str)})
    empty = {
        "pairs": pd.DataFrame(
            {name: pd.Series(dtype=kind) for name, kind in (("pair", "int64"), ("treated", str), ("control", str))}
        ),
        "scores": nobody.assign(stratum=pd.Series(dtype="int64"), logit=pd.Series(dtype=float)),
        "strata": pd.DataFrame(
            {name: pd.Series(dtype="int64") for name in ("stratum", "treated", "controls", "matched")}
        ),
        "weights": nobody.assign(weight=pd.Series(dtype=float), group=pd.Series(dtype="int64")),
        "covariates": nobody,
    }
    said = f"nothing is matched{f': {reason}' if reason else ', these data do not allow it'}"
    return Matched(empty, match.model_dump() | {"failed": reason}, {}, said)


def _matched(cohort: pd.DataFrame, protocol: Study, params: Params) -> Matched:
    match = params.match
    exact, terms = protocol.matching.exact, protocol.matching.score
    treated, loan_id = cohort["treated"].to_numpy(), cohort["loan_id"].to_numpy()
    covariates = score_columns(cohort, terms)
    if match.method in WEIGHTS:
        # Weights cannot share keys exactly; they balance them as covariates.
        covariates = design_matrix(cohort, [*exact, *terms]).matrix.drop(columns="intercept")
    logit = propensity(covariates, treated, loan_id, model=match.score, folds=match.folds, seed=params.seed)
    form = partial(
        compare,
        covariates,
        treated,
        loan_id,
        method=match.method,
        exact=cohort[exact],
        logit=logit,
        **_choices(match),
        calipers=protocol.matching.calipers,
        cuts=protocol.matching.cuts,
    )
    found = form(seed=params.seed)
    if (kept := int(treated[found.weight > 0].sum())) < FEWEST:
        raise StudyError(
            f"only {kept} treated loans find a partner: widen match.caliper or drop a key of matching.exact."
        )
    stratum = cohort.groupby(exact, observed=True).ngroup() if exact else pd.Series(0, cohort.index)
    pairs = pd.DataFrame({"pair": [], "treated": [], "control": []}).astype({"pair": "int64", "treated": loan_id.dtype})
    if found.matches is not None:
        # A pair is the set of a treated loan and its controls.
        sets = {"treated": loan_id[found.matches.treated], "control": loan_id[found.matches.control]}
        pairs = pd.DataFrame(sets).sort_values("treated", kind="stable", ignore_index=True)
        pairs.insert(0, "pair", pd.factorize(pairs["treated"])[0])
    scores = pd.DataFrame({"loan_id": cohort["loan_id"], "stratum": stratum, "logit": logit})
    weights = pd.DataFrame({"loan_id": cohort["loan_id"], "weight": found.weight, "group": found.group})
    strata = cohort.assign(
        stratum=stratum,
        controls=1 - treated,
        matched=np.where(found.weight > 0, treated, 0),
    )
    strata = strata.groupby("stratum", as_index=False).agg(
        **{key: (key, "first") for key in exact},
        treated=("treated", "sum"),
        controls=("controls", "sum"),
        matched=("matched", "sum"),
    )
    ties = {}
    if match.method in PAIRS and not match.replacement:
        tied = share_tied(found, covariates, treated, exact=cohort[exact], logit=logit, distance=match.distance)
        ties = {"tied": tied, "effects": _renumbered(form, cohort, params.seed)}
    verb = "weighted" if match.method in (*STRATA, *WEIGHTS) else "matched"
    return Matched(
        {
            "pairs": pairs,
            "scores": scores,
            "strata": strata,
            "weights": weights[weights["weight"] > 0].reset_index(drop=True),
            "covariates": covariates.assign(loan_id=cohort["loan_id"]),
        },
        match.model_dump(),
        ties,
        f"{int(strata['matched'].sum()):,} of {int(treated.sum()):,} treated loans {verb}",
    )


def _renumbered(form: Callable[..., Comparison], cohort: pd.DataFrame, seed: int) -> list[float]:
    """Return the difference in default between the matched arms under other orders of ties; of too many loans none."""
    if len(cohort) > MOST:
        return []
    default, arm = cohort["default"].to_numpy(), cohort["treated"].to_numpy() == 1
    sampled = cohort["weight"].to_numpy(dtype=float) if "weight" in cohort else np.ones(len(cohort))
    effects = []
    for number in range(1, RENUMBERED + 1):
        weight = form(seed=seed + number).weight * sampled
        means = [float(np.average(default[side], weights=weight[side])) for side in (arm, ~arm)]
        effects.append(means[0] - means[1])
    return effects


def _choices(match: Match) -> dict[str, object]:
    """Return what params.yaml chooses, under the names of `compare`."""
    names = ("distance", "ratio", "replacement", "caliper", "order", "discard", "estimand", "stabilised", "trim")
    return {name: getattr(match, name) for name in names} | {"number": match.subclasses}
