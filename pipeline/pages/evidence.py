"""The pages that give each claim its verdict: a map, all claims, what follows, methods and data, in each language."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core import params as yaml
from pipeline.core.params import Params
from pipeline.core.results import Results
from pipeline.pages import cases
from pipeline.present.numerals import MISSING, fixed, p_value, percent, whole
from pipeline.present.trail import Trail
from pipeline.present.words import FOLDER as WORDS
from pipeline.present.words import TEMPLATES, environment, lower_first
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import Claim, Limit
from pipeline.sources.records import load_source
from pipeline.stats.verdicts import POWER

INDEX = Path("reports/index.html")
"""Where a reader begins."""

STYLE = Path("reports/evidence/style.css")
"""How all pages look."""

PAGES = ("index", "claims", "advice", "cases", "methods", "data", "trail")

OVERALL = "overall"
"""The study of the rows that put all studies together."""

BY_DESIGN = ("randomised", "quasi_experimental", "simulated")
"""Designs whose numbers are effects; others are associations, whatever their sign."""

OF_EFFECTS = ("causal", "mechanism", "moderation", "policy")
"""Kinds of claim that speak of an effect."""

ASKED = ("linear_probability", "logit", "matching_on_grade_and_loan_type")
"""Methods that the documents ask for."""

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
    "karlan_zinman": {"promise": "promise", "by_risk": "by_risk"},
    "sba": {
        "linear_within_banks": "documentation",
        "linear_all_banks": "documentation",
        "moderated_by_unemployment": "moderation",
    },
    "reference": {"event_study": "event_study", "poisson_difference_in_differences": "event_study"},
}
"""The figure of a study's report that shows the rows of an estimator or stage; the first key stands for any study."""


def path_of(page: str, language: str) -> Path:
    """Return where a page stands; English has no suffix."""
    name = f"{page}.html" if language == "en" else f"{page}.{language}.html"
    return INDEX.parent / name if page == "index" else places.reports("evidence") / name


def words_of(language: str) -> dict[str, Any]:
    """Return the words of these pages in a language."""
    return yaml.read(WORDS / language / "evidence.yaml")


class Book:
    """What the pages' templates and words can call."""

    def __init__(
        self,
        language: str,
        claims: Sequence[Claim],
        verdicts: Any,
        supporting: Mapping[tuple[str, str], list[Any]],
        found: Mapping[str, Results],
        params: Params,
        contents: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
        limits: Sequence[Limit] = (),
    ) -> None:
        """Take what the pages say.

        `verdicts` is the frame that the stage evidence writes, `supporting` the rows beside the deciding one by claim
        and study, `found` each study's results, `contents` the figures and tables of each study's report, `limits` what
        a study cannot say of a claim, or only roughly.
        """
        self._language, self._words = language, words_of(language)
        self._claims, self._supporting, self._found, self._params = claims, supporting, found, params
        self._contents = contents or {}
        self._limits = {(limit.claim, limit.study): limit for limit in limits}
        self._rows = {(row.claim, row.study): row for row in verdicts.itertuples()}
        self._studies = params.synthesis.studies
        self._simulated = [name for name in self._studies if params.study(name).simulated]
        self._real = [name for name in self._studies if name not in self._simulated]
        self._filled = environment("words")

    def pages(self) -> dict[Path, str]:
        """Return the text of every page and of their style, by path."""
        style = {STYLE: (TEMPLATES / "evidence" / STYLE.name).read_text(encoding="utf-8")}
        return style | {path_of(name, self._language): self.page(name) for name in PAGES}

    def page(self, name: str) -> str:
        """Return one page."""
        return (
            environment("html")
            .get_template(f"evidence/{name}.html")
            .render(
                page=name,
                pages=PAGES,
                language=self._language,
                root="" if name == "index" else "../",
                link=lambda to: self._link(name, to, self._language),
                report=self._report,
                picture=self._picture,
                other=self._link(name, name, "en" if self._language == "zh" else "zh"),
                word=self.word,
                text=self.text,
                studies=self._studies,
                simulated=self._simulated,
                **getattr(self, f"_of_{name}")(),
            )
        )

    def word(self, *path: str) -> Any:
        """Return what stands at a path of the words; a missing one stops the build."""
        found: Any = self._words
        for step in path:
            if not isinstance(found, dict) or step not in found:
                file = f"pipeline/present/words/{self._language}/evidence.yaml"
                raise StudyError(f"the words '{'.'.join(path)}' are missing: add them to {file}.")
            found = found[step]
        return found

    def text(self, *path: str, **more: Any) -> str:
        """Return a text of the words with its numbers filled in."""
        return self._fill(self.word(*path), **more)

    def _fill(self, template: str, **more: Any) -> str:
        context = {"v": lambda claim, study: self._rows[claim, study], "size": self.size, "magnitude": self.magnitude}
        context |= {"verdict": lambda name: self.word("verdicts", name), "counts": self._counts()}
        context["contradicted"] = self._contradicted()
        return " ".join(self._filled.from_string(template).render(**context, **more).split())

    @staticmethod
    def _link(here: str, to: str, language: str) -> str:
        target = path_of(to, language)
        if here == "index":
            return target.relative_to(INDEX.parent).as_posix()
        return f"../{target.name}" if to == "index" else target.name

    def _report(self, study: str) -> str:
        """Return the file of a study's report in this language, or the one there is."""
        name = f"report.{self._language}.html"
        return f"{study}/{name}" if (places.reports(study) / name).exists() else f"{study}/report.html"

    def _picture(self, study: str, name: str) -> str:
        """Return the file of a figure with letters of this language, or the one there is."""
        own = f"figures_{self._language}/{name}.svg"
        return f"{study}/{own}" if (places.reports(study) / own).exists() else f"{study}/figures/{name}.svg"

    # What numbers look like.

    def size(self, row: Any) -> str:
        """Return an estimate with its interval and unit."""
        if _missing(row.estimate):
            return self._fill(self.word("formats", "no_number"), p=p_value(_number(row.p_value)))
        if _missing(row.ci_low):
            return self._amount(row.unit, row.estimate)
        return self._interval(row.unit, row.estimate, row.ci_low, row.ci_high)

    def magnitude(self, row: Any) -> str:
        """Return the size of a difference that lies below nought, without its sign."""
        return self._interval(row.unit, -row.estimate, -row.ci_high, -row.ci_low)

    def _amount(self, unit: str, number: float, decimals: int | None = None) -> str:
        """Return a number with its unit; in the words a unit stands around a hash."""
        decimals = _decimals(number) if decimals is None else decimals
        return self.word("units", unit or "none").replace("#", fixed(number, decimals))

    def _interval(self, unit: str, *numbers: float) -> str:
        decimals = min(_decimals(number) for number in numbers if math.isfinite(number))
        low, high = (fixed(number, decimals) for number in numbers[1:])
        amount = self._amount(unit, numbers[0], decimals)
        return self._fill(self.word("formats", "with_interval"), amount=amount, low=low, high=high)

    # Verdicts.

    def _counts(self) -> dict[str, int]:
        kinds = {claim.id: claim.kind for claim in self._claims}
        told = [(kinds[row.claim], row.verdict) for row in self._rows.values() if row.study == OVERALL]
        names = ("supported", "contradicted", "mixed", "inconclusive", "simulated_only", "not_testable", "met")
        counts = {name: sum(verdict == name for _, verdict in told) for name in names}
        counts["depends"] = sum(verdict in ("depends", "no_sign") for _, verdict in told)
        counts["required"] = sum(kind == "method" for kind, _ in told)
        return counts | {"claims": len(told) - counts["required"]}

    def _contradicted(self) -> str:
        """Return the factors of which some real lender contradicts a claim and none supports it."""
        found = dict.fromkeys(c.factor for c in self._claims if self._rows[c.id, OVERALL].verdict == "contradicted")
        names = self.word("advice", "factors")
        return self.word("formats", "and").join(lower_first(names[factor]["name"]) for factor in found)

    def _label(self, claim: Claim, verdict: str, strengths: Sequence[str]) -> str:
        """Return a verdict's label: what is no effect by design is called an association."""
        return self.word("verdicts", "association" if _association(claim, verdict, strengths) else verdict)

    def _told(self, claim: Claim, studies: Sequence[str]) -> list[Any]:
        rows = [self._rows[claim.id, study] for study in studies]
        return [row for row in rows if row.verdict != "not_testable"]

    def _overall(self, claim: Claim) -> dict[str, str]:
        row = self._rows[claim.id, OVERALL]
        required = claim.kind == "method"
        told = self._told(claim, self._studies if required else self._real)
        name = {"mixed": "supported", "not_met": "met"}.get(row.verdict, row.verdict)
        made = self._told(claim, self._simulated)
        strengths = [x.strength for x in told if x.verdict == "supported"]
        return {
            "verdict": row.verdict,
            "look": _look(claim, row.verdict, strengths),
            "label": self._label(claim, row.verdict, strengths),
            "counted": self.text(
                "counted",
                row.verdict,
                n=sum(x.verdict == name for x in told),
                other=sum(x.verdict == "contradicted" for x in told),
                of=len(told),
                simulated="; ".join(self.word("verdicts", x.verdict) for x in made),
            ),
        }

    def _cell(self, claim: Claim, study: str) -> dict[str, Any]:
        row = self._rows[claim.id, study]
        return {
            "study": study,
            "verdict": row.verdict,
            "label": self._label(claim, row.verdict, [row.strength]),
            "strength": "" if row.verdict == "not_testable" else self.word("strengths", row.strength),
            "look": _look(claim, row.verdict, [row.strength]),
        }

    def _seen(self, claim: Claim) -> list[dict[str, Any]]:
        """Return everything that a claim's page says of the studies that bear on it."""
        seen = []
        for row in self._told(claim, self._studies):
            further = [
                {
                    "role": item.selector.role,
                    "measured": self._measured(row.study, item.selector.factor),
                    "size": self.size(item.row),
                    "row": str(item.selector),
                }
                for item in self._supporting.get((claim.id, row.study), [])
            ]
            seen.append(
                self._cell(claim, row.study)
                | {
                    "size": self.size(row),
                    "least": self._least(row),
                    "p": p_value(_number(row.p_value)),
                    "p_adjusted": None if _missing(row.p_adjusted) else p_value(row.p_adjusted),
                    "n": None if _missing(row.n) else whole(row.n),
                    "measured": self._measured(row.study, row.factor),
                    "stage": row.stage,
                    "row": self._path(row),
                    "figure": self._figure(row),
                    "further": further,
                    "rough": self._reason(claim, row.study, "rough"),
                }
            )
        return seen

    def _reason(self, claim: Claim, study: str, answer: str) -> str | None:
        """Return why a study answers a claim only so (`answer`), in this language; None where it does not."""
        limit = self._limits.get((claim.id, study))
        if limit and limit.answer == answer:
            return getattr(limit, f"reason_{self._language}")
        # A row was to decide it, and the loans were too few for its analysis.
        row = self._rows[claim.id, study]
        tried = row.verdict == "not_testable" and isinstance(row.stage, str)
        return self.word("not_estimated") if answer == "none" and tried else None

    def _unanswered(self, claim: Claim) -> list[dict[str, str]]:
        """Return the studies that a claim is asked of and that cannot answer it, with the reason."""
        reasons = {study: self._reason(claim, study, "none") for study in self._studies}
        return [{"study": study, "reason": reason} for study, reason in reasons.items() if reason]

    def _figure(self, row: Any) -> dict[str, str] | None:
        """Return where the figure stands that shows a row: in the report if its contents are known."""
        shown = self._contents.get(row.study, ())
        name = figure_of(row)
        file = f"figures/{name}.svg"
        if name is None:
            # A chapter's first figure shows what its stage found.
            file = next((item["file"] for item in shown if item["file"] and item["stage"] == row.stage), None)
            if file is None:
                return None
        for item in shown:
            if item["file"] == file:
                return {"link": f"{self._report(row.study)}#figure-{item['number']}", "number": f" {item['number']}"}
        return {"link": f"{row.study}/{file}", "number": ""}

    def _least(self, row: Any) -> str | None:
        return None if _missing(row.smallest_detectable) else self._amount(row.unit, row.smallest_detectable)

    def _measured(self, study: str, factor: str) -> str:
        if factor == "treated":
            return self.word("treatments", study)
        return self.word("factors", factor.removesuffix("*").split("[")[0].removesuffix("_") or "none")

    # What each page shows.

    def _of_index(self) -> dict[str, Any]:
        rows = [
            {
                "claim": claim,
                "text": self._claim_text(claim),
                "overall": self._overall(claim),
                "cells": [
                    self._cell(claim, study)
                    | {answer: self._reason(claim, study, answer) for answer in ("none", "rough")}
                    for study in self._studies
                ],
            }
            for claim in self._claims
        ]
        return {
            "rows": rows,
            "designs": {name: self._params.study(name).design for name in self._studies},
            "documents": sorted({claim.document for claim in self._claims}),
            "kinds": list(dict.fromkeys(claim.kind for claim in self._claims)),
            "verdicts": [v for v in self.word("signs") if any(row["overall"]["verdict"] == v for row in rows)],
            "answers": [self._fill(template) for template in self.word("answers")],
        }

    def _of_claims(self) -> dict[str, Any]:
        documents: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for claim in self._claims:
            shown_claim = {
                "claim": claim,
                "text": self._claim_text(claim),
                "needs": getattr(claim, f"needs_{self._language}"),
                "overall": self._overall(claim),
                "seen": self._seen(claim),
                "unanswered": self._unanswered(claim),
                "remark": self.word("remarks").get(claim.id),
            }
            documents.setdefault(claim.document, {}).setdefault(claim.section, []).append(shown_claim)
        return {"by_document": documents, "made": self._made()} | self._levels()

    def _levels(self) -> dict[str, str]:
        return {"level": f"{100 * self._params.inference.level:g}", "power": f"{100 * POWER:g}"}

    def _claim_text(self, claim: Claim) -> str:
        return getattr(claim, f"claim_{self._language}")

    def _made(self) -> list[dict[str, Any]]:
        """Return each study's stages that decide a claim, with their parameters and the data of the study."""
        made = []
        for study in self._studies:
            rows = [row for (_, name), row in self._rows.items() if name == study and row.verdict != "not_testable"]
            trail = Trail(study)
            stages = [
                {"stage": stage, "parameters": trail.sentence(stage)} for stage in sorted({row.stage for row in rows})
            ]
            sources = [load_source(name).title for name in self._params.study(study).sources]
            made.append({"study": study, "stages": stages, "sources": sources})
        return made

    def _of_advice(self) -> dict[str, Any]:
        paragraphs = []
        for factor in self.word("advice", "factors"):
            claims = [claim for claim in self._claims if claim.factor == factor and claim.kind != "method"]
            seen = [
                {
                    "claim": claim,
                    "text": self._claim_text(claim),
                    "sentences": [self._sentence(claim, row) for row in self._told(claim, self._real)],
                }
                for claim in claims
            ]
            paragraphs.append(
                {
                    "factor": factor,
                    "seen": [item for item in seen if item["sentences"]],
                    "conclusions": self._conclusions(claims),
                }
            )
        return {"paragraphs": paragraphs}

    def _sentence(self, claim: Claim, row: Any) -> dict[str, Any]:
        name = "association" if _association(claim, row.verdict, [row.strength]) else row.verdict
        return self._cell(claim, row.study) | {
            "text": self.text("advice", "sentence", name, found=self.size(row), least=self._least(row)),
            "measured": self._measured(row.study, row.factor),
        }

    def _conclusions(self, claims: Sequence[Claim]) -> list[str]:
        lenders: dict[str, dict[str, str]] = {}
        for claim in claims:
            for row in self._told(claim, self._real):
                kind = row.verdict
                if kind == "supported":
                    kind = "effect" if row.strength in ("randomised", "quasi_experimental") else "association"
                # An effect is one of what was drawn there, so the sentence names it.
                named = self.word("inside", row.study)
                if kind == "effect":
                    measured = self._measured(row.study, row.factor)
                    named = self.text("advice", "drawn", lender=named, measured=measured)
                lenders.setdefault(kind, {}).setdefault(row.study, named)
        said = []
        for kind in ("effect", "association", "contradicted", "inconclusive"):
            if kind in lenders:
                named = [lenders[kind][name] for name in self._real if name in lenders[kind]]
                listed = self.word("formats", "and").join(named)
                said.append(self.text("advice", "conclude", kind, lenders=listed))
        overall = [self._rows[claim.id, OVERALL].verdict for claim in claims]
        for kind, verdict in (("simulated", "simulated_only"), ("silent", "not_testable")):
            if verdict in overall:
                said.append(self.text("advice", "conclude", kind, n=overall.count(verdict)))
        return said

    def _of_methods(self) -> dict[str, Any]:
        study = self._simulated[0]
        rows = self._found[study].where(stage="recovery")
        number = {(row.estimator, row.outcome, row.specification, row.estimand): row for row in rows.itertuples()}
        if not number:
            raise StudyError(f"the results of study {study} hold no recovery rows: run its stage recovery.")
        methods, worlds = [], 0.0
        for row in rows[rows["specification"] == "all_scenarios"].itertuples():

            def at(scenario: str, estimand: str, row: Any = row) -> float:
                found = number.get((row.estimator, row.outcome, scenario, estimand))
                return math.nan if found is None else found.estimate

            no_effect = at("null", "truth") == 0
            worlds = max(worlds, number[row.estimator, row.outcome, "base", "estimate"].n)
            methods.append(
                {
                    "estimator": row.estimator,
                    "outcome": row.outcome,
                    "expected": row.estimand.removeprefix("verdict_"),
                    "as_expected": bool(row.estimate),
                    "estimate": fixed(at("base", "estimate"), 2),
                    "truth": fixed(at("base", "truth"), 2),
                    "bias": fixed(at("base", "bias"), 2),
                    "coverage": percent(100 * at("base", "coverage")),
                    "alarm": percent(100 * at("null", "rejection")) if no_effect else MISSING,
                }
            )
        order = list(self.word("methods", "verdicts"))
        methods.sort(key=lambda row: (order.index(row["expected"]), row["estimator"]))
        return {
            "methods": methods,
            "worlds": whole(worlds),
            "study": study,
            "told": {
                "all": len(methods),
                "recover": sum(row["expected"] == "recovers" and row["as_expected"] for row in methods),
                "fail": sum(row["expected"] in ("fails", "must_fail", "overstated") for row in methods),
                "asked": all(
                    row["expected"] == "fails" and row["as_expected"] for row in methods if row["estimator"] in ASKED
                ),
                "otherwise": sum(not row["as_expected"] for row in methods),
            },
        } | self._levels()

    def _of_data(self) -> dict[str, Any]:
        used: dict[str, list[str]] = {}
        for study in self._studies:
            for name in self._params.study(study).sources:
                used.setdefault(name, []).append(study)
        return {"records": [{"record": load_source(name), "studies": by} for name, by in used.items()]}

    def _of_cases(self) -> dict[str, Any]:
        """Return the cases of the first simulated study; none where its stage has not run."""
        study = self._simulated[0]
        found = self._found[study]
        return {
            "study": study,
            "pairs": list(cases.pairs(found, self.word)),
            "lenders": list(cases.lenders(found, self.word)),
            "panels": cases.scatter(found, self.word),
        }

    def _of_trail(self) -> dict[str, Any]:
        """Return each study's figures and tables with the program that made them."""
        listed = []
        for study in self._studies:
            trail = Trail(study)
            shown = [
                {
                    "kind": item["kind"],
                    "number": item["number"],
                    "file": item["file"],
                    "stage": item["stage"],
                    "caption": item["caption"],
                    "parameters": trail.sentence(item["stage"]),
                    "rows": self._found[study].where(stage=item["stage"]).shape[0],
                }
                for item in self._contents.get(study, ())
            ]
            listed.append({"study": study, "shown": shown})
        return {"listed": listed, "example": self._example()}

    def _example(self) -> dict[str, str]:
        """Return a row of the map's first decided claim of a real lender, to show how the command names one."""
        for row in self._rows.values():
            if row.study in self._real and row.verdict not in ("not_testable", "met", "not_met"):
                return {"claim": row.claim, "study": row.study, "row": self._path(row)}
        return {"claim": self._claims[0].id, "study": self._studies[0], "row": ""}

    @staticmethod
    def _path(row: Any) -> str:
        names = ("stage", "estimator", "specification", "factor", "outcome", "estimand")
        return " / ".join(filter(None, (getattr(row, name) for name in names)))


def _association(claim: Claim, verdict: str, strengths: Sequence[str]) -> bool:
    """Say whether a claim about an effect is supported by designs that show associations only."""
    by_design = any(strength in BY_DESIGN for strength in strengths)
    return verdict == "supported" and claim.kind in OF_EFFECTS and not by_design


def _look(claim: Claim, verdict: str, strengths: Sequence[str]) -> str:
    """Return the classes that draw a sign."""
    more = " association" if _association(claim, verdict, strengths) else ""
    return verdict + more + (" lots" if "randomised" in strengths else "")


def figure_of(row: Any) -> str | None:
    """Return the figure of the study's report that shows a row, if one does."""
    for names in (FIGURES.get(row.study, {}), FIGURES[""]):
        for key in (row.estimator, row.stage):
            if key in names:
                return names[key]
    return None


def _decimals(value: float) -> int:
    size = abs(value)
    return 0 if size >= 1000 or (size >= 10 and size == round(size)) else 1 if size >= 10 else 2 if size >= 0.1 else 3


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _number(value: Any) -> float:
    return math.nan if _missing(value) else float(value)
