"""What rows of the study's own analyses are made of: samples, counts and units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from pipeline.stats.absorbed import Absorbed
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import Effect, scaled
from pipeline.stats.libraries import absorbed_linear

Row = dict[str, Any]
Rows = Iterator[Row]
SHARING = "information_sharing"
SAME_STATE = "relationship_depth_same_state"
LINE = "relationship_depth_revolving_line"
WAIT = "communication_effectiveness_months"

EXPOSED = (pd.Timestamp("2005-12-01"), pd.Timestamp("2009-06-30"))
"""Approvals that met the recession of 2007-09 young: from two years before it began (December 2007) to its end. The
file holds them by how they ended, so what is contrasted with them decides nothing."""

LATE = "late approvals are on file by how they ended: decides nothing"

LONG_TERM = 120
"""Months from which a term is long, in what shows whom the file leaves out."""


def row_of(estimator: str, specification: str, factor: str, found: Effect | None, **more: Any) -> Row:
    """Return a row of the results table; `found` gives the estimate and what stands beside it."""
    row: Row = {"estimator": estimator, "specification": specification, "factor": factor, "outcome": "default"}
    return row | (found._asdict() if found else {}) | more


def counts_of(found: Absorbed, treated: int | None = None) -> Row:
    """Return how many loans and clusters a regression had."""
    counts: Row = {"n": found.loans, "n_clusters": found.clusters}
    return counts if treated is None else counts | {"n_treated": treated}


POINTS: Row = {"estimand": "risk_difference", "unit": "percentage points"}
MARGINAL: Row = {"estimand": "average_marginal_effect", "unit": "percentage points"}
ODDS: Row = {"estimand": "odds_ratio", "unit": "ratio"}


def within_banks(
    loans: pd.DataFrame, factors: Sequence[str], controls: Sequence[str], level: float, outcome: str = "default"
) -> Absorbed:
    """Weighted least squares with an effect for every bank; outcomes other than default are not weighted."""
    design = design_matrix(loans, [*factors, *controls]).matrix
    weights = loans["weight"] if outcome == "default" else None
    return absorbed_linear(
        loans[outcome], design, list(factors), loans["institution_id"], loans["institution_id"], level, weights
    )


def in_points(found: Absorbed, factor: str) -> Effect:
    """Return a factor's effect in percentage points."""
    return scaled(found.effects[factor], 100)


def late(suffix: str, **more: Any) -> Row:
    """Return what rows of late approvals say beside the others."""
    return more | ({"note": LATE} if suffix else {})
