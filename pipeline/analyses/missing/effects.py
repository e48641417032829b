"""Effects with gaps left, weighted for or filled, and how far off what fills them would have to be."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.missing.loans import Row, askable, full_controls, row
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import column_in
from pipeline.core.seeds import seed_of
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import cluster_codes
from pipeline.stats.missing_data import Pooled, Shifted, impute, tipping_point, with_imputed_controls
from pipeline.stats.response import response
from pipeline.stats.robust_errors import clustered, partial_out

MOST_MISSING = 0.5
"""Share missing beyond which a factor is not imputed: most of what came out would be the imputation's own model."""

SHIFTS = np.linspace(-2, 2, 17)
"""Shifts of what was imputed that the figure shows, in standard deviations of the factor."""

EVEN = 0.5
"""Effective share of the answers below which a few of them carry the weighted result."""


def of_factors(
    cohort: pd.DataFrame, factors: list[str], protocol: Study, params: Params, seed: str, *, arms: bool
) -> Iterator[Row]:
    """Yield each factor's effect with all controls: complete cases, weighted, imputed, and with the imputed shifted.

    Parameters
    ----------
    cohort : (loans x columns)
    factors : list of str
        Columns with gaps that could be measured on the same loans.
    protocol : Study
    params : Params
        Of which: the level of confidence intervals, and how often and how long gaps are filled.
    seed : str
        From it and the names of what is filled the draws of the imputation follow.
    arms : bool
        Whether there is a treatment, given which gaps are filled too.
    """
    level = params.inference.level
    loans = askable(cohort, factors[0], protocol).sort_values("loan_id", kind="stable")
    controls = design_matrix(loans, full_controls(protocol)).matrix
    about = _about(loans, ["treated"] if arms else [], protocol)
    few = [name for name in factors if loans[name].isna().mean() <= MOST_MISSING]
    imputed: dict[str, np.ndarray] = {}
    try:
        if few:
            imputed = impute(
                loans[few].astype(float),
                about.to_numpy(),
                params.missing.imputations,
                params.missing.iterations,
                _seed(seed, " ".join(few)),
                cluster_codes(loans[protocol.cluster]),
            )
    except StudyError as error:
        for name in few:
            yield row(loans, protocol, "multiple_imputation", factor=name, outcome="default", note=str(error))
    for name in factors:
        known = loans[name].notna().to_numpy()
        there = loans[known]
        try:
            design = design_matrix(there, [name, *full_controls(protocol)]).matrix
            plain = _linear(there, design, name, protocol, level, there.get("weight"))
        except StudyError as error:
            yield row(there, protocol, "complete_cases", factor=name, outcome="default", note=str(error))
            continue
        yield row(there, protocol, "complete_cases", **plain)
        try:
            weights, even = _weighted(loans, known, about, protocol, level)
            yield row(there, protocol, "response_weighted", **_linear(there, design, name, protocol, level, weights))
            checked = results.assumption("weights_even", even, EVEN, passed=even >= EVEN)
            yield row(there, protocol, **checked, factor=name)
        except StudyError as error:
            yield row(there, protocol, "response_weighted", factor=name, outcome="default", note=str(error))
        if name not in few:
            note = f"not imputed: {100 * (1 - known.mean()):.0f}% of the values are missing"
            yield row(loans, protocol, "multiple_imputation", factor=name, outcome="default", note=note)
        elif name in imputed:
            yield from _imputed(loans, name, imputed[name], controls, protocol, level)


def _imputed(
    loans: pd.DataFrame, factor: str, copies: np.ndarray, controls: pd.DataFrame, protocol: Study, level: float
) -> Iterator[Row]:
    """Yield the effect from completed copies, as they are and with what was imputed shifted."""
    gone = loans[factor].isna().to_numpy()
    default = loans["default"].to_numpy(dtype=float)
    codes = cluster_codes(loans[protocol.cluster])
    weights = None if "weight" not in loans else loans["weight"].to_numpy(dtype=float)
    spread = float(loans[factor].std())
    binary = loans[factor].nunique() == 2
    about = {"factor": factor, "outcome": "default", "estimand": "risk_difference"}
    for name, who in (("all_missing", gone), ("missing_and_defaulted", gone & (default == 1))):
        regression = Shifted(default, copies, controls.to_numpy(), codes, who, weights)
        if name == "all_missing":
            yield from _pooled(loans, regression.at(0.0, level), protocol, about, len(copies))
        if binary or not who.any():
            continue
        for place, shift in enumerate(SHIFTS):
            found = regression.at(float(shift) * spread, level)
            more = results.in_points(found.effect) | {"note": f"imputed values shifted by {shift * spread:.6g}"}
            yield row(loans, protocol, "shifted", specification=f"{name}_{place:02d}", **about, **more)
            yield {
                "estimator": "shift",
                "specification": f"{name}_{place:02d}",
                "factor": factor,
                "estimand": "shift",
                "estimate": shift * spread,
                "unit": "units of the factor",
            }
        point = tipping_point(regression, float(SHIFTS[-1]) * spread, level)
        none = np.isnan(point)
        yield row(loans, protocol, "tipping_point", specification=name, factor=factor, outcome="default") | {
            "estimand": "shift",
            "estimate": point,
            "unit": "units of the factor",
            "note": f"no shift up to {SHIFTS[-1] * spread:.3g} changes the answer"
            if none
            else f"{point / spread:.2f} standard deviations",
        }
    if binary:
        yield from _extremes(loans, factor, gone, default, controls, codes, weights, protocol, level)


def _pooled(loans: pd.DataFrame, found: Pooled, protocol: Study, about: Row, copies: int) -> Iterator[Row]:
    note = f"{copies} copies; Rubin's rules; {found.degrees:.0f} degrees of freedom"
    yield row(loans, protocol, "multiple_imputation", **about, **results.in_points(found.effect), note=note)
    more = about | {"estimand": "missing_information", "estimate": found.missing_information, "unit": "share"}
    yield row(loans, protocol, "multiple_imputation", **more)


def _extremes(
    loans: pd.DataFrame,
    factor: str,
    gone: np.ndarray,
    default: np.ndarray,
    controls: pd.DataFrame,
    codes: np.ndarray,
    weights: np.ndarray | None,
    protocol: Study,
    level: float,
) -> Iterator[Row]:
    """Yield the smallest and the largest effect that any values of a yes-or-no factor in its gaps could give.

    Gaps take one value where the loan defaulted and one where it did not (Horowitz & Manski 2000); the two rows are
    the ends over all four choices.
    """
    low, high = (float(value) for value in sorted(loans[factor].dropna().unique()))
    found = []
    for of_default in (low, high):
        for of_others in (low, high):
            filled = loans[factor].to_numpy(dtype=float).copy()
            filled[gone] = np.where(default[gone] == 1, of_default, of_others)
            regression = Shifted(default, np.stack([filled, filled]), controls.to_numpy(), codes, gone, weights)
            found.append(regression.at(0.0, level).effect)
    about = {"factor": factor, "outcome": "default", "estimand": "risk_difference"}
    for name, effect in (("smallest", min(found)), ("largest", max(found))):
        yield row(loans, protocol, "extreme", specification=name, **about, **results.in_points(effect))


def of_controls(
    cohort: pd.DataFrame, factor: str, incomplete: list[str], protocol: Study, params: Params, seed: str
) -> Iterator[Row]:
    """Yield the headline regression with controls that have gaps: without them, complete, weighted and imputed.

    Parameters
    ----------
    cohort : (loans x columns)
    factor : str
        Whose coefficient is shown.
    incomplete : list of str
        Terms of the controls that have gaps.
    protocol : Study
    params : Params
        Of which: the level of confidence intervals, and how often and how long gaps are filled.
    seed : str
        From it and the names of what is filled the draws of the imputation follow.
    """
    level = params.inference.level
    loans = askable(cohort, factor, protocol).sort_values("loan_id", kind="stable")
    loans = loans[loans[factor].notna()]
    added = pd.DataFrame(
        {term: np.log(loans[column_in(term)]) if term != column_in(term) else loans[term] for term in incomplete}
    )
    known = added.notna().all(axis=1).to_numpy()
    about = {"specification": "incomplete_controls"}
    said = {"note": f"with {', '.join(incomplete)}"}
    if known.all() or not known.any():
        return
    terms = full_controls(protocol)
    try:
        design = design_matrix(loans, [factor, *terms]).matrix
        plain = _linear(loans, design, factor, protocol, level, loans.get("weight"))
        yield row(loans, protocol, "without_them", **about, **plain, note="without the controls that have gaps")
        there = loans[known]
        full = pd.concat([design_matrix(there, [factor, *terms]).matrix, added[known]], axis=1)
        yield row(there, protocol, "complete_cases", **about, **said) | _linear(
            there, full, factor, protocol, level, there.get("weight")
        )
        others = _about(loans, [factor], protocol)
        weights, _ = _weighted(loans, known, others, protocol, level)
        yield row(there, protocol, "response_weighted", **about, **said) | _linear(
            there, full, factor, protocol, level, weights
        )
        copies = impute(
            added.astype(float),
            others.to_numpy(),
            params.missing.imputations,
            params.missing.iterations,
            _seed(seed, "controls"),
            cluster_codes(loans[protocol.cluster]),
        )
        yield from _with_imputed_controls(loans, factor, design, copies, protocol, level, about | said)
    except StudyError as error:
        yield row(loans, protocol, "multiple_imputation", **about, factor=factor, note=str(error))


def _with_imputed_controls(
    loans: pd.DataFrame,
    factor: str,
    design: pd.DataFrame,
    copies: dict[str, np.ndarray],
    protocol: Study,
    level: float,
    about: Row,
) -> Iterator[Row]:
    found = with_imputed_controls(
        loans["default"].to_numpy(dtype=float),
        loans[factor].to_numpy(dtype=float),
        list(copies.values()),
        design.drop(columns=factor).to_numpy(),
        cluster_codes(loans[protocol.cluster]),
        level,
        None if "weight" not in loans else loans["weight"].to_numpy(dtype=float),
    )
    named = {"factor": factor, "outcome": "default", "estimand": "risk_difference"}
    for one in _pooled(loans, found, protocol, named, len(next(iter(copies.values())))):
        yield one | {"specification": about["specification"]}


def _about(loans: pd.DataFrame, first: list[str], protocol: Study) -> pd.DataFrame:
    """Return what gaps are filled from, and answers weighted by: everything complete that the analysis uses.

    That is the outcome, the full controls with their time effects, and the loans' weights where they have any.
    """
    weighted = ["weight"] if "weight" in loans and loans["weight"].notna().all() else []
    return design_matrix(loans, list(dict.fromkeys([*first, "default", *full_controls(protocol), *weighted]))).matrix


def _linear(
    loans: pd.DataFrame, design: pd.DataFrame, factor: str, protocol: Study, level: float, weights: pd.Series | None
) -> Row:
    fit = partial_out(loans["default"], design, factor, weights)
    found = clustered(fit, cluster_codes(loans[protocol.cluster]), level, student=True)
    return {"factor": factor, "outcome": "default", "estimand": "risk_difference"} | results.in_points(found)


def _weighted(
    loans: pd.DataFrame, known: np.ndarray, about: pd.DataFrame, protocol: Study, level: float
) -> tuple[pd.Series, float]:
    """Return the weights with which loans that have a value stand for all, and how evenly they weigh."""
    found = response(known, about, loans[protocol.cluster], level)
    there = loans[known]
    own = 1.0 if "weight" not in there else there["weight"].to_numpy(dtype=float)
    return pd.Series(found.weights * own, there.index), found.effective_share


def _seed(seed: str, what: str) -> list[int]:
    return [seed_of(seed, "missing", what)]
