"""Draw the figures and write the report, the findings, the headline rows and the metrics."""

import shutil

import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.params import Params
from pipeline.present import figures
from pipeline.present.report import (
    Page,
    correlation_kinds,
    findings,
    largest_difference,
    rungs_of,
    write_html,
    write_pdf,
)
from pipeline.present.trail import Trail
from pipeline.present.words import Words
from pipeline.sources.records import load_source


def run(study: str, params: Params) -> str:
    """Write everything that people read; return where the report is."""
    protocol = params.study(study)
    rows = results.read(*(places.results(study, stage) for stage in ("describe", "correlate", "regress")))
    words = Words(params.report.language, study)
    folder = places.reports(study)
    factors = ["treated", *protocol.factors]
    rungs = [*rungs_of(protocol), "M6", "M7"]

    shutil.rmtree(folder / "figures", ignore_errors=True)
    drawings = {
        "flow": (figures.flow,),
        "raw": (figures.raw, protocol.treatment.factor),
        "rates": (figures.rates, protocol.groups),
        "balance": (figures.balance, params.checks.balance),
        "overlap": (figures.overlap,),
        "correlations": (figures.correlations, factors, correlation_kinds(protocol)),
        "ladder": (figures.ladder, factors, rungs),
    }
    for name, (figure, *choices) in drawings.items():
        figures.draw(figure, folder / "figures" / f"{name}.svg", rows, words, *choices)

    sources = [load_source(name) for name in protocol.sources]
    trail = Trail(study)
    language, title = params.report.language, words.text("title")
    store.write_text(
        folder / "report.md", Page(rows, params, study, words, trail, sources, "markdown").render()
    )
    page = Page(rows, params, study, words, trail, sources, "pandoc").render()
    write_html(page, title, language, folder, folder / "report.html")
    write_pdf(page, title, language, folder, folder / "report.pdf")

    found = findings(rows, words, params, study)
    store.write_text(
        folder / "findings.txt", "\n".join([found.lead, *(f"- {sentence}" for sentence in found.others)])
    )
    headline = rows.where(stage="regress", estimator=["linear_probability"])
    headline = headline[~headline["specification"].str.startswith("R")]
    results.write(folder / "headline.csv", headline)
    store.write_json(folder / "metrics.json", _metrics(study, rows, headline))
    return f"{folder / 'report.html'}"


def _metrics(study: str, rows: results.Results, headline: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Return what `dvc metrics diff` compares: effects in percentage points, with intervals, and the balance."""
    metrics: dict[str, object] = {}
    for row in headline.itertuples():
        if row.factor == "treated" or row.specification in ("M1", "M5"):
            effect = {"points": row.estimate, "ci_low": row.ci_low, "ci_high": row.ci_high}
            metrics[f"{row.factor} {row.specification}"] = effect
    for sample in ("before", "after"):
        metrics[f"largest difference {sample} matching"] = abs(
            float(largest_difference(rows, sample)["estimate"])
        )
    for name in ("loans", "defaults", "treated", "matched_treated"):
        metrics[f"number of {name.replace('_', ' ')}"] = int(
            rows.one(estimator="count", factor=name).estimate
        )
    return {study: metrics}
