"""The report: words and result rows in, Markdown, HTML and PDF out."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pipeline.core.params import BLOCKS, CONSTRUCTS, Params, Study, read
from pipeline.core.results import Results
from pipeline.core.scope import FEWEST, LeftOut, Scope, reduced
from pipeline.present import tables
from pipeline.present.chapters import chapters
from pipeline.present.numerals import fixed, p_value, percent, whole
from pipeline.present.software import software
from pipeline.present.trail import Trail
from pipeline.present.words import TAGS, WIDE, Words, environment, filled, lower_first
from pipeline.sources.records import Source

TEMPLATES = Path(__file__).parent / "templates"

Flavour = Literal["markdown", "pandoc"]
"""markdown: as a code host shows it. pandoc: with blocks around figures and tables, for HTML and PDF."""


def effect_row(results: Results, factor: str, rung: str) -> Any:
    """Return the linear probability model's row of a factor on a rung, in percentage points of default."""
    return results.one(
        stage="regress",
        estimator="linear_probability",
        estimand="risk_difference",
        factor=factor,
        specification=rung,
    )


def labels_of(results: Results) -> dict[str, str]:
    """Return the labels of columns that came with the data, by column."""
    rows = results.where(stage="label", estimator="label")
    return dict(zip(rows["factor"], rows["note"], strict=True))


def raw_factor(protocol: Study, arms: bool) -> str:
    """Return what the raw pattern is drawn by: the treatment's doses where it has any, its two arms where not."""
    if protocol.treatment is None or not arms:
        return next(iter(protocol.doses), "treated")
    return protocol.treatment.factor if protocol.treatment.factor in protocol.doses else "treated"


def scope_of(results: Results, protocol: Study) -> Scope:
    """Return what the data allow of a protocol, as the rows of the stage describe say."""
    rows = results.where(stage="describe", estimator="left_out")
    found = [LeftOut(row.specification, row.factor, int(row.estimate), row.note) for row in rows.itertuples()]
    return reduced(protocol, found)


def shown_factors(results: Results, allowed: Scope) -> list[str]:
    """Return what default is related to, each thing once: a yes-or-no factor that makes the arms is the treatment."""
    rule = allowed.protocol.treatment
    if rule is None or not allowed.arms or rule.factor not in allowed.factors or not allowed.models:
        return allowed.factors
    arms, factor = (effect_row(results, name, "M1") for name in ("treated", rule.factor))
    same = (arms.estimate, arms.std_error, arms.n) == (factor.estimate, factor.std_error, factor.n)
    return [name for name in allowed.factors if not (same and name == "treated")]


class Effects:
    """Sentences about effects, whose wording follows sign and interval of the row that they speak of."""

    def __init__(self, results: Results, words: Words, level: float) -> None:
        """Take the rows to speak of, the words to use and the intervals' confidence level."""
        self._results = results
        self._words = words
        self._level = f"{100 * level:g}"

    def direction(self, factor: str, rung: str) -> Literal["lower", "higher", "none"]:
        """Say whether the interval lies below zero, above it, or holds it (or there is none)."""
        row = effect_row(self._results, factor, rung)
        return "lower" if row.ci_high < 0 else "higher" if row.ci_low > 0 else "none"

    def claim(self, factor: str, rung: str) -> str:
        """Return what becomes of the claim that more of a factor means less default, judged on a rung."""
        verdict = {"lower": "supported", "higher": "contradicted", "none": "inconclusive"}[self.direction(factor, rung)]
        sentence = lower_first(self.sentence(factor, rung))
        construct = next((name for name in CONSTRUCTS if factor.startswith(name)), factor)
        claim = self._words.known("claims", construct) or self._words.text("claim")
        return filled(self._words.text(f"claims.{verdict}"), claim=claim, sentence=sentence, rung=rung)

    def sentence(self, factor: str, rung: str) -> str:
        """Return the sentence on a factor's effect, without a full stop."""
        row, direction = effect_row(self._results, factor, rung), self.direction(factor, rung)
        # "Less default" carries the sign in its words, so the numbers beside it lose theirs.
        estimate, low, high = row.estimate, row.ci_low, row.ci_high
        if direction == "lower":
            estimate, low, high = -estimate, -high, -low
        own = f"labels.units.{factor}"
        unit = (
            self._any_unit(factor)
            if self._words.has("any_unit") and not self._words.has(own)
            else self._words.text(own)
        )
        if math.isnan(estimate):
            return filled(self._words.text("effects.unknown"), unit=unit, lower_first=lower_first)
        return filled(
            self._words.text(f"effects.{direction}"),
            unit=unit,
            size=fixed(estimate, 2),
            low=fixed(low, 2),
            high=fixed(high, 2),
            level=self._level,
        )

    def _any_unit(self, factor: str) -> str:
        """Say what one unit more of a factor is, from its label and its values."""
        binary = self._results.one(estimator="summary", factor=factor, estimand="binary").estimate == 1
        template = self._words.text("any_unit.binary" if binary else "any_unit.number")
        return filled(template, label=self._words.label("columns", factor), lower_first=lower_first)


def rungs_of(protocol: Study) -> dict[str, list[str]]:
    """Return the rungs on all loans, each with its blocks of controls."""
    present = [block for block in BLOCKS if block in protocol.controls.ladder()]
    numbered = {f"M{BLOCKS.index(block) + 2}": present[: place + 1] for place, block in enumerate(present)}
    return {"M1": [], **numbered}


def effects_parts(words: Words) -> list[dict[str, Any]]:
    """Return what a study's words say on the rows of the stage effects, section by section.

    Each has a ``heading`` and a ``text``. ``figure`` names a figure: event_study, or any name for a forest of the
    ``estimators``' rows. With a ``caption`` the estimators' rows also stand in a table.
    """
    return words.text("effects_parts") if words.has("effects_parts") else []


def correlation_kinds(protocol: Study) -> list[tuple[str, str]]:
    """Return every kind of correlation with what it holds fixed."""
    partial = [("partial", f"given_{block}") for block in protocol.controls.ladder()]
    return [("point_biserial", "raw"), ("spearman", "raw"), *partial]


def largest_difference(results: Results, sample: str) -> Any:
    """Return the balance row with the largest absolute standardised difference in a sample."""
    rows = results.where(estimator="balance", estimand="standardised_mean_difference", specification=sample)
    return rows.loc[rows["estimate"].abs().idxmax()]


class Page:
    """What the report's template and the words' own templates can call."""

    def __init__(
        self,
        results: Results,
        params: Params,
        study: str,
        words: Words,
        trail: Trail,
        sources: list[Source],
        flavour: Flavour,
        pictures: str = "figures",
    ) -> None:
        """Take everything that the report is made of; nothing is read or written here.

        `pictures` is the folder of the figures, beside the page.
        """
        self._results, self._params, self._study = results, params, study
        self._scope = scope_of(results, params.study(study))
        self._protocol = self._scope.protocol
        self._words, self._trail, self._sources, self._flavour = words, trail, sources, flavour
        self._pictures = pictures
        self._effects = Effects(results, words, params.inference.level)
        self._numbers = {"figure": 0, "table": 0}

    def render(self) -> str:
        """Return the report in Markdown."""
        page = (
            environment("markdown")
            .get_template("report.md.jinja")
            .render(
                text=self.text,
                texts=self.texts,
                figure=self.figure,
                table=self.table,
                has=self._words.has,
                effects_parts=self.effects_parts,
                chapters=self.chapters,
                inside=self.inside,
                failed=self.failed,
                scope=self._scope,
                left_out=self.left_out,
                protocol=self._protocol,
            )
        )
        return re.sub(r"\n{3,}", "\n\n", page)

    @cached_property
    def contents(self) -> list[dict[str, Any]]:
        """Every figure and table of the page as rendered: what it is, its number, file, stage and caption."""
        return []

    @property
    def results(self) -> Results:
        """The rows that the page speaks of."""
        return self._results

    @property
    def words(self) -> Words:
        """The words in which it speaks."""
        return self._words

    @property
    def scope(self) -> Scope:
        """What the data allow."""
        return self._scope

    @property
    def params(self) -> Params:
        """Every choice."""
        return self._params

    def text(self, key: str, **more: Any) -> str:
        """Return a text of the words, its numbers filled in; `more` are names that only this text uses."""
        return filled(self._words.text(key), **self._context | more)

    def texts(self, key: str) -> list[str]:
        """Return a list (or the parts of a section) of texts, their numbers filled in."""
        parts = self._words.text(key)
        templates = parts.values() if isinstance(parts, dict) else parts
        said = (filled(template, **self._context) for template in templates)
        return [text for text in said if text]

    def findings(self) -> str:
        """Return the headline results as plain text: first what becomes of the claim, then one line each."""
        return "\n".join([self.text("lead"), *(f"- {sentence}" for sentence in self.texts("findings"))])

    def chapters(self) -> Iterator[str]:
        """Yield the blocks of the chapters, one after the other."""
        for chapter in chapters(self._results):
            yield from chapter.blocks(self)

    def inside(self, section: str) -> Iterator[str]:
        """Yield the blocks that end a section of the template."""
        for chapter in chapters(self._results, [section]):
            yield from chapter.blocks(self)

    def failed(self) -> list[str]:
        """Return a sentence on each assumption that its stage checked and found not to hold."""
        rows = self._results.where(estimator="assumption")
        rows = rows[rows["note"].str.startswith("failed")]
        return [
            filled(
                self._words.text(f"assumptions.{row.specification}"),
                row=row,
                label=lower_first(self._words.known("columns", row.factor) or row.factor or self._words.text("study")),
                value=fixed(row.estimate, 2),
                stage=row.stage,
                fixed=fixed,
                whole=whole,
                percent=percent,
                p_value=p_value,
            )
            for row in rows.itertuples(index=False)
        ]

    def left_out(self) -> list[str]:
        """Return a sentence on each thing that the data cannot support; columns that are absent alike share one."""
        words = self._words
        sentences: dict[str, list[LeftOut]] = {}
        for item in self._scope.left_out:
            template = words.text(f"left_out.{item.reason}")
            if item.reason == "absent":
                # What the absence of this column means; the others share a sentence.
                special = words.known("absent", item.name)
                template = template if special is None else special
            sentences.setdefault(template, []).append(item)
        return [
            filled(
                template,
                names=self._listed([item.name for item in items if item.name]),
                count=whole(items[0].count),
                note=items[0].note,
                fewest=FEWEST,
            )
            for template, items in sentences.items()
            if template.strip()
        ]

    def _listed(self, names: list[str]) -> str:
        kinds = ("columns", "blocks")
        labels = [next(filter(None, (self._words.known(kind, name) for kind in kinds)), name) for name in names]
        return self._words.series([lower_first(label) for label in labels])

    def effects_parts(self) -> Iterator[dict[str, str]]:
        """Yield the sections on what the study's design allows: heading, text, and figure and table or nothing."""
        for part in effects_parts(self._words):
            section = {"heading": part["heading"], "text": filled(part["text"], **self._context)}
            # The figure comes first on the page, so it is numbered first; a table's number counts by itself.
            section["figure"] = self.figure(part["figure"]) if "figure" in part else ""
            section["table"] = ""
            if "caption" in part:
                body = tables.effects(self._results, self._words, part["estimators"])
                section["table"] = self._block("table", body, filled(part["caption"], **self._context), "effects")
            yield section

    def figure(self, name: str) -> str:
        """Return a figure with its number, its caption and what made it."""
        caption = self.text(f"figures.{name}")
        return self._block("figure", self._image(name, caption), caption, FIGURE_STAGES.get(name, "effects"))

    def show_figure(self, name: str, stage: str, **more: Any) -> str:
        """Return a chapter's figure; its caption stands in the words under ``figures.<name>``."""
        caption = self.text(f"figures.{name}", **more)
        return self._block("figure", self._image(name, caption), caption, stage)

    def show_table(self, name: str, body: str, stage: str, **more: Any) -> str:
        """Return a chapter's table; its caption stands in the words under ``tables.<name>``."""
        return self._block("table", body, self.text(f"tables.{name}", **more), stage)

    def _image(self, name: str, caption: str) -> str:
        return f"![{caption}]({self._pictures}/{name}.svg)"

    def table(self, name: str) -> str:
        """Return a table with its number, its caption and what made it."""
        results, words, protocol = self._results, self._words, self._protocol
        factors = shown_factors(self._results, self._scope)
        rungs = rungs_of(protocol)
        every = list(rungs.values())[-1]
        all_rungs = {**rungs, "M6": [], "M7": every} if self._scope.matching else rungs
        make: dict[str, Callable[[], str]] = {
            "sources": self._sources_table,
            "flow": lambda: tables.flow(results, words),
            "balance": lambda: tables.balance(results, words),
            "rates": lambda: tables.rates(results, words, [*protocol.groups, *protocol.doses]),
            "recovery": lambda: tables.recovery(results, words),
            "targets": lambda: tables.targets(results, words),
            "correlations": lambda: tables.correlations(results, words, factors, correlation_kinds(protocol)),
        }
        for kind in ("linear", "odds", "marginal"):
            make[kind] = lambda kind=kind: tables.ladder(results, words, factors, list(all_rungs), all_rungs, kind)
        return self._block("table", make[name](), self.text(f"tables.{name}"), TABLE_STAGES[name])

    def _sources_table(self) -> str:
        rows = [
            [
                source.title,
                self._words.known("measures", source.name) or source.measures.what.strip(),
                f"[{source.licence}]({source.licence_page})",
            ]
            for source in self._sources
        ]
        header = [self._words.text(f"columns.{name}") for name in ("source", "measures", "licence")]
        return tables.markdown(header, rows, prose=True)

    def _block(self, kind: Literal["figure", "table"], body: str, caption: str, stage: str) -> str:
        self._numbers[kind] += 1
        title = filled(self._words.text("numbered"), kind=self._words.text(kind), number=self._numbers[kind])
        title = f"{title}{'' if WIDE.search(title) else ' '}{caption}"
        source = f"`results/{stage}.csv`" if stage != "collect" else "`pipeline/sources`"
        made = filled(
            self._words.text("made_by"),
            stage=f"`{stage}`",
            source=source,
            parameters=f"`{self._trail.sentence(stage)}`",
        )
        file = re.search(r"\]\(([\w-]+/[\w-]+\.svg)\)$", body)
        self.contents.append(
            {
                "kind": kind,
                "number": self._numbers[kind],
                "file": file[1] if file else "",
                "stage": stage,
                "caption": re.sub(r"[*`]", "", caption),
            }
        )
        parts = [body, title] if kind == "figure" else [title, body]
        if self._flavour == "markdown":
            return "\n\n".join([*parts, f"<sub>{made}</sub>"])
        # Figures stay on one page with their caption; tables may run over several.
        breakable = "" if kind == "table" else ' typst:breakable="false"'
        inner = "\n\n".join([*parts, f'::: {{.made typst:text:size="7pt"}}\n{made}\n:::'])
        return f":::: {{#{kind}-{self._numbers[kind]} .{kind}{breakable}}}\n{inner}\n::::"

    @property
    def _has_balance(self) -> bool:
        return not self._results.where(estimator="balance").empty

    @cached_property
    def _context(self) -> dict[str, Any]:
        results, words, protocol = self._results, self._words, self._protocol
        factors = shown_factors(self._results, self._scope)

        def count(name: str) -> str:
            return whole(results.one(estimator="count", factor=name).estimate)

        def cell(estimator: str, specification: str, **named: str) -> Any:
            return results.one(stage="effects", estimator=estimator, specification=specification, **named)

        def rate(group: str) -> str:
            rows = results.where(estimator="default_rate", factor=group)
            before = rows[rows["specification"].str.startswith("before")]
            return percent(before["estimate"].item())

        def number_negative(kind: str, given: str) -> str:
            rows = results.where(stage="correlate", estimator=kind, specification=given, factor=factors)
            clear = (rows["estimate"] < 0) & (rows["p_adjusted"] < 1 - self._params.inference.level)
            return counted(int(clear.sum()))

        def month(text: str) -> str:
            year, number = text.split("-")
            name = words.text("months")[int(number) - 1]
            return filled(words.text("month"), name=name, year=year, number=int(number))

        def following(text: str) -> str:
            year, number = map(int, text.split("-"))
            return f"{year + number // 12}-{number % 12 + 1:02d}"

        counted = words.counted

        def listed(names: list[str]) -> str:
            return words.series([lower_first(words.label("columns", name)) for name in names])

        def flow(reason: str, what: str, outcome: str = "all") -> str:
            row = results.one(estimator="sample_flow", factor=reason, estimand=what, outcome=outcome)
            return whole(row.estimate)

        grades = results.where(estimator="default_rate")
        grades = grades[
            grades["factor"].str.startswith("credit_grade[") & grades["specification"].str.startswith("before")
        ]
        context: dict[str, Any] = {
            "software": [f"{name} {version}" for name, version in software()],
            "study": self._study,
            "count": count,
            "rate": rate,
            "flow": flow,
            "month": month,
            "following": following,
            "counted": counted,
            "listed": listed,
            "grades": list(grades.sort_values("specification")["factor"]),
            "label": lambda name: words.label("columns", name),
            "effect": self._effects.sentence,
            "claim": self._effects.claim,
            "lower_first": lower_first,
            "number_negative": number_negative,
            "number_of_factors": counted(len(factors)),
            "factors": factors,
            "scope": self._scope,
            "own": protocol.own,
            "protocol_factors": protocol.factors,
            "protocol_design": protocol.design,
            "raw_factor": raw_factor(protocol, self._scope.arms),
            "last_given": correlation_kinds(protocol)[-1][1],
            "last_rung": list(rungs_of(protocol))[-1],
            "level": f"{100 * self._params.inference.level:g}",
            "significance": f"{100 * (1 - self._params.inference.level):.3g}",
            "threshold": self._params.checks.balance,
            "design": words.label("designs", protocol.design),
            "match": self._params.match,
            "exact": protocol.matching.exact,
            "score": protocol.matching.score,
            "cluster": protocol.cluster,
            "eligibility": protocol.eligibility,
            "treatment": protocol.treatment,
            "lags": protocol.release_lag_months,
            "cell": cell,
            "fixed": fixed,
            "whole": whole,
            "percent": percent,
            "p_value": p_value,
        }
        if protocol.recovery:
            context |= self._of_recovery()
        if protocol.doses:
            factor, edges = next(iter(protocol.doses.items()))
            context["last_dose"] = f"{factor}[{edges[-1]:g}+]"
            context["last_dose_from"] = counted(edges[-1])
        note = effect_row(results, factors[0], context["last_rung"]).note if self._scope.models else ""
        context["absorbed"] = listed(note.split(": ")[1].split(", ")) if note.startswith("left out") else ""
        for sample in ("before", "after") if self._has_balance else ():
            row = largest_difference(results, sample)
            context[f"largest_difference_{sample}"] = fixed(abs(row["estimate"]), 3)
            context[f"least_alike_{sample}"] = lower_first(words.column(row["factor"]))
        return context

    def _of_recovery(self) -> dict[str, Any]:
        """Return what the words of a simulated study can ask of its recovery and effects rows."""
        results, words = self._results, self._words

        def row(estimator: str, scenario: str, estimand: str) -> Any:
            found = results.where(stage="recovery", estimator=estimator, specification=scenario, estimand=estimand)
            return found[found["outcome"] != "stress_within_horizon"].iloc[0]

        def mean(estimator: str, scenario: str) -> str:
            return fixed(row(estimator, scenario, "estimate")["estimate"], 2)

        def truth(estimator: str, scenario: str) -> str:
            return fixed(row(estimator, scenario, "truth")["estimate"], 2)

        def share(estimator: str, scenario: str, estimand: str) -> str:
            return percent(100 * row(estimator, scenario, estimand)["estimate"])

        def times(estimator: str) -> str:
            multiple = row(estimator, "base", "estimate")["estimate"] / row(estimator, "base", "truth")["estimate"]
            return filled(words.text("times"), number=fixed(multiple, 1))

        tried = set(results.where(stage="recovery", estimand="truth")["specification"])
        targets = results.where(stage="recovery", estimand="target")
        leads = results.one(stage="effects", estimator="event_study", specification="leads_jointly_zero")
        return {
            "mean": mean,
            "truth": truth,
            "share": share,
            "times": times,
            "worlds": whole(row("raw_difference", "base", "estimate")["n"]),
            "number_of_targets": len(targets),
            "number_of_targets_met": int(targets["note"].str.startswith("met").sum()),
            "leads_p": p_value(leads.p_value),
            "tried": tried,
            "scenario": words.label("scenarios", str(self._protocol.scenario)),
            "true_here": truth("raw_difference", scenario)
            if (scenario := str(self._protocol.scenario)) in tried
            else "",
            "landmark": self._protocol.landmark,
            "horizon": self._protocol.horizon_months,
        }


FIGURE_STAGES = {
    "flow": "describe",
    "raw": "describe",
    "balance": "describe",
    "overlap": "describe",
    "rates": "describe",
    "correlations": "correlate",
    "ladder": "regress",
    "recovery": "recovery",
}
"""The stage whose rows each figure shows; all others are the study's own and show rows of the stage effects."""

TABLE_STAGES = {
    "sources": "collect",
    "flow": "describe",
    "balance": "describe",
    "rates": "describe",
    "correlations": "correlate",
    "linear": "regress",
    "odds": "regress",
    "marginal": "regress",
    "recovery": "recovery",
    "targets": "recovery",
}
"""The stage whose rows each table shows."""

PRINT_FONTS = (
    "Noto Serif CJK SC",
    "Source Han Serif SC",
    "Songti SC",
    "SimSun",
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
)
"""Fonts with Chinese characters for the PDF, the preferred ones first; typst takes the first that a machine has."""

CONTENTS = ("kind", "number", "file", "stage", "caption")
"""Columns of the list of a page's figures and tables."""

PANDOC = "markdown-implicit_figures-smart-tex_math_dollars"


HOMES = {"zh": "../index.zh.html"}
"""Where a report leads back to, in languages other than that of ``index.html``."""


def home(language: str) -> str:
    """Return what the pages of the evidence, to which each report leads back, are called."""
    return read(TEMPLATES.parent / "words" / language / "evidence.yaml")["site"]


def to_html(
    page: str, form: str, title: str, words: Words, resources: Path, other: tuple[str, Words] | None = None
) -> str:
    """Turn a page (`form` is pandoc's name for what it is written in) into an HTML file in the folder `resources`.

    Its style stands inside. A notebook's pictures do, too; a report's are linked, as they stand beside it, which keeps
    the page small and each figure a file of its own. `other` is the same page in another language, with its words.
    """
    import pypandoc

    variables = {
        "home": HOMES.get(words.language, "../index.html"),
        "home-title": home(words.language),
        "toc-title": words.text("headings.contents"),
    }
    with _defaults(title, words, variables | _switch(other)) as told:
        return pypandoc.convert_text(
            page,
            "html5",
            format=form,
            extra_args=[
                "--standalone",
                *(["--embed-resources"] if form == "ipynb" else [f"--lua-filter={TEMPLATES / 'figures.lua'}"]),
                "--toc",
                "--toc-depth=2",
                "--wrap=none",
                "--columns=1000",
                f"--template={TEMPLATES / 'report.html'}",
                f"--resource-path={resources}",
                f"--defaults={told}",
            ],
        )


@contextmanager
def _defaults(title: str, words: Words, variables: dict[str, Any]) -> Iterator[Path]:
    """Yield a file that tells pandoc the title, language and variables of a page, and is gone afterwards.

    As arguments they could not be told where the system's language knows no Chinese. JSON is YAML, too, in ASCII.
    """
    metadata = {"pagetitle": title, "lang": TAGS[words.language]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.yaml"
        path.write_text(json.dumps({"metadata": metadata, "variables": variables}), encoding="ascii")
        yield path


def untranslated(words: Words) -> str:
    """Return what stands in place of a page in a language in which a study has no words."""
    return f"# {words.text('title')}\n\n{words.text('untranslated')}"


def _switch(other: tuple[str, Words] | None) -> dict[str, str]:
    """Return what the link to the same page in another language is made of."""
    if other is None:
        return {}
    page, words = other
    return {"other": page, "other-lang": TAGS[words.language], "other-title": words.text("language")}


def to_pdf(page: str, title: str, words: Words, resources: Path, more: Sequence[str] = ()) -> bytes:
    """Turn the report (pandoc flavour) into PDF through typst, with typst's own fonts and no date in the file.

    `more` are further arguments of pandoc, such as those that resolve citations.
    """
    import pypandoc
    import typst

    variables = {"text-lang": words.language, "wide-font": PRINT_FONTS if WIDE.search(page) else []}
    with _defaults(title, words, variables) as told:
        source = pypandoc.convert_text(
            page,
            "typst",
            format=PANDOC,
            extra_args=[
                "--standalone",
                "--wrap=none",
                "--columns=1000",
                f"--template={TEMPLATES / 'report.typ'}",
                f"--defaults={told}",
                *more,
            ],
        )
    # Typst's own fonts have no Chinese, Japanese or Korean characters.
    own_fonts_do = WIDE.search(page) is None
    return typst.compile(source.encode(), root=str(resources), ignore_system_fonts=own_fonts_do, timestamp=0)
