"""Draw the figures and write the report, the findings, the headline rows and the metrics."""

import shutil

import pandas as pd

from pipeline.analyses.predict import card
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.pages.drawings import draw_all, rungs_shown
from pipeline.pages.metrics import metrics
from pipeline.pages.report import CONTENTS, Report
from pipeline.pages.written import claims_on, read
from pipeline.present import figures
from pipeline.present.documents import PANDOC, to_html, to_pdf, untranslated
from pipeline.present.page import labels_of, scope_of
from pipeline.present.shown import Flavour
from pipeline.present.trail import Trail
from pipeline.present.words import Words, there
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.sources.scores import read_json


def run(study: str, params: Params) -> str:
    """Write everything that people read; return where the report is."""
    rows, folder = read(study), places.reports(study)
    if rows.where(stage="describe").empty:
        raise StudyError(f"{folder} holds no rows of the stage describe: run make reproduce STUDY={study}.")
    allowed = scope_of(rows, params.study(study))
    protocol = allowed.protocol
    language, twin = params.report.language, params.report.twin
    labels = labels_of(rows)
    words = Words(language, study, protocol.module, labels)
    second = Words(twin, study, protocol.module, labels) if there(twin, study, protocol.module) else None
    draw_all(rows, words, allowed, params, folder / "figures")
    title, behind = words.text("title"), (Trail(study), [load_source(name) for name in protocol.sources])

    def report(own: Words, flavour: Flavour, pictures: str = "figures") -> Report:
        return Report(rows, params, study, own, *behind, flavour, pictures, claims_on(study))

    for_code_host = report(words, "markdown")
    store.write_text(folder / "report.md", for_code_host.render())
    store.write_text(folder / "findings.txt", for_code_host.findings())
    if not rows.where(stage="predict").empty:
        store.write_text(folder / "model_card.md", model_card(study, params, words))
    listed = pd.DataFrame(for_code_host.contents, columns=list(CONTENTS))
    page = report(words, "pandoc").render()
    other, pictures = f"report.{twin}.html", f"figures_{twin}"
    beside = (other, second) if second else None
    store.write_text(folder / "report.html", to_html(page, PANDOC, title, words, folder, beside))
    store.write_bytes(folder / "report.pdf", to_pdf(page, title, words, folder))

    # What stood beside the report when its language was the other one.
    (folder / f"report.{language}.html").unlink(missing_ok=True)
    shutil.rmtree(folder / f"figures_{language}", ignore_errors=True)
    shown = second or words
    if second:
        draw_all(rows, second, allowed, params, folder / pictures)
        turned = report(second, "pandoc", pictures)
        text, listed["caption_twin"] = turned.render(), [one["caption"] for one in turned.contents]
    else:
        shutil.rmtree(folder / pictures, ignore_errors=True)
        (folder / pictures).mkdir()
        text = untranslated(words)
    store.write_text(folder / other, to_html(text, PANDOC, shown.text("title"), shown, folder, ("report.html", words)))
    store.write_csv(folder / "contents.csv", listed)

    effects = rows.where(stage="regress", estimator="linear_probability", specification=rungs_shown(allowed))
    results.write(folder / "headline.csv", effects[effects["factor"] == "treated"])
    store.write_json(folder / "metrics.json", metrics(rows, allowed))
    return f"{folder / 'report.html'}{figures.missing_font(page)}"


def model_card(study: str, params: Params, words: Words) -> str:
    """Return the card of the saved score, from the rows of `predict` alone and the score itself."""
    model = read_json(places.reports(study) / "model.json", f"make reproduce STUDY={study}")
    rows, simulated = results.read(places.results(study, "predict")), params.study(study).design == "simulated"
    return card.card(rows, model, words, params.inference.level, simulated=simulated)
