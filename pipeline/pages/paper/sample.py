"""The paper's tables of the data and the sample: a row a lender, and what the documents ask beside what is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pipeline.analyses.evidence.requirements import levels
from pipeline.analyses.evidence.rows import OVERALL
from pipeline.core.results import Results
from pipeline.pages.evidence.book import Book
from pipeline.pages.paper.steps import REQUIREMENTS
from pipeline.present.numerals import MISSING, fixed, percent, whole
from pipeline.present.page import largest_difference
from pipeline.present.words import lower_first

Table = tuple[list[str], list[list[str]]]
"""Names of the columns, and rows of cells."""


def lenders(book: Book) -> Table:
    """Return who the lenders are, how each study is designed and what plays CRM there."""
    rows = [
        [
            book.word("studies", study),
            book.words("lenders", book.params.study(study).institution_type),
            book.word("designs", book.params.study(study).design),
            book.word("measures", study),
            count(book, study, "loans"),
            percent(rate(book, study)),
            book.cited(study),
        ]
        for study in book.studies
    ]
    return ["lender", "kind", "design", "crm", "loans", "rate", "source"], rows


def asked(book: Book, step: str) -> Table:
    """Return what the documents ask in a step, with each study's answer and what holds in at least one."""
    texts = {claim.id: book.claim_text(claim) for claim in book.ledger.claims}
    rows = [
        [
            book.claim(name, texts[name]),
            *(status(book, name, study) for study in book.studies),
            book.word("verdicts", book.row(name, OVERALL).verdict),
        ]
        for name in REQUIREMENTS[step]
    ]
    return ["asked", *(book.word("short", study) for study in book.studies), "some"], rows


def status(book: Book, name: str, study: str) -> str:
    """Return the sign of a study's answer to a requirement."""
    return str(book.word("signs", book.row(name, study).verdict))


def answered(book: Book, study: str, step: str) -> list[str]:
    """Return a study's answers to all that a step asks."""
    return [status(book, name, study) for name in REQUIREMENTS[step]]


def representative(book: Book) -> Table:
    """Return over how many lines, regions and grades loans spread, and how many were good and failed."""
    rows = []
    for study in book.studies:
        has = book.found[study]
        good = number(has, "loans") - number(has, "defaults")
        lines = max(levels(has, "industry"), levels(has, "loan_type"))
        spread = [lines, levels(has, "region"), levels(has, "credit_grade")]
        rows.append(
            [
                book.word("studies", study),
                *(str(n) if n else MISSING for n in spread),
                whole(good),
                count(book, study, "defaults"),
                *answered(book, study, "representative"),
            ]
        )
    return ["lender", "lines", "regions", "grades", "good", "defaults", *REQUIREMENTS["representative"]], rows


def complete(book: Book) -> Table:
    """Return how many loans were read, how many left and how much of the emptiest column is missing."""
    rows = []
    for study in book.studies:
        flow = book.found[study].where(stage="describe", estimator="sample_flow", outcome="all")
        remaining = flow[flow["estimand"] == "remaining"].sort_values("specification")["estimate"].tolist()
        gap = book.found[study].where(stage="missing", estimator="share_missing")["estimate"]
        rows.append(
            [
                book.word("studies", study),
                whole(remaining[0]),
                whole(remaining[0] - remaining[-1]),
                whole(remaining[-1]),
                percent(gap.max()) if len(gap) else MISSING,
                *answered(book, study, "complete"),
            ]
        )
    return ["lender", "read", "left", "loans", "gap", *REQUIREMENTS["complete"]], rows


def comparable(book: Book) -> Table:
    """Return the treated and the control group before and after matching, and where they differ most."""
    rows = []
    for study in book.studies:
        has, matching = book.found[study], book.params.study(study).matching
        there = not has.where(stage="describe", estimator="balance").empty
        far = [
            fixed(abs(largest_difference(has, sample)["estimate"]), 3) if there else MISSING
            for sample in ("before", "after")
        ]
        rows.append(
            [
                book.word("studies", study),
                book.word("treatments", study),
                book.join([lower_first(book.measured(study, name)) for name in matching.exact]),
                *(count(book, study, name) for name in ("treated", "controls", "matched_treated")),
                *far,
                *answered(book, study, "comparable"),
            ]
        )
    names = ["lender", "treatment", "exact", "treated", "controls", "pairs", "before", "after"]
    return [*names, *REQUIREMENTS["comparable"]], rows


def varied(book: Book) -> Table:
    """Return how many loans there are, and how widely amounts, terms and rates differ."""
    rows = []
    for study in book.studies:
        has = book.found[study]
        spread = [
            variation(has, names)
            for names in (("amount", "last_amount"), ("term_months",), ("interest_rate", "offer_rate"))
        ]
        rows.append(
            [
                book.word("studies", study),
                count(book, study, "loans"),
                *(fixed(one, 2) for one in spread),
                *answered(book, study, "varied"),
            ]
        )
    return ["lender", "loans", "amount", "term", "interest", *REQUIREMENTS["varied"]], rows


def variation(has: Results, names: Sequence[str]) -> float:
    """Return the coefficient of variation of the first of some columns that is known, among controls."""
    for name in names:
        rows = has.where(stage="describe", estimator="balance", specification="before", factor=name)
        by: dict[str, Any] = dict(zip(rows["estimand"], rows["estimate"], strict=True))
        if by.get("mean_control") and by.get("sd_control"):
            return float(by["sd_control"] / abs(by["mean_control"]))
    return math.nan


def number(has: Results, what: str) -> float:
    """Return a count of the description."""
    return float(has.one(stage="describe", estimator="count", factor=what).estimate)


def count(book: Book, study: str, what: str) -> str:
    """Return a count as it is printed; none where a study makes no groups."""
    rows = book.found[study].where(stage="describe", estimator="count", factor=what)
    return whole(rows["estimate"].iloc[0]) if len(rows) else MISSING


def rate(book: Book, study: str) -> float:
    """Return the default rate of a study's loans in percent."""
    has = book.found[study]
    return float(has.one(stage="describe", estimator="default_rate", specification="before_00", factor="all").estimate)
