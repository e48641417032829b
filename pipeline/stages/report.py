"""Draw the figures and write the report, the findings, the headline rows and the metrics."""

import shutil

import pandas as pd

from pipeline.analyses.predict import card
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.pages.drawings import draw_all, rungs_shown
from pipeline.pages.metrics import metrics
from pipeline.pages.report import CONTENTS, Report
from pipeline.present import figures
from pipeline.present.documents import PANDOC, to_html, to_pdf, untranslated
from pipeline.present.page import labels_of, scope_of
from pipeline.present.trail import Trail
from pipeline.present.words import Words, there
from pipeline.runtime import journal, places, store
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.sources.scores import read_json


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
    trail, title = Trail(study), words.text("title")
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
    store.write_json(folder / "metrics.json", metrics(rows, allowed))
    return f"{folder / 'report.html'}{figures.missing_font(page)}"


def model_card(study: str, params: Params, words: Words) -> str:
    """Return the card of the saved score, from the rows of `predict` alone and the score itself."""
    model = read_json(places.reports(study) / "model.json", f"make reproduce STUDY={study}")
    rows, simulated = results.read(places.results(study, "predict")), params.study(study).design == "simulated"
    return card.card(rows, model, words, params.inference.level, simulated=simulated)
