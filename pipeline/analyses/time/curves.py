"""Cumulative incidence of default by arm: how loans left, month by month, and whether the arms differ."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analyses.time.months import POINTS, FollowUp, Row
from pipeline.core.scope import Scope
from pipeline.stats import survival
from pipeline.stats.inference import codes
from pipeline.stats.samples import number_treated
from pipeline.stats.shares import on_log_odds

MONTHLY = 36
"""Months up to which curves are written month by month; longer ones year by year."""

RISK_TABLE = 5
"""Moments at which the numbers under observation are written."""


def follow_up(cohort: pd.DataFrame, ends: pd.DataFrame | None, horizon: int | None) -> FollowUp | None:
    """Return when and how loans left: from the table of their ends, or from their defaults alone.

    Month t ends t months after origination and begins when the month before it ends; a default on the very day of
    origination belongs to month 1.
    """
    if ends is not None:
        table = ends.set_index("loan_id").reindex(cohort["loan_id"])
        stays = table["months"].notna().to_numpy()
        way = table["end"].map({"default": 1, "repaid": 2, "open": 0}).fillna(0).to_numpy(dtype=int)
        months = table["months"].fillna(1).to_numpy(dtype=int)
        note = "" if stays.all() else f"left out: {int((~stays).sum())} loans without a month on record"
        return FollowUp(months, way, ("default", "repaid"), int(months.max()), stays, note)
    if "months_to_default" not in cohort or cohort["months_to_default"].isna().all():
        return None
    to_default = np.ceil(cohort["months_to_default"].to_numpy(dtype=float))
    defaults = cohort["default"].to_numpy() == 1
    undated = defaults & np.isnan(to_default)
    last = int(horizon or np.nanmax(to_default))
    note = "no dates of repayment: loans that never default count as loans that have not defaulted yet"
    if undated.any():
        note += f"; left out: {int(undated.sum())} defaults without a date"
    months = np.where(defaults & ~undated, np.maximum(np.nan_to_num(to_default, nan=last), 1), last).astype(int)
    return FollowUp(months, (defaults & ~undated).astype(int), ("default",), last, ~undated, note)


def curves(cohort: pd.DataFrame, followed: FollowUp, allowed: Scope, level: float) -> Iterator[Row]:
    """Yield cumulative incidence by arm, the arms' difference, loans at risk, and the log-rank tests."""
    protocol, stays = allowed.protocol, followed.stays
    clusters = codes(cohort[protocol.cluster])
    groups = survival.jackknife_groups(clusters)
    weights = cohort["weight"].to_numpy() if "weight" in cohort else None
    treated = cohort["treated"].to_numpy() == 1 if allowed.arms else np.zeros(len(cohort), dtype=bool)
    arms = {"treated": stays & treated, "control": stays & ~treated} if allowed.arms else {"all": stays}
    last = followed.last
    step = 1 if last <= MONTHLY else 12
    shown = np.arange(step, last + 1, step)
    moments = np.unique(np.linspace(0, shown[-1], RISK_TABLE).round().astype(int) // step * step)

    def counts(loans: np.ndarray) -> Row:
        return {
            "n": int(loans.sum()),
            "n_treated": number_treated(cohort[loans]),
            "n_clusters": len(np.unique(clusters[loans])),
        }

    def row(estimator: str, specification: str, factor: str, of: Row, month: int, **more: Any) -> Row:
        named = {"estimator": estimator, "specification": specification, "factor": factor}
        return named | {"estimand": f"month_{month:03d}", "note": followed.note} | of | more

    def incidence(loans: np.ndarray) -> np.ndarray:
        table = survival.life_table(
            followed.months, followed.way, len(followed.ways), groups, last, weights, loans & stays
        )
        return 100 * survival.cumulative_incidence(table)

    of_arm = {name: incidence(loans) for name, loans in arms.items()}
    for name, loans in arms.items():
        of = counts(loans)
        for place, way in enumerate(followed.ways):
            found = [on_log_odds(one, 100) for one in survival.jackknife(of_arm[name][:, place], level)]
            for month in shown:
                yield row(
                    "cumulative_incidence",
                    name,
                    "treated",
                    of,
                    month,
                    outcome=way,
                    unit="percent",
                    **found[month - 1]._asdict(),
                )
        table = survival.life_table(followed.months, followed.way, 2, groups, last, None, loans)
        at_risk, still = table.at_risk[0], table.at_risk[0, -1] - table.exits[0, :, -1].sum()
        for month in moments:
            # Under observation after so many months: when the next one begins.
            there = at_risk[month] if month < last else still
            yield row("at_risk", name, "treated", of, month, estimate=there, unit="loans")
    if not allowed.arms:
        return
    contrasts = {"treated": ("difference", of_arm["treated"], of_arm["control"], stays)}
    if "programme_lot" in cohort and cohort["programme_lot"].notna().any():
        lot = cohort["programme_lot"].to_numpy()
        offered = stays & ~np.isnan(lot)
        contrasts["programme_lot"] = ("difference", incidence(lot == 1), incidence(lot == 0), offered)
    for factor, (name, one, other, loans) in contrasts.items():
        of = counts(loans)
        for place, way in enumerate(followed.ways):
            found = survival.jackknife(one[:, place] - other[:, place], level)
            for month in shown:
                yield row(
                    "cumulative_incidence",
                    name,
                    factor,
                    of,
                    month,
                    outcome=way,
                    unit=POINTS,
                    **found[month - 1]._asdict(),
                )
    exact = [name for name in protocol.matching.exact if name in cohort]
    strata = cohort.groupby(exact, observed=True).ngroup().to_numpy() if exact else None
    ways_of_comparing = {"all_loans": None} | ({"within_strata": strata[stays]} if strata is not None else {})
    of = counts(stays)
    for place, way in enumerate(followed.ways):
        for name, layer in ways_of_comparing.items():
            tested = survival.log_rank(
                followed.months[stays],
                followed.way[stays] == place + 1,
                treated[stays],
                clusters[stays],
                last,
                layer,
                None if weights is None else weights[stays],
            )
            note = f"observed {tested.observed:.0f}, expected {tested.expected:.1f}"
            note += f"; within {', '.join(exact)}" if layer is not None else ""
            more = {"outcome": way, "unit": "chi-squared"}
            if weights is None:
                yield row("log_rank", name, "treated", of, last, **more) | {
                    "estimand": "loans_independent",
                    "estimate": tested.chi_squared,
                    "p_value": tested.p_value,
                    "note": note,
                }
            yield row("log_rank", name, "treated", of, last, **more) | {
                "estimand": "clustered",
                "estimate": tested.clustered,
                "p_value": tested.clustered_p,
                "note": note,
            }
