"""What many banks in one file allow: bank effects, lenders' growth, the recession, losses, checks of the weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.params import Params, Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import Absorbed, absorbed_logit, spread_of_groups
from pipeline.stats.correlation import adjusted
from pipeline.stats.design import design_matrix
from pipeline.stats.dose import dose
from pipeline.stats.inference import Effect, scaled
from pipeline.stats.libraries import absorbed_linear, linear_probability, logit
from pipeline.stats.rates import default_rates
from pipeline.stats.sampling import population_size
from pipeline.studies.grades import steps

Row = dict[str, Any]
Rows = Iterator[Row]

SHARING = "information_sharing"
SAME_STATE = "relationship_depth_same_state"
LINE = "relationship_depth_revolving_line"
WAIT = "communication_effectiveness_months"

PREVALENCE_OFF_BY = 0.02
"""By how much the share of loans charged off may be off: the sensitivity that the report shows."""

OWN_PROGRAMMES = 2001
"""First year of those in which lenders with programmes of their own took much of the small loans."""

EXPOSED = (pd.Timestamp("2005-12-01"), pd.Timestamp("2009-06-30"))
"""Approvals that met the recession of 2007-09 young: from two years before it began (December 2007) to its end. The
file holds them by how they ended, so what is contrasted with them decides nothing."""

LATE = "late approvals are on file by how they ended: decides nothing"

LONG_TERM = 120
"""Months from which a term is long, in what shows whom the file leaves out."""

SPANS = (1989, 1994, 1998, 2002, 2004, 2006, 2008)
"""First years of the spans by which that is shown; the last is open."""

SMALL_FIRM = 5
"""Fewer employees make a small firm, as in the credit grade."""

LEAST_LOANS = 10
"""Loans of the sample from which a lender's growth is told."""

RENEWAL_WINDOW = 24
"""Months after approval in which a default counts for a score, and after which a loan can teach the next one."""

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
        *_crosswalk(panels["crosswalk"]),
        *_ended(everyone, panels["terms"], level),
        *_documentation(cohort, panels, controls, level),
        *_prevalence(cohort, panels["draws"], controls, level),
        *_population(panels["draws"], loans, level),
        *_all_loans(samples, of_all, level),
        *_doses(loans, of_all, level),
        *_moderated(samples, everyone, _with_moderators(cohort), {"all": of_all, "cohort": controls}, level),
        *_recession(samples, everyone, of_all, level),
        *_growth(loans, everyone, of_all, level),
        *_lenders(samples, of_all, level),
        *_nearness_of_lenders(samples, of_all, level),
        *_renewal(everyone, protocol, level),
        *_waiting(cohort, controls, level),
        *_losses(loans, set(cohort["loan_id"]), of_all, level),
        *_grade(cohort, samples, level),
        *_teaching_case(panels["teaching_case"], level),
    ]


def _with_moderators(loans: pd.DataFrame) -> pd.DataFrame:
    exposed = loans["origination_date"].between(*EXPOSED).astype(float)
    small = (loans["employees"] < SMALL_FIRM).astype(float)
    return loans.assign(exposed=exposed, small_firm=small)


def _row(estimator: str, specification: str, factor: str, found: Effect | None, **more: Any) -> Row:
    row: Row = {"estimator": estimator, "specification": specification, "factor": factor, "outcome": "default"}
    return row | (found._asdict() if found else {}) | more


def _counts(found: Absorbed, treated: int | None = None) -> Row:
    counts: Row = {"n": found.loans, "n_clusters": found.clusters}
    return counts if treated is None else counts | {"n_treated": treated}


POINTS: Row = {"estimand": "risk_difference", "unit": "percentage points"}
MARGINAL: Row = {"estimand": "average_marginal_effect", "unit": "percentage points"}
ODDS: Row = {"estimand": "odds_ratio", "unit": "ratio"}


def _within_banks(
    loans: pd.DataFrame, factors: Sequence[str], controls: Sequence[str], level: float, outcome: str = "default"
) -> Absorbed:
    """Weighted least squares with an effect for every bank; outcomes other than default are not weighted."""
    design = design_matrix(loans, [*factors, *controls]).matrix
    weights = loans["weight"] if outcome == "default" else None
    return absorbed_linear(
        loans[outcome], design, list(factors), loans["institution_id"], loans["institution_id"], level, weights
    )


def _in_points(found: Absorbed, factor: str) -> Effect:
    return scaled(found.effects[factor], 100)


def _crosswalk(names: pd.DataFrame) -> Rows:
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
        yield _row(
            "crosswalk", name, "institution_id", None, outcome="", estimand="number", estimate=count, unit="names"
        )


def _ended(everyone: pd.DataFrame, terms: pd.DataFrame, level: float) -> Rows:
    """Show by years of approval whom a file of ended loans leaves out.

    That is the share charged off, brought to the whole file, and the share of long terms among loans paid in full: of
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
            yield _row(
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


def _documentation(cohort: pd.DataFrame, panels: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
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
        yield _row("linear_all_banks", name, "treated", scaled(plain, 100), **POINTS, **number)
        inside = _within_banks(loans, ["treated"], controls, level)
        number = _counts(inside, treated) | note
        yield _row("linear_within_banks", name, "treated", _in_points(inside, "treated"), **POINTS, **number)
        curve = absorbed_logit(default, design, "treated", banks, banks, level, weights)
        number = _counts(curve) | note
        yield _row("odds_within_banks", name, "treated", curve.effects["treated"].odds_ratio, **ODDS, **number)
        marginal = scaled(curve.effects["treated"].average_marginal_effect, 100)
        yield _row("logit_within_banks", name, "treated", marginal, **MARGINAL, **number)
    yield _row(
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


def _prevalence(cohort: pd.DataFrame, draws: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Show what becomes of the headline when the share of loans charged off is another one."""
    design = design_matrix(cohort, ["treated", *controls]).matrix
    default, banks = cohort["default"], cohort["institution_id"]
    for name, off_by in {"lower": -PREVALENCE_OFF_BY, "stated": 0.0, "higher": PREVALENCE_OFF_BY}.items():
        factor = _odds_factor(cohort["weight"], default, draws, off_by)
        weights = cohort["weight"] * np.where(default == 1, factor, 1)
        found = linear_probability(default, design, "treated", banks, level, weights)
        common = {"n": len(cohort), "n_treated": int(cohort["treated"].sum()), "n_clusters": banks.nunique()}
        yield _row("prevalence", name, "treated", scaled(found, 100), **POINTS, **common)
        curve = logit(default, design, "treated", banks, level, weights).average_marginal_effect
        yield _row("prevalence", name, "treated", scaled(curve, 100), **MARGINAL, **common)
        rate = default_rates(default, pd.Series("all", cohort.index), level, weights).iloc[0]
        yield _row(
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


def _population(draws: pd.DataFrame, loans: pd.DataFrame, level: float) -> Rows:
    """Estimate the file's numbers of loans, and so its share of defaults, from the overlap of the draws.

    Once for the whole file and once for `loans` alone, beside what their weights say: loans were drawn by outcome and
    nothing else, so that a weight holds in any years of approval.
    """
    from scipy.stats import norm

    quantile = norm.ppf(0.5 + level / 2)
    for suffix, drawn in {"": draws, "_deciding": draws[draws["loan_id"].isin(loans["loan_id"])]}.items():
        found = {}
        for name, value in {"charged_off": 1, "paid": 0}.items():
            of_kind = drawn[drawn["default"] == value]
            sizes = of_kind.groupby("draw")["loan_id"].nunique().tolist()
            size, error = found[name] = population_size(sizes, of_kind["loan_id"].nunique())
            yield _row(
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
        yield _row(
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
    yield _row("overlap_of_draws", "weighted_deciding", "all", None, estimand="rate", estimate=weighted, **number)


def _late(suffix: str, **more: Any) -> Row:
    return more | ({"note": LATE} if suffix else {})


def _all_loans(samples: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
    """Nearness, kind of loan and waiting on all loans: alone, with controls, and inside banks."""
    for (suffix, loans), factor in itertools.product(samples.items(), (SAME_STATE, WAIT, LINE)):
        measured = loans[loans[factor].notna()]
        if measured[factor].nunique() < 2:
            raise StudyError(f"the loans chosen hold no two values of {factor}: widen the study's eligibility.")
        default, banks, weights = measured["default"], measured["institution_id"], measured["weight"]
        number = _late(suffix, n=len(measured), n_clusters=banks.nunique())
        for name, terms in {"alone": [], "controls": controls}.items():
            design = design_matrix(measured, [factor, *terms]).matrix
            found = linear_probability(default, design, factor, banks, level, weights)
            yield _row("all_loans", f"{name}{suffix}", factor, scaled(found, 100), **POINTS, **number)
        name = f"within_banks{suffix}"
        inside = _within_banks(measured, [factor], controls, level)
        yield _row("all_loans", name, factor, _in_points(inside, factor), **POINTS, **_late(suffix, **_counts(inside)))
        curve = absorbed_logit(default, design, factor, banks, banks, level, weights)
        ratio = curve.effects[factor].odds_ratio
        yield _row("all_loans", name, factor, ratio, **ODDS, **_late(suffix, **_counts(curve)))


def _doses(loans: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Default by more months of waiting inside banks: the slope, without the longest waits, and by fifths."""
    design = design_matrix(loans, [WAIT, *controls]).matrix
    banks = loans["institution_id"]
    for part in dose(loans["default"], design, WAIT, banks, banks, level, loans["weight"]):
        number = {"n": int(part.rows.sum()), "n_clusters": banks[part.rows].nunique()}
        found = scaled(part.effect, 100) if part.effect else None
        yield _row("dose", part.name, WAIT, found, **POINTS, **number, note=part.note)


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
        inside = _within_banks(
            measured, ["interaction", factor, moderator], [term for term in terms if term != moderator], level
        )
        number = _late(suffix, **_counts(inside))
        for name, column in {"interaction": "interaction", "where_moderator_is_zero": factor}.items():
            specification = name + suffix
            effect_inside = _in_points(inside, column)
            found.append(_row(f"moderated_by_{moderator}", specification, factor, effect_inside, **POINTS, **number))
    decide = [row for row in found if row["specification"] == "interaction"]
    return [*adjusted(decide), *(row for row in found if row["specification"] != "interaction")]


def _recession(samples: Mapping[str, pd.DataFrame], everyone: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Default by unemployment and, of everyone, by exposure to the recession, which late approvals alone met."""
    without = [term for term in controls if term != "unemployment"]
    for suffix, loans in samples.items():
        found = _within_banks(loans, ["unemployment"], without, level)
        number = _late(suffix, **_counts(found))
        effect_inside = _in_points(found, "unemployment")
        yield _row("recession", f"within_banks{suffix}", "unemployment", effect_inside, **POINTS, **number)
    # Year effects would absorb most of the exposure itself: the market's series stand for the time.
    without_years = [term for term in controls if term != "approval_year"]
    found = _within_banks(everyone, ["exposed"], without_years, level)
    number = _late("_everyone", **_counts(found))
    yield _row("recession", "within_banks_everyone", "exposed", _in_points(found, "exposed"), **POINTS, **number)


def _growth(loans: pd.DataFrame, everyone: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Default of loans by how fast their lender had grown before it granted them."""
    from pipeline.stats.growth import lagged_growth

    year = everyone["approval_year"].astype(int)
    growth = lagged_growth(everyone["institution_id"], year, everyone["weight"], LEAST_LOANS) / DOUBLING
    known = everyone.assign(lender_growth=growth)[growth.notna()]
    decides = known["loan_id"].isin(loans["loan_id"])
    for suffix, sample in {"": known[decides], "_later": known[~decides]}.items():
        default, banks, weights = sample["default"], sample["institution_id"], sample["weight"]
        number = _late(suffix, n=len(sample), n_clusters=banks.nunique())
        for name, terms in {"alone": [], "controls": controls}.items():
            design = design_matrix(sample, ["lender_growth", *terms]).matrix
            found = linear_probability(default, design, "lender_growth", banks, level, weights)
            yield _row("lender_growth", f"{name}{suffix}", "lender_growth", scaled(found, 100), **POINTS, **number)
        inside = _within_banks(sample, ["lender_growth"], controls, level)
        effect_inside, number = _in_points(inside, "lender_growth"), _late(suffix, **_counts(inside))
        yield _row("lender_growth", f"within_banks{suffix}", "lender_growth", effect_inside, **POINTS, **number)


def _lenders(samples: Mapping[str, pd.DataFrame], controls: list[str], level: float) -> Rows:
    """How much lenders differ in default, alone and given what the loans and the times were."""
    for suffix, loans in samples.items():
        for name, terms in {"alone": [], "controls": controls}.items():
            design = design_matrix(loans, terms).matrix
            found = spread_of_groups(loans["default"], design, loans["institution_id"], level, loans["weight"])
            spread = scaled(found.effects["spread"], 100)
            number = _late(suffix, n=found.loans, n_clusters=found.groups, unit="percentage points")
            estimand = "standard_deviation"
            yield _row("spread_of_lenders", f"{name}{suffix}", "all", spread, estimand=estimand, **number)


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
        yield _row("lenders", f"between_banks{suffix}", SAME_STATE, scaled(found, 100), **POINTS, **number)


def _renewal(loans: pd.DataFrame, protocol: Study, level: float) -> Rows:
    """Judge a score that stays as it was when a span begins beside one that is fitted anew each January.

    The spans are the recession and the equally long one before it: late approvals, which decide nothing. Either score
    learns from loans that are old enough on its day for a default within the window to have shown; judged are the
    loans approved in the span.
    """
    from pipeline.stats import accuracy, prediction

    named = [*protocol.controls.loan, *protocol.controls.borrower]
    terms = ["guarantee_band" if term == "guaranteed_share" else term for term in named]
    # Months to default count from payment, the day of a score from approval.
    event = (loans[WAIT] + loans["months_to_default"] <= RENEWAL_WINDOW).to_numpy(dtype=float)
    sample = prediction.Sample(loans, event, loans["weight"].to_numpy(dtype=float))
    date = loans["origination_date"]

    def learnt(day: pd.Timestamp) -> prediction.Fitted:
        return prediction.fit(
            sample.part((date < day - pd.DateOffset(months=RENEWAL_WINDOW)).to_numpy()), terms, "logistic"
        )

    begin, end = EXPOSED
    spans = {"recession": EXPOSED, "before_recession": (begin - (end - begin), begin - pd.Timedelta(days=1))}
    for name, (first, last) in spans.items():
        inside = date.between(first, last).to_numpy()
        row: Row = {"outcome": f"default_within_{RENEWAL_WINDOW}", "n": int(inside.sum())}
        row |= {"n_clusters": loans.loc[inside, "institution_id"].nunique()}
        judged = sample.part(inside)
        try:
            frozen = learnt(first).probability(judged.loans)
            renewed = np.empty(len(frozen))
            year = judged.loans["origination_date"].dt.year.to_numpy()
            for of in np.unique(year):
                day = max(pd.Timestamp(year=int(of), month=1, day=1), first)
                renewed[year == of] = learnt(day).probability(judged.loans[year == of])
            shares = {"frozen": frozen, "renewed": renewed}
            banks = judged.loans["institution_id"].astype(str).to_numpy()
            right = {
                kind: accuracy.ratio_of_means(judged.default, share, judged.weights, level, banks)
                for kind, share in shares.items()
            }
            areas = {
                kind: accuracy.area(judged.default, share, level, banks, judged.weights)
                for kind, share in shares.items()
            }
        except (StudyError, ValueError) as error:
            yield _row("renewal", name, "frozen_model", None, **row, note=str(error))
            continue
        lost = (judged.default - frozen) ** 2 - (judged.default - renewed) ** 2
        worse = accuracy.mean_effect(lost, judged.weights, level, banks)
        note = "squared error of the frozen score less that of the renewed one, by bank; above nought: frozen is worse"
        note = f"{note}; {LATE}"
        yield _row(
            "renewal",
            name,
            "frozen_model",
            worse,
            estimand="frozen_less_renewed",
            unit="squared error",
            note=note,
            **row,
        )
        for kind in shares:
            ratio = right[kind]._replace(p_value=np.nan)
            more = {
                "estimand": "observed_to_expected",
                "unit": "ratio",
                "note": f"defaults over defaults expected; {LATE}",
            }
            yield _row("renewal", f"{name}_{kind}", "frozen_model", ratio, **more, **row)
            yield _row(
                "renewal",
                f"{name}_{kind}",
                "frozen_model",
                areas[kind],
                estimand="area_under_curve",
                unit="area",
                note=LATE,
                **row,
            )


def _waiting(cohort: pd.DataFrame, controls: list[str], level: float) -> Rows:
    """Whether fuller documentation takes longer: months from approval to disbursement, in the cohort."""
    design = design_matrix(cohort, ["treated", *controls]).matrix
    banks, months = cohort["institution_id"], cohort[WAIT]
    common = {"outcome": "months_to_disbursement", "estimand": "mean_difference", "unit": "months"}
    number = {"n": len(cohort), "n_treated": int(cohort["treated"].sum()), "n_clusters": banks.nunique()}
    found = linear_probability(months, design, "treated", banks, level, cohort["weight"])
    yield _row("waiting", "controls", "treated", found, **common | number)
    inside = absorbed_linear(months, design, ["treated"], banks, banks, level, cohort["weight"])
    yield _row("waiting", "within_banks", "treated", inside.effects["treated"], **common | _counts(inside))


def _losses(loans: pd.DataFrame, eligible: set[str], controls: list[str], level: float) -> Rows:
    """Loss given default: the share of what was paid out that was charged off, and the lender's part of it."""
    from pipeline.stats.accuracy import mean_effect

    lost = loans[loans["loss_given_default"].notna()]
    lost = lost.assign(lender_loss=lost["loss_given_default"] * (1 - lost["guaranteed_share"]))
    banks = lost["institution_id"]
    for outcome in ("loss_given_default", "lender_loss"):
        mean = scaled(mean_effect(lost[outcome].to_numpy(), None, level, banks.to_numpy()), 100)
        number = {"n": len(lost), "n_clusters": banks.nunique(), "unit": "percent of the amount disbursed"}
        yield _row("losses", "mean", "all", mean, outcome=outcome, estimand="mean", **number)
    for factor in (SHARING, SAME_STATE, LINE, WAIT):
        measured = lost[lost[factor].notna()]
        if factor == SHARING:
            # Only where little documentation was allowed is full documentation a choice.
            measured = measured[measured["loan_id"].isin(eligible)]
        found = _within_banks(measured, [factor], controls, level, outcome="loss_given_default")
        points = {"estimand": "mean_difference", "unit": "percentage points of the amount disbursed"}
        yield _row(
            "losses",
            "within_banks",
            factor,
            _in_points(found, factor),
            outcome="loss_given_default",
            **points,
            **_counts(found),
        )


def _grade(cohort: pd.DataFrame, samples: Mapping[str, pd.DataFrame], level: float) -> Rows:
    """Whether default rises with the grade: one step, and each grade against the best, given the year."""
    for name, sample in {"cohort": cohort, **{f"all_loans{suffix}": one for suffix, one in samples.items()}}.items():
        note = {"note": LATE} if name.endswith("_later") else {}
        for row in steps(sample, ["approval_year"], "institution_id", level, name):
            yield row | note


def _teaching_case(case: pd.DataFrame, level: float) -> Rows:
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
        yield _row("teaching_case", "fitted", factor, found, estimand="log_odds_ratio", n=len(fitted), unit="log odds")
    wrong = (fit.predict(design(tested)) > 0.5) != (tested["Default"] == 1)
    yield _row(
        "teaching_case",
        "tested",
        "all",
        None,
        estimand="misclassified",
        estimate=100 * float(wrong.mean()),
        n=len(tested),
        unit="percent",
    )
