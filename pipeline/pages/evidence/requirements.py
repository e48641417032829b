"""The requirements on the method: met, partly or not done, each with the count behind it."""

from __future__ import annotations

from typing import Any

from pipeline.analyses.evidence.rows import OVERALL
from pipeline.pages.evidence.book import Book
from pipeline.present.numerals import whole

STATUSES = ("met", "partly", "not_done")


def context(book: Book) -> dict[str, Any]:
    """Return a row a requirement, with each study's status."""
    asked = [claim for claim in book.ledger.claims if claim.kind == "requirement"]
    status = [book.row(claim.id, OVERALL).verdict for claim in asked]
    return {
        "rows": [
            {
                "claim": claim.id,
                "text": book.claim_text(claim),
                "checked": book.word("requirements", "checks", claim.id),
                "status": book.row(claim.id, OVERALL).verdict,
                "cells": [cell(book, claim.id, study) for study in book.studies],
                "needs": getattr(claim, f"needs_{book.language}"),
            }
            for claim in asked
        ],
        "statuses": STATUSES,
        "counts": {name: status.count(name) for name in STATUSES} | {"of": len(status)},
    }


def cell(book: Book, claim: str, study: str) -> dict[str, str]:
    """Return a study's status with its count: ``2 of 3`` parts, or how many loans of how many."""
    row = book.row(claim, study)
    value, of = (float(part) for part in row.reason.split(" of "))
    return {
        "study": study,
        "status": row.verdict,
        "count": book.text("formats", "out_of", n=whole(value), of=whole(of)),
    }
