"""Make treated loans and controls comparable: pairs, strata or weights, as params.yaml asks."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from pipeline.core import cohorts
from pipeline.core.params import Match, Params, Study
from pipeline.core.scope import FEWEST, scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stats.comparison import PAIRS, STRATA, WEIGHTS, Comparison, compare, share_tied
from pipeline.stats.design import design_matrix, term_values
from pipeline.stats.scores import propensity

RENUMBERED = 20
"""Orders of ties under which pairs are formed again."""

MOST = 200_000
"""Loans up to which that is done: each time takes a second a million."""


def run(study: str, params: Params) -> str:
    """Write weights, pairs, propensity scores and the support of every stratum."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    if not allowed.matching:
        return _unmatched(study, params.match, "")
    if not allowed.of_reader:
        return _matched(study, params, allowed.protocol, cohort)
    try:
        return _matched(study, params, allowed.protocol, cohort)
    except StudyError as error:
        # A published study whose design fails is a mistake; a reader's loans may allow none, and the report says why.
        return _unmatched(study, params.match, str(error))


def _unmatched(study: str, match: Match, reason: str) -> str:
    """Write tables without rows; `reason` is a sentence where matching was tried."""
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
    for name, table in empty.items():
        store.write_parquet(places.matched(study) / f"{name}.parquet", table)
    store.write_json(places.matched(study) / "design.json", match.model_dump() | {"failed": reason})
    store.write_json(places.matched(study) / "ties.json", {})
    return f"nothing is matched{f': {reason}' if reason else ', these data do not allow it'}"


def _matched(study: str, params: Params, protocol: Study, cohort: pd.DataFrame) -> str:
    match = params.match
    exact, terms = protocol.matching.exact, protocol.matching.score
    treated, loan_id = cohort["treated"].to_numpy(), cohort["loan_id"].to_numpy()
    covariates = term_values(cohort, terms)
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
    folder = places.matched(study)
    store.write_parquet(folder / "pairs.parquet", pairs)
    store.write_parquet(folder / "scores.parquet", scores)
    store.write_parquet(folder / "strata.parquet", strata)
    store.write_parquet(folder / "weights.parquet", weights[weights["weight"] > 0].reset_index(drop=True))
    store.write_parquet(folder / "covariates.parquet", covariates.assign(loan_id=cohort["loan_id"]))
    # What later stages must know to give the effect an error that fits the design.
    store.write_json(folder / "design.json", match.model_dump())
    ties = {}
    if match.method in PAIRS and not match.replacement:
        tied = share_tied(found, covariates, treated, exact=cohort[exact], logit=logit, distance=match.distance)
        ties = {"tied": tied, "effects": _renumbered(form, cohort, params.seed)}
    store.write_json(folder / "ties.json", ties)
    verb = "weighted" if match.method in (*STRATA, *WEIGHTS) else "matched"
    return f"{int(strata['matched'].sum()):,} of {int(treated.sum()):,} treated loans {verb}"


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
