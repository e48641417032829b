"""Ask whose default treatment changes: by grade, kind of lender and loan, size, market and policy, and loan by loan."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses import headline
from pipeline.core import results
from pipeline.core.params import Moderator, Study, Window
from pipeline.core.scope import FEWEST, Scope, column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats import individual
from pipeline.stats.correlation import holm
from pipeline.stats.cross_fitting import deal_folds, features, hashes
from pipeline.stats.design import design_matrix
from pipeline.stats.growth import lagged_growth
from pipeline.stats.inference import Effect, as_ratio
from pipeline.stats.moderation import Controlled, Groups, cut, in_thirds
from pipeline.stats.samples import sample_for

WITHOUT_WORD: dict[str, Moderator] = {"credit_grade": "levels", "loan_type": "levels", "institution_type": "levels"}
"""By what groups are formed where params.yaml names no moderators."""

ENOUGH = 30
"""Defaults in the smallest group below which its effect is hardly more than a guess."""

FOR_LEARNING = 50
"""Defaults in each half below which no effects are learnt loan by loan."""

LEAST_LENT = 10
"""Loans of two years together from which a lender's growth is told."""

LENDER_GROWTH = "lender_growth"

Row = dict[str, Any]


class Sample(NamedTuple):
    """A factor with its loans and the terms of its headline regression."""

    factor: str
    loans: pd.DataFrame
    terms: list[str]
    protocol: Study
    level: float

    def row(self, estimator: str, specification: str, estimand: str, stays: Any = None, **more: Any) -> Row:
        """Return a row of this factor with the numbers of its loans, or of those that `stays` picks."""
        loans = self.loans if stays is None else self.loans[stays]
        named = {"estimator": estimator, "specification": specification, "factor": self.factor, "estimand": estimand}
        return headline.row(named, loans, self.protocol.cluster, **more)


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
    return found


def grouping(loans: pd.DataFrame, name: str, how: Moderator) -> pd.Series:
    """Return the group of each loan (a category, loans), missing where the moderator is.

    Raises StudyError when the loans have no such column, or one that does not part them.
    """
    if isinstance(how, Window):
        month = loans["origination_date"].dt.strftime("%Y-%m")
        inside = (month >= (how.first_month or "")) & (month <= (how.last_month or "9999"))
        return pd.Series(pd.Categorical(np.where(inside, "inside", "outside"), ["outside", "inside"]), loans.index)
    if name == LENDER_GROWTH and name not in loans and "institution_id" in loans:
        weights = loans["weight"] if "weight" in loans else pd.Series(1.0, loans.index)
        values = lagged_growth(loans["institution_id"], loans["origination_date"].dt.year, weights, LEAST_LENT)
    elif name in loans:
        values = loans[name]
    else:
        raise StudyError(f"the cohort has no column '{name}'.")
    if how == "levels":
        return _levels(values)
    if not pd.api.types.is_numeric_dtype(values):
        raise StudyError(f"{name} is no number: its groups are its levels.")
    groups = in_thirds(values) if how == "thirds" else cut(values, how)
    if groups is None:
        raise StudyError(f"too many loans share a value of {name} to part it into thirds.")
    return groups


def _levels(values: pd.Series) -> pd.Series:
    if values.dtype == "category":
        return values.cat.remove_unused_categories()
    distinct = sorted(values.dropna().unique())
    names = {value: f"{value:g}" if isinstance(value, int | float | np.number) else str(value) for value in distinct}
    if set(distinct) <= {0, 1}:
        names = {0: "no", 1: "yes"}
    return values.map(names).astype(pd.CategoricalDtype([names[value] for value in distinct]))


def _by_groups(sample: Sample, moderators: dict[str, Moderator]) -> Iterator[Row]:
    """Yield the effect in each group on both scales, and whether the groups differ, Holm's method over moderators."""
    whole: Controlled | None = None
    tests: dict[str, list[Row]] = {"wald_difference": [], "wald_ratio": []}
    smallest: dict[str, int] = {}
    for name, how in moderators.items():
        try:
            group = grouping(sample.loans, name, how)
            kept, gone = _large_enough(sample, group)
            if kept.all():
                whole = whole or _controlled(sample, kept)
                of_loans = whole
            else:
                of_loans = _controlled(sample, kept)
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
        adjusted = holm([row["p_value"] for row in rows]) if rows else []
        for row, p_adjusted in zip(rows, adjusted, strict=True):
            yield row | {"p_adjusted": p_adjusted}
    if smallest and sample.factor == "treated":
        name = min(smallest, key=lambda one: smallest[one])
        passed = smallest[name] >= ENOUGH
        common = {key: sample.row("", "", "")[key] for key in ("outcome", "n", "n_treated", "n_clusters")}
        yield results.assumption("groups_large_enough", smallest[name], ENOUGH, passed=passed, factor=name, **common)


def _controlled(sample: Sample, kept: pd.Series) -> Controlled:
    loans = sample.loans[kept]
    design = design_matrix(loans, [sample.factor, *sample.terms]).matrix
    controls = sample.protocol.controls
    # What has many levels, by itself: periods, or the strata of a lottery.
    many = controls.time if len(controls.time) == 1 and loans[controls.time[0]].dtype == "category" else controls.strata
    absorb = loans[many[0]] if len(many) == 1 and many[0] in sample.terms else None
    clusters, weights = loans[sample.protocol.cluster], loans.get("weight")
    return Controlled(loans["default"], design, sample.factor, clusters, sample.level, weights, absorb)


def _large_enough(sample: Sample, group: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return which loans stand in a group that allows a comparison, and the names of the groups that do not."""
    loans = sample.loans
    counts = loans.groupby(group, observed=True)["default"].agg(["sum", "size"])
    fine = (counts["sum"] >= FEWEST) & (counts["size"] - counts["sum"] >= FEWEST)
    if set(loans[sample.factor].unique()) <= {0, 1}:
        arms = loans.groupby(group, observed=True)[sample.factor].agg(["sum", "size"])
        fine &= (arms["sum"] >= FEWEST) & (arms["size"] - arms["sum"] >= FEWEST)
    if fine.sum() < 2:
        raise StudyError(f"fewer than two groups hold {FEWEST} defaults, other loans, and loans of each arm.")
    names = set(fine.index[fine])
    return group.isin(names), [str(name) for name in fine.index if name not in names]


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
    held_out = deal_folds(hashed, cell, 2).astype(bool)
    fold = deal_folds(hashed, cell, 2, repetition=1)
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
