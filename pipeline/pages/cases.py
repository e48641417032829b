"""Cases as people read them: two loans side by side, month by month; a lender quarter by quarter; the line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pipeline.core.results import Results
from pipeline.present.numerals import MISSING, fixed, percent, whole

ARMS = ("treated", "control")
PAIRS = ("with_claim", "against_claim", "both_repaid", "both_defaulted")
LENDERS = ("on_line", "above_line", "below_line")

DECIMALS = {
    "debt_to_income": 2,
    "information_sharing": 2,
    "relationship_length": 1,
    "communication_frequency": 2,
}
"""Decimals of what is not counted in whole numbers."""

Word = Callable[..., Any]


class Month(NamedTuple):
    """A month of a loan."""

    state: str
    """on_time, arrears, default, or ended when the loan was over before."""
    alert: bool
    contacts: float
    """By the lender unasked, and because of arrears; NaN where the lender keeps no log."""


def pairs(results: Results, word: Word) -> Iterator[dict[str, Any]]:
    """Yield each pair's case: how it was chosen, the loans as they began, and their months."""
    facts = results.where(stage="cases", estimator="loan")
    for case in PAIRS:
        chosen = results.where(stage="cases", estimator="selection", specification=case)
        if chosen.empty:
            continue
        count = chosen[chosen["factor"] == "candidates"].iloc[0]
        mine = {arm: facts[facts["specification"] == f"{case}[{arm}]"].set_index("factor") for arm in ARMS}
        columns = [name for name in word("cases", "columns") if name in mine["treated"].index]
        yield {
            "case": case,
            "candidates": whole(count["estimate"]),
            "of": whole(count["n"]),
            "facts": [
                {"column": name, "values": [_value(name, mine[arm].loc[name], word) for arm in ARMS]}
                for name in columns
            ],
            "months": list(runs([months(results, f"{case}[{arm}]") for arm in ARMS])),
        }


def _value(name: str, row: Any, word: Word) -> str:
    if row["note"]:
        return word("cases", "levels").get(row["note"], row["note"])
    if math.isnan(row["estimate"]):
        return MISSING
    return fixed(row["estimate"], DECIMALS[name]) if name in DECIMALS else whole(row["estimate"])


def months(results: Results, loan: str) -> dict[int, Month]:
    """Return the months of a loan by number."""
    rows = results.where(stage="cases", estimator="loan_month", specification=loan)
    found = {}
    for factor, group in rows.groupby("factor"):
        value = group.set_index("estimand")["estimate"]
        state = "default" if value["default"] == 1 else "arrears" if value["delinquent"] == 1 else "on_time"
        number = int(factor.removeprefix("month[").removesuffix("]"))
        found[number] = Month(
            state, bool(value["alert"] == 1), value["proactive_contacts"] + value["reactive_contacts"]
        )
    return found


def runs(loans: list[dict[int, Month]]) -> Iterator[dict[str, Any]]:
    """Yield stretches of months in which nothing changes for any loan, with the contacts of each loan added up."""
    over = Month("ended", False, math.nan)
    last = max((number for loan in loans for number in loan), default=0)
    start, added = 1, [0.0] * len(loans)
    for number in range(1, last + 1):
        now = [loan.get(number, over) for loan in loans]
        after = [loan.get(number + 1, over) for loan in loans]
        added = [total + month.contacts for total, month in zip(added, now, strict=True)]
        if number == last or [month[:2] for month in now] != [month[:2] for month in after]:
            yield {
                "first": start,
                "last": number,
                "loans": [
                    {
                        "state": month.state,
                        "alert": month.alert,
                        "contacts": None if math.isnan(total) else int(total),
                    }
                    for month, total in zip(now, added, strict=True)
                ],
            }
            start, added = number + 1, [0.0] * len(loans)


def lenders(results: Results, word: Word) -> Iterator[dict[str, Any]]:
    """Yield each lender's case: how it was chosen, what it is, and its quarters."""
    for case in LENDERS:
        facts = results.where(stage="cases", estimator="lender_case", specification=case)
        if facts.empty:
            continue
        facts = facts.set_index("factor")
        chosen = results.where(stage="cases", estimator="selection", specification=case).set_index("factor")
        started = facts.at["adoption_month", "note"]
        rows = results.where(stage="cases", estimator="lender_quarter", specification=case)
        quarters = []
        for factor, group in rows.groupby("factor"):
            value = group.set_index("estimand")
            name = factor.removeprefix("quarter[").removesuffix("]")
            quarters.append(
                {
                    "quarter": word("cases", "quarter_of").format(year=name[:4], quarter=name[-1]),
                    "loans": whole(value.at["default", "n"]),
                    "starts": bool(started) and name == _quarter(started),
                    "default": percent(value.at["default", "estimate"]),
                    "default_bar": fixed(value.at["default", "estimate"], 1),
                    "enrolled": percent(value.at["enrolled", "estimate"]),
                    "enrolled_bar": fixed(value.at["enrolled", "estimate"], 1),
                }
            )
        yield {
            "case": case,
            "lender": facts.at["institution_id", "note"],
            "kind": word("cases", "levels")[facts.at["institution_type", "note"]],
            "started": started,
            "default": percent(facts.at["default", "estimate"]),
            "fitted": percent(facts.at["fitted", "estimate"]),
            "enrolled": percent(facts.at["enrolled", "estimate"]),
            "residual": fixed(chosen.at["residual", "estimate"], 1),
            "of": whole(chosen.at["candidates", "estimate"]),
            "quarters": quarters,
        }


WIDTH, HEIGHT, MARGIN = 320, 220, 46
"""Size of a panel of the scatter, and what is kept for its axes, in the picture's own units."""


def scatter(results: Results, word: Word) -> list[dict[str, Any]]:
    """Return a panel for each kind of lender: its lenders as points, the line, and which of them are cases."""
    rows = results.where(stage="cases", estimator="lender")
    if rows.empty:
        return []
    table = rows.pivot_table(index=["note", "specification"], columns="factor", values="estimate").reset_index()
    cases = results.where(stage="cases", estimator="lender_case", factor="institution_id")
    chosen = dict(zip(cases["note"], cases["specification"], strict=True))
    right = table["enrolled"].max()
    panels = []
    for kind, lenders in table.groupby("note", sort=True):
        top = max(lenders["default"].max(), lenders["fitted"].max())

        def at(enrolled: float, default: float, top: float = top) -> dict[str, str]:
            x = MARGIN + (WIDTH - 2 * MARGIN) * enrolled / right
            y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * default / top
            return {"x": f"{x:.1f}", "y": f"{y:.1f}"}

        ordered = lenders.sort_values(["enrolled", "specification"])
        ends = [at(row.enrolled, row.fitted) for row in (ordered.iloc[0], ordered.iloc[-1])]
        points = [
            at(row.enrolled, row.default) | {"lender": row.specification, "case": chosen.get(row.specification)}
            for row in ordered.itertuples()
        ]
        panels.append(
            {
                "kind": word("cases", "levels")[kind],
                "points": points,
                "line": ends,
                "right": percent(right),
                "top": percent(top),
                "width": WIDTH,
                "height": HEIGHT,
                "margin": MARGIN,
            }
        )
    return panels


def _quarter(month: str) -> str:
    year, number = month.split("-")
    return f"{year}Q{(int(number) + 2) // 3}"
