"""Grades that studies build where a lender publishes none: points for what was known before the loan."""

from __future__ import annotations

import numpy as np
import pandas as pd

GRADES = list("ABCD")
"""Best to worst: as many points as letters before it."""


def by_points(points: pd.Series) -> pd.Series:
    """Return the ordered grade (loans,) that so many points, nought to three, make."""
    letters = np.array(GRADES, dtype=object)[points]
    return pd.Series(pd.Categorical(letters, GRADES, ordered=True), points.index, name="credit_grade")
