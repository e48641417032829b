"""The effect by models of treatment and of default, and by weights."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.adjust.loans import Loans, Row, checked, headline
from pipeline.core import results
from pipeline.core.scope import column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats import orthogonal
from pipeline.stats.balance import balance
from pipeline.stats.cross_fitting import Logistic, Nuisances, assign_folds, cross_fit, features, hashes
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import Effect, as_ratio
from pipeline.stats.matched_effects import weighting_effect
from pipeline.stats.sensitivity import e_value

LEFT_OUT = 0.05
"""Share of the treated loans without a like from which the effect is one on other loans than all the treated."""

METHODS = {"doubly_robust": "logistic", "double_machine_learning": "boosting"}


def models(loans: Loans, threshold: float) -> Iterator[Row]:
    """Yield the effect by models of treatment and default, with the covariates of the matching and with all."""
    matching = [*loans.protocol.matching.exact, *loans.protocol.matching.score]
    specifications = {
        "matching": matching,
        "controls": list(dict.fromkeys([*matching, *headline(loans.protocol)])),
    }
    cells = 2 * loans.treated + loans.default
    hashed = hashes(loans.frame["loan_id"].to_numpy(), str(loans.seed))
    folds = [assign_folds(hashed, cells, loans.choices.folds, number) for number in range(loans.choices.repetitions)]
    ratios: dict[str, Effect] = {}
    for specification, terms in specifications.items():
        try:
            design = design_matrix(loans.frame, terms).matrix.drop(columns="intercept")
            if design.empty:
                raise StudyError("there is no covariate to adjust for.")
            columns = features(loans.frame[list(dict.fromkeys(map(column_in, terms)))])
            of_learner = {"logistic": design.to_numpy(), "boosting": columns}
            starts: dict[str, Logistic] = {}
            fitted = {
                learner: [
                    cross_fit(learner, x, loans.treated, loans.default, fold, loans.weights, starts) for fold in folds
                ]
                for learner, x in of_learner.items()
            }
        except StudyError as error:
            for method in METHODS:
                yield loans.row(method, specification, "risk_difference_of_treated", note=str(error))
            continue
        asked = {method: fitted[learner] for method, learner in METHODS.items()}
        if specification == "matching":
            asked["inverse_probability"] = [one._replace(untreated=np.zeros(len(cells))) for one in fitted["logistic"]]
        try:
            for method, of_method in asked.items():
                yield from _by_method(loans, method, specification, of_method, ratios)
            if specification == "matching":
                yield from _entropy(loans, design)
                yield from _like(loans, design, fitted["logistic"][0], threshold)
        except StudyError as error:
            yield loans.row("not_estimated", specification, "risk_difference_of_treated", note=str(error))
        for learner in ("logistic", "boosting"):
            yield _overlap(loans, specification, learner, fitted[learner])
    yield from _e_value(loans, ratios)


def _by_method(
    loans: Loans, method: str, specification: str, fitted: list[Nuisances], ratios: dict[str, Effect]
) -> Iterator[Row]:
    """Yield the effect on both scales, the median over the splits into folds."""
    found = [
        orthogonal.effect_on_treated(
            loans.default,
            loans.treated,
            nuisances,
            loans.clusters.to_numpy(),
            loans.level,
            highest=loans.choices.highest_score,
            weights=loans.weights,
        )
        for nuisances in fitted
    ]
    kept = fitted[0].score <= loans.choices.highest_score
    counts = {
        "n": int(kept.sum()),
        "n_treated": int(loans.treated[kept].sum()),
        "n_clusters": loans.clusters[kept].nunique(),
    }
    note = (
        f"median over {len(fitted)} splits into {loans.choices.folds} folds; "
        f"{int(loans.treated[~kept].sum())} treated loans without a like left out"
    )
    difference = results.in_points(orthogonal.median_of([one.difference for one in found], loans.level))
    yield loans.row(method, specification, "risk_difference_of_treated", **counts, **difference, note=note)
    log_ratio = orthogonal.median_of([one.log_ratio for one in found], loans.level)
    if np.isnan(log_ratio.estimate):
        return
    ratio = as_ratio(log_ratio)
    ratios[f"{method} {specification}"] = ratio
    yield loans.row(
        method, specification, "risk_ratio_of_treated", **counts, **ratio._asdict(), unit="ratio", note=note
    )


def _entropy(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
    """Yield the effect by weights with which the covariates' means agree."""
    common = ("entropy_balancing", "matching", "risk_difference_of_treated")
    if loans.weights is not None:
        yield loans.row(*common, note="its error does not allow for loans sampled by outcome.")
        return
    try:
        found = weighting_effect(
            loans.default,
            loans.treated,
            design.to_numpy(),
            loans.level,
            method="entropy_balancing",
            clusters=loans.clusters.to_numpy(),
        )
    except StudyError as error:
        yield loans.row(*common, note=str(error))
        return
    yield loans.row(*common, **results.in_points(found))


def _like(loans: Loans, design: pd.DataFrame, fitted: Nuisances, threshold: float) -> Iterator[Row]:
    """Yield whether the weights of the logistic score make the arms alike."""
    sampled = np.ones(len(design)) if loans.weights is None else loans.weights
    scale = balance(design, loans.treated, weight=sampled)["scale"]
    weight = orthogonal.balancing(loans.treated, fitted.score, loans.choices.highest_score, loans.weights).weight
    after = balance(design, loans.treated, scale, weight)["standardised_mean_difference"]
    largest = float(after[np.isfinite(after)].abs().max())
    yield checked(loans, "balance_after_weighting", largest, threshold, largest < threshold)


def _overlap(loans: Loans, specification: str, learner: str, fitted: list[Nuisances]) -> Row:
    """Return the assumption that treated loans have likes: the largest share left out in any split into folds."""
    arm = loans.treated == 1
    share = max(float((one.score[arm] > loans.choices.highest_score).mean()) for one in fitted)
    return checked(
        loans, "overlap_of_scores", share, LEFT_OUT, share <= LEFT_OUT, estimand=f"{specification} {learner}"
    )


def _e_value(loans: Loans, ratios: dict[str, Effect]) -> Iterator[Row]:
    """Yield how strongly a confounder must go with treatment and default to explain the effect on the treated away."""
    name = next((f"doubly_robust {one}" for one in ("controls", "matching") if f"doubly_robust {one}" in ratios), None)
    if name is None:
        yield loans.row("e_value", "doubly_robust", "estimate", note="there is no risk ratio to explain away.")
        return
    ratio, specification = ratios[name], name.removeprefix("doubly_robust ")
    found = e_value(ratio.estimate, ratio.ci_low, ratio.ci_high)
    yield loans.row("e_value", specification, "risk_ratio", **ratio._asdict(), unit="ratio")
    yield loans.row("e_value", specification, "estimate", estimate=found.estimate, unit="ratio")
    yield loans.row("e_value", specification, "interval", estimate=found.interval, unit="ratio")
