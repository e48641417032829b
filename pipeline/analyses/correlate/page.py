"""What stands in the section on correlations beside their table: trends, the matrix, who answered, plain relations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, fixed, p_value, whole, with_interval
from pipeline.present.page import Page, rate_groups, raw_factor, shown_factors
from pipeline.present.tables import markdown
from pipeline.present.words import Words, lower_first, split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "correlate"


def blocks(page: Page) -> Iterator[str]:
    """Yield the blocks of Markdown that follow the table of correlations."""
    results, words = page.results, page.words
    factors = shown_factors(results, page.scope)
    if not factors:
        return
    steps = {row.factor: row for row in _of(results, "trend", "clustered").itertuples() if row.factor in factors}
    if steps:
        group = words.known("columns", page.scope.protocol.cluster) or page.scope.protocol.cluster
        directions: dict[str, list[str]] = {"falls": [], "rises": [], "flat": []}
        for name in factors:
            if name in steps:
                row = steps[name]
                where = "falls" if row.ci_high < 0 else "rises" if row.ci_low > 0 else "flat"
                directions[where].append(name)
        alone = page.scope.protocol.cluster == "loan_id"
        yield page.text("correlate_more.trend", group=group, alone=alone, **directions)
        unseen = _unseen(page.scope, factors)
        if unseen:
            counted = {name: len(set(found) & set(unseen)) for name, found in directions.items()}
            elsewhere = [name for name in factors if name in steps and name not in unseen]
            yield page.show_figure("binned", STAGE, number=sum(counted.values()), elsewhere=elsewhere, **counted)
        yield page.show_table("trends", trends(results, words, factors), STAGE)
    inflation = results.where(stage=STAGE, estimator="assumption", specification="collinear", factor=factors)
    strongest = _strongest(results)
    if strongest is not None:
        most = inflation.loc[inflation["estimate"].idxmax()] if len(inflation) else None
        yield page.text(
            "correlate_more.matrix",
            one=_label(words, strongest.factor),
            other=_label(words, strongest.specification),
            row=strongest,
            most=most,
        )
        pair = {"one": _label(words, strongest.factor), "other": _label(words, strongest.specification)}
        yield page.show_figure("matrix", STAGE, row=strongest, **pair)
    answered = results.where(stage=STAGE, estimator="response_model", estimand="share_answered", factor=factors)
    known = [row for row in answered.itertuples() if _response(results, row.factor)["weighted"] is not None]
    for row in known:
        yield page.text("correlate_more.response", share=row.estimate, **_response(results, row.factor), row=row)
    if known:
        yield page.text("correlate_more.hidden")
    relations = results.where(stage=STAGE, estimator="relation")
    relations = relations[relations["estimate"].notna()]
    if len(relations):
        yield page.text("correlate_more.relations", areas=_areas(results))
        names = [relation.name for relation in page.scope.protocol.relations]
        yield page.show_table("relations", _relations(results, words, names), STAGE)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figures of binned means and of the matrix."""
    factors = shown_factors(results, scope)
    found: dict[str, tuple[Any, ...]] = {}
    if _unseen(scope, factors) and len(_of(results, "trend", "clustered")):
        found["binned"] = (binned, _unseen(scope, factors))
    if _strongest(results) is not None:
        found["matrix"] = (matrix,)
    return found


def _unseen(scope: Scope, factors: list[str]) -> list[str]:
    """Return the factors by which the raw pattern is not drawn already."""
    drawn = {raw_factor(scope.protocol, scope.arms), *rate_groups(scope.protocol, scope.arms)}
    rule = scope.protocol.treatment
    # A yes or no that makes the arms is drawn by arm.
    arms = {rule.factor} if rule is not None and "treated" in drawn and "treated" not in factors else set()
    return [name for name in factors if name not in drawn | arms]


def binned(results: Results, words: Words, factors: list[str]) -> Figure:
    """Default rate by groups of each factor with intervals, a small panel a factor, on one scale of default."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures
    from pipeline.present.intervals import folded

    columns = min(2, len(factors))
    lines = -(-len(factors) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(figures.WIDTH, 1.8 * lines), layout="constrained", sharey=True, squeeze=False
    )
    for axes, factor in zip(panels.flat, factors, strict=False):
        rows = results.where(stage=STAGE, estimator="binned_means", factor=factor)
        rates = rows[rows["estimand"] == "default_rate"].sort_values("specification", ignore_index=True)
        means = rows[rows["estimand"] == "mean_of_factor"].sort_values("specification")["estimate"].to_numpy()
        value = rates["estimate"].to_numpy(dtype=float)
        spread = np.abs(rates[["ci_low", "ci_high"]].to_numpy(dtype=float).T - value)
        # No line joins values between which nothing lies.
        mark = "o" if len(means) <= 3 else "o-"
        style = {"color": figures.TREATED, "markersize": 4, "linewidth": 1, "capsize": 2, "clip_on": False}
        axes.errorbar(means, value, yerr=spread, fmt=mark, **style)
        axes.set_title(folded(words.label("columns", factor)), loc="left", fontsize=8.5)
        if len(means) <= 3:
            axes.set_xticks(means, words.answers(means) or [f"{mean:.3g}" for mean in means])
            axes.margins(x=0.3)
        axes.grid(visible=False, axis="x")
    for axes in panels[:, 0]:
        axes.set_ylabel(words.in_percent(words.text("columns.rate")))
    panels[0, 0].set_ylim(bottom=0)
    for axes in panels.flat[len(factors) :]:
        axes.set_axis_off()
    return figure


READABLE = 0.3
"""From this size on a correlation is printed in its cell; the colour says the rest."""


def matrix(results: Results, words: Words) -> Figure:
    """Heat map of the correlations among default, factors and controls, whose columns are numbered like the lines."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    from pipeline.present import figures
    from pipeline.present.intervals import folded

    rows = results.where(stage=STAGE, estimator="correlation_matrix")
    # A column that is another one says nothing new.
    twins = set(rows.loc[rows["estimate"].abs() > 1 - 1e-9, "specification"])
    names = [name for name in _names(rows) if name not in twins]
    place = {name: at for at, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    for row in rows[rows["factor"].isin(place) & rows["specification"].isin(place)].itertuples():
        values[place[row.factor], place[row.specification]] = row.estimate
    labels = [folded(f"{_label(words, name)}\N{NO-BREAK SPACE}{at}", 34) for at, name in enumerate(names, start=1)]
    figure, axes = plt.subplots(figsize=(figures.WIDTH, 0.2 * len(names) + 0.9), layout="constrained")
    shown = values[1:, :-1]
    large = np.array([[in_cell(r) if abs(r) >= READABLE else "" for r in line] for line in shown], dtype=object)
    sns.heatmap(
        shown,
        ax=axes,
        cmap="vlag",
        vmin=-1,
        vmax=1,
        mask=np.isnan(shown),
        annot=large,
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=0.5,
        xticklabels=list(range(1, len(names))),
        yticklabels=labels[1:],
        # In the empty half, which leaves the cells their room.
        cbar_ax=axes.inset_axes((0.6, 0.9, 0.38, 0.04)),
        cbar_kws={"label": words.text("columns.correlation"), "ticks": [-1, 0, 1], "orientation": "horizontal"},
    )
    axes.text(-0.15, -0.4, labels[0], ha="right", va="center", fontsize=8)
    axes.tick_params(labelsize=8, rotation=0)
    axes.grid(visible=False)
    return figure


def in_cell(value: float) -> str:
    """Print a correlation in a cell's room, its sign a narrow one; what is short of one does not read as one."""
    text = fixed(value, 1 if round(abs(value), 1) < 1 else 2)
    return text.replace("0.", ".").replace("\N{MINUS SIGN}", "-")


def trends(results: Results, words: Words, factors: list[str]) -> str:
    """Default in the lowest and the highest dose of each factor, the change from dose to dose, and both tests."""
    body = []
    for factor in factors:
        doses = results.where(stage=STAGE, estimator="dose_group", factor=factor).sort_values("specification")
        if doses.empty:
            continue
        tests = [
            results.one(stage=STAGE, estimator="trend", specification=name, factor=factor, outcome="default")
            for name in ("cochran_armitage", "jonckheere_terpstra")
        ]
        step = results.first(stage=STAGE, estimator="trend", specification="clustered", factor=factor)
        inflation = results.where(stage=STAGE, estimator="assumption", specification="collinear", factor=factor)
        ends = [f"{fixed(doses['estimate'].iloc[place], 1)}% ({whole(doses['n'].iloc[place])})" for place in (0, -1)]
        body.append(
            [
                words.label("columns", factor),
                whole(len(doses)),
                *ends,
                MISSING if step is None else with_interval(step, 2),
                *(p_value(test.p_value) for test in tests),
                MISSING if inflation.empty else fixed(inflation["estimate"].iloc[0], 1),
            ]
        )
    header = (
        "factor",
        "groups",
        "lowest_group",
        "highest_group",
        "step",
        "cochran_armitage",
        "jonckheere",
        "inflation",
    )
    return markdown([words.text(f"columns.{name}") for name in header], body)


def _relations(results: Results, words: Words, names: list[str]) -> str:
    rows = {row.specification: row for row in results.each(stage=STAGE, estimator="relation")}
    body = []
    for name in names:
        row = rows.get(name)
        if row is None or np.isnan(row.estimate):
            continue
        unit = words.text("columns.points_short" if row.unit == "percentage points" else "columns.units_of_outcome")
        given = row.note.removeprefix("given ")
        plain = given == "nothing else"
        body.append(
            [
                words.known("relations", name) or name.replace("_", " "),
                _label(words, row.outcome),
                with_interval(row, 2),
                unit,
                p_value(row.p_value),
                MISSING
                if plain
                else words.text("joining.list").join(lower_first(_label(words, term)) for term in given.split(", ")),
                whole(row.n),
            ]
        )
    header = ("relation", "outcome", "change", "unit", "p", "controls", "loans")
    return markdown([words.text(f"columns.{name}") for name in header], body)


def _of(results: Results, estimator: str, specification: str) -> Any:
    rows = results.where(stage=STAGE, estimator=estimator, specification=specification)
    return rows[rows["estimate"].notna()]


def _label(words: Words, name: str) -> str:
    """Return the label of a column, a logarithm or one level; a column without a label stands with its name."""
    plain = name.removeprefix("log(").removesuffix(")")
    column, level = split(plain)
    label = words.known("columns", name) or words.known("columns", column) or column.replace("_", " ")
    return label if level is None else f"{label}: {words.known('levels', level) or level}"


def _names(rows: Any) -> list[str]:
    """Return the names of the matrix in its own order: each one's row holds its correlation with all before it."""
    names = {*rows["factor"], *rows["specification"]}
    before = {name: int((rows["factor"] == name).sum()) for name in names}
    return sorted(names, key=lambda name: (before[name], name))


def _strongest(results: Results) -> Any:
    """Return the matrix's row farthest from zero that is not about default, or None."""
    rows = results.where(stage=STAGE, estimator="correlation_matrix")
    rows = rows[(rows["specification"] != "default") & (rows["estimate"].abs() < 1 - 1e-9)]
    return None if rows.empty else next(rows.loc[[rows["estimate"].abs().idxmax()]].itertuples())


def _response(results: Results, factor: str) -> dict[str, Any]:
    """Return what the words on who answered ask for."""

    def one(specification: str, estimand: str, estimator: str = "response") -> Any:
        rows = results.each(
            stage=STAGE, estimator=estimator, specification=specification, estimand=estimand, factor=factor
        )
        return next(iter(rows), None)

    raw = results.one(stage=STAGE, estimator="point_biserial", specification="raw", factor=factor)
    return {
        "raw": raw,
        "weighted": one("weighted", "point_biserial"),
        "plain_slope": one("complete_cases", "risk_difference"),
        "weighted_slope": one("weighted", "risk_difference"),
        "area": one("", "area_under_curve", "response_model"),
        "of_default": one("default", "odds_ratio", "response_model"),
        "of_treated": one("treated", "odds_ratio", "response_model"),
    }


def _areas(results: Results) -> list[Any]:
    return results.each(stage=STAGE, estimator="discrimination")
