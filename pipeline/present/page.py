"""The page that chapters are written on: rows, words and counters in, figures and tables with captions out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pipeline.core.params import Params
from pipeline.core.protocol import Study, rungs_of
from pipeline.core.results import Results
from pipeline.core.scope import LeftOut, Scope, reduced
from pipeline.present import otherwise
from pipeline.present.engines import ENGINES
from pipeline.present.labels import methods
from pipeline.present.numerals import fixed, p_value, percent, signed, whole
from pipeline.present.shown import Claims, Flavour, Kind, Shown
from pipeline.present.software import software
from pipeline.present.trail import Trail
from pipeline.present.words import Words, filled, lower_first
from pipeline.sources.records import Source


def effect_row(results: Results, factor: str, rung: str) -> Any:
    """Return the linear probability model's row of a factor on a rung, in percentage points of default.

    Where all loans with the factor, or all without it, end alike, it is that of penalised likelihood.
    """
    named = {"stage": "regress", "estimand": "risk_difference", "factor": factor, "specification": rung}
    penalised = results.where(**named, estimator="firth")
    if penalised["estimate"].notna().any():
        return next(penalised.itertuples(index=False))
    return results.one(**named, estimator="linear_probability")


def labels_of(results: Results) -> dict[str, str]:
    """Return the labels of columns that came with the data, by column."""
    rows = results.where(stage="label", estimator="label")
    return dict(zip(rows["factor"], rows["note"], strict=True))


def strata_apart(protocol: Study) -> bool:
    """Say whether treatment was randomised within strata that pairs and weights do not hold fixed."""
    return not set(protocol.controls.strata) <= set(protocol.matching.exact)


def raw_factor(protocol: Study, arms: bool) -> str:
    """Return what the raw pattern is drawn by: the treatment's doses where it has any, its two arms where not."""
    if protocol.treatment is None or not arms:
        return next(iter(protocol.doses), "treated")
    return protocol.treatment.factor if protocol.treatment.factor in protocol.doses else "treated"


def rate_groups(protocol: Study, arms: bool) -> list[str]:
    """Return what default is shown by beside the raw pattern, each thing once: arms, groups, levels of factors."""
    every = [*(["treated"] if arms else []), *protocol.groups, *protocol.doses]
    return [name for name in dict.fromkeys(every) if name != raw_factor(protocol, arms)]


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


def separated(results: Results) -> list[str]:
    """Return the factors with or without which all loans end alike: least squares has no error for them."""
    rows = results.where(stage="regress", estimator="firth")
    return list(dict.fromkeys(rows.loc[rows["estimate"].notna(), "factor"]))


def left_out(note: str) -> list[str]:
    """Return the columns, and levels of columns, that a row's note names as determined by other controls."""
    named = re.match(r"left out as determined by other controls: (.*)", note)
    # A level's name may hold a comma.
    return re.split(r", (?![^\[]*\])", named[1]) if named else []


class Effects:
    """Sentences about effects, whose wording follows sign and interval of the row that they speak of."""

    def __init__(self, results: Results, words: Words, level: float) -> None:
        """Take the rows to speak of, the words to use and the intervals' confidence level."""
        self._results = results
        self._words = words
        self._level = f"{100 * level:g}"

    def sentence(self, factor: str, rung: str) -> str:
        """Return the sentence on a factor's effect, without a full stop, with what reads otherwise in the same rows."""
        row = effect_row(self._results, factor, rung)
        others = {
            "logistic": otherwise.logistic(self._results, factor, rung, row),
            "below_top": otherwise.below_top(self._results, factor, row),
        }
        return self.told(factor, row) + "".join(self._beside(name, one) for name, one in others.items() if one)

    def _beside(self, name: str, row: Any) -> str:
        start = 1 if row.estimand == "odds_ratio" else 0
        numbers = {key: signed(getattr(row, key), 2, start) for key in ("estimate", "ci_low", "ci_high")}
        significant = otherwise.excludes(row, start)
        return filled(self._words.text(f"effects.{name}"), **numbers, significant=significant, level=self._level)

    def told(self, factor: str, row: Any) -> str:
        """Return the sentence on a row about a factor: its interval lies below zero, above it, or holds it."""
        direction = "lower" if row.ci_high < 0 else "higher" if row.ci_low > 0 else "none"
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
            size=signed(estimate, 2),
            low=signed(low, 2),
            high=signed(high, 2),
            level=self._level,
        )

    def _any_unit(self, factor: str) -> str:
        """Say what one unit more of a factor is, from its label and its values."""
        binary = self._results.one(estimator="summary", factor=factor, estimand="binary").estimate == 1
        template = self._words.text("any_unit.binary" if binary else "any_unit.number")
        return filled(template, label=self._words.label("columns", factor), lower_first=lower_first)


def effects_parts(words: Words, results: Results) -> list[dict[str, Any]]:
    """Return what a study's words say on the rows of the stage effects, section by section, where it has any.

    Each has a ``heading`` and a ``text``. ``figure`` names a figure: event_study, or any name for a forest of the
    ``estimators``' rows, in which the specification ``first`` stands in bold. With a ``caption`` the estimators' rows
    also stand in a table.
    """
    parts = words.text("effects_parts") if words.has("effects_parts") else []
    return [part for part in parts if len(results.where(stage="effects", estimator=part["estimators"]))]


def correlation_kinds(protocol: Study) -> list[tuple[str, str]]:
    """Return every kind of correlation with what it holds fixed."""
    partial = [("partial", f"given_{block}") for block in protocol.controls.ladder()]
    return [("point_biserial", "raw"), ("spearman", "raw"), *partial]


def largest_difference(results: Results, sample: str) -> Any:
    """Return the balance row with the largest absolute standardised difference in a sample."""
    rows = results.where(estimator="balance", estimand="standardised_mean_difference", specification=sample)
    return rows.loc[rows["estimate"].abs().idxmax()]


class Page:
    """What chapters and the words' own templates can call."""

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
        claims: Claims | None = None,
    ) -> None:
        """Take everything that the report is made of; nothing is read or written here.

        `pictures` is the folder of the figures, beside the page; `claims` are those that rest on the rows of a stage
        and an estimator.
        """
        self._results, self._params, self._study = results, params, study
        self._scope = scope_of(results, params.study(study))
        self._protocol = self._scope.protocol
        self._words, self._trail, self._sources, self._flavour = words, trail, sources, flavour
        self._pictures = pictures
        self._effects = Effects(results, words, params.inference.level)
        self._shown = Shown(words, trail, study, flavour, claims or {})

    @property
    def contents(self) -> list[dict[str, Any]]:
        """Every figure and table of the page as rendered: what it is, its number, file, stage and caption."""
        return self._shown.contents

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

    def show_figure(self, name: str, stage: str, **more: Any) -> str:
        """Return a chapter's figure: its title says what is seen (``messages.<name>``), its caption what is drawn."""
        return self._figure(name, stage, self.text(f"messages.{name}", **more), self.text(f"figures.{name}", **more))

    def show_table(self, name: str, body: str, stage: str, **more: Any) -> str:
        """Return a chapter's table; its caption stands in the words under ``tables.<name>``."""
        return self._block("table", body, self.text(f"tables.{name}", **more), stage)

    def _figure(self, name: str, stage: str, message: str, caption: str, estimators: Sequence[str] = ()) -> str:
        return self._shown.figure(f"{self._pictures}/{name}.svg", stage, message, caption, estimators)

    def _block(self, kind: Kind, body: str, title: str, stage: str, estimators: Sequence[str] = ()) -> str:
        return self._shown.block(kind, body, title, stage, estimators=estimators)

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

        counted = words.counted

        def listed(names: list[str]) -> str:
            return words.series([lower_first(words.column(name)) for name in names])

        def flow(reason: str, what: str, outcome: str = "all") -> str:
            row = results.one(estimator="sample_flow", factor=reason, estimand=what, outcome=outcome)
            return whole(row.estimate)

        grades = results.where(estimator="default_rate")
        grades = grades[
            grades["factor"].str.startswith("credit_grade[") & grades["specification"].str.startswith("before")
        ]
        context: dict[str, Any] = {
            "software": [f"{name} {version}" for name, version in software()],
            "engines": ENGINES,
            "made": lambda estimator: not results.where(stage="effects", estimator=estimator).empty,
            "separated": listed(separated(results)),
            "study": self._study,
            "count": count,
            "rate": rate,
            "flow": flow,
            "rule": lambda reason: not results.where(estimator="sample_flow", factor=reason).empty,
            "month": month,
            "counted": counted,
            "listed": listed,
            "grades": list(grades.sort_values("specification")["factor"]),
            "label": lambda name: words.label("columns", name),
            "effect": self._effects.sentence,
            "lower_first": lower_first,
            "number_negative": number_negative,
            "number_of_factors": counted(len(factors)),
            "factors": factors,
            "scope": self._scope,
            "own": protocol.own,
            "protocol_factors": protocol.factors,
            "undated": [name for name in protocol.undated if name in protocol.factors],
            "landmark": protocol.landmark,
            "horizon": protocol.horizon_months,
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
            "robust": words.text("robust.loans" if protocol.cluster == "loan_id" else "robust.clusters"),
            "eligibility": protocol.eligibility,
            "treatment": protocol.treatment,
            "lags": protocol.release_lag_months,
            "cell": cell,
            "fixed": fixed,
            "signed": signed,
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
        context["absorbed"] = listed(left_out(note))
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
        of_programme = [one for one in methods(results) if one.of_programme]

        def those(label: str) -> str:
            names = dict.fromkeys(one.estimator for one in of_programme if one.label == label)
            return words.text("joining.semicolon").join(lower_first(words.label("estimators", one)) for one in names)

        leads = results.one(stage="effects", estimator="event_study", specification="leads_jointly_zero")
        return {
            "mean": mean,
            "truth": truth,
            "share": share,
            "times": times,
            "worlds": whole(row("raw_difference", "base", "estimate")["n"]),
            "number_of_targets": len(targets),
            "number_of_targets_met": int(targets["note"].str.startswith("met").sum()),
            "recovered": those("recovers"),
            "not_told": those("not_told"),
            "leads_p": p_value(leads.p_value),
            "tried": tried,
            "scenario": words.label("scenarios", str(self._protocol.scenario)),
            "true_here": truth("raw_difference", scenario)
            if (scenario := str(self._protocol.scenario)) in tried
            else "",
        }
