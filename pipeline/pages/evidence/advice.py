"""What follows for a lender: by rule from the findings, each sentence with its certainty."""

from __future__ import annotations

from typing import Any

from pipeline.analyses.evidence import answer
from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import Book
from pipeline.present.words import lower_first


def context(book: Book) -> dict[str, Any]:
    """Return the paragraphs, one a practice; each speaks of the first two classes of claims alone."""
    return {
        "answers": said.answers(book),
        "paragraphs": [paragraph(book, name) for name in book.word("advice", "factors")],
    }


def paragraph(book: Book, practice: str) -> dict[str, Any]:
    """Return what findings say of a practice, what goes with it unadjusted, and what follows."""
    found = [row for row in book.findings if said.practice_of(book, row) == practice]
    asked = [claim.id for claim in book.ledger.claims if claim.factor == practice]
    related = [
        row
        for row in book.all_parts()
        if row.kind == "association" and row.claim in asked and row.certainty is not None
    ]
    return {
        "factor": practice,
        "effects": [sentence(book, row, row.claims.split()) for row in found],
        "related": [sentence(book, row, [row.claim]) for row in related],
        "conclusion": conclusion(book, found),
    }


def sentence(book: Book, row: Any, claims: list[str]) -> dict[str, Any]:
    """Return a sentence on one number: what was measured where, its size, what it says, how sure that is."""
    return {
        "claims": claims,
        "study": row.study,
        "verdict": row.verdict,
        "text": book.text(
            "advice",
            "sentence",
            row=row,
            lender=book.word("studies", row.study),
            measured=lower_first(book.told_apart(claims[0], row)),
        ),
    }


def conclusion(book: Book, found: list[Any]) -> str:
    """Return what a lender may conclude of a practice: from all findings on it, whatever they say."""
    if not found:
        return book.text("advice", "conclude", "silent")
    counts = answer.counted(found)
    drawn = any(row.design == "randomised" for row in found)
    kind = "open"
    if (counts.less or counts.more) and not (counts.less and counts.more):
        kind = "less" if counts.less else "more"
    elif counts.less and counts.more:
        kind = "mixed"
    elif counts.unclear == 0:
        kind = "none"
    measured = dict.fromkeys(
        book.text("advice", "measure", measured=lower_first(book.compared(row)), lender=book.word("short", row.study))
        for row in found
    )
    return book.text(
        "advice",
        "conclude",
        kind,
        found=counts,
        shown=said.shown(book, counts),
        drawn=drawn,
        weak=weak(counts.best),
        measured=book.join(list(measured)),
        indirect=all(answer.is_proxy(row) for row in found),
    )


def weak(certainty: str) -> bool:
    """Say whether evidence is too unsure to act on."""
    return certainty in ("", "very_low", "low")
