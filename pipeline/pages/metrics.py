"""What `dvc metrics diff` compares between two versions of a study."""

import math

from pipeline.core import results
from pipeline.core.protocol import rungs_of
from pipeline.core.scope import Scope
from pipeline.present.page import effect_row, largest_difference, shown_factors

HEADLINE_ESTIMANDS = ["risk_difference", "risk_difference_of_treated", "effect_on_compliers", "log_rate_ratio"]
"""Effects of the programme, among the rows of the stage effects."""

MANY = ("event_study", "dose")
"""Estimators whose rows say one thing together, and none of them by itself."""


def metrics(study: str, rows: results.Results, allowed: Scope) -> dict[str, dict[str, object]]:
    """Return what `dvc metrics diff` compares: effects in percentage points, with intervals, and the balance."""
    found: dict[str, object] = {}
    protocol = allowed.protocol
    names = {"M1": "raw", list(rungs_of(protocol))[-1]: "all controls", "M6": "matched pairs"}
    shown = shown_factors(rows, allowed)
    if allowed.arms:
        shown = ["treated", *([protocol.treatment.factor] if protocol.treatment else [])]
    for factor in shown if allowed.models else []:
        for rung, name in names.items():
            if rung == "M6" and not allowed.matching:
                continue
            row = effect_row(rows, factor, rung)
            if math.isnan(row.estimate):
                continue
            found[f"{factor}, {name}"] = {"points": row.estimate, "ci_low": row.ci_low, "ci_high": row.ci_high}
    for row in rows.where(stage="effects", outcome="default", estimand=HEADLINE_ESTIMANDS).itertuples():
        if row.estimator not in MANY:
            name = row.estimator.replace("_", " ")
            found[name] = {"estimate": row.estimate, "p_value": row.p_value}
    for sample in ("before", "after") if not rows.where(estimator="balance").empty else ():
        found[f"largest difference {sample} matching"] = abs(float(largest_difference(rows, sample)["estimate"]))
    for name in ("loans", "defaults", *(("treated", "matched_treated") if allowed.matching else ())):
        found[f"number of {name.replace('_', ' ')}"] = int(rows.one(estimator="count", factor=name).estimate)
    return {study: found}
