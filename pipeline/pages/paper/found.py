"""The paper's tables of results: the documents' statements, and beside each what every lender's loans say of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pipeline.core.fields import BLOCKS
from pipeline.core.results import Results
from pipeline.pages.evidence.book import Book, before_correction
from pipeline.pages.paper.sample import Table
from pipeline.pages.paper.steps import hypotheses, of_class
from pipeline.present.numerals import MISSING, fixed, percent, whole, with_interval
from pipeline.present.words import upper_first
from pipeline.sources.claims import Claim

PROGRAMME = "E02"
"""The statement on lenders' or clients' with CRM and without it, before any adjustment."""

RAW = "M1"
"""The specification without controls."""

LAST = len(BLOCKS) + 1
"""The number of the specification with every block of controls."""


def statements(book: Book) -> Table:
    """Return the hypotheses with their verdicts over the real lenders."""
    rows = []
    for claim in hypotheses(list(book.ledger.claims)):
        row, told = book.row(claim.id), book.told(claim, book.real)
        rows.append(
            [
                book.claim(claim.id, book.claim_text(claim)),
                book.words("classes", claim.kind),
                book.join([book.word("short", one.study) for one in told]) or MISSING,
                book.word("verdicts", row.verdict),
                book.sure(row.certainty),
            ]
        )
    return ["statement", "class", "tested", "verdict", "certainty"], rows


def described(book: Book) -> Table:
    """Return default rates of the treated and the control group, by grade, and what they say unadjusted."""
    rows = []
    for study in book.real:
        has = book.found[study]
        grades = rates(has, "credit_grade")
        groups = dict(rates(has, "treated"))
        told = book.row(PROGRAMME, study)
        rows.append(
            [
                book.word("studies", study),
                *(percent(groups[name]) if name in groups else MISSING for name in ("treated[1]", "treated[0]")),
                points(book, has, RAW) or MISSING,
                *(percent(grades[place][1]) if grades else MISSING for place in (0, -1)),
                book.word("verdicts", told.verdict),
                book.sure(told.certainty),
            ]
        )
    return ["lender", "treated_rate", "control_rate", "difference", "best", "worst", "verdict", "certainty"], rows


def rates(has: Results, group: str) -> list[tuple[str, float]]:
    """Return the default rates of a group's levels in the lender's own order, in percent."""
    rows = has.where(stage="describe", estimator="default_rate")
    rows = rows[rows["factor"].str.startswith(f"{group}[") & rows["specification"].str.startswith("before")]
    rows = rows.sort_values("specification")
    return list(zip(rows["factor"], rows["estimate"], strict=True))


def correlated(book: Book) -> Table:
    """Return each statement on an association with its difference, and correlations raw and partial."""
    rows = []
    for claim in of_class(list(book.ledger.claims), "association"):
        if claim.id == PROGRAMME:
            continue
        rows += beside(book, claim, correlations)
    return ["statement", "lender", "measured", "raw", "partial", "difference", "verdict", "certainty"], rows


def correlations(book: Book, row: Any) -> list[str]:
    """Return the correlation of a row's factor with default, raw and given all controls, if it is of the same loans."""
    found = book.found[row.study].where(stage="correlate", factor=row.factor, outcome=row.outcome)
    found = found[found["n"] == row.n]
    raw = found[found["estimator"] == "point_biserial"]["estimate"]
    ladder = book.params.study(row.study).controls.ladder()
    given = f"given_{list(ladder)[-1]}" if ladder else ""
    partial = found[(found["estimator"] == "partial") & (found["specification"] == given)]["estimate"]
    return [fixed(one.iloc[0], 3) if len(one) else MISSING for one in (raw, partial)]


def beside(book: Book, claim: Claim, more: Callable[[Book, Any], list[str]] = lambda book, row: []) -> list[list[str]]:
    """Return a statement, and a row for each number of a real lender that decides it, with `more` cells of each."""
    told = decided(book, claim)
    statement = book.claim(claim.id, book.claim_text(claim))
    return [
        [
            statement if place == 0 else "",
            book.word("short", row.study),
            stated(book, row),
            *more(book, row),
            amount(book, row),
            judged(book, row),
            book.sure(row.certainty),
        ]
        for place, row in enumerate(told)
    ]


def measured(book: Book, row: Any, claims: list[str]) -> str:
    """Return what a row measured, and whether less of it is more of the practice that the claims speak of."""
    turned = any(book.reverse(claim, row.study, row.factor) for claim in claims)
    return upper_first(book.told_apart(claims[0], row)) + (book.words("turned") if turned else "")


def stated(book: Book, row: Any) -> str:
    """Return what a deciding row measured, and that it is adjusted where a statement on an association has it so."""
    held = row.kind == "association" and row.specification != RAW
    return measured(book, row, [row.claim]) + (book.words("adjusted") if held else "")


def decided(book: Book, claim: Claim) -> list[Any]:
    """Return the numbers of real lenders that decide a statement."""
    return [row for study in book.real for row in book.parts(claim.id, study) if row.certainty is not None]


def undecided(book: Book, kind: str) -> str:
    """Name the statements of a class that no real lender's loans decide."""
    found = of_class(list(book.ledger.claims), kind)
    return book.join([book.claim(one.id) for one in found if not decided(book, one)])


def marked(book: Book, kind: str) -> str:
    """Return what the mark of `judged` means, where a number that decides a claim of a class has it; else nothing."""
    claims = of_class(list(book.ledger.claims), kind)
    return (
        str(book.words("marked")) if any(before_correction(row) for one in claims for row in decided(book, one)) else ""
    )


def judged(book: Book, row: Any) -> str:
    """Return a verdict, with a mark where it is significant only before correction for multiple tests."""
    return str(book.word("verdicts", row.verdict)) + (book.words("before_correction") if before_correction(row) else "")


def amount(book: Book, row: Any) -> str:
    """Return a number with its interval; percentage points, which the column names, without their unit."""
    if row.unit != "percentage points" or row.ci_low is None:
        return book.size(row)
    return book.short(row, "cell") + (book.words("per_deviation") if row.per else "")


def controlled(book: Book) -> Table:
    """Return the treatment's effect as blocks of controls enter, and in matched pairs, as one line a lender."""
    rows = []
    for study in book.real:
        has = book.found[study]
        steps = [points(book, has, f"M{place}") or MISSING for place in range(1, LAST + 2)]
        if set(steps) == {MISSING}:
            continue
        odds = has.where(stage="regress", estimator="logit", estimand="odds_ratio", factor="treated")
        # Specifications beyond the last block are those of matched pairs.
        odds = odds[odds["specification"] <= f"M{LAST}"].sort_values("specification").tail(1)
        ratio = [with_interval(one, 2) for one in odds.itertuples()] or [MISSING]
        rows.append([book.word("studies", study), *steps, *ratio])
    return ["lender", "unadjusted", *BLOCKS, "matched", "odds"], rows


def points(book: Book, has: Results, specification: str) -> str | None:
    """Return the treatment's effect in a specification in percentage points; None where it is not estimated."""
    rows = has.where(
        stage="regress",
        estimator="linear_probability",
        estimand="risk_difference",
        factor="treated",
        specification=specification,
    )
    return with_interval(next(rows.itertuples()), 2) if len(rows) and rows["estimate"].notna().all() else None


def caused(book: Book) -> Table:
    """Return each adjusted or randomised comparison beside the statement that it decides."""
    texts = {claim.id: book.claim_text(claim) for claim in book.ledger.claims}
    order, lenders = list(texts), list(book.real)
    found = sorted(book.findings, key=lambda row: (order.index(row.claims.split()[0]), lenders.index(row.study)))
    rows, last = [], None
    for row in found:
        first, *others = row.claims.split()
        rows.append(
            [
                "" if first == last else book.claim(first, texts[first]),
                book.word("short", row.study),
                measured(book, row, row.claims.split())
                + (book.words("drawn") if row.design == "randomised" else "")
                + (book.words("also").format(book.join(others)) if others else ""),
                amount(book, row),
                judged(book, row),
                book.sure(row.certainty),
            ]
        )
        last = first
    return ["statement", "lender", "measured", "effect", "verdict", "certainty"], rows


def checked(book: Book) -> Table:
    """Return the checks of each lender's comparisons that failed, and how many specifications point which way."""
    rows = []
    for study in book.real:
        codes = [code for row in book.findings if row.study == study for code in (row.why or "").split()]
        failed = [book.check(code.split(":")[1]) for code in dict.fromkeys(codes) if code.startswith("bias:")]
        # Evidence from a randomisation within strata is what holds them fixed.
        curve = book.found[study].where(stage="curve", estimator="specification_count")
        within = curve[curve["specification"] == "within_strata"]
        counts = within if len(within) else curve[curve["specification"] == "all"]
        of = dict(zip(counts["estimand"], counts["estimate"], strict=True))
        ways = (of.get(name, math.nan) for name in ("specifications", "significant_lower", "significant_higher"))
        rows.append([book.word("studies", study), book.word("semicolon").join(failed) or MISSING, *map(whole, ways)])
    return ["lender", "failed", "specifications", "lower", "higher"], rows


def moderated(book: Book) -> Table:
    """Return the statements on how, for whom and when CRM works."""
    rows = []
    for claim in of_class(list(book.ledger.claims), "moderation"):
        rows += beside(book, claim)
    return ["statement", "lender", "measured", "number", "verdict", "certainty"], rows
