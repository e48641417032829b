"""Draw the figures and write the report, the findings, the headline rows and the metrics."""

import shutil

from pipeline.core import places, results, store
from pipeline.core.params import Params, Study
from pipeline.present import figures
from pipeline.present.report import (
    PANDOC,
    Page,
    correlation_kinds,
    effect_row,
    effects_parts,
    largest_difference,
    rungs_of,
    to_html,
    to_pdf,
)
from pipeline.present.trail import Trail
from pipeline.present.words import Words
from pipeline.sources.records import load_source


def run(study: str, params: Params) -> str:
    """Write everything that people read; return where the report is."""
    protocol = params.study(study)
    rows = results.read(*sorted((places.reports(study) / "results").glob("*.csv")))
    words = Words(params.report.language, study)
    folder = places.reports(study)
    factors = ["treated", *protocol.factors]
    rungs = [*rungs_of(protocol), "M6", "M7"]

    shutil.rmtree(folder / "figures", ignore_errors=True)
    drawings = {
        "flow": (figures.flow,),
        "raw": (figures.raw, next(iter(protocol.doses))),
        "rates": (figures.rates, protocol.groups),
        "balance": (figures.balance, params.checks.balance),
        "overlap": (figures.overlap,),
        "correlations": (figures.correlations, factors, correlation_kinds(protocol)),
        "ladder": (figures.ladder, factors, rungs),
    }
    if protocol.recovery:
        drawings["recovery"] = (figures.recovery,)
    for part in effects_parts(words):
        if part.get("figure") == "event_study":
            drawings["event_study"] = (figures.event_study,)
        elif "figure" in part:
            drawings[part["figure"]] = (figures.forest, part["estimators"])
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
        _metrics(study, rows, protocol),
    )
    return f"{folder / 'report.html'}"


HEADLINE_ESTIMANDS = ["risk_difference", "risk_difference_of_treated", "effect_on_compliers", "log_rate_ratio"]
"""Effects of the programme, among the rows of the stage effects."""


def _metrics(study: str, rows: results.Results, protocol: Study) -> dict[str, dict[str, object]]:
    """Return what `dvc metrics diff` compares: effects in percentage points, with intervals, and the balance."""
    metrics: dict[str, object] = {}
    names = {"M1": "raw", list(rungs_of(protocol))[-1]: "all controls", "M6": "matched pairs"}
    for factor in ("treated", *([protocol.treatment.factor] if protocol.treatment else [])):
        for rung, name in names.items():
            row = effect_row(rows, factor, rung)
            metrics[f"{factor}, {name}"] = {"points": row.estimate, "ci_low": row.ci_low, "ci_high": row.ci_high}
    for row in rows.where(stage="effects", outcome="default", estimand=HEADLINE_ESTIMANDS).itertuples():
        if row.estimator != "event_study":
            name = row.estimator.replace("_", " ")
            metrics[name] = {"estimate": row.estimate, "p_value": row.p_value}
    for sample in ("before", "after"):
        metrics[f"largest difference {sample} matching"] = abs(float(largest_difference(rows, sample)["estimate"]))
    for name in ("loans", "defaults", "treated", "matched_treated"):
        metrics[f"number of {name.replace('_', ' ')}"] = int(rows.one(estimator="count", factor=name).estimate)
    return {study: metrics}
