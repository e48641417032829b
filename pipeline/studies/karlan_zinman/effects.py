"""What randomisation allows: the effect of the promise, its tests, who took the loan, and whom it moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.stats import inference
from pipeline.stats.added_information import added
from pipeline.stats.bounds import lee_interval
from pipeline.stats.correlation import adjusted, holm
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import Effect
from pipeline.stats.libraries import linear_probability
from pipeline.stats.moderation import Controlled
from pipeline.stats.prediction import Sample
from pipeline.stats.randomisation import permute, randomisation_test
from pipeline.stats.splits import by_time

OUTCOMES = ("default", "past_due_any", "past_due_above_fifth", "past_due_share")
"""Above the study's own share, any amount, above a fifth, and the share past due itself."""

BASELINE = (
    "last_amount",
    "credit_score",
    "credit_record",
    "income",
    "dependants",
    "age",
    "female",
    "married",
    "more_educated",
    "rural",
    "relationship_depth_prior_loans",
    "relationship_depth_dormancy",
)
"""What was known of a client before the letter, and randomisation should have balanced."""

PERMUTATIONS = 4999
"""Permutations of the randomisation test."""

DRAWS = 999
"""Draws of branches for the errors of the bounds."""

POINTS = "percentage points"

Row = dict[str, Any]

COLUMNS = ("lottery_unit", "past_due_above_fifth", "past_due_any", "past_due_share", "term_months")
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(
    cohort: pd.DataFrame, panels: dict[str, pd.DataFrame], protocol: Study, params: Params
) -> list[dict[str, Any]]:
    """Return rows of the results table; `panels` holds ``offers``, every letter of every wave."""
    level = params.inference.level
    controls = protocol.controls
    drawn = [*controls.strata, *controls.loan]
    every = list(controls.ladder().values())[-1]
    offers = panels["offers"]
    in_study = offers["origination_month"].isin(cohort["origination_month"].unique())
    samples = {"waves": cohort}
    letters = {"waves": offers[in_study]}
    for month, name in WAVE_NAMES.items():
        if (cohort["origination_month"] == month).any():
            samples[name] = cohort[cohort["origination_month"] == month]
            letters[name] = offers[offers["origination_month"] == month]
    terms = {"strata_rates": drawn, "all_controls": every, "without_strata": controls.loan}
    return [
        *_outcomes(cohort),
        *_promise(cohort, samples, drawn, controls.loan, level),
        *_over_waves(_lottery(samples, terms, params)),
        *_units(letters),
        *_take_up(offers, letters["waves"], drawn, level),
        *_bounds(letters, level, params.seed),
        *_by_group(cohort, drawn, level),
        *_observational(cohort, protocol, drawn, level),
        *_balance(letters["waves"], cohort, [*controls.strata, "stratum"], level),
        *_record(cohort, protocol, params),
    ]


WAVE_NAMES = {"2003-07": "wave_1", "2003-09": "wave_2", "2003-10": "wave_3"}
"""Waves of the experiment by the month of their letters."""


def _counts(loans: pd.DataFrame) -> Row:
    return {
        "n": len(loans),
        "n_treated": int(loans["treated"].sum()),
        "n_clusters": int(loans["institution_id"].nunique()),
    }


def _points(effect: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect._asdict().items()}
    return scaled | {"unit": POINTS}


def _fit(loans: pd.DataFrame, outcome: str, factor: str, terms: list[str], level: float) -> Effect:
    design = design_matrix(loans, [factor, *terms])
    return linear_probability(loans[outcome], design.matrix, factor, loans["institution_id"], level)


def _outcomes(cohort: pd.DataFrame) -> Iterator[Row]:
    """Say how common each outcome is, so that effects can be read against it."""
    for outcome in OUTCOMES:
        yield {
            "estimator": "outcomes",
            "specification": "loans",
            "outcome": outcome,
            "estimand": "mean",
            "estimate": 100 * cohort[outcome].mean(),
            "unit": "percent",
            **_counts(cohort),
        }


def _promise(
    cohort: pd.DataFrame, samples: dict[str, pd.DataFrame], drawn: list[str], wave_and_risk: list[str], level: float
) -> Iterator[Row]:
    """Estimate the promise's effect: within strata, with the rates drawn, with what balance and choice add.

    `wave_and_risk` are the controls without the strata of the randomisation.
    """
    # Terms are few and far apart: no line through them.
    with_term = cohort.assign(term=pd.Categorical(cohort["term_months"]))
    rates = ("offer_rate", "interest_rate")
    specifications = {
        "strata": (cohort, [name for name in drawn if name not in rates]),
        "strata_rates": (cohort, drawn),
        "without_strata": (cohort, wave_and_risk),
        "exceptions_apart": (_exceptions_apart(cohort), drawn),
        "last_amount": (cohort, [*drawn, "last_amount"]),
        "term": (with_term, [*drawn, "term"]),
    }
    specifications |= {name: (loans, drawn) for name, loans in samples.items() if name != "waves"}
    for name, (loans, terms) in specifications.items():
        for outcome in OUTCOMES:
            yield {
                "estimator": "promise",
                "specification": name,
                "factor": "treated",
                "outcome": outcome,
                "estimand": "difference",
                **_points(_fit(loans, outcome, "treated", terms, level)),
                **_counts(loans),
            }


def _exceptions_apart(loans: pd.DataFrame) -> pd.DataFrame:
    """Return the loans, those of clients with another promise than their branch in a stratum each.

    How these came by it is not on file: in the branch's stratum they have another chance of the promise than the rest.
    """
    usual = loans.groupby("lottery_unit")["treated"].transform("mean") >= 0.5
    alone = usual != (loans["treated"] == 1)
    own = "exception " + loans["loan_id"].astype(str)
    return loans.assign(**{name: loans[name].mask(alone, own) for name in ("lottery_unit", "lottery_stratum")})


def _lottery(samples: dict[str, pd.DataFrame], controls: dict[str, list[str]], params: Params) -> Iterator[Row]:
    """Take p-values and intervals from randomisation alone: of all loans by each set of controls, and of each wave."""
    whole, drawn = samples["waves"], controls["strata_rates"]
    specifications = {name: (whole, terms) for name, terms in controls.items()}
    specifications["exceptions_apart"] = (_exceptions_apart(whole), drawn)
    specifications |= {name: (loans, drawn) for name, loans in samples.items() if name != "waves"}
    for name, (loans, terms) in specifications.items():
        permuted = permute(
            loans["treated"].to_numpy(),
            loans["lottery_unit"].to_numpy(),
            loans["lottery_stratum"].to_numpy(),
            PERMUTATIONS,
            params.seed,
        )
        design = design_matrix(loans, terms).matrix
        for outcome in OUTCOMES if name != "exceptions_apart" else OUTCOMES[:1]:
            test = randomisation_test(
                loans[outcome].to_numpy(dtype=float),
                loans["treated"].to_numpy(),
                design.to_numpy(),
                loans["institution_id"].to_numpy(),
                permuted,
                params.inference.level,
            )
            row = {"estimator": "randomisation_test", "specification": name, "factor": "treated", "outcome": outcome}
            row |= _counts(loans)
            played = f"{test.draws} lotteries played"
            yield row | {
                "estimand": "t_statistic",
                "estimate": test.statistic,
                "p_value": test.p_value,
                "unit": "standard errors",
                "note": played,
            }
            yield row | {
                "estimand": "difference",
                "estimate": 100 * test.estimate,
                "ci_low": 100 * test.ci_low,
                "ci_high": 100 * test.ci_high,
                "p_value": test.p_value,
                "unit": POINTS,
                "note": f"{played}; the interval holds every effect that the test does not reject",
            }
            # Where the promise does nothing, the statistic should lie around nought.
            centre = inference.effect(test.centre, test.centre_error, params.inference.level)
            more = {"estimator": "randomisation_centre", "estimand": "t_statistic", "unit": "standard errors"}
            yield row | centre._asdict() | more | {"note": f"mean of {played}"}


def _over_waves(rows: Iterator[Row]) -> list[Row]:
    """Adjust the permutation test's p-values over all outcomes of both waves together and of each, with the rates."""
    found, names = [*rows], ("strata_rates", *WAVE_NAMES.values())
    family = [row for row in found if row["specification"] in names and row["estimator"] == "randomisation_test"]
    family = [row for row in family if row["estimand"] == "difference"]
    return [*(row for row in found if row not in family), *adjusted(family)]


def _units(letters: dict[str, pd.DataFrame]) -> Iterator[Row]:
    """Count what was randomised: clients, or branches."""
    for name, sent in letters.items():
        for kind in ("branch", "client"):
            units = sent[sent["lottery_unit"].str.startswith(kind)].groupby("lottery_unit")["treated"].mean()
            yield {
                "estimator": "lottery_units",
                "specification": name,
                "factor": "treated",
                "estimand": kind,
                "estimate": len(units),
                "n": len(sent),
                "n_treated": int((units >= 0.5).sum()),
                "unit": "units of the lottery",
            }


def _take_up(offers: pd.DataFrame, in_study: pd.DataFrame, drawn: list[str], level: float) -> Iterator[Row]:
    """Compare who took a loan, by arm: of all letters, by wave, and by wave and risk class."""
    parts = {"waves": in_study}
    for month, name in WAVE_NAMES.items():
        of_wave = offers[offers["origination_month"] == month]
        parts[name] = of_wave
        for risk, letters in of_wave.groupby("credit_grade", observed=True):
            parts[f"{name}_{risk}"] = letters
    for name, letters in parts.items():
        if letters["treated"].nunique() < 2:
            continue
        row = {"estimator": "take_up", "specification": name, "factor": "treated", "outcome": "took_up"}
        row |= _counts(letters)
        for arm, estimand in ((1, "rate_treated"), (0, "rate_control")):
            rate = letters.loc[letters["treated"] == arm, "took_up"].mean()
            yield row | {"estimand": estimand, "estimate": 100 * rate, "unit": "percent"}
        yield row | _points(_fit(letters, "took_up", "treated", drawn, level)) | {"estimand": "difference"}


def _bounds(letters: dict[str, pd.DataFrame], level: float, seed: int) -> Iterator[Row]:
    """Bound the effect on those who borrow in either arm, when the promise also moves who borrows."""
    for name, sent in letters.items():
        for outcome in OUTCOMES:
            found = lee_interval(
                sent[outcome].to_numpy(dtype=float),
                sent["took_up"].to_numpy(),
                sent["treated"].to_numpy(),
                sent["stratum"].astype(str).to_numpy(),
                sent["institution_id"].astype(str).to_numpy(),
                level=level,
                draws=DRAWS,
                seed=seed,
            )
            row = {
                "estimator": "lee_bounds",
                "specification": name,
                "factor": "treated",
                "outcome": outcome,
                "ci_low": 100 * found.ci_low,
                "ci_high": 100 * found.ci_high,
                "unit": POINTS,
                "note": "the interval covers the effect, not the whole range between the bounds",
                **_counts(sent[sent["took_up"] == 1]),
            }
            yield row | {
                "estimand": "lower_bound",
                "estimate": 100 * found.bounds.lower,
                "std_error": 100 * found.lower_error,
            }
            yield row | {
                "estimand": "upper_bound",
                "estimate": 100 * found.bounds.upper,
                "std_error": 100 * found.upper_error,
            }
        yield {
            "estimator": "lee_bounds",
            "specification": name,
            "factor": "treated",
            "outcome": "took_up",
            "estimand": "set_aside",
            "estimate": 100 * found.bounds.trimmed,
            "unit": "percent of loans",
            **_counts(sent[sent["took_up"] == 1]),
        }


def _by_group(cohort: pd.DataFrame, drawn: list[str], level: float) -> Iterator[Row]:
    """Estimate the promise's effect in each risk class and each wave, and test whether they differ."""
    design = design_matrix(cohort, ["treated", *drawn]).matrix
    groups = {
        "by_risk": cohort["credit_grade"],
        "by_wave": cohort["origination_month"].cat.rename_categories(WAVE_NAMES),
    }
    for name, group in groups.items():
        if group.nunique() < 2:
            continue
        for outcome in OUTCOMES:
            found = Controlled(cohort[outcome], design, "treated", cohort["institution_id"], level).differences(group)
            row = {"estimator": name, "factor": "treated", "outcome": outcome}
            for member, effect in found.effects.items():
                counts = _counts(cohort[group == member])
                yield row | _points(effect) | counts | {"specification": member, "estimand": "difference"}
            of_all = row | {"specification": "groups_compared"} | _counts(cohort)
            yield of_all | _points(found.last_against_first) | {"estimand": "last_against_first"}
            yield of_all | {"estimand": "all_equal", "p_value": found.p_value}


def _observational(cohort: pd.DataFrame, protocol: Study, drawn: list[str], level: float) -> Iterator[Row]:
    """Put the client's own history beside the promise: what the same files say where nothing was randomised."""
    every = list(protocol.controls.ladder().values())[-1]
    for factor in protocol.factors:
        # A promise is made or not; of a history one typical step says more than one loan or month.
        drawn_by_lot = factor == protocol.treatment.factor
        step = 1.0 if drawn_by_lot else float(cohort[factor].std())
        for outcome in OUTCOMES:
            for name, terms in (("strata_rates", drawn), ("all_controls", every)):
                effect = _fit(cohort, outcome, factor, terms, level)
                yield {
                    "estimator": "factors",
                    "specification": name,
                    "factor": factor,
                    "outcome": outcome,
                    "estimand": "one_more" if drawn_by_lot else "one_standard_deviation_more",
                    **_points(Effect(*(step * value for value in effect[:4]), effect.p_value)),
                    **_counts(cohort),
                }


def _balance(letters: pd.DataFrame, cohort: pd.DataFrame, strata: list[str], level: float) -> Iterator[Row]:
    """Compare the arms before the letter, within strata, in standard deviations."""
    for name, rows in (("letters", letters), ("loans", cohort)):
        found = {}
        for covariate in BASELINE:
            known = rows[rows[covariate].notna()]
            values = known[covariate].to_numpy(dtype=float)
            scaled = known.assign(standardised=(values - values.mean()) / values.std())
            found[covariate] = (_fit(scaled, "standardised", "treated", strata, level), _counts(known))
        p_values = holm([effect.p_value for effect, _ in found.values()])
        for (covariate, (effect, counts)), p_adjusted in zip(found.items(), p_values, strict=True):
            yield {
                "estimator": "lottery_balance",
                "specification": name,
                "factor": covariate,
                "outcome": "treated",
                "estimand": "standardised_difference",
                **effect._asdict(),
                "p_adjusted": float(p_adjusted),
                "unit": "standard deviations",
                **counts,
            }


def _record(cohort: pd.DataFrame, protocol: Study, params: Params) -> Iterator[Row]:
    """Ask what a client's whole record adds to its latest part, on loans granted later.

    The latest part is the last loan and the time since; the whole record adds how many loans there were. The risk class
    is left out, because the lender makes it from the whole record.
    """
    loans = cohort.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)
    known = [*protocol.controls.borrower, "relationship_depth_dormancy"]
    row = {"estimator": "record", "factor": "relationship_depth_prior_loans", "outcome": "default", "unit": "area"}
    sample = Sample(loans, loans["default"].to_numpy(dtype=float), None)
    try:
        split = by_time(loans["origination_date"], None, params.predict.train_share)
        clusters = loans["institution_id"].astype(str).to_numpy()
        found = added(sample, split, known, ["relationship_depth_prior_loans"], clusters, params.inference.level)
    except StudyError as error:
        yield row | {"specification": "not_estimated", "note": str(error)}
        return
    counts = _counts(loans.iloc[split.test])
    for specification, one in zip(("latest_part", "whole_record", "gain"), found, strict=True):
        note = f"judged on loans from {split.cut} on: later loans, training outcomes not all known"
        yield (
            row
            | {"specification": specification, "estimand": "area_under_curve", **one._asdict(), "note": note}
            | counts
        )
