"""Every claim with all that bears on it: verdicts, certainty and why, and each row that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from pipeline.core.results import KEY as ROW
from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import KEY, Book, start_at
from pipeline.pages.evidence.first import APART, cell, overall
from pipeline.present.labels import Method
from pipeline.present.trail import Trail
from pipeline.present.words import upper_first
from pipeline.sources.claims import ALL, Bearing, Claim
from pipeline.sources.records import load_source

OPEN = ("simulated_only", "not_testable", "inconclusive", "not_done", "partly")
"""Verdicts beside which it is said what would decide the claim."""


def context(book: Book) -> dict[str, Any]:
    """Return what the page of claims shows."""
    shared = same_numbers(book)
    methods = {(one.estimator, one.outcome): one for one in said.tried(book)}
    documents: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for claim in book.ledger.claims:
        if claim.kind in APART:
            continue
        shown = {
            "claim": claim,
            "text": book.claim_text(claim),
            "needs": getattr(claim, f"needs_{book.language}"),
            "overall": overall(book, claim),
            "seen": [seen(book, claim, study, shared, methods) for study in answering(book, claim)],
            "unanswered": [
                {"study": study, "reason": reason} for study in book.studies if (reason := book.silent(claim, study))
            ],
        }
        documents.setdefault(claim.document, {}).setdefault(claim.section, []).append(shown)
    return {"by_document": documents, "made": made(book), "open": OPEN}


def answering(book: Book, claim: Claim) -> list[str]:
    """Return the studies that say something of a claim."""
    return [row.study for row in book.told(claim, book.studies)]


def same_numbers(book: Book) -> Mapping[tuple[Any, ...], list[str]]:
    """Return the claims that each coefficient decides: several may rest on one and the same number."""
    found: dict[tuple[Any, ...], dict[str, None]] = {}
    for row in book.all_parts():
        if row.estimate is not None:
            found.setdefault(tuple(getattr(row, name) for name in KEY), {})[row.claim] = None
    return {key: list(claims) for key, claims in found.items()}


def seen(
    book: Book,
    claim: Claim,
    study: str,
    shared: Mapping[tuple[Any, ...], list[str]],
    methods: Mapping[tuple[str, str], Method],
) -> dict[str, Any]:
    """Return everything that a study says of a claim.

    Parameters
    ----------
    book
        Words and tables.
    claim, study
        What is asked of whom.
    shared
        Claims by coefficient.
    methods
        The methods that were tried in simulated worlds, by estimator and outcome.
    """
    bearings: Sequence[Bearing | None] = [
        one for one in book.ledger.bearings if (one.claim, one.study) == (claim.id, study)
    ]
    parts = book.parts(claim.id, study)
    return cell(book, claim, study) | {
        "selected": book.limit(ALL, study, "selected"),
        "parts": [
            part(book, row, one, shared) | {"by": by(book, row, methods) if study in book.simulated else None}
            for row, one in zip_longest(parts, bearings[: len(parts)])
        ],
    }


def part(book: Book, row: Any, bearing: Bearing | None, shared: Mapping[tuple[Any, ...], list[str]]) -> dict[str, Any]:
    """Return a deciding row: its number, all that judges it, and where it stands."""
    key = tuple(getattr(row, name) for name in KEY)
    return {
        "verdict": row.verdict,
        "label": book.word("verdicts", row.verdict),
        "measured": upper_first(book.measured(row.study, row.factor)),
        "reverse": bearing is not None and bearing.reverse,
        "size": book.size(row),
        "margin": book.margin(row),
        "p": book.p(row.p_value),
        "p_adjusted": book.p(row.p_adjusted),
        "p_family": book.p(row.p_family),
        "least": book.least(row),
        "n": book.count(row.n),
        "certainty": book.certainty(row),
        "because": because(book, row),
        "argument": getattr(bearing, f"argument_{book.language}") if bearing else "",
        "same": [name for name in shared.get(key, []) if name != row.claim],
        "row": path(row),
        "stage": row.stage,
        "figure": book.shown_in(row),
    }


def because(book: Book, row: Any) -> str:
    """Return why a row has its verdict; what the loans did not allow has the note of its stage."""
    if row.verdict == "inconclusive":
        start = start_at(row)
        beyond = row.ci_low > start or row.ci_high < start
        return str(book.word("meanings", "corrected" if beyond else "inconclusive"))
    return str(book.word("meanings", row.verdict))


def by(book: Book, row: Any, methods: Mapping[tuple[str, str], Method]) -> str:
    """Return by which method a simulated verdict was found, and what simulated worlds say of that method."""
    name = row.estimator
    if name == "linear_probability" and row.factor == "treated":
        name = "raw_difference" if row.specification == "M1" else name
    elif name == "linear_probability":
        name = ""
    method = methods.get((name, row.outcome))
    if method is None:
        return book.text("by", "untried", name=book.word("by", "stages", row.stage))
    label = book.recovered(method.label)
    return book.text("by", "tried", name=book.word("methods", "estimators", name), label=label)


def path(row: Any) -> str:
    """Name a row by its parts."""
    return " / ".join(filter(None, (getattr(row, name) for name in ROW[1:])))


def made(book: Book) -> list[dict[str, Any]]:
    """Return each study's stages that decide a claim, with their parameters and the data of the study."""
    found = []
    for study in book.studies:
        trail = Trail(study)
        stages = sorted({row.stage for row in book.all_parts() if row.study == study})
        found.append(
            {
                "study": study,
                "stages": [{"stage": stage, "parameters": trail.sentence(stage)} for stage in stages],
                "sources": [load_source(name).title for name in book.params.study(study).sources],
            }
        )
    return found
