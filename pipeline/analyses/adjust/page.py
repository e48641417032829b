"""The chapter on adjustment: one contrast by every method, what chance does to it, what hidden confounding could."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.core.protocol import rungs_of
from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import p_value, percent, with_interval
from pipeline.present.page import Page, strata_apart
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "adjust"

OF_MODELS = (
    ("inverse_probability", "matching"),
    ("entropy_balancing", "matching"),
    ("doubly_robust", "matching"),
    ("doubly_robust", "controls"),
    ("double_machine_learning", "matching"),
    ("double_machine_learning", "controls"),
)
"""Estimates of this stage that the figure shows, after those of the stage regress."""


class Shown(NamedTuple):
    """One line of the forest."""

    name: str
    row: Any
    kind: str
    """regression, design or model, which give the colour."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    shown = lines(results, page.scope)
    if not any(one.kind == "model" for one in shown):
        return
    yield f"## {page.text('headings.adjust')}"
    robust = _first(results, estimator="doubly_robust", specification="controls") is not None
    apart = strata_apart(page.scope.protocol)
    yield page.text("adjust.all", apart=apart, robust=robust, **_agreement(shown, words))
    yield page.show_figure("adjust", STAGE, **_agreement(shown, words))
    on_pairs = _first(results, regress=True, specification="M6")
    if on_pairs is not None:
        ways = (("two_way", "clustered two ways"), ("pair", "clustered by pair"), ("cluster", "clustered by"))
        yield page.text(
            "adjust.pairs",
            way=next(name for name, said in ways if said in on_pairs.note),
            error=on_pairs.std_error,
            tied=_first(results, estimator="assumption", specification="tied_controls"),
            renumbering=_first(results, estimator="renumbering"),
        )
    best = _best(results)
    if best is not None:
        ratio = _first(results, estimator=best.estimator, specification=best.specification, unit="ratio")
        left_out = int(best.note.split("; ")[1].split()[0])
        yield page.text("adjust.best", best=best, ratio=ratio, left_out=left_out, method=_method(best, words))
    placebo = results.where(stage=STAGE, estimator="placebo_outcome")
    placebo = placebo[placebo["p_value"].notna()]
    if len(placebo):
        pairs = [(_column(words, row.outcome), row) for row in placebo.itertuples()]
        alpha = 1 - page.params.inference.level
        yield page.text(
            "adjust.placebo",
            moved=[one for one in pairs if one[1].p_adjusted < alpha],
            still=[one for one in pairs if one[1].p_adjusted >= alpha],
        )
    yield from _permuted(page)
    body = hidden(results, words)
    if body:
        yield page.text("adjust.hidden", **_hidden(results))
        yield page.show_table("hidden", body, STAGE)


def _permuted(page: Page) -> Iterator[str]:
    """Yield what permuting the treatment says of the headline's test."""
    results = page.results
    rejection = _first(results, estimator="permuted_treatment", estimand="rejection_rate")
    if rejection is not None:
        real, centre, spread = (
            _first(results, estimator="permuted_treatment", estimand=name)
            for name in ("t_statistic", "centre", "spread")
        )
        lots = "strata of lots" in rejection.note
        permutations = int(rejection.note.split(" of ")[1].split()[0])
        nominal = 1 - page.params.inference.level
        yield page.text(
            "adjust.permuted",
            rejection=rejection,
            real=real,
            lots=lots,
            clusters="whole clusters" in rejection.note,
            permutations=permutations,
            nominal=nominal,
            inside=rejection.ci_low <= nominal <= rejection.ci_high,
            centre=centre,
            spread=spread,
            off_centre=centre is not None and not centre.ci_low <= 0 <= centre.ci_high,
            too_wide=spread is not None and spread.ci_low > 1,
            headline=_first(results, regress=True, specification=list(rungs_of(page.scope.protocol))[-1]),
        )


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the forest, where any model gave an estimate."""
    shown = lines(results, scope)
    return {"adjust": (forest, scope)} if any(one.kind == "model" for one in shown) else {}


def lines(results: Results, scope: Scope) -> list[Shown]:
    """Return the lines of the forest from the top: regressions, the matching design, weights and models."""
    found = []
    rungs = [*rungs_of(scope.protocol)]
    last = [rungs[-1]] if len(rungs) > 1 else []
    for kind, names in (("regression", ["M1", *last]), ("design", ["M6", "M7"])):
        for name in names:
            row = _first(results, regress=True, specification=name)
            if row is not None:
                found.append(Shown(name if name != rungs[-1] or name == "M1" else "last", row, kind))
    for estimator, specification in OF_MODELS:
        row = _first(results, estimator=estimator, specification=specification, estimand="risk_difference_of_treated")
        if row is not None:
            found.append(Shown(f"{estimator}_{specification}", row, "model"))
    return found


def forest(results: Results, words: Words, scope: Scope) -> Figure:
    """Draw the difference of default between the arms by every method, with intervals."""
    from pipeline.present import figures
    from pipeline.present.intervals import Line, drawn

    styles = {
        "regression": (figures.QUIET, "D"),
        "design": (figures.CONTROL, "s"),
        "model": (figures.TREATED, "o"),
    }
    shown = lines(results, scope)
    groups = [
        (
            words.label("adjust_kinds", kind),
            [
                Line(words.label("adjust", one.name), one.row, with_interval(one.row, 2), *styles[kind])
                for one in shown
                if one.kind == kind
            ],
        )
        for kind in styles
        if any(one.kind == kind for one in shown)
    ]
    return drawn(groups, words.text("columns.points"), numbers=words.text("drawn.interval"))


def hidden(results: Results, words: Words) -> str:
    """Lay out what chance and hidden confounding could do: a line for each measure, and how to read it."""
    body = []
    for name, row in _measures(results).items():
        if name == "e_ratio":
            # The estimate that the two below it are about: the text names it.
            continue
        value = with_interval(row, 2)
        if name == "rejection":
            value = percent(100 * row.estimate)
            if not np.isnan(row.ci_low):
                value += f" [{percent(100 * row.ci_low)}, {percent(100 * row.ci_high)}]"
        if name == "permuted":
            value = p_value(row.p_value)
        body.append([words.label("hidden", name), value, words.text(f"readings.{name}")])
    header = [words.text(f"columns.{name}") for name in ("measure", "value", "reading")]
    return markdown(header, body, prose=True) if body else ""


def _measures(results: Results) -> dict[str, Any]:
    named = {
        "rejection": {"estimator": "permuted_treatment", "estimand": "rejection_rate"},
        "permuted": {"estimator": "permuted_treatment", "estimand": "t_statistic"},
        "e_ratio": {"estimator": "e_value", "estimand": "risk_ratio"},
        "e_estimate": {"estimator": "e_value", "estimand": "estimate"},
        "e_interval": {"estimator": "e_value", "estimand": "interval"},
        "gamma": {"estimator": "sensitivity_value", "estimand": "gamma"},
        "delta": {"estimator": "oster", "estimand": "delta"},
        "bias_adjusted": {"estimator": "oster", "estimand": "bias_adjusted"},
    }
    found = {name: _first(results, **columns) for name, columns in named.items()}
    deltas = results.where(stage=STAGE, estimator="oster", estimand="delta")
    recommended = deltas[deltas["note"].str.startswith("1.3 ")]
    found["delta"] = next(recommended.itertuples(), None)
    return {name: row for name, row in found.items() if row is not None}


def _hidden(results: Results) -> dict[str, Any]:
    measures = _measures(results)
    names = ("e_ratio", "e_estimate", "e_interval", "gamma", "delta", "bias_adjusted")
    return {name: measures.get(name) for name in names}


def _agreement(shown: list[Shown], words: Words) -> dict[str, Any]:
    """Return how the estimates beside the raw one lie: the ends, and how many leave out zero on either side."""
    adjusted = [one for one in shown if one.name != "M1"]
    ordered = sorted(adjusted, key=lambda one: one.row.estimate)
    ends = {
        place: (lower_first(words.label("adjust", one.name)), one.row)
        for place, one in (("lowest", ordered[0]), ("highest", ordered[-1]))
    }
    return {
        **ends,
        "raw": next((one.row for one in shown if one.name == "M1"), None),
        "number": len(adjusted),
        "below": sum(one.row.ci_high < 0 for one in adjusted),
        "above": sum(one.row.ci_low > 0 for one in adjusted),
    }


def _best(results: Results) -> Any:
    """Return the estimate that models most, boosted trees on all controls where there are any, or None."""
    for estimator, specification in reversed(OF_MODELS[2:]):
        row = _first(results, estimator=estimator, specification=specification, estimand="risk_difference_of_treated")
        if row is not None:
            return row
    return None


def _method(row: Any, words: Words) -> str:
    return lower_first(words.label("adjust", f"{row.estimator}_{row.specification}"))


def _column(words: Words, name: str) -> str:
    return lower_first(words.known("placebo", name) or words.known("columns", name) or name)


def _first(results: Results, *, regress: bool = False, **columns: str) -> Any:
    """Return the first row on the arms that has an estimate, or None."""
    if regress:
        fixed_columns = {"stage": "regress", "estimator": "linear_probability", "estimand": "risk_difference"}
        return results.first(factor="treated", **fixed_columns, **columns)
    return results.first(stage=STAGE, **columns)
