"""Every way to the programme's effect that the literature takes, on one cohort: right ones, weak ones, wrong ones.

`estimate_all` runs them on real extracts (stage effects) and on thousands of simulated ones (stage recovery), where
the truth says which to believe. Wrong ones are here on purpose, under names that say what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import difference_in_differences as did
from pipeline.stats import estimators_contacts as contacts
from pipeline.stats import estimators_instrumented as instrumented
from pipeline.stats import ties
from pipeline.stats.design import design_matrix, term_values
from pipeline.stats.estimators_rows import AFTER, CONTROLS, OURS, POINTS, Engines, Row, counts, row
from pipeline.stats.inference import crossed
from pipeline.stats.matched_effects import widest
from pipeline.stats.matching import Order, nearest_neighbour
from pipeline.stats.scores import propensity_logit

POST_TREATMENT = ("communication_frequency", "information_sharing", "satisfaction")
"""CRM factors that the programme itself moves."""

SCORE = ("credit_score", "debt_to_income", "relationship_length", "small_firm", "log(amount)")
"""Covariates of the propensity score."""

MATCHING = {
    "matching_on_grade_and_loan_type": ("credit_grade", "loan_type", "institution_type"),
    "matching_on_quarter_and_institution": ("credit_grade", "origination_quarter", "institution_id"),
}
"""What pairs share exactly: as the literature asks, and what helps beyond it."""

PLACEBO = "stress_within_horizon"
"""What befalls clients whatever the lender does: the programme cannot move it."""

EVENT_QUARTERS = (-5, 7)
"""First and last event quarter; all earlier and later ones are in them."""

CLUSTERED = {
    "cluster": "clustered by institution",
    "two_way": "clustered two ways, by pair and by institution",
    "pair": "clustered by pair",
}
"""What a row says of the clusters of its error."""

PERMUTATIONS = 999
"""Adoption calendars that the permutation test draws."""

LOG_RATE = "log rate ratio"

TWO_WAYS = "institution_and_quarter_effects"

Part = tuple[str, str, Callable[[], Iterable[Row]]]
"""An estimator, the outcome, and what writes its rows."""


def estimate_all(
    cohort: pd.DataFrame,
    loan_months: pd.DataFrame,
    level: float,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    ratio: int = 1,
    caliper: float | None = 0.2,
    order: Order = "closest",
    without: Collection[tuple[str, str]] = (),
    engines: Engines = OURS,
) -> list[Row]:
    """Run every estimator and return rows of the results table.

    Args:
        cohort: one row a loan, as the reference study prepares it.
        loan_months: one row a loan and month under observation.
        level: confidence level of intervals.
        permutations: permutations of the adoption dates in the randomisation test; 0 leaves the test out.
        seed: of the randomisation test, the one step that draws, and of the order that breaks ties of the matching.
        ratio, caliper, order: how pairs are formed (`matching.nearest_neighbour`); the caliper is in standard
            deviations of the score's logit.
        without: pairs of estimator and outcome to leave out.
        engines: who fits the regressions that a library has as well.

    Effects on a 0/1 outcome are in percentage points. An estimator that these data cannot support (too few events)
    gives a row without an estimate whose note says why.
    """
    parts: list[Part] = [
        ("raw_difference", "default", partial(_raw_difference, cohort, level, engines)),
        ("linear_probability", "default", partial(_with_controls, cohort, level, engines)),
        ("logit", "default", partial(_logit, cohort, level, engines)),
        ("over_control", "default", partial(_over_control, cohort, level, engines)),
        ("satisfaction_with_controls", AFTER, partial(instrumented.satisfaction, cohort, level, engines)),
        ("satisfaction_instrument", AFTER, partial(instrumented.satisfaction_instrument, cohort, level, engines)),
        ("lottery_instrument", "default", partial(instrumented.lottery, cohort, level, engines)),
        ("lagged_contacts", "delinquent", partial(contacts.contacts_then_arrears, loan_months, level)),
        ("lagged_contacts", "default", partial(contacts.contacts_then_default, loan_months, level)),
        ("same_period_contacts", "default", partial(contacts.same_period_contacts, loan_months, level)),
    ]
    for name, exact in MATCHING.items():
        parts.append(
            (name, "default", partial(_matched, cohort, level, engines, name, exact, ratio, caliper, order, seed))
        )
    parts += _of_adoption(cohort, ("default", PLACEBO), level, permutations, seed, engines)
    return _rows(part for part in parts if part[:2] not in without)


def adoption(cohort: pd.DataFrame, level: float, *, seed: int, engines: Engines = OURS) -> list[Row]:
    """Return the rows of `estimate_all` that need no more than the dates on which institutions adopted a practice.

    Args:
        cohort: one row a loan, as `difference_in_differences.cells` takes it, with ``institution_type``.
        level: confidence level of intervals.
        seed: of the randomisation test.
        engines: who fits the regressions that a library has as well.
    """
    return _rows(_of_adoption(cohort, ("default",), level, PERMUTATIONS, seed, engines))


def _of_adoption(
    cohort: pd.DataFrame, outcomes: Sequence[str], level: float, permutations: int, seed: int, engines: Engines
) -> Iterator[Part]:
    for outcome in outcomes:
        table = did.cells(cohort, outcome)
        for estimator, specification, of_cells, unit in (
            ("poisson_difference_in_differences", TWO_WAYS, engines.poisson, LOG_RATE),
            ("poisson_imputation", "never_and_not_yet_adopted", did.poisson_imputation, LOG_RATE),
            ("difference_in_levels", TWO_WAYS, did.levels, POINTS),
        ):
            key = (estimator, specification, "adopted", outcome)
            yield estimator, outcome, partial(_adoption, table, level, key, of_cells, unit)
        if outcome == "default":
            yield "event_study", outcome, partial(_event_study, table, level)
    if permutations:
        yield "permuted_adoption", "default", partial(_permuted, cohort, permutations, seed)


def _rows(parts: Iterable[Part]) -> list[Row]:
    rows: list[Row] = []
    for name, outcome, estimate in parts:
        try:
            rows += estimate()
        except StudyError as error:
            rows.append({"estimator": name, "specification": "not_estimated", "outcome": outcome, "note": str(error)})
    return rows


def _difference(
    key: tuple[str, str], loans: pd.DataFrame, terms: Sequence[str], level: float, engines: Engines, note: str = ""
) -> Row:
    """Return the row of a linear probability model of default on treatment and further terms."""
    design = design_matrix(loans, ["treated", *terms]).matrix
    found = engines.linear_probability(loans["default"], design, "treated", loans["institution_id"], level)
    return row((*key, "treated", "default", "risk_difference"), found, counts(loans), note=note)


def _raw_difference(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    note = "enrolled against all other loans, nothing held equal"
    yield _difference(("raw_difference", "all_loans"), cohort, (), level, engines, note)


def _with_controls(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    yield _difference(("linear_probability", "controls"), cohort, CONTROLS, level, engines)


def _over_control(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    note = "wrong on purpose: holds equal what the programme itself moves"
    loans = cohort.dropna(subset=list(POST_TREATMENT))
    yield _difference(("over_control", "complete_cases"), loans, [*CONTROLS, *POST_TREATMENT], level, engines, note)


def _logit(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    design = design_matrix(cohort, ["treated", *CONTROLS]).matrix
    found = engines.logit(cohort["default"], design, "treated", cohort["institution_id"], level)
    key = ("logit", "controls", "treated", "default", "average_marginal_effect")
    yield row(key, found.average_marginal_effect, counts(cohort))


def _matched(
    cohort: pd.DataFrame,
    level: float,
    engines: Engines,
    name: str,
    exact: Sequence[str],
    ratio: int,
    caliper: float | None,
    order: Order,
    seed: int,
) -> Iterator[Row]:
    """Effect on the treated loans that find a control; errors by pair and institution (`inference.on_matched`)."""
    treated = cohort["treated"].to_numpy()
    score = propensity_logit(term_values(cohort, SCORE), treated)
    found = nearest_neighbour(
        treated,
        score,
        cohort.groupby(list(exact), observed=True).ngroup().to_numpy(),
        ties.priorities(cohort["loan_id"].to_numpy(), seed),
        ratio=ratio,
        caliper=None if caliper is None else caliper * float(score.std(ddof=1)),
        order=order,
    )
    if not len(found.treated):
        raise StudyError("no treated loan finds a control within the caliper.")
    # A pair is the set of a treated loan and its controls.
    pair, first = np.unique(found.treated, return_index=True)
    rows = np.concatenate([found.treated[first], found.control])
    pairs = cohort.iloc[rows].assign(pair=np.concatenate([pair, found.treated]))
    design = design_matrix(pairs, ["treated"]).matrix
    ways = crossed(pairs["pair"].to_numpy(), pairs["institution_id"].to_numpy())
    errors = {
        way: engines.linear_probability(pairs["default"], design, "treated", pd.Series(labels, pairs.index), level)
        for way, labels in ways.items()
    }
    effect, way = widest(errors, level)
    yield row(
        (name, "nearest_neighbour", "treated", "default", "risk_difference_of_treated"),
        effect,
        counts(pairs, "pair" if way == "pair" else "institution_id"),
        note=f"{len(pair):,} of {int(treated.sum()):,} treated loans find a control of the same {', '.join(exact)}; "
        f"{CLUSTERED[way]}",
    )


def _of_cells(found: did.Estimated) -> Row:
    return {"n": found.loans, "n_treated": found.treated, "n_clusters": found.clusters}


def _adoption(
    table: pd.DataFrame,
    level: float,
    key: tuple[str, str, str, str],
    estimate: Callable[[pd.DataFrame, float], did.Estimated],
    unit: str,
) -> Iterator[Row]:
    found = estimate(table, level)
    estimand = "risk_difference" if unit == POINTS else "log_rate_ratio"
    yield row((*key, estimand), found.effect, _of_cells(found), unit)


def _event_study(table: pd.DataFrame, level: float) -> Iterator[Row]:
    earliest, latest = EVENT_QUARTERS
    found = did.event_study(table, level, earliest, latest)
    for quarter, one in found.effects.items():
        reach = " or earlier" if quarter == earliest else " or later" if quarter == latest else ""
        key = ("event_study", f"quarter {quarter:+d}{reach}", "adopted", "default", "log_rate_ratio")
        yield row(key, one.effect, _of_cells(one), LOG_RATE, "against the quarter before adoption")
    yield {
        "estimator": "event_study",
        "specification": "leads_jointly_zero",
        "factor": "adopted",
        "outcome": "default",
        "estimand": "wald_test",
        "estimate": found.wald,
        "p_value": found.p_value,
        "n": int(table["loans"].sum()),
        "n_clusters": int(table["institution_id"].nunique()),
        "unit": "F statistic",
        "note": f"{found.restrictions} leads",
    }


def _permuted(cohort: pd.DataFrame, permutations: int, seed: int) -> Iterator[Row]:
    found = did.permuted_adoption(cohort, "default", permutations, seed)
    yield {
        "estimator": "permuted_adoption",
        "specification": "dates_permuted_within_institution_types",
        "factor": "adopted",
        "outcome": "default",
        "estimand": "randomisation_test",
        "estimate": found.statistic,
        "p_value": found.p_value,
        "n": len(cohort),
        "n_clusters": int(cohort["institution_id"].nunique()),
        "unit": "studentised score",
        "note": f"{found.permutations} permutations",
    }
