"""The paper put together: words and tables into Markdown with citations, and that into HTML, PDF and plain Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.analyses.evidence.answer import answer
from pipeline.analyses.evidence.rows import OF_CRM
from pipeline.core import results, yaml
from pipeline.pages.evidence import first, said
from pipeline.pages.evidence.book import Book, lines, path_of
from pipeline.pages.paper import follows, found, sample
from pipeline.pages.paper.sample import Table
from pipeline.pages.paper.steps import PRINCIPLES, TIERS, hypotheses
from pipeline.present import tables
from pipeline.present.documents import PANDOC
from pipeline.present.labels import ASKED
from pipeline.present.numerals import fixed, percent, whole
from pipeline.present.page import strata_apart
from pipeline.present.words import AFTER_STOP, TEMPLATES, WIDE, environment, lower_first
from pipeline.present.words import FOLDER as WORDS
from pipeline.runtime import places
from pipeline.sources.records import Source, load_source

BIBLIOGRAPHY = Path(__file__).parent / "references.bib"
CITATION = Path("CITATION.cff")

SETTLED = ("supported", "contradicted")
"""Verdicts so seldom given to a statement on CRM that the key points name each."""

BARE_MENTION = 3.2
"""Ratio of two probabilities up to which what was seen tells two worlds apart no better than is worth a bare mention
(Kass and Raftery 1995, Journal of the American Statistical Association 90)."""

LATER = "_later"
"""What ends the specification of a row of loans that were granted later, which decides nothing."""

CITED = ["--quiet", "--citeproc", f"--bibliography={BIBLIOGRAPHY}", f"--lua-filter={TEMPLATES / 'citations.lua'}"]

OF_STUDY = "data-"
"""What begins the keys of data in the bibliography; a study's name, with hyphens, follows."""

TABLES: dict[str, Callable[[Book], Table]] = {
    "hypotheses": found.statements,
    "lenders": sample.lenders,
    "representative": sample.representative,
    "complete": sample.complete,
    "comparable": sample.comparable,
    "varied": sample.varied,
    "described": found.described,
    "correlated": found.correlated,
    "controlled": found.controlled,
    "caused": found.caused,
    "checked": found.checked,
    "moderated": found.moderated,
    "advised": follows.advised,
    "tiers": follows.tiers,
    "wanted": follows.wanted,
}

PRINTED = [*CITED, "--columns=1", "--variable=size:9pt"]
"""In print columns have the widths that their dashes ask for, and letters are somewhat smaller than a report's."""

SMALL = 'typst:text:size="8.5pt"'
"""How lists at the end are printed."""

LINE, SHORT, LONGEST = 130, 18, 60
"""Letters of a table's line in print, of a column that is not to be broken, and of the longest that counts."""

NUMERIC = ("representative", "complete", "varied", "controlled")
"""Tables of numbers, whose cells stand to the right."""


class Paper(Book):
    """What the paper's template can call: all that the pages can, and sections, tables and figures with numbers."""

    def render(self, figures: str, *, linked: bool = False) -> str:
        """Return the paper in pandoc's Markdown, its citations still to be resolved.

        `figures` is the way from the file to the folder of the reports, which figures are read from. `linked` says
        whether statements lead to the page of claims, which stands beside the paper as a page.
        """
        self._linked, self._way = linked, figures
        self._numbers = {"figure": 0, "table": 0, "section": 0, "part": 0}
        calls = {name: getattr(self, name) for name in ("say", "word", "section", "part", "table", "figure", "asked")}
        page = (
            environment("markdown")
            .get_template("paper.md.jinja")
            .render(
                **calls,
                principles=PRINCIPLES,
                tiers=[follows.of_tier(self, name) for name in TIERS],
                limits=[self.fill(text, **self._counts) for text in self.words("limits")],
                answers=said.answers(self),
                simulation=said.simulation(self),
                sources=[(one.named(self.language), one.licence_page) for one in self._records()],
                references=f"::: {{#refs {SMALL}}}",
                small=f"::: {{.small {SMALL}}}",
                simulated=self.picture(self.simulated[0], "recovery"),
            )
        )
        return AFTER_STOP.sub("", re.sub(r"\n{3,}", "\n\n", page))

    # Words.

    @cached_property
    def _own(self) -> dict[str, Any]:
        return yaml.read(WORDS / self.language / "paper.yaml")

    def words(self, *path: str) -> Any:
        """Return what stands at a path of the paper's own words."""
        found: Any = self._own
        for step in path:
            found = found[step]
        return found

    def say(self, *path: str, **more: Any) -> str:
        """Return a text of the paper's own words, its numbers filled in."""
        return self.fill(self.words(*path), **self._counts | more)

    @cached_property
    def _counts(self) -> dict[str, Any]:
        """What the paper's texts may count."""
        claims = [claim for claim in self.ledger.claims if claim.kind not in first.APART]
        required = [claim for claim in self.ledger.claims if claim.kind == "requirement"]
        others = [claim for claim in claims if claim.kind in ("credit", "prediction")]
        of_crm = [claim.id for claim in claims if claim.kind in OF_CRM]
        ours = [self.row(name).verdict for name in of_crm]
        answered = answer(self.findings)
        whole_programme = [row for row in self.needed if row.practice == "programme"]
        return {
            "claims": len(claims),
            "required": len(required),
            "met": sum(self.row(claim.id).verdict == "met" for claim in required),
            "lenders": len(self.real),
            "randomised": sum(self.params.study(study).design == "randomised" for study in self.real),
            "loans": whole(sum(sample.number(self.found[study], "loans") for study in self.real)),
            "beyond": self._beyond(),
            "hypotheses": len(hypotheses(list(self.ledger.claims))),
            "of_crm": len(ours),
            "verdict": ours.count,
            "settled": lambda: self.word("semicolon").join(
                f"{self.statement(name)}{self._by(name)}"
                for name, found in zip(of_crm, ours, strict=True)
                if found in SETTLED
            ),
            "direct": answered.direct,
            "observed": answered.observed,
            "shown": lambda found: said.shown(self, found),
            "clients": self._span([row.loans for row in whole_programme]),
            "branches": self._span([row.loans_by_branch for row in whole_programme]),
            "clients_none": self._span([row.loans_equivalent for row in whole_programme]),
            "branches_none": self._span([row.loans_equivalent_by_branch for row in whole_programme]),
            "undecided": lambda kind: found.undecided(self, kind),
            "marked": lambda kind: found.marked(self, kind),
            "tried": self._tried,
            "moot": lambda *verdicts: self.join(
                [self.claim(name) for name in self._moot.index if not verdicts or self.row(name).verdict in verdicts]
            ),
            "moot_share": lambda world: self._span(list(100 * self._moot[world]), percent),
            "statement": self.statement,
            "sign": lambda name: self.word("signs", name),
            "gaps": self._gaps(),
            "others": sum(self.row(claim.id).verdict == "supported" for claim in others),
            "of_others": len(others),
            "drawn": sum(row.design == "randomised" for row in self.findings),
            "comparisons": len(self.findings),
            "own_recovers": any(
                one.label in ("recovers", "not_told") for one in said.tried(self) if one.estimator in ASKED
            ),
            "authors": self.join([self._named(one) for one in self._citation["authors"]]),
            "version": self._citation["version"],
            "date": self._citation["date-released"],
            "licence": self._citation["license"],
            "year": str(self._citation["date-released"])[:4],
            "apart": self.join(
                [self.word("studies", one) for one in self.real if strata_apart(self.params.study(one))]
            ),
            "studies": self.word("semicolon").join(self.word("studies", study) for study in self.real),
        }

    @cached_property
    def _citation(self) -> dict[str, Any]:
        return yaml.read(CITATION)

    def _named(self, author: dict[str, str]) -> str:
        if group := author.get("name"):
            return self.words("groups").get(group, group)
        return " ".join(author[part] for part in ("given-names", "family-names") if part in author)

    def statement(self, name: str) -> str:
        """Return a statement of the documents with what was found: verdict over the real lenders, and certainty."""
        claim = next(one for one in self.ledger.claims if one.id == name)
        row = self.row(name)
        certainty = self.words("of_certainty").format(self.sure(row.certainty)) if row.certainty else ""
        return self.words("beside_statement").format(
            number=self.claim(name),
            statement=self.claim_text(claim).rstrip(".。"),
            verdict=self.word("verdicts", row.verdict),
            certainty=certainty,
        )

    def _by(self, name: str) -> str:
        """Say at which lenders a statement was tested, by what measure, what it stands for, and what came out."""
        claim = next(one for one in self.ledger.claims if one.id == name)
        told = [
            self.words("at_lender").format(
                lender=self.word("short", row.study), measured=lower_first(found.stated(self, row)), size=self.size(row)
            )
            + self._later(row)
            for row in found.decided(self, claim)
        ]
        proxies = dict.fromkeys(self.limit(name, row.study, "proxy") for row in found.decided(self, claim))
        stands = [self.words("stands_for").format(text.rstrip(".。")) for text in proxies if text]
        return self.words("measured_by").format(self.word("semicolon").join(told)) + "".join(stands)

    def _later(self, row: Any) -> str:
        """Return the same number among the loans granted later, where a study has it beside the deciding one."""
        address = {name: getattr(row, name) for name in ("stage", "estimator", "factor", "outcome", "estimand")}
        rows = self.found[row.study].where(specification=f"{row.specification}{LATER}", **address)
        return self.words("later").format(self.short(next(rows.itertuples()))) if len(rows) else ""

    def claim(self, name: str, text: str = "") -> str:
        """Return a statement by its number, which leads to all that is known of it where the page can."""
        asked = {claim.id for claim in self.ledger.claims if claim.kind == "requirement"}
        page = "requirements" if name in asked else "claims"
        number = f"[{name}]({path_of(page, self.language).name}#{name})" if self._linked else name
        return f"{number} {text}".strip()

    def sure(self, certainty: str | None) -> str:
        """Return how sure a verdict is; nothing where it has no certainty."""
        return str(self.word("certainty", certainty)) if certainty else ""

    def cited(self, study: str) -> str:
        """Return the citation of a study's data, if the bibliography has them."""
        key = OF_STUDY + study.replace("_", "-")
        return f"[@{key}]" if f"{{{key}," in self._bibliography else tables.MISSING

    @cached_property
    def _bibliography(self) -> str:
        return BIBLIOGRAPHY.read_text(encoding="utf-8")

    @cached_property
    def needed(self) -> list[Any]:
        """Return the loans that a practice's effect takes at the default rate of each real lender."""
        return [row for row in lines(self.tables.needed) if row.study in self.real]

    @cached_property
    def _sets(self) -> Any:
        """Return the shares of made-up sets of lenders with each verdict, by statement and by what works there."""
        rows = results.read(places.results("procedure", "procedure")).frame
        return rows[rows["factor"] != "any"]

    @cached_property
    def _moot(self) -> Any:
        """Return statements for which "inconclusive" is about as likely where nothing works as where all works."""
        rows = self._sets[self._sets["outcome"] == "inconclusive"]
        shares = rows.pivot_table("estimate", "factor", "specification").fillna(0.0)
        return shares[shares.max(axis=1) <= BARE_MENTION * shares.min(axis=1)]

    def _tried(self) -> str:
        """Say in which share of made-up sets of lenders the rules support a statement that is true there."""
        rows = self._sets[self._sets["specification"] == "twice_what_matters"]
        shares = rows.assign(estimate=rows["estimate"].where(rows["outcome"] == "supported", 0.0))
        told = shares.groupby("factor")["estimate"].sum().sort_values(ascending=False, kind="stable")
        return self.word("semicolon").join(f"{self.claim(name)} {percent(100 * share)}" for name, share in told.items())

    def _beyond(self) -> str:
        """Name the lenders of which a deciding row uses more loans than the cohort holds, and how many at most."""
        most = {study: sample.number(self.found[study], "loans") for study in self.real}
        used: dict[str, float] = {}
        for row in self.all_parts():
            if row.certainty and row.n > most[row.study]:
                used[row.study] = max(row.n, used.get(row.study, 0))
        told = [self.words("up_to").format(lender=self.word("short", study), n=whole(n)) for study, n in used.items()]
        return self.join(told)

    def _gaps(self) -> str:
        """Say by how many points default differs between the best and the worst grade of each real lender."""
        ordered = [found.rates(self.found[study], "credit_grade") for study in self.real]
        gaps = [grades[-1][1] - grades[0][1] for grades in ordered if grades]
        return self._span(gaps, lambda gap: fixed(gap, 1))

    def _span(self, numbers: list[float], printed: Callable[[float], str] = whole) -> str:
        """Return the smallest and the largest of some numbers."""
        low, high = printed(min(numbers)), printed(max(numbers))
        return low if low == high else self.fill(self.words("between"), low=low, high=high)

    def _records(self) -> list[Source]:
        names = dict.fromkeys(name for study in self.studies for name in self.params.study(study).sources)
        return list({record.title: record for record in map(load_source, names)}.values())

    # Sections, tables and figures.

    def section(self, name: str) -> str:
        """Return a numbered heading."""
        self._numbers["section"] += 1
        self._numbers["part"] = 0
        return f"## {self._numbers['section']} {self.words('headings', name)} {{#{name}}}"

    def part(self, name: str) -> str:
        """Return a numbered heading inside a section."""
        self._numbers["part"] += 1
        return f"### {self._numbers['section']}.{self._numbers['part']} {self.words('headings', name)} {{#{name}}}"

    def asked(self, step: str) -> str:
        """Return the table of what the documents ask in a step."""
        return self._numbered("table", self._laid_out(*sample.asked(self, step)), f"asked_{step}")

    def table(self, name: str) -> str:
        """Return a table with its number and caption."""
        return self._numbered("table", self._laid_out(*TABLES[name](self), prose=name not in NUMERIC), name)

    def _laid_out(self, names: list[str], rows: list[list[str]], *, prose: bool = True) -> str:
        header = [self.words("columns").get(name, name) for name in names]
        head, rule, *body = tables.markdown(header, rows, prose=prose).splitlines()
        # In print, columns are as wide as their dashes say.
        wide = iter(widths(header, rows))
        return "\n".join([head, re.sub(r"-+", lambda _: "-" * next(wide), rule), *body])

    def figure(self, name: str, file: str, size: str = "") -> str:
        """Return a figure with its number and caption; `size`, pandoc's attribute, is its size in print."""
        caption = self.say("figures", name)
        return self._numbered("figure", f"![{caption}]({self._way}{file}){'' if self._way else size}", name, caption)

    def _numbered(self, kind: str, body: str, name: str, caption: str = "") -> str:
        self._numbers[kind] += 1
        number = self._numbers[kind]
        title = f"**{self.words(kind)} {number}{self.words('after_number')}** {caption or self.say(f'{kind}s', name)}"
        inner = "\n\n".join([body, title] if kind == "figure" else [title, body])
        return f":::: {{#{kind}-{number} .{kind}}}\n{inner}\n::::"


def widths(header: list[str], rows: list[list[str]]) -> list[int]:
    """Return each column's letters in print: short columns get what they ask for, the others a share of the rest."""
    heads = [max(*map(letters, name.split()), letters(name) // 2) for name in header]
    sizes = [max([head, *(letters(row[place]) for row in rows)]) + 2 for place, head in enumerate(heads)]
    # A head may take two lines.
    long = [min(size, LONGEST) if size > SHORT else 0 for size in sizes]
    rest = max(LINE - sum(size for size in sizes if size <= SHORT), LINE // 2)
    return [round(rest * wide / sum(long)) if wide else size for size, wide in zip(sizes, long, strict=True)]


def letters(text: str) -> int:
    """Return how many letters' room a text takes: a Chinese one takes that of two."""
    return sum(2 if WIDE.match(letter) else 1 for letter in text)


def to_markdown(page: str) -> str:
    """Return the paper as a code host shows it, its citations resolved."""
    import pypandoc

    text = pypandoc.convert_text(page, "gfm-raw_html", format=PANDOC, extra_args=[*CITED, "--wrap=none"])
    return text.replace("\r\n", "\n")
