"""Climb the regression ladder for each CRM factor, on all loans and on matched pairs."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from pipeline.core.fields import BLOCKS, construct
from pipeline.core.protocol import Study
from pipeline.core.scope import Scope, scope
from pipeline.runtime.errors import StudyError
from pipeline.stats import libraries
from pipeline.stats.absorbed import Absorbed, absorbed_logit
from pipeline.stats.comparison import WEIGHTS
from pipeline.stats.design import design_matrix
from pipeline.stats.firth import standardised_difference
from pipeline.stats.inference import crossed
from pipeline.stats.matched_effects import abadie_imbens, weighting_effect, widest
from pipeline.stats.matching import Matches
from pipeline.stats.neighbours import mahalanobis
from pipeline.stats.samples import number_treated, sample_for


class Rung(NamedTuple):
    """One step of the ladder: which loans, which controls, which errors."""

    name: str
    loans: pd.DataFrame
    terms: list[str]
    cluster: str
    strata: Sequence[str] = ()
    """Those of the terms within which a lottery was drawn."""


class Design(NamedTuple):
    """What the stage match made, on which the last rungs rest."""

    pairs: pd.DataFrame
    weights: pd.DataFrame
    covariates: pd.DataFrame
    scores: pd.DataFrame | None
    """Of a nearest neighbour's design alone."""
    choices: dict[str, Any]


def rows(
    cohort: pd.DataFrame, wider: pd.DataFrame | None, design: Design, protocol: Study, level: float
) -> list[dict[str, Any]]:
    """Return the regression rows of the results table; `wider` are the loans of the rung on a larger cohort."""
    allowed = scope(protocol, cohort)
    protocol = allowed.protocol
    ladder = protocol.controls.ladder()
    every_term = _time_first([*ladder.values()][-1] if ladder else [], protocol.controls.time)
    strata = protocol.controls.strata
    rungs = [Rung("M1", cohort, [], protocol.cluster)]
    for number, block in enumerate(BLOCKS, start=2):
        if block in ladder:
            rungs.append(
                Rung(f"M{number}", cohort, _time_first(ladder[block], protocol.controls.time), protocol.cluster, strata)
            )
    matched = in_design(cohort, design.weights)
    on_pairs = []
    if len(matched):
        on_pairs = [
            Rung("M6", matched, [], "pair"),
            Rung("M7", matched, _affordable(allowed, matched, every_term), "pair", strata),
        ]
    robustness = []
    if wider is not None:
        robustness = [Rung("R1", wider, every_term, protocol.cluster, strata)]

    found: list[dict[str, Any]] = []
    for factor in allowed.factors if allowed.models else []:
        # Pairs are alike but for the treatment, so only factors of the treatment's construct are read off them.
        of_treatment = factor == "treated" or (
            protocol.treatment is not None and construct(factor) == construct(protocol.treatment.factor)
        )
        for rung in [*rungs, *(on_pairs if of_treatment else []), *(robustness if factor == "treated" else [])]:
            loans = sample_for(rung.loans, factor, protocol.after_origination())
            found += _effects(rung._replace(loans=loans), factor, level, protocol.cluster)
    if len(matched):
        found += _by_design(cohort, design, level, protocol.cluster)
    return found


def _affordable(allowed: Scope, matched: pd.DataFrame, terms: list[str]) -> list[str]:
    """Return the controls that the matched loans can bear: a reader's may be too few for all of them."""
    if not allowed.of_reader:
        return terms
    ladder = scope(allowed.protocol, matched).protocol.controls.ladder()
    return [term for term in terms if ladder and term in [*ladder.values()][-1]]


def in_design(cohort: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """Return the loans that count in the design, with the pair (or stratum) they belong to and their design weight.

    Where all count alike, as in pairs of one and one, there is no column of weights.
    """
    by_loan = weights.set_index("loan_id")
    loans = cohort[cohort["loan_id"].isin(by_loan.index)]
    loans = loans.assign(pair=loans["loan_id"].map(by_loan["group"]))
    if (by_loan["weight"] == 1).all():
        return loans
    return loans.assign(design_weight=loans["loan_id"].map(by_loan["weight"]))


def _by_design(cohort: pd.DataFrame, made: Design, level: float, cluster: str) -> Iterator[dict[str, Any]]:
    """Yield the effect with the error that the design asks for, where clusters of loans are not enough.

    That is Abadie & Imbens' for controls that serve several times, which takes every loan by itself, and for weights
    the one that knows that the weights were estimated.
    """
    design, pairs = made.choices, made.pairs
    covariates = made.covariates.set_index("loan_id").loc[cohort["loan_id"]]
    default, treated = cohort["default"].to_numpy(), cohort["treated"].to_numpy()
    common = {"specification": "M6", "factor": "treated", "outcome": "default", "estimand": "risk_difference"}
    if design["replacement"] and design["method"] == "nearest":
        scores = made.scores.set_index("loan_id").loc[cohort["loan_id"]]
        row_of = pd.Series(range(len(cohort)), cohort["loan_id"])
        matches = Matches(*(row_of.loc[pairs[arm]].to_numpy() for arm in ("treated", "control")))
        points = scores["logit"].to_numpy()
        if design["distance"] == "mahalanobis":
            points = mahalanobis(covariates.to_numpy(dtype=float), treated)
        found = abadie_imbens(default, treated, points, scores["stratum"].to_numpy(), matches, level)
        name, n = "abadie_imbens", len({*pairs["treated"], *pairs["control"]})
        common |= {"note": "every loan by itself"}
    elif design["method"] in WEIGHTS:
        name, n = "weighting_estimated", len(cohort)
        common |= {"estimator": name, "n": n, "n_treated": int(treated.sum())}
        if design["score"] != "logistic" or design["folds"] != 1 or design["discard"] != "none":
            # The estimating equations are those of one logistic score on all loans.
            yield common | {"note": "no error allows for how these weights were estimated: " + _not_covered(design)}
            return
        found = weighting_effect(
            default,
            treated,
            covariates.to_numpy(dtype=float),
            level,
            method=design["method"],
            estimand=design["estimand"],
            trim=design["trim"],
            clusters=cohort[cluster].to_numpy(),
        )
        common |= {"n_clusters": cohort[cluster].nunique()}
    else:
        return
    in_design = treated.sum() if name != "abadie_imbens" else pairs["treated"].nunique()
    yield common | _in_points(found._asdict()) | {"estimator": name, "n": n, "n_treated": int(in_design)}


def _not_covered(design: dict[str, Any]) -> str:
    """Say which choices of the design the error of estimated weights does not know."""
    choices = {
        "a score by boosting": design["score"] != "logistic",
        "a cross-fitted score": design["folds"] != 1,
        "loans discarded by their score": design["discard"] != "none",
    }
    return ", ".join(what for what, chosen in choices.items() if chosen)


def _time_first(terms: list[str], time: list[str]) -> list[str]:
    """Put time effects first: where they determine the market's national series, those are dropped, not a month."""
    return [term for term in terms if term in time] + [term for term in terms if term not in time]


def _effects(rung: Rung, factor: str, level: float, cluster: str) -> Iterator[dict[str, Any]]:
    design = design_matrix(rung.loans, [factor, *rung.terms])
    default, weights = rung.loans["default"], rung.loans.get("weight")
    # That wave and risk class determine some of a lottery's strata takes nothing away.
    left_out = [name for name in design.dropped if name.split("[")[0] not in rung.strata]
    dropped = f"left out as determined by other controls: {', '.join(left_out)}" if left_out else ""
    common = {
        "specification": rung.name,
        "factor": factor,
        "outcome": "default",
        "n": len(rung.loans),
        "n_treated": number_treated(rung.loans),
        "n_clusters": rung.loans[cluster].nunique(),
        "note": dropped,
    }
    by_design = rung.loans.get("design_weight")
    both = weights if by_design is None else by_design * (1.0 if weights is None else weights)
    try:
        ways = {"cluster": rung.loans[rung.cluster]}
        if rung.cluster == "pair":
            ways = {
                name: pd.Series(labels, rung.loans.index)
                for name, labels in crossed(rung.loans["pair"].to_numpy(), rung.loans[cluster].to_numpy()).items()
            }
        lines = libraries.clustered_ways(default, design.matrix, factor, ways, level, both)
    except StudyError as error:
        # A factor that the controls determine has no effect of its own on this rung; the others stand.
        every = (
            ("linear_probability", "risk_difference"),
            ("logit", "odds_ratio"),
            ("logit", "average_marginal_effect"),
        )
        for estimator, estimand in every:
            yield common | {"estimator": estimator, "estimand": estimand, "note": str(error)}
        return

    def said(effect: dict[str, Any], way: str) -> dict[str, Any]:
        """Return an effect with the clusters of its error, which loans of no pair have no choice of."""
        if rung.cluster != "pair":
            return common | effect
        said = {"cluster": f"clustered by {cluster}", "pair": "clustered by pair"}
        said["two_way"] = f"clustered two ways, by pair and by {cluster}"
        of_pairs = {"n_clusters": ways["pair"].nunique()} if way == "pair" else {}
        return common | effect | of_pairs | {"note": "; ".join(filter(None, [dropped, said[way]]))}

    if by_design is None and (empty := _empty(rung.loans, factor)):
        row = common | {"estimator": "firth", "estimand": "risk_difference"}
        try:
            if weights is not None:
                raise StudyError(f"{empty}, and penalised likelihood takes no weights.")
            penalised = standardised_difference(default, design.matrix, factor, level)
        except StudyError as error:
            yield row | {"note": str(error)}
        else:
            yield row | _in_points(penalised._asdict()) | {"note": f"{empty}; loans taken as independent"}
    line, way = widest(lines, level)
    yield said(_in_points(line._asdict()) | {"estimator": "linear_probability", "estimand": "risk_difference"}, way)
    try:
        if rung.strata and by_design is None:
            found = {name: _within_strata(rung, factor, level, ways[name]) for name in ways}
            curves = {name: one.effects[factor] for name, one in found.items()}
            one = next(iter(found.values()))
            stays = rung.loans[one.stays]
            dropped = f"{len(stays):,} loans of {one.groups:,} strata with and without default"
            common |= {"n": len(stays), "n_treated": number_treated(stays), "note": dropped}
            common["n_clusters"] = stays[cluster].nunique()
        elif by_design is None:
            curves = libraries.logit_ways(default, design.matrix, factor, ways, level, weights)
        else:
            curves = {
                name: libraries.weighted_logit(default, design.matrix, factor, ways[name], level, both) for name in ways
            }
    except StudyError as error:
        # A rung whose likelihood has no maximum is reported as such; the others stand.
        for estimand in ("odds_ratio", "average_marginal_effect"):
            yield common | {"estimator": "logit", "estimand": estimand, "note": str(error)}
        return
    odds, way = widest({name: curve.odds_ratio for name, curve in curves.items()}, level, ratio=True)
    yield said(odds._asdict() | {"estimator": "logit", "estimand": "odds_ratio", "unit": "ratio"}, way)
    marginal, way = widest({name: curve.average_marginal_effect for name, curve in curves.items()}, level)
    yield said(_in_points(marginal._asdict()) | {"estimator": "logit", "estimand": "average_marginal_effect"}, way)


def _empty(loans: pd.DataFrame, factor: str) -> str:
    """Say which loans, with a yes-or-no factor or without it, all ended alike: a linear error then says nothing."""
    if not set(loans[factor].unique()) <= {0, 1}:
        return ""
    rates = loans.groupby(factor)["default"].mean()
    kinds = {(1, 0): "no default among loans with it", (1, 1): "only defaults among loans with it"}
    kinds |= {(0, 0): "no default among loans without it", (0, 1): "only defaults among loans without it"}
    return next((said for (value, rate), said in kinds.items() if rates.get(value) == rate), "")


def _within_strata(rung: Rung, factor: str, level: float, clusters: pd.Series) -> Absorbed:
    """Fit the logistic regression with an effect for every stratum: one with a single outcome has none and leaves."""
    loans = rung.loans
    strata = loans.groupby([*rung.strata], observed=True, sort=False, dropna=False).ngroup()
    terms = [term for term in rung.terms if term not in rung.strata]
    design = design_matrix(loans, [factor, *terms]).matrix
    weights = loans.get("weight")
    return absorbed_logit(loans["default"], design, factor, strata, clusters, level, weights, smallest=1)


def _in_points(effect: dict[str, float]) -> dict[str, Any]:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect.items()}
    return scaled | {"unit": "percentage points"}
