"""Sentences and table rows from the findings that the first screen, the advice and the paper share."""

from __future__ import annotations

from typing import Any

from pipeline.analyses.evidence.answer import Counted, answer
from pipeline.analyses.evidence.findings import PRACTICES
from pipeline.pages.evidence.book import Book, before_correction
from pipeline.present.labels import ASKED, Method, methods
from pipeline.present.numerals import whole
from pipeline.present.words import lower_first, upper_first


def answers(book: Book) -> list[str]:
    """Return the answer to the title, a sentence each: programmes, randomised practices, observed practices."""
    found = answer(book.findings)
    return [
        book.text("answer", "direct", found=found.direct, shown=shown(book, found.direct)),
        *(randomised(book, row, place) for place, row in enumerate(found.randomised)),
        *([] if found.randomised else [book.text("answer", "no_lots")]),
        book.text("answer", "observed", found=found.observed, shown=shown(book, found.observed)),
    ]


def shown(book: Book, found: Counted) -> str:
    """Return how many findings show what; less and more default are named even where none shows it."""
    always = ("less", "more")
    # What matters comes first, so that "none more" cannot be read of any amount.
    names = (*always, "less_small", "more_small", "none", "unclear")
    counts = {name: getattr(found, name) for name in names}
    parts = [book.text("answer", "shown", name, n=n) for name, n in counts.items() if n or name in always]
    return book.word("answer", "last").join([book.word("answer", "list").join(parts[:-1]), parts[-1]])


def randomised(book: Book, row: Any, place: int) -> str:
    """Return the sentence on a randomised finding."""
    return book.text(
        "answer",
        "randomised",
        row.verdict,
        first=place == 0,
        row=row,
        measured=lower_first(book.measured(row.study, row.factor)),
        lender=book.word("inside", row.study),
    )


def finding(book: Book, row: Any) -> dict[str, Any]:
    """Return a finding as a row of the table of findings."""
    claims = row.claims.split()
    return {
        "study": row.study,
        "practice": upper_first(book.measured(row.study, row.factor)),
        "reverse": any(book.reverse(claim, row.study, row.factor) for claim in claims),
        "n": whole(row.n),
        # The column's head names percentage points.
        "size": book.short(row) if row.unit == "percentage points" else book.size(row),
        "per": book.word("formats", "per", row.per or "none") if row.unit == "percentage points" else "",
        "verdict": row.verdict,
        "before_correction": before_correction(row),
        "design": row.design,
        "certainty": book.certainty(row),
        "claims": claims,
        "texts": [book.claim_text(claim) for claim in book.ledger.claims if claim.id in claims],
        "report": book.report(row.study),
    }


def practice_of(book: Book, row: Any) -> str:
    """Return the practice that a finding is about: that of its column, else that of its first claim."""
    factors = {claim.id: claim.factor for claim in book.ledger.claims}
    return next((name for name in PRACTICES if row.factor.startswith(name)), factors[row.claims.split()[0]])


def tried(book: Book) -> list[Method]:
    """Return the methods that were tried in simulated worlds, with their labels."""
    return methods(book.found[book.simulated[0]])


def simulation(book: Book) -> str:
    """Return the paragraph on what the simulation adds."""
    found = tried(book)

    def named(ones: list[Method]) -> str:
        names = dict.fromkeys(book.word("methods", "estimators", one.estimator) for one in ones)
        return str(book.word("semicolon")).join(names)

    # A placebo outcome tells of no effect that could be recovered.
    found = [one for one in found if one.truth]
    asked = [one for one in found if one.estimator in ASKED]
    good = [one for one in found if one.label == "recovers"]
    return book.text(
        "simulation",
        of=len(found),
        worlds=whole(max((one.worlds for one in found), default=0)),
        recovers=len(good),
        names=named(good),
        not_told=sum(one.label == "not_told" for one in found),
        asked=len(asked),
        asked_recovers=sum(one.label == "recovers" for one in asked),
        asked_names=named(asked),
    )
