"""The first screen: the answer, the findings, what the simulation adds, counts, and the map."""

from __future__ import annotations

from typing import Any

from pipeline.analyses.evidence.rows import OF_CRM, OVERALL
from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import Book, path_of
from pipeline.sources.claims import Claim

APART = ("requirement", "none")
"""Classes that say nothing about the world: they stand on a page of their own, or nowhere."""


def context(book: Book) -> dict[str, Any]:
    """Return what the first screen shows."""
    claims = [claim for claim in book.ledger.claims if claim.kind not in APART]
    kinds = list(dict.fromkeys(claim.kind for claim in claims))
    mapped = [mapped_claim(book, claim) for claim in claims]
    there = {row["overall"]["verdict"] for row in mapped}
    verdicts = [name for name in book.word("signs") if name in there]
    return {
        "answers": said.answers(book),
        "findings": [said.finding(book, row) for row in book.findings],
        "simulation": said.simulation(book),
        "rows": mapped,
        "kinds": [*OF_CRM, *(kind for kind in kinds if kind not in OF_CRM)],
        "verdicts": verdicts,
        "counts": counts(book, verdicts),
        "papers": {kind: path_of("paper", book.language, kind).name for kind in ("html", "pdf", "md")},
        "designs": {name: book.params.study(name).design for name in book.studies},
        "documents": sorted({claim.document for claim in claims}),
    }


def counts(book: Book, verdicts: list[str]) -> list[dict[str, Any]]:
    """Return how many claims of each class have each verdict over the real lenders."""
    kinds: dict[str, list[str]] = {}
    for claim in book.ledger.claims:
        if claim.kind not in APART:
            kinds.setdefault(claim.kind, []).append(book.row(claim.id).verdict)
    order = [*OF_CRM, *(kind for kind in kinds if kind not in OF_CRM)]
    return [
        {"kind": kind, "of": len(kinds[kind]), "counts": [kinds[kind].count(name) for name in verdicts]}
        for kind in order
        if kind in kinds
    ]


def mapped_claim(book: Book, claim: Claim) -> dict[str, Any]:
    """Return a line of the map."""
    return {
        "claim": claim,
        "text": book.claim_text(claim),
        "overall": overall(book, claim),
        "cells": [cell(book, claim, study) for study in book.studies],
    }


def overall(book: Book, claim: Claim) -> dict[str, Any]:
    """Return what real lenders together say of a claim."""
    row = book.row(claim.id, OVERALL)
    return {
        "verdict": row.verdict,
        "label": book.word("verdicts", row.verdict),
        "certainty": book.certainty(row),
        "counted": together(book, claim, row),
        "row": row,
        "size": book.size(row) if row.estimate is not None else None,
    }


def together(book: Book, claim: Claim, row: Any) -> str:
    """Return how lenders were put together: pooled, counted by verdict, or not at all."""
    told = [one.verdict for one in book.told(claim, book.real)]
    made = [book.word("verdicts", one.verdict) for one in book.told(claim, book.simulated)]
    if not told:
        return book.text("together", row.verdict, simulated=book.join(made))
    listed = [
        book.text("together", "count", n=told.count(name), verdict=book.word("verdicts", name))
        for name in dict.fromkeys(told)
    ]
    pooled = row.estimator == "random_effects"
    return book.text("together", "pooled" if pooled else "counted", of=len(told), listed=book.join(listed))


def cell(book: Book, claim: Claim, study: str) -> dict[str, Any]:
    """Return a cell of the map: the verdict of a study, its design, and whether a substitute measures the claim."""
    row = book.row(claim.id, study)
    return {
        "study": study,
        "verdict": row.verdict,
        "label": book.word("verdicts", row.verdict),
        "design": book.word("designs", row.design) if row.design else "",
        "lots": row.design == "randomised",
        "certainty": book.certainty(row),
        "proxy": book.limit(claim.id, study, "proxy"),
        "none": book.silent(claim, study),
    }
