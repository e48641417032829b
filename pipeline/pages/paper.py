"""The paper: claims, data, design, results and what follows, with numbered tables and figures and its references."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core import params as yaml
from pipeline.pages.evidence import OVERALL, Book
from pipeline.present import tables
from pipeline.present.documents import PANDOC, to_pdf
from pipeline.present.numerals import whole
from pipeline.present.software import software
from pipeline.present.words import FOLDER as WORDS
from pipeline.present.words import environment
from pipeline.runtime import places

BIBLIOGRAPHY = Path(__file__).parent / "references.bib"


CITED = ["--quiet", "--citeproc", f"--bibliography={BIBLIOGRAPHY}"]


def path_of(language: str, suffix: str) -> Path:
    """Return where the paper stands; English has no suffix of its own."""
    name = "paper" if language == "en" else f"paper.{language}"
    return places.reports("evidence") / f"{name}.{suffix}"


class Paper(Book):
    """What the paper's template can call: all that the pages can, and tables and figures with numbers."""

    def render(self, figures: str) -> str:
        """Return the paper in pandoc's Markdown, its citations still to be resolved.

        `figures` is the way from the file to the folder of the reports, which figures are read from.
        """
        self._own = yaml.read(WORDS / self._language / "paper.yaml")
        self._numbers = {"figure": 0, "table": 0}
        self._way = figures
        page = (
            environment("markdown")
            .get_template("paper.md.jinja")
            .render(
                paper=self.paper,
                word=self.word,
                text=self.text,
                table=self.table,
                figure=self.figure,
                picture=self._picture,
                limits=self._own["limits"],
                simulated=self._simulated[0],
                answers=self._of_index()["answers"],
                curves=self._curves(),
                **self._of_methods(),
                **self._of_advice(),
            )
        )
        return re.sub(r"\n{3,}", "\n\n", page)

    def _curves(self) -> str:
        """Say how many specifications of each study point which way, where there is a specification curve."""
        told = []
        for study in self._studies:
            rows = self._found[study].where(stage="curve", estimator="specification_count", specification="all")
            counts = {row.estimand: int(row.estimate) for row in rows.itertuples() if row.estimate == row.estimate}
            if counts:
                told.append(self._fill(self._own["curves"]["study"], name=self.word("studies", study), found=counts))
        return " ".join([self._own["curves"]["lead"], *told]) if told else ""

    def paper(self, path: str) -> str:
        """Return a text of the paper's own words, its numbers filled in."""
        found: Any = self._own
        for step in path.split("."):
            found = found[step]
        counts = self._counts()
        return self._fill(found, claims=counts["claims"], required=counts["required"])

    def figure(self, name: str, file: str) -> str:
        """Return a figure with its number and caption."""
        return self._numbered("figure", f"![{self._own['figures'][name]}]({self._way}{file})", name)

    def table(self, name: str) -> str:
        """Return a table with its number and caption."""
        header, rows, prose = getattr(self, f"_table_of_{name}")()
        header = [self._own["columns"].get(column) or column for column in header]
        return self._numbered("table", tables.markdown(header, rows, prose=prose), name)

    def _numbered(self, kind: str, body: str, name: str) -> str:
        self._numbers[kind] += 1
        title = f"**{self._own[kind]} {self._numbers[kind]}.** {self._own[f'{kind}s'][name]}"
        return "\n\n".join([body, title] if kind == "figure" else [title, body])

    def _table_of_studies(self) -> tuple[list[str], list[list[str]], bool]:
        rows = []
        for study in self._studies:
            counts = {
                name: whole(self._found[study].one(stage="describe", estimator="count", factor=name).estimate)
                for name in ("loans", "defaults")
            }
            design = self.word("strengths", self._params.study(study).design)
            rows.append(
                [self.word("studies", study), design, self.word("measures", study), counts["loans"], counts["defaults"]]
            )
        return ["study", "design", "factor", "loans", "defaults"], rows, True

    def _table_of_methods(self) -> tuple[list[str], list[list[str]], bool]:
        columns = self.word("methods", "columns")
        rows = [
            [
                self.word("methods", "estimators", row["estimator"]),
                self.word("methods", "outcomes", row["outcome"]),
                self.word("methods", "verdicts", row["expected"]),
                *(row[name] for name in ("estimate", "truth", "coverage", "alarm")),
            ]
            for row in self._of_methods()["methods"]
        ]
        names = ("method", "outcome", "expected", "estimate", "truth", "coverage", "alarm")
        return [columns[name] for name in names], rows, True

    def _table_of_verdicts(self) -> tuple[list[str], list[list[str]], bool]:
        found = Counter((claim.document, self._rows[claim.id, OVERALL].verdict) for claim in self._claims)
        verdicts = [name for name in self.word("signs") if any(verdict == name for _, verdict in found)]
        documents = sorted({claim.document for claim in self._claims})
        rows = [[self._document(name), *(str(found[name, verdict]) for verdict in verdicts)] for name in documents]
        return ["document", *(self.word("verdicts", name) for name in verdicts)], rows, True

    def _document(self, name: str) -> str:
        """Return a document's name, without its Chinese title where the paper's font has no letters for it."""
        full = self.word("documents", name)
        return full if self._language == "zh" else re.sub(r"\s*\([^)]*[\u4e00-\u9fff][^)]*\)", "", full)

    def _table_of_decided(self) -> tuple[list[str], list[list[str]], bool]:
        rows = []
        for claim in self._claims:
            if claim.kind == "method":
                continue
            for place, row in enumerate(self._told(claim, self._real)):
                rows.append(
                    [
                        claim.id if place else f"{claim.id} {self._claim_text(claim)}",
                        self.word("studies", row.study),
                        self._label(claim, row.verdict, [row.strength]),
                        self.word("strengths", row.strength),
                        self.size(row),
                    ]
                )
        return ["claim", "study", "verdict", "design", "estimate"], rows, True

    def _table_of_sources(self) -> tuple[list[str], list[list[str]], bool]:
        rows = [
            [item["record"].title, f"[{item['record'].licence}]({item['record'].licence_page})"]
            for item in self._of_data()["records"]
        ]
        return ["source", "licence"], rows, True

    def _table_of_software(self) -> tuple[list[str], list[list[str]], bool]:
        return ["package", "version"], [[name, version] for name, version in software()], True


def to_markdown(page: str) -> str:
    """Return the paper as a code host shows it, its citations resolved."""
    import pypandoc

    text = pypandoc.convert_text(page, "gfm-raw_html", format=PANDOC, extra_args=[*CITED, "--wrap=none"])
    return text.replace("\r\n", "\n")


class Spoken(NamedTuple):
    """The language of a paper: all that its PDF asks of the words."""

    language: str

    def wide(self) -> bool:
        """Say whether it is written in characters that only some machines' fonts have."""
        return self.language == "zh"


def to_print(page: str, title: str, language: str) -> bytes:
    """Return the paper as PDF."""
    return to_pdf(page, title, Spoken(language), places.reports("evidence").parent, CITED)
