"""Where numbers and cases come from: data, cases, and the trail from each figure and table to its program."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pipeline.pages import cases
from pipeline.pages.evidence.book import Book
from pipeline.pages.evidence.claims import path
from pipeline.present.trail import Trail
from pipeline.sources.records import load_source


def data(book: Book) -> dict[str, Any]:
    """Return the records of the sources, with the studies that use each."""
    used: dict[str, list[str]] = {}
    for study in book.studies:
        for name in book.params.study(study).sources:
            used.setdefault(name, []).append(study)
    listed = []
    for name, by in used.items():
        record = load_source(name)
        measures = book.measured_by(name, by[0])
        listed.append({"record": record, "named": record.named(book.language), "studies": by, "measures": measures})
    return {"records": listed}


def chosen_cases(book: Book) -> dict[str, Any]:
    """Return the cases of the first simulated study; none where its stage has not run."""
    study = book.simulated[0]
    found = book.found[study]
    return {
        "study": study,
        "pairs": list(cases.pairs(found, book.word)),
        "lenders": list(cases.lenders(found, book.word)),
        "panels": cases.scatter(found, book.word),
    }


def trail(book: Book) -> dict[str, Any]:
    """Return each study's figures and tables with the program that made them, in this language as far as known."""
    listed, twin = [], book.language == book.params.report.twin
    for study in book.studies:
        names = Trail(study)
        shown = [
            {
                "kind": item["kind"],
                "number": item["number"],
                "file": item["file"] and book.picture(study, PurePosixPath(item["file"]).stem),
                "stage": item["stage"],
                "caption": (twin and item.get("caption_twin")) or item["caption"],
                "as_written": not (twin and item.get("caption_twin")),
                "parameters": names.sentence(item["stage"]),
                "rows": book.found[study].where(stage=item["stage"]).shape[0],
            }
            for item in book.contents.get(study, ())
        ]
        listed.append({"study": study, "shown": shown})
    return {"listed": listed, "example": example(book)}


def example(book: Book) -> dict[str, str]:
    """Return the first row of a real lender that decides a claim, to show how the command names one."""
    for row in book.all_parts():
        if row.study in book.real:
            return {"claim": row.claim, "study": row.study, "row": path(row)}
    return {"claim": book.ledger.claims[0].id, "study": book.studies[0], "row": ""}
