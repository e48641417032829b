"""What many banks in one file allow: bank effects, lenders' growth, the recession, losses, checks of the weights."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import absorbed_logit, spread_of_groups
from pipeline.stats.correlation import adjusted
from pipeline.stats.design import design_matrix
from pipeline.stats.dose import dose
from pipeline.stats.inference import scaled
from pipeline.stats.libraries import linear_probability
from pipeline.studies.sba.documentation import (
    crosswalk,
    documentation,
    ended,
    grade,
    population,
    prevalence,
    teaching_case,
)
from pipeline.studies.sba.lending import losses, waiting
from pipeline.studies.sba.rows import (
    EXPOSED,
    LATE,
    LINE,
    ODDS,
    POINTS,
    SAME_STATE,
    SHARING,
    WAIT,
    Row,
    Rows,
    counts_of,
    in_points,
    late,
    row_of,
    within_banks,
)

SMALL_FIRM = 5
"""Fewer employees make a small firm, as in the credit grade."""

LEAST_LOANS = 10
"""Loans of the sample from which a lender's growth is told."""

DOUBLING = 2 / 3
"""Growth of a lender that doubles, on the scale of `lagged_growth`."""

COLUMNS = ("loss_given_default", "months_to_default", "weight")
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(cohort: pd.DataFrame, panels: Mapping[str, pd.DataFrame], protocol: Study, params: Params) -> list[Row]:
    """Return rows of the results table.

    `cohort` holds the loans eligible for little documentation that had time to end. Of `panels`, ``loans`` are all
    loans that had, and ``later`` those approved after them; ``later_approvals`` are what the cohort would hold of the
    latter, ``other_guarantees`` is the cohort with loans of other guaranteed shares; ``terms`` says how long each loan
    ran, ``draws`` which sample holds which loan, ``crosswalk`` which spelling is which bank, and ``teaching_case`` is
    the paper's classroom file. Rows named later are of later approvals alone: a sensitivity that decides nothing.
    """
    level = params.inference.level
    loans, later = _with_moderators(panels["loans"]), _with_moderators(panels["later"])
    everyone = pd.concat([loans, later], ignore_index=True)
    for name in loans.select_dtypes("category"):
        # Levels that only one of the two holds make the joined column text.
        ordered = loans[name].cat.ordered
        levels = loans[name].cat.categories.union(later[name].cat.categories)
        everyone[name] = pd.Categorical(everyone[name], levels, ordered=ordered)
    controls = list(protocol.controls.ladder().values())[-1]
    # Across programmes the share is no straight line: each band has an effect of its own.
    of_all = [term for term in controls if term != "guaranteed_share"] + ["guarantee_band"]
    samples = {"": loans, "_later": later}
    return [
        *crosswalk(panels["crosswalk"]),
        *ended(everyone, panels["terms"], level),
        *documentation(cohort, panels, controls, level),
        *prevalence(cohort, panels["draws"], controls, level),
        *population(panels["draws"], loans, level),
        *_all_loans(samples, of_all, level),
        *_doses(loans, of_all, level),
        *_moderated(samples, everyone, _with_moderators(cohort), {"all": of_all, "cohort": controls}, level),
        *_recession(samples, everyone, of_all, level),
        *_growth(loans, everyone, of_all, level),
        *_lenders(samples, of_all, level),
        *_nearness_of_lenders(samples, of_all, level),
        *waiting(cohort, controls, level),
        *losses(loans, set(cohort["loan_id"]), of_all, level),
        *grade(cohort, samples, level),
        *teaching_case(panels["teaching_case"], level),
    ]


def _with_moderators(loans: pd.DataFrame) -> pd.DataFrame:
    exposed = loans["origination_date"].between(*EXPOSED).astype(float)
    small = (loans["employees"] < SMALL_FIRM).astype(float)
    return loans.assign(exposed=exposed, small_firm=small)


def _all_loans(samples: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
    """Nearness, kind of loan and waiting on all loans: alone, with controls, and inside banks."""
    for (suffix, loans), factor in itertools.product(samples.items(), (SAME_STATE, WAIT, LINE)):
        measured = loans[loans[factor].notna()]
        if measured[factor].nunique() < 2:
            raise StudyError(f"the loans chosen hold no two values of {factor}: widen the study's eligibility.")
        default, banks, weights = measured["default"], measured["institution_id"], measured["weight"]
        number = late(suffix, n=len(measured), n_clusters=banks.nunique())
        for name, terms in {"alone": [], "controls": controls}.items():
            design = design_matrix(measured, [factor, *terms]).matrix
            found = linear_probability(default, design, factor, banks, level, weights)
            yield row_of("all_loans", f"{name}{suffix}", factor, scaled(found, 100), **POINTS, **number)
        name = f"within_banks{suffix}"
        inside = within_banks(measured, [factor], controls, level)
        yield row_of(
            "all_loans", name, factor, in_points(inside, factor), **POINTS, **late(suffix, **counts_of(inside))
        )
        curve = absorbed_logit(default, design, factor, banks, banks, level, weights)
        ratio = curve.effects[factor].odds_ratio
        yield row_of("all_loans", name, factor, ratio, **ODDS, **late(suffix, **counts_of(curve)))


def _doses(loans: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Default by more months of waiting inside banks: the slope, without the longest waits, and by fifths."""
    design = design_matrix(loans, [WAIT, *controls]).matrix
    banks = loans["institution_id"]
    for part in dose(loans["default"], design, WAIT, banks, banks, level, loans["weight"]):
        number = {"n": int(part.rows.sum()), "n_clusters": banks[part.rows].nunique()}
        found = scaled(part.effect, 100) if part.effect else None
        yield row_of("dose", part.name, WAIT, found, **POINTS, **number, note=part.note)


def _moderated(
    samples: Mapping[str, pd.DataFrame],
    everyone: pd.DataFrame,
    cohort: pd.DataFrame,
    controls: dict[str, list[str]],
    level: float,
) -> list[Row]:
    """Whether unemployment and the firm's size change what each factor goes with: one family, adjusted together.

    Of full documentation that is asked where it is a choice, in the cohort. The recession met late approvals alone, so
    its rows are of everyone, decide nothing and are not of the family.
    """
    pairs = [(factor, name) for factor in (SAME_STATE, LINE, WAIT) for name in ("unemployment", "small_firm")]
    pairs.append(("small_firm", "unemployment"))
    asked = [(suffix, loans, *pair) for suffix, loans in samples.items() for pair in pairs]
    asked += [("", cohort, SHARING, name) for name in ("unemployment", "small_firm")]
    asked += [("_everyone", everyone, factor, "exposed") for factor in (SAME_STATE, LINE, "small_firm")]
    found: list[Row] = []
    for suffix, loans, factor, moderator in asked:
        measured = loans[loans[factor].notna()]
        centred = measured[moderator]
        if moderator == "unemployment":
            centred = centred - np.average(centred, weights=measured["weight"])
        measured = measured.assign(**{moderator: centred, "interaction": measured[factor] * centred})
        terms = controls["cohort" if loans is cohort else "all"]
        inside = within_banks(
            measured, ["interaction", factor, moderator], [term for term in terms if term != moderator], level
        )
        number = late(suffix, **counts_of(inside))
        for name, column in {"interaction": "interaction", "where_moderator_is_zero": factor}.items():
            specification = name + suffix
            effect_inside = in_points(inside, column)
            found.append(row_of(f"moderated_by_{moderator}", specification, factor, effect_inside, **POINTS, **number))
    decide = [row for row in found if row["specification"] == "interaction"]
    return [*adjusted(decide), *(row for row in found if row["specification"] != "interaction")]


def _recession(samples: Mapping[str, pd.DataFrame], everyone: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Default by unemployment and, of everyone, by exposure to the recession, which late approvals alone met."""
    without = [term for term in controls if term != "unemployment"]
    for suffix, loans in samples.items():
        found = within_banks(loans, ["unemployment"], without, level)
        number = late(suffix, **counts_of(found))
        effect_inside = in_points(found, "unemployment")
        yield row_of("recession", f"within_banks{suffix}", "unemployment", effect_inside, **POINTS, **number)
    # Year effects would absorb most of the exposure itself: the market's series stand for the time.
    without_years = [term for term in controls if term != "approval_year"]
    found = within_banks(everyone, ["exposed"], without_years, level)
    number = late("_everyone", **counts_of(found))
    yield row_of("recession", "within_banks_everyone", "exposed", in_points(found, "exposed"), **POINTS, **number)


def _growth(loans: pd.DataFrame, everyone: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Default of loans by how fast their lender had grown before it granted them."""
    from pipeline.stats.growth import lagged_growth

    year = everyone["approval_year"].astype(int)
    growth = lagged_growth(everyone["institution_id"], year, everyone["weight"], LEAST_LOANS) / DOUBLING
    known = everyone.assign(lender_growth=growth)[growth.notna()]
    decides = known["loan_id"].isin(loans["loan_id"])
    for suffix, sample in {"": known[decides], "_later": known[~decides]}.items():
        default, banks, weights = sample["default"], sample["institution_id"], sample["weight"]
        number = late(suffix, n=len(sample), n_clusters=banks.nunique())
        for name, terms in {"alone": [], "controls": controls}.items():
            design = design_matrix(sample, ["lender_growth", *terms]).matrix
            found = linear_probability(default, design, "lender_growth", banks, level, weights)
            yield row_of("lender_growth", f"{name}{suffix}", "lender_growth", scaled(found, 100), **POINTS, **number)
        inside = within_banks(sample, ["lender_growth"], controls, level)
        effect_inside, number = in_points(inside, "lender_growth"), late(suffix, **counts_of(inside))
        yield row_of("lender_growth", f"within_banks{suffix}", "lender_growth", effect_inside, **POINTS, **number)


def _lenders(samples: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
    """How much lenders differ in default, alone and given what the loans and the times were."""
    for suffix, loans in samples.items():
        for name, terms in {"alone": [], "controls": controls}.items():
            design = design_matrix(loans, terms).matrix
            found = spread_of_groups(loans["default"], design, loans["institution_id"], level, loans["weight"])
            spread = scaled(found.effects["spread"], 100)
            number = late(suffix, n=found.loans, n_clusters=found.groups, unit="percentage points")
            estimand = "standard_deviation"
            yield row_of("spread_of_lenders", f"{name}{suffix}", "all", spread, estimand=estimand, **number)


def _nearness_of_lenders(samples: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
    """Default by the share of a bank's loans that are near by, between banks, given what the loans are."""
    for suffix, loans in samples.items():
        banks = loans["institution_id"]
        known = loans[banks.map(banks.value_counts()).astype(float) >= LEAST_LOANS]
        banks, weights = known["institution_id"].astype(str), known["weight"]
        near = (known[SAME_STATE] * weights).groupby(banks).transform("sum") / weights.groupby(banks).transform("sum")
        design = design_matrix(known.assign(near=near), ["near", *controls]).matrix
        found = linear_probability(known["default"], design, "near", banks, level, weights)
        note = f"a bank all of whose loans are near against one with none; banks with {LEAST_LOANS} loans or more"
        number = {"n": len(known), "n_clusters": banks.nunique(), "note": f"{note}; {LATE}" if suffix else note}
        yield row_of("lenders", f"between_banks{suffix}", SAME_STATE, scaled(found, 100), **POINTS, **number)
