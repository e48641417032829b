"""What chance, ties and hidden confounding could do to the effect of treatment."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.adjust.loans import Loans, Matched, Row, checked
from pipeline.core import results
from pipeline.core.scope import column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats import robust_errors
from pipeline.stats.comparison import PAIRS
from pipeline.stats.correlation import holm
from pipeline.stats.inference import cluster_codes, codes
from pipeline.stats.randomisation import Studentised, permute, units_of
from pipeline.stats.sensitivity import bias_adjusted, rosenbaum_bounds, sensitivity_value

TIED = 0.1
"""Share of the treated loans that chose among equally near controls from which the choice is part of the answer."""

GAMMAS = np.round(np.arange(1, 2.01, 0.1), 1)
"""Strengths of a hidden bias for which bounds are written."""

TIMES = (1.1, 1.3, 1.5, 2.0)
"""R-squared with the unmeasured, in multiples of that with the measured, for which Oster's delta is written."""

AT_ONCE = 50
"""Permutations that are computed at a time: bounds the memory."""


def ties(loans: Loans, matched: Matched) -> Iterator[Row]:
    """Yield how many treated loans chose among controls equally near, and how far the effect moves with their order."""
    found = matched.ties
    if not found:
        return
    yield checked(loans, "tied_controls", found["tied"], TIED, found["tied"] <= TIED)
    common = ("renumbering", "pairs", "spread")
    if not found["effects"]:
        yield loans.row(*common, note="too many loans for pairs to be formed again and again.")
        return
    note = f"standard deviation over {len(found['effects'])} orders of the controls that tie"
    spread = 100 * float(np.std(found["effects"], ddof=1))
    yield loans.row(*common, estimate=spread, unit="percentage points", note=note)


def hidden_bias(loans: Loans, matched: Matched) -> Iterator[Row]:
    """Yield Rosenbaum's bounds of the matched pairs, and the hidden bias up to which their finding stands."""
    pairs = matched.pairs
    if matched.design["method"] not in PAIRS or pairs.empty:
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


def placebo(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
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
    yield checked(loans, "placebo_outcomes", smallest, alpha, smallest >= alpha, estimand="p_value", p_value=smallest)


def permuted(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
    """Yield how often the headline regression sees an effect of permuted treatment, and where the real one lies."""
    from scipy.stats import binomtest, chi2, norm

    common = ("permuted_treatment", "controls")
    unit, stratum, drawn = _lots(loans)
    try:
        real, found = _statistics(loans, design, unit, stratum)
    except StudyError as error:
        yield loans.row(*common, "rejection_rate", note=str(error))
        return
    alpha = round(1 - loans.level, 12)
    rejected = int((np.abs(found) > norm.ppf(1 - alpha / 2)).sum())
    ends = binomtest(rejected, len(found)).proportion_ci(confidence_level=loans.level, method="exact")
    clusters = "" if drawn or len(np.unique(unit)) == len(unit) else "whole clusters, "
    where = f"{clusters}within strata of {'lots' if drawn else 'exact keys'}"
    note = f"{rejected} of {len(found)} permutations; {where}; Clopper-Pearson interval"
    interval = {"ci_low": ends.low, "ci_high": ends.high}
    yield loans.row(*common, "rejection_rate", estimate=rejected / len(found), **interval, unit="fraction", note=note)
    if len(found) > 1:
        # Off nought: the controls leave of the strata what treatment's shares go with. Off one: errors of a wrong size.
        freedom, spread = len(found) - 1, float(found.std(ddof=1))
        centre = robust_errors.effect(float(found.mean()), spread / len(found) ** 0.5, loans.level)
        yield loans.row(
            *common, "centre", **centre._asdict(), unit="t statistic", note=f"mean over {len(found)} permutations"
        )
        interval = {
            name: spread * (freedom / chi2.ppf(side, freedom)) ** 0.5
            for name, side in (("ci_low", 1 - alpha / 2), ("ci_high", alpha / 2))
        }
        note = f"standard deviation over {len(found)} permutations"
        yield loans.row(*common, "spread", estimate=spread, **interval, unit="t statistic", note=note)
        reach = centre.ci_high - centre.estimate
        yield checked(loans, "permuted_centre", centre.estimate, reach, abs(centre.estimate) <= reach)
    # Of strata that the design has and the regression leaves out, the distance is from the centre.
    middle = 0.0 if drawn else float(np.append(found, real).mean())
    as_far = int((np.abs(found - middle) >= abs(real[0] - middle) * (1 - 1e-9)).sum())
    yield loans.row(
        *common,
        "t_statistic",
        estimate=real[0],
        p_value=(1 + as_far) / (1 + len(found)),
        unit="t statistic",
        note=f"{len(found)} permutations; {where}" + ("" if drawn else "; p-value by the distance from their centre"),
    )
    inside = ends.low <= alpha <= ends.high
    yield checked(loans, "permuted_rejection", rejected / len(found), alpha, inside)


def _lots(loans: Loans) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the unit by which treatment is permuted, its stratum (both loans,), and whether a lottery drew it."""
    if {"lottery_unit", "lottery_stratum"} <= set(loans.frame):
        return loans.frame["lottery_unit"].to_numpy(), loans.frame["lottery_stratum"].to_numpy(), True
    exact = loans.protocol.matching.exact
    stratum = np.zeros(len(loans.frame))
    if exact:
        stratum = loans.frame.groupby(exact, observed=True, dropna=False).ngroup().to_numpy()
    return *units_of(loans.treated, loans.clusters.to_numpy(), stratum), False


def _statistics(
    loans: Loans, design: pd.DataFrame, unit: np.ndarray, stratum: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the t statistic of treatment as it is (1,), and as it is permuted (permutations,).

    Raises StudyError where there is nothing to permute, or the controls determine treatment.
    """
    assignments = permute(loans.treated, unit, stratum, loans.choices.permutations, loans.seed)
    controls = design.drop(columns="treated", errors="ignore").to_numpy()
    regress = Studentised(loans.default, controls, loans.clusters.to_numpy(), loans.weights)
    real = regress(loans.treated[:, None].astype(float))
    if not len(real):
        raise StudyError("the controls determine treatment.")
    found = np.concatenate(
        [
            regress(assignments[:, start : start + AT_ONCE].astype(float))
            for start in range(0, assignments.shape[1], AT_ONCE)
        ]
    )
    if not len(found):
        raise StudyError("within the strata treatment does not vary, so it cannot be permuted.")
    return real, found


def selection(loans: Loans, design: pd.DataFrame) -> Iterator[Row]:
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
    # Where controls explain nearly all of it, several multiples come to the most there can be.
    largest = {f"{min(times * found.r_long, 1.0):.6f}": times for times in reversed(found.deltas)}
    for r_max, times in reversed(largest.items()):
        delta, note = found.deltas[times], f"{times:g} times the R-squared with controls"
        yield loans.row(*common, "delta", outcome=r_max, estimate=delta, unit="times the measured", note=note)
    adjusted = robust_errors.effect(found.estimate, found.std_error, loans.level)
    note = f"delta 1, R-squared {found.r_max:.4f} (1.3 times {found.r_long:.4f}); jackknife over clusters"
    yield loans.row(*common, "bias_adjusted", **results.in_points(adjusted), note=note)
