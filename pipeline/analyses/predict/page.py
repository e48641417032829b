"""The chapter on prediction: whether a score that knows the client better predicts default better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from pipeline.analyses.predict.drawings import dependence, panels, tree
from pipeline.analyses.predict.lookup import ALL, HARD, MODELS, STAGE, compared, main, models, one, optional, there
from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, fixed, with_interval
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first, split

MEANINGS = ("grade_and_lender", "application", "everything")
"""What may count as hard information, the narrowest first."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    yield f"## {page.text('headings.predict')}"
    if results.where(stage=STAGE, estimator="logistic").empty:
        yield page.text("predict.nothing", note=results.where(stage=STAGE)["note"].iloc[0])
        return
    rows = main(results)
    split_rows = rows.where(estimator="split")
    counts = {row.estimand: row.estimate for row in split_rows.itertuples()}
    cut, way = split_rows["note"].iloc[0], split_rows["specification"].iloc[0]
    named = {"counts": counts, "cut": cut, "way": way, "how": words.label("score_splits", way)}
    named["window"] = counts["months_to_outcome"] if "_within_" in rows.frame["outcome"].iloc[0] else None
    named["later"] = rows.frame["outcome"].iloc[0] == "default_after_landmark"
    named["market"] = _part(results, rows, "market") is not None
    named["complete"] = optional(rows, "logistic", ALL, "auc_gain_of_complete_clustered")
    named["landmark"] = page.scope.protocol.landmark
    last = ALL if there(rows, "logistic", ALL, "auc") else HARD
    named["full"] = one(rows, "logistic", last, "auc")
    gain = optional(rows, "logistic", ALL, "auc_gain_clustered")
    if gain is not None:
        named |= {
            "gain": gain,
            "alone": page.scope.protocol.cluster == "loan_id",
            "by_loan": one(rows, "logistic", ALL, "auc_gain"),
            "hard": one(rows, "logistic", HARD, "auc"),
            "brier": one(rows, "logistic", ALL, "brier_gain"),
            "saving": one(rows, "logistic", ALL, "saving_gain"),
            "at_half": one(rows, "logistic", ALL, "saving_gain_at_half"),
            "at_twice": one(rows, "logistic", ALL, "saving_gain_at_twice"),
            "cluster": lower_first(
                words.known("columns", page.scope.protocol.cluster) or page.scope.protocol.cluster.replace("_", " ")
            ),
        }
        yield page.text("predict.headline", **named)
    else:
        yield page.text("predict.one_block", **named)
    yield page.text("predict.split", **named)
    if len(results.where(stage=STAGE, estimator="roc")):
        # The last span may hold too few defaults to permute anything.
        lost = bool(rows.frame["estimator"].str.startswith("importance_").any())
        yield page.show_figure("predict", STAGE, lost=lost, **named)
    best = models(rows, last)
    named |= {"last": compared(rows)}
    yield page.text("predict.models", models=best, name=lambda row: words.label("score_models", row.estimator), **named)
    yield page.show_table("predict", scores(rows, words, last), STAGE, **named)
    slope, large = (optional(rows, "logistic", last, f"calibration_{name}") for name in ("slope", "intercept"))
    lift, precision = (optional(rows, "logistic", last, name) for name in ("lift", "precision"))
    if slope is not None and lift is not None:
        yield page.text("predict.decisions", slope=slope, large=large, lift=lift, precision=precision, **named)
    parts = {name: _part(results, rows, name) for name in ("market", "elsewhere", "renewed")}
    if any(part is not None for part in parts.values()):
        hard_elsewhere = _elsewhere(results, HARD, "auc")
        institution = lower_first(words.known("columns", "institution_id") or page.text("predict.institution"))
        yield page.text("predict.further", parts=parts, hard_elsewhere=hard_elsewhere, institution=institution, **named)
    yield from _meanings(page, rows)
    depends = results.where(stage=STAGE, estimator="partial_dependence")
    if len(depends):
        named["best"] = lower_first(words.label("score_models", depends["note"].iloc[0]))
        yield page.text("predict.dependence", columns=_ranges(depends, words), **named)
        yield page.show_figure("predict_dependence", STAGE, widest=_ranges(depends, words)[0], **named)
    leaves = rows.where(estimator="tree_node")
    if len(leaves) > 1:
        root = split(leaves.loc[leaves["specification"] == "n", "factor"].iloc[0])[0]
        yield page.show_figure("predict_tree", STAGE, root=lower_first(words.known("columns", root) or root), **named)
    elif len(leaves):
        yield page.text("predict.no_tree", **named)
    yield page.text("predict.card", **named)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the panels, and the tree where it has a branch."""
    if results.where(stage=STAGE, estimator="logistic").empty:
        return {}
    found: dict[str, tuple[Any, ...]] = {}
    if len(results.where(stage=STAGE, estimator="roc")):
        found["predict"] = (panels,)
    if len(results.where(stage=STAGE, estimator="tree_node")) > 1:
        found["predict_tree"] = (tree,)
    if len(results.where(stage=STAGE, estimator="partial_dependence")):
        found["predict_dependence"] = (dependence,)
    return found


def _ranges(depends: pd.DataFrame, words: Words) -> list[tuple[str, float, float]]:
    """Return the lowest and the highest mean prediction by column, the widest range first."""
    found = [
        (words.known("columns", str(name)) or str(name), points["estimate"].min(), points["estimate"].max())
        for name, points in depends.groupby("factor", sort=True)
    ]
    return sorted(found, key=lambda one: one[1] - one[2])


def _meanings(page: Page, rows: Results) -> Iterator[str]:
    """Yield what the design expects beside what comes out at each meaning of hard information."""
    found = {
        name: tuple(optional(rows, "hard_information", name, f"auc_{rung}") for rung in (HARD, ALL))
        for name in ("design", *MEANINGS)
    }
    if any(row is None for pair in found.values() for row in pair):
        return
    expected = found.pop("design")
    met = [
        page.words.label("hard_information", name)
        for name, pair in found.items()
        if all(want.ci_low <= row.estimate <= want.ci_high for row, want in zip(pair, expected, strict=True))
    ]
    yield page.text("predict.meanings", expected=expected, met=met, **found)
    body = [
        [
            page.words.label("hard_information", name),
            *(with_interval(row, 3) for row in pair),
        ]
        for name, pair in found.items()
    ]
    names = ("meaning", "auc_hard", "auc_all")
    table = markdown([page.text(f"predict.columns.{name}") for name in names], body)
    yield page.show_table("predict_meanings", table, STAGE)


def scores(rows: Results, words: Words, last: str) -> str:
    """Every model: areas with intervals, the gain, errors, calibration and what following up would save."""
    body = []
    both = compared(rows) == ALL
    for name in MODELS:
        full = optional(rows, name, last, "auc")
        if full is None:
            continue
        cells = [words.label("score_models", name)]
        hard = optional(rows, name, HARD, "auc") if both else None
        gain = optional(rows, name, ALL, "auc_gain_clustered") if both else None
        if both:
            cells.append(MISSING if hard is None else fixed(hard.estimate, 3))
        cells.append(with_interval(full, 3))
        if both:
            cells.append(MISSING if gain is None else with_interval(gain, 3))
        for estimand, decimals in (
            ("kolmogorov_smirnov", 3),
            ("brier", 4),
            ("calibration_slope", 2),
            ("calibration_intercept", 2),
            ("precision", 1),
            ("recall", 1),
            ("saving", 2),
        ):
            row = optional(rows, name, last, estimand)
            cells.append(MISSING if row is None else fixed(row.estimate, decimals))
        body.append(cells)
    names = ["model", *(["auc_hard"] if both else []), "auc", *(["auc_gain"] if both else [])]
    names += ["kolmogorov_smirnov", "brier", "slope", "intercept", "precision", "recall", "saving"]
    return markdown([words.text(f"predict.columns.{name}") for name in names], body)


def _part(results: Results, rows: Results, name: str) -> Any:
    if name == "market":
        return optional(rows, "logistic", "market", "auc_step")
    if name == "renewed":
        return optional(rows, "logistic", ALL, "auc_gain_on_static")
    return _elsewhere(results, ALL, "auc_gain_clustered")


def _elsewhere(results: Results, rung: str, estimand: str) -> Any:
    return results.first(
        stage=STAGE, specification="other_institutions", estimator="logistic", factor=rung, estimand=estimand
    )
