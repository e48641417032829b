"""Ask what missing values could hide: patterns, tests, weights, imputation, and how far off they would have to be."""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import cohorts, results
from pipeline.core.params import Params, Study
from pipeline.core.scope import Scope, column_in, scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix, independent
from pipeline.stats.inference import cluster_codes
from pipeline.stats.missing_data import (
    Pooled,
    Shifted,
    impute,
    little,
    patterns,
    tipping_point,
    with_imputed_controls,
)
from pipeline.stats.regression import Effect
from pipeline.stats.response import response
from pipeline.stats.robust_errors import clustered, partial_out
from pipeline.stats.samples import candidates, number_treated

LEFT = ("missing_", "incomplete_")
"""How the reasons begin for which preparation leaves a loan out because something of it is not known."""

MOST_MISSING = 0.5
"""Share missing beyond which a factor is not imputed: most of what came out would be the imputation's own model."""

COMMONEST = 8
"""Patterns of missing values that are listed."""

SHIFTS = np.linspace(-2, 2, 17)
"""Shifts of what was imputed that the figure shows, in standard deviations of the factor."""

EVEN = 0.5
"""Effective share of the answers below which a few of them carry the weighted result."""

Row = dict[str, Any]


def run(study: str, params: Params) -> str:
    """Write the rows on missing values of the results table."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    flow = store.read_parquet(places.processed(study) / "flow.parquet")
    allowed = scope(protocol, cohort)
    protocol = allowed.protocol
    incomplete = _incomplete(cohort, allowed)
    gaps = [
        name for name in _looked_at(cohort, allowed, incomplete) if _askable(cohort, name, protocol)[name].isna().any()
    ]

    rows = [*_left_out(flow), *_shares(cohort, gaps, protocol)]
    if gaps and allowed.models:
        rows += _patterns(cohort, gaps, protocol)
        rows += _against(cohort, gaps, protocol, params.inference.level, arms=allowed.arms)
        rows += _by_chance(cohort, gaps, incomplete, protocol, params.inference.level, allowed.factors)
        late = [name for name in allowed.factors if name in gaps]
        for same in _asked_together(late, protocol):
            try:
                rows += [*_of_factors(cohort, same, protocol, params, study, arms=allowed.arms)]
            except (StudyError, np.linalg.LinAlgError) as error:
                rows += [{"estimator": "complete_cases", "factor": name, "note": str(error)} for name in same]
        with_gaps = [term for term in incomplete if column_in(term) in gaps]
        if with_gaps:
            rows += _of_controls(cohort, allowed.factors[0], with_gaps, protocol, params, study)
    results.write(places.results(study, "missing"), results.table(study, "missing", rows))
    return f"{len(rows):,} rows"


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


def _askable(cohort: pd.DataFrame, name: str, protocol: Study) -> pd.DataFrame:
    return candidates(cohort, name, protocol.after_origination())


def _asked_together(factors: list[str], protocol: Study) -> list[list[str]]:
    """Group factors that could be measured on the same loans."""
    late = protocol.after_origination()
    groups = [[name for name in factors if name not in late], [name for name in factors if name in late]]
    return [group for group in groups if group]


def _row(loans: pd.DataFrame, protocol: Study, estimator: str, **more: Any) -> Row:
    counts = {"n": len(loans), "n_treated": number_treated(loans), "n_clusters": loans[protocol.cluster].nunique()}
    return {"estimator": estimator} | counts | more


def _in_points(effect: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect._asdict().items()}
    return scaled | {"unit": "percentage points"}


def _left_out(flow: pd.DataFrame) -> Iterator[Row]:
    """Yield how many loans preparation left out because something was not known, by reason and together."""
    gone = flow[flow["reason"].str.startswith(LEFT)]
    for row in gone.itertuples():
        common = {"estimator": "left_out_for_gaps", "specification": row.reason, "unit": "loans"}
        yield common | {"estimand": "loans", "estimate": row.loans}
        yield common | {"estimand": "defaults", "estimate": row.defaults}


def _shares(cohort: pd.DataFrame, gaps: list[str], protocol: Study) -> Iterator[Row]:
    """Yield the share of loans that lack each column with gaps, or that nothing is missing."""
    if not gaps:
        note = "no factor, control or treatment lacks a value"
        yield _row(cohort, protocol, "share_missing", specification="any", estimate=0.0, unit="percent", note=note)
    for name in gaps:
        loans = _askable(cohort, name, protocol)
        late = name in protocol.after_origination()
        yield _row(loans, protocol, "share_missing", specification="column", factor=name) | {
            "estimate": 100 * loans[name].isna().mean(),
            "unit": "percent",
            "note": "of the loans open at the landmark" if late else "of all loans",
        }


def _patterns(cohort: pd.DataFrame, gaps: list[str], protocol: Study) -> Iterator[Row]:
    """Yield the commonest patterns of gaps, among loans in which every column could have been measured."""
    loans = _common(cohort, gaps, protocol)
    found = patterns(loans[gaps].isna())
    for place, row in found.head(COMMONEST).iterrows():
        gone = [name for name in gaps if row[name]]
        yield {
            "estimator": "pattern",
            "specification": f"{place:02d}",
            "estimand": "share",
            "estimate": 100 * row["loans"] / len(loans),
            "n": int(row["loans"]),
            "unit": "percent",
            "note": ", ".join(gone) if gone else "nothing",
        }


def _common(cohort: pd.DataFrame, names: list[str], protocol: Study) -> pd.DataFrame:
    """Return the loans in which all columns could have been measured, with the default that belongs to them."""
    late = [name for name in names if name in protocol.after_origination()]
    return _askable(cohort, (late or names)[0], protocol)


def _against(cohort: pd.DataFrame, gaps: list[str], protocol: Study, level: float, *, arms: bool) -> Iterator[Row]:
    """Yield by how much default, and treatment, differ between loans that lack a column and loans that do not."""
    for name in gaps:
        loans = _askable(cohort, name, protocol)
        design = pd.DataFrame({"intercept": 1.0, "missing": loans[name].isna().astype(float)}, loans.index)
        for outcome in ("default", *(("treated",) if arms and name != "treated" else ())):
            about = {"factor": name, "outcome": outcome, "estimand": "missing_less_known"}
            try:
                fit = partial_out(loans[outcome], design, "missing", loans.get("weight"))
                found = clustered(fit, cluster_codes(loans[protocol.cluster]), level)
            except StudyError as error:
                yield _row(loans, protocol, "missing_against", **about, note=str(error))
                continue
            yield _row(loans, protocol, "missing_against", **about, **_in_points(found))


def _by_chance(
    cohort: pd.DataFrame, gaps: list[str], incomplete: list[str], protocol: Study, level: float, factors: list[str]
) -> Iterator[Row]:
    """Yield Little's test that values are missing completely at random, on all columns that are numbers."""
    loans = _common(cohort, gaps, protocol)
    ladder = protocol.controls.ladder()
    controls = [column_in(term) for term in ([*ladder.values()][-1] if ladder else [])]
    names = dict.fromkeys(["default", *factors, *controls, *map(column_in, incomplete)])
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(loans[name]) and loans[name].nunique() > 1]
    values = loans[numeric].to_numpy(dtype=float)
    complete = values[~np.isnan(values).any(axis=1)]
    if len(complete) <= len(numeric):
        note = "too few loans without gaps"
        yield _row(loans, protocol, "little", specification="missing_completely_at_random", note=note)
        return
    # A factor that makes the arms stands twice, and series of few months determine each other.
    centred = complete - complete.mean(axis=0)
    values = values[:, independent(centred)]
    try:
        found = little(values)
    except (StudyError, np.linalg.LinAlgError) as error:
        yield _row(loans, protocol, "little", specification="missing_completely_at_random", note=str(error))
        return
    note = f"{found.degrees} degrees of freedom; {found.patterns} patterns; {values.shape[1]} columns"
    about = {"estimand": "d_squared", "estimate": found.statistic, "p_value": found.p_value, "unit": "chi-squared"}
    yield _row(loans, protocol, "little", specification="missing_completely_at_random", **about, note=note)
    significance = 1 - level
    checked = results.assumption(
        "completely_at_random", found.p_value, significance, passed=found.p_value >= significance
    )
    yield _row(loans, protocol, **checked, estimand="p_value", p_value=found.p_value)


def _terms(protocol: Study) -> list[str]:
    """Return the full controls, time effects first."""
    ladder = protocol.controls.ladder()
    terms = [*ladder.values()][-1] if ladder else []
    return [*protocol.controls.time, *(term for term in terms if term not in protocol.controls.time)]


def _about(loans: pd.DataFrame, first: list[str], protocol: Study) -> pd.DataFrame:
    """Return what gaps are filled from, and answers weighted by: everything complete that the analysis uses.

    That is the outcome, the full controls with their time effects, and the loans' weights where they have any.
    """
    weighted = ["weight"] if "weight" in loans and loans["weight"].notna().all() else []
    return design_matrix(loans, list(dict.fromkeys([*first, "default", *_terms(protocol), *weighted]))).matrix


def _seed(params: Params, study: str, what: str) -> list[int]:
    return [zlib.crc32(f"{params.seed} {study} missing {what}".encode())]


def _linear(
    loans: pd.DataFrame, design: pd.DataFrame, factor: str, protocol: Study, level: float, weights: pd.Series | None
) -> Row:
    fit = partial_out(loans["default"], design, factor, weights)
    found = clustered(fit, cluster_codes(loans[protocol.cluster]), level, student=True)
    return {"factor": factor, "outcome": "default", "estimand": "risk_difference"} | _in_points(found)


def _weighted(
    loans: pd.DataFrame, known: np.ndarray, about: pd.DataFrame, protocol: Study, level: float
) -> tuple[pd.Series, float]:
    """Return the weights with which loans that have a value stand for all, and how evenly they weigh."""
    found = response(known, about, loans[protocol.cluster], level)
    there = loans[known]
    own = 1.0 if "weight" not in there else there["weight"].to_numpy(dtype=float)
    return pd.Series(found.weights * own, there.index), found.effective_share


def _of_factors(
    cohort: pd.DataFrame, factors: list[str], protocol: Study, params: Params, study: str, *, arms: bool
) -> Iterator[Row]:
    """Yield each factor's effect with all controls: complete cases, weighted, imputed, and with the imputed shifted."""
    level = params.inference.level
    loans = _askable(cohort, factors[0], protocol).sort_values("loan_id", kind="stable")
    controls = design_matrix(loans, _terms(protocol)).matrix
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
                _seed(params, study, " ".join(few)),
                cluster_codes(loans[protocol.cluster]),
            )
    except StudyError as error:
        for name in few:
            yield _row(loans, protocol, "multiple_imputation", factor=name, outcome="default", note=str(error))
    for name in factors:
        known = loans[name].notna().to_numpy()
        there = loans[known]
        try:
            design = design_matrix(there, [name, *_terms(protocol)]).matrix
            plain = _linear(there, design, name, protocol, level, there.get("weight"))
        except StudyError as error:
            yield _row(there, protocol, "complete_cases", factor=name, outcome="default", note=str(error))
            continue
        yield _row(there, protocol, "complete_cases", **plain)
        try:
            weights, even = _weighted(loans, known, about, protocol, level)
            yield _row(there, protocol, "response_weighted", **_linear(there, design, name, protocol, level, weights))
            checked = results.assumption("weights_even", even, EVEN, passed=even >= EVEN)
            yield _row(there, protocol, **checked, factor=name)
        except StudyError as error:
            yield _row(there, protocol, "response_weighted", factor=name, outcome="default", note=str(error))
        if name not in few:
            note = f"not imputed: {100 * (1 - known.mean()):.0f}% of the values are missing"
            yield _row(loans, protocol, "multiple_imputation", factor=name, outcome="default", note=note)
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
            more = _in_points(found.effect) | {"note": f"imputed values shifted by {shift * spread:.6g}"}
            yield _row(loans, protocol, "shifted", specification=f"{name}_{place:02d}", **about, **more)
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
        yield _row(loans, protocol, "tipping_point", specification=name, factor=factor, outcome="default") | {
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
    yield _row(loans, protocol, "multiple_imputation", **about, **_in_points(found.effect), note=note)
    more = about | {"estimand": "missing_information", "estimate": found.missing_information, "unit": "share"}
    yield _row(loans, protocol, "multiple_imputation", **more)


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
        yield _row(loans, protocol, "extreme", specification=name, **about, **_in_points(effect))


def _of_controls(
    cohort: pd.DataFrame, factor: str, incomplete: list[str], protocol: Study, params: Params, study: str
) -> Iterator[Row]:
    """Yield the headline regression with controls that have gaps: without them, complete, weighted and imputed."""
    level = params.inference.level
    loans = _askable(cohort, factor, protocol).sort_values("loan_id", kind="stable")
    loans = loans[loans[factor].notna()]
    added = pd.DataFrame(
        {term: np.log(loans[column_in(term)]) if term != column_in(term) else loans[term] for term in incomplete}
    )
    known = added.notna().all(axis=1).to_numpy()
    about = {"specification": "incomplete_controls"}
    said = {"note": f"with {', '.join(incomplete)}"}
    if known.all() or not known.any():
        return
    terms = _terms(protocol)
    try:
        design = design_matrix(loans, [factor, *terms]).matrix
        plain = _linear(loans, design, factor, protocol, level, loans.get("weight"))
        yield _row(loans, protocol, "without_them", **about, **plain, note="without the controls that have gaps")
        there = loans[known]
        full = pd.concat([design_matrix(there, [factor, *terms]).matrix, added[known]], axis=1)
        yield _row(there, protocol, "complete_cases", **about, **said) | _linear(
            there, full, factor, protocol, level, there.get("weight")
        )
        others = _about(loans, [factor], protocol)
        weights, _ = _weighted(loans, known, others, protocol, level)
        yield _row(there, protocol, "response_weighted", **about, **said) | _linear(
            there, full, factor, protocol, level, weights
        )
        copies = impute(
            added.astype(float),
            others.to_numpy(),
            params.missing.imputations,
            params.missing.iterations,
            _seed(params, study, "controls"),
            cluster_codes(loans[protocol.cluster]),
        )
        yield from _with_imputed_controls(loans, factor, design, copies, protocol, level, about | said)
    except StudyError as error:
        yield _row(loans, protocol, "multiple_imputation", **about, factor=factor, note=str(error))


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
    for row in _pooled(loans, found, protocol, named, len(next(iter(copies.values())))):
        yield row | {"specification": about["specification"]}
