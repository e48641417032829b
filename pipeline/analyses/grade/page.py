"""The chapter on grades: whether they hold later, and whether known clients are graded kindly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core.fields import construct
from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, compact, fixed, percent, whole, with_interval
from pipeline.present.page import Page, separated, shown_factors
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first
from pipeline.stats.features import BLOCK_OF_CONSTRUCT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "grade"

MONTHLY = "warning"
"""The stage that renews a score, and with it grades, every month."""

SHORT, LONG = "01_months", "06_months"
KINDS = ("stayed", "downgraded", "upgraded")
ENDS = ("default", "repaid")

TERMS = ("interest_rate", "amount", "term_months", "collateral", "guaranteed_share")


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    yield f"## {page.text('headings.grade')}"
    built = words.has("grade_built_here")
    graded = results.where(stage=STAGE, estimator="graded")
    if graded.empty:
        yield page.text("grade.nothing", note=results.where(stage=STAGE, estimator="not_graded")["note"].iloc[0])
    elif not _several(results):
        yield page.text("grade.one", rate=graded[graded["estimand"] == "default_rate"]["estimate"].iloc[0])
    else:
        found = _of_score(results)
        yield page.text("grade.score", **found)
        splits = results.where(stage="predict", estimator="split")["specification"]
        if splits.str.startswith("same_period").any():
            yield page.text("grade.same_period")
        yield page.show_figure("grade", STAGE, **found)
        yield page.show_table("grade_tiers", tiers(results, words), STAGE)
    moved = results.where(stage=STAGE, estimator="migration", specification="all")
    if len(moved):
        named = {
            f"{name}_{estimand}": _optional(
                results, estimator="migration", specification="all", factor=f"moved[{name}]", estimand=estimand
            )
            for name in ("safer", "same", "riskier")
            for estimand in ("share", "default_rate")
        }
        yield page.text("grade.migration", **named)
    yield from _by_month(page)
    area = _optional(results, estimator="recorded", specification="all", estimand="auc")
    if area is not None:
        rates = results.where(stage=STAGE, estimator="recorded", estimand="default_rate")
        down = _optional(results, estimator="trend", specification="all", factor="credit_grade", estimand="steps_down")
        rate = _optional(results, estimator="terms_by_grade", factor="interest_rate")
        first, last = (next(rates.iloc[[place]].itertuples()) for place in (0, -1))
        ends = {"safest": first, "riskiest": last}
        given = _rate_given(results, words)
        yield page.text("grade.recorded", built=built, area=area, down=down, rate=rate, given=given, **ends)
    if graded := _leniency(page):
        yield page.text("grade.leniency", built=built, **graded)
    quality = _optional(results, estimator="assessment")
    if quality is not None:
        yield page.text("grade.assessment", quality=quality, lenders=quality.note.split()[0])


def _leniency(page: Page) -> dict[str, Any]:
    """Return the rows on how well the lender knows a client, by whether known ones default more; nothing without any.

    Treatment is one only where it is of the relationship.
    """
    results, rule = page.results, page.scope.protocol.treatment
    shown = set(shown_factors(results, page.scope))
    if rule is not None and BLOCK_OF_CONSTRUCT[construct(rule.factor)] != "relationship":
        shown.discard("treated")
    rows = results.where(stage=STAGE, estimator="leniency", specification="given_grade")
    found: dict[str, Any] = {"kindly": [], "harshly": [], "alike": []}
    for row in rows[rows["estimate"].notna() & rows["factor"].isin(shown)].itertuples():
        name = "kindly" if row.ci_low > 0 else "harshly" if row.ci_high < 0 else "alike"
        found[name].append((page.words.label("columns", row.factor), row))
    bare = any(row.factor in separated(results) for pairs in found.values() for _, row in pairs)
    return {**found, "bare": bare} if any(found.values()) else {}


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of default by grade, and the moves between grades where a score is renewed every month."""
    found: dict[str, tuple[Any, ...]] = {"grade": (by_grade,)} if _several(results) else {}
    if len(_matrix(results, SHORT)) and len(_matrix(results, LONG)):
        found["grade_moves"] = (moves,)
    return found


def _by_month(page: Page) -> Iterator[str]:
    """Yield how grades by the score that is renewed every month move, where a study follows loans."""
    rows = page.results.where(stage=MONTHLY, estimator="grade_moves")
    of = {(row.specification, row.factor, row.estimand): row for row in rows.itertuples()}
    wanted = {
        "short": (SHORT, "all", "stayed"),
        **{kind: (LONG, "all", kind) for kind in KINDS},
        **{f"{kind}_later": (LONG, kind, "default_afterwards") for kind in KINDS},
        "defaulted": (LONG, "all", "to[default]"),
    }
    found = {name: of.get(key) for name, key in wanted.items()}
    if any(row is None for row in found.values()):
        return
    before = page.results.where(stage=MONTHLY, estimator="downgraded_before_default", factor="months_before[03]")
    before = {row.estimand: row for row in before[before["estimate"].notna()].itertuples()}
    steady = page.results.where(stage=MONTHLY, estimator="grade_stability")
    most = next(steady.loc[[steady["estimate"].idxmax()]].itertuples())
    quarter = most.factor.removeprefix("quarter[").rstrip("]")
    months = {"months": _months(LONG), "horizon": page.params.warning.horizon_months}
    yield page.text(
        "grade.moves", **found, **months, before=before, most=most, quarter=quarter, stable=page.params.grade.stable
    )
    yield page.show_figure("grade_moves", MONTHLY, short=found["short"], stayed=found["stayed"], **months)


def _months(specification: str) -> int:
    return int(specification.partition("_")[0])


def _matrix(results: Results, specification: str) -> Any:
    """Return the shares (from x to, in percent) of moves between grades."""
    rows = results.where(stage=MONTHLY, estimator="grade_moves", specification=specification)
    rows = rows[rows["factor"].str.startswith("from[") & rows["estimate"].notna()]
    start = rows["factor"].str.extract(r"\[(.*)\]")[0].astype(int)
    end = rows["estimand"].str.extract(r"\[(.*)\]")[0]
    table = rows.assign(start=start, end=end).pivot(index="start", columns="end", values="estimate")
    grades = sorted((name for name in table if name.isdigit()), key=int)
    return table[[*grades, *(name for name in ENDS if name in table)]]


def moves(results: Results, words: Words) -> Figure:
    """Where loans of each grade stand a month and half a year later, as two matrices of percentages."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    from pipeline.present import figures

    tables = [_matrix(results, specification) for specification in (SHORT, LONG)]
    # One axis names the lines of both: a grade without loans followed so long has an empty line.
    lines = tables[0].index.union(tables[1].index)
    tables = [table.reindex(lines) for table in tables]
    height = 0.27 * max(map(len, tables)) + 1.0
    figure, panels = plt.subplots(1, 2, figsize=(figures.WIDTH, height), layout="constrained", sharey=True)
    for axes, table, specification in zip(panels, tables, (SHORT, LONG), strict=True):
        shown = table.map(lambda share: "" if not share > 0 else "<1" if share < 1 else f"{share:.0f}")
        sns.heatmap(
            table, annot=shown, fmt="", cmap="Blues", vmin=0, vmax=100, cbar=False, ax=axes, linewidths=0.5,
            annot_kws={"fontsize": 8},
        )  # fmt: skip
        if table.isna().any(axis=None):
            axes.grid(visible=False)
        names = [name if name.isdigit() else words.label("grade_ends", name) for name in table]
        axes.set_xticks([place + 0.5 for place in range(len(names))], names, rotation=0)
        axes.tick_params(axis="y", rotation=0)
        axes.set_title(words.label("grade_spans", specification), fontsize="medium", loc="left")
        axes.set_xlabel(words.text("grade.columns.later_grade"))
        axes.set_ylabel("")
    panels[0].set_ylabel(words.text("grade.columns.earlier_grade"))
    return figure


def _rate_given(results: Results, words: Words) -> tuple[Any, str] | None:
    """Return the slope of the interest rate among the plain relations, which has controls, and those; or None."""
    for row in results.each(stage="correlate", estimator="relation", specification="rate_by_grade"):
        terms = row.note.removeprefix("given ")
        if terms != "nothing else":
            return row, words.series([lower_first(words.column(term)) for term in terms.split(", ")])
    return None


def _several(results: Results) -> bool:
    """Say whether the score tells loans apart at all."""
    factors = results.where(stage=STAGE, estimator="graded")["factor"]
    return factors[factors.str.startswith("score_grade[")].nunique() > 1


def by_grade(results: Results, words: Words) -> Figure:
    """Default by grade of the score among the loans that taught it and among later ones, with what it predicts."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    rows = results.where(stage=STAGE, estimator="graded")
    rows = rows[rows["factor"].str.startswith("score_grade[")]
    number = rows["factor"].str.extract(r"\[(\d+)\]")[0].astype(int)
    rows = rows.assign(grade=number, part=rows["specification"].str.partition("_")[0])
    figure, axes = plt.subplots(figsize=(figures.WIDTH, 3.2), layout="constrained")
    for part, shift, colour, marker in (("train", -0.12, figures.QUIET, "s"), ("test", 0.12, figures.TREATED, "o")):
        of_part = rows[(rows["part"] == part) & (rows["estimand"] == "default_rate")].sort_values("grade")
        value = of_part["estimate"].to_numpy(dtype=float)
        spread = np.abs(of_part[["ci_low", "ci_high"]].to_numpy(dtype=float).T - value)
        axes.errorbar(
            of_part["grade"] + shift, value, yerr=spread, fmt=marker, color=colour, capsize=2.5, markersize=4.5,
            linewidth=1.2, clip_on=False, label=words.label("score_parts", part),
        )  # fmt: skip
    predicted = rows[(rows["part"] == "test") & (rows["estimand"] == "predicted_rate")].sort_values("grade")
    axes.plot(
        predicted["grade"] + 0.12, predicted["estimate"], "_", color=figures.CONTROL, markersize=14, markeredgewidth=2,
        clip_on=False, label=words.label("score_parts", "predicted"),
    )  # fmt: skip
    axes.set_xticks(sorted(number.unique()))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(words.text("grade.columns.grade"))
    axes.set_ylabel(words.text("grade.columns.rate"))
    axes.grid(visible=False, axis="x")
    figures.keys(figure, axes)
    return figure


def tiers(results: Results, words: Words) -> str:
    """Each tier of later loans: how many, predicted and observed default, and the terms on which they were granted."""
    rows = results.where(stage=STAGE, estimator="graded")
    rows = rows[rows["factor"].str.startswith("score_tier[") & rows["specification"].str.startswith("test_")]
    terms = results.where(stage=STAGE, estimator="terms")
    there = [name for name in TERMS if name in set(terms["factor"])]
    known = sorted(rows["factor"].unique())
    total = rows[rows["estimand"] == "default_rate"]["n"].sum()
    # Where two of three tiers fell together, the middle one is empty.
    names = ("low", "medium", "high") if len(known) == 3 else ("low", "high") if len(known) == 2 else ("low",)
    body = []
    for name, factor in zip(names, known, strict=True):
        rate = rows[(rows["factor"] == factor) & (rows["estimand"] == "default_rate")].iloc[0]
        predicted = rows[(rows["factor"] == factor) & (rows["estimand"] == "predicted_rate")].iloc[0]
        cells = [
            words.label("score_tiers", name),
            f"{whole(rate['n'])} ({percent(100 * rate['n'] / total)})",
            fixed(predicted["estimate"], 1),
            with_interval(rate, 1),
        ]
        place = factor.split("[")[1].rstrip("]").zfill(2)
        for term in there:
            mean = terms[(terms["factor"] == term) & (terms["specification"] == f"tier_{place}")]
            share = term in ("collateral", "guaranteed_share")
            value = mean["estimate"].iloc[0] if len(mean) else None
            cells.append(MISSING if value is None else percent(value) if share else compact(value))
        body.append(cells)
    header = [words.text(f"grade.columns.{name}") for name in ("tier", "loans", "predicted", "observed")]
    return markdown([*header, *(words.known("columns", term) or term for term in there)], body)


def _of_score(results: Results) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in ("train", "test"):
        rows = results.where(stage=STAGE, estimator="graded", estimand="default_rate")
        rows = rows[rows["factor"].str.startswith("score_grade[") & rows["specification"].str.startswith(part)]
        rows = rows.sort_values("specification")
        found[part] = [*rows.itertuples()]
        found[f"{part}_down"] = _optional(
            results, estimator="trend", specification=part, factor="score_grade", estimand="steps_down"
        )
    found["trend"] = _optional(
        results, estimator="trend", specification="test", factor="score_grade", estimand="jonckheere_terpstra"
    )
    found["moved"] = _optional(results, estimator="stability")
    found["stable"] = results.one(stage=STAGE, estimator="assumption", specification="grades_stable").note.startswith(
        "passed"
    )
    return found


def _optional(results: Results, **columns: str) -> Any:
    return results.first(stage=STAGE, **columns)
