"""What a relationship, information and communication are worth over all lenders: sentences, tables and the forest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.analyses.synthesis.rows import TERMS, judged
from pipeline.core.fields import SUBJECTS
from pipeline.core.results import Results
from pipeline.present.numerals import MISSING, fixed, p_value, percent
from pipeline.present.tables import markdown
from pipeline.present.words import Words

KINDS = ("log_odds_ratio_of_a_standard_deviation", "log_odds_ratio_of_one")
"""Units that are pooled, each by itself; the first is the one that more lenders have."""

LEAST = 0.1
"""Rank correlation from which amounts are said to go with a measure (Cohen 1988: small)."""


class Subject:
    """One subject in one kind of unit: the lenders' parts, their mean, and what is said of them."""

    def __init__(self, found: Results, name: str, kind: str, words: Words, of_study: Mapping[str, Words]) -> None:
        """Take the synthesis rows; `words` are the page's, `of_study` each study's, which name its factors."""
        self.name, self.kind, self._found, self._words, self._of_study = name, kind, found, words, of_study
        self.parts = found.where(estimator="part", specification=name, estimand=kind)

    @property
    def constructs(self) -> tuple[str, ...]:
        """The constructs that speak of the subject."""
        return SUBJECTS[self.name]

    def weight(self, row: Any) -> str:
        """Return the share of a lender in the mean, in words; nothing where there is none."""
        found = self._value("part", row, estimand=f"{self.kind}, weight")
        return "" if found is None else percent(100 * found)

    @property
    def mean(self) -> Any | None:
        """The row of the mean over lenders; None with too few of them."""
        return self._of_mean(self.kind)

    @property
    def prediction(self) -> Any | None:
        """The row of the interval for one more lender; None as `mean`."""
        return self._of_mean(f"{self.kind}, prediction")

    def _of_mean(self, estimand: str) -> Any | None:
        rows = self._found.where(estimator="random_effects", specification=self.name, estimand=estimand)
        return next(rows.itertuples(), None)

    def facts(self) -> dict[str, Any]:
        """Return what sentences are made of; no sign and no number is known before the rows are read."""
        parts = self.parts
        steady = parts[[not gone(self._found, row) for row in parts.itertuples()]] if len(parts) else parts
        less, more = steady[steady["ci_high"] < 0], steady[steady["ci_low"] > 0]
        found = {
            "top": self._named(parts.drop(steady.index)),
            "lenders": self._words.counted(len(parts)),
            "less": self._named(less),
            "more": self._named(more),
            "neither": self._words.counted(len(steady) - len(less) - len(more)),
            "undecided": len(steady) - len(less) - len(more),
            "amounts": self._amounts(pd.concat([less, more])),
            "mean": None,
        }
        if self.mean is None:
            return found
        scatter = self._of_mean(f"{self.kind}, heterogeneity")
        disagree = bool(len(less) and len(more))
        finding, graded = judged(self.mean.ci_low, self.mean.ci_high, scatter.estimate, disagree=disagree)
        return found | {
            "mean": self.odds(self.mean),
            "prediction": self.odds(self.prediction),
            "finding": finding,
            "certainty": self._words.label("certainty", graded.level),
            "scatter": percent(100 * scatter.estimate),
            "p": p_value(scatter.p_value),
        }

    def _amounts(self, rows: pd.DataFrame) -> list[tuple[str, list[dict[str, str]]]]:
        """Return the lenders whose amounts are larger with more of the measure, smaller, or alike."""
        ways: dict[str, list[dict[str, str]]] = {"larger": [], "smaller": [], "alike": []}
        for row in rows.itertuples():
            found = self._value("practice", row, specification=None, outcome="amount")
            if found is not None:
                way = "alike" if abs(found) < LEAST else "larger" if found > 0 else "smaller"
                ways[way].append({"lender": self._of_study[row.study].text("short"), "at": fixed(found, 2)})
        return [(way, those) for way, those in ways.items() if those]

    def _named(self, rows: pd.DataFrame) -> list[str]:
        return [self._of_study[name].text("short") for name in rows["study"]]

    @staticmethod
    def odds(row: Any) -> dict[str, str]:
        """Return an effect and its interval as odds ratios, with a third decimal where two would round to one."""
        numbers = {"at": row.estimate, "low": row.ci_low, "high": row.ci_high}
        ratios = {name: math.exp(value) for name, value in numbers.items()}
        return {name: fixed(ratio, 3 if abs(ratio - 1) < 0.005 else 2) for name, ratio in ratios.items()}

    @property
    def left_out(self) -> pd.DataFrame:
        """Return the means without each lender; none where too few lenders would be left."""
        return self._found.where(estimator="leave_one_out", specification=self.name, estimand=self.kind)

    def table(self) -> str:
        """Return one row a lender: its measure, the mean without it, and how its terms correlate with the measure."""
        terms = (*TERMS, "credit_grade")
        body = []
        for row in self.parts.itertuples():
            words = self._of_study[row.study]
            without = [_ratio(one) for one in self.left_out[self.left_out["study"] == row.study].itertuples()]
            does = [self._value("practice", row, specification=None, outcome=term) for term in terms]
            body.append(
                [
                    words.text("short"),
                    words.label("columns", row.factor),
                    *((without or [MISSING]) if len(self.left_out) else []),
                    *(MISSING if value is None else fixed(value, 2) for value in does),
                ]
            )
        names = ("study", "factor", *(["without"] if len(self.left_out) else []), *terms)
        return markdown([self._words.text(f"columns.{name}") for name in names], body)

    def _value(self, estimator: str, row: Any, **more: Any) -> float | None:
        named = {"specification": self.name, "study": row.study, "factor": row.factor} | more
        rows = self._found.where(estimator=estimator, **{name: of for name, of in named.items() if of is not None})
        return float(rows["estimate"].iloc[0]) if len(rows) else None


def gone(found: Results, row: Any) -> bool:
    """Say whether the slope of an effect is gone without the loans that have most of the factor."""
    return len(found.where(estimator="without_top", study=row.study, factor=row.factor)) > 0


def subjects(found: Results, words: Words, of_study: Mapping[str, Words]) -> list[Subject]:
    """Return every subject and kind of unit that at least two lenders speak of."""
    every = (Subject(found, name, kind, words, of_study) for name in SUBJECTS for kind in KINDS)
    return [one for one in every if len(one.parts)]


def drawn(found: Results) -> list[Any]:
    """Return the randomised effects on subjects, which stand apart from what is pooled."""
    rows = found.where(estimator="one_study", estimand="odds_ratio")
    of = {construct for constructs in SUBJECTS.values() for construct in constructs}
    return [row for row in rows.itertuples() if row.note == "randomised" and row.specification in of]


def _ratio(row: Any) -> str:
    return "{at} [{low}, {high}]".format(**Subject.odds(row))
