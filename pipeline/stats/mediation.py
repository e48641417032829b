"""Effects through a mediator by linear regressions, and how hidden confounding would change them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import within
from pipeline.stats.design import independent
from pipeline.stats.inference import Effect, codes, effect


class Mediated(NamedTuple):
    """What goes through the mediator, and what does not."""

    total: Effect
    """Of the treatment on the outcome."""
    on_mediator: Effect
    """Of the treatment on the mediator."""
    of_mediator: Effect
    """Of one unit of the mediator on the outcome, with what lies between held equal."""
    indirect: Effect
    """Interventional indirect effect."""
    plain_indirect: Effect
    """Product of slopes when nothing that lies between is held equal."""
    curve: dict[float, Effect]
    """Interventional indirect effect by the correlation of hidden causes of mediator and outcome."""
    explained_away: float
    """Correlation at which the indirect effect is nought."""


def interventional(
    outcome: np.ndarray,
    treatment: np.ndarray,
    mediator: np.ndarray,
    before: pd.DataFrame,
    between: pd.DataFrame,
    lender: np.ndarray,
    level: float,
    correlations: tuple[float, ...] = (),
) -> Mediated:
    """Return the interventional indirect effect of a treatment through one mediator, on all loans given.

    The effect of giving everyone a draw of the mediator as it is with, rather than without, the treatment among loans
    of the same covariates (VanderWeele, Vansteelandt & Robins 2014, Epidemiology 25). In linear models without
    interactions it is a product of slopes: of `treatment` in a regression of `mediator` (all (loans,)) on treatment and
    `before`, the covariates fixed before it, and of `mediator` in one of `outcome` on mediator, treatment, `before` and
    `between`: what the treatment moves and what moves both mediator and outcome, such as arrears when clients answer.
    Assumes that no hidden cause is shared by mediator and outcome. How far that may fail: with a correlation rho of the
    two regressions' errors, the slope of the mediator is s1/s2 (r - rho sqrt((1 - r^2)/(1 - rho^2))), r the correlation
    and s the standard deviations of the residuals without the mediator (Imai, Keele & Yamamoto 2010, Statistical
    Science 25, theorem 4). An effect of each `lender` is taken out; errors are the jackknife's over lenders. Raises
    StudyError where treatment or mediator do not vary.
    """
    number = codes(lender)
    size = np.bincount(number)
    count = len(size)
    if count < 3:
        raise StudyError("an indirect effect needs at least three clusters to leave one out.")
    blocks = {
        "before": before.to_numpy(dtype=float),
        "treatment": np.asarray(treatment, dtype=float)[:, None],
        "between": between.to_numpy(dtype=float),
        "mediator": np.asarray(mediator, dtype=float)[:, None],
        "outcome": np.asarray(outcome, dtype=float)[:, None],
    }
    columns = np.hstack(list(blocks.values()))
    columns = within(columns, [number], np.ones(len(number)))
    length = np.linalg.norm(columns, axis=0)
    owner = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks.values()])
    place = {name: np.flatnonzero(owner == at) for at, name in enumerate(blocks)}
    for name in ("treatment", "mediator", "outcome"):
        if length[place[name]] <= 1e-9:
            raise StudyError(f"the {name} does not vary inside lenders.")
    kept = np.zeros(len(length), dtype=bool)
    kept[np.flatnonzero(length > 1e-9)[independent(columns[:, length > 1e-9])]] = True
    columns, owner = columns[:, kept], owner[kept]
    place = {name: np.flatnonzero(owner == at) for at, name in enumerate(blocks)}
    if not len(place["treatment"]) or not len(place["mediator"]):
        raise StudyError("covariates determine the treatment or the mediator: nothing can be said of its way.")
    order = np.argsort(number, kind="stable")
    starts = np.concatenate([[0], np.cumsum(size)])
    products = np.array([columns[rows].T @ columns[rows] for rows in np.split(order, starts[1:-1])])
    loans = size.sum()

    everything = products.sum(axis=0)
    whole = _estimates(everything, loans, place, correlations)
    left_out = np.array(
        [
            _estimates(everything - one, loans - own, place, correlations)
            for one, own in zip(products, size, strict=True)
        ]
    )
    errors = np.sqrt((count - 1) / count * ((left_out - whole) ** 2).sum(axis=0))
    found = [effect(value, error, level, count - 1) for value, error in zip(whole, errors, strict=True)]
    total, on_mediator, of_mediator, indirect, plain_indirect = found[:5]
    curve = dict(zip(correlations, found[5:-1], strict=True))
    return Mediated(total, on_mediator, of_mediator, indirect, plain_indirect, curve, float(whole[-1]))


def _estimates(
    gram: np.ndarray, rows: int, place: dict[str, np.ndarray], correlations: tuple[float, ...]
) -> np.ndarray:
    """Return all estimates from the columns' cross products: total, both ways, products, curve, and its end."""

    def regress(of: int, on: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(gram[np.ix_(on, on)], gram[on, of], rcond=None)[0]

    def left(on: np.ndarray) -> tuple[float, float, float]:
        """Return standard deviations of what is left of outcome and mediator, and their correlation."""
        both = np.array([outcome_at, mediator_at])
        slopes = np.column_stack([regress(at, on) for at in both])
        rest = gram[np.ix_(both, both)] - gram[np.ix_(both, on)] @ slopes
        spread = np.sqrt(np.diag(rest) / rows)
        return spread[0], spread[1], rest[0, 1] / rows / spread.prod()

    mediator_at, outcome_at = place["mediator"][0], place["outcome"][0]
    start = np.concatenate([place["before"], place["treatment"]])
    with_between = np.concatenate([start, place["between"]])
    at = len(start) - 1
    total, on_mediator = regress(outcome_at, start)[at], regress(mediator_at, start)[at]
    plain = left(start)
    y, m, r = left(with_between)
    of_mediator = y / m * r
    curve = [on_mediator * y / m * (r - rho * np.sqrt((1 - r**2) / (1 - rho**2))) for rho in correlations]
    plain_indirect = on_mediator * plain[0] / plain[1] * plain[2]
    return np.array([total, on_mediator, of_mediator, on_mediator * of_mediator, plain_indirect, *curve, r])


def product(first: Effect, second: Effect, level: float) -> Effect:
    """Return the product of two effects from independent samples, by the delta method (Sobel 1982)."""
    error = np.hypot(first.estimate * second.std_error, second.estimate * first.std_error)
    return effect(first.estimate * second.estimate, error, level)
