"""A card for a study's saved score: what it is for, what it learnt from, how good it is, and how it treats groups."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.core.results import Results
from pipeline.present.numerals import MISSING, compact, fixed, p_value, percent, whole, with_interval
from pipeline.present.tables import markdown
from pipeline.present.words import Words, environment, split

MEASURES = {
    "auc": 3,
    "auc_gain_clustered": 4,
    "kolmogorov_smirnov": 3,
    "brier": 4,
    "calibration_slope": 2,
    "calibration_intercept": 2,
    "precision": 1,
    "recall": 1,
    "lift": 2,
}
"""What the card shows of the saved models, with decimals."""

KINDS = ("scorecard", "logistic")


def card(results: Results, model: Mapping[str, Any], words: Words, level: float, *, simulated: bool) -> str:
    """Return the card in Markdown; `level` is that of the rows' intervals."""
    study = results.frame["study"].iloc[0] if len(results.frame) else ""

    def text(path: str, **more: Any) -> str:
        common = {"fixed": fixed, "whole": whole, "percent": percent, "p_value": p_value}
        common["level"] = f"{100 * level:g}"
        return " ".join(environment("words").from_string(words.text(f"card.{path}")).render(**common, **more).split())

    parts = [f"# {text('title', name=study)}"]
    if "nothing" in model:
        return "\n\n".join([*parts, text("nothing", note=model["nothing"])])
    parts += [f"## {text('headings.use')}", text("use")]
    if simulated:
        parts.append(text("simulated"))
    trained = model["trained"]
    window = trained["outcome"].removeprefix("default").removeprefix("_within_")
    about = {"trained": trained, "outcome": words.label("columns", "default"), "window": window}
    parts += [f"## {text('headings.data')}", text("data", **about)]
    parts += _metrics(results, model["trained"]["outcome"], words, text)
    parts += _points(model, words, text)
    parts += _cuts(model, text)
    parts += _groups(results, words, text)
    parts += [f"## {text('headings.limits')}", _limits(results, text)]
    return "\n\n".join(parts)


def _metrics(results: Results, outcome: str, words: Words, text: Any) -> Iterator[str]:
    rows = results.where(estimator=list(KINDS), outcome=outcome)
    way = results.where(estimator="split", outcome=outcome)["specification"].iloc[0]
    rows = rows[rows["specification"] == way]
    last = "with_crm" if (rows["factor"] == "with_crm").any() else "hard"
    rows = rows[rows["factor"] == last]
    body = []
    for name, decimals in MEASURES.items():
        cells = [text(f"measures.{name}")]
        for kind in KINDS:
            found = rows[(rows["estimator"] == kind) & (rows["estimand"] == name)]
            row = next(found[found["estimate"].notna()].itertuples(), None)
            cells.append(MISSING if row is None else with_interval(row, decimals))
        if cells[1:] != [MISSING] * len(KINDS):
            body.append(cells)
    header = [text("columns.measure"), *(words.label("score_models", kind) for kind in KINDS)]
    yield f"## {text('headings.metrics')}"
    yield text("metrics", how=words.label("score_splits", way))
    yield markdown(header, body)


def _points(model: Mapping[str, Any], words: Words, text: Any) -> Iterator[str]:
    yield f"## {text('headings.points')}"
    if not model["scorecard"]["characteristics"]:
        yield text("no_points")
        return
    yield text("points", scale=model["scale"])
    body = []
    for one in model["scorecard"]["characteristics"]:
        label = words.known("columns", one["column"]) or one["column"]
        # Without gaps in training there is no bin of gaps.
        columns = zip(_bins(one, words, text), one["points"], one["shares"], one["rates"], strict=False)
        for name, of_bin, share, rate in columns:
            if share > 0:
                body.append([label, name, str(of_bin).replace("-", "\N{MINUS SIGN}"), percent(100 * rate)])
                label = ""
    yield markdown([text(f"columns.{name}") for name in ("characteristic", "bin", "points", "rate")], body)


def _bins(one: Mapping[str, Any], words: Words, text: Any) -> list[str]:
    """Return what each bin of a characteristic holds."""
    if one["kind"] == "category":
        return [*(words.known("levels", level) or level for level in one["levels"]), text("rare")]
    if (one["low"], one["high"], len(one["edges"])) == (0, 1, 1):
        return [text("no"), text("yes"), text("missing")]
    edges = [f"{edge:,.4g}" if abs(edge) < 1000 else compact(edge) for edge in one["edges"]]
    below, above = "\N{LESS-THAN OR EQUAL TO}", ">"
    if not edges:
        return [MISSING, text("missing")]
    inner = [f"{above} {low}, {below} {high}" for low, high in itertools.pairwise(edges)]
    return [f"{below} {edges[0]}", *inner, f"{above} {edges[-1]}", text("missing")]


def _cuts(model: Mapping[str, Any], text: Any) -> Iterator[str]:
    at = model["cuts"][KINDS[0]]

    def listed(values: list[float]) -> str:
        return ", ".join(f"{100 * value:.3g}%" for value in values)

    yield f"## {text('headings.cuts')}"
    yield text(
        "cuts",
        grades=listed(at["grades"]),
        tiers=listed(at["tiers"]),
        alert=listed([at["alert"]]),
        capacity=f"{100 * model['capacity']:g}%",
        by_threshold="threshold" in model,
    )


def _groups(results: Results, words: Words, text: Any) -> Iterator[str]:
    yield f"## {text('headings.groups')}"
    rows = results.where(estimator="group")
    if rows.empty:
        yield text("no_groups")
        return
    yield text("groups")
    body = []
    for name in dict.fromkeys(rows["factor"]):
        found = {row.estimand: row for row in rows[rows["factor"] == name].itertuples()}
        column, level = split(name)
        label = words.known("columns", column) or column
        known = _group(str(level), words, text)
        cells = [f"{label}: {known}", whole(found["alert_rate"].n), percent(found["alert_rate"].estimate)]
        body.append([*cells, percent(found["predicted_rate"].estimate), _percents(found["observed_rate"])])
    header = [text(f"columns.{name}") for name in ("group", "loans", "alerts", "predicted", "observed")]
    yield markdown(header, body)


def _group(level: str, words: Words, text: Any) -> str:
    """Return a group in words: yes or no, a level's label, or a range of numbers."""
    if level in ("0", "1"):
        return text("yes" if level == "1" else "no")
    low, dots, high = level.partition("..")
    if not dots:
        return words.known("levels", level) or level
    if low and high:
        return f"{low}\N{EN DASH}{high}"
    return text("up_to", edge=high) if high else text("above", edge=low)


def _percents(row: Any) -> str:
    if row.ci_low != row.ci_low:
        return percent(row.estimate)
    return f"{percent(row.estimate)} [{percent(row.ci_low)}, {percent(row.ci_high)}]"


def _limits(results: Results, text: Any) -> str:
    lines = []
    names = {"judged_defaults": "judged", "score_stable": "stable", "score_calibrated": "calibrated"}
    for name, key in names.items():
        for row in results.each(estimator="assumption", specification=name):
            lines.append(text(f"limits_{key}", row=row))
    lines += [text("limits_granted"), text("limits_cause")]
    return "\n".join(f"- {line}" for line in lines)
