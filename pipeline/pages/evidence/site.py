"""All pages of the evidence in a language, by path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.pages.evidence import advice, claims, first, methods, requirements, sources, sure
from pipeline.pages.evidence.book import PAGES, STYLE, Book, path_of
from pipeline.present.words import TEMPLATES, environment

CONTEXTS: dict[str, Callable[[Book], dict[str, Any]]] = {
    "index": first.context,
    "claims": claims.context,
    "advice": advice.context,
    "sure": sure.context,
    "requirements": requirements.context,
    "methods": methods.context,
    "cases": sources.chosen_cases,
    "data": sources.data,
    "trail": sources.trail,
}
"""What each page shows."""


def pages(book: Book) -> dict[Path, str]:
    """Return the text of every page and of their style, by path."""
    style = {STYLE: (TEMPLATES / "evidence" / STYLE.name).read_text(encoding="utf-8")}
    return style | {path_of(name, book.language): page(book, name) for name in PAGES}


def page(book: Book, name: str) -> str:
    """Return one page."""
    return (
        environment("html")
        .get_template(f"evidence/{name}.html")
        .render(
            page=name,
            pages=PAGES,
            language=book.language,
            root="" if name == "index" else "../",
            link=lambda to: book.link(name, to),
            report=book.report,
            picture=book.picture,
            other=book.link(name, name, "en" if book.language == "zh" else "zh"),
            word=book.word,
            text=book.text,
            studies=book.studies,
            real=book.real,
            simulated=book.simulated,
            **CONTEXTS[name](book),
        )
    )
