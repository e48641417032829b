"""The chapter on mechanisms: screening or behaviour, what the programme moves, satisfaction, loyalty, and a trap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, fixed, whole
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "mechanism"

WAYS = ("composition", "composition_and_assessment", "lot")
"""How screening is told from behaviour."""

FIRST_STAGES = (
    ("first_stage", "communication_frequency"),
    ("first_stage", "information_sharing"),
    ("first_stage", "satisfaction"),
    ("first_stage", "early_warning"),
    ("first_stage", "review_sentiment"),
    ("answers", "days_to_answer"),
    ("loyalty", "next_loan"),
    ("loyalty", "left_lender"),
    ("first_stage", "relationship_length"),
)
"""Rows of the table of what the programme moves."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    yield f"## {page.text('headings.mechanism')}"
    shares = {way: _row(results, "screening", way, "share_of_screening") for way in WAYS}
    if shares["composition"] is not None:
        parts = {way: _row(results, "screening", way, "screening") for way in WAYS}
        total = _row(results, "screening", "composition", "total")
        drift = _row(results, "screening", "lenders_that_never_adopt", "drift")
        yield page.text("mechanism.screening", shares=shares, parts=parts, total=total, drift=drift)
    covariates = _row(results, "mediation", "covariates", "indirect")
    interval = _row(results, "mediation", "sensitivity_interval", "indirect")
    if covariates is not None and interval is not None:
        yield page.text(
            "mechanism.satisfaction",
            tolerated=interval.note.partition(" up to ")[2].split()[0],
            indirect=covariates,
            total=_row(results, "mediation", "covariates", "total"),
            between=_row(results, "mediation", "covariates", "indirect_nothing_between"),
            rho=_row(results, "mediation", "explained_away", "correlation"),
            interval=interval,
            instruments=_row(results, "mediation", "instruments", "indirect"),
        )
    if drawings(results, words, page.scope):
        yield page.show_figure("mechanism", STAGE, share=shares["composition"])
    records = {
        name: next(results.where(stage=STAGE, estimator="loyalty_records", specification=name).itertuples(), None)
        for name in ("default", "no_default", "clients_with_several_loans")
    }
    if records["default"] is not None:
        rows = results.where(stage=STAGE, estimator="loyalty")
        found = {f"{row.outcome}_{row.specification}": row for row in rows.itertuples()}
        yield page.text("mechanism.loyalty", records=records, found=found)
    after = _row(results, "satisfaction_after_adoption", "weighted", "mean_difference")
    rows = results.where(stage=STAGE, estimator="feedback")
    ring = {f"{row.factor}_{row.outcome}": row for row in rows[rows["estimate"].notna()].itertuples()}
    if after is not None or ring:
        yield page.text("mechanism.lenders", after=after, ring=ring)
    body = first_stages(results, words)
    if body:
        yield page.text("mechanism.first_stages")
        yield page.show_table("first_stages", body, STAGE)
    answers = {
        name: next(results.where(stage=STAGE, estimator="answers", outcome=name).itertuples(), None)
        for name in ("days_to_answer", "arrears_after", "default_after")
    }
    reached = next(
        results.where(stage=STAGE, estimator="reached", factor="reached_share").itertuples(),
        None,
    )
    if answers["days_to_answer"] is not None:
        yield page.text("mechanism.answers", reached=reached, **answers)
    trap = next(results.where(stage="effects", estimator="over_control").itertuples(), None)
    plain = next(results.where(stage="effects", estimator="linear_probability").itertuples(), None)
    if trap is not None and plain is not None:
        yield page.text("mechanism.trap", trap=trap, plain=plain)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of screening's share and of satisfaction's sensitivity."""
    there = _row(results, "screening", "composition", "share_of_screening")
    return {"mechanism": (mechanism,)} if there is not None else {}


def mechanism(results: Results, words: Words) -> Figure:
    """Screening's share of the effect by method (left); the effect through satisfaction by hidden causes (right)."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures
    from pipeline.present.intervals import folded

    rows = results.where(stage=STAGE, estimator="mediation", estimand="indirect")
    curve = rows[rows["specification"].str.startswith("correlation_")]
    figure, panels = plt.subplots(
        1, 2 if len(curve) else 1, figsize=(figures.WIDTH, 2.6), layout="constrained", squeeze=False
    )
    left = panels[0, 0]
    known = [(way, _row(results, "screening", way, "share_of_screening")) for way in WAYS]
    known = [(way, row) for way, row in known if row is not None]
    for place, (_, row) in enumerate(known):
        left.plot([row.ci_low, row.ci_high], [place, place], color=figures.TREATED, linewidth=1.5)
        left.plot(row.estimate, place, "o", color=figures.TREATED, markersize=5)
    left.axvline(0.5, color="black", linestyle="--", linewidth=1)
    left.axvline(0, color=figures.QUIET, linestyle=":", linewidth=1)
    left.set_yticks(range(len(known)), [folded(words.label("screening", way), 16) for way, _ in known])
    left.set_ylim(len(known) - 0.5, -0.5)
    left.set_xlabel(words.text("columns.share_of_screening"))
    left.set_title(words.text("columns.screening_title"), loc="left")
    left.grid(visible=False, axis="y")
    if len(curve):
        right = panels[0, 1]
        rho = curve["specification"].str.removeprefix("correlation_").astype(float)
        curve = curve.assign(rho=rho).sort_values("rho")
        right.plot(curve["rho"], curve["estimate"], color=figures.TREATED, linewidth=1.6)
        right.fill_between(
            curve["rho"], curve["ci_low"], curve["ci_high"], color=figures.TREATED, alpha=0.2, linewidth=0
        )
        right.axhline(0, color="black", linewidth=1)
        right.axvline(0, color=figures.QUIET, linestyle=":", linewidth=1)
        right.set_xlabel(words.text("columns.hidden_correlation"))
        right.set_ylabel(words.text("columns.indirect_effect"))
        right.set_title(words.text("columns.satisfaction_title"), loc="left")
    return figure


def first_stages(results: Results, words: Words) -> str:
    """Lay out what the programme moves, with controls and by the lot, standard errors in parentheses."""
    body = []
    for estimator, outcome in FIRST_STAGES:
        cells, counts = [], []
        for specification in ("controls", "lottery"):
            row = results.first(
                stage=STAGE, estimator=estimator, specification=specification, factor="treated", outcome=outcome
            )
            cells.append(MISSING if row is None else f"{fixed(row.estimate, 3)} ({fixed(row.std_error, 3)})")
            counts.append(MISSING if row is None else whole(row.n))
        if cells != [MISSING, MISSING]:
            label = words.known("moved", outcome) or words.label("columns", outcome)
            body.append([label, cells[0], counts[0], cells[1], counts[1]])
    if not body:
        return ""
    header = ["moved", "with_controls", "loans", "by_lot", "loans"]
    return markdown([words.text(f"columns.{name}") for name in header], body)


def _row(results: Results, estimator: str, specification: str, estimand: str) -> Any:
    return results.first(stage=STAGE, estimator=estimator, specification=specification, estimand=estimand)
