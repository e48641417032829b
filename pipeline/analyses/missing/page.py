"""The chapter on missing values: who lacks what, three ways to deal with it, and how far off the missing must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, p_value, percent, whole, with_interval
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words, filled, lower_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "missing"

SCHEMES = ("complete_cases", "response_weighted", "multiple_imputation")


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results, words = page.results, page.words
    left = _left_out(results, words)
    yield f"## {page.text('headings.missing')}"
    shares = results.where(stage=STAGE, estimator="share_missing", specification="column")
    if shares.empty:
        yield page.text("missing.nothing", **left)
        return
    named = [(_label(words, row.factor), row.estimate) for row in shares.itertuples()]
    whole_rows = results.where(stage=STAGE, estimator="pattern")
    complete = whole_rows[whole_rows["note"] == "nothing"]
    common = whole_rows.sort_values("specification").iloc[0] if len(whole_rows) else None
    yield page.text(
        "missing.patterns",
        named=named,
        complete=complete["estimate"].sum(),
        common=common,
        columns=[] if common is None else [_label(words, name) for name in common["note"].split(", ")],
        **left,
    )
    against = [row for row in _against(results, "default") if row.ci_low > 0 or row.ci_high < 0]
    little = next(iter(results.each(stage=STAGE, estimator="little")), None)
    yield page.text(
        "missing.tests",
        against=[(_label(words, row.factor), row) for row in against],
        little=None if little is None or little.p_value != little.p_value else little,
    )
    yield page.show_table("gaps", _gaps(results, words), STAGE)
    compared = _compared(results)
    for factor, controls in compared:
        found = _schemes(results, factor, controls)
        sides = {_side(row) for row in found.values()}
        yield page.text(
            "missing.schemes",
            factor=_label(words, factor),
            found=found,
            same=len(sides) == 1,
            side=next(iter(sides)),
            added=_added(results, words) if controls else "",
        )
    if compared:
        yield page.show_table("schemes", _table(results, words, compared), STAGE)
    not_imputed = results.where(stage=STAGE, estimator="multiple_imputation", outcome="default", estimand="")
    for row in not_imputed[not_imputed["note"].str.startswith("not imputed")].itertuples():
        yield page.text("missing.not_imputed", factor=_label(words, row.factor))
    tipped = _tipped(results)
    if tipped:
        yield page.text("missing.alike")
    turned = 0
    for factor in tipped:
        points = {row.specification: row for row in results.each(stage=STAGE, estimator="tipping_point", factor=factor)}
        turned += any(row.estimate == row.estimate for row in points.values())
        largest = results.where(stage=STAGE, estimator="shift", factor=factor)["estimate"].max()
        yield page.text("missing.tipping", factor=_label(words, factor), points=points, largest=largest)
    if tipped:
        yield page.show_figure("tipping", STAGE, turned=turned, number=len(tipped))
    extremes = results.where(stage=STAGE, estimator="extreme")
    for factor in dict.fromkeys(extremes["factor"]):
        ends = {row.specification: row for row in extremes[extremes["factor"] == factor].itertuples()}
        yield page.text("missing.extremes", factor=_label(words, factor), **ends)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the figure of tipping points, where a factor was imputed."""
    tipped = _tipped(results)
    return {"tipping": (tipping, tipped)} if tipped else {}


def tipping(results: Results, words: Words, factors: list[str]) -> Figure:
    """Each factor's effect by the shift of what was imputed: of all missing values, and of those that defaulted."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, panels = plt.subplots(
        1, len(factors), figsize=(figures.WIDTH, 2.7), layout="constrained", squeeze=False, sharey=False
    )
    kinds = (("all_missing", figures.TREATED, "-"), ("missing_and_defaulted", figures.CONTROL, "--"))
    for axes, factor in zip(panels[0], factors, strict=True):
        for name, colour, line in kinds:
            rows = results.where(stage=STAGE, estimator="shifted", factor=factor)
            rows = rows[rows["specification"].str.startswith(f"{name}_")].sort_values("specification")
            moves = results.where(stage=STAGE, estimator="shift", factor=factor)
            moves = moves[moves["specification"].str.startswith(f"{name}_")].sort_values("specification")
            x = moves["estimate"].to_numpy(dtype=float)
            axes.plot(x, rows["estimate"], line, color=colour, linewidth=1.6, label=words.label("shifted", name))
            axes.fill_between(
                x, rows["ci_low"].astype(float), rows["ci_high"].astype(float), color=colour, alpha=0.15, linewidth=0
            )
        axes.axhline(0, color="black", linewidth=1)
        axes.axvline(0, color=figures.QUIET, linestyle=":", linewidth=1)
        axes.set_title(_label(words, factor), loc="left")
        axes.set_xlabel(words.text("columns.shift"))
    panels[0, 0].set_ylabel(words.text("columns.points"))
    figures.keys(figure, panels[0, 0])
    return figure


def _left_out(results: Results, words: Words) -> dict[str, Any]:
    """Return how many loans preparation left out for gaps, and by which rules: it left out others, too."""
    gone = results.where(stage=STAGE, estimator="left_out_for_gaps")
    loans = gone[(gone["estimand"] == "loans") & (gone["estimate"] > 0)]
    rules = [(lower_first(words.label("reasons", row.specification)), row.estimate) for row in loans.itertuples()]
    defaults = gone.loc[gone["estimand"] == "defaults", "estimate"].sum()
    return {"left_loans": loans["estimate"].sum(), "left_defaults": defaults, "rules": rules}


def _label(words: Words, name: str) -> str:
    return words.known("columns", name) or name.replace("_", " ")


def _side(row: Any) -> str:
    return "lower" if row.ci_high < 0 else "higher" if row.ci_low > 0 else "none"


def _against(results: Results, outcome: str) -> list[Any]:
    rows = results.where(stage=STAGE, estimator="missing_against", outcome=outcome)
    return list(rows[rows["estimate"].notna()].itertuples())


def _compared(results: Results) -> list[tuple[str, str]]:
    """Return each factor with estimates under the schemes, and whether it is its controls that have gaps."""
    rows = results.where(stage=STAGE, estimator="complete_cases")
    rows = rows[rows["estimate"].notna()]
    pairs = [(row.factor, row.specification) for row in rows.itertuples()]
    return sorted(pairs, key=lambda pair: (pair[1] == "", pair[0]))


def _schemes(results: Results, factor: str, controls: str) -> dict[str, Any]:
    rows = results.where(stage=STAGE, factor=factor, specification=controls, estimand="risk_difference")
    rows = rows[rows["estimate"].notna()]
    there = {row.estimator: row for row in rows.itertuples()}
    return {name: there[name] for name in SCHEMES if name in there}


def _added(results: Results, words: Words) -> str:
    """Return the labels of the controls with gaps."""
    rows = results.where(stage=STAGE, estimator="complete_cases", specification="incomplete_controls")
    names = rows["note"].iloc[0].removeprefix("with ").split(", ")
    return words.text("joining.list").join(lower_first(_label(words, name)) for name in names)


def _tipped(results: Results) -> list[str]:
    rows = results.where(stage=STAGE, estimator="shifted")
    return list(dict.fromkeys(rows["factor"]))


def _gaps(results: Results, words: Words) -> str:
    body = []
    found = {outcome: {row.factor: row for row in _against(results, outcome)} for outcome in ("default", "treated")}
    for row in results.each(stage=STAGE, estimator="share_missing", specification="column"):
        cells = [with_interval(of[row.factor], 2) if row.factor in of else MISSING for of in found.values()]
        body.append([_label(words, row.factor), whole(row.n), percent(row.estimate), *cells])
    header = ("column", "asked", "missing", "missing_default", "missing_treated")
    return markdown([words.text(f"columns.{name}") for name in header], body)


def _table(results: Results, words: Words, compared: list[tuple[str, str]]) -> str:
    body = []
    for factor, controls in compared:
        found = _schemes(results, factor, controls)
        information = results.where(stage=STAGE, factor=factor, specification=controls, estimand="missing_information")
        label = _label(words, factor)
        if controls:
            label = words.bracketed(label, filled(words.text("columns.given_too"), controls=_added(results, words)))
        body.append(
            [
                label,
                *(with_interval(found[name], 2) if name in found else MISSING for name in SCHEMES),
                *(p_value(found[name].p_value) if name in found else MISSING for name in SCHEMES[-1:]),
                MISSING if information.empty else percent(100 * information["estimate"].iloc[0]),
            ]
        )
    header = ("factor", *SCHEMES, "p_imputed", "missing_information")
    return markdown([words.text(f"columns.{name}") for name in header], body)
