"""Whether the whole procedure holds what it promises: made-up sets of lenders whose truth is known, judged like ours.

Each set has one lender for each real one, with as many loans, groups and factors. Its default is drawn with the same
rate, a correlation within groups and a borrower's trait that moves default and the observed practices alike. The same
regressions are run, and the same code finds the deciding rows, corrects them for being many and gives verdicts. Where
nothing works, hardly any set may say "supported"; where each practice, in a default of its own, works twice as much as
matters, most must.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.evidence.rows import OVERALL, weigh
from pipeline.core.params import Params
from pipeline.core.results import NUMBERS, Results, in_points, table
from pipeline.runtime.parallel import each
from pipeline.sources.claims import Bearing, Claim
from pipeline.stats.regression import linear_probability

Rows = list[dict[str, Any]]

SCENARIOS = {"nothing_works": 0.0, "twice_what_matters": 2.0}
"""True effect of every practice, in smallest differences that matter."""

WITHIN = 0.01
"""Correlation of default within a group: between that of regions and of branches in the files here (.002 to .04)."""

TRAIT = 0.3
"""By what share of the rate a standard deviation of the borrower's trait moves the probability of default."""

LEANING = 0.3
"""Correlation of an observed practice with the trait; lots have none."""


class Lender(NamedTuple):
    """What a made-up lender takes over from a real one."""

    loans: int
    groups: int
    rate: float
    practices: Mapping[str, float | None]
    """Columns with their share, where they are yes or no; None for those that have many values."""
    reverse: frozenset[str]
    """Columns of which more is less of the practice."""


def lender_of(bearings: Sequence[Bearing], has: Results) -> Lender:
    """Read a lender's size, groups, default rate and practices, first what lots drew, from its results."""
    columns = sorted(dict.fromkeys(one.column for one in bearings), key="treated".__ne__)
    rate = has.one(stage="describe", estimator="default_rate", specification="before_00", factor="all")
    clustered = has.where(stage="regress", estimator="linear_probability", specification="M1", factor="treated")
    practices: dict[str, float | None] = {}
    for column in columns:
        stands = has.where(stage="describe", estimator="summary", factor=column).set_index("estimand")["estimate"]
        practices[column] = float(stands["mean"]) if stands["binary"] else None
    reverse = frozenset(one.column for one in bearings if one.reverse)
    return Lender(int(rate.n), int(clustered["n_clusters"].iloc[0]), float(rate.estimate) / 100, practices, reverse)


def made_up(lender: Lender, drawn: bool, effect: float, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw a lender's loans, and their default where one practice works and the others do nothing.

    Parameters
    ----------
    lender
        Size, groups, rate and practices.
    drawn
        Whether the first practice is drawn by lot; all others lean on the trait.
    effect
        By how much a practice (yes, or a standard deviation more) lowers the probability of default.
    rng
        Source of chance.

    Returns
    -------
    tuple of DataFrame
        ``group``, ``trait`` and the practices (loans x columns); default (loans x practices), a column for each
        practice that works. Without an effect the columns are equal.
    """
    n, groups, rate = lender.loans, lender.groups, lender.rate
    trait, group = rng.standard_normal(n), rng.integers(groups, size=n)
    between = np.sqrt(WITHIN * rate * (1 - rate)) * rng.standard_normal(groups)
    usual = rate * (1 + TRAIT * trait) + between[group]
    chance = rng.random(n)
    loans, default = {"group": group, "trait": trait}, {}
    for place, (column, mean) in enumerate(lender.practices.items()):
        leaning = 0.0 if drawn and place == 0 else LEANING
        latent = leaning * trait + np.sqrt(1 - leaning**2) * rng.standard_normal(n)
        loans[column] = latent if mean is None else (latent > np.quantile(latent, 1 - mean)).astype(float)
        centred = loans[column] - loans[column].mean()
        default[column] = (chance < usual + (effect if column in lender.reverse else -effect) * centred).astype(float)
    return pd.DataFrame(loans), pd.DataFrame(default)


def regressed(study: str, loans: pd.DataFrame, default: pd.DataFrame, lender: Lender, level: float) -> Results:
    """Return the rows of the results table that the deciding rules read: each practice with all controls.

    `loans` and `default` are those of `made_up`; `level` is that of the intervals.
    """
    rate = 100 * float(default.iloc[:, 0].mean())
    described: Rows = [_row("default_rate", "before_00", "all", "rate", rate, len(loans))]
    regressions: Rows = []
    for column, mean in lender.practices.items():
        stands = {"binary": float(mean is not None), "standard_deviation": float(loans[column].std())}
        described += [_row("summary", "", column, name, value, len(loans)) for name, value in stands.items()]
        design = loans[[column, "trait"]].assign(constant=1.0)
        found = linear_probability(default[column], design, column, loans["group"], level)
        regressions.append(
            _row("linear_probability", "M5", column, "risk_difference", 0.0, len(loans)) | in_points(found)
        )
    frames = [table(study, "describe", described), table(study, "regress", regressions)]
    frame = pd.concat(frames, ignore_index=True)
    return Results(frame.astype(dict.fromkeys(NUMBERS, float)))


def _row(estimator: str, specification: str, factor: str, estimand: str, estimate: float, n: int) -> dict[str, Any]:
    return {
        "estimator": estimator,
        "specification": specification,
        "factor": factor,
        "outcome": "" if estimator == "summary" else "default",
        "estimand": estimand,
        "estimate": estimate,
        "n": n,
    }


def asked(claims: Sequence[Claim], bearings: Sequence[Bearing], simulated: Sequence[str]) -> list[Bearing]:
    """Return what the claims on effects of CRM on default ask of real lenders, as far as the rule finds the row."""
    kinds = {claim.id: claim.kind for claim in claims}
    return [one for one in bearings if kinds[one.claim] == "effect" and one.study not in simulated and not one.named]


class Task(NamedTuple):
    """What every made-up set shares."""

    claims: Sequence[Claim]
    bearings: Sequence[Bearing]
    lenders: Mapping[str, Lender]
    params: Params


def one_set(task: Task, which: tuple[str, int]) -> dict[str, str]:
    """Return the verdict over all lenders of each claim in one made-up set, which a scenario and a number name."""
    scenario, number = which
    params, found = task.params, {}
    for place, (study, lender) in enumerate(task.lenders.items()):
        key = (list(SCENARIOS).index(scenario), number, place)
        rng = np.random.default_rng(np.random.SeedSequence(params.seed, spawn_key=key))
        effect = SCENARIOS[scenario] * params.evidence.margins.default * lender.rate
        loans, default = made_up(lender, params.study(study).design == "randomised", effect, rng)
        found[study] = regressed(study, loans, default, lender, params.inference.level)
    verdicts = weigh(task.claims, task.bearings, [], found, params).verdicts
    whole = verdicts[verdicts["study"] == OVERALL]
    return dict(zip(whole["claim"], whole["verdict"], strict=True))


def rows(task: Task, sets: int) -> Rows:
    """Return how often each verdict comes out over `sets` made-up sets a scenario."""
    found: Rows = []
    for scenario in SCENARIOS:
        tasks = [(scenario, number) for number in range(sets)]
        label = "made-up sets of lenders"
        found += told(scenario, list(each(partial(one_set, task), tasks, task.params.parallel, label=label)))
    return found


def told(scenario: str, sets: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield how often each claim, and any of them, has each verdict, with the Monte Carlo standard error."""
    n = len(sets)
    counts = {claim: Counter(one[claim] for one in sets) for claim in sets[0]}
    counts["any"] = Counter()
    for verdict in ("supported", "supported_small", "contradicted"):
        counts["any"][verdict] = sum(verdict in one.values() for one in sets)
    for claim, by in counts.items():
        for verdict, count in sorted(by.items()):
            share = count / n
            yield {
                "estimator": "made_up_lenders",
                "specification": scenario,
                "factor": claim,
                "outcome": verdict,
                "estimand": "share_of_sets",
                "estimate": share,
                "std_error": (share * (1 - share) / n) ** 0.5,
                "n": n,
                "unit": "share",
            }
