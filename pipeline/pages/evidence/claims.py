"""Every claim with all that bears on it: verdicts, certainty and why, and each row that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from pipeline.analyses.evidence.findings import PRACTICES
from pipeline.core.results import KEY as ROW
from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import KEY, Book, before_correction
from pipeline.pages.evidence.first import APART, cell, overall
from pipeline.present.labels import Method
from pipeline.present.words import upper_first
from pipeline.sources.claims import ALL, Bearing, Claim, Limit

OPEN = ("simulated_only", "not_testable", "inconclusive", "not_done", "partly")
"""Verdicts beside which it is said what would decide the claim."""

INSIDE = "within_banks"
"""The specification that holds the lender fixed, beside one that does not."""


def context(book: Book) -> dict[str, Any]:
    """Return what the page of claims shows: a line for each number, and once at the end whatever many lines share."""
    shared = same_numbers(book)
    methods = {(one.estimator, one.outcome): one for one in said.tried(book)}
    notes = Notes()
    documents: dict[str, list[dict[str, Any]]] = {}
    listed = [claim for claim in book.ledger.claims if claim.kind not in APART]
    for claim in listed:
        whole, told = overall(book, claim), answering(book, claim)
        documents.setdefault(claim.document, []).append(
            {
                "claim": claim,
                "text": book.claim_text(claim),
                "needs": getattr(claim, f"needs_{book.language}"),
                # The page on what would settle a practice says it, too.
                "settled": claim.kind == "effect" and claim.factor in PRACTICES,
                "overall": whole | {"notes": notes.of(whole["certainty"])},
                "seen": [noted(seen(book, claim, study, shared, methods), notes, book, claim) for study in told],
                "studies": " ".join(told),
                "unanswered": silent(book, notes, claim),
            }
        )
    there = {book.row(claim.id).verdict for claim in listed}
    sure = {book.row(claim.id).certainty for claim in listed}
    return {
        "by_document": documents,
        "open": OPEN,
        "notes": notes.texts,
        "kinds": list(dict.fromkeys(claim.kind for claim in listed)),
        "verdicts": [name for name in book.word("signs") if name in there],
        "certainties": [name for name in book.word("certainty") if name in sure],
        "count": len(listed),
    }


class Notes:
    """What stands beside many numbers: each text once, and its number beside whatever it is about.

    Texts are told apart by what they are called in English, so that they have the same numbers in every language.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._texts: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self._texts.values())

    def number(self, key: str, text: str) -> int:
        """Return the number of a text, a new one if it has none yet."""
        self._texts.setdefault(key, text)
        return list(self._texts).index(key) + 1

    def of(self, certainty: dict[str, Any] | None) -> list[int]:
        """Return the numbers of the reasons that lowered a certainty."""
        if certainty is None:
            return []
        named = zip(certainty["codes"], certainty["why"], strict=True)
        return sorted(self.number(code, upper_first(text)) for code, text in named)


def noted(found: dict[str, Any], notes: Notes, book: Book, claim: Claim) -> dict[str, Any]:
    """Return what a study says of a claim with the numbers of the notes that belong to it."""
    asked = ((claim.id, "proxy"), (ALL, "selected"))
    limits = [one for name, answer in asked if (one := book.limited(name, found["study"], answer))]
    of_study = [limit_note(book, notes, one) for one in limits]
    for part in found["parts"]:
        own = [(part["argument_key"], book.text("numbers", "exception", reason=part["argument"]))]
        own += [(part["by_key"], part["by"])] if part["by"] else []
        own += [(f"inside {part['row']}", part["inside"])] if part["inside"] else []
        numbers = [notes.number(key, text) for key, text in own if key]
        part["notes"] = sorted({*of_study, *notes.of(part["certainty"]), *numbers})
    return found


def limit_note(book: Book, notes: Notes, limit: Limit) -> int:
    """Return the number of the note on a limit of a study."""
    name = "silent" if limit.answer == "none" else limit.answer
    reason = getattr(limit, f"reason_{book.language}")
    return notes.number(f"{name} {limit.reason_en}", book.text("numbers", name, reason=reason))


def silent(book: Book, notes: Notes, claim: Claim) -> list[dict[str, Any]]:
    """Return the studies that a claim is asked of and that cannot answer it, with the note that says why."""
    found = []
    for study in book.studies:
        if limit := book.limited(claim.id, study, "none"):
            found.append({"study": study, "note": limit_note(book, notes, limit)})
        elif reason := book.silent(claim, study):
            note = notes.number("not_estimated", book.text("numbers", "silent", reason=reason))
            found.append({"study": study, "note": note})
    return found


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
        "parts": [
            part(book, row, one, shared) | (by(book, row, methods) if study in book.simulated else {"by": None})
            for row, one in zip_longest(parts, bearings[: len(parts)])
        ],
    }


def part(book: Book, row: Any, bearing: Bearing | None, shared: Mapping[tuple[Any, ...], list[str]]) -> dict[str, Any]:
    """Return a deciding row: its number, all that judges it, and where it stands."""
    key = tuple(getattr(row, name) for name in KEY)
    return {
        "verdict": row.verdict,
        "label": book.word("verdicts", row.verdict),
        "measured": upper_first(book.compared(row)),
        "reverse": bearing is not None and bearing.reverse,
        "size": book.size(row),
        "brief": brief(book, row),
        "margin": book.margin(row),
        "p": book.p(row.p_value),
        "p_adjusted": book.p(row.p_adjusted),
        "p_family": book.p(row.p_family),
        "least": book.least(row),
        "n": book.count(row.n),
        "certainty": book.certainty(row),
        "because": because(book, row),
        "argument": getattr(bearing, f"argument_{book.language}") if bearing else "",
        "argument_key": bearing.argument_en if bearing else "",
        "same": [name for name in shared.get(key, []) if name != row.claim],
        "row": path(row),
        "inside": inside(book, row),
        "stage": row.stage,
        "figure": book.shown_in(row),
    }


def inside(book: Book, row: Any) -> str:
    """Return what a deciding row comes to between loans of one lender, where the study has that; it decides nothing."""
    names = ("stage", "estimator", "factor", "outcome", "estimand")
    rows = book.found[row.study].where(**{name: getattr(row, name) for name in names}).set_index("specification")
    if row.specification == INSIDE or not {INSIDE, row.specification} <= set(rows.index):
        return ""
    # The deciding number may be one for a standard deviation.
    scale = row.estimate / rows.loc[row.specification, "estimate"]
    found = rows.loc[INSIDE, ["estimate", "ci_low", "ci_high"]] * scale
    return book.text("numbers", "inside", size=brief(book, row._replace(**found)))


def brief(book: Book, row: Any) -> str:
    """Return a number with its interval, as short as a line of many needs it."""
    if row.ci_low is None or row.unit != "percentage points":
        return book.size(row)
    return f"{book.short(row)} {book.word('numbers', 'points_per' if row.per else 'points')}"


def because(book: Book, row: Any) -> str:
    """Return why a row has its verdict; what the loans did not allow has the note of its stage."""
    if row.verdict == "inconclusive":
        within = "another adjustment" in (row.reason or "")
        return str(book.word("meanings", "corrected" if before_correction(row) else "adjustment" if within else "open"))
    return str(book.word("meanings", row.verdict))


def by(book: Book, row: Any, methods: Mapping[tuple[str, str], Method]) -> dict[str, str]:
    """Return by which method a simulated verdict was found, and what simulated worlds say of that method."""
    name = row.estimator
    if name == "linear_probability" and row.factor == "treated":
        name = "raw_difference" if row.specification == "M1" else name
    elif name == "linear_probability":
        name = ""
    method = methods.get((name, row.outcome))
    if method is None:
        text = book.text("by", "untried", name=book.word("by", "stages", row.stage))
        return {"by": text, "by_key": f"by {row.stage}"}
    text = book.text("by", "tried", name=book.word("methods", "estimators", name), label=book.recovered(method.label))
    return {"by": text, "by_key": f"by {name} {method.label}"}


def path(row: Any) -> str:
    """Name a row by its parts."""
    return " / ".join(filter(None, (getattr(row, name) for name in ROW[1:])))
