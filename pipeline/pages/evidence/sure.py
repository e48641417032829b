"""How sure could we be? For each practice the data that would settle its effect, against the most there is here."""

from __future__ import annotations

from typing import Any

from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import Book, lines
from pipeline.present.numerals import percent, whole

SIZES = ("loans", "loans_by_branch", "loans_equivalent", "loans_equivalent_by_branch")
"""Numbers of loans, as the table of what is needed calls them."""


def context(book: Book) -> dict[str, Any]:
    """Return the loans that a lender's default rate asks for, and a section a practice: the design, what to record."""
    needed: dict[str, list[Any]] = {}
    for row in lines(book.tables.needed):
        if row.study in book.real:
            needed.setdefault(row.practice, []).append(row)
    # How many loans an effect takes depends on the lender alone, so that each practice has the same rows.
    lenders = [
        {
            "study": row.study,
            "rate": percent(row.rate),
            "margin": book.amount("percentage points", row.margin),
            **{size: whole(getattr(row, size)) for size in SIZES},
        }
        for row in next(iter(needed.values()))
    ]
    return {"lenders": lenders, "practices": [practice(book, name, rows) for name, rows in needed.items()]}


def practice(book: Book, name: str, rows: list[Any]) -> dict[str, Any]:
    """Return a practice's section."""
    ids = (rows[0].claims or "").split()
    asked = [claim for claim in book.ledger.claims if claim.id in ids]
    own = [row for row in book.findings if said.practice_of(book, row) == name]
    of = {study: [row for row in own if row.study == study] for study in book.real}
    return {
        "name": name,
        "claims": ids,
        "record": [
            {"claim": claim.id, "text": text} for claim in asked if (text := getattr(claim, f"needs_{book.language}"))
        ],
        "here": [largest(book, study, found) for study, found in of.items() if found],
    }


def largest(book: Book, study: str, found: list[Any]) -> str:
    """Return the largest finding of a lender on a practice: its loans, and the least that it could have seen."""
    one = max(found, key=lambda row: row.n)
    return book.text("sure", "here", lender=book.word("short", study), n=whole(one.n), least=book.least(one))
