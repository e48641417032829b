"""The report: words and result rows in, Markdown out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from pipeline.analyses.evidence.checks import checks_of, lives_on_the_top
from pipeline.analyses.evidence.margins import default_rate, deviation, margin_of
from pipeline.core.fields import CONSTRUCTS
from pipeline.core.protocol import rungs_of
from pipeline.core.scope import FEWEST, LeftOut
from pipeline.pages.chapters import chapters
from pipeline.present import tables
from pipeline.present.numerals import fixed, p_value, percent, whole
from pipeline.present.page import Page, correlation_kinds, effect_row, effects_parts, shown_factors
from pipeline.present.words import WIDE, environment, filled, lower_first
from pipeline.stats.verdicts import Found, judge


class Report(Page):
    """A study's report, as its template lays it out."""

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

    def findings(self) -> str:
        """Return the headline results as plain text: first what becomes of the claim, then one line each."""
        return "\n".join([self.text("lead"), *(f"- {sentence}" for sentence in self.texts("findings"))])

    @cached_property
    def _context(self) -> dict[str, Any]:
        return {**super()._context, "claim": self.claim}

    def claim(self, factor: str, rung: str) -> str:
        """Return what becomes of the claim that more of a factor means less default, and which checks failed.

        The rule is that of the evidence: confidence interval and smallest difference that matters, for a standard
        deviation more of a factor with several values. Other tests are not counted here.
        """
        (row, how), sd = self._deciding(factor, rung), deviation(factor, self._results)
        scale = 1.0 if sd is None else sd
        found = Found(*(scale * x for x in (row.estimate, row.ci_low, row.ci_high)), row.p_value, row.unit)
        choices = self._params.evidence.margins
        margin = margin_of(
            row.unit, row.outcome, default_rate(self._results), choices, simulated=self._protocol.simulated
        )
        verdict = judge(
            found,
            "lower",
            margin.size,
            self._params.inference.level,
            corrected=row.p_value,
            most=margin.most,
        ).verdict
        construct = next((name for name in CONSTRUCTS if factor.startswith(name)), factor)
        said = filled(
            self._words.text(f"claims.{verdict}"),
            claim=self._words.known("claims", construct) or self._words.text("claim"),
            sentence=lower_first(self._effects.told(factor, row)),
            how=self._words.text(f"claims_by.{how}"),
            margin=fixed(margin.size, 2),
            per_deviation=sd is not None,
            randomised=self._protocol.design == "randomised" and self._treats(factor),
        )
        return ("" if WIDE.search(said) else " ").join(filter(None, [said, self.failed_beside(factor)]))

    def _deciding(self, factor: str, rung: str) -> tuple[Any, str]:
        """Return the row by which a claim is judged, and how it was found; the evidence picks it likewise."""
        if self._treats(factor):
            drawn = self._results.where(
                stage="effects",
                estimator="randomisation_test",
                specification="strata_rates",
                outcome="default",
                estimand="difference",
            )
            for row in drawn.itertuples(index=False):
                return row, "lottery"
        if any(lives_on_the_top(self._results, factor)):
            slope = self._results.one(stage="robustness", estimator="dose", specification="without_top", factor=factor)
            return slope, "without_top"
        return effect_row(self._results, factor, rung), "alone" if rung == "M1" else "controls"

    def failed_beside(self, factor: str) -> str:
        """Return the sentence on the failed checks that bear on a factor, which stands beside the first; or nothing."""
        columns = dict.fromkeys([factor, "treated"] if self._treats(factor) else [factor])
        failed = [checks_of(self._results, name, treated=self._treats(factor), scored=False) for name in columns]
        names = [one.name for found in failed for one in found]
        names += ["undated"] * (factor in self._protocol.undated)
        labels = [self._words.label("checks", name) for name in dict.fromkeys(names)]
        return filled(self._words.text("claims.failed"), checks=labels) if labels else ""

    def _treats(self, factor: str) -> bool:
        rule = self._protocol.treatment
        return factor == "treated" or (rule is not None and factor == rule.factor)

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
        sentences: dict[tuple[str, int], list[LeftOut]] = {}
        for item in self._scope.left_out:
            template = words.text(f"left_out.{item.reason}")
            if item.reason == "absent":
                # What the absence of this column means; the others share a sentence.
                special = words.known("absent", item.name)
                template = template if special is None else special
            sentences.setdefault((template, item.count if "count" in template else 0), []).append(item)
        return [
            filled(
                template,
                names=self._listed([item.name for item in items if item.name]),
                count=whole(items[0].count),
                note=items[0].note,
                fewest=FEWEST,
            )
            for (template, _), items in sentences.items()
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

    def table(self, name: str) -> str:
        """Return a table with its number, its caption and what made it."""
        results, words, protocol = self._results, self._words, self._protocol
        factors = shown_factors(self._results, self._scope)
        rungs = rungs_of(protocol)
        every = list(rungs.values())[-1]
        all_rungs = {**rungs, "M6": [], "M7": every} if self._scope.matching else rungs
        steps = (results, words, factors, list(all_rungs), all_rungs)
        make: dict[str, Callable[[], str]] = {
            "sources": lambda: self._sources_table(),
            "flow": lambda: tables.flow(results, words),
            "balance": lambda: tables.balance(results, words),
            "rates": lambda: tables.rates(results, words, [*protocol.groups, *protocol.doses]),
            "recovery": lambda: tables.recovery(results, words),
            "targets": lambda: tables.targets(results, words),
            "correlations": lambda: tables.correlations(results, words, factors, correlation_kinds(protocol)),
            "linear": lambda: tables.ladder(*steps, "linear"),
            "odds": lambda: tables.ladder(*steps, "odds"),
            "marginal": lambda: tables.ladder(*steps, "marginal"),
        }
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


CONTENTS = ("kind", "number", "file", "stage", "caption")
"""Columns of the list of a page's figures and tables."""
