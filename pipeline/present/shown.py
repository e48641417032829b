"""Figures and tables of a page: numbered, with a title, and with links to all that is behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pipeline.present.trail import Trail
from pipeline.present.words import LANGUAGES, WIDE, Words, filled

Flavour = Literal["markdown", "pandoc"]
"""markdown: as a code host shows it. pandoc: with blocks around figures and tables, for HTML and PDF."""

Kind = Literal["figure", "table"]

Claims = Mapping[tuple[str, str], Sequence[str]]
"""Claims that rest on the rows of a stage and an estimator."""


class Shown:
    """Counts a page's figures and tables as they are put on it."""

    def __init__(self, words: Words, trail: Trail, study: str, flavour: Flavour, claims: Claims) -> None:
        """Take what titles and links are made of; nothing is read or written here."""
        self._words, self._trail, self._study, self._flavour, self._claims = words, trail, study, flavour, claims
        self.contents: list[dict[str, Any]] = []

    def figure(self, file: str, stage: str, message: str, caption: str, estimators: Sequence[str] = ()) -> str:
        """Return a figure, what is seen above it and what is drawn below; one that stood before is only pointed at."""
        for one in self.contents:
            if one["file"] == file:
                there = self._named("figure", one["number"])
                link = there if self._flavour == "markdown" else f"[{there}](#figure-{one['number']})"
                return filled(self._words.text("above"), there=link)
        return self.block("figure", f"![{message}]({file})", message, stage, caption, estimators)

    def block(
        self,
        kind: Kind,
        body: str,
        title: str,
        stage: str,
        caption: str = "",
        estimators: Sequence[str] = (),
    ) -> str:
        """Return a numbered figure or table between its title and what is behind it.

        Parameters
        ----------
        kind, body
            What it is, in Markdown.
        stage, estimators
            The stage whose rows are shown, and which of its estimators (all, where none is named).
        title, caption
            What stands above it, and what stands below it, if anything.
        """
        number = 1 + sum(one["kind"] == kind for one in self.contents)
        found = re.search(r"\]\(([\w-]+/[\w-]+\.svg)\)$", body)
        file = found[1] if found else ""
        plain = re.sub(r"[*`]", "", title)
        self.contents.append({"kind": kind, "number": number, "file": file, "stage": stage, "caption": plain})
        # A table's title says what it holds; a figure's, what is seen in it.
        heading = filled(self._words.text(f"titled.{kind}"), name=self._named(kind, number), title=title)
        made = self._made(stage, file, estimators)
        parts = [part for part in (heading, body, caption) if part]
        if self._flavour == "markdown":
            return "\n\n".join([*parts, f"<sub>{made}</sub>"])
        inner = "\n\n".join([*parts, f'::: {{.made typst:text:size="7pt"}}\n{made}\n:::'])
        return f":::: {{#{kind}-{number} .{kind}}}\n{inner}\n::::"

    def _named(self, kind: Kind, number: int) -> str:
        name = self._words.text(kind)
        return f"{name}{'' if WIDE.search(name) else ' '}{number}"

    def _made(self, stage: str, picture: str, estimators: Sequence[str]) -> str:
        """Return links to the rows, the picture, the code, the choices and the claims."""
        ways = {"rows": f"results/{stage}.csv", "picture": picture, **self._trail.ways(stage)}
        links = [f"[{self._words.text(f'ways.{name}')}]({way})" for name, way in ways.items() if way]
        language = self._words.language
        page = "claims.html" if language == LANGUAGES[0] else f"claims.{language}.html"
        resting = {
            claim
            for (of_stage, estimator), claims in self._claims.items()
            if of_stage == stage and (not estimators or estimator in estimators)
            for claim in claims
        }
        claims = [f"[{claim}](../evidence/{page}#{claim}-{self._study})" for claim in sorted(resting)]
        return filled(self._words.text("made_by"), links=links, claims=claims)
