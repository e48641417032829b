"""The known truth: every loan under other regimes with the very same draws (section Scenarios).

An effect is the mean difference of the *risk* (probability of default within the horizon given everything
but the steps between states) between two regimes: it equals the mean difference of realised defaults but for
noise. The realised differences are given beside it.
"""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.studies.reference.clients import Clients, Institution
from pipeline.studies.reference.columns import Coded, Table, optional
from pipeline.studies.reference.months import CHANNELS, Course, Draws, follow
from pipeline.studies.reference.schemas import FLAG, INTEGER, NUMBER, SMALL, TEXT
from pipeline.studies.reference.settings import INSTITUTION_TYPES, Settings
from pipeline.studies.reference.tables import GRADES
from pipeline.studies.reference.world import World

POTENTIAL_OUTCOMES = pa.schema(
    [
        ("application_id", INTEGER),
        ("loan_id", INTEGER),  # empty where only a lender without the programme would have granted
        ("institution_type", TEXT),
        ("origination_month", SMALL),
        ("credit_grade", TEXT),
        ("granted", FLAG),
        ("granted_without_adoption", FLAG),
        ("after_adoption", FLAG),
        ("enrolled", FLAG),
        ("enrolled_if_lost", FLAG),
        ("enrolled_if_drawn", FLAG),
        ("hidden_creditworthiness", NUMBER),
        ("market_stress", NUMBER),
        ("sharing", NUMBER),
        ("satisfaction", NUMBER),
        ("loyalty", NUMBER),
        ("stress_arrivals", SMALL),
        ("default", FLAG),
        ("default_if_not_enrolled", FLAG),
        ("default_if_enrolled", FLAG),
        ("risk", NUMBER),
        ("risk_if_not_enrolled", NUMBER),
        ("risk_if_enrolled", NUMBER),
        ("risk_one_point_more_satisfied", NUMBER),
        *[(f"risk_{channel}_only", NUMBER) for channel in CHANNELS],
    ]
)
DIRTY_ROWS = pa.schema([("table", TEXT), ("row_id", INTEGER), ("column", TEXT), ("kind", TEXT), ("clean_value", TEXT)])


def replace_rows(course: Course, rows: np.ndarray, other: Course) -> Course:
    """Return `course` with the loans where `rows` is true taken from `other`, which holds only those."""

    def merge(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        merged = a.copy()
        merged[rows] = b
        return merged

    return Course(
        **{field.name: merge(getattr(course, field.name), getattr(other, field.name)) for field in fields(course)}
    )


def take_course(course: Course, rows: np.ndarray) -> Course:
    """Return the loans at `rows`."""
    return Course(**{field.name: getattr(course, field.name)[rows] for field in fields(course)})


def potential_outcomes(
    settings: Settings,
    world: World,
    lender: Institution,
    clients: Clients,
    draws: Draws,
    factual: Course,
    unenrolled: Course,
    enrolled: Course,
    extras: dict[str, np.ndarray],
) -> Table:
    """Return one row per client who gets a loan with or without the programme.

    `clients` and `draws` hold those clients; `enrolled` holds only those after adoption; `extras` are the
    identifiers and grades of the raw tables.
    """
    after = clients.after_adoption

    def everywhere(values: np.ndarray) -> np.ma.MaskedArray:
        whole = np.zeros(len(clients), dtype=values.dtype)
        whole[after] = values
        return optional(whole, after)

    satisfied = follow(settings, world, lender, clients, draws, clients.enrolled, more_satisfaction=1.0)
    rows = np.flatnonzero(clients.enrolled & clients.granted)
    treated, treated_draws = clients.take(rows), draws.take(rows)
    known = np.zeros(len(clients), dtype=bool)
    known[rows] = True
    alone = {}
    for channel in CHANNELS:
        risk = np.zeros(len(clients))
        one = np.ones(len(rows))
        risk[rows] = follow(settings, world, lender, treated, treated_draws, one, (channel,)).risk
        alone[f"risk_{channel}_only"] = optional(np.round(risk, 6), known)
    n = len(clients)
    return {
        **extras,
        "institution_type": Coded(np.zeros(n, dtype=np.int8), (INSTITUTION_TYPES[lender.kind],)),
        "origination_month": clients.month,
        "granted": clients.granted,
        "granted_without_adoption": clients.granted_without,
        "after_adoption": after,
        "enrolled": clients.enrolled,
        "enrolled_if_lost": clients.enrolled_if_lost,
        "enrolled_if_drawn": clients.enrolled_if_drawn,
        "hidden_creditworthiness": np.round(clients.hidden, 3),
        "market_stress": np.round(world.market[clients.month], 3),
        "sharing": np.round(factual.sharing, 4),
        "satisfaction": np.round(factual.satisfaction, 3),
        "loyalty": np.round(factual.loyalty, 3),
        "stress_arrivals": factual.arrivals[:, : settings.horizon_months].sum(axis=1),
        "default": factual.default,
        "default_if_not_enrolled": unenrolled.default,
        "default_if_enrolled": everywhere(enrolled.default),
        "risk": np.round(factual.risk, 6),
        "risk_if_not_enrolled": np.round(unenrolled.risk, 6),
        "risk_if_enrolled": everywhere(np.round(enrolled.risk, 6)),
        "risk_one_point_more_satisfied": np.round(satisfied.risk, 6),
        **alone,
    }


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else 0.0


def _compare(with_: pd.Series, without: pd.Series) -> dict[str, float | int | None]:
    """Return the difference in percentage points, the risk ratio and its logarithm."""
    a, b = _mean(with_), _mean(without)
    ratio = a / b if a and b else None
    return {
        "difference_points": round(100 * (a - b), 6),
        "risk_ratio": None if ratio is None else round(ratio, 6),
        "log_risk_ratio": None if ratio is None else round(float(np.log(ratio)), 6),
        "n": len(with_),
    }


def _treated_effect(rows: pd.DataFrame) -> dict[str, float | int | None]:
    return _compare(rows["risk"], rows["risk_if_not_enrolled"])


def summarise(settings: Settings, outcomes: pd.DataFrame) -> dict[str, object]:
    """Return the true values of what the estimators aim at, from the table of potential outcomes.

    Differences are in percentage points of default within the horizon.
    """
    loans = outcomes[outcomes["granted"]]
    treated = loans[loans["enrolled"]]
    after = loans[loans["after_adoption"]]
    pool = outcomes[outcomes["granted_without_adoption"] & outcomes["after_adoption"]]
    compliers = after[after["enrolled_if_drawn"] & ~after["enrolled_if_lost"]]
    risk, satisfied = _mean(loans["risk"]), _mean(loans["risk_one_point_more_satisfied"])
    odds_ratio = (satisfied / (1 - satisfied)) / (risk / (1 - risk)) if 0 < risk < 1 and satisfied else None
    realised = treated["default"].astype(float) - treated["default_if_not_enrolled"].astype(float)
    error = float(realised.std() / np.sqrt(len(realised))) if len(realised) > 1 else 0.0
    return {
        "settings": asdict(settings),
        "counts": {
            "loans": len(loans),
            "after_adoption": len(after),
            "enrolled": len(treated),
            "compliers": len(compliers),
        },
        "default_percent": {
            "all": round(100 * _mean(loans["default"]), 6),
            **{
                kind: round(100 * _mean(loans.loc[loans["institution_type"] == kind, "default"]), 6)
                for kind in INSTITUTION_TYPES
            },
        },
        "enrolment_on_treated": {
            **_treated_effect(treated),
            "realised": _compare(treated["default"], treated["default_if_not_enrolled"]),
            "realised_difference_std_error_points": round(100 * error, 6),
            "by_institution_type": {
                kind: _treated_effect(treated[treated["institution_type"] == kind]) for kind in INSTITUTION_TYPES
            },
            "by_grade": {grade: _treated_effect(treated[treated["credit_grade"] == grade]) for grade in GRADES},
            "by_market": {
                "calm": _treated_effect(treated[treated["market_stress"] <= 0]),
                "stressed": _treated_effect(treated[treated["market_stress"] > 0]),
            },
            "through_one_channel": {
                channel: _compare(treated[f"risk_{channel}_only"], treated["risk_if_not_enrolled"])
                for channel in CHANNELS
            },
        },
        "enrolment_on_all_after_adoption": _compare(after["risk_if_enrolled"], after["risk_if_not_enrolled"]),
        "enrolment_on_lottery_compliers": _compare(compliers["risk_if_enrolled"], compliers["risk_if_not_enrolled"]),
        "adoption_on_institution_quarters": {
            **_compare(after["risk"], pool["risk_if_not_enrolled"]),
            "screening_alone": _compare(after["risk_if_not_enrolled"], pool["risk_if_not_enrolled"]),
        },
        "satisfaction_one_point": {
            **_compare(loans["risk_one_point_more_satisfied"], loans["risk"]),
            "odds_ratio": None if odds_ratio is None else round(odds_ratio, 6),
        },
        "programme_on_stress_arrival": 0.0,
        "contact_reached_on_default": 0.0,
    }


def dirt_counts(dirty: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return the number of spoilt rows by table and kind (with the column, where one is spoilt)."""
    if dirty.empty:
        return {}
    label = dirty["kind"] + dirty["column"].map(lambda column: f" in {column}" if column else "")
    counts = dirty.groupby([dirty["table"], label]).size()
    return {
        table: {str(kind): int(n) for kind, n in part.droplevel(0).items()} for table, part in counts.groupby(level=0)
    }
