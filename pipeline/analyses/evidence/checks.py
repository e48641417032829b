"""Checks of a study that failed and bear on its evidence: each lowers certainty, told beside the first answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.core.results import Results

OF_TREATMENT = ("placebo_outcomes", "balance_after_weighting", "curve_of_one_mind", "permuted_rejection")
"""Assumptions about the comparison of treated and control loans."""

OF_SCORES = ("outcomes_known", "no_dominant_cluster", "score_stable", "judged_defaults")
"""Assumptions about loans on which scores are tried."""


class Failed(NamedTuple):
    """A check that failed: what the words call it, the stage, the number and the threshold."""

    name: str
    stage: str
    value: float
    note: str


def failed(has: Results, names: tuple[str, ...]) -> list[Failed]:
    """Return the failed assumptions among `names`."""
    rows = has.where(estimator="assumption", specification=list(names))
    rows = rows[rows["note"].str.startswith("failed")]
    return [Failed(row.specification, row.stage, row.estimate, row.note) for row in rows.itertuples()]


def bounds_hold_nought(has: Results, factor: str) -> Iterator[Failed]:
    """Yield a failed check where bounds for loans that are not seen include no effect (Lee 2009, Manski 1990).

    The bounds themselves, not their interval: how precise they are is judged with the effect's own precision.
    """
    bounds = {"estimator": ["lee_bounds", "survivors"], "specification": ["waves", "all_left"]}
    held = has.where(stage="effects", **bounds, factor=factor, outcome="default")
    for _, of_one in held.groupby("estimator"):
        ends = of_one.set_index("estimand")["estimate"]
        if {"lower_bound", "upper_bound"} <= set(ends.index) and ends["lower_bound"] < 0 < ends["upper_bound"]:
            low, high = ends["lower_bound"], ends["upper_bound"]
            yield Failed("attrition_bounds", "effects", low, f"{low:.3g} to {high:.3g}")


def bootstrap_disagrees(has: Results, factor: str) -> Iterator[Failed]:
    """Yield a failed check where the wild bootstrap and clustered errors disagree on whether there is an effect."""
    by = has.where(stage="robustness", estimator="errors", factor=factor, outcome="default").set_index("specification")
    if {"clustered", "wild_bootstrap"} <= set(by.index):
        usual, wild = by.loc["clustered"], by.loc["wild_bootstrap"]
        # Where every loan is a cluster of its own, there is no such bootstrap.
        if wild.notna()["ci_low"] and _excludes(usual) != _excludes(wild):
            yield Failed(
                "wild_bootstrap", "robustness", wild["estimate"], f"{wild['ci_low']:.3g} to {wild['ci_high']:.3g}"
            )


def lives_on_the_top(has: Results, factor: str) -> Iterator[Failed]:
    """Yield a failed check where the slope of "more of it" is gone without the top 2.5% of loans."""
    by = has.where(stage="robustness", estimator="dose", factor=factor).set_index("specification")
    if {"linear", "without_top"} <= set(by.index):
        whole, rest = by.loc["linear"], by.loc["without_top"]
        if _excludes(whole) and not _excludes(rest):
            yield Failed(
                "slope_without_top", "robustness", rest["estimate"], f"{rest['ci_low']:.3g} to {rest['ci_high']:.3g}"
            )


def doubly_robust(has: Results) -> tuple[float, float] | None:
    """Return the interval of the doubly robust effect on the treated, given all controls; None where there is none."""
    rows = has.where(stage="adjust", estimator="doubly_robust", specification="controls", factor="treated")
    rows = rows[(rows["estimand"] == "risk_difference_of_treated") & rows["ci_low"].notna()]
    return next(((row.ci_low, row.ci_high) for row in rows.itertuples()), None)


def _excludes(row: Any) -> bool:
    return bool(row["ci_low"] > 0 or row["ci_high"] < 0)


def checks_of(has: Results, factor: str, *, treated: bool, scored: bool) -> list[Failed]:
    """Return the failed checks that bear on a row about `factor`.

    Parameters
    ----------
    has
        The study's rows.
    factor
        The column whose row decides.
    treated
        Whether that column is the study's treatment, whose comparison has checks of its own.
    scored
        Whether the row is about a score.
    """
    if scored:
        return failed(has, OF_SCORES)
    own = failed(has, OF_TREATMENT) if treated else []
    return [
        *own,
        *bounds_hold_nought(has, "treated" if treated else factor),
        *bootstrap_disagrees(has, factor),
        *lives_on_the_top(has, factor),
    ]
