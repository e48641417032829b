"""The chapter on early warning: how far ahead the records see, what alerts catch, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.numerals import MISSING, p_value, percent, with_interval
from pipeline.present.page import Page
from pipeline.present.tables import markdown
from pipeline.present.words import Words, filled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGE = "warning"
SIGNALS = ("late_payment", "falling_activity", "client_contact", "alert", "lender_contact")
AS_LENDER = "capacity[as_lender]"
"""As many alerts as the lender raised itself in the months on which scores were fitted."""
ESTIMANDS = ("precision", "false_alarms", "recall", "caught", "caught_early", "caught_early_over_random")
"""What the table shows of alerts."""


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    results = page.results
    gains = _by_age(results, "gain")
    falls = _falls(results)
    shown = _signals(results)
    if not len(gains) and not len(falls) and not shown:
        return
    yield f"## {page.text('headings.warning')}"
    if len(gains):
        yield page.text("warning.areas", **_of_areas(results, gains), horizon=page.params.warning.horizon_months)
        named = {"horizon": page.params.warning.horizon_months, **_of_areas(results, gains)}
        yield page.show_figure("warning_areas", STAGE, **named)
        yield from _of_alerts(page)
    if shown:
        named = {"signals": [(page.words.label("warning_signals", name), _onset(results, name)) for name in shown]}
        yield page.text("warning.signals", **named)
        first = max(named["signals"], key=lambda one: one[1]["months"])
        yield page.show_figure("warning_signals", STAGE, first=first)
    response = results.where(stage=STAGE, estimator="response_after_alert")
    response = response[response["estimate"].notna()]
    if len(response):
        yield page.text("warning.response", row=next(response.itertuples()))
    if len(falls):
        named = [(page.words.label("warning_signals", row.specification), row) for row in falls.itertuples()]
        least = results.where(stage=STAGE, estimand="minimum_detectable_area")["estimate"].max()
        yield page.text("warning.falls", falls=named, least=least, significance_level=1 - page.params.inference.level)
        yield page.show_table("warning_falls", falling(results, page.words), STAGE)


def drawings(results: Results, words: Words, scope: Scope) -> dict[str, tuple[Any, ...]]:
    """Return the areas by age and the signals before default, where there are any."""
    found: dict[str, tuple[Any, ...]] = {}
    if len(_by_age(results, "gain")):
        found["warning_areas"] = (areas,)
    if len(_costs(results, "updated")) and len(_costs(results, "static")):
        found["warning_costs"] = (costs,)
    if _signals(results):
        found["warning_signals"] = (signals,)
    return found


def areas(results: Results, words: Words) -> Figure:
    """Area under the curve of both scores at every age of the loan, with intervals."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, axes = plt.subplots(figsize=(figures.WIDTH, 2.8), layout="constrained")
    kinds = (("updated", figures.TREATED, "o", -0.08), ("static", figures.CONTROL, "s", 0.08))
    for score, colour, marker, shift in kinds:
        rows = _by_age(results, score)
        age = rows["estimand"].str.removeprefix("month_").astype(int) + shift
        spread = [rows["estimate"] - rows["ci_low"], rows["ci_high"] - rows["estimate"]]
        style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.2, "elinewidth": 1.2}
        axes.errorbar(age, rows["estimate"], yerr=spread, label=words.label("warning_scores", score), **style)
    axes.set_xlabel(words.text("columns.warning_age_months"))
    axes.set_ylabel(words.text("columns.warning_area"))
    figures.keys(figure, axes)
    return figure


def costs(results: Results, words: Words) -> Figure:
    """Net value a loan of alerts by both scores, at each share of loans that can be contacted."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    figure, axes = plt.subplots(figsize=(figures.WIDTH, 2.8), layout="constrained")
    kinds = (("updated", figures.TREATED, "o", 0.97), ("static", figures.CONTROL, "s", 1.03))
    for score, colour, marker, shift in kinds:
        rows = _costs(results, score)
        share = 100 * rows["factor"].map(_share)
        spread = [rows["estimate"] - rows["ci_low"], rows["ci_high"] - rows["estimate"]]
        style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.2, "elinewidth": 1.2}
        axes.errorbar(shift * share, rows["estimate"], yerr=spread, label=words.label("warning_scores", score), **style)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    ticks = 100 * _costs(results, "updated")["factor"].map(_share)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(words.text("columns.warning_contacted"))
    axes.set_ylabel(words.text("columns.warning_net_value"))
    figures.keys(figure, axes)
    return figure


def signals(results: Results, words: Words) -> Figure:
    """Share of loans with each signal in the months before default, beside loans like them at risk of it."""
    import matplotlib.pyplot as plt

    from pipeline.present import figures

    shown = _signals(results)
    rows_of = (len(shown) + 1) // 2
    figure, panels = plt.subplots(
        rows_of, 2, figsize=(figures.WIDTH, 1.9 * rows_of + 0.3), layout="constrained", squeeze=False
    )
    for axes, name in zip(panels.flat, shown, strict=False):
        rows = results.where(stage=STAGE, estimator="before_default", specification=name)
        table = rows.pivot(index="factor", columns="estimand", values="estimate")
        months = -table.index.str.extract(r"\[(.*)\]")[0].astype(int)
        wide = rows[rows["estimand"] == "difference"].set_index("factor").reindex(table.index)
        label = words.label("warning_loans", "others")
        axes.plot(months, table["others"], color=figures.CONTROL, marker="s", markersize=4, linewidth=1.2, label=label)
        # The interval is that of the difference, laid around the defaulting loans' share.
        ends = [table["others"] + wide["ci_low"], table["others"] + wide["ci_high"]]
        axes.fill_between(months, *ends, color=figures.TREATED, alpha=0.2, linewidth=0)
        style = {"color": figures.TREATED, "marker": "o", "markersize": 4, "linewidth": 1.2}
        axes.plot(months, table["defaulting"], label=words.label("warning_loans", "defaulting"), **style)
        axes.set_title(words.label("warning_signals", name), fontsize="medium", loc="left")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(words.text("columns.warning_months_to_default"))
    for axes in list(panels.flat)[len(shown) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(words.text("columns.warning_percent_of_loans"))
    figures.keys(figure, panels[0, 0])
    return figure


def alerts(results: Results, words: Words) -> str:
    """Show what alerts catch by capacity, by threshold, by the lender's own judgement and by falling activity."""
    body = []
    for score, rule in _kinds(results):
        rows = results.where(stage=STAGE, estimator="alerts", specification=score, factor=rule)
        found = {row.estimand: row for row in rows.itertuples()}
        cells = [_named(score, rule, words)]
        for name in ESTIMANDS:
            row = found.get(name)
            if row is None or pd.isna(row.estimate):
                cells.append(MISSING)
            else:
                cells.append(with_interval(row, 1))
        body.append(cells)
    return markdown(
        [words.text("columns.warning_alerts"), *(words.text(f"columns.warning_alert_{name}") for name in ESTIMANDS)],
        body,
    )


def falling(results: Results, words: Words) -> str:
    """Show how well the fall of each activity, and its level, tell loans that default from others."""
    body = []
    for row in _falls(results).itertuples():
        level = results.one(
            stage=STAGE, estimator=row.estimator, specification=row.specification, estimand="area_of_level"
        )
        cells = [with_interval(one, 2) for one in (row, level)]
        cells[1:1] = [p_value(row.p_adjusted)]
        body.append([words.label("warning_signals", row.specification), *cells, f"{row.n:,}"])
    names = ("warning_activity", "warning_area_of_fall", "warning_adjusted", "warning_area_of_level", "loans")
    return markdown([words.text(f"columns.{name}") for name in names], body)


def _by_age(results: Results, score: str) -> pd.DataFrame:
    rows = results.where(stage=STAGE, estimator="area_under_curve", specification=score)
    rows = rows[rows["estimate"].notna() & rows["estimand"].str.startswith("month_")]
    return rows.sort_values("estimand", ignore_index=True)


def _estimated(results: Results, score: str, when: str) -> Any:
    return results.first(stage=STAGE, estimator="area_under_curve", specification=score, estimand=when)


def _costs(results: Results, score: str) -> pd.DataFrame:
    rows = results.where(stage=STAGE, estimator="costs", specification=score, estimand="net_value")
    rows = rows[rows["estimate"].notna() & rows["factor"].str.startswith("capacity[")]
    return rows.sort_values("factor", key=lambda names: names.map(_share), ignore_index=True)


def _falls(results: Results) -> pd.DataFrame:
    rows = results.where(stage=STAGE, estimator="falling_before_loan", estimand="area_under_curve")
    return rows[rows["estimate"].notna()]


def _signals(results: Results) -> list[str]:
    rows = results.where(stage=STAGE, estimator="before_default", estimand="difference")
    there = set(rows.loc[rows["estimate"].notna(), "specification"])
    return [name for name in SIGNALS if name in there]


def _onset(results: Results, name: str) -> dict[str, Any]:
    """Return from which month before default on a signal is clear without a gap, and its row in the last month."""
    rows = results.where(stage=STAGE, estimator="before_default", specification=name, estimand="difference")
    rows = rows[rows["estimate"].notna()].sort_values("factor")
    months = 0
    for row in rows.itertuples():
        back = int(row.factor.removeprefix("months_before[").rstrip("]"))
        if not row.ci_low > 0 or back != months + 1:
            break
        months = back
    return {"months": months, "last": next(rows.itertuples())}


def _of_areas(results: Results, gains: pd.DataFrame) -> dict[str, Any]:
    """Return the first and the last age, and the ages at which the updated score is clearly better, or worse."""
    last = gains.iloc[-1]["estimand"]
    ages = gains["estimand"].str.removeprefix("month_").astype(int)
    better, worse = ages[gains["ci_low"] > 0], ages[gains["ci_high"] < 0]

    def row(score: str, when: str) -> Any:
        return results.one(stage=STAGE, estimator="area_under_curve", specification=score, estimand=when)

    signals = _signals(results)
    return {
        "contacts": any("contact" in name for name in signals),
        "alerts": "alert" in signals,
        "age": int(ages.iloc[-1]),
        "static": row("static", last),
        "updated": row("updated", last),
        "gain": row("gain", last),
        "on_time": _estimated(results, "gain", "paid_on_time"),
        "on_time_updated": _estimated(results, "updated", "paid_on_time"),
        "records": _estimated(results, "gain_of_records", "all_months"),
        "account": _estimated(results, "gain_of_account", "paid_on_time"),
        "better": len(better),
        "worse": len(worse),
        "ages": len(ages),
        # The first age from which the updated score is better without exception.
        "steady": next((int(age) for age in ages if (gains.loc[ages >= age, "ci_low"] > 0).all()), None),
    }


def _share(factor: str) -> float:
    return float(factor.partition("[")[2].rstrip("]"))


def _named(score: str, rule: str, words: Words) -> str:
    """Say which alerts a row of the table is about."""
    if score == "lender":
        return words.text("columns.warning_lenders_own")
    if score == "falling_activity":
        return words.label("warning_signals", score)
    share = percent(100 * _share(rule))
    shown = filled(words.text("columns.warning_risk_above"), risk=share) if rule.startswith("threshold[") else share
    return words.text("joining.comma").join((words.label("warning_scores", score), shown))


def _kinds(results: Results) -> list[tuple[str, str]]:
    """Return the sets of alerts that the table shows: by the updated score, and those that need no score."""
    rows = results.where(stage=STAGE, estimator="alerts", estimand="precision")
    rules = [rule for rule in rows.loc[rows["specification"] == "updated", "factor"] if rule != AS_LENDER]
    found = [
        ("updated", rule) for rule in sorted(rules, key=lambda rule: (rule.startswith("threshold["), _share(rule)))
    ]
    own = {"lender": "lenders_alert", "falling_activity": "falling_activity"}
    return [*found, *((score, rule) for score, rule in own.items() if score in set(rows["specification"]))]


def _of_alerts(page: Page) -> Iterator[str]:
    results, choice = page.results, page.params.warning

    def find(score: str, share: str, estimand: str) -> Any:
        return results.first(stage=STAGE, estimator="alerts", specification=score, factor=share, estimand=estimand)

    share = f"capacity[{choice.capacity:g}]"
    chance = ("caught_random", "caught_over_random")
    early = ("caught_early", "caught_early_random", "caught_early_over_random")
    names = ("precision", "recall", "false_alarms", "in_time", "caught", *chance, *early, "median_lead")
    found = {name: find("updated", share, name) for name in names}
    if any(row is None for row in found.values()):
        return
    static = {"static_early": find("static", share, early[0]), "static_over": find("static", share, early[2])}
    months = choice.horizon_months
    yield page.text("warning.alerts", share=100 * choice.capacity, horizon=months, **found, **static)
    if choice.threshold is not None:
        rule = f"threshold[{choice.threshold:g}]"
        found = {name: find("updated", rule, name) for name in ("alerted", "precision", "recall", *early)}
        if not any(row is None for row in found.values()):
            yield page.text("warning.threshold", risk=100 * choice.threshold, horizon=months, **found)
    activity = {name: find("falling_activity", "falling_activity", name) for name in ("precision", "caught", *chance)}
    if not any(row is None for row in activity.values()):
        prevalence = results.one(stage=STAGE, estimator="prevalence", estimand="all_months")
        yield page.text("warning.activity", prevalence=prevalence, **activity)
    own = {name: find("lender", "lenders_alert", name) for name in ("alerted", "precision", "caught", *chance)}
    marks = find("lender", "lenders_alert", "risk_difference")
    same = find("updated", AS_LENDER, "precision")
    if marks is not None and same is not None and not any(row is None for row in own.values()):
        prevalence = results.one(stage=STAGE, estimator="prevalence", estimand="all_months")
        yield page.text("warning.own_alerts", **own, marks=marks, same=same, prevalence=prevalence)
    shown = {score for score, _ in _kinds(results)}
    of = {"own": "lender" in shown, "activity": "falling_activity" in shown, "threshold": choice.threshold is not None}
    yield page.show_table("warning_alerts", alerts(results, page.words), STAGE, **of)
    values = _costs(results, "updated")
    rows = results.where(stage=STAGE, estimator="costs", factor=share)
    rows = rows[rows["estimate"].notna()]
    found = {(row.specification, row.estimand): row for row in rows.itertuples()}
    even, gain = found.get(("updated", "break_even")), found.get(("updated_less_static", "net_value"))
    if even is None or gain is None:
        return
    best = next(values.loc[[values["estimate"].idxmax()]].itertuples())
    yield page.text(
        "warning.costs",
        best=best,
        best_share=100 * _share(best.factor),
        even=even,
        gain=gain,
        records=found.get(("updated_less_payments", "net_value")),
        share=100 * choice.capacity,
        prevented=100 * choice.prevented_share,
        cost=choice.contact_cost,
        loss=100 * page.params.loss_share,
    )
    named = {"best": best, "best_share": 100 * _share(best.factor)}
    assumed = {"prevented": 100 * choice.prevented_share, "cost": choice.contact_cost}
    yield page.show_figure("warning_costs", STAGE, **named, **assumed)
