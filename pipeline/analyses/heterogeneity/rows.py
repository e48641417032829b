"""Ask whose default treatment changes: by grade, kind of lender and loan, size, market and policy, and loan by loan."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses import headline
from pipeline.analyses.heterogeneity.interactions import interactions
from pipeline.analyses.heterogeneity.sample import Row, Sample, controlled, grouping, large_enough
from pipeline.core import results
from pipeline.core.protocol import Moderator
from pipeline.core.scope import Scope, column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats import individual
from pipeline.stats.correlation import adjusted
from pipeline.stats.cross_fitting import assign_folds, features, hashes
from pipeline.stats.inference import Effect, as_ratio
from pipeline.stats.moderation import Controlled, Groups
from pipeline.stats.samples import sample_for

WITHOUT_WORD: dict[str, Moderator] = {"credit_grade": "levels", "loan_type": "levels", "institution_type": "levels"}
"""By what groups are formed where params.yaml names no moderators."""

ENOUGH = 30
"""Defaults in the smallest group below which its effect is hardly more than a guess."""

FOR_LEARNING = 50
"""Defaults in each half below which no effects are learnt loan by loan."""


def rows(cohort: pd.DataFrame, allowed: Scope, level: float, seed: int) -> list[Row]:
    """Return the rows on differences between effects; the order of the loans does not matter.

    Parameters
    ----------
    cohort : (loans x columns)
    allowed : Scope
        What the cohort allows of the protocol.
    level : float
        Level of confidence intervals.
    seed : int
        By it the loans are split into the half that individual effects are learnt on and the one that judges them.
    """
    cohort, protocol = cohort.sort_values("loan_id", ignore_index=True), allowed.protocol
    terms = headline.terms(protocol)
    moderators = protocol.moderators or {
        name: how for name, how in WITHOUT_WORD.items() if name in cohort and cohort[name].nunique() > 1
    }
    asked = {"treated": list(moderators)} if allowed.arms else {}
    asked |= protocol.moderated if allowed.models else {}

    found: list[Row] = []
    for factor, names in asked.items():
        try:
            loans = sample_for(cohort, factor, protocol.after_origination())
        except StudyError as error:
            found.append({"estimator": "moderation", "factor": factor, "note": str(error)})
            continue
        sample = Sample(factor, loans, terms, protocol, level)
        found += _by_groups(sample, {name: moderators[name] for name in names})
    if allowed.arms:
        sample = Sample("treated", cohort, terms, protocol, level)
        found += _individual(sample, str(seed))
    if not found:
        note = "there are not two arms of loans to compare."
        found = [{"estimator": "moderation", "factor": "treated", "note": note}]
    return [*found, *interactions(cohort, allowed, moderators, level)] if allowed.models else found


def _by_groups(sample: Sample, moderators: dict[str, Moderator]) -> Iterator[Row]:
    """Yield the effect in each group on both scales, and whether the groups differ, Holm's method over moderators."""
    whole: Controlled | None = None
    tests: dict[str, list[Row]] = {"wald_difference": [], "wald_ratio": []}
    smallest: dict[str, int] = {}
    for name, how in moderators.items():
        try:
            group = grouping(sample.loans, name, how)
            kept, gone = large_enough(sample, group)
            if kept.all():
                whole = whole or controlled(sample, kept)
                of_loans = whole
            else:
                of_loans = controlled(sample, kept)
        except (StudyError, np.linalg.LinAlgError) as error:
            yield sample.row("moderation", name, "wald_difference", note=str(error))
            continue
        group = group[kept].cat.remove_unused_categories()
        within = sample._replace(loans=sample.loans[kept])
        smallest[name] = int(within.loans.groupby(group, observed=True)["default"].sum().min())
        for scale, estimate in (("difference", of_loans.differences), ("ratio", of_loans.log_odds)):
            try:
                found = estimate(group)
            except (StudyError, np.linalg.LinAlgError) as error:
                yield within.row("moderation", name, f"wald_{scale}", note=str(error))
                continue
            yield from _of_groups(within, name, group, found, scale)
            note = f"{found.degrees} degrees of freedom" + (f"; left out: {', '.join(gone)}" if gone else "")
            test = {"estimate": found.statistic, "p_value": found.p_value, "unit": "chi-squared", "note": note}
            tests[f"wald_{scale}"].append(within.row("moderation", name, f"wald_{scale}", **test))
    for rows in tests.values():
        yield from adjusted(rows)
    if smallest and sample.factor == "treated":
        name = min(smallest, key=lambda one: smallest[one])
        passed = smallest[name] >= ENOUGH
        common = {key: sample.row("", "", "")[key] for key in ("outcome", "n", "n_treated", "n_clusters")}
        yield results.assumption("groups_large_enough", smallest[name], ENOUGH, passed=passed, factor=name, **common)


def _of_groups(sample: Sample, name: str, group: pd.Series, found: Groups, scale: str) -> Iterator[Row]:
    """Yield each group's effect and the last one against the first."""
    of_scale = results.in_points if scale == "difference" else _ratio
    number = len(found.effects)
    estimand = {"difference": "risk_difference", "ratio": "odds_ratio"}[scale]
    for place, (level, one) in enumerate(found.effects.items(), start=1):
        stays = (group.astype(str) == level).to_numpy()
        note = f"{place} of {number}"
        yield sample.row("by_group", f"{name}[{level}]", estimand, stays, **of_scale(one), note=note)
    first, *_, last = found.effects
    estimand = {"difference": "last_against_first", "ratio": "ratio_of_odds_ratios"}[scale]
    note = f"{last} against {first}"
    yield sample.row("moderation", name, estimand, **of_scale(found.last_against_first), note=note)


def _individual(sample: Sample, salt: str) -> Iterator[Row]:
    """Yield what effects predicted loan by loan are worth on the half of the loans that did not help to learn them."""
    loans = sample.loans
    common = ("individual_effects", "held_out_half")
    matching = sample.protocol.matching
    columns = list(dict.fromkeys(map(column_in, [*matching.exact, *matching.score, *sample.terms])))
    default, treated = loans["default"].to_numpy(), loans["treated"].to_numpy()
    if min(default.sum(), len(default) - default.sum()) < 2 * FOR_LEARNING or not columns:
        note = f"fewer than {FOR_LEARNING} defaults in each half: too few to learn individual effects from."
        yield sample.row(*common, "calibration", note=note)
        return
    hashed, cell = hashes(loans["loan_id"].to_numpy(), salt), 2 * treated + default
    held_out = assign_folds(hashed, cell, 2).astype(bool)
    fold = assign_folds(hashed, cell, 2, repetition=1)
    clusters = loans[sample.protocol.cluster].to_numpy()
    weights = loans["weight"].to_numpy(dtype=float) if "weight" in loans else None
    try:
        found = individual.r_learner(
            features(loans[columns]), treated, default, held_out, fold, clusters, sample.level, weights
        )
    except (StudyError, np.linalg.LinAlgError) as error:
        yield sample.row(*common, "calibration", note=str(error))
        return
    note = "exploratory: learnt on the other half"
    yield sample.row(*common, "average_effect", held_out, **results.in_points(found.average), note=note)
    yield sample.row(*common, "calibration", held_out, **found.calibration._asdict(), unit="slope", note=note)
    for name, one in found.thirds.items():
        yield sample.row(*common, f"{name}_third", held_out, **results.in_points(one), note=note)
    if found.highest_against_lowest is not None:
        last = results.in_points(found.highest_against_lowest)
        yield sample.row(*common, "highest_against_lowest", held_out, **last, note=note)


def _ratio(effect: Effect) -> Row:
    """Return a ratio and its interval from logarithms; the standard error stays on the log scale."""
    return as_ratio(effect)._asdict() | {"unit": "ratio"}
