"""Which of the documents' statements stand in which step of the paper: by their class, section and practice."""

from __future__ import annotations

from pipeline.analyses.evidence.rows import OF_CRM
from pipeline.sources.claims import Claim

CHAPTER = ("A", "6.")
"""The document that describes the study, and the sections in which it does."""

REQUIREMENTS = {
    "design": ("M01", "M15", "M16", "M17", "M18", "M02", "M19"),
    "sources": ("M03", "M04", "M05", "M06", "M07"),
    "representative": ("M09", "M10"),
    "complete": ("M08", "M11"),
    "comparable": ("M12",),
    "varied": ("M13", "M14"),
}
"""What the documents ask of a study, by step; the last four are their principles of a sample."""

PRINCIPLES = tuple(REQUIREMENTS)[2:]

TIERS = {"low": ("E37", "E27"), "middle": ("E36",), "high": ("E35", "E26")}
"""What the documents say of clients of low, middle and high risk."""


def hypotheses(claims: list[Claim]) -> list[Claim]:
    """Return what the documents' study sets out to show: effects and associations of CRM in its own chapter."""
    document, section = CHAPTER
    return [
        one for one in claims if one.document == document and one.section.startswith(section) and one.kind in OF_CRM
    ]


def of_class(claims: list[Claim], kind: str) -> list[Claim]:
    """Return the statements of a class."""
    return [one for one in claims if one.kind == kind]
