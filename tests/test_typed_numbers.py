"""No quantity is typed by hand where people read: numbers come from result rows and parameters."""

import re
from pathlib import Path

import pytest

from pipeline.core import yaml
from pipeline.pages import readme

ROOT = Path(__file__).parents[1]
PRESENT = ROOT / "pipeline" / "present"

JINJA = r"\{[{%#].*?[}%#]\}"
MARKUP = r"\{% block script %\}.*|<style>.*?</style>|<script>.*?</script>|<[^>]*>"
CODE = r"```.*?```|`[^`]*`|\]\([^)]*\)"

NAMES = {
    r"\bM[1-7]\b": "rungs of the regression ladder",
    r"\b[A-Z]\d\d\b": "claims",
    r"[Cc]redit_grade\[\w\]|treated\[[01]\]": "rows of the results table",
    r"Python 3\.\d+": "the version of the language",
    r"(?m)^\d+\. ": "questions and steps that are counted by their place in a list",
    r"\bL-\d+\b": "made-up names of loans in an example",
    r"\bP2P\b|\bJinja2\b": "a kind of lender and a package",
    r"utf-8|UTF-8|SHA-?256|sha256": "names of standards",
}
"""What may hold a digit, and why: it names something and is no quantity."""


def typed(text, *leave_out):
    """Return what is left of a text that holds a digit, once programs, markup and names are left out."""
    for pattern in leave_out:
        text = re.sub(pattern, " ", text, flags=re.S)
    for pattern in NAMES:
        text = re.sub(pattern, " ", text)
    return re.findall(r"[^\n]{0,30}[0-9０-９][^\n]{0,30}", text)


def texts(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            # References hold years and pages of papers, which no result row knows.
            if name != "references":
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", sorted((PRESENT / "words").rglob("*.yaml")), ids=relative)
def test_words(file):
    assert not [found for text in texts(yaml.read(file)) for found in typed(text, JINJA)]


@pytest.mark.parametrize(
    "file",
    sorted(path for path in (PRESENT / "templates").rglob("*") if path.suffix in (".html", ".jinja")),
    ids=relative,
)
def test_templates(file):
    text = re.sub(r"<h([1-6])|</h([1-6])>", "<", file.read_text(encoding="utf-8"))
    assert not typed(text, MARKUP, JINJA, r"\$[a-z-]+\$")


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", ROOT / "docs" / "interview-guide.md", ROOT / "docs" / "coding-frame.md"], ids=relative
)
def test_pages_written_by_hand(file):
    # What a stage writes into README is computed.
    assert not typed(readme.put(file.read_text(encoding="utf-8"), ""), CODE)


@pytest.mark.parametrize("text", ["0.54 points", "fell by 3%", "48 lenders", "违约率为3%", "１２笔"])
def test_a_typed_number_is_found(text):
    assert typed(text, JINJA)


@pytest.mark.parametrize("text", ["on rung M5", "{{ fixed(row.estimate, 2) }} points", "claim E09", "Python 3.11"])
def test_a_name_is_no_number(text):
    assert not typed(text, JINJA)
