"""The chapter on robustness: the headline under other errors, effects and shapes, and what controls take away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.fields import BLOCKS
from pipeline.core.protocol import rungs_of
from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, fixed, with_interval
from pipeline.present.page import Page, shown_factors
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "robustness"

LEAST_SQUARES = {"stage": "regress", "estimator": "linear_probability"}

ERRORS = ("robust", "clustered", "clustered_t", "two_way", "jackknife", "wild_bootstrap")

SPECIFICATIONS = (
    *(("errors", name, "risk_difference") for name in ERRORS),
    ("group_effects", "linear_probability", "risk_difference"),
    ("group_effects", "group_by_time", "risk_difference"),
    ("group_effects", "logit", "average_marginal_effect"),
)
"""What the figure shows, from the top; all in percentage points of default."""


def summary(page: Page) -> Iterator[str]:
    """Yield the figure, which shows in the report's summary how robust its first estimate is."""
    if factors := _estimated(page.results, page.scope):
        yield page.show_figure("robustness", STAGE, **_named(page, factors[0]))


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    factors = _estimated(results, page.scope)
    if not factors:
        return
    head = factors[0]
    full, inside = _clustered(results, head), _inside(results, head)
    without = results.where(stage=STAGE, estimator="leave_one_cluster_out", factor=head)
    named = _named(page, head)

    yield f"## {page.text('headings.robustness')}"
    yield page.text("robustness.errors", **named | _of_errors(results, words, head))
    yield page.show_figure("robustness", STAGE, **named)
    if inside is not None:
        yield page.text("robustness.effects", inside=inside, full=full, **named)
    if len(without):
        ends = {row.estimand: row for row in without.itertuples()}
        yield page.text("robustness.without", full=full, name=_name, **ends, **named)
    tests = results.where(stage=STAGE, estimator="shape", estimand="wald_test", factor=factors)
    tests = tests[tests["p_value"].notna()]
    if len(tests):
        significance = 1 - page.params.inference.level
        pairs = [(words.label("columns", row.factor), row) for row in tests.itertuples()]
        pairs.sort(key=lambda one: factors.index(one[1].factor))
        yield page.text(
            "robustness.shape",
            bent=[one for one in pairs if one[1].p_value < significance],
            straight=[one for one in pairs if one[1].p_value >= significance],
            ends=lambda factor, end: _end(results, factor, end),
            everywhere=lambda factor: _odds(results, factor, list(rungs_of(page.scope.protocol))[-1]),
        )
    if _blocks_of(results):
        most = _largest_part(results, head)
        yield page.text(
            "robustness.gelbach",
            **named,
            block=words.label("blocks", most.specification),
            part=most,
            whole_difference=results.one(stage=STAGE, estimator="gelbach", estimand="difference", factor=head),
        )
        yield page.show_table("gelbach", gelbach(results, words, factors), STAGE, **named)


def _named(page: Page, head: str) -> dict[str, Any]:
    """Return what the words name of the first factor, and how its intervals lie."""
    results, words = page.results, page.words
    group = words.known("columns", page.scope.protocol.cluster) or page.scope.protocol.cluster
    inside, taken = _inside(results, head), []
    if inside is not None:
        columns = inside.note.split(";")[0].removeprefix("effects of ").split(" and ")
        taken = [lower_first(words.known("columns", name) or name) for name in columns]
    alone = results.where(stage=STAGE, estimator="leave_one_cluster_out", factor=head).empty
    rows = [row for row, _, _ in _specified(results, head)]
    seen = {"number": len(rows), "clear": sum(row.ci_high < 0 or row.ci_low > 0 for row in rows)}
    return {"factor": words.label("columns", head), "group": group, "taken": taken, "alone": alone, **seen}


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of the first factor that has an estimate."""
    factors = _estimated(results, scope)
    return {"robustness": (specifications, factors[0])} if factors else {}


def specifications(results: Results, words: Words, factor: str) -> Figure:
    """One factor's effect under each standard error and with effects of lenders, and its range without one cluster."""
    from pipeline.present import figures
    from pipeline.present.intervals import Line, drawn

    shown = _specified(results, factor)
    groups = []
    for kind, colour, marker in (("errors", figures.TREATED, "o"), ("group_effects", figures.CONTROL, "s")):
        lines = [
            Line(
                words.label("robustness", f"{estimator}_{name}"),
                row,
                with_interval(row, 2),
                colour,
                marker,
                bold=name == "clustered",
            )
            for row, estimator, name in shown
            if estimator == kind
        ]
        if lines:
            groups.append((words.label("robustness_kinds", kind), lines))
    without = results.where(stage=STAGE, estimator="leave_one_cluster_out", factor=factor)
    if len(without):
        # Not an interval, but the ends of what is estimated without one cluster after the other.
        ends = without["estimate"]
        row = Range((ends.min() + ends.max()) / 2, ends.min(), ends.max())
        said = f"[{fixed(ends.min(), 2)}, {fixed(ends.max(), 2)}]"
        line = Line(words.label("robustness", "leave_one_cluster_out"), row, said, figures.QUIET, "|")
        groups.append((words.label("robustness_kinds", "leave_one_cluster_out"), [line]))
    return drawn(groups, words.text("columns.points"), numbers=words.text("drawn.interval"))


class Range(NamedTuple):
    """A range that is drawn like an interval."""

    estimate: float
    ci_low: float
    ci_high: float


def _specified(results: Results, factor: str) -> list[tuple[Any, str, str]]:
    """Return the rows of the figure from the top, each with its estimator and specification."""
    rows = results.where(stage=STAGE, factor=factor)
    rows = rows[rows["ci_low"].notna()]
    shown = [
        (found.iloc[0], estimator, name)
        for estimator, name, estimand in SPECIFICATIONS
        for found in [rows[(rows.estimator == estimator) & (rows.specification == name) & (rows.estimand == estimand)]]
        if len(found)
    ]
    # Where each loan is a cluster of its own, the clustered error is the robust one again.
    width = {name: row["std_error"] for row, _, name in shown}
    twin = width.get("clustered") == width.get("robust")
    return [one for one in shown if not (twin and one[2] == "clustered")]


def gelbach(results: Results, words: Words, factors: list[str]) -> str:
    """Raw effect, what each block of controls takes away, and what is left; standard errors below.

    All of least squares, also where penalised likelihood stands for it elsewhere: only then do the parts add up.
    """
    present = _blocks_of(results)
    ends = {"with_controls": _clustered, "inside": _inside}
    if all(_inside(results, factor) is None for factor in factors):
        del ends["inside"]
    body = []
    for factor in factors:
        raw = results.one(estimand="risk_difference", factor=factor, specification="M1", **LEAST_SQUARES)
        parts = results.where(stage=STAGE, estimator="gelbach", factor=factor, estimand="part_of_difference")
        found = {row.specification: row for row in parts.itertuples()}
        cells = [raw, *(found.get(block) for block in present), *(find(results, factor) for find in ends.values())]
        empty = [row is None or np.isnan(row.estimate) for row in cells]
        pairs = list(zip(cells, empty, strict=True))
        body.append([words.label("columns", factor), *(MISSING if no else fixed(row.estimate, 2) for row, no in pairs)])
        body.append(["", *("" if no else f"({fixed(row.std_error, 2)})" for row, no in pairs)])
    header = [words.text("columns.factor"), words.text("columns.raw")]
    header += [words.label("blocks", block) for block in present]
    return markdown([*header, *(words.text(f"columns.{name}") for name in ends)], body)


def _estimated(results: Results, scope: Scope) -> list[str]:
    """Return the factors that have an effect with all controls."""
    rows = results.where(stage=STAGE, estimator="errors", specification="clustered")
    there = set(rows.loc[rows["estimate"].notna(), "factor"])
    return [factor for factor in shown_factors(results, scope) if factor in there]


def _clustered(results: Results, factor: str) -> Any:
    return results.one(stage=STAGE, estimator="errors", specification="clustered", factor=factor)


def _inside(results: Results, factor: str) -> Any:
    """Return the row of the effect inside lenders (or clusters) and periods, or None."""
    return results.first(stage=STAGE, estimator="group_effects", specification="linear_probability", factor=factor)


def _of_errors(results: Results, words: Words, factor: str) -> dict[str, Any]:
    """Return how many kinds of error leave out zero, and the narrowest and the widest interval."""
    rows = results.where(stage=STAGE, estimator="errors", factor=factor)
    rows = rows[rows["ci_low"].notna()]
    width = rows["ci_high"] - rows["ci_low"]
    clear = (rows["ci_low"] > 0) | (rows["ci_high"] < 0)
    ends: dict[str, pd.Series] = {"narrowest": rows.loc[width.idxmin()], "widest": rows.loc[width.idxmax()]}
    named = {name: (words.label("robustness", f"errors_{row['specification']}"), row) for name, row in ends.items()}
    return {"kinds": len(rows), "clear": int(clear.sum()), "lower": rows["estimate"].iloc[0] < 0, **named}


def _end(results: Results, factor: str, end: str) -> Any:
    return next(iter(results.each(stage=STAGE, estimator="shape", factor=factor, estimand=end)), None)


def _odds(results: Results, factor: str, rung: str) -> Any:
    """Return the odds ratio of one unit more, one proportion over all values, with all controls; None without it."""
    where = {"stage": "regress", "estimator": "logit", "specification": rung, "factor": factor}
    row = results.first(**where, outcome="default", estimand="odds_ratio")
    return None if row is None or np.isnan(row.estimate) else row


def _name(row: Any) -> str:
    """Return the cluster that a row leaves out; empty where that is a client."""
    named = row.note.rsplit(", ", 1)[0].removeprefix("without ")
    return "" if named == "one client" else named


def _blocks_of(results: Results) -> list[str]:
    rows = results.where(stage=STAGE, estimator="gelbach", estimand="part_of_difference")
    there = set(rows.loc[rows["estimate"].notna(), "specification"])
    return [block for block in BLOCKS if block in there]


def _largest_part(results: Results, factor: str) -> Any:
    rows = results.where(stage=STAGE, estimator="gelbach", estimand="part_of_difference", factor=factor)
    rows = rows[rows["estimate"].notna()]
    return next(rows.loc[[rows["estimate"].abs().idxmax()]].itertuples())
