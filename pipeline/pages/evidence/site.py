"""All pages of the evidence in a language, by path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.pages.evidence import advice, claims, first, methods, requirements, sources, sure
from pipeline.pages.evidence.book import Book, path_of
from pipeline.present import site
from pipeline.present.words import LANGUAGES, environment

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
    """Return the text of every page, by path."""
    return {path_of(name, book.language): page(book, name) for name in CONTEXTS}


def page(book: Book, name: str) -> str:
    """Return one page."""
    other = next(language for language in LANGUAGES if language != book.language)
    body = (
        environment("html")
        .get_template(f"evidence/{name}.html")
        .render(
            root="" if name == "index" else "../",
            link=lambda to: book.link(name, to),
            report=book.report,
            notebook=lambda to: site.notebook_of(to, book.language),
            picture=book.picture,
            word=book.word,
            text=book.text,
            studies=book.studies,
            real=book.real,
            simulated=book.simulated,
            **CONTEXTS[name](book),
        )
    )
    title = book.word("title") if name == "index" else book.word("titles", name)
    here = site.Here(site.file_of(name, book.language), book.language, path_of(name, other).name, "wide")
    return site.page(body, title, here, book.site)
