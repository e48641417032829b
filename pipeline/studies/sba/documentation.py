"""Little documentation within its own rules: years, draws, population shares, and who is on file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.stats.absorbed import absorbed_logit
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import Effect, scaled
from pipeline.stats.libraries import linear_probability, logit
from pipeline.stats.rates import default_rates
from pipeline.stats.sampling import population_size
from pipeline.studies.sba.rows import (
    LATE,
    LONG_TERM,
    MARGINAL,
    ODDS,
    POINTS,
    Rows,
    counts_of,
    in_points,
    row_of,
    within_banks,
)
from pipeline.studies.specified import grade_steps

PREVALENCE_OFF_BY = 0.02
"""By how much the share of loans charged off may be off: the sensitivity that the report shows."""

OWN_PROGRAMMES = 2001
"""First year of those in which lenders with programmes of their own took much of the small loans."""

SPANS = (1989, 1994, 1998, 2002, 2004, 2006, 2008)
"""First years of the spans by which that is shown; the last is open."""


def crosswalk(names: pd.DataFrame) -> Rows:
    """Count spellings, institutions, and institutions that stand under several spellings or states."""
    known = names[names["institution_id"].notna()]
    of_one = known.groupby("institution_id").agg(spellings=("bank", "nunique"), states=("bank_state", "nunique"))
    counts = {
        "spellings": known["bank"].nunique(),
        "institutions": len(of_one),
        "several_spellings": int((of_one["spellings"] > 1).sum()),
        "several_states": int((of_one["states"] > 1).sum()),
    }
    for name, count in counts.items():
        yield row_of(
            "crosswalk", name, "institution_id", None, outcome="", estimand="number", estimate=count, unit="names"
        )


def ended(everyone: pd.DataFrame, terms: pd.DataFrame, level: float) -> Rows:
    """Show by years of approval whom a file of ended loans leaves out.

    That is the share charged off, weighted to the population, and the share of long terms among loans paid in full: of
    young approvals only what ended early is there.
    """
    year = everyone["approval_year"].astype(int)
    last = [*(first - 1 for first in SPANS[1:]), year.max()]
    names = [f"approval_years[{first}-{end}]" for first, end in zip(SPANS, last, strict=True)]
    span = pd.cut(year, [*SPANS, np.inf], right=False, labels=names)
    long = everyone["loan_id"].map(terms.set_index("loan_id")["term_months"]) >= LONG_TERM
    paid = everyone["default"] == 0
    found = {
        "charged_off": default_rates(everyone["default"], span, level, everyone["weight"]),
        "long_terms_among_paid": default_rates(long[paid].astype(int), span[paid], level),
    }
    for name, rates in found.items():
        for label, row in rates.iterrows():
            yield row_of(
                "ended_loans",
                name,
                str(label),
                None,
                outcome="default" if name == "charged_off" else "term",
                estimand="rate",
                estimate=100 * row["rate"],
                ci_low=100 * row["ci_low"],
                ci_high=100 * row["ci_high"],
                n=int(row["n"]),
                unit="percent",
                note="" if name == "charged_off" else f"{LONG_TERM} months or more",
            )


def documentation(cohort: pd.DataFrame, panels: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
    """Full documentation inside banks: all years, earlier and later ones, and without its largest lender.

    Then the two choices that could be debated: with loans of other guaranteed shares, and on later approvals.
    """
    full = cohort[cohort["treated"] == 1]
    largest = full["institution_id"].astype(str).value_counts().sort_index().idxmax()
    year = cohort["approval_year"].astype(int)
    samples = {
        "all_years": cohort,
        "early_years": cohort[year < OWN_PROGRAMMES],
        "late_years": cohort[year >= OWN_PROGRAMMES],
        "without_largest_lender": cohort[cohort["institution_id"].astype(str) != largest],
        "with_other_guarantees": panels["other_guarantees"],
        "later_approvals": panels["later_approvals"],
    }
    for name, loans in samples.items():
        note = {"note": LATE} if name == "later_approvals" else {}
        default, banks, weights = loans["default"], loans["institution_id"], loans["weight"]
        treated = int(loans["treated"].sum())
        design = design_matrix(loans, ["treated", *controls]).matrix
        plain = linear_probability(default, design, "treated", banks, level, weights)
        number = {"n": len(loans), "n_treated": treated, "n_clusters": banks.nunique()} | note
        yield row_of("linear_all_banks", name, "treated", scaled(plain, 100), **POINTS, **number)
        inside = within_banks(loans, ["treated"], controls, level)
        number = counts_of(inside, treated) | note
        yield row_of("linear_within_banks", name, "treated", in_points(inside, "treated"), **POINTS, **number)
        curve = absorbed_logit(default, design, "treated", banks, banks, level, weights)
        number = counts_of(curve) | note
        yield row_of("odds_within_banks", name, "treated", curve.effects["treated"].odds_ratio, **ODDS, **number)
        marginal = scaled(curve.effects["treated"].average_marginal_effect, 100)
        yield row_of("logit_within_banks", name, "treated", marginal, **MARGINAL, **number)
    yield row_of(
        "largest_lender",
        "share",
        "treated",
        None,
        outcome="treated",
        estimand="share",
        estimate=100 * float((full["institution_id"].astype(str) == largest).mean()),
        n=len(full),
        unit="percent",
    )


def prevalence(cohort: pd.DataFrame, draws: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Show what becomes of the headline when the share of loans charged off is another one."""
    design = design_matrix(cohort, ["treated", *controls]).matrix
    default, banks = cohort["default"], cohort["institution_id"]
    for name, off_by in {"lower": -PREVALENCE_OFF_BY, "stated": 0.0, "higher": PREVALENCE_OFF_BY}.items():
        factor = _odds_factor(cohort["weight"], default, draws, off_by)
        weights = cohort["weight"] * np.where(default == 1, factor, 1)
        found = linear_probability(default, design, "treated", banks, level, weights)
        common = {"n": len(cohort), "n_treated": int(cohort["treated"].sum()), "n_clusters": banks.nunique()}
        yield row_of("prevalence", name, "treated", scaled(found, 100), **POINTS, **common)
        curve = logit(default, design, "treated", banks, level, weights).average_marginal_effect
        yield row_of("prevalence", name, "treated", scaled(curve, 100), **MARGINAL, **common)
        rate = default_rates(default, pd.Series("all", cohort.index), level, weights).iloc[0]
        yield row_of(
            "prevalence",
            name,
            "all",
            None,
            estimand="rate",
            estimate=100 * rate["rate"],
            ci_low=100 * rate["ci_low"],
            ci_high=100 * rate["ci_high"],
            n=len(cohort),
            unit="percent",
        )


def _odds_factor(weights: pd.Series, default: pd.Series, draws: pd.DataFrame, off_by: float) -> float:
    """Return by what a default's weight is multiplied if the whole file's share of defaults is off by `off_by`."""
    drawn = draws.drop_duplicates("loan_id")["default"].value_counts()
    bad, good = (weights[default == value].iloc[0] * drawn[value] for value in (1, 0))
    share = bad / (bad + good)
    return (share + off_by) / (1 - share - off_by) * good / bad


def population(draws: pd.DataFrame, loans: pd.DataFrame, level: float) -> Rows:
    """Estimate the file's numbers of loans, and so its share of defaults, from the overlap of the draws.

    Once for the whole file and once for `loans` alone, beside what their weights say: loans were drawn by outcome and
    nothing else, so that a weight holds in any years of approval.
    """
    from scipy.special import ndtri

    quantile = ndtri(0.5 + level / 2)
    for suffix, drawn in {"": draws, "_deciding": draws[draws["loan_id"].isin(loans["loan_id"])]}.items():
        found = {}
        for name, value in {"charged_off": 1, "paid": 0}.items():
            of_kind = drawn[drawn["default"] == value]
            sizes = of_kind.groupby("draw")["loan_id"].nunique().tolist()
            size, error = found[name] = population_size(sizes, of_kind["loan_id"].nunique())
            yield row_of(
                "overlap_of_draws",
                f"{name}{suffix}",
                "all",
                None,
                estimand="population_size",
                estimate=size,
                std_error=error,
                ci_low=size - quantile * error,
                ci_high=size + quantile * error,
                n=sum(sizes),
                unit="loans",
            )
        (bad, of_bad), (good, of_good) = found["charged_off"], found["paid"]
        share = bad / (bad + good)
        error = share * (1 - share) * ((of_bad / bad) ** 2 + (of_good / good) ** 2) ** 0.5
        yield row_of(
            "overlap_of_draws",
            f"share_charged_off{suffix}",
            "all",
            None,
            estimand="rate",
            estimate=100 * share,
            std_error=100 * error,
            ci_low=100 * (share - quantile * error),
            ci_high=100 * (share + quantile * error),
            n=len(drawn),
            unit="percent",
        )
    weighted = 100 * float(np.average(loans["default"], weights=loans["weight"]))
    number = {"n": len(loans), "unit": "percent"}
    yield row_of("overlap_of_draws", "weighted_deciding", "all", None, estimand="rate", estimate=weighted, **number)


def grade(cohort: pd.DataFrame, samples: Mapping[str, pd.DataFrame], level: float) -> Rows:
    """Whether default rises with the grade: one step, and each grade against the best, given the year."""
    for name, sample in {"cohort": cohort, **{f"all_loans{suffix}": one for suffix, one in samples.items()}}.items():
        note = {"note": LATE} if name.endswith("_later") else {}
        for row in grade_steps(sample, ["approval_year"], "institution_id", level, name):
            yield row | note


def teaching_case(case: pd.DataFrame, level: float) -> Rows:
    """Fit the classroom model of Li, Mickel & Taylor (2018) on the part of their file that is marked for it."""
    import statsmodels.api as sm

    names = {"const": "intercept", "RealEstate": "real_estate", "Portion": "portion", "Recession": "recession"}
    fitted, tested = case[case["Selected"] == 1], case[case["Selected"] == 0]

    def design(rows: pd.DataFrame) -> pd.DataFrame:
        return sm.add_constant(rows[["RealEstate", "Portion", "Recession"]], has_constant="add")

    fit = sm.Logit(fitted["Default"], design(fitted)).fit(disp=False)
    interval = fit.conf_int(alpha=1 - level)
    for column, factor in names.items():
        found = Effect(
            fit.params[column], fit.bse[column], interval.loc[column, 0], interval.loc[column, 1], fit.pvalues[column]
        )
        yield row_of(
            "teaching_case", "fitted", factor, found, estimand="log_odds_ratio", n=len(fitted), unit="log odds"
        )
    wrong = (fit.predict(design(tested)) > 0.5) != (tested["Default"] == 1)
    yield row_of(
        "teaching_case",
        "tested",
        "all",
        None,
        estimand="misclassified",
        estimate=100 * float(wrong.mean()),
        n=len(tested),
        unit="percent",
    )
