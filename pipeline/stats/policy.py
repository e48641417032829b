"""Whom to treat: rules learned on one part of the loans, and their values on the other part.

A rule says for each loan whether a programme takes it. Its value is what it saves compared with taking nobody: the
mean, over all loans, of the gain of those that it takes (Manski 2004, Econometrica 72; Athey & Wager 2021,
Econometrica 89).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.logistic import predicted_log_odds, sigmoid

CLOSEST = 0.01
"""Propensities are kept this far from nought and one: weights of a hundred and more are noise."""

PENALTIES = np.logspace(0, 6, 13)
"""Ridge penalties among which leave-one-out cross-validation chooses, from next to none to no heterogeneity at all."""


def halves(number: int, seed: list[int]) -> np.ndarray:
    """Split `number` loans, in the order of their names, into two halves: 0 or 1 for each."""
    part = np.zeros(number, dtype=np.int64)
    part[np.random.default_rng(seed).permutation(number)[: number // 2]] = 1
    return part


class Learned(NamedTuple):
    """What models of other loans say of each loan (loans,)."""

    propensity: np.ndarray
    """Chance of treatment."""
    untreated: np.ndarray
    """Risk without treatment."""
    treated: np.ndarray
    """Risk with it."""
    benefit: np.ndarray
    """Risk that treatment takes away, by the R-learner."""


def learn(design: np.ndarray, treated: np.ndarray, event: np.ndarray, part: np.ndarray) -> Learned:
    """Learn propensity, risks and benefit on each half and apply them to the other.

    `design` (loans x columns, no intercept), `treated` and `event` 0/1 (loans,), `part` 0/1 as `halves` splits. Risks
    are logistic, one regression an arm; for `benefit` see `r_learner`. Raises StudyError where an arm of a half has no
    event, or nothing else.
    """
    found = Learned(*(np.empty(len(event)) for _ in Learned._fields))
    for half in (0, 1):
        fit, apply = np.flatnonzero(part != half), np.flatnonzero(part == half)
        found.propensity[apply] = _chance(design, treated, fit, apply)
        for arm, risk in ((0, found.untreated), (1, found.treated)):
            risk[apply] = _chance(design, event, fit[treated[fit] == arm], apply, lowest=0.0)
        found.benefit[apply] = r_learner(design[fit], treated[fit], event[fit], design[apply])
    return found


def _chance(
    design: np.ndarray, event: np.ndarray, fit: np.ndarray, apply: np.ndarray, lowest: float = CLOSEST
) -> np.ndarray:
    if len(fit) == 0:
        raise StudyError("an arm of one half holds no loan.")
    chance = sigmoid(predicted_log_odds(design[fit], event[fit], design[apply]))
    return np.clip(chance, lowest, 1 - lowest)


def r_learner(design: np.ndarray, treated: np.ndarray, event: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the benefit (risk without less risk with treatment) of each row of `wanted`.

    Least squares of what risk is left of the event on what propensity leaves of the treatment times a linear function
    of the columns, with a ridge penalty chosen by cross-validation (Nie & Wager 2021, Biometrika 108). Risk and
    propensity come from the other of two folds. The risk is among the columns: a treatment that changes risk by a
    ratio takes most from those who have most.
    """
    fold = np.arange(len(event)) % 2
    risk, propensity = np.empty(len(event)), np.empty(len(event))
    for one in (0, 1):
        fit, apply = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        risk[apply] = _chance(design, event, fit, apply, lowest=0.0)
        propensity[apply] = _chance(design, treated, fit, apply)
    # One model on both folds gives the risk of the loans that are asked about.
    both = np.concatenate([design, wanted])
    risk_wanted = _chance(both, event, np.arange(len(event)), np.arange(len(event), len(both)), lowest=0.0)
    columns = np.column_stack([risk, design])
    centre, scale = columns.mean(axis=0), columns.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rest = treated - propensity
    intercept, slopes = ridge((columns - centre) / scale, (event - risk) / rest, rest**2)
    return -np.round(intercept + (np.column_stack([risk_wanted, wanted]) - centre) / scale @ slopes, 10)


def ridge(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return intercept and slopes of least squares under that of `PENALTIES` which foretells rows left out best.

    `x` (rows x columns), `y` and `weights` (rows,). Each row's error without it follows from one decomposition (Allen
    1974, Technometrics 16), as in scikit-learn's RidgeCV, whose import alone takes a third of the stage that asks.
    """
    share, root = weights / weights.sum(), np.sqrt(weights)
    middle, level = share @ x, share @ y
    left, sizes, right = np.linalg.svd((x - middle) * root[:, None], full_matrices=False)
    rest = (y - level) * root
    along = left.T @ rest
    kept = sizes**2 / (sizes**2 + PENALTIES[:, None])
    errors = [((rest - left @ (one * along)) / (1 - share - left**2 @ one)) ** 2 for one in kept]
    penalty = PENALTIES[np.argmin([one.mean() for one in errors])]
    slopes = right.T @ (sizes / (sizes**2 + penalty) * along)
    return float(level - middle @ slopes), slopes


def avoided(treated: np.ndarray, event: np.ndarray, learned: Learned) -> np.ndarray:
    """Return each loan's score of the events that treatment avoids: its mean over any loans is their mean effect.

    Augmented inverse probability weighting (Robins, Rotnitzky & Zhao 1994): unbiased when either propensity or risks
    are right, and nothing hidden moves both treatment and event.
    """
    with_it = learned.treated + treated * (event - learned.treated) / learned.propensity
    without = untreated_scores(treated, event, learned)
    return without - with_it


def untreated_scores(treated: np.ndarray, event: np.ndarray, learned: Learned) -> np.ndarray:
    """Return each loan's score of the event without treatment, as `avoided` does of the difference."""
    return learned.untreated + (1 - treated) * (event - learned.untreated) / (1 - learned.propensity)


def top(score: np.ndarray, share: float, part: np.ndarray) -> np.ndarray:
    """Return which loans (boolean) are among the `share` with the highest `score` of their `part`; ties by place."""
    taken = np.zeros(len(score), dtype=bool)
    for one in np.unique(part):
        inside = np.flatnonzero(part == one)
        order = np.lexsort((inside, -score[inside]))
        taken[inside[order[: round(share * len(inside))]]] = True
    return taken


def tiers(risk: np.ndarray, middle: float, high: float) -> np.ndarray:
    """Return each loan's tier of `risk`: 0 below `middle`, 1 from there on, 2 from `high` on."""
    return np.searchsorted([middle, high], risk, side="right")


class Lot(NamedTuple):
    """What a lottery of places moves, loan by loan (loans,): the ratio of sums over any loans is their effect."""

    event: np.ndarray
    """Of the event, by which it is less likely among winners."""
    treated: np.ndarray
    """Of treatment."""


def by_lot(lot: np.ndarray, treated: np.ndarray, event: np.ndarray, learned: Learned) -> Lot:
    """Return what winning the lottery (0/1, drawn alike for all loans) takes from the event and adds to treatment.

    The ratio of the two sums is the instrument's estimate of the events that treatment avoids among those whom the lot
    moves (Imbens & Angrist 1994, Econometrica 62), whatever is hidden. What the models of the other half expect is
    taken out first: that is no matter for the estimate's aim and makes it less noisy.
    """
    won = lot - lot.mean()
    expected = learned.propensity * learned.treated + (1 - learned.propensity) * learned.untreated
    return Lot(-won * (event - expected), won * (treated - learned.propensity))
