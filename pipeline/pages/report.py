"""The report: words and result rows in, Markdown out."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from pipeline.analyses.evidence.checks import checks_of, doubly_robust, lives_on_the_top
from pipeline.analyses.evidence.margins import default_rate, deviation, margin_of
from pipeline.analyses.predict.lookup import ALL, main, optional
from pipeline.core.fields import CONSTRUCTS
from pipeline.core.protocol import rungs_of
from pipeline.core.scope import FEWEST, LeftOut
from pipeline.pages import seen
from pipeline.pages.chapters import chapters
from pipeline.pages.drawings import drawn
from pipeline.pages.seen import SEEN
from pipeline.present import otherwise, tables
from pipeline.present.numerals import fixed, p_value, percent, signed, whole
from pipeline.present.page import Page, effect_row, effects_parts, shown_factors
from pipeline.present.sample_figures import flow_steps
from pipeline.present.words import WIDE, environment, filled, lower_first
from pipeline.stats.verdicts import Found, judge


class Report(Page):
    """A study's report, as its template lays it out."""

    _judged: tuple[str, str, list[str]] | None = None
    """The factor of the first sentence and its verdict, once they are said."""

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
                section=self.section,
                chapter=self.chapter,
                record=self.record,
                first=self.first,
                todo=self.todo,
                other_rules=self.other_rules,
                effects_parts=self.effects_parts,
                chapters=self.chapters,
                inside=self.inside,
                failed=self.failed,
                penalised=self.penalised,
                scope=self._scope,
                left_out=self.left_out,
                protocol=self._protocol,
                twin="" if self._words.language == self._params.report.language else f".{self._words.language}",
            )
        )
        return re.sub(r"\n{3,}", "\n\n", page)

    def section(self, name: str, caller: Callable[[], str]) -> str:
        """Return a section of the summary under its heading, by which links in both languages find it."""
        return f"## {self.text(f'headings.{name}')}{self._anchor(name)}\n\n{caller().strip()}\n\n"

    def record(self) -> str:
        """Return the line at which the summary ends and the full record begins."""
        turn = "```{=typst}\n#pagebreak()\n```\n\n" if self._flavour == "pandoc" else ""
        return f"{turn}## {self.text('headings.record')}{self._anchor('record')}\n\n{self.text('record')}"

    def chapter(self, name: str, heading: str | None = None, *, caller: Callable[[], str]) -> str:
        """Return a chapter of the record, folded where the page is read in a browser."""
        body = f"### {heading or self.text(f'headings.{name}')}{self._anchor(name)}\n\n{caller().strip()}"
        return f":::::: {{.chapter}}\n{body}\n::::::\n\n" if self._flavour == "pandoc" else f"{body}\n\n"

    def _anchor(self, name: str) -> str:
        return f" {{#{name}}}" if self._flavour == "pandoc" else ""

    def first(self) -> Iterator[str]:
        """Yield what chapters put into the summary: robustness in one picture."""
        for chapter in chapters(self._results):
            if hasattr(chapter, "summary"):
                yield from chapter.summary(self)

    def todo(self) -> list[str]:
        """Return what to do, by rule: from the verdict of the first sentence, its checks, and what a score gains."""
        if self._protocol.simulated:
            # Nobody should act on made-up clients.
            return [self.text("todo.simulated")]
        said: list[tuple[str, dict[str, Any]]] = []
        if self._judged:
            factor, verdict, beside = self._judged
            randomised = self._protocol.design == "randomised" and self._treats(factor)
            label = lower_first(self._words.known("columns", factor) or factor)
            said.append((f"verdicts.{verdict}", {"factor": label, "randomised": randomised, "beside": beside}))
            said += [("failed", {})] if self.failed_beside(factor) else []
        if len(self._results.where(stage="predict", estimator="logistic")):
            row = optional(main(self._results), "logistic", ALL, "auc_gain_clustered")
            said += [("score", {"row": row})] if row else []
        return [self.text(f"todo.{name}", **facts) for name, facts in [*said, ("sample", {})]]

    def other_rules(self) -> str:
        """Return the sentence on the rules of the sample flow that have no bar of their own, or nothing."""
        rows = self._results.where(estimator="sample_flow", outcome="all", estimand="left")
        alone = {reasons[0] for reasons in flow_steps(self._results)["reasons"] if len(reasons) == 1}
        named = [
            (lower_first(self._words.label("reasons", row.factor)), row.estimate)
            for row in rows.itertuples()
            if row.factor not in alone
        ]
        return self.text("other_rules", named=named) if named else ""

    @cached_property
    def _drawn(self) -> dict[str, tuple[Any, ...]]:
        return drawn(self._results, self._words, self._scope, self._params)

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
        margin = margin_of(row.unit, row.outcome, default_rate(self._results), choices, self._protocol)
        other = doubly_robust(self._results) if how == "controls" and self._treats(factor) and sd is None else None
        verdict = judge(
            found,
            "lower",
            margin.size,
            self._params.inference.level,
            corrected=row.p_value,
            most=margin.most,
            beside=other,
        ).verdict
        # Of an interval within what matters another adjustment decides that this is not firm.
        within = -margin.size < found.ci_low and found.ci_high < margin.size
        beside = [fixed(end, 2) for end in other] if other and within and verdict == "inconclusive" else []
        self._judged = (factor, verdict, beside)
        construct = next((name for name in CONSTRUCTS if factor.startswith(name)), factor)
        said = filled(
            self._words.text(f"claims.{verdict}"),
            claim=self._words.known("claims", construct) or self._words.text("claim"),
            sentence=lower_first(self._said(factor, rung, row, how)),
            how=self._words.text(f"claims_by.{how}"),
            margin=fixed(margin.size, 2),
            per_deviation="" if sd is None else fixed(found.estimate, 2),
            beside=beside,
            level=f"{100 * self._params.inference.level:g}",
            randomised=self._protocol.design == "randomised" and self._treats(factor),
        )
        apart = self._apart(factor, margin.size) if verdict == "no_important_effect" else ""
        return ("" if WIDE.search(said) else " ").join(filter(None, [said, apart, self.failed_beside(factor)]))

    def _said(self, factor: str, rung: str, row: Any, how: str) -> str:
        """Return the sentence on the deciding row; what stands beside a row of the regressions belongs to them only."""
        return self._effects.sentence(factor, rung) if how in ("alone", "controls") else self._effects.told(factor, row)

    def _apart(self, factor: str, margin: float) -> str:
        """Return the sentence on the highest group of values that differs by more than matters; or nothing."""
        found = otherwise.apart(self._results, factor, margin)
        if found is None:
            return ""
        return filled(
            self._words.text("claims.apart"),
            **{name: signed(getattr(found.row, name), 2) for name in ("estimate", "ci_low", "ci_high")},
            label=lower_first(self._words.column(factor)),
            n=whole(found.row.n),
            held=found.held.split(" to "),
            lowest=found.lowest.split(" to "),
            margin=fixed(margin, 2),
            level=f"{100 * self._params.inference.level:g}",
        )

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
            blocks = list(chapter.blocks(self))
            if blocks:
                heading, name = blocks[0].removeprefix("## "), chapter.__name__.split(".")[-2]
                yield self.chapter(name, heading, caller=functools.partial("\n\n".join, blocks[1:]))

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

    def penalised(self) -> str:
        """Return what stands in for least squares where all loans with a factor, or all without it, end alike."""
        rows = self._results.where(stage="regress", estimator="firth", specification=list(rungs_of(self._protocol))[-1])
        rows = rows[rows["estimate"].notna()]
        told = [lower_first(self._effects.told(row.factor, row)) for row in rows.itertuples(index=False)]
        joined = self._words.text("joining.semicolon").join(told)
        return filled(self._words.text("penalised"), told=joined) if told else ""

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
        """Yield the sections on what the study's design allows: name, heading, text, and figure and table or nothing.

        A table holds what no figure beside it shows with its numbers.
        """
        for place, part in enumerate(effects_parts(self._words, self._results), start=1):
            section = {"name": f"effects-{place}", "heading": part["heading"], "figure": "", "table": ""}
            section["text"] = filled(part["text"], **self._context)
            drawn = False
            if "figure" in part:
                drawn = part["figure"] != "event_study"
                section["figure"] = self.figure(part["figure"], part["estimators"])
            if "caption" in part:
                body = tables.effects(self._results, self._words, part["estimators"], drawn=drawn)
                caption, estimators = filled(part["caption"], **self._context), part["estimators"]
                section["table"] = self._block("table", body, caption, "effects", estimators) if body else ""
            yield section

    def figure(self, name: str, estimators: Sequence[str] = ()) -> str:
        """Return a figure: what is seen in it, what is drawn, and what is behind it; nothing where none was drawn."""
        if name not in self._drawn:
            return ""
        known = SEEN.get(name)
        facts = (
            known(self._results, self._words, self._scope, self._params)
            if known
            else seen.forest(self._results, estimators)
        )
        message = self.text(f"messages.{name if known else 'forest'}", **facts)
        stage = FIGURE_STAGES.get(name, "effects")
        return self._figure(name, stage, message, self.text(f"figures.{name}"), estimators)

    def table(self, name: str) -> str:
        """Return a table with its number, its caption and what is behind it."""
        results, words, protocol = self._results, self._words, self._protocol
        factors = shown_factors(self._results, self._scope)
        rungs = rungs_of(protocol)
        every = list(rungs.values())[-1]
        all_rungs = {**rungs, "M6": [], "M7": every} if self._scope.matching else rungs
        make: dict[str, Callable[[], str]] = {
            "sources": lambda: self._sources_table(),
            "balance": lambda: tables.balance(results, words),
            "recovery": lambda: tables.recovery(results, words),
            "targets": lambda: tables.targets(results, words),
            "key_effects": lambda: tables.key_effects(results, words, factors, list(rungs)[-1]),
            "regressions": lambda: tables.regressions(results, words, factors, all_rungs),
        }
        return self._block("table", make[name](), self.text(f"tables.{name}"), TABLE_STAGES[name])

    def _sources_table(self) -> str:
        rows = [
            [
                named.title,
                self._words.known("measures", source.name) or source.measures.what.strip(),
                f"[{named.licence}]({source.licence_page})",
            ]
            for source, named in ((one, one.named(self._words.language)) for one in self._sources)
        ]
        header = [self._words.text(f"columns.{name}") for name in ("source", "measures", "licence")]
        return tables.markdown(header, rows, prose=True)


FIGURE_STAGES = {
    **dict.fromkeys(("flow", "raw", "balance", "overlap", "rates"), "describe"),
    "correlations": "correlate",
    "ladder": "regress",
    "recovery": "recovery",
}
"""The stage whose rows each figure shows; all others are the study's own and show rows of the stage effects."""


TABLE_STAGES = {
    "sources": "collect",
    "balance": "describe",
    "key_effects": "regress",
    "regressions": "regress",
    "recovery": "recovery",
    "targets": "recovery",
}
"""The stage whose rows each table shows."""


CONTENTS = ("kind", "number", "file", "stage", "caption")
"""Columns of the list of a page's figures and tables."""
