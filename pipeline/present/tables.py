"""The tables of the report, as Markdown, each a pure function of result rows and words."""

from __future__ import annotations

import math
from typing import Any

from pipeline.core.results import Results
from pipeline.present.labels import methods
from pipeline.present.numerals import MISSING, compact, fixed, p_value, percent, whole
from pipeline.present.words import Words, split, upper_first

INDENT = "\N{EM SPACE}"


def markdown(header: list[str], rows: list[list[str]], *, prose: bool = False) -> str:
    """Lay out a pipe table: the first column to the left and the others, unless they hold prose, to the right."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "|".join(":--" if prose or place == 0 else "--:" for place in range(len(header))) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def flow(results: Results, words: Words) -> str:
    """Every step of the sample flow, also those at which nobody left."""
    rows = results.where(estimator="sample_flow")
    body = []
    for (_, reason), step in rows.groupby(["specification", "factor"], sort=True):
        number = {(row.estimand, row.outcome): row.estimate for row in step.itertuples()}
        first = reason == "read"
        body.append(
            [
                words.label("reasons", reason),
                MISSING if first else whole(number["left", "all"]),
                MISSING if first else whole(number["left", "default"]),
                whole(number["remaining", "all"]),
                whole(number["remaining", "default"]),
            ]
        )
    names = ("reason", "loans_left", "defaults_left", "loans_remaining", "defaults_remaining")
    return markdown([words.text(f"columns.{name}") for name in names], body)


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


def rates(results: Results, words: Words, groups: list[str]) -> str:
    """Default rates of all loans by group."""
    rows = results.where(estimator="default_rate")
    rows = rows[rows["specification"].str.startswith("before")]
    body = []
    for group in ("treated", *groups):
        of_group = rows[rows["factor"].str.startswith(f"{group}[")].sort_values("specification")
        for row in of_group.itertuples():
            label = upper_first(words.label("arms", "treated" if row.factor == "treated[1]" else "control"))
            name = label if group == "treated" else words.column(row.factor)
            interval = f"{fixed(row.ci_low, 1)} – {fixed(row.ci_high, 1)}"
            body.append([name, whole(row.n), percent(row.estimate), interval])
    columns = [words.text(f"columns.{name}") for name in ("group", "loans", "rate", "interval")]
    return markdown(columns, body)


def correlations(results: Results, words: Words, factors: list[str], kinds: list[tuple[str, str]]) -> str:
    """Correlations of every factor, a column each kind; below each its interval and its adjusted p-value."""
    body = []
    for factor in factors:
        rows = [
            results.one(stage="correlate", estimator=kind, specification=given, factor=factor) for kind, given in kinds
        ]
        body.append([words.label("columns", factor), *(fixed(row.estimate, 3) for row in rows)])
        body.append(["", *(f"[{fixed(row.ci_low, 3)}, {fixed(row.ci_high, 3)}]" for row in rows)])
        body.append(["", *(f"p {p_value(row.p_adjusted)}" for row in rows)])
    header = [words.pair(words.label("correlations", kind), words.label("given", given)) for kind, given in kinds]
    return markdown([words.text("columns.factor"), *header], body)


def ladder(
    results: Results,
    words: Words,
    factors: list[str],
    rungs: list[str],
    blocks: dict[str, list[str]],
    kind: str,
) -> str:
    """Lay out a journal table: factors down, rungs across, and beneath them what each rung holds.

    `kind` is ``linear``, ``odds`` or ``marginal``; `blocks` maps each rung to the blocks of controls it has.
    """
    estimator, estimand = {
        "linear": ("linear_probability", "risk_difference"),
        "odds": ("logit", "odds_ratio"),
        "marginal": ("logit", "average_marginal_effect"),
    }[kind]
    rows = {
        (row.factor, row.specification): row
        for row in results.where(stage="regress", estimator=estimator, estimand=estimand).itertuples()
    }
    body = []
    for factor in factors:
        found = [rows.get((factor, rung)) for rung in rungs]
        body.append([words.label("columns", factor), *(_estimate(row) for row in found)])
        body.append(["", *(_uncertainty(row, kind) for row in found)])
    for block in dict.fromkeys(block for of_rung in blocks.values() for block in of_rung):
        held = [words.text("labels.yes") if block in blocks[rung] else "" for rung in rungs]
        body.append([words.label("blocks", block), *held])
    first = [rows[factors[0], rung] for rung in rungs]
    body.append([words.text("columns.loans"), *(whole(row.n) for row in first)])
    body.append([words.text("columns.clusters"), *(whole(row.n_clusters) for row in first)])
    return markdown([words.text("columns.factor"), *rungs], body)


def _estimate(row: Any) -> str:
    return MISSING if row is None else fixed(row.estimate, 2)


def _uncertainty(row: Any, kind: str) -> str:
    if row is None:
        return ""
    if kind == "odds":
        return f"[{fixed(row.ci_low, 2)}, {fixed(row.ci_high, 2)}]"
    return f"({fixed(row.std_error, 2)})"


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
    for row in results.where(stage="recovery", estimand="target").itertuples():
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


def row_label(row: Any, words: Words) -> str:
    """Name a row of the stage effects: its estimator, then specification, factor and outcome where they have words."""
    factor, level = split(row.factor)
    named = words.known("factors", factor if level else row.factor)
    if named and level:
        named = words.pair(named, words.level(level))
    known = [words.known("specifications", row.specification), named, words.known("outcomes", row.outcome)]
    return _and(words.label("estimators", row.estimator), *known, words=words)


def effects(results: Results, words: Words, estimators: list[str]) -> str:
    """List the estimates of some estimators of the stage effects, in their order, with intervals."""
    body = []
    rows = results.where(stage="effects", estimator=estimators)
    rows = rows.iloc[rows["estimator"].map(estimators.index).argsort(kind="stable")]
    for row in rows.itertuples():
        label = row_label(row, words)
        if row.specification == "not_estimated":
            body.append([label, words.text("not_estimated"), *[MISSING] * 4])
            continue
        body.append(
            [
                label,
                words.label("estimands", row.estimand),
                fixed(row.estimate, 2),
                MISSING if math.isnan(row.ci_low) else f"{fixed(row.ci_low, 2)} – {fixed(row.ci_high, 2)}",
                p_value(row.p_value),
                whole(row.n),
            ]
        )
    names = ("estimator", "estimand", "estimate", "interval", "p", "loans")
    return markdown([words.text(f"columns.{name}") for name in names], body)
