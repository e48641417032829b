"""Climb the regression ladder for each CRM factor, on all loans and on matched pairs."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.errors import StudyError
from pipeline.core.params import BLOCKS, Params, construct
from pipeline.stats.design import design_matrix, require
from pipeline.stats.regression import linear_probability, logit
from pipeline.stats.samples import sample_for


class Rung(NamedTuple):
    """One step of the ladder: which loans, which controls, which errors."""

    name: str
    loans: pd.DataFrame
    terms: list[str]
    cluster: str


def run(study: str, params: Params) -> str:
    """Write the regression rows of the results table."""
    protocol = params.study(study)
    processed = places.processed(study)
    cohort = store.read_parquet(processed / "cohort.parquet")
    pairs = store.read_parquet(places.matched(study) / "pairs.parquet")
    wider = processed / "more" / "robustness.parquet"

    require(cohort, [protocol.cluster], "cluster")
    ladder = protocol.controls.ladder()
    every_term = _time_first(list(ladder.values())[-1], protocol.controls.time)
    rungs = [Rung("M1", cohort, [], protocol.cluster)]
    for number, block in enumerate(BLOCKS, start=2):
        if block in ladder:
            rungs.append(
                Rung(f"M{number}", cohort, _time_first(ladder[block], protocol.controls.time), protocol.cluster)
            )
    matched = in_pairs(cohort, pairs)
    on_pairs = [Rung("M6", matched, [], "pair"), Rung("M7", matched, every_term, "pair")]
    robustness = [Rung("R1", store.read_parquet(wider), every_term, protocol.cluster)] if wider.exists() else []

    rows: list[dict[str, Any]] = []
    for factor in ("treated", *protocol.factors):
        # Pairs are alike but for the treatment, so only factors of the treatment's construct are read off them.
        of_treatment = factor == "treated" or (
            protocol.treatment is not None and construct(factor) == construct(protocol.treatment.factor)
        )
        for rung in [*rungs, *(on_pairs if of_treatment else []), *(robustness if factor == "treated" else [])]:
            loans = sample_for(rung.loans, factor, protocol.after_origination())
            rows += _effects(rung._replace(loans=loans), factor, params.inference.level)
    results.write(places.results(study, "regress"), results.table(study, "regress", rows))
    return f"{len(rows):,} rows"


def in_pairs(cohort: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the matched loans with the pair they belong to: every treated loan once, with all its controls."""
    pair_of = pd.concat([pairs.set_index("treated")["pair"], pairs.set_index("control")["pair"]])
    pair_of = pair_of[~pair_of.index.duplicated()]
    return cohort[cohort["loan_id"].isin(pair_of.index)].assign(pair=lambda loans: loans["loan_id"].map(pair_of))


def _time_first(terms: list[str], time: list[str]) -> list[str]:
    """Put time effects first: where they determine the market's national series, those are dropped, not a month."""
    return [term for term in terms if term in time] + [term for term in terms if term not in time]


def _effects(rung: Rung, factor: str, level: float) -> Iterator[dict[str, Any]]:
    design = design_matrix(rung.loans, [factor, *rung.terms])
    default, clusters = rung.loans["default"], rung.loans[rung.cluster]
    common = {
        "specification": rung.name,
        "factor": factor,
        "outcome": "default",
        "n": len(rung.loans),
        "n_treated": int(rung.loans["treated"].sum()),
        "n_clusters": clusters.nunique(),
        "note": f"left out as determined by other controls: {', '.join(design.dropped)}" if design.dropped else "",
    }
    line = linear_probability(default, design.matrix, factor, clusters, level)
    yield (common | _in_points(line._asdict()) | {"estimator": "linear_probability", "estimand": "risk_difference"})
    try:
        curve = logit(default, design.matrix, factor, clusters, level)
    except StudyError as error:
        # A rung whose likelihood has no maximum is reported as such; the others stand.
        for estimand in ("odds_ratio", "average_marginal_effect"):
            yield common | {"estimator": "logit", "estimand": estimand, "note": str(error)}
        return
    yield common | curve.odds_ratio._asdict() | {"estimator": "logit", "estimand": "odds_ratio", "unit": "ratio"}
    marginal = curve.average_marginal_effect._asdict()
    yield common | _in_points(marginal) | {"estimator": "logit", "estimand": "average_marginal_effect"}


def _in_points(effect: dict[str, float]) -> dict[str, Any]:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect.items()}
    return scaled | {"unit": "percentage points"}
