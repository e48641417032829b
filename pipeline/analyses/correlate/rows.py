"""Correlate each CRM factor with default, raw and given the controls; trends, plain relations, and who answered."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import results
from pipeline.core.protocol import Relation, Study
from pipeline.core.scope import Scope
from pipeline.runtime.errors import StudyError
from pipeline.stats.correlation import (
    holm,
    is_perfect,
    orthonormal,
    partial,
    pearson,
    spearman,
    variance_inflation,
)
from pipeline.stats.design import column_of, design_matrix, term_values
from pipeline.stats.discrimination import compare
from pipeline.stats.inference import Effect, cluster_codes
from pipeline.stats.rates import default_rates, dose_groups
from pipeline.stats.response import Response, response
from pipeline.stats.robust_errors import clustered, partial_out
from pipeline.stats.samples import candidates, number_treated, sample_for
from pipeline.stats.trend import cochran_armitage, jonckheere_terpstra, ordered_groups

COLLINEAR = 10.0
"""Variance inflation from which a factor's own part is hard to tell from its controls' (Marquardt 1970)."""

DOSES, BINS = 5, 10
"""Groups of a factor in which a trend is tested, where params.yaml names none; and groups that the figure shows."""

SMALLEST = 30
"""Loans that a group of the figure needs."""

SOMEWHAT_EVEN = 0.5
"""Effective share of the answers below which a few of them carry the weighted result."""

PERFECT = (
    "the factor tells the outcome of every loan: it records the outcome itself, or follows from it, and is no factor."
)
"""What is said of a correlation of one or minus one, which has no interval."""

Row = dict[str, Any]


def rows(cohort: pd.DataFrame, allowed: Scope, level: float) -> list[Row]:
    """Return the correlation rows of the results table; Holm's adjustment runs over the factors of each kind.

    `cohort` (loans x columns), `allowed` is what it allows of the protocol, `level` that of confidence intervals.
    """
    protocol = allowed.protocol
    factors = allowed.factors if allowed.models else []
    samples = {factor: sample_for(cohort, factor, protocol.after_origination()) for factor in factors}

    families: dict[tuple[str, str], dict[str, Effect]] = {
        ("point_biserial", "raw"): {
            name: pearson(*_both(samples[name], name), level, weights=_weights(samples[name])) for name in factors
        },
        ("spearman", "raw"): {
            name: spearman(*_both(samples[name], name), level, _weights(samples[name])) for name in factors
        },
    }
    ladder = protocol.controls.ladder()
    families |= {("partial", f"given_{block}"): {} for block in ladder}
    inflation: list[Row] = []
    # Factors that were measured on the same loans share one design matrix, whose first columns are the first rung's.
    for same in _measured_together(samples) if ladder else []:
        loans = samples[same[0]]
        design = design_matrix(loans, [*ladder.values()][-1]).matrix
        basis = orthonormal(design.to_numpy(), _weights(loans))
        for block, terms in ladder.items():
            columns = sum(name.split("[")[0] in {"intercept", *terms} for name in design)
            families["partial", f"given_{block}"] |= _partial(loans, same, basis[:, :columns], level)
        inflation += [_inflation(loans, name, basis) for name in same]

    found = [row for (kind, given), family in families.items() for row in _rows(kind, given, family, samples)]
    found += inflation
    for name, loans in samples.items():
        found += _binned(loans, name, level)
        found += _trend(loans, name, protocol, level)
    found += _matrix(cohort, factors, protocol)
    answers = {
        name: rest
        for name in factors
        if (rest := candidates(cohort, name, protocol.after_origination()))[name].isna().any()
    }
    found += _responses(answers, families, protocol, level, arms=allowed.arms)
    if allowed.models:
        for relation in protocol.relations:
            found += _relation(cohort, relation, protocol, level)
    return found


def _partial(loans: pd.DataFrame, factors: list[str], basis: np.ndarray, level: float) -> dict[str, Effect]:
    """Correlate given the controls; a factor that they determine has no partial correlation, the others stand."""
    try:
        return partial(loans[factors].astype(float), loans["default"], basis, level, _weights(loans))
    except StudyError:
        if len(factors) == 1:
            return {factors[0]: Effect(*[float("nan")] * len(Effect._fields))}
    return {name: one for factor in factors for name, one in _partial(loans, [factor], basis, level).items()}


def _both(loans: pd.DataFrame, factor: str) -> tuple[np.ndarray, np.ndarray]:
    return loans[factor].to_numpy(dtype=float), loans["default"].to_numpy(dtype=float)


def _weights(loans: pd.DataFrame) -> np.ndarray | None:
    return loans["weight"].to_numpy(dtype=float) if "weight" in loans else None


def _measured_together(samples: dict[str, pd.DataFrame]) -> list[list[str]]:
    """Group the factors whose samples hold the same loans with the same outcome."""
    groups: list[list[str]] = []
    for name, loans in samples.items():
        for group in groups:
            other = samples[group[0]]
            if loans.index.equals(other.index) and loans["default"].equals(other["default"]):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _rows(
    kind: str, given: str, found: dict[str, Effect], samples: dict[str, pd.DataFrame]
) -> Iterable[dict[str, Any]]:
    adjusted = _adjusted(found)
    for factor, one in found.items():
        yield one._asdict() | {
            "estimator": kind,
            "specification": given,
            "factor": factor,
            "outcome": "default",
            "estimand": "correlation",
            "p_adjusted": adjusted.get(factor, float("nan")),
            "n": len(samples[factor]),
            "n_treated": number_treated(samples[factor]),
            "unit": "correlation",
            "note": PERFECT if is_perfect(one.estimate) else "",
        }


def _adjusted(family: dict[str, Effect]) -> dict[str, float]:
    """Return the p-values of a family of factors by Holm's method."""
    known = {factor: one.p_value for factor, one in family.items() if not np.isnan(one.p_value)}
    return dict(zip(known, holm(list(known.values())), strict=True)) if known else {}


def _row(loans: pd.DataFrame, factor: str, protocol: Study | None = None, **more: Any) -> Row:
    """Return a row on a factor and default, with the numbers of its loans."""
    clusters = {} if protocol is None else {"n_clusters": loans[protocol.cluster].nunique()}
    return {
        "factor": factor,
        "outcome": "default",
        "n": len(loans),
        "n_treated": number_treated(loans),
        **clusters,
    } | more


def _inflation(loans: pd.DataFrame, factor: str, basis: np.ndarray) -> Row:
    """Return how far the full controls inflate the variance of the factor's coefficient."""
    found = variance_inflation(loans[factor].to_numpy(dtype=float), basis, _weights(loans))
    if np.isinf(found):
        return _row(loans, factor, estimator="variance_inflation", note="the controls determine this factor.")
    return _row(loans, factor) | results.assumption("collinear", found, COLLINEAR, passed=found < COLLINEAR)


def _binned(loans: pd.DataFrame, factor: str, level: float) -> Iterator[Row]:
    """Yield default and the factor's mean in up to `BINS` groups of the factor."""
    groups = pd.Series(ordered_groups(loans[factor].to_numpy(dtype=float), BINS, SMALLEST), loans.index)
    rates = default_rates(loans["default"], groups, level, loans.get("weight"))
    means = loans[factor].astype(float).groupby(groups).mean()
    for group, rate in rates.iterrows():
        common = {"estimator": "binned_means", "specification": f"{group:02d}", "n": int(rate["n"]), "n_treated": None}
        points = {name: 100 * rate[name] for name in ("ci_low", "ci_high")} | {"estimate": 100 * rate["rate"]}
        yield _row(loans, factor, estimand="default_rate", unit="percent") | common | points
        mean = {"estimand": "mean_of_factor", "unit": "units of the factor", "estimate": means[group]}
        yield _row(loans, factor) | common | mean


def _trend(loans: pd.DataFrame, factor: str, protocol: Study, level: float) -> Iterator[Row]:
    """Yield default by dose of a factor, and tests of a trend over the doses, which count as equal steps."""
    edges = protocol.doses.get(factor)
    if edges is None:
        groups = pd.Series(ordered_groups(loans[factor].to_numpy(dtype=float), DOSES), loans.index)
    else:
        codes = dose_groups(loans[factor], edges).cat.codes
        loans = loans[codes >= 0]
        groups = pd.Series(ordered_groups(codes[codes >= 0].to_numpy(), len(edges)), loans.index)
    try:
        tests = {
            "cochran_armitage": cochran_armitage(loans["default"].to_numpy(dtype=float), groups.to_numpy()),
            "jonckheere_terpstra": jonckheere_terpstra(loans["default"].to_numpy(), groups.to_numpy()),
        }
    except StudyError as error:
        yield _row(loans, factor, protocol, estimator="trend", specification="cochran_armitage", note=str(error))
        return
    rates = default_rates(loans["default"], groups, level, loans.get("weight"))
    spans = loans[factor].astype(float).groupby(groups).agg(["min", "max"])
    for group, rate in rates.iterrows():
        low, high = spans.loc[group]
        yield _row(loans, factor, estimator="dose_group", specification=f"{group:02d}", estimand="default_rate") | {
            **{name: 100 * rate[name] for name in ("ci_low", "ci_high")},
            "estimate": 100 * rate["rate"],
            "n": int(rate["n"]),
            "n_treated": int(loans.loc[groups == group, "treated"].sum()) if loans["treated"].notna().all() else None,
            "unit": "percent",
            "note": f"from {low:.6g} to {high:.6g}",
        }
    for name, test in tests.items():
        found = {"estimate": test.statistic, "p_value": test.p_value, "unit": "standard normal"}
        note = f"{len(rates)} groups; takes loans as independent"
        yield (
            _row(loans, factor, protocol, estimator="trend", specification=name, estimand="statistic", note=note)
            | found
        )
    design = pd.DataFrame({"intercept": 1.0, "dose": groups.astype(float)}, loans.index)
    try:
        fit = partial_out(loans["default"], design, "dose", loans.get("weight"))
        step = clustered(fit, cluster_codes(loans[protocol.cluster]), level)
    except StudyError:
        return
    more = {"estimator": "trend", "specification": "clustered", "estimand": "change_per_group"}
    yield _row(loans, factor, protocol, **more, **results.in_points(step), note=f"{len(rates)} groups")


def _matrix(cohort: pd.DataFrame, factors: list[str], protocol: Study) -> Iterator[Row]:
    """Yield the correlations among default, CRM factors and the controls that are numbers or have an order."""
    if not factors:
        return
    controls = [column_of(term) for block in ("loan", "borrower") for term in getattr(protocol.controls, block)]
    ordered = [name for name in dict.fromkeys(controls) if name not in factors and _is_ordered(cohort[name])]
    late = protocol.after_origination()
    names = ["default", *factors, *ordered]
    values = {name: _numbers(cohort[name]).to_numpy(dtype=float) for name in names}
    weights = None if "weight" not in cohort else cohort["weight"].to_numpy(dtype=float)
    for place, name in enumerate(names):
        for other in names[:place]:
            x, y = values[name], values[other]
            there = ~(np.isnan(x) | np.isnan(y))
            if name in late or other in late:
                there &= (cohort["open_at_landmark"] == 1).to_numpy()
                y = cohort["default_after_landmark"].to_numpy(dtype=float) if other == "default" else y
            if there.sum() < 3 or np.ptp(x[there]) == 0 or np.ptp(y[there]) == 0:
                continue
            w = np.ones(there.sum()) if weights is None else weights[there]
            covariance = np.cov(x[there], y[there], aweights=w)
            yield {
                "estimator": "correlation_matrix",
                "specification": other,
                "factor": name,
                "outcome": other if other == "default" else "",
                "estimand": "correlation",
                "estimate": covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]),
                "n": int(there.sum()),
                "unit": "correlation",
            }


def _is_ordered(column: pd.Series) -> bool:
    """Say whether a column is numeric, or a category with an order, and varies."""
    ordered = bool(column.cat.ordered) if column.dtype == "category" else pd.api.types.is_numeric_dtype(column)
    return ordered and column.nunique() > 1


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers: a category by the place of its level, a gap as NaN."""
    if column.dtype != "category":
        return column.astype(float)
    codes = column.cat.remove_unused_categories().cat.codes.astype(float)
    return codes.where(codes >= 0)


def _responses(
    answers: dict[str, pd.DataFrame],
    families: dict[tuple[str, str], dict[str, Effect]],
    protocol: Study,
    level: float,
    *,
    arms: bool,
) -> Iterator[Row]:
    """Yield, of factors that some loans lack, who answered, and the correlations that stand for all loans."""
    ladder = protocol.controls.ladder()
    terms = [term for term in ([*ladder.values()][-1] if ladder else []) if term not in protocol.controls.time]
    weighted: dict[str, dict[str, Effect]] = {"point_biserial": {}, "spearman": {}}
    slopes: list[Row] = []
    there: dict[str, pd.DataFrame] = {}
    for factor, loans in answers.items():
        design = design_matrix(loans, [*(["treated"] if arms else []), "default", *terms]).matrix
        answered = loans[factor].notna().to_numpy()
        try:
            found = response(answered, design, loans[protocol.cluster], level)
        except StudyError as error:
            yield _row(loans, factor, protocol, estimator="response_model", outcome="answered", note=str(error))
            continue
        yield from _who_answered(loans, factor, found, answered, protocol)
        loans = there[factor] = loans[answered]
        weights = found.weights * (1.0 if "weight" not in loans else loans["weight"].to_numpy(dtype=float))
        both = _both(loans, factor)
        weighted["point_biserial"][factor] = pearson(*both, level, weights=weights)
        weighted["spearman"][factor] = spearman(*both, level, weights)
        plain = pd.DataFrame({"intercept": 1.0, factor: loans[factor].astype(float)}, loans.index)
        for name, w in (("complete_cases", loans.get("weight")), ("weighted", pd.Series(weights, loans.index))):
            more = {"estimator": "response", "specification": name, "estimand": "risk_difference"}
            try:
                fit = partial_out(loans["default"], plain, factor, w)
                one = clustered(fit, cluster_codes(loans[protocol.cluster]), level)
            except StudyError as error:
                slopes.append(_row(loans, factor, protocol, **more, note=str(error)))
                continue
            slopes.append(_row(loans, factor, protocol, **more, **results.in_points(one)))
    yield from slopes
    for kind, found in weighted.items():
        # The family is that of all factors, with the weighted correlation where answers are missing.
        adjusted = _adjusted(families[kind, "raw"] | found)
        for factor, one in found.items():
            more = {"estimator": "response", "specification": "weighted", "estimand": kind, "unit": "correlation"}
            yield _row(there[factor], factor, protocol, **more, **one._asdict(), p_adjusted=adjusted.get(factor))


def _who_answered(
    loans: pd.DataFrame, factor: str, found: Response, answered: np.ndarray, protocol: Study
) -> Iterator[Row]:
    """Yield what answering a factor is associated with, and how evenly the weights stand for all loans."""
    about = {"estimator": "response_model", "outcome": "answered"}
    for name, one in found.odds_ratios.items():
        if "[" not in name:
            more = one._asdict() | {"specification": name, "estimand": "odds_ratio", "unit": "odds ratio"}
            yield _row(loans, factor, protocol) | about | more
    for estimand, value in (
        ("share_answered", answered.mean()),
        ("area_under_curve", found.area),
        ("largest_weight", found.weights.max()),
    ):
        yield _row(loans, factor, protocol) | about | {"estimand": estimand, "estimate": value}
    even = found.effective_share
    yield _row(loans[answered], factor, protocol) | results.assumption(
        "answers_even", even, SOMEWHAT_EVEN, passed=even >= SOMEWHAT_EVEN
    )


def _relation(cohort: pd.DataFrame, relation: Relation, protocol: Study, level: float) -> Iterator[Row]:
    """Yield one plain relation: the change of its outcome for one unit more of its factor, given its controls."""
    column, _, kind = relation.factor.rstrip("]").partition("[")
    column = column_of(column)
    named = {"estimator": "relation", "specification": relation.name, "factor": relation.factor}
    named |= {"outcome": relation.outcome, "estimand": "change_per_unit"}
    late = [name for name in (column, relation.outcome) if name in protocol.after_origination()]
    try:
        loans = candidates(cohort, late[0] if late else column, protocol.after_origination())
        controls = [column_of(term) for term in relation.controls]
        for name in (relation.outcome, *controls):
            if name not in loans:
                raise StudyError(f"the cohort has no column '{name}', which the relation {relation.name} names.")
        loans = loans.dropna(subset=[column, relation.outcome, *controls])
        if len(loans) <= len(controls) + 2:
            raise StudyError("too few loans hold everything that this relation needs.")
        numeric = not kind and loans[column].dtype != "category"
        values = term_values(loans, [relation.factor])[relation.factor] if numeric else _numbers(loans[column])
        if kind:
            values = (loans[column].astype(str) == kind).astype(float)
        outcome = _numbers(loans[relation.outcome])
        design = design_matrix(loans, relation.controls).matrix
        fit = partial_out(
            outcome, design.assign(**{relation.factor: values.astype(float)}), relation.factor, loans.get("weight")
        )
        if fit.information <= 1e-8 * float(((values - values.mean()) ** 2).sum()):
            raise StudyError("the factor does not vary, or the controls determine it.")
        found = clustered(fit, cluster_codes(loans[protocol.cluster]), level)
    except StudyError as error:
        yield named | {"note": str(error)}
        return
    counts = {name: _row(loans, "", protocol)[name] for name in ("n", "n_treated", "n_clusters")}
    given = f"given {', '.join(relation.controls)}" if relation.controls else "given nothing else"
    yes_or_no = set(outcome.unique()) <= {0.0, 1.0}
    numbers = results.in_points(found) if yes_or_no else found._asdict() | {"unit": "units of the outcome"}
    yield named | counts | numbers | {"note": given}
    if loans[column].dtype == "category" and not kind and not relation.controls:
        test = jonckheere_terpstra(outcome.to_numpy(), values.to_numpy())
        found = {"estimate": test.statistic, "p_value": test.p_value, "unit": "standard normal"}
        trend = {"estimator": "trend", "specification": "jonckheere_terpstra", "estimand": "statistic"}
        note = f"{values.nunique()} groups; takes loans as independent"
        yield named | counts | trend | found | {"note": note}
        if yes_or_no:
            score = values.to_numpy()
            clusters = loans[protocol.cluster].to_numpy()
            area = compare(outcome.to_numpy(), score, score, level, clusters).first
            more = {"estimator": "discrimination", "estimand": "area_under_curve", "unit": "area"}
            yield named | counts | more | area._asdict()
