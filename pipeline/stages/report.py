"""Draw the figures and write the report, the findings, the headline rows and the metrics."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.analyses.predict import card
from pipeline.core import results
from pipeline.core.params import Params, rungs_of
from pipeline.core.scope import Scope
from pipeline.pages.chapters import INSIDE, chapters
from pipeline.pages.report import CONTENTS, Report
from pipeline.present import figures
from pipeline.present.documents import PANDOC, to_html, to_pdf, untranslated
from pipeline.present.page import (
    correlation_kinds,
    effect_row,
    effects_parts,
    labels_of,
    largest_difference,
    raw_factor,
    scope_of,
    shown_factors,
)
from pipeline.present.trail import Trail
from pipeline.present.words import Words, there
from pipeline.runtime import journal, places, store
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source


def run(study: str, params: Params) -> str:
    """Write everything that people read; return where the report is."""
    tables = places.reports(study) / "results"
    rows = results.read(*sorted(tables.glob("*.csv")))
    journal.note("read", tables, len(rows.frame))
    if rows.where(stage="describe").empty:
        raise StudyError(f"{tables} holds no rows of the stage describe: run make reproduce STUDY={study}.")
    allowed = scope_of(rows, params.study(study))
    protocol = allowed.protocol
    folder = places.reports(study)
    language, twin = params.report.language, params.report.twin
    labels = labels_of(rows)
    words = Words(language, study, protocol.module, labels)
    second = Words(twin, study, protocol.module, labels) if there(twin, study, protocol.module) else None
    draw_all(rows, words, allowed, params, folder / "figures")

    sources = [load_source(name) for name in protocol.sources]
    trail = Trail(study)
    title = words.text("title")
    for_code_host = Report(rows, params, study, words, trail, sources, "markdown")
    store.write_text(folder / "report.md", for_code_host.render())
    store.write_text(folder / "findings.txt", for_code_host.findings())
    if not rows.where(stage="predict").empty:
        store.write_text(folder / "model_card.md", model_card(study, params, words))
    store.write_csv(folder / "contents.csv", pd.DataFrame(for_code_host.contents, columns=list(CONTENTS)))
    page = Report(rows, params, study, words, trail, sources, "pandoc").render()
    other, pictures = f"report.{twin}.html", f"figures_{twin}"
    beside = (other, second) if second else None
    store.write_text(folder / "report.html", to_html(page, PANDOC, title, words, folder, beside))
    store.write_bytes(folder / "report.pdf", to_pdf(page, title, words, folder))

    # What stood beside the report when its language was the other one.
    (folder / f"report.{language}.html").unlink(missing_ok=True)
    shutil.rmtree(folder / f"figures_{language}", ignore_errors=True)
    # The same page in the other language.
    shown = second or words
    if second:
        draw_all(rows, second, allowed, params, folder / pictures)
        text = Report(rows, params, study, second, trail, sources, "pandoc", pictures).render()
    else:
        shutil.rmtree(folder / pictures, ignore_errors=True)
        (folder / pictures).mkdir()
        text = untranslated(words)
    back = ("report.html", words)
    store.write_text(folder / other, to_html(text, PANDOC, shown.text("title"), shown, folder, back))

    rungs = rungs_shown(allowed)
    effects = rows.where(stage="regress", estimator="linear_probability", specification=rungs)
    results.write(folder / "headline.csv", effects[effects["factor"] == "treated"])
    store.write_json(
        folder / "metrics.json",
        _metrics(study, rows, allowed),
    )
    return f"{folder / 'report.html'}{figures.missing_font(page)}"


def model_card(study: str, params: Params, words: Words) -> str:
    """Return the card of the saved score, from the rows of `predict` alone and the score itself."""
    model = json.loads((places.reports(study) / "model.json").read_text(encoding="utf-8"))
    rows = results.read(places.results(study, "predict"))
    simulated = params.study(study).design == "simulated"
    return card.card(rows, model, words, params.inference.level, simulated=simulated)


def rungs_shown(allowed: Scope) -> list[str]:
    """Return the rungs of the regression ladder that the page shows."""
    return [*rungs_of(allowed.protocol), *(("M6", "M7") if allowed.matching else ())]


def draw_all(rows: results.Results, words: Words, allowed: Scope, params: Params, folder: Path) -> None:
    """Draw the page's figures into a folder, which then holds nothing else."""
    protocol, factors = allowed.protocol, shown_factors(rows, allowed)
    shutil.rmtree(folder, ignore_errors=True)
    drawings: dict[str, tuple[Any, ...]] = {"flow": (figures.flow,)}
    if allowed.arms or protocol.doses:
        drawings["raw"] = (figures.raw, raw_factor(protocol, allowed.arms))
    if protocol.groups:
        drawings["rates"] = (figures.rates, protocol.groups)
    if allowed.matching:
        drawings["balance"] = (figures.balance, params.checks.balance)
        drawings["overlap"] = (figures.overlap,)
    if allowed.models:
        drawings["correlations"] = (figures.correlations, factors, correlation_kinds(protocol))
        drawings["ladder"] = (figures.ladder, factors, rungs_shown(allowed))
    if protocol.recovery:
        drawings["recovery"] = (figures.recovery,)
    for part in effects_parts(words):
        if part.get("figure") == "event_study":
            drawings["event_study"] = (figures.event_study,)
        elif "figure" in part:
            drawings[part["figure"]] = (figures.forest, part["estimators"])
    for chapter in [*chapters(rows, INSIDE), *chapters(rows)]:
        drawings |= chapter.drawings(rows, words, allowed)
    for name, (figure, *choices) in drawings.items():
        figures.draw(figure, folder / f"{name}.svg", rows, words, *choices)


HEADLINE_ESTIMANDS = ["risk_difference", "risk_difference_of_treated", "effect_on_compliers", "log_rate_ratio"]
"""Effects of the programme, among the rows of the stage effects."""


def _metrics(study: str, rows: results.Results, allowed: Scope) -> dict[str, dict[str, object]]:
    """Return what `dvc metrics diff` compares: effects in percentage points, with intervals, and the balance."""
    metrics: dict[str, object] = {}
    protocol = allowed.protocol
    names = {"M1": "raw", list(rungs_of(protocol))[-1]: "all controls", "M6": "matched pairs"}
    shown = shown_factors(rows, allowed)
    if allowed.arms:
        shown = ["treated", *([protocol.treatment.factor] if protocol.treatment else [])]
    for factor in shown if allowed.models else []:
        for rung, name in names.items():
            if rung == "M6" and not allowed.matching:
                continue
            row = effect_row(rows, factor, rung)
            if math.isnan(row.estimate):
                continue
            metrics[f"{factor}, {name}"] = {"points": row.estimate, "ci_low": row.ci_low, "ci_high": row.ci_high}
    for row in rows.where(stage="effects", outcome="default", estimand=HEADLINE_ESTIMANDS).itertuples():
        if row.estimator != "event_study":
            name = row.estimator.replace("_", " ")
            metrics[name] = {"estimate": row.estimate, "p_value": row.p_value}
    for sample in ("before", "after") if not rows.where(estimator="balance").empty else ():
        metrics[f"largest difference {sample} matching"] = abs(float(largest_difference(rows, sample)["estimate"]))
    for name in ("loans", "defaults", *(("treated", "matched_treated") if allowed.matching else ())):
        metrics[f"number of {name.replace('_', ' ')}"] = int(rows.one(estimator="count", factor=name).estimate)
    return {study: metrics}
