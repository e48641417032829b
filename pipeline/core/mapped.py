"""A reader's own study: what its choices leave blank follows from the roles of the columns that are mapped."""

from __future__ import annotations

from typing import Any

MONEY = ("amount", "income", "assets", "employees")
"""Roles of skewed sums, which enter as logarithms; where a value is not above zero, the column itself stays."""

EXACT = ("credit_grade", "loan_type", "origination_year")
SCORE = ("credit_score", "amount", "term_months")
LOAN = ("credit_grade", "credit_score", "loan_type", "term_months", "amount", "interest_rate", "industry", "region")
MARKET = ("gdp_growth", "inflation", "policy_rate", "unemployment")
GROUPS = ("credit_grade", "loan_type", "region", "industry", "origination_year")
CLUSTERS = ("institution_id", "client_id")
"""Roles by which errors are clustered: the first that is mapped."""
NO_COVARIATES = ("lottery_unit", "lottery_stratum")
"""Names under own.borrower that say how places were drawn."""


def completed(content: dict[str, Any]) -> dict[str, Any]:
    """Return a study's choices with those that are blank filled in from its roles; others' studies as they are.

    `content` is what the study's params.yaml holds. What stands there is kept, an empty list among it.
    """
    own = content.get("own")
    if not isinstance(own, dict):
        return content
    there = {role for section in ("columns", "borrower", "market") for role, column in _of(own, section) if column}
    if "origination_date" in there:
        there |= {"origination_year", "origination_quarter"}
    of_borrower = [role for role, column in _of(own, "borrower") if column and role not in NO_COVARIATES]

    def terms(names: tuple[str, ...] | list[str]) -> list[str]:
        return [f"log({name})" if name in MONEY else name for name in names if name in there]

    blocks = {
        "loan": terms(LOAN),
        "borrower": terms(of_borrower),
        "market": terms(MARKET),
        "time": terms(("origination_quarter",)),
    }
    strata = terms(("lottery_stratum",)) if content.get("design") == "randomised" else []
    groups = terms(GROUPS)
    meant: dict[str, Any] = {
        "factors": [role for role, column in _of(own, "factors") if column],
        "groups": groups,
        "doses": {},
        "moderators": {name: "levels" for name in groups if name in EXACT[:2]},
        "cluster": next((name for name in CLUSTERS if name in there), "loan_id"),
        "matching": {"exact": terms(EXACT), "score": terms(SCORE) + blocks["borrower"] or ["log(amount)"]},
        "controls": blocks | {"strata": strata},
    }
    filled = dict(content)
    for name, value in meant.items():
        given = content.get(name)
        if given is None:
            filled[name] = value
        elif isinstance(given, dict) and name in ("matching", "controls"):
            filled[name] = given | {part: inner for part, inner in value.items() if given.get(part) is None}
    return filled


def _of(own: dict[str, Any], section: str) -> list[tuple[str, Any]]:
    found = own.get(section)
    return list(found.items()) if isinstance(found, dict) else []
