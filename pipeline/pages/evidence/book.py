"""What all pages of the evidence, and the paper, can ask: words, labels, numbers as they are printed, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.analyses.evidence.findings import CORRELATION, GROUP
from pipeline.analyses.evidence.margins import start_of
from pipeline.analyses.evidence.rows import OVERALL
from pipeline.core import yaml
from pipeline.core.params import Params
from pipeline.core.results import Results
from pipeline.present.numerals import decimals, p_value, signed, whole
from pipeline.present.site import Site, file_of
from pipeline.present.words import FOLDER as WORDS
from pipeline.present.words import Words, environment, lower_first
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import Bearing, Claim, Limit
from pipeline.stats.verdicts import FEWEST, POWER, neutral

INDEX = Path("reports/index.html")
"""Where a reader begins."""

KEY = ("study", "estimate", "ci_low", "ci_high", "p_value", "n")
"""What tells coefficients apart: rows that share it are one and the same number."""

FIGURES: dict[str, dict[str, str]] = {
    "": {
        "correlate": "correlations",
        "regress": "ladder",
        "default_rate": "rates",
        "balance": "balance",
        "sample_flow": "flow",
        "robustness": "robustness",
        "before_default": "warning_signals",
        "policy": "policy_curves",
        "adjust": "adjust",
        "heterogeneity": "heterogeneity",
        "predict": "predict",
        "graded": "grade",
    },
    "karlan_zinman": {"randomisation_test": "promise", "promise": "promise", "by_risk": "by_risk"},
    "sba": {
        "all_loans": "documentation",
        "linear_within_banks": "documentation",
        "linear_all_banks": "documentation",
        "moderated_by_unemployment": "moderation",
    },
    "reference": {"event_study": "event_study", "poisson_difference_in_differences": "event_study"},
}
"""The figure of a study's report that shows the rows of an estimator or stage; the first key stands for any study."""


class Ledger(NamedTuple):
    """The claims, what measures each in each study, and what no study can say of it."""

    claims: Sequence[Claim]
    bearings: Sequence[Bearing]
    limits: Sequence[Limit]


class Tables(NamedTuple):
    """What the stage evidence has found."""

    verdicts: pd.DataFrame
    parts: pd.DataFrame
    findings: pd.DataFrame
    needed: pd.DataFrame


def path_of(page: str, language: str, suffix: str = "html") -> Path:
    """Return where a page stands."""
    return INDEX.parent / file_of(page, language, suffix)


def words_of(language: str) -> dict[str, Any]:
    """Return the words of these pages in a language."""
    return yaml.read(WORDS / language / "evidence.yaml")


def lines(frame: pd.DataFrame) -> list[Any]:
    """Return a table's rows as named tuples, in which what is missing is None; the column `class` is called `kind`."""
    named = frame.rename(columns={"class": "kind"}).astype(object)
    return list(named.where(named.notna() & (named != ""), None).itertuples(index=False))


class Book:
    """What the pages' templates and words can call."""

    def __init__(
        self,
        language: str,
        ledger: Ledger,
        tables: Tables,
        found: Mapping[str, Results],
        params: Params,
        contents: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
    ) -> None:
        """Take what the pages say.

        Parameters
        ----------
        language
            Of the pages.
        ledger, tables
            The claims, and what became of them.
        found
            Each study's results.
        params
            Every choice.
        contents
            The figures and tables of each study's report.
        """
        self.language, self.ledger, self.tables, self.found, self.params = language, ledger, tables, found, params
        self.contents = contents or {}
        self.studies = params.compared
        self.site = Site(tuple(self.studies), params.report.language)
        self.simulated = [name for name in self.studies if params.study(name).simulated]
        self.real = [name for name in self.studies if name not in self.simulated]
        self.findings = lines(tables.findings)
        self._words = words_of(language)
        self._rows = {(row.claim, row.study): row for row in lines(tables.verdicts)}
        self._parts: dict[tuple[str, str], list[Any]] = {}
        for row in lines(tables.parts):
            self._parts.setdefault((row.claim, row.study), []).append(row)
        self._labels = {name: Words(language, name, params.study(name).module) for name in self.studies}
        self._common = Words(language, "evidence")

    # Words.

    def word(self, *path: str) -> Any:
        """Return what stands at a path of the words; a missing one stops the build."""
        found: Any = self._words
        for step in path:
            if not isinstance(found, dict) or step not in found:
                file = f"pipeline/present/words/{self.language}/evidence.yaml"
                raise StudyError(f"the words '{'.'.join(path)}' are missing: add them to {file}.")
            found = found[step]
        return found

    def measured_by(self, source: str, study: str) -> str | None:
        """Return what a source measures, where the words say it; otherwise its record does."""
        return self._labels[study].known("measures", source)

    def text(self, *path: str, **more: Any) -> str:
        """Return a text of the words with its numbers filled in."""
        return self.fill(self.word(*path), **more)

    def fill(self, template: str, **more: Any) -> str:
        """Return a text with what all texts may use, and `more`, filled in."""
        return " ".join(environment("words").from_string(template).render(**self._context | more).split())

    @cached_property
    def _context(self) -> dict[str, Any]:
        return {
            "level": f"{100 * self.params.inference.level:g}",
            "power": f"{100 * POWER:g}",
            "share": f"{100 * self.params.evidence.margins.default:g}%",
            "fewest": FEWEST,
            "group": GROUP,
            "correlation": CORRELATION,
            "size": self.size,
            "certain": lambda name: self.word("certainty", name),
            "said": lambda name: self.word("verdicts", name),
        }

    def join(self, parts: Sequence[str]) -> str:
        """Return parts as a list inside a sentence."""
        return self._common.series(list(parts))

    def measured(self, study: str, factor: str) -> str:
        """Return the label of a column: as these pages call it, else as the study's own report does."""
        if factor == "treated":
            return self.word("treatments", study)
        own = self.word("factors")
        stem = factor.split("[")[0]
        return own.get(factor) or self._labels[study].known("columns", factor) or self.word("factors", stem or "none")

    def compared(self, row: Any) -> str:
        """Return what a row compares: by its method where that is not the loan's own column, else the column."""
        return self._labels[row.study].known("contrasts", row.estimator) or self.measured(row.study, row.factor)

    def told_apart(self, claim: str, row: Any) -> str:
        """Return what a row compares, and how where another row of the study decides the claim by the same column."""
        label = self.compared(row)
        twins = [one for one in self.parts(claim, row.study) if one.factor == row.factor]
        how = self._labels[row.study].known("estimators", row.estimator) if len(twins) > 1 else None
        return self.text("formats", "how", measured=label, how=lower_first(how)) if how else label

    def check(self, name: str) -> str:
        """Return what a failed check found, as a phrase."""
        return self._common.label("checks", name)

    def recovered(self, label: str) -> str:
        """Return what simulated worlds say of a method."""
        return self._common.label("recovered", label)

    def claim_text(self, claim: Claim) -> str:
        """Return a claim in this language."""
        return str(getattr(claim, f"claim_{self.language}"))

    # Where things stand.

    def link(self, here: str, to: str, language: str | None = None) -> str:
        """Return the way from one page to another."""
        target = path_of(to, language or self.language)
        if here == "index":
            return target.relative_to(INDEX.parent).as_posix()
        return f"../{target.name}" if to == "index" else target.name

    def report(self, study: str, page: str = "report") -> str:
        """Return the file of a study's report or notebook in this language."""
        return self.site.report(study, self.language, page)

    def picture(self, study: str, name: str) -> str:
        """Return the file of a figure with letters of this language, or the one there is."""
        own = f"figures_{self.language}/{name}.svg"
        return f"{study}/{own}" if (places.reports(study) / own).exists() else f"{study}/figures/{name}.svg"

    def shown_in(self, row: Any) -> dict[str, str] | None:
        """Return where the figure stands that shows a row: in the report if its contents are known."""
        shown = self.contents.get(row.study, ())
        name = figure_of(row)
        file = f"figures/{name}.svg"
        if name is None:
            # A chapter's first figure shows what its stage found.
            of_stage = [item["file"] for item in shown if item["file"] and item["stage"] == row.stage]
            if not of_stage:
                return None
            file = of_stage[0]
        for item in shown:
            if item["file"] == file:
                return {"link": f"{self.report(row.study)}#figure-{item['number']}", "number": f" {item['number']}"}
        return {"link": f"{row.study}/{file}", "number": ""} if (places.reports(row.study) / file).exists() else None

    # What numbers look like.

    def size(self, row: Any) -> str:
        """Return an estimate with its interval and unit."""
        if row.estimate is None:
            return self.text("formats", "no_number", p=p_value(_number(row.p_value)))
        start, unit = start_at(row), row.unit or ""
        per = self.word("formats", "per", row.per or "none")
        if row.ci_low is None:
            return self.text(
                "formats", "alone", amount=self.amount(unit, row.estimate, start=start, of=self._outcome(row)), per=per
            )
        digits = min(decimals(x) for x in (row.estimate, row.ci_low, row.ci_high) if math.isfinite(x))
        amount = self.amount(unit, row.estimate, digits, start, self._outcome(row))
        low, high = (signed(number, digits, start) for number in (row.ci_low, row.ci_high))
        return self.text("formats", "with_interval", amount=amount, per=per, low=low, high=high)

    def short(self, row: Any, form: str = "short") -> str:
        """Return an estimate with its interval, without unit; the form "cell" is that of tables."""
        digits = min(decimals(x) for x in (row.estimate, row.ci_low, row.ci_high) if math.isfinite(x))
        numbers = [signed(number, digits, start_at(row)) for number in (row.estimate, row.ci_low, row.ci_high)]
        return self.text("formats", form, **dict(zip(("amount", "low", "high"), numbers, strict=True)))

    def amount(self, unit: str, number: float, digits: int | None = None, start: float = 0.0, of: str = "") -> str:
        """Return a number with its unit; in the words a unit stands around a hash, an outcome (`of`) for braces."""
        if unit == "area" and not start:
            # From one half on it is an area; from nought on, what one gains on another.
            unit = "area gained"
        shown = signed(number, decimals(number) if digits is None else digits, start)
        return str(self.word("units", unit or "none")).replace("#", shown).replace("{}", of)

    def _outcome(self, row: Any) -> str:
        """Return what a row's outcome is called at its lender, where the number is in the unit of the outcome."""
        if row.unit != "units of the outcome":
            return ""
        return lower_first(self._labels[row.study].known("columns", row.outcome) or row.outcome)

    def least(self, row: Any) -> str | None:
        """Return the minimum detectable effect; None where even the largest effect could not be seen."""
        number = row.smallest_detectable
        return (
            None if number is None else self.amount(row.unit or "", number, start=start_at(row), of=self._outcome(row))
        )

    def margin(self, row: Any) -> str | None:
        """Return the smallest difference that matters, in the row's unit or on the logarithm of a ratio."""
        if row.margin is None:
            return None
        ratio = neutral(row.unit or "") == 1
        return self.amount("log points" if ratio else row.unit or "", row.margin, of=self._outcome(row))

    def p(self, value: float | None) -> str | None:
        """Return a p-value; None where there is none."""
        return None if value is None else p_value(value)

    @staticmethod
    def count(value: float | None) -> str | None:
        """Return a number of loans."""
        return None if value is None else whole(value)

    # What was found.

    def row(self, claim: str, study: str = OVERALL) -> Any:
        """Return the verdict on a claim, over all studies or in one."""
        return self._rows[claim, study]

    def parts(self, claim: str, study: str) -> list[Any]:
        """Return the deciding rows of a claim in a study."""
        return self._parts.get((claim, study), [])

    def all_parts(self) -> list[Any]:
        """Return every deciding row."""
        return [row for rows in self._parts.values() for row in rows]

    def told(self, claim: Claim, studies: Sequence[str]) -> list[Any]:
        """Return the verdicts of the studies that say something of a claim."""
        return [row for study in studies if (row := self.row(claim.id, study)).verdict != "not_testable"]

    def limited(self, claim: str, study: str, answer: str) -> Limit | None:
        """Return the limit by which a study answers a claim only so; None where it does not."""
        asked = (claim, study, answer)
        return next((one for one in self.ledger.limits if (one.claim, one.study, one.answer) == asked), None)

    def limit(self, claim: str, study: str, answer: str) -> str | None:
        """Return why a study answers a claim only so, in this language; None where it does not."""
        found = self.limited(claim, study, answer)
        return str(getattr(found, f"reason_{self.language}")) if found else None

    def silent(self, claim: Claim, study: str) -> str | None:
        """Return why a study that a claim is asked of cannot answer it; None where it answers, or is not asked."""
        if reason := self.limit(claim.id, study, "none"):
            return reason
        # A row was to decide it, and the loans were too few for its analysis.
        return self.word("not_estimated") if self.row(claim.id, study).stage and not self.told(claim, [study]) else None

    def why(self, codes: str | None) -> list[str]:
        """Return the reasons that lowered certainty, in words: codes such as ``bias:placebo_outcomes``."""
        said = []
        for code in (codes or "").split():
            kind, _, name = code.partition(":")
            said.append(self.check(name) if name else self.word("reasons", kind))
        return said

    def certainty(self, row: Any) -> dict[str, Any] | None:
        """Return how sure a verdict is: name, symbols, words and reasons."""
        if row.certainty is None:
            return None
        return {
            "name": row.certainty,
            "symbol": self.word("symbols", row.certainty),
            "label": self.word("certainty", row.certainty),
            "why": self.why(row.why),
            "codes": (row.why or "").split(),
        }

    def reverse(self, claim: str, study: str, factor: str) -> bool:
        """Say whether more of a column is less of what the claim speaks of."""
        named = [one for one in self.ledger.bearings if (one.claim, one.study, one.column) == (claim, study, factor)]
        return any(one.reverse for one in named)


def start_at(row: Any) -> float:
    """Return the point of no effect of a row."""
    known = start_of(row.estimand or "", row.specification or "")
    return neutral(row.unit or "") if known is None else known


def before_correction(row: Any) -> bool:
    """Return whether a row is significant by itself, but not after correction for multiple tests."""
    start = start_at(row)
    return row.verdict == "inconclusive" and (row.ci_low > start or row.ci_high < start)


def figure_of(row: Any) -> str | None:
    """Return the figure of the study's report that shows a row, if one does."""
    for names in (FIGURES.get(row.study, {}), FIGURES[""]):
        for key in (row.estimator, row.stage):
            if key in names:
                return names[key]
    return None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
