"""What follows: the paper's tables of advice, by practice and by tier of clients, and of the data still wanted."""

from __future__ import annotations

from typing import Any

from pipeline.core.results import Results
from pipeline.pages.evidence import advice, sure
from pipeline.pages.evidence.book import Book
from pipeline.pages.paper.found import rates
from pipeline.pages.paper.sample import Table
from pipeline.pages.paper.steps import TIERS
from pipeline.present.numerals import MISSING, percent, whole, with_interval
from pipeline.present.words import upper_first

READ = ("supported", "supported_small", "contradicted", "contradicted_small", "no_important_effect")
"""Verdicts that say something; all others leave a question open."""


def advised(book: Book) -> Table:
    """Return what the documents advise on each practice, and what a lender may conclude, once for rows that agree."""
    rows, above = [], ""
    for item in advice.context(book)["paragraphs"]:
        told = [book.word("advice", "factors", item["factor"], name) for name in ("name", "documents")]
        rows.append([*told, book.words("as_above") if item["conclusion"] == above else item["conclusion"]])
        above = item["conclusion"]
    return ["practice", "advise", "conclude"], rows


def tiers(book: Book) -> Table:
    """Return default and the practice's effect among clients of the best, a middle and the worst grade."""
    rows = []
    for study in book.real:
        has = book.found[study]
        grades = rates(has, "credit_grade")
        if len(grades) < len(TIERS):
            continue
        cells = []
        for name, rate in (grades[0], grades[len(grades) // 2], grades[-1]):
            cells += [percent(rate), effect(book, has, name)]
        rows.append([book.word("studies", study), upper_first(book.word("treatments", study)), *cells])
    names = [f"{name}_{what}" for name in TIERS for what in ("rate", "effect")]
    return ["lender", "treatment", *names], rows


def effect(book: Book, has: Results, group: str) -> str:
    """Return the treatment's effect among the clients of a grade."""
    rows = has.where(
        stage="heterogeneity",
        estimator="by_group",
        estimand="risk_difference",
        factor="treated",
        specification=group,
    )
    return with_interval(next(rows.itertuples()), 1) if len(rows) and rows["estimate"].notna().all() else MISSING


def of_tier(book: Book, tier: str) -> dict[str, Any]:
    """Return what the documents ask for a tier, what became of it, and what follows by rule."""
    claims = [claim for claim in book.ledger.claims if claim.id in TIERS[tier]]
    claims.sort(key=lambda claim: TIERS[tier].index(claim.id))
    rows = [book.row(claim.id) for claim in claims]
    known = [row for row in rows if row.verdict in READ]
    open_ones = [row for row in rows if row.verdict not in READ]
    key = "open" if not known else "known" if not open_ones else "partly"
    return {
        "name": book.words("tiers", tier, "name"),
        "asked": book.word("semicolon").join(book.statement(claim.id) for claim in claims),
        "follows": book.words("tiers", tier, key),
    }


def wanted(book: Book) -> Table:
    """Return for each practice what would settle its effect, and the largest sample that there is of it."""
    rows = []
    for item in sure.context(book)["practices"]:
        here = [row.n for row in book.findings if advice.said.practice_of(book, row) == item["name"]]
        design = book.word("sure", "designs", item["name"])
        rows.append(
            [
                book.word("advice", "factors", item["name"], "name"),
                design,
                whole(max(here)) if here else MISSING,
            ]
        )
    return ["practice", "settles", "largest"], rows
