"""What `dvc metrics diff` and `dvc exp show` compare between versions of a study, and between studies."""

import math

from pipeline.core import results
from pipeline.core.protocol import rungs_of
from pipeline.core.scope import Scope
from pipeline.present.page import effect_row, largest_difference, shown_factors


def metrics(rows: results.Results, allowed: Scope) -> dict[str, dict[str, object]]:
    """Return a study's headline numbers under names that mean the same in every study.

    Effects in percentage points (`treated.adjusted.risk_difference`) with intervals, the largest standardised
    differences, the area under the ROC curve of the score with what CRM adds to it, and counts. What a study cannot
    say is left out.
    """
    found: dict[str, dict[str, object]] = {"loans": {}}
    for name in ("loans", "defaults", *(("treated", "matched_treated") if allowed.matching else ())):
        found["loans"][{"loans": "all"}.get(name, name)] = int(rows.one(estimator="count", factor=name).estimate)
    rungs = {"raw": "M1", "adjusted": list(rungs_of(allowed.protocol))[-1]} | (
        {"matched": "M6"} if allowed.matching else {}
    )
    factors = ["treated"] if allowed.arms else shown_factors(rows, allowed)
    for factor in factors if allowed.models else []:
        effects = {name: effect_row(rows, factor, rung) for name, rung in rungs.items()}
        found[factor] = {
            name: {"risk_difference": row.estimate, "ci_low": row.ci_low, "ci_high": row.ci_high}
            for name, row in effects.items()
            if not math.isnan(row.estimate)
        }
    if len(rows.where(estimator="balance")):
        largest = {when: abs(float(largest_difference(rows, when)["estimate"])) for when in ("before", "after")}
        found["balance"] = {f"largest_{when}": value for when, value in largest.items()}
    score = {
        "area": rows.where(estimator="chosen", estimand="auc"),
        "gain": rows.where(estimator="chosen", estimand="auc_gain_clustered"),
    }
    if chosen := {name: float(table["estimate"].iloc[-1]) for name, table in score.items() if len(table)}:
        found["score"] = chosen
    return found
