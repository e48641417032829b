"""The chapter on whom to treat: what rules are worth by the data alone, and what they are worth in truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, percent, with_interval
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "policy"
RULES = (
    "all",
    "low_tier",
    "middle_tier",
    "high_tier",
    "middle_and_high_tiers",
    "predicted_risk_budget",
    "predicted_loss_budget",
    "predicted_benefit_budget",
    "predicted_benefit",
    "true_benefit",
)
ORACLE = "true_benefit"
"""The rule that no lender could follow."""
TIERS = ("low", "middle", "high")


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    true = _values(results, "in_truth")
    if true.empty:
        return
    feasible = true[true["specification"] != ORACLE]
    estimated = _values(results, "estimated")

    def named(rows: pd.DataFrame) -> tuple[str, Any]:
        row = next(rows.loc[[rows["estimate"].idxmax()]].itertuples())
        return words.label("policy_rules", row.specification), row

    def of_all(factor: str) -> Any:
        return _one(results, "rule", "all", "net_value", factor)

    best = named(feasible)
    yield f"## {page.text('headings.policy')}"
    choice = page.params.policy
    costs = {"cost": choice.contact_cost, "loss": 100 * page.params.loss_share}
    yield page.text(
        "policy.rules",
        **costs,
        best=best,
        everybody=of_all("in_truth"),
        better=_one(results, "rule", best[1].specification, "net_value_less_all", "in_truth"),
        learned=_one(results, "rule", "predicted_benefit", "net_value_less_all", "in_truth"),
        oracle=_one(results, "rule", ORACLE, "net_value", "in_truth"),
    )
    yield page.show_figure("policy_curves", STAGE, top=_top(results, words))
    yield page.show_table("policy_rules", rules(results, words), STAGE, budget=100 * choice.budget, **costs)
    seen = named(estimated)
    yield page.text(
        "policy.estimates",
        seen=seen,
        same=seen[1].specification == best[1].specification,
        estimated=of_all("estimated"),
        truth=of_all("in_truth"),
        off=of_all("estimated_less_true"),
        ranks=_agreement(estimated, feasible),
        points={
            name: _one(results, "rule", "all", "defaults_avoided", name) for name in ("estimated", "in_truth", "by_lot")
        },
        number=len(feasible),
        learned=_one(results, "rule", "predicted_benefit", "net_value_less_all", "estimated"),
    )
    tiers = [(page.words.label("policy_tiers", name), _tier(results, name)) for name in TIERS if _tier(results, name)]
    if tiers:
        yield page.text("policy.tiers", tiers=tiers, middle=100 * choice.middle_tier, high=100 * choice.high_tier)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the curves, where there are any."""
    return {"policy_curves": (curves,)} if not results.where(stage=STAGE, estimator="curve").empty else {}


def curves(results: Results, words: Words) -> Figure:
    """Gain and defaults avoided by share of clients treated: estimated (dashed) and true."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, panels = plt.subplots(1, 2, figsize=(figures.WIDTH, 3.2), layout="constrained")
    orders = (("by_true_benefit", figures.QUIET, "^"), ("by_benefit", figures.TREATED, "o"))
    orders += (("by_risk", figures.CONTROL, "s"), ("by_loss", figures.OTHER, "D"))
    for axes, estimand in zip(panels, ("net_value", "defaults_avoided"), strict=True):
        for order, colour, marker in orders:
            for source, line in (("estimated", "--"), ("in_truth", "-")):
                rows = results.where(stage=STAGE, estimator="curve", specification=order, estimand=estimand)
                rows = rows[rows["factor"].str.startswith(f"{source}[")]
                if rows.empty:
                    continue
                at = 100 * rows["factor"].str.extract(r"\[(.*)\]")[0].astype(float)
                table = pd.Series(rows["estimate"].to_numpy(), at).sort_index()
                table = pd.concat([pd.Series([0.0], [0.0]), table])
                label = words.pair(words.label("policy_orders", order), words.label("policy_sources", source))
                style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.2}
                axes.plot(table.index, table, line, label=label, **style)
        axes.set_xlabel(words.text("columns.policy_share_treated"))
        axes.set_ylabel(words.text(f"columns.policy_{estimand}"))
        axes.axhline(0, color="black", linewidth=0.8)
    figures.keys(figure, panels[0])
    return figure


def rules(results: Results, words: Words) -> str:
    """Lay out every rule: share treated, defaults avoided and gain, by the data alone and in truth."""
    body = []
    for name in RULES:
        share = _one(results, "rule", name, "share_treated", "")
        if share is None:
            continue
        cells = [words.label("policy_rules", name), percent(share.estimate)]
        for estimand, decimals in (("defaults_avoided", 2), ("net_value", 0)):
            for source in ("estimated", "in_truth"):
                row = _one(results, "rule", name, estimand, source)
                cells.append(MISSING if row is None else with_interval(row, decimals))
        body.append(cells)
    names = ("rule", "treated_share", "avoided_estimated", "avoided_true", "gain_estimated", "gain_true")
    return markdown([words.text(f"columns.policy_{name}") for name in names], body)


def _top(results: Results, words: Words) -> dict[str, Any]:
    """Return the share of clients at which the true gain of a rule that a lender could follow is largest."""
    rows = results.where(stage=STAGE, estimator="curve", estimand="net_value")
    rows = rows[rows["factor"].str.startswith("in_truth[") & (rows["specification"] != "by_true_benefit")]
    best = rows.loc[rows["estimate"].idxmax()]
    share = 100 * float(best["factor"].split("[")[1].rstrip("]"))
    order = words.label("policy_orders", best["specification"])
    return {"share": share, "order": lower_first(order), "gain": best["estimate"]}


def _values(results: Results, factor: str) -> pd.DataFrame:
    rows = results.where(stage=STAGE, estimator="rule", estimand="net_value", factor=factor)
    return rows[rows["estimate"].notna()]


def _one(results: Results, estimator: str, specification: str, estimand: str, factor: str) -> Any:
    return results.first(
        stage=STAGE, estimator=estimator, specification=specification, estimand=estimand, factor=factor
    )


def _tier(results: Results, name: str) -> dict[str, Any] | None:
    found = {
        "estimated": _one(results, "tier", name, "risk_difference", "estimated"),
        "truth": _one(results, "tier", name, "risk_difference", "in_truth"),
        "gain": _one(results, "tier", name, "net_value", "in_truth"),
        "contacts": _one(results, "tier", name, "risk_difference", "contacts_alone"),
    }
    return None if any(row is None for row in found.values()) else found


def _agreement(estimated: pd.DataFrame, true: pd.DataFrame) -> float:
    """Return the rank correlation of the rules' estimated and true gains."""
    both = estimated.set_index("specification")["estimate"].to_frame("estimated")
    both["true"] = true.set_index("specification")["estimate"]
    ranks = both.dropna().rank()
    return float(ranks.corr().iloc[0, 1])
