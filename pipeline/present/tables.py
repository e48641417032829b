"""The tables of the report, as Markdown, each a pure function of result rows and words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from pipeline.core.results import Results
from pipeline.present.labels import methods
from pipeline.present.numerals import MISSING, compact, fixed, p_value, percent, signed, whole, with_interval
from pipeline.present.words import Words, split

INDENT = "\N{EM SPACE}"


NUMBER = re.compile(r"[\d(<\[\N{MINUS SIGN}]")
"""How a cell with a number begins."""


def markdown(header: list[str], rows: list[list[str]], *, prose: bool = False) -> str:
    """Lay out a pipe table: numbers to the right, text and, where it holds `prose`, all of it to the left."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def right(place: int) -> bool:
        cells = [row[place] for row in rows if row[place] not in ("", MISSING)]
        return place > 0 and not prose and 2 * sum(bool(NUMBER.match(cell)) for cell in cells) >= len(cells)

    rule = "|" + "|".join("--:" if right(place) else ":--" for place in range(len(header))) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def balance(results: Results, words: Words) -> str:
    """Means by arm, standardised differences and variance ratios, before and after matching."""
    rows = results.where(estimator="balance")
    number = {(row.specification, row.factor, row.estimand): row.estimate for row in rows.itertuples()}
    names = list(dict.fromkeys(rows["factor"]))
    body = []
    columns = dict.fromkeys(split(name)[0] for name in names)
    for column in sorted(columns, key=words.column):
        levels = [name for name in names if split(name)[0] == column]
        if levels != [column]:
            body.append([words.column(column), *[""] * 7])
        for name in levels:
            level = split(name)[1]
            cells = [words.column(name) if level is None else f"{INDENT}{words.level(level)}"]
            for sample in ("before", "after"):
                for arm in ("mean_treated", "mean_control"):
                    value = number[sample, name, arm]
                    cells.append(compact(value) if level is None else percent(100 * value))
                cells.append(fixed(number[sample, name, "standardised_mean_difference"], 3))
            cells.append(fixed(number.get(("after", name, "variance_ratio"), float("nan")), 2))
            body.append(cells)
    header = [words.text("columns.covariate")]
    for sample in (words.text("columns.before"), words.text("columns.after")):
        header += [words.pair(sample, words.text(f"columns.{name}")) for name in ("treated", "control", "smd")]
    return markdown([*header, words.text("columns.variance_ratio")], body)


def key_effects(results: Results, words: Words, factors: list[str], last: str) -> str:
    """Each factor's effect in points of default, unadjusted, with all controls and on matched pairs, with intervals."""
    rows = {(row.factor, row.specification): row for row in effects_in_points(results).itertuples()}
    rungs = [rung for rung in dict.fromkeys(("M1", last, "M6")) if any((name, rung) in rows for name in factors)]
    body = [
        [
            words.label("columns", name),
            *(with_interval(rows[name, rung], 2) if (name, rung) in rows else MISSING for rung in rungs),
            whole(rows[name, last].n) if (name, last) in rows else MISSING,
        ]
        for name in factors
    ]
    heads = {last: "all_controls", "M1": "unadjusted", "M6": "matched_pairs"}
    names = [words.text(f"columns.{heads[rung]}") for rung in rungs]
    return markdown([words.text("columns.factor"), *names, words.text("columns.loans")], body)


def regressions(results: Results, words: Words, factors: list[str], blocks: dict[str, list[str]]) -> str:
    """Lay out a journal table: factors down, specifications across, and beneath them what each controls for.

    Below each factor's effect stand its standard error, the average marginal effect and the odds ratio of the logistic
    regression; `blocks` maps each specification to the blocks of controls that it has.
    """
    kinds = (("linear_probability", "risk_difference"), ("logit", "average_marginal_effect"), ("logit", "odds_ratio"))
    linear, marginal, odds = (_regressions(results, *kind) for kind in kinds)
    rungs = [rung for rung in blocks if any((name, rung) in linear for name in factors)]
    body = []
    for name in factors:
        lines = {
            words.label("columns", name): [_cell(linear.get((name, rung))) for rung in rungs],
            f"{INDENT}{words.text('columns.std_error')}": [_error(linear.get((name, rung))) for rung in rungs],
            f"{INDENT}{words.text('columns.marginal_effect')}": [_cell(marginal.get((name, rung))) for rung in rungs],
            f"{INDENT}{words.text('columns.odds_ratio_short')}": [_cell(odds.get((name, rung))) for rung in rungs],
            INDENT: [_ends(odds.get((name, rung))) for rung in rungs],
        }
        body += [[label, *cells] for label, cells in lines.items()]
    for block in dict.fromkeys(block for rung in rungs for block in blocks[rung]):
        held = [words.text("labels.yes") if block in blocks[rung] else "" for rung in rungs]
        body.append([words.label("blocks", block), *held])
    fitted = [[linear[name, rung] for name in factors if (name, rung) in linear] for rung in rungs]
    body.append([words.text("columns.loans"), *(_span(row.n for row in rows) for rows in fitted)])
    body.append([words.text("columns.clusters"), *(_span(row.n_clusters for row in rows) for rows in fitted)])
    return markdown([words.text("columns.factor"), *rungs], body)


def _span(numbers: Iterable[float]) -> str:
    """Return a number that all factors share, or the smallest and the largest: not each is known of all loans."""
    ends = sorted(set(numbers))
    return whole(ends[0]) if len(ends) == 1 else f"{whole(ends[0])}–{whole(ends[-1])}"


def effects_in_points(results: Results) -> pd.DataFrame:
    """Return a row a factor and specification: the linear probability model's, or that of penalised likelihood.

    That stands in where all loans with the factor, or all without it, end alike, and least squares has no interval.
    """
    rows = results.where(stage="regress", estimator=["linear_probability", "firth"], estimand="risk_difference")
    rows = rows[rows["estimate"].notna()].sort_values("estimator", key=lambda name: name == "firth", kind="stable")
    return rows.drop_duplicates(["factor", "specification"], keep="last")


def _regressions(results: Results, estimator: str, estimand: str) -> dict[tuple[str, str], Any]:
    rows = results.where(stage="regress", estimator=estimator, estimand=estimand)
    return {(row.factor, row.specification): row for row in rows[rows["estimate"].notna()].itertuples()}


def _cell(row: Any) -> str:
    return MISSING if row is None else signed(row.estimate, 2)


def _ends(row: Any) -> str:
    return "" if row is None else f"[{fixed(row.ci_low, 2)}, {fixed(row.ci_high, 2)}]"


def _error(row: Any) -> str:
    return "" if row is None else f"({fixed(row.std_error, 2)})"


def recovery(results: Results, words: Words) -> str:
    """Every method against the truth: its label, bias, error and coverage in base worlds, rejections in null ones."""
    rows = results.where(stage="recovery")
    number = {(row.estimator, row.outcome, row.specification, row.estimand): row for row in rows.itertuples()}
    body = []
    for method in methods(results):
        name = (method.estimator, method.outcome)

        def measure(scenario: str, estimand: str, name: tuple[str, str] = name) -> tuple[float, float]:
            row = number.get((*name, scenario, estimand))
            return (float("nan"), float("nan")) if row is None else (row.estimate, row.std_error)

        label = words.label("estimators", method.estimator)
        if method.outcome == "stress_within_horizon":
            label = _and(label, words.label("outcomes", "stress_within_horizon"), words=words)
        expected = words.label("verdicts", method.expected)
        bias, of_bias = measure("base", "bias")
        body.append(
            [
                label,
                words.label("recovered", method.label),
                expected if method.as_expected else words.pair(expected, words.text("not_as_expected")),
                fixed(measure("base", "estimate")[0], 2),
                fixed(measure("base", "truth")[0], 2),
                f"{fixed(bias, 2)} ({fixed(of_bias, 2)})",
                fixed(measure("base", "rmse")[0], 2),
                _share(measure("base", "coverage")[0]),
                fixed(measure("null", "estimate")[0], 2),
                # Only where there is nothing to see is a rejection a false alarm.
                _share(measure("null", "rejection")[0]) if measure("null", "truth")[0] == 0 else MISSING,
            ]
        )
    names = ("estimator", "label", "expected", "estimate", "truth", "bias", "rmse", "coverage")
    names += ("null_estimate", "null_rejection")
    return markdown([words.text(f"columns.{name}") for name in names], body)


def _share(value: float) -> str:
    return MISSING if math.isnan(value) else percent(100 * value)


def targets(results: Results, words: Words) -> str:
    """List what the design expects of worlds and methods, and whether it comes out."""
    body = []
    for row in results.each(stage="recovery", estimand="target"):
        kind = {"default_rate": "worlds", "truth": "truths"}.get(row.estimator)
        if kind:
            label = words.label(kind, row.outcome)
        else:
            label = words.label("estimators", row.estimator)
            if row.outcome == "stress_within_horizon":
                label = _and(label, words.label("outcomes", "stress_within_horizon"), words=words)
        met, mean = row.note.split(": mean ")
        body.append(
            [
                label,
                words.label("scenarios", row.specification),
                fixed(row.estimate, 2),
                mean.split(" (")[0].replace("-", "\N{MINUS SIGN}"),
                words.text("met" if met == "met" else "not_met"),
            ]
        )
    names = ("quantity", "scenario", "target", "estimate", "verdict")
    return markdown([words.text(f"columns.{name}") for name in names], body)


def _and(*parts: str | None, words: Words) -> str:
    """Join the parts of a label that there are."""
    return words.text("joining.comma").join(part for part in parts if part)


def row_parts(row: Any, words: Words) -> list[str]:
    """Name a row of the stage effects: estimator, specification, factor and outcome, empty where it has no word."""
    factor, level = split(row.factor)
    named = words.known("factors", factor if level else row.factor)
    if named and level:
        named = words.pair(named, words.level(level))
    known = (words.known("specifications", row.specification), named, words.known("outcomes", row.outcome))
    return [words.label("estimators", row.estimator), *(part or "" for part in known)]


def effects(results: Results, words: Words, estimators: list[str], *, drawn: bool = False) -> str:
    """List the estimates of some estimators of the stage effects, in their order, with intervals.

    Where a figure shows those with an interval (`drawn`), the others are listed; nothing, if there are none.
    """
    body = []
    rows = results.where(stage="effects", estimator=estimators)
    rows = rows.iloc[rows["estimator"].map(estimators.index).argsort(kind="stable")]
    for row in (rows[rows["ci_low"].isna()] if drawn else rows).itertuples():
        label = _and(*row_parts(row, words), words=words)
        if row.specification == "not_estimated":
            body.append([label, words.text("not_estimated"), *[MISSING] * 3])
            continue
        start = 1.0 if row.unit in ("ratio", "odds ratio") else 0.0
        numbers = [with_interval(row, 2, start), p_value(row.p_value), whole(row.n)]
        body.append([label, words.label("estimands", row.estimand), *numbers])
    names = ("estimator", "estimand", "estimate_with_interval", "p", "loans")
    return markdown([words.text(f"columns.{name}") for name in names], body) if body else ""
