"""Lay the CRM factors' effects of all studies side by side, and pool those that are alike."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.fields import construct
from pipeline.core.protocol import Study, rungs_of
from pipeline.core.results import Results
from pipeline.stats.synthesis import random_effects

FOLDER = "synthesis"
"""Folder under reports, and the study's name in rows that belong to no single one."""

Rows = list[dict[str, Any]]


def rows(found: Mapping[str, Results], protocols: Mapping[str, Study], level: float, turned: Sequence[str]) -> Rows:
    """Return each study's effects, and those that are alike pooled.

    `found` holds each study's rows of the stages describe and regress, `protocols` its section of params.yaml; of
    `level` and `turned` see `pooled`.
    """
    effects = [row for study, has in found.items() for row in effects_of(study, protocols[study], has)]
    return [*effects, *pooled(effects, level, turned)]


def effects_of(study: str, protocol: Study, found: Results) -> Rows:
    """Return each factor's effect with all controls: an odds ratio, points of default, and what they are made of."""
    rung = list(rungs_of(protocol))[-1]
    effects: Rows = []
    for factor in protocol.factors:
        summary = found.where(stage="describe", estimator="summary", factor=factor).set_index("estimand")["estimate"]
        binary = summary["binary"] == 1
        # Lots are drawn over the treatment; a client's other features are as they were.
        drawn = protocol.treatment is not None and factor == protocol.treatment.factor
        design = "observational" if protocol.design == "randomised" and not drawn else protocol.design
        common = {
            "study": study,
            "factor": factor,
            "outcome": protocol.outcome,
            "specification": construct(factor),
            "note": design,
        }
        for row in found.where(stage="regress", factor=factor, specification=rung).itertuples():
            numbers = {name: getattr(row, name) for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value")}
            counts = {name: getattr(row, name) for name in ("n", "n_treated", "n_clusters")}
            if row.estimand not in ("risk_difference", "odds_ratio"):
                continue
            own = {"estimator": "one_study", "estimand": row.estimand, "unit": row.unit}
            effects.append(common | own | numbers | counts)
            if row.estimand == "odds_ratio":
                # Unlike units become alike in standard deviations; a yes-or-no factor is its own unit.
                unit = 1.0 if binary else float(summary["standard_deviation"])
                like = {
                    "estimator": "like_units",
                    "estimand": "log_odds_ratio_of_one" if binary else "log_odds_ratio_of_a_standard_deviation",
                    "estimate": unit * np.log(row.estimate),
                    "std_error": unit * row.std_error,
                    "ci_low": unit * np.log(row.ci_low),
                    "ci_high": unit * np.log(row.ci_high),
                    "p_value": row.p_value,
                    "unit": "log odds ratio",
                }
                effects.append(common | like | counts)
    return effects


def pooled(effects: Rows, level: float, turned: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Pool the real studies' like effects: the same construct, outcome and kind of unit. Simulated ones never enter.

    Where a study measures a construct in several ways, the way that its protocol names first speaks for it: the ways
    share their loans and would count them twice. Factors in `turned` count what a relationship lacks: their sign turns.
    """
    frame = pd.DataFrame(effects)
    frame["estimate"] *= 1 - 2 * frame["factor"].isin(turned)
    like = frame[(frame["estimator"] == "like_units") & (frame["note"] != "simulated") & frame["std_error"].gt(0)]
    for (name, outcome, estimand), group in like.groupby(["specification", "outcome", "estimand"], sort=True):
        group = group.drop_duplicates("study")
        if len(group) < 2:
            continue
        found = random_effects(group["estimate"].to_numpy(), group["std_error"].to_numpy(), level)
        common = {
            "estimator": "random_effects",
            "specification": name,
            "outcome": outcome,
            "unit": "log odds ratio",
            "n": int(group["n"].sum()),
            "note": ", ".join(f"{row.study}: {row.factor}" for row in group.itertuples()),
        }
        yield common | {"estimand": estimand} | found.effect._asdict()
        yield common | {"estimand": f"{estimand}, studies", "estimate": found.studies, "unit": "studies"}
        yield common | {"estimand": f"{estimand}, between", "estimate": found.between}
        yield common | {
            "estimand": f"{estimand}, heterogeneity",
            "estimate": found.heterogeneity,
            "p_value": found.p_heterogeneity,
            "unit": "share",
        }
