"""A factor with its loans and controls, and the moderators by which they are parted."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses import headline
from pipeline.core.protocol import Moderator, Study, Window
from pipeline.core.scope import FEWEST
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.growth import lagged_growth
from pipeline.stats.moderation import Controlled, cut, in_thirds

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


def moderator(loans: pd.DataFrame, name: str) -> pd.Series:
    """Return a moderator's column (loans,), lenders' growth made where there is none; StudyError where it cannot be."""
    if name == LENDER_GROWTH and name not in loans and "institution_id" in loans:
        weights = loans["weight"] if "weight" in loans else pd.Series(1.0, loans.index)
        return lagged_growth(loans["institution_id"], loans["origination_date"].dt.year, weights, LEAST_LENT)
    if name not in loans:
        raise StudyError(f"the cohort has no column '{name}'.")
    return loans[name]


def grouping(loans: pd.DataFrame, name: str, how: Moderator) -> pd.Series:
    """Return the group of each loan (a category, loans), missing where the moderator is.

    Raises StudyError when the loans have no such column, or one that does not part them.
    """
    if isinstance(how, Window):
        month = loans["origination_date"].dt.strftime("%Y-%m")
        inside = (month >= (how.first_month or "")) & (month <= (how.last_month or "9999"))
        return pd.Series(pd.Categorical(np.where(inside, "inside", "outside"), ["outside", "inside"]), loans.index)
    values = moderator(loans, name)
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


def controlled(sample: Sample, kept: pd.Series) -> Controlled:
    """Return the regression of the loans that are kept, the factor with all controls."""
    loans = sample.loans[kept]
    design = design_matrix(loans, [sample.factor, *sample.terms]).matrix
    controls = sample.protocol.controls
    # What has many levels, by itself: periods, or the strata of a lottery.
    many = controls.time if len(controls.time) == 1 and loans[controls.time[0]].dtype == "category" else controls.strata
    absorb = loans[many[0]] if len(many) == 1 and many[0] in sample.terms else None
    clusters, weights = loans[sample.protocol.cluster], loans.get("weight")
    return Controlled(loans["default"], design, sample.factor, clusters, sample.level, weights, absorb)


def large_enough(sample: Sample, group: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return which loans (boolean) stand in a group that allows a comparison, and the names of the others.

    Of a yes-or-no factor each arm must hold loans of both outcomes: where all of an arm end alike, a linear regression
    finds hardly any error of it, and so an effect and a difference between groups that chance makes.
    """
    loans = sample.loans
    counts = loans.groupby(group, observed=True)["default"].agg(["sum", "size"])
    fine = (counts["sum"] >= FEWEST) & (counts["size"] - counts["sum"] >= FEWEST)
    if set(loans[sample.factor].unique()) <= {0, 1}:
        arms = loans.groupby(group, observed=True)[sample.factor].agg(["sum", "size"])
        fine &= (arms["sum"] >= FEWEST) & (arms["size"] - arms["sum"] >= FEWEST)
        outcomes = loans.groupby([group, sample.factor], observed=True)["default"].nunique()
        fine &= outcomes.groupby(level=0, observed=True).min() == 2
    if fine.sum() < 2:
        raise StudyError(
            f"fewer than two groups hold {FEWEST} defaults, other loans, and loans of each arm, of both outcomes."
        )
    names = set(fine.index[fine])
    return group.isin(names), [str(name) for name in fine.index if name not in names]
