"""Two versions side by side on a page: choices, headline numbers, rows, verdicts and figures that moved."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.present.difference import GONE, Difference, Moved, Telling, closing_of, turn
from pipeline.present.words import LANGUAGES, TAGS, environment
from pipeline.runtime import store

FOLDER = Path("comparison")
"""Where the page stands; git does not keep it."""


class Row(NamedTuple):
    """A line of a table: what moved, as it was and as it is, and how its reading turned."""

    name: str
    old: str
    new: str
    turn: str


def write(found: Difference) -> Iterator[Path]:
    """Write the page in each language; yield the files."""
    files = {language: f"index{'' if language == LANGUAGES[0] else f'.{language}'}.html" for language in LANGUAGES}
    for language, name in files.items():
        other = next(file for one, file in files.items() if one != language)
        store.write_text(FOLDER / name, page(found, language, other))
        yield FOLDER / name


def page(found: Difference, language: str, other: str) -> str:
    """Return the page in a language, with a link to the `other` one; its pictures stand inside."""
    words = Telling(language)
    return (
        environment("html")
        .get_template("comparison/page.html")
        .render(
            found=found,
            words=words,
            tag=TAGS[language],
            other=other,
            choices=list(_rows(found.choices, words, words.choice)),
            verdicts=list(_rows(found.verdicts, words, words.verdict)),
            numbers={study.name: list(_rows(study.numbers, words, words.number)) for study in found.studies},
            rows={
                study.name: [line for one in study.rows for line in words.rows(one, found.error)]
                for study in found.studies
            },
            figures={study.name: list(_figures(found, study.name, language)) for study in found.studies},
            closing=closing_of(found),
        )
    )


def _rows(moved: list[Moved], words: Telling, shown: Callable[[Any], str]) -> Iterator[Row]:
    for one in moved:
        old, new = (words.text("absent") if value is GONE else shown(value) for value in (one.old, one.new))
        turned = turn(one.old, one.new)
        yield Row(one.name, old, new, words.text(f"turns.{turned}") if turned else "")


def _figures(found: Difference, study: str, language: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the name of each figure of a study that differs, with both pictures."""
    folders = [f"reports/{study}/{_folder(one.params, language)}/" for one in (found.before, found.after)]
    sides = [
        {path.removeprefix(folder): picture for path, picture in one.figures.items() if path.startswith(folder)}
        for one, folder in zip((found.before, found.after), folders, strict=True)
    ]
    for name in sorted({*sides[0], *sides[1]}):
        old, new = (side.get(name) for side in sides)
        if old != new:
            yield name.removesuffix(".svg"), *(_inside(picture) for picture in (old, new))


def _folder(params: dict[str, Any], language: str) -> str:
    """Return where a version keeps the figures of a language."""
    return "figures" if params.get("report", {}).get("language", LANGUAGES[0]) == language else f"figures_{language}"


def _inside(picture: bytes | None) -> str | None:
    return None if picture is None else f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
