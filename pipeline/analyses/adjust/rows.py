"""Estimate the effect on the treated by every adjustment, and ask what chance and hidden confounding could do."""

import json
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import cohorts, results
from pipeline.core.params import Adjust, Params, Study
from pipeline.core.scope import column_in, scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stats import orthogonal, robust_errors
from pipeline.stats.balance import balance
from pipeline.stats.comparison import PAIRS
from pipeline.stats.correlation import holm
from pipeline.stats.cross_fitting import Logistic, Nuisances, cross_fit, deal_folds, features, hashes
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import cluster_codes, codes
from pipeline.stats.matched_effects import weighting_effect
from pipeline.stats.randomisation import Studentised, deal, units_of
from pipeline.stats.regression import Effect
from pipeline.stats.samples import by_lot
from pipeline.stats.sensitivity import bias_adjusted, e_value, rosenbaum_bounds, sensitivity_value

LEFT_OUT = 0.05
"""Share of the treated loans without a like from which the effect is one on other loans than all the treated."""

TIED = 0.1
"""Share of the treated loans that chose among equally near controls from which the choice is part of the answer."""

METHODS = {"doubly_robust": "logistic", "double_machine_learning": "boosting"}

GAMMAS = np.round(np.arange(1, 2.01, 0.1), 1)
"""Strengths of a hidden bias for which bounds are written."""

TIMES = (1.1, 1.3, 1.5, 2.0)
"""R-squared with the unmeasured, in multiples of that with the measured, for which Oster's delta is written."""

AT_ONCE = 50
"""Deals that are computed at a time: bounds the memory."""

Row = dict[str, Any]


class Loans(NamedTuple):
    """The loans in the order of their identifiers, with what every estimate takes of them."""

    frame: pd.DataFrame
    protocol: Study
    level: float
    choices: Adjust
    seed: int

    @property
    def treated(self) -> np.ndarray:
        """Nought or one (loans,)."""
        return self.frame["treated"].to_numpy()

    @property
    def default(self) -> np.ndarray:
        """Nought or one (loans,)."""
        return self.frame["default"].to_numpy()

    @property
    def weights(self) -> np.ndarray | None:
        """How many loans of the population each one stands for, where loans were sampled by outcome."""
        return self.frame["weight"].to_numpy(dtype=float) if "weight" in self.frame else None

    @property
    def clusters(self) -> pd.Series:
        """The cluster of each loan."""
        return self.frame[self.protocol.cluster]

    def row(self, estimator: str, specification: str, estimand: str, **more: Any) -> Row:
        """Return a row on the effect of treatment, with the numbers of loans."""
        return {
            "estimator": estimator,
            "specification": specification,
            "factor": "treated",
            "outcome": "default",
            "estimand": estimand,
            "n": len(self.frame),
            "n_treated": int(self.treated.sum()),
            "n_clusters": self.clusters.nunique(),
        } | more


def run(study: str, params: Params) -> str:
    """Write the rows on adjustment and its checks."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    if not allowed.arms:
        note = "there are not two arms of loans to compare."
        rows = [{"estimator": "doubly_robust", "specification": "matching", "factor": "treated", "note": note}]
        results.write(places.results(study, "adjust"), results.table(study, "adjust", rows))
        return note
    frame = cohort.sort_values("loan_id", ignore_index=True)
    seed = zlib.crc32(f"{params.seed} {study} adjust".encode())
    loans = Loans(frame, allowed.protocol, params.inference.level, params.adjust, seed)

    few = loans._replace(frame=by_lot(frame, params.adjust.most_loans, seed).reset_index(drop=True))
    rows = [*_models(few, params.checks.balance)]
    rows += results.drawn_by_lot(len(few.frame), len(frame), factor="cross_fitting", outcome="default")
    rows += [*_ties(loans, study), *_hidden_bias(loans, study)]
    try:
        design = design_matrix(frame, ["treated", *_headline(loans.protocol)]).matrix
    except StudyError as error:
        rows.append(loans.row("placebo_outcome", "controls", "standardised_difference", note=str(error)))
    else:
        if len(design) > design.shape[1] + 1:
            rows += [*_placebo(loans, design), *_permuted(loans, design), *_selection(loans, design)]
        else:
            note = "there are no more loans than controls."
            rows.append(loans.row("placebo_outcome", "controls", "standardised_difference", note=note))
    results.write(places.results(study, "adjust"), results.table(study, "adjust", rows))
    return f"{len(rows):,} rows"


def _headline(protocol: Study) -> list[str]:
    """Return the controls of the last rung of the ladder, time effects first."""
    ladder = protocol.controls.ladder()
    every = [*ladder.values()][-1] if ladder else []
    return list(dict.fromkeys([*protocol.controls.time, *every]))


def _models(loans: Loans, threshold: float) -> Iterator[Row]:
    """Yield the effect by models of treatment and default, with the covariates of the matching and with all."""
    matching = [*loans.protocol.matching.exact, *loans.protocol.matching.score]
    specifications = {
        "matching": matching,
        "controls": list(dict.fromkeys([*matching, *_headline(loans.protocol)])),
    }
    cells = 2 * loans.treated + loans.default
    hashed = hashes(loans.frame["loan_id"].to_numpy(), str(loans.seed))
    folds = [deal_folds(hashed, cells, loans.choices.folds, number) for number in range(loans.choices.repetitions)]
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
    """Yield the effect on both scales, the median over the deals of folds."""
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
        f"median over {len(fitted)} deals of {loans.choices.folds} folds; "
        f"{int(loans.treated[~kept].sum())} treated loans without a like left out"
    )
    difference = _in_points(orthogonal.median_of([one.difference for one in found], loans.level))
    yield loans.row(method, specification, "risk_difference_of_treated", **counts, **difference, note=note)
    log_ratio = orthogonal.median_of([one.log_ratio for one in found], loans.level)
    if np.isnan(log_ratio.estimate):
        return
    ratio = log_ratio._replace(
        estimate=np.exp(log_ratio.estimate), ci_low=np.exp(log_ratio.ci_low), ci_high=np.exp(log_ratio.ci_high)
    )
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
    yield loans.row(*common, **_in_points(found))


def _like(loans: Loans, design: pd.DataFrame, fitted: Nuisances, threshold: float) -> Iterator[Row]:
    """Yield whether the weights of the logistic score make the arms alike."""
    sampled = np.ones(len(design)) if loans.weights is None else loans.weights
    scale = balance(design, loans.treated, weight=sampled)["scale"]
    weight = orthogonal.balancing(loans.treated, fitted.score, loans.choices.highest_score, loans.weights).weight
    after = balance(design, loans.treated, scale, weight)["standardised_mean_difference"]
    largest = float(after[np.isfinite(after)].abs().max())
    yield _checked(loans, "balance_after_weighting", largest, threshold, largest < threshold)


def _overlap(loans: Loans, specification: str, learner: str, fitted: list[Nuisances]) -> Row:
    """Return the assumption that treated loans have likes: the largest share left out in any deal of the folds."""
    arm = loans.treated == 1
    share = max(float((one.score[arm] > loans.choices.highest_score).mean()) for one in fitted)
    return _checked(
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


def _placebo(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
    """Yield the headline regression on what treatment cannot have changed, none of these columns among its controls."""
    protocol = loans.protocol
    asked = protocol.placebo
    left = design[[name for name in design if column_in(name.split("[")[0]) not in asked]]
    found: dict[str, Row] = {}
    for name in asked:
        known = loans.frame[name].notna()
        there = loans._replace(frame=loans.frame[known])
        row = there.row("placebo_outcome", "controls", "standardised_difference", outcome=name)
        try:
            value = there.frame[name].astype(float)
            weights = there.frame.get("weight")
            spread = float(value.std())
            if not spread > 0:
                raise StudyError("all loans have the same value.")
            few = left[known]
            fit = robust_errors.partial_out(value / spread, few.loc[:, (few != 0).any()], "treated", weights)
            if fit.rest @ fit.rest < 1e-9 * len(value):
                raise StudyError("the controls determine it.")
            effect = robust_errors.clustered(fit, cluster_codes(there.clusters), loans.level)
        except StudyError as error:
            yield row | {"note": str(error)}
            continue
        found[name] = row | effect._asdict() | {"unit": "standard deviations"}
    if not found:
        return
    adjusted = holm([row["p_value"] for row in found.values()])
    for row, p_adjusted in zip(found.values(), adjusted, strict=True):
        yield row | {"p_adjusted": p_adjusted}
    alpha, smallest = 1 - loans.level, min(adjusted)
    yield _checked(loans, "placebo_outcomes", smallest, alpha, smallest >= alpha, estimand="p_value", p_value=smallest)


def _permuted(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
    """Yield how often the headline regression sees an effect of treatment dealt by lot, and where the real one lies."""
    from scipy.stats import binomtest, chi2, norm

    common = ("permuted_treatment", "controls")
    drawn = {"lottery_unit", "lottery_stratum"} <= set(loans.frame)
    if drawn:
        unit, stratum = (loans.frame[name].to_numpy() for name in ("lottery_unit", "lottery_stratum"))
    else:
        exact = loans.protocol.matching.exact
        stratum = np.zeros(len(loans.frame))
        if exact:
            stratum = loans.frame.groupby(exact, observed=True, dropna=False).ngroup().to_numpy()
        unit, stratum = units_of(loans.treated, loans.clusters.to_numpy(), stratum)
    try:
        dealt = deal(loans.treated, unit, stratum, loans.choices.permutations, loans.seed)
        controls = design.drop(columns="treated", errors="ignore").to_numpy()
        regress = Studentised(loans.default, controls, loans.clusters.to_numpy(), loans.weights)
        real = regress(loans.treated[:, None].astype(float))
        if not len(real):
            raise StudyError("the controls determine treatment.")
        found = np.concatenate(
            [regress(dealt[:, start : start + AT_ONCE].astype(float)) for start in range(0, dealt.shape[1], AT_ONCE)]
        )
        if not len(found):
            raise StudyError("within the strata treatment does not vary, so it cannot be dealt out again.")
    except StudyError as error:
        yield loans.row(*common, "rejection_rate", note=str(error))
        return
    alpha = round(1 - loans.level, 12)
    rejected = int((np.abs(found) > norm.ppf(1 - alpha / 2)).sum())
    ends = binomtest(rejected, len(found)).proportion_ci(confidence_level=loans.level, method="exact")
    clusters = "" if drawn or len(np.unique(unit)) == len(unit) else "whole clusters, "
    where = f"{clusters}within strata of {'lots' if drawn else 'exact keys'}"
    note = f"{rejected} of {len(found)} deals; {where}; Clopper-Pearson interval"
    interval = {"ci_low": ends.low, "ci_high": ends.high}
    yield loans.row(*common, "rejection_rate", estimate=rejected / len(found), **interval, unit="fraction", note=note)
    if len(found) > 1:
        # Off nought: the controls leave of the strata what treatment's shares go with. Off one: errors of a wrong size.
        freedom, spread = len(found) - 1, float(found.std(ddof=1))
        centre = robust_errors.effect(float(found.mean()), spread / len(found) ** 0.5, loans.level)
        yield loans.row(*common, "centre", **centre._asdict(), unit="t statistic", note=f"mean over {len(found)} deals")
        interval = {
            name: spread * (freedom / chi2.ppf(side, freedom)) ** 0.5
            for name, side in (("ci_low", 1 - alpha / 2), ("ci_high", alpha / 2))
        }
        note = f"standard deviation over {len(found)} deals"
        yield loans.row(*common, "spread", estimate=spread, **interval, unit="t statistic", note=note)
        reach = centre.ci_high - centre.estimate
        yield _checked(loans, "permuted_centre", centre.estimate, reach, abs(centre.estimate) <= reach)
    # A real lottery deals from the very design; of strata that the regression leaves, the distance is from the centre.
    middle = 0.0 if drawn else float(np.append(found, real).mean())
    as_far = int((np.abs(found - middle) >= abs(real[0] - middle) * (1 - 1e-9)).sum())
    yield loans.row(
        *common,
        "t_statistic",
        estimate=real[0],
        p_value=(1 + as_far) / (1 + len(found)),
        unit="t statistic",
        note=f"{len(found)} deals; {where}" + ("" if drawn else "; p-value by the distance from their centre"),
    )
    inside = ends.low <= alpha <= ends.high
    yield _checked(loans, "permuted_rejection", rejected / len(found), alpha, inside)


def _ties(loans: Loans, study: str) -> Iterator[Row]:
    """Yield how many treated loans chose among controls equally near, and how far the effect moves with their order."""
    ties = json.loads((places.matched(study) / "ties.json").read_text(encoding="utf-8"))
    if not ties:
        return
    yield _checked(loans, "tied_controls", ties["tied"], TIED, ties["tied"] <= TIED)
    common = ("renumbering", "pairs", "spread")
    if not ties["effects"]:
        yield loans.row(*common, note="too many loans for pairs to be formed again and again.")
        return
    note = f"standard deviation over {len(ties['effects'])} orders of the controls that tie"
    spread = 100 * float(np.std(ties["effects"], ddof=1))
    yield loans.row(*common, estimate=spread, unit="percentage points", note=note)


def _hidden_bias(loans: Loans, study: str) -> Iterator[Row]:
    """Yield Rosenbaum's bounds of the matched pairs, and the hidden bias up to which their finding stands."""
    folder = places.matched(study)
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    pairs = store.read_parquet(folder / "pairs.parquet")
    if design["method"] not in PAIRS or pairs.empty:
        yield loans.row("sensitivity_value", "pairs", "gamma", note="there are no matched pairs.")
        return
    default = loans.frame.set_index("loan_id")["default"]
    alone = pairs.drop_duplicates("pair")
    both = pd.concat(
        [
            pd.DataFrame({"pair": alone["pair"], "treated": 1, "default": alone["treated"].map(default)}),
            pd.DataFrame({"pair": pairs["pair"], "treated": 0, "default": pairs["control"].map(default)}),
        ]
    )
    outcome, arm, pair = (both[name].to_numpy() for name in ("default", "treated", "pair"))
    counts = {"n": len(both), "n_treated": len(alone), "n_clusters": len(alone)}
    alpha = (1 - loans.level) / 2
    try:
        bounds = rosenbaum_bounds(outcome, arm, pair, GAMMAS)
        value = sensitivity_value(outcome, arm, pair, alpha)
    except StudyError as error:
        yield loans.row("sensitivity_value", "pairs", "gamma", **counts, note=str(error))
        return
    for one in bounds.itertuples():
        for side in ("fewer", "more"):
            bound = {"estimate": getattr(one, side), "unit": "p-value"}
            yield loans.row("rosenbaum_bounds", "pairs", side, outcome=f"{one.gamma:.1f}", **counts, **bound)
    note = f"one-sided, at {alpha:.3g}; 1: the pairs show no clear difference even without hidden bias"
    yield loans.row("sensitivity_value", "pairs", "gamma", estimate=value, unit="ratio of odds", **counts, note=note)


def _selection(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
    """Yield Oster's delta, and the headline effect if selection on the unmeasured equals that on the measured."""
    common = ("oster", "controls")
    try:
        if "treated" not in design or design.shape[1] < 3:
            raise StudyError("there are no controls beside treatment.")
        controls = design.drop(columns=["intercept", "treated"]).to_numpy()
        arm, default = loans.treated.astype(float), loans.default.astype(float)
        found = bias_adjusted(default, arm, controls, codes(loans.clusters), others=TIMES, weights=loans.weights)
    except StudyError as error:
        yield loans.row(*common, "bias_adjusted", note=str(error))
        return
    for times, delta in found.deltas.items():
        note = f"{times:g} times the R-squared with controls"
        r_max = f"{min(times * found.r_long, 1.0):.6f}"
        yield loans.row(*common, "delta", outcome=r_max, estimate=delta, unit="times the measured", note=note)
    adjusted = robust_errors.effect(found.estimate, found.std_error, loans.level)
    note = f"delta 1, R-squared {found.r_max:.4f} (1.3 times {found.r_long:.4f}); jackknife over clusters"
    yield loans.row(*common, "bias_adjusted", **_in_points(adjusted), note=note)


def _checked(loans: Loans, name: str, value: float, threshold: float, passed: bool, **more: Any) -> Row:
    common = {key: loans.row("", "", "")[key] for key in ("factor", "outcome", "n", "n_treated", "n_clusters")}
    return results.assumption(name, value, threshold, passed=passed, **common, **more)


def _in_points(effect: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect._asdict().items()}
    return scaled | {"unit": "percentage points"}
