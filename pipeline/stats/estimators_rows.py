"""What all estimators of the programme share: controls, who fits, and the form of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from pipeline.stats import difference_in_differences as did
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import Effect, scaled
from pipeline.stats.instruments import Instrumented, inside, two_stage
from pipeline.stats.regression import LogitEffects, linear_probability, logit

Row = dict[str, Any]

KEY = ("estimator", "specification", "factor", "outcome", "estimand")

CONTROLS = (
    "credit_grade",
    "credit_score",
    "loan_type",
    "log(amount)",
    "term_months",
    "debt_to_income",
    "relationship_length",
    "institution_type",
    "origination_quarter",
)
"""What a lender's files say of a loan at origination, with time effects. The rate follows the grade: not here. Small
firms are those with a firm's loan types."""

AFTER = "default_after_landmark"
"""Outcome of factors measured up to the landmark."""

POINTS = "percentage points"


class Engines(NamedTuple):
    """Who fits what a library fits as well: ours, for thousands of worlds; `libraries` for what is read."""

    linear_probability: Callable[..., Effect] = linear_probability
    logit: Callable[..., LogitEffects] = logit
    two_stage: Callable[..., Instrumented] = two_stage
    inside: Callable[..., Effect] = inside
    poisson: Callable[..., did.Estimated] = did.poisson


OURS = Engines()


def row(key: Sequence[str], found: Effect, counts: Row, unit: str = POINTS, note: str = "") -> Row:
    """Return an effect's row under its `KEY`; shares of loans come out in percentage points."""
    found = scaled(found, 100) if unit == POINTS else found
    said = {"note": note} if note else {}
    return dict(zip(KEY, key, strict=True)) | found._asdict() | {"unit": unit} | said | counts


def counts(loans: pd.DataFrame, cluster: str = "institution_id") -> Row:
    """Return on how many loans, treated loans and clusters an estimate rests."""
    return {"n": len(loans), "n_treated": int(loans["treated"].sum()), "n_clusters": int(loans[cluster].nunique())}


def plain(loans: pd.DataFrame, terms: Sequence[str]) -> pd.DataFrame:
    """Return the design matrix without its intercept, which group effects contain."""
    return design_matrix(loans, terms).matrix.iloc[:, 1:]
