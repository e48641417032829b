"""Draw the figures and write the report, the findings, the headline rows and the metrics."""

import math
import shutil
from typing import Any

from pipeline.core import places, results, store
from pipeline.core.params import Params
from pipeline.core.scope import Scope
from pipeline.present import figures
from pipeline.present.chapters import INSIDE, chapters
from pipeline.present.report import (
    PANDOC,
    Page,
    correlation_kinds,
    effect_row,
    effects_parts,
    labels_of,
    largest_difference,
    raw_factor,
    rungs_of,
    scope_of,
    shown_factors,
    to_html,
    to_pdf,
)
from pipeline.present.trail import Trail
from pipeline.present.words import WIDE, Words
from pipeline.sources.records import load_source

NO_FONT = (
    "no font here has Chinese characters, so the PDF shows none: install one, such as Noto Sans CJK, and run again; "
    "the HTML page is whole"
)


def run(study: str, params: Params) -> str:
    """Write everything that people read; return where the report is."""
    rows = results.read(*sorted((places.reports(study) / "results").glob("*.csv")))
    allowed = scope_of(rows, params.study(study))
    protocol, factors = allowed.protocol, shown_factors(rows, allowed)
    words = Words(params.report.language, study, protocol.module, labels_of(rows))
    folder = places.reports(study)
    rungs = [*rungs_of(protocol), *(("M6", "M7") if allowed.matching else ())]

    shutil.rmtree(folder / "figures", ignore_errors=True)
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
        drawings["ladder"] = (figures.ladder, factors, rungs)
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
        figures.draw(figure, folder / "figures" / f"{name}.svg", rows, words, *choices)

    sources = [load_source(name) for name in protocol.sources]
    trail = Trail(study)
    title = words.text("title")
    for_code_host = Page(rows, params, study, words, trail, sources, "markdown")
    store.write_text(folder / "report.md", for_code_host.render())
    store.write_text(folder / "findings.txt", for_code_host.findings())
    page = Page(rows, params, study, words, trail, sources, "pandoc").render()
    store.write_text(folder / "report.html", to_html(page, PANDOC, title, words, folder))
    store.write_bytes(folder / "report.pdf", to_pdf(page, title, words, folder))

    effects = rows.where(stage="regress", estimator="linear_probability", specification=rungs)
    results.write(folder / "headline.csv", effects[effects["factor"] == "treated"])
    store.write_json(
        folder / "metrics.json",
        _metrics(study, rows, allowed),
    )
    where = f"{folder / 'report.html'}"
    if WIDE.search(page) and not figures.wide_fonts():
        return f"{where} ({NO_FONT})"
    return where


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
