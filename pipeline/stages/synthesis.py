"""Lay the CRM factors' effects of all studies side by side, and pool those that are alike."""

import shutil
from itertools import groupby

import pandas as pd

from pipeline.analyses.synthesis.rows import FOLDER, rows
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.pages.subject_forest import forest
from pipeline.pages.subjects import subjects
from pipeline.pages.synthesis import SynthesisPage
from pipeline.present import figures, synthesis_figures
from pipeline.present.documents import PANDOC, to_html, to_pdf, untranslated
from pipeline.present.page import Flavour
from pipeline.present.words import Words, there
from pipeline.runtime import journal, places, store


def run(study: None, params: Params) -> str:
    """Write the synthesis rows, the forest and the page."""
    protocols = {name: params.study(name) for name in params.compared}
    estimated = {name: _estimated(name) for name in protocols}
    cohorts = {name: _loans(name) for name, protocol in protocols.items() if not protocol.simulated}
    pooled = rows(estimated, cohorts, protocols, params.inference.level, params.synthesis.reversed)
    results.write(places.results(FOLDER, "synthesis"), results.table(FOLDER, "synthesis", pooled))

    folder = places.reports(FOLDER)
    found = results.read(places.results(FOLDER, "synthesis"))
    language, twin = params.report.language, params.report.twin
    modules = {name: protocol.module for name, protocol in protocols.items()}
    translated = all(there(twin, name, module) for name, module in {FOLDER: FOLDER, **modules}.items())
    words = Words(language, FOLDER)
    title, other = words.text("title"), f"report.{twin}.html"

    def page(own: Words, flavour: Flavour, pictures: str) -> str:
        of_study = {name: Words(own.language, name, module) for name, module in modules.items()}
        if flavour == "pandoc":
            figures.draw(synthesis_figures.synthesis, folder / pictures / "forest.svg", found, own, of_study)
            for name, kinds in groupby(subjects(found, own, of_study), key=lambda one: one.name):
                figures.draw(forest, folder / pictures / f"{name}.svg", list(kinds), found, own, of_study)
        return SynthesisPage(found, params, own, of_study, flavour, pictures).render()

    second = Words(twin, FOLDER) if translated else None
    store.write_text(folder / "report.md", page(words, "markdown", "figures"))
    first = page(words, "pandoc", "figures")
    beside = (other, second) if second else None
    store.write_text(folder / "report.html", to_html(first, PANDOC, title, words, folder, beside))
    store.write_bytes(folder / "report.pdf", to_pdf(first, title, words, folder))
    # What stood beside the page when its language was the other one.
    (folder / f"report.{language}.html").unlink(missing_ok=True)
    shutil.rmtree(folder / f"figures_{language}", ignore_errors=True)
    (folder / f"figures_{twin}").mkdir(exist_ok=True)
    text = page(second, "pandoc", f"figures_{twin}") if second else untranslated(words)
    shown, back = second or words, ("report.html", words)
    store.write_text(folder / other, to_html(text, PANDOC, shown.text("title"), shown, folder, back))
    return f"{folder / 'report.html'}{figures.missing_font(first)}"


def _estimated(study: str) -> results.Results:
    """Read what a study's stages have found that the studies are compared by."""
    found = results.read(*(places.results(study, stage) for stage in ("describe", "regress", "robustness")))
    journal.note("read", places.results(study, "any").parent, len(found.frame))
    return found


def _loans(study: str) -> pd.DataFrame:
    """Read a lender's loans."""
    return store.read_parquet(places.processed(study) / "cohort.parquet")
