"""The part of README.md that numbers decide: the answer, a picture, the studies. The rest is written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.pages.evidence import said
from pipeline.pages.evidence.book import INDEX, Book
from pipeline.present.numerals import whole
from pipeline.present.tables import markdown

README = Path("README.md")

MARKS = re.compile(r"(<!-- answer: .*? -->\n).*?(<!-- end of the answer -->)", flags=re.DOTALL)
"""What the answer stands between."""

PICTURE = "evidence/figures/verdicts.svg"


def block(book: Book) -> str:
    """Return the answer with its certainty, the verdicts by class as a picture, and a line for each study."""
    first, *others = said.answers(book)
    picture = f"![{book.word('counts_caption')}]({INDEX.parent}/{PICTURE})"
    rows = [
        [
            f"[{book.word('studies', study)}]({INDEX.parent}/{study}/report.md)",
            book.word("designs", book.params.study(study).design),
            whole(book.found[study].one(stage="describe", estimator="count", factor="loans").estimate),
            book.word("measures", study),
        ]
        for study in book.studies
    ]
    table = markdown([book.word("readme", name) for name in ("study", "design", "loans", "crm")], rows, prose=True)
    return "\n\n".join([f"**{first}** {' '.join(others)}", picture, table])


def put(text: str, answer: str) -> str:
    """Return a text with the answer between its marks; as it was where it has none."""
    return MARKS.sub(lambda found: f"{found[1]}\n{answer}\n\n{found[2]}", text)
