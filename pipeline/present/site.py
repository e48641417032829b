"""What all pages share: header, navigation, contents, the other language, the pages before and after, style, script."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from markupsafe import Markup

from pipeline.core.params import load
from pipeline.core.yaml import read
from pipeline.present.words import FOLDER, LANGUAGES, TAGS, TEMPLATES, environment

START = "start_here"
"""The notebook for newcomers, the one page of these that stands with the notebooks."""

PAGES = ("paper", "index", "claims", "advice", "sure", "requirements", "methods", "cases", "data", "trail", START)
"""Pages of all studies together, in the order in which they are read."""

FIRST = ("paper", "index", "claims", "advice")
"""Those that the header names; the others stand behind one more step."""

SYNTHESIS = "synthesis"

FEWEST = 3
"""Headings from which a page has contents beside it."""


class Site(NamedTuple):
    """What a page must know of the others."""

    studies: tuple[str, ...]
    """In the order in which they are read."""
    language: str
    """The language of the reports that have no language in their name."""

    def report(self, study: str, language: str, page: str = "report") -> str:
        """Return the file of a study's report or notebook in a language, below the folder of the reports."""
        return f"{study}/{page}.html" if language == self.language else f"{study}/{page}.{language}.html"


def known() -> Site:
    """Return the site of the studies that the choices lay side by side."""
    found = load()
    return Site(tuple(found.compared), found.report.language)


def file_of(page: str, language: str, suffix: str = "html") -> str:
    """Return the file of a page of all studies, below the folder of the reports; English is not named."""
    name = f"{page}.{suffix}" if language == LANGUAGES[0] else f"{page}.{language}.{suffix}"
    return name if page == "index" else f"{'notebooks' if page == START else 'evidence'}/{name}"


def notebook_of(name: str, language: str) -> str:
    """Return the file that shows a notebook of no single study, below the folder of the reports."""
    return file_of(name, language).replace("evidence/", "notebooks/", 1)


class Here(NamedTuple):
    """Where a page stands."""

    file: str
    """Below the folder of the reports."""
    language: str
    other: str = ""
    """The same page in the other language, beside this one; nothing where there is none."""
    kind: str = "prose"
    """prose: lines as long as are read well; wide: what fills the room."""


def page(body: str, title: str, here: Here, site: Site) -> str:
    """Return a whole page: what it says, and around it what all pages share.

    Parameters
    ----------
    body
        What the page says, in HTML.
    title
        Of the page, as the browser shows it.
    here, site
        Where it stands, and among which other pages.
    """
    words = read(FOLDER / here.language / "evidence.yaml")
    root = "../" * (len(PurePosixPath(here.file).parts) - 1)
    body = with_ids(body)
    links = [(name, words["pages"][name], file_of(name, here.language)) for name in PAGES]
    studies = [(name, words["studies"][name], site.report(name, here.language)) for name in site.studies]
    side_by_side = (SYNTHESIS, words["pages"][SYNTHESIS], site.report(SYNTHESIS, here.language))
    return (
        environment("html")
        .get_template("page.html")
        .render(
            words=words,
            tag=TAGS[here.language],
            title=title,
            here=here,
            root=root,
            first=[link for link in links if link[0] in FIRST] + [side_by_side],
            more=[link for link in links if link[0] not in FIRST],
            studies=studies,
            other_tag=TAGS[next(name for name in LANGUAGES if name != here.language)],
            contents=contents(body),
            body=Markup(body),
            turn=turn([*links, side_by_side, *studies], here.file),
            style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
            script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
        )
    )


def with_ids(body: str) -> str:
    """Give every heading that has no id one that counts, so that it is the same in each language.

    A heading of a class of its own is one of many, and none of the contents.
    """
    numbers = iter(range(1, len(body)))
    return re.sub(r"<h([23])(?![^>]*\b(?:id|class)=)", lambda found: f'<h{found[1]} id="part-{next(numbers)}"', body)


def contents(body: str) -> list[dict[str, Any]]:
    """Return the headings of a page with what leads to them; none for a page of few."""
    found = re.findall(r'<h([23])[^>]*?\bid="([^"]+)"[^>]*>(.*?)</h\1>', body, flags=re.S)
    plain = [
        {"deep": level == "3", "id": name, "text": html.unescape(re.sub(r"<[^>]+>", "", text)).strip()}
        for level, name, text in found
    ]
    few = sum(not item["deep"] for item in plain) < FEWEST
    return [] if few else plain


def turn(order: Sequence[tuple[str, str, str]], file: str) -> tuple[Any, Any] | None:
    """Return the pages before and after a page, None at an end; None for a page that is read apart."""
    files = [link[2] for link in order]
    if file not in files:
        return None
    place = files.index(file)
    return order[place - 1] if place else None, order[place + 1] if place + 1 < len(order) else None
