"""Grades that studies build where a lender publishes none: points for what was known before the loan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.stats.design import design_matrix
from pipeline.stats.inference import scaled
from pipeline.stats.libraries import linear_probability

GRADES = list("ABCD")
"""Best to worst: as many points as letters before it."""


def by_points(points: pd.Series) -> pd.Series:
    """Return the ordered grade (loans,) that so many points, nought to three, make."""
    letters = np.array(GRADES, dtype=object)[points]
    return pd.Series(pd.Categorical(letters, GRADES, ordered=True), points.index, name="credit_grade")


def steps(
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
