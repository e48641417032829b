"""One regression under several specifications, for what a study's design allows beyond the ladder that all share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.stats.design import design_matrix
from pipeline.stats.inference import scaled
from pipeline.stats.libraries import absorbed_linear, linear_probability
from pipeline.stats.samples import number_treated

Specifications = Mapping[str, tuple[pd.DataFrame, Sequence[str]]]
"""By name: the loans (loans x columns), and the terms that are held fixed."""

POINTS = {"estimand": "risk_difference", "unit": "percentage points"}


def specified(
    estimator: str,
    factors: Sequence[str],
    specifications: Specifications,
    clusters: str,
    level: float,
    *,
    outcome: str = "default",
    absorb: str | None = None,
    scale: float = 100,
    **more: Any,
) -> Iterator[dict[str, Any]]:
    """Yield a row of the results table for each specification and factor, by least squares with clustered errors.

    Parameters
    ----------
    estimator : str
        What the rows are called.
    factors : sequence of str
        Columns whose coefficients are told; together in one regression.
    specifications : mapping
        See `Specifications`.
    clusters : str
        Column by which errors are clustered.
    level : float
        Of the intervals.
    outcome : str
        Column that is explained.
    absorb : str, optional
        Column whose groups, such as clients, have an effect each, taken out.
    scale : float
        By which coefficients are multiplied: 100 turns shares into percentage points.
    **more
        What else the rows hold, such as estimand and unit where they are not points of risk.
    """
    for name, (loans, terms) in specifications.items():
        design = design_matrix(loans, [*factors, *terms]).matrix
        groups = loans[clusters]
        if absorb is None:
            found = {one: linear_probability(loans[outcome], design, one, groups, level) for one in factors}
        else:
            found = absorbed_linear(loans[outcome], design, factors, loans[absorb], groups, level).effects
        common = {"estimator": estimator, "specification": name, "outcome": outcome, "n": len(loans)}
        common |= {"n_treated": number_treated(loans) if "treated" in loans else None, "n_clusters": groups.nunique()}
        for factor, effect in found.items():
            yield common | POINTS | {"factor": factor} | scaled(effect, scale)._asdict() | more


def grade_steps(
    loans: pd.DataFrame, controls: Sequence[str], clusters: str, level: float, specification: str = "cohort"
) -> Iterator[dict[str, Any]]:
    """Yield by how much default rises with the grade: for one step, and for each grade against the best.

    Parameters
    ----------
    loans : (loans x columns)
        With ``weight`` where loans were sampled by outcome.
    controls : sequence of str
        Terms that are held fixed.
    clusters : str
        Column by which errors are clustered.
    level : float
        Of the intervals.
    specification : str
        What the rows call these loans.
    """
    step = loans.assign(grade_step=loans["credit_grade"].cat.codes.astype(float))
    number = {"n": len(step), "n_clusters": step[clusters].nunique(), "unit": "percentage points"}
    common = {"estimator": "grade", "specification": specification, "outcome": "default", "estimand": "risk_difference"}
    for term in ("grade_step", "credit_grade"):
        design = design_matrix(step, [term, *controls]).matrix
        for column in design:
            if column == "grade_step" or column.startswith("credit_grade["):
                found = linear_probability(step["default"], design, column, step[clusters], level, step.get("weight"))
                yield common | {"factor": column} | scaled(found, 100)._asdict() | number
