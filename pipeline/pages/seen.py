"""What is seen in each of the report's own figures: the facts from which its title follows by rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.core.params import Params
from pipeline.core.protocol import rungs_of
from pipeline.core.results import Results
from pipeline.core.scope import Scope
from pipeline.present.labels import methods
from pipeline.present.page import (
    correlation_kinds,
    effect_row,
    largest_difference,
    rate_groups,
    raw_factor,
    shown_factors,
)
from pipeline.present.sample_figures import group_rates, raw_names
from pipeline.present.words import Words, lower_first, split

FEWEST = 30
"""Loans of a level whose default rate a title may name: of a single one it is nothing or all."""


def flow(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Count the loans of the sources, those that are left, and how many of these default."""
    rows = results.where(estimator="sample_flow", estimand="remaining")
    of = {name: rows[rows["outcome"] == name]["estimate"] for name in ("all", "default")}
    return {"read": of["all"].iloc[0], "remaining": of["all"].iloc[-1], "defaults": of["default"].iloc[-1]}


def raw(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Return the rates of the first and of the last group, and whether they differ.

    Two arms are judged by the regression, more groups by whether the intervals of the two are apart; `apart` says that
    the intervals that are drawn judged.
    """
    factor = raw_factor(scope.protocol, scope.arms)
    rows = group_rates(results, factor)
    first, last = (next(rows.iloc[[place]].itertuples()) for place in (0, -1))
    names = raw_names(words, factor, rows)
    if factor != "treated":
        names = [words.pair(lower_first(words.label("columns", factor)), name) for name in names]
    side = "higher" if last.ci_low > first.ci_high else "lower" if last.ci_high < first.ci_low else "neither"
    if factor == "treated":
        # As the regression without controls says, which lets loans of one cluster resemble each other.
        counted = sides([effect_row(results, factor, "M1")])
        side = "lower" if counted["lower"] else "higher" if counted["higher"] else "neither"
    ends = {"first": first, "last": last, "first_name": names[0], "last_name": names[-1]}
    return {**ends, "side": side, "apart": factor != "treated"}


def rates(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Return the group whose levels are farthest apart, and its two ends; a level of few loans is none."""
    found = [group_rates(results, group) for group in rate_groups(scope.protocol, scope.arms)]
    found = [one[one["n"] >= FEWEST] if (one["n"] >= FEWEST).sum() > 1 else one for one in found]
    rows = max((one for one in found if len(one)), key=lambda one: one["estimate"].max() - one["estimate"].min())
    ends = [next(rows.loc[[place]].itertuples()) for place in (rows["estimate"].idxmin(), rows["estimate"].idxmax())]
    column = split(ends[0].factor)[0]
    names = dict(zip(rows["factor"], raw_names(words, column, rows), strict=True))
    level, group = [names[row.factor] for row in ends], lower_first(words.label("columns", column))
    return {"group": group, "low": ends[0], "high": ends[1], "low_level": level[0], "high_level": level[1]}


def balance(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Return the largest difference before and after matching, and how many are beyond the threshold after it."""
    rows = results.where(estimator="balance", estimand="standardised_mean_difference", specification="after")
    largest = {name: abs(float(largest_difference(results, name)["estimate"])) for name in ("before", "after")}
    beyond = int((rows["estimate"].abs() > params.checks.balance).sum())
    return {**largest, "beyond": beyond, "number": len(rows)}


def overlap(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Return how much of the score's distribution the arms have in common, before and after matching."""

    def common(sample: str) -> float:
        rows = [
            results.where(estimator="score_distribution", specification=f"{sample}_{arm}").set_index("outcome")
            for arm in ("treated", "control")
        ]
        shares = rows[0]["estimate"].to_frame("one").join(rows[1]["estimate"].rename("other"), how="outer").fillna(0)
        return 100 * float(shares.min(axis=1).sum())

    return {sample: common(sample) for sample in ("before", "after")}


def correlations(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Count the factors that are correlated with default, raw and given all controls."""
    factors, kinds = shown_factors(results, scope), correlation_kinds(scope.protocol)
    clear = {}
    for place, (kind, given) in (("raw", kinds[0]), ("given", kinds[-1])):
        rows = results.where(stage="correlate", estimator=kind, specification=given, factor=factors)
        clear[place] = int((rows["p_adjusted"] < 1 - params.inference.level).sum())
    return {**clear, "number": len(factors)}


def ladder(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Count the factors that go with less default, with more, or with neither, once all controls are in."""
    last = list(rungs_of(scope.protocol))[-1]
    found = sides([effect_row(results, name, last) for name in shown_factors(results, scope)])
    return {**found, "controls": last != "M1"}


def recovery(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Count the methods that aim at a truth, and those that recover it."""
    tried = [one for one in methods(results) if one.truth]
    return {"number": len(tried), "good": sum(one.label == "recovers" for one in tried)}


def event_study(results: Results, words: Words, scope: Scope, params: Params) -> dict[str, Any]:
    """Count the quarters before and after adoption whose rate clearly differs from that of the quarter before."""
    rows = results.where(stage="effects", estimator="event_study", estimand="log_rate_ratio")
    quarter = rows["specification"].str.extract(r"([+-]\d+)")[0].astype(int)
    clear = (rows["ci_low"] > 0) | (rows["ci_high"] < 0)
    before, after = quarter < 0, quarter >= 0
    return {
        "before": int(before.sum()),
        "after": int(after.sum()),
        "clear_before": int((before & clear).sum()),
        "lower_after": int((after & (rows["ci_high"] < 0)).sum()),
    }


def forest(results: Results, estimators: Sequence[str]) -> dict[str, Any]:
    """Count the estimates of a study's own design that lie clearly on either side of no effect."""
    rows = results.where(stage="effects", estimator=estimators)
    rows = rows[rows["ci_low"].notna()]
    ratio = rows["unit"].iloc[0] in ("ratio", "odds ratio")
    return sides(list(rows.itertuples()), 1.0 if ratio else 0.0)


def sides(rows: Sequence[Any], start: float = 0.0) -> dict[str, int]:
    """Count the intervals below the point of no effect, above it, and on it."""
    known = [row for row in rows if not np.isnan(row.estimate)]
    lower, higher = sum(row.ci_high < start for row in known), sum(row.ci_low > start for row in known)
    return {"number": len(known), "lower": lower, "higher": higher, "neither": len(known) - lower - higher}


SEEN: dict[str, Callable[[Results, Words, Scope, Params], dict[str, Any]]] = {
    one.__name__: one for one in (flow, raw, rates, balance, overlap, correlations, ladder, recovery, event_study)
}
"""What is seen in a figure, by its name."""
