"""Pair every treated loan with a control of the same initial credit status."""

import pandas as pd

from pipeline.core import places, store
from pipeline.core.params import Params
from pipeline.stats.design import require, term_values
from pipeline.stats.matching import nearest_neighbour, propensity_logit


def run(study: str, params: Params) -> str:
    """Write matched pairs, propensity scores and the support of every stratum."""
    match, protocol = params.match, params.study(study)
    exact = protocol.matching.exact
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    require(cohort, exact, "matching.exact")
    treated = cohort["treated"].to_numpy()
    logit = propensity_logit(term_values(cohort, protocol.matching.score), treated)
    stratum = cohort.groupby(exact, observed=True).ngroup() if exact else pd.Series(0, cohort.index)
    found = nearest_neighbour(
        treated,
        logit,
        stratum.to_numpy(),
        cohort["loan_id"].to_numpy(),
        ratio=match.ratio,
        caliper=None if match.caliper is None else match.caliper * float(logit.std(ddof=1)),
        order=match.order,
    )
    # A pair is the set of a treated loan and its controls.
    pair = pd.factorize(found.treated)[0]
    pairs = pd.DataFrame(
        {
            "pair": pair,
            "treated": cohort["loan_id"].to_numpy()[found.treated],
            "control": cohort["loan_id"].to_numpy()[found.control],
        }
    )
    scores = pd.DataFrame({"loan_id": cohort["loan_id"], "stratum": stratum, "logit": logit})
    strata = cohort.assign(
        stratum=stratum,
        controls=1 - treated,
        matched=cohort["loan_id"].isin(pairs["treated"]).astype(int),
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
    return f"{pairs['pair'].nunique():,} of {int(treated.sum()):,} treated loans matched"
