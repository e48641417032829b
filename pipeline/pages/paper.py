"""The paper: claims, data, design, results and what follows, with numbered tables and figures and its references."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.analyses.evidence.rows import OF_CRM
from pipeline.core import yaml
from pipeline.pages.evidence import advice, first, methods, said, sources, sure
from pipeline.pages.evidence.book import Book
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
        self._own = yaml.read(WORDS / self.language / "paper.yaml")
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
                picture=self.picture,
                limits=self._own["limits"],
                simulated=self.simulated[0],
                answers=said.answers(self),
                simulation=said.simulation(self),
                curves=self._curves(),
                margins=methods.context(self)["margins"],
                rule=methods.context(self)["rule"],
                worlds=methods.context(self)["worlds"],
                paragraphs=advice.context(self)["paragraphs"],
            )
        )
        return re.sub(r"\n{3,}", "\n\n", page)

    def _curves(self) -> str:
        """Say how many specifications of each study point which way, where there is a specification curve."""
        told = []
        for study in self.studies:
            rows = self.found[study].where(stage="curve", estimator="specification_count", specification="all")
            counts = {row.estimand: int(row.estimate) for row in rows.itertuples() if row.estimate == row.estimate}
            if counts:
                told.append(self.fill(self._own["curves"]["study"], name=self.word("studies", study), found=counts))
        return " ".join([self._own["curves"]["lead"], *told]) if told else ""

    def paper(self, path: str) -> str:
        """Return a text of the paper's own words, its numbers filled in."""
        found: Any = self._own
        for step in path.split("."):
            found = found[step]
        kinds = [claim.kind for claim in self.ledger.claims]
        required = kinds.count("requirement")
        return self.fill(found, claims=len(kinds) - required - kinds.count("none"), required=required)

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
        for study in self.studies:
            counts = {
                name: whole(self.found[study].one(stage="describe", estimator="count", factor=name).estimate)
                for name in ("loans", "defaults")
            }
            design = self.word("designs", self.params.study(study).design)
            rows.append(
                [self.word("studies", study), design, self.word("measures", study), counts["loans"], counts["defaults"]]
            )
        return ["study", "design", "factor", "loans", "defaults"], rows, True

    def _table_of_findings(self) -> tuple[list[str], list[list[str]], bool]:
        rows = []
        for row in self.findings:
            shown = said.finding(self, row)
            rows.append(
                [
                    shown["practice"],
                    f"{self.word('studies', row.study)}{self.word('comma')}{shown['n']}",
                    shown["size"],
                    self.word("verdicts", row.verdict),
                    self.word("certainty", row.certainty),
                    self.join(shown["claims"]),
                ]
            )
        return ["practice", "study", "estimate", "verdict", "certainty", "claim"], rows, True

    def _table_of_methods(self) -> tuple[list[str], list[list[str]], bool]:
        columns = self.word("methods", "columns")
        rows = [
            [
                row["name"],
                self.word("methods", "outcomes", row["outcome"]),
                row["said"],
                self.word("methods", "expectations", row["expected"]),
                *(row[name] for name in ("estimate", "truth", "coverage", "rejection")),
            ]
            for row in methods.context(self)["methods"]
        ]
        names = ("method", "outcome", "label", "expected", "estimate", "truth", "coverage", "rejection")
        return [columns[name] for name in names], rows, True

    def _table_of_verdicts(self) -> tuple[list[str], list[list[str]], bool]:
        shown = first.context(self)
        rows = [
            [self.word("kinds", line["kind"]), str(line["of"]), *map(str, line["counts"])] for line in shown["counts"]
        ]
        return ["class", "claims", *(self.word("verdicts", name) for name in shown["verdicts"])], rows, True

    def _table_of_decided(self) -> tuple[list[str], list[list[str]], bool]:
        rows = []
        for claim in self.ledger.claims:
            if claim.kind not in OF_CRM:
                continue
            told = [row for study in self.real for row in self.parts(claim.id, study) if row.certainty is not None]
            for place, row in enumerate(told):
                rows.append(
                    [
                        claim.id if place else f"{claim.id} {self.claim_text(claim)}",
                        self.word("studies", row.study),
                        self.measured(row.study, row.factor),
                        self.size(row),
                        self.word("verdicts", row.verdict),
                        self.word("certainty", row.certainty),
                    ]
                )
        return ["claim", "study", "factor", "estimate", "verdict", "certainty"], rows, True

    def _table_of_needed(self) -> tuple[list[str], list[list[str]], bool]:
        columns = self.word("sure", "columns")
        names = ("rate", "margin", "loans", "loans_by_branch", "here")
        rows = [
            [self.word("advice", "factors", one["name"], "name"), self.word("studies", row["study"])]
            + [row[name] for name in names]
            for one in sure.context(self)["practices"]
            for row in one["rows"]
        ]
        return ["practice", "study", *(columns[name] for name in names)], rows, True

    def _table_of_sources(self) -> tuple[list[str], list[list[str]], bool]:
        rows = [
            [item["record"].title, f"[{item['record'].licence}]({item['record'].licence_page})"]
            for item in sources.data(self)["records"]
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
