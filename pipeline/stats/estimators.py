"""Every way to the programme's effect that the literature takes, on one cohort: right ones, weak ones, wrong ones.

`estimate_all` runs them on real extracts (stage effects) and on thousands of simulated ones (stage recovery), where
the truth says which to believe. Wrong ones are here on purpose, under names that say what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import difference_in_differences as did
from pipeline.stats import ties
from pipeline.stats.design import column_of, design_matrix, term_values
from pipeline.stats.inference import Effect, crossed, scaled
from pipeline.stats.instruments import Instrumented, inside, two_sample, two_stage
from pipeline.stats.matched_effects import widest
from pipeline.stats.matching import Order, nearest_neighbour
from pipeline.stats.month_regression import hazard_logit
from pipeline.stats.regression import LogitEffects, linear_probability, logit
from pipeline.stats.scores import propensity_logit

Row = dict[str, Any]

CONTROLS = (
    "credit_grade",
    "credit_score",
    "loan_type",
    "log(amount)",
    "term_months",
    "debt_to_income",
    "relationship_length",
    "institution_type",
    "origination_quarter",
)
"""What a lender's files say of a loan at origination, with time effects. The rate follows the grade: not here. Small
firms are those with a firm's loan types."""

POST_TREATMENT = ("communication_frequency", "information_sharing", "satisfaction")
"""CRM factors that the programme itself moves."""

SCORE = ("credit_score", "debt_to_income", "relationship_length", "small_firm", "log(amount)")
"""Covariates of the propensity score."""

MATCHING = {
    "matching_on_grade_and_loan_type": ("credit_grade", "loan_type", "institution_type"),
    "matching_on_quarter_and_institution": ("credit_grade", "origination_quarter", "institution_id"),
}
"""What pairs share exactly: as the literature asks, and what helps beyond it."""

MONTH_CONTROLS = (
    "credit_grade",
    "credit_score",
    "debt_to_income",
    "relationship_length",
    "small_firm",
    "month_number",
    "log(month_number)",
    "calendar_quarter",
)
"""Controls of the hazards, with age of the loan and calendar time."""

AFTER = "default_after_landmark"
"""Outcome of factors measured up to the landmark."""

PLACEBO = "stress_within_horizon"
"""What befalls clients whatever the lender does: the programme cannot move it."""

WINDOW = 3
"""Months over which lagged contacts are averaged; hazards begin when the window is full."""

EVENT_QUARTERS = (-5, 7)
"""First and last event quarter; all earlier and later ones are in them."""

CLUSTERED = {
    "cluster": "clustered by institution",
    "two_way": "clustered two ways, by pair and by institution",
    "pair": "clustered by pair",
}
"""What a row says of the clusters of its error."""

POINTS = "percentage points"
LOG_ODDS = "log_odds_ratio"
LOG_RATE = "log rate ratio"


class Engines(NamedTuple):
    """Who fits what a library fits as well: ours, for thousands of worlds; `libraries` for what is read."""

    linear_probability: Callable[..., Effect] = linear_probability
    logit: Callable[..., LogitEffects] = logit
    two_stage: Callable[..., Instrumented] = two_stage
    inside: Callable[..., Effect] = inside
    poisson: Callable[..., did.Estimated] = did.poisson


OURS = Engines()


def estimate_all(
    cohort: pd.DataFrame,
    loan_months: pd.DataFrame,
    level: float,
    *,
    permutations: int = 999,
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
        permutations: adoption calendars that the randomisation test deals out; 0 leaves the test out.
        seed: of the randomisation test, the one step that draws, and of the order that breaks ties of the matching.
        ratio, caliper, order: how pairs are formed (`matching.nearest_neighbour`); the caliper is in standard
            deviations of the score's logit.
        without: pairs of estimator and outcome to leave out.
        engines: who fits the regressions that a library has as well.

    Effects on a 0/1 outcome are in percentage points. An estimator that these data cannot support (too few events)
    gives a row without an estimate whose note says why.
    """
    parts: list[tuple[str, str, Callable[[], Iterable[Row]]]] = [
        ("raw_difference", "default", partial(_raw_difference, cohort, level, engines)),
        ("linear_probability", "default", partial(_linear, cohort, level, engines)),
        ("logit", "default", partial(_logit, cohort, level, engines)),
        ("over_control", "default", partial(_over_control, cohort, level, engines)),
        ("satisfaction_with_controls", AFTER, partial(_satisfaction, cohort, level, engines)),
        ("satisfaction_instrument", AFTER, partial(_satisfaction_instrument, cohort, level, engines)),
        ("lottery_instrument", "default", partial(_lottery, cohort, level, engines)),
        ("lagged_contacts", "delinquent", partial(_contacts_then_arrears, loan_months, level)),
        ("lagged_contacts", "default", partial(_contacts_then_default, loan_months, level)),
        ("same_period_contacts", "default", partial(_same_period_contacts, loan_months, level)),
    ]
    for name, exact in MATCHING.items():
        parts.append(
            (name, "default", partial(_matched, cohort, level, engines, name, exact, ratio, caliper, order, seed))
        )
    for outcome in ("default", PLACEBO):
        table = did.cells(cohort, outcome)
        parts += [
            ("poisson_difference_in_differences", outcome, partial(_poisson, table, outcome, level, engines)),
            ("poisson_imputation", outcome, partial(_imputation, table, outcome, level)),
            ("difference_in_levels", outcome, partial(_levels, table, outcome, level)),
        ]
        if outcome == "default":
            parts.append(("event_study", outcome, partial(_event_study, table, level)))
    if permutations:
        parts.append(("permuted_adoption", "default", partial(_permuted, cohort, permutations, seed)))
    rows: list[Row] = []
    for name, outcome, estimate in parts:
        if (name, outcome) in without:
            continue
        try:
            rows += estimate()
        except StudyError as error:
            rows.append({"estimator": name, "specification": "not_estimated", "outcome": outcome, "note": str(error)})
    return rows


def _row(estimator: str, specification: str, factor: str, outcome: str, estimand: str, found: Effect, **more) -> Row:
    named = {
        "estimator": estimator,
        "specification": specification,
        "factor": factor,
        "outcome": outcome,
        "estimand": estimand,
    }
    return named | found._asdict() | more


def _counts(loans: pd.DataFrame, cluster: str) -> Row:
    return {"n": len(loans), "n_treated": int(loans["treated"].sum()), "n_clusters": int(loans[cluster].nunique())}


def _in_points(found: Effect) -> Effect:
    return scaled(found, 100)


def _raw_difference(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    design = design_matrix(cohort, ["treated"]).matrix
    found = engines.linear_probability(cohort["default"], design, "treated", cohort["institution_id"], level)
    yield _row(
        "raw_difference",
        "all_loans",
        "treated",
        "default",
        "risk_difference",
        _in_points(found),
        unit=POINTS,
        note="enrolled against all other loans, nothing held equal",
        **_counts(cohort, "institution_id"),
    )


def _linear(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    design = design_matrix(cohort, ["treated", *CONTROLS]).matrix
    found = engines.linear_probability(cohort["default"], design, "treated", cohort["institution_id"], level)
    yield _row(
        "linear_probability",
        "controls",
        "treated",
        "default",
        "risk_difference",
        _in_points(found),
        unit=POINTS,
        **_counts(cohort, "institution_id"),
    )


def _logit(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    design = design_matrix(cohort, ["treated", *CONTROLS]).matrix
    found = engines.logit(cohort["default"], design, "treated", cohort["institution_id"], level)
    yield _row(
        "logit",
        "controls",
        "treated",
        "default",
        "average_marginal_effect",
        _in_points(found.average_marginal_effect),
        unit=POINTS,
        **_counts(cohort, "institution_id"),
    )


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
    yield _row(
        name,
        "nearest_neighbour",
        "treated",
        "default",
        "risk_difference_of_treated",
        _in_points(effect),
        unit=POINTS,
        note=f"{len(pair):,} of {int(treated.sum()):,} treated loans find a control of the same {', '.join(exact)}; "
        f"{CLUSTERED[way]}",
        **_counts(pairs, "pair" if way == "pair" else "institution_id"),
    )


def _of_cells(found: did.Estimated) -> Row:
    return {"n": found.loans, "n_treated": found.treated, "n_clusters": found.clusters}


def _poisson(table: pd.DataFrame, outcome: str, level: float, engines: Engines) -> Iterator[Row]:
    found = engines.poisson(table, level)
    yield _row(
        "poisson_difference_in_differences",
        "institution_and_quarter_effects",
        "adopted",
        outcome,
        "log_rate_ratio",
        found.effect,
        unit=LOG_RATE,
        **_of_cells(found),
    )


def _imputation(table: pd.DataFrame, outcome: str, level: float) -> Iterator[Row]:
    found = did.poisson_imputation(table, level)
    yield _row(
        "poisson_imputation",
        "never_and_not_yet_adopted",
        "adopted",
        outcome,
        "log_rate_ratio",
        found.effect,
        unit=LOG_RATE,
        **_of_cells(found),
    )


def _levels(table: pd.DataFrame, outcome: str, level: float) -> Iterator[Row]:
    found = did.levels(table, level)
    yield _row(
        "difference_in_levels",
        "institution_and_quarter_effects",
        "adopted",
        outcome,
        "risk_difference",
        _in_points(found.effect),
        unit=POINTS,
        **_of_cells(found),
    )


def _event_study(table: pd.DataFrame, level: float) -> Iterator[Row]:
    earliest, latest = EVENT_QUARTERS
    found = did.event_study(table, level, earliest, latest)
    for quarter, one in found.effects.items():
        reach = " or earlier" if quarter == earliest else " or later" if quarter == latest else ""
        yield _row(
            "event_study",
            f"quarter {quarter:+d}{reach}",
            "adopted",
            "default",
            "log_rate_ratio",
            one.effect,
            unit=LOG_RATE,
            note="against the quarter before adoption",
            **_of_cells(one),
        )
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
        "specification": "dates_dealt_out_within_institution_types",
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


def _instrumented(name: str, factor: str, outcome: str, estimand: str, found: Instrumented, counts: Row):
    """Rows of one instrument: two-stage least squares, the Anderson-Rubin interval, the first stage."""
    point = _in_points(found.effect)
    low, high = (100 * side for side in found.anderson_rubin)
    bounded = bool(np.isfinite([low, high]).all())
    yield _row(name, "two_stage_least_squares", factor, outcome, estimand, point, unit=POINTS, **counts)
    weak_proof = point._replace(
        std_error=np.nan,
        ci_low=low if bounded else np.nan,
        ci_high=high if bounded else np.nan,
        p_value=found.anderson_rubin_p,
    )
    note = "interval that a weak instrument cannot mislead" if bounded else "the interval has no end: a weak instrument"
    yield _row(name, "anderson_rubin", factor, outcome, estimand, weak_proof, unit=POINTS, note=note, **counts)
    yield _row(
        name, "first_stage", factor, outcome, "first_stage", found.first_stage, unit=f"units of {factor}", **counts
    )
    yield {
        "estimator": name,
        "specification": "first_stage",
        "factor": factor,
        "outcome": outcome,
        "estimand": "first_stage_f",
        "estimate": found.first_stage_f,
        "unit": "F statistic",
        **counts,
    }


def _lottery(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    """Effect on those whom winning a place enrols. Lots are drawn loan by loan, so every loan is its own cluster."""
    offered = cohort[cohort["programme_lot"].notna()]
    found = engines.two_stage(
        offered["default"].to_numpy(),
        offered["treated"].to_numpy(),
        offered["programme_lot"].to_numpy(),
        groups=offered["institution_id"],
        controls=_plain(offered, ["origination_quarter"]),
        clusters=None,
        level=level,
    )
    counts = _counts(offered, "loan_id")
    yield from _instrumented("lottery_instrument", "treated", "default", "effect_on_compliers", found, counts)


def _plain(loans: pd.DataFrame, terms: Sequence[str]) -> pd.DataFrame:
    """Design matrix without its intercept, which group effects contain."""
    return design_matrix(loans, terms).matrix.iloc[:, 1:]


SATISFACTION_CONTROLS = tuple(term for term in CONTROLS if term != "institution_type")
"""Institution effects stand in for the institution's type."""


def _answered(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort[(cohort["open_at_landmark"] == 1) & cohort["satisfaction"].notna()]


def _satisfaction(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    loans = _answered(cohort)
    found = engines.inside(
        loans[AFTER].to_numpy(),
        loans["satisfaction"].to_numpy(),
        groups=loans["institution_id"],
        controls=_plain(loans, [*SATISFACTION_CONTROLS, "treated"]),
        level=level,
    )
    yield _row(
        "satisfaction_with_controls",
        "complete_cases",
        "satisfaction",
        AFTER,
        "risk_difference_per_point",
        _in_points(found),
        unit=POINTS,
        **_counts(loans, "institution_id"),
    )


def _satisfaction_instrument(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    """Use the audit of a branch's service as instrument for its clients' satisfaction; branches are the clusters.

    Among those who answer, clients of a poor branch are the ones who like the lender for other reasons. The version
    with two samples takes the outcome from all loans open at the landmark, so that who answers does not select the
    loans whose default is compared. Satisfaction is known from answers alone, so both are effects per point of the
    answers: whoever is more satisfied answers more often, and the scale ends at ten, so that a branch's service moves
    answers by less than it moves satisfaction.
    """

    def instrumented(loans: pd.DataFrame, treatment: str) -> Instrumented:
        return engines.two_stage(
            loans[AFTER].to_numpy(),
            loans[treatment].to_numpy(),
            loans["service_audit_score"].to_numpy(),
            groups=loans["institution_id"],
            controls=_plain(loans, SATISFACTION_CONTROLS),
            clusters=loans["branch_id"],
            level=level,
        )

    name, estimand = "satisfaction_instrument", "risk_difference_per_point"
    answered, every = _answered(cohort), cohort[cohort["open_at_landmark"] == 1]
    found = instrumented(answered, "satisfaction")
    yield from _instrumented(name, "satisfaction", AFTER, estimand, found, _counts(answered, "branch_id"))
    reduced_form = instrumented(every, "service_audit_score").reduced_form
    yield _row(
        "satisfaction_instrument_two_samples",
        "two_stage_least_squares",
        "satisfaction",
        AFTER,
        estimand,
        _in_points(two_sample(reduced_form, found.first_stage, level)),
        unit=POINTS,
        note="outcome of all loans open at the landmark; per point by which service moves the answers of respondents",
        **_counts(every, "branch_id"),
    )


def _over_control(cohort: pd.DataFrame, level: float, engines: Engines) -> Iterator[Row]:
    loans = cohort.dropna(subset=list(POST_TREATMENT))
    design = design_matrix(loans, ["treated", *CONTROLS, *POST_TREATMENT]).matrix
    found = engines.linear_probability(loans["default"], design, "treated", loans["institution_id"], level)
    yield _row(
        "over_control",
        "complete_cases",
        "treated",
        "default",
        "risk_difference",
        _in_points(found),
        unit=POINTS,
        note="wrong on purpose: holds equal what the programme itself moves",
        **_counts(loans, "institution_id"),
    )


def _months(loan_months: pd.DataFrame, *columns: str, clean: bool = False) -> pd.DataFrame:
    """Loan-months with a contact log and a full window of earlier months, with calendar time and `columns`.

    `clean` ones are those of loans that were current throughout the window.
    """
    stays = (loan_months["month_number"] > WINDOW) & loan_months["proactive_before"].notna()
    if clean:
        stays &= (loan_months["current_at_start"] == 1) & (loan_months["delinquent_before"] == 0)
    # Of so many months each column counts.
    needed = [column_of(term) for term in MONTH_CONTROLS if column_of(term) in loan_months]
    needed += ["institution_id", "institution_type", "calendar_month", *columns]
    kept = loan_months.loc[stays.to_numpy(), [*dict.fromkeys(needed)]]
    quarter = (did.month_numbers(kept["calendar_month"]) // 3).astype(int)
    return kept.assign(calendar_quarter=quarter.astype("category"))


def _hazard(
    months: pd.DataFrame, event: str, design: pd.DataFrame, level: float, within: str = "institution_id"
) -> tuple[Effect, Row]:
    lenders = months["institution_id"]
    found = hazard_logit(months[event].to_numpy(), design, "log_contacts", months[within], lenders, level)
    return found, {"n": len(months), "n_clusters": int(lenders.nunique()), "unit": "log odds ratio"}


def _contacts_then_arrears(loan_months: pd.DataFrame, level: float) -> Iterator[Row]:
    """Contacts of the months before -> arrears, among loans that were current throughout the window.

    The literature compares clients of all lenders of a type with the same controls. The programme brings contacts
    together with other help, and better lenders run it, so contacts alone are told apart only among loans of the same
    lender and enrolment.
    """
    clean = _with_contacts_before(_months(loan_months, "delinquent", "treated", "proactive_before", clean=True))
    found, counts = _hazard(
        clean, "delinquent", _plain(clean, ["log_contacts", *MONTH_CONTROLS]), level, within="institution_type"
    )
    yield _row("lagged_contacts", "controls", "log_contacts", "delinquent", LOG_ODDS, found, **counts)
    found, counts = _hazard(clean, "delinquent", _plain(clean, ["log_contacts", *MONTH_CONTROLS, "treated"]), level)
    yield _row("lagged_contacts_given_enrolment", "controls", "log_contacts", "delinquent", LOG_ODDS, found, **counts)


def _contacts_then_default(loan_months: pd.DataFrame, level: float) -> Iterator[Row]:
    months = _with_contacts_before(_months(loan_months, "default", "proactive_before"))
    design = _plain(months, ["log_contacts", *MONTH_CONTROLS])
    found, counts = _hazard(months, "default", design, level, within="institution_type")
    yield _row("lagged_contacts", "controls", "log_contacts", "default", LOG_ODDS, found, **counts)


def _with_contacts_before(months: pd.DataFrame) -> pd.DataFrame:
    return months.assign(log_contacts=np.log1p(months["proactive_before"].astype(float)))


def _same_period_contacts(loan_months: pd.DataFrame, level: float) -> Iterator[Row]:
    months = _months(loan_months, "default", "proactive_contacts", "reactive_contacts")
    contacts = np.log1p((months["proactive_contacts"] + months["reactive_contacts"]).astype(float))
    design = _plain(months.assign(log_contacts=contacts), ["log_contacts", *MONTH_CONTROLS])
    found, counts = _hazard(months, "default", design, level)
    yield _row(
        "same_period_contacts",
        "controls",
        "log_contacts",
        "default",
        LOG_ODDS,
        found,
        note="wrong on purpose: arrears cause contacts of the same month",
        **counts,
    )
