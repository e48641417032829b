"""The chapter on time: when loans default and are repaid, by arm, and contacts before and after arrears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, fixed, p_value, whole
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "time"

KINDS = ("proactive_contacts", "reactive_contacts")
"""Contacts by who began them: the lender of its own accord, or arrears."""

WHEN = ("before_3", "before_2", "before_1", "same_month", "after_1")

TABLE = (
    ("hazard", "controls", "treated", "default"),
    ("hazard", "controls", "treated", "repaid"),
    ("lagged_hazard", "clean_history", "treated", "arrears"),
    ("arrears_end_in_default", "controls", "treated", "default"),
    ("lagged_hazard", "clean_history", "proactive_contacts_before_1", "arrears"),
    ("lagged_hazard", "clean_history", "proactive_contacts_before_2", "arrears"),
    ("lagged_hazard", "clean_history", "proactive_contacts_before_3", "arrears"),
    ("lagged_hazard", "clean_history", "proactive_contacts_before", "arrears"),
    ("marginal_structural", "unweighted", "proactive_contacts", "arrears"),
    ("marginal_structural", "weighted", "proactive_contacts", "arrears"),
    ("marginal_structural", "unweighted", "proactive_contacts", "default"),
    ("marginal_structural", "weighted", "proactive_contacts", "default"),
    ("hazard", "controls", "relationship_length", "default"),
    ("market", "clean_history", "gdp_growth", "arrears"),
    ("market", "clean_history", "unemployment", "arrears"),
    ("market_interaction", "gdp_growth", "proactive_contacts", "arrears"),
    ("market_interaction", "gdp_growth", "relationship_length", "arrears"),
    ("market_interaction", "gdp_growth", "small_firm", "arrears"),
)
"""Rows of the table of hazards, all in log odds ratios."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results = page.results
    yield f"## {page.text('headings.time')}"
    curves = results.where(stage=STAGE, estimator="cumulative_incidence", outcome="default")
    if len(curves):
        found = _of_curves(results)
        yield page.text("time.curves", alpha=1 - page.params.inference.level, **found)
        ends = {name: found[name] for name in ("months", "treated", "control", "everyone", "difference")}
        yield page.show_figure("survival", STAGE, repaid=found["dated"], **ends)
    hazard = _row(results, "hazard", "controls", "treated", "default")
    if hazard is not None:
        yield page.text(
            "time.hazards",
            hazard=hazard,
            repaid=_row(results, "hazard", "controls", "treated", "repaid"),
            ends=_row(results, "arrears_end_in_default", "controls", "treated", "default"),
            proportional=_assumption(results, "proportional_hazards"),
            exp=np.exp,
        )
    if (contacts := _contacts(results)) is not None:
        yield page.text("time.contacts", **contacts)
        yield page.show_figure("contacts_over_time", STAGE, **contacts)
    weighted = _row(results, "marginal_structural", "weighted", "proactive_contacts", "arrears")
    if weighted is not None:
        yield page.text(
            "time.structural",
            weighted=weighted,
            unweighted=_row(results, "marginal_structural", "unweighted", "proactive_contacts", "arrears"),
            lags=_row(results, "lagged_hazard", "clean_history", "proactive_contacts_before", "arrears"),
            mean=_assumption(results, "contact_weights_mean"),
            largest=_assumption(results, "contact_weights_largest"),
        )
    growth = _row(results, "market", "clean_history", "gdp_growth", "arrears")
    if growth is not None:
        names = ("proactive_contacts", "relationship_length", "small_firm")
        rows = [(name, _row(results, "market_interaction", "gdp_growth", name, "arrears")) for name in names]
        known = [(page.words.label("time_factors", name), row) for name, row in rows if row is not None]
        yield page.text(
            "time.market",
            growth=growth,
            clear=[name for name, row in known if row.ci_low > 0 or row.ci_high < 0],
            unclear=[name for name, row in known if row.ci_low <= 0 <= row.ci_high],
        )
    if hazard is not None:
        yield page.show_table("hazards", hazards(results, page.words), STAGE)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the curves, and contacts before and after arrears where they are recorded."""
    found: dict[str, tuple[Any, ...]] = {}
    if len(results.where(stage=STAGE, estimator="cumulative_incidence", outcome="default")):
        found["survival"] = (survival,)
    if _contacts(results) is not None:
        found["contacts_over_time"] = (contacts_over_time,)
    return found


def survival(results: Results, words: Words) -> Figure:
    """Cumulative incidence of default, and of early repayment where it is dated, by arm, with loans at risk."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    rows = results.where(stage=STAGE, estimator="cumulative_incidence", specification=["treated", "control", "all"])
    rows = rows.assign(month=_month(rows))
    ways = [way for way in ("default", "repaid") if way in set(rows["outcome"])]
    arms = [arm for arm in ("treated", "control", "all") if arm in set(rows["specification"])]
    figure, panels = plt.subplots(
        2,
        len(ways),
        figsize=(figures.WIDTH, 3.0 + 0.3 * len(arms)),
        height_ratios=[1, 0.16 * len(arms) + 0.04],
        layout="constrained",
        squeeze=False,
        sharex=True,
    )
    colours = {"treated": figures.TREATED, "control": figures.CONTROL, "all": figures.QUIET}
    lines = {"treated": "-", "control": "--", "all": "-"}
    risk = results.where(stage=STAGE, estimator="at_risk")
    risk = risk.assign(month=_month(risk))
    every = sorted(risk["month"].unique())
    # The counts of four moments fit below one of two panels.
    moments = every[:: -(-len(every) // (8 // len(ways)))]
    for place, way in enumerate(ways):
        axes: Axes = panels[0, place]
        for arm in arms:
            one = rows[(rows["outcome"] == way) & (rows["specification"] == arm)].sort_values("month")
            month, colour = np.append(0, one["month"]), colours[arm]
            label = words.known("arms", arm) or words.text("columns.loans")
            axes.step(month, np.append(0, one["estimate"]), lines[arm], where="post", color=colour, label=label)
            low, high = (np.append(0, one[end]) for end in ("ci_low", "ci_high"))
            axes.fill_between(month, np.maximum(low, 0), high, step="post", color=colour, alpha=0.15, linewidth=0)
        axes.set_title(words.label("ways_out", way), loc="left")
        axes.set_ylim(bottom=0)
        axes.set_xticks(moments)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(words.text("columns.months_since_origination"))
        below = panels[1, place]
        below.set_axis_off()
        for line, arm in enumerate(arms):
            one = risk[(risk["specification"] == arm) & risk["month"].isin(moments)].sort_values("month")
            for month, count in zip(one["month"], one["estimate"], strict=True):
                # The first number begins where the axis does.
                side = "left" if month == 0 else "right" if month == moments[-1] else "center"
                below.text(month, -2 * line, whole(count), color=colours[arm], ha=side, va="center", fontsize=8)
            name = words.known("arms", arm) or words.text("columns.loans")
            below.text(0, 1 - 2 * line, words.pair(words.text("columns.at_risk"), name), va="center", fontsize=8)
        below.set_ylim(1.4 - 2 * len(arms), 1.6)
    panels[0, 0].set_ylabel(words.text("columns.share_that_left"))
    figures.keys(figure, panels[0, 0])
    return figure


def contacts_over_time(results: Results, words: Words) -> Figure:
    """Contacts of the months before, the same and the next, as they go with arrears, by who began them."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, panels = plt.subplots(1, 2, figsize=(figures.WIDTH, 3.0), layout="constrained", sharex=True)
    styles = {
        "all_months": (figures.CONTROL, "s", -0.1),
        "clean_history": (figures.TREATED, "o", 0.1),
    }
    for axes, kind in zip(panels, KINDS, strict=True):
        for specification, (colour, marker, shift) in styles.items():
            names = [f"{kind}_{when}" for when in WHEN]
            rows = results.where(stage=STAGE, estimator="contacts", specification=specification, factor=names)
            rows = rows[rows["ci_low"].notna()]
            places = np.array([names.index(name) for name in rows["factor"]]) + shift
            ends = np.abs(rows[["ci_low", "ci_high"]].to_numpy(dtype=float).T - rows["estimate"].to_numpy(dtype=float))
            axes.errorbar(
                places,
                rows["estimate"],
                yerr=ends,
                fmt=marker,
                color=colour,
                capsize=2.5,
                markersize=4.5,
                linewidth=1.3,
                label=words.label("risk_sets", specification),
            )
        axes.axhline(0, color="black", linewidth=1)
        axes.set_xticks(range(len(WHEN)), [words.label("when", when) for when in WHEN])
        axes.set_title(words.label("time_factors", kind), loc="left")
        axes.grid(visible=False, axis="x")
    panels[0].set_ylabel(words.text("columns.points_of_arrears"))
    figures.keys(figure, panels[1])
    return figure


def hazards(results: Results, words: Words) -> str:
    """Log odds ratios in a month, with standard errors, p-values and loan-months."""
    body = []
    for names in TABLE:
        row = _row(results, *names)
        if row is None:
            continue
        estimator, specification, factor, outcome = names
        cells = [
            words.label("time_factors", factor),
            words.label("hazards", f"{estimator}_{specification}"),
            words.label("ways_out", outcome),
            fixed(row.estimate, 3),
            fixed(row.std_error, 3),
            p_value(row.p_value),
            whole(row.n) if not pd.isna(row.n) else MISSING,
        ]
        body.append(cells)
    header = ["factor", "hazard_model", "hazard_event", "log_odds_ratio", "hazard_std_error", "p", "loan_months"]
    return markdown([words.text(f"columns.{name}") for name in header], body)


def _row(results: Results, estimator: str, specification: str, factor: str, outcome: str) -> Any:
    return results.first(stage=STAGE, estimator=estimator, specification=specification, factor=factor, outcome=outcome)


def _assumption(results: Results, name: str) -> Any:
    return next(iter(results.each(stage=STAGE, estimator="assumption", specification=name)), None)


def _month(rows: pd.DataFrame) -> pd.Series:
    return rows["estimand"].str.removeprefix("month_").astype(int)


def _repaid(results: Results) -> bool:
    return len(results.where(stage=STAGE, estimator="cumulative_incidence", outcome="repaid")) > 0


def _of_curves(results: Results) -> dict[str, Any]:
    """Return the ends of the curves, the arms' difference there, and the log-rank tests."""
    rows = results.where(stage=STAGE, estimator="cumulative_incidence", outcome="default")
    rows = rows.assign(month=_month(rows))
    last = rows[rows["month"] == rows["month"].max()]
    of = {(row.factor, row.specification): row for row in last.itertuples()}
    tests = results.where(stage=STAGE, estimator="log_rank", outcome="default", estimand="clustered")
    plain = results.where(stage=STAGE, estimator="log_rank", outcome="default", estimand="loans_independent")
    repaid = results.where(stage=STAGE, estimator="cumulative_incidence", outcome="repaid", specification="difference")
    repaid = repaid[(repaid["factor"] == "treated")].assign(month=_month)
    return {
        "months": int(rows["month"].max()),
        "treated": of.get(("treated", "treated")),
        "control": of.get(("treated", "control")),
        "everyone": of.get(("treated", "all")),
        "difference": of.get(("treated", "difference")),
        "lot": of.get(("programme_lot", "difference")),
        "repaid": next(repaid.sort_values("month").tail(1).itertuples(), None),
        "tests": {row.specification: row for row in tests.itertuples()},
        "plain": {row.specification: row for row in plain.itertuples()},
        "dated": _repaid(results),
        "undated": _undated(results),
    }


def _undated(results: Results) -> int:
    """Return how many loans of the cohort the curves cannot follow, because their default carries no date."""
    cohort = results.first(estimator="default_rate", factor="all", specification="before_00")
    followed = results.where(stage=STAGE, estimator="at_risk", estimand="month_000", factor="treated")["estimate"].sum()
    return 0 if cohort is None else int(cohort.n - followed)


def _contacts(results: Results) -> dict[str, Any] | None:
    """Return what the words say on contacts before and after arrears, or nothing."""
    rows = results.where(stage=STAGE, estimator="contacts")
    rows = rows[rows["estimate"].notna()]
    found = {(row.specification, row.factor): row for row in rows.itertuples()}
    after = {
        row.outcome: row for row in results.each(stage=STAGE, estimator="contacts_after_arrears", factor="arrears")
    }
    wanted = {
        "reactive_before": found.get(("all_months", "reactive_contacts_before_1")),
        "reactive_after": found.get(("all_months", "reactive_contacts_after_1")),
        "proactive_before": found.get(("clean_history", "proactive_contacts_before_1")),
        "proactive_after": found.get(("clean_history", "proactive_contacts_after_1")),
        "proactive_next": after.get("proactive_contacts_after_1"),
        "reactive_next": after.get("reactive_contacts_after_1"),
    }
    return None if any(row is None for row in wanted.values()) else wanted
