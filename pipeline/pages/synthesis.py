"""The page that lays the studies side by side."""

from __future__ import annotations

import math
import re
from itertools import groupby
from typing import Any

from pipeline.core.fields import CONSTRUCTS
from pipeline.core.params import Params
from pipeline.core.results import Results
from pipeline.pages.subjects import Subject, gone, subjects
from pipeline.present.numerals import MISSING, fixed, whole
from pipeline.present.page import Flavour
from pipeline.present.tables import markdown
from pipeline.present.words import WIDE, Words, environment, filled, lower_first

ROWS, CODE = "results/synthesis.csv", "../../pipeline/analyses/synthesis/rows.py"
"""Where the numbers of each figure and table stand, and what computes them."""


class SynthesisPage:
    """What the page's template and its words can call."""

    def __init__(
        self,
        results: Results,
        params: Params,
        words: Words,
        of_study: dict[str, Words],
        flavour: Flavour,
        pictures: str = "figures",
    ) -> None:
        """Take the synthesis rows, the page's own words and each study's, which name its factors.

        `pictures` is the folder of the figure, beside the page.
        """
        self._results, self._params, self._words, self._of_study = results, params, words, of_study
        self._flavour, self._pictures = flavour, pictures
        self._numbers = {"figure": 0, "table": 0}
        self._subjects = subjects(results, words, of_study)

    def render(self) -> str:
        """Return the page in Markdown."""
        page = (
            environment("markdown")
            .get_template("synthesis.md.jinja")
            .render(text=self.text, texts=self.texts, figure=self.figure, table=self.table, subjects=self.subjects)
        )
        return re.sub(r"\n{3,}", "\n\n", page)

    def text(self, key: str) -> str:
        """Return a text of the words, its numbers filled in."""
        return self._fill(self._words.text(key))

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, their numbers filled in."""
        return [self._fill(template) for template in self._words.text(key)]

    def _fill(self, template: str) -> str:
        return filled(template, **self._context())

    def _context(self) -> dict[str, Any]:
        one = self._results.where(estimator="one_study", estimand="odds_ratio")
        measured = one[one["note"] != "simulated"]
        real = measured[measured["estimate"].notna()]
        turned = real["factor"].isin(self._params.synthesis.reversed)
        steady = ~real.apply(lambda row: gone(self._results, row), axis=1).astype(bool)
        apart = (real["ci_high"] < 1) | (real["ci_low"] > 1)
        lower, higher = (real["ci_high"] < 1) & steady, (real["ci_low"] > 1) & steady
        top = int((apart & ~steady).sum())
        clear = {
            "expected": int(lower.where(~turned, higher).sum()),
            "against": int(higher.where(~turned, lower).sum()),
        }
        return {
            "clear": {name: self._words.counted(count) for name, count in clear.items()},
            "effects": whole(len(real)),
            "measures": whole(len(measured)),
            "studies": self._words.counted(measured["study"].nunique()),
            "randomised": real.loc[real["note"] == "randomised", "study"].nunique(),
            "top": self._words.counted(top) if top else "",
            "undecided": len(real) - sum(clear.values()) - top,
            "relationship": next((one.facts() for one in self._subjects if one.name == "relationship"), None),
            "turned": self._words.series(
                [
                    lower_first(self._of_study[row.study].label("columns", row.factor))
                    for row in real[turned].itertuples()
                ]
            ),
            "level": f"{100 * self._params.inference.level:g}",
        }

    def subjects(self) -> list[dict[str, Any]]:
        """Return each subject: heading, sentences on each of its units, its forest, and a table for each unit."""
        shown = []
        for name, kinds in groupby(self._subjects, key=lambda one: one.name):
            every = list(kinds)
            said = [
                filled(self._words.text("subject"), **one.facts(), unit=self._words.label("estimands", one.kind))
                for one in every
            ]
            label = self._words.label("subjects", name)
            facts = [one.facts() for one in every]
            counts = {
                "lower": sum(len(one["less"]) for one in facts),
                "higher": sum(len(one["more"]) for one in facts),
                "top": sum(len(one["top"]) for one in facts),
                "number": sum(len(one.parts) for one in every),
            }
            title = filled(self._words.text("messages.subject"), subject=label, **counts)
            # What the first figure explains holds for those after it.
            key = "subject_again" if shown else "subject"
            caption = filled(self._words.text(f"figures.{key}"), **self._context())
            shown.append(
                {
                    "heading": label,
                    "said": said,
                    "figure": self._drawn(name, title, caption),
                    "tables": [self._subject_table(one, label) for one in every],
                }
            )
        return shown

    def _subject_table(self, one: Subject, label: str) -> str:
        unit = self._words.label("estimands", one.kind)
        caption = filled(
            self._words.text("tables.subject"),
            subject=lower_first(label),
            unit=unit,
            **self._context(),
            left_out=len(one.left_out),
        )
        return self._block("table", one.table(), caption)

    def figure(self, name: str) -> str:
        """Return a figure with its number, its title and its caption."""
        return self._drawn(name, self.text(f"messages.{name}"), self.text(f"figures.{name}"))

    def _drawn(self, name: str, title: str, caption: str) -> str:
        file = f"{self._pictures}/{name}.svg"
        return self._block("figure", f"![{title}]({file})", title, caption, file)

    def table(self, name: str) -> str:
        """Return a table with its number and caption."""
        return self._block("table", {"effects": self._effects_table}[name](), self.text(f"tables.{name}"))

    def _effects_table(self) -> str:
        points = {
            (row.study, row.factor): row
            for row in self._results.each(estimator="one_study", estimand="risk_difference")
        }
        rows = ordered(self._results.where(estimator="one_study", estimand="odds_ratio"), self._params)
        body = []
        for row in rows:
            other = points[row.study, row.factor]
            words = self._of_study[row.study]
            body.append(
                [
                    self._words.label("constructs", row.specification),
                    words.label("columns", row.factor),
                    words.text("short"),
                    words.label("designs", row.note),
                    self._words.label("outcomes", row.outcome),
                    _with_interval(row, 3),
                    _with_interval(other, 2),
                    whole(row.n) + ("" if row.n == other.n or math.isnan(row.estimate) else f" ({whole(other.n)})"),
                ]
            )
        names = ("construct", "factor", "study", "design", "outcome", "odds_ratio", "points", "loans")
        return markdown([self._words.text(f"columns.{name}") for name in names], body)

    def _block(self, kind: str, body: str, title: str, caption: str = "", picture: str = "") -> str:
        self._numbers[kind] += 1
        name = self._words.text(kind)
        name = f"{name}{'' if WIDE.search(name) else ' '}{self._numbers[kind]}"
        ways = {"rows": ROWS, "picture": picture, "code": CODE, "common": "../../params.yaml"}
        links = [f"[{self._words.text(f'ways.{key}')}]({way})" for key, way in ways.items() if way]
        made = filled(self._words.text("made_by"), links=links, claims=[])
        heading = filled(self._words.text(f"titled.{kind}"), name=name, title=title)
        parts = [part for part in (heading, body, caption) if part]
        if self._flavour == "markdown":
            return "\n\n".join([*parts, f"<sub>{made}</sub>"])
        inner = "\n\n".join([*parts, f'::: {{.made typst:text:size="7pt"}}\n{made}\n:::'])
        return f":::: {{#{kind}-{self._numbers[kind]} .{kind}}}\n{inner}\n::::"


def ordered(rows: Any, params: Params) -> list[Any]:
    """Return one row a study and factor: by construct, then in the order of params.yaml, simulated studies last."""
    places = {name: place for place, name in enumerate(params.compared)}
    return sorted(
        rows.itertuples(),
        key=lambda row: (
            CONSTRUCTS.index(row.specification),
            row.note == "simulated",
            places[row.study],
            params.study(row.study).factors.index(row.factor),
        ),
    )


def _with_interval(row: Any, decimals: int) -> str:
    if math.isnan(row.estimate):
        return MISSING
    return f"{fixed(row.estimate, decimals)} [{fixed(row.ci_low, decimals)}, {fixed(row.ci_high, decimals)}]"
