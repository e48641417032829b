"""Regressions on many groups, such as banks, whose effects are taken out rather than estimated one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.inference import cluster_codes, codes, correction, effect, group_sums
from pipeline.stats.regression import Effect, LogitEffects
from pipeline.stats.sampling import prior_ratio

SMALLEST_GROUP = 20
"""Loans that a group needs in the logistic regression: with few, its estimated effect pulls the slopes away from zero
by a share of about one over their number (Hahn & Newey 2004)."""


class Absorbed(NamedTuple):
    """The effects that were asked for, and on what they rest."""

    effects: dict[str, Effect | LogitEffects]
    loans: int
    groups: int
    clusters: int


def _means(values: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each group (groups x columns)."""
    return group_sums(weights[:, None] * values, groups) / np.bincount(groups, weights)[:, None]


def _varying(within: np.ndarray, design: pd.DataFrame, factors: Sequence[str]) -> np.ndarray:
    """Return which columns (boolean) vary inside groups and are not determined by others, the factors first."""
    spread = np.linalg.norm(within, axis=0) / np.maximum(np.linalg.norm(design.to_numpy(), axis=0), 1e-300)
    order = [design.columns.get_loc(name) for name in factors]
    order += [place for place, name in enumerate(design) if name not in set(factors)]
    kept = np.zeros(design.shape[1], dtype=bool)
    candidates = np.array([place for place in order if spread[place] > 1e-8], dtype=int)
    kept[candidates[independent(within[:, candidates])]] = True
    missing = [name for name in factors if not kept[design.columns.get_loc(name)]]
    if missing:
        raise StudyError(f"{', '.join(missing)}: no variation is left inside the groups, so there is no effect to see.")
    return kept


def absorbed_linear(
    outcome: pd.Series,
    design: pd.DataFrame,
    factors: Sequence[str],
    absorb: pd.Series,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Absorbed:
    """Return the coefficients of `factors` in a linear regression with an effect for every group of `absorb`.

    `outcome` (loans,), `design` (loans x columns; what does not vary inside groups is left out), `weights` of a sample
    (loans,) or None. Least squares on deviations from the groups' means. Errors are cluster-robust; groups that lie
    inside clusters cost no degrees of freedom (Cameron & Miller 2015, section 3.2).
    """
    groups, cluster = codes(absorb), cluster_codes(clusters)
    w = np.ones(len(outcome)) if weights is None else weights.to_numpy(dtype=float)
    both = np.column_stack([design.to_numpy(dtype=float), outcome.to_numpy(dtype=float)])
    both = both - _means(both, groups, w)[groups]
    kept = _varying(both[:, :-1], design, factors)
    x, y = both[:, :-1][:, kept], both[:, -1]
    names = list(design.columns[kept])
    bread = np.linalg.inv((w[:, None] * x).T @ x)
    slopes = bread @ (x.T @ (w * y))
    scores = group_sums(x * (w * (y - x @ slopes))[:, None], cluster)
    nested = pd.DataFrame({"group": groups, "cluster": cluster}).drop_duplicates()["group"].is_unique
    count, number = int(cluster.max()) + 1, int(groups.max()) + 1
    parameters = x.shape[1] + (1 if nested else number)
    variance = correction(count, len(y), parameters) * bread @ (scores.T @ scores) @ bread
    found = {
        name: effect(slopes[place], np.sqrt(variance[place, place]), level)
        for name in factors
        for place in [names.index(name)]
    }
    return Absorbed(found, len(y), number, count)


def _levels(controls: pd.DataFrame) -> np.ndarray:
    """Return the levels of all categories (loans x levels, boolean), also those that a design matrix leaves out."""
    categories: dict[str, list[str]] = {}
    for name in controls:
        if name.endswith("]"):
            categories.setdefault(name.split("[")[0], []).append(name)
    levels = [controls[names].to_numpy() == 1 for names in categories.values()]
    first = [~levels_of_one.any(axis=1, keepdims=True) for levels_of_one in levels]
    return np.hstack([np.zeros((len(controls), 1), dtype=bool), *levels, *first])


def _informative(y: np.ndarray, levels: np.ndarray, absorb: np.ndarray, smallest: int) -> np.ndarray:
    """Return which loans (boolean) are in a group, and at levels of categories, that have both outcomes."""
    group = codes(absorb)
    stays = np.ones(len(y), dtype=bool)
    while True:
        size, bad = np.bincount(group, stays), np.bincount(group, stays * y)
        now = stays & ((size >= smallest) & (bad > 0) & (bad < size))[group]
        in_level, bad_in_level = now @ levels.astype(float), (now * y) @ levels.astype(float)
        one_sided = (in_level > 0) & ((bad_in_level == 0) | (bad_in_level == in_level))
        now &= ~levels[:, one_sided].any(axis=1)
        if (now == stays).all():
            return stays
        stays = now


def absorbed_logit(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    absorb: pd.Series,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
    smallest: int = SMALLEST_GROUP,
) -> Absorbed:
    """Return the effect of `factor` in a logistic regression with an effect for every group of `absorb`.

    Arguments as in `absorbed_linear`. Groups with fewer than `smallest` loans, or with one outcome only, leave, and so
    do the loans of a level of a control that has one outcome only: their effect would be without bound. The
    odds ratio is plain; with `weights` of a sample by outcome the marginal effect is the population's (see
    `regression.logit`). Newton's method on slopes and group effects together, of which the second block of the
    Hessian is diagonal; errors are cluster-robust with the correction G/(G-1).
    """
    stays = _informative(outcome.to_numpy(), _levels(design.drop(columns=factor)), absorb.to_numpy(), smallest)
    if not stays.any():
        raise StudyError(f"no group has {smallest} loans with and without default: there is no effect to see.")
    # The sampling ratio is that of all loans: those that leave do not change it.
    shift = 0.0 if weights is None else np.log(prior_ratio(outcome, weights))
    w = np.ones(int(stays.sum())) if weights is None else weights.to_numpy(dtype=float)[stays]
    y = outcome.to_numpy(dtype=float)[stays]
    groups, cluster = codes(absorb.to_numpy()[stays]), cluster_codes(clusters.to_numpy()[stays])
    everything = design.loc[stays]
    raw = everything.to_numpy(dtype=float)
    centred = raw - _means(raw, groups, np.ones(len(y)))[groups]
    kept = _varying(centred, everything, [factor])
    x, place = centred[:, kept], list(everything.columns[kept]).index(factor)

    slopes = np.zeros(x.shape[1])
    share = np.bincount(groups, y) / np.bincount(groups)
    group_effects = np.log(share / (1 - share))
    for _ in range(50):
        p = 1 / (1 + np.exp(-(x @ slopes + group_effects[groups])))
        density = p * (1 - p)
        inside = x - _means(x, groups, density)[groups]
        hessian = (density[:, None] * inside).T @ inside
        of_groups = group_sums(y - p, groups) / np.bincount(groups, density)
        step = np.linalg.solve(hessian, inside.T @ (y - p))
        slopes = slopes + step
        group_effects = group_effects + of_groups - _means(x, groups, density) @ step
        if max(np.abs(step).max(), np.abs(of_groups).max()) < 1e-9:
            break
    else:
        raise StudyError(f"the logistic regression on {factor} with groups does not converge: something separates it.")
    count = int(cluster.max()) + 1
    scores = group_sums(inside * (y - p)[:, None], cluster)
    bread = np.linalg.inv(hessian)
    variance = count / (count - 1) * bread @ (scores.T @ scores) @ bread
    on_log_scale = effect(slopes[place], np.sqrt(variance[place, place]), level)
    odds_ratio = Effect(
        float(np.exp(on_log_scale.estimate)),
        on_log_scale.std_error,
        float(np.exp(on_log_scale.ci_low)),
        float(np.exp(on_log_scale.ci_high)),
        on_log_scale.p_value,
    )
    marginal = _marginal(raw[:, kept], x, place, slopes, group_effects[groups] + shift, inside, w)
    spread = float(np.sqrt(marginal[1] @ variance @ marginal[1]))
    return Absorbed(
        {factor: LogitEffects(odds_ratio, effect(marginal[0], spread, level))}, len(y), int(groups.max()) + 1, count
    )


def _marginal(
    raw: np.ndarray,
    x: np.ndarray,
    place: int,
    slopes: np.ndarray,
    intercepts: np.ndarray,
    inside: np.ndarray,
    weights: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the average marginal effect and its gradient; a group's effect moves with the slopes."""
    share = weights / weights.sum()

    def at(value: float | None) -> tuple[np.ndarray, np.ndarray]:
        move = np.zeros(len(x)) if value is None else value - raw[:, place]
        p = 1 / (1 + np.exp(-(x @ slopes + intercepts + move * slopes[place])))
        toward = inside.copy()
        toward[:, place] += move
        return p, toward

    if set(np.unique(raw[:, place])) <= {0.0, 1.0}:
        (on, toward_on), (off, toward_off) = at(1.0), at(0.0)
        gradient = (share * on * (1 - on)) @ toward_on - (share * off * (1 - off)) @ toward_off
        return float(share @ (on - off)), gradient
    p, toward = at(None)
    density = p * (1 - p)
    gradient = slopes[place] * ((share * density * (1 - 2 * p)) @ toward)
    gradient[place] += share @ density
    return float(share @ density * slopes[place]), gradient


def spread_of_groups(
    outcome: pd.Series,
    design: pd.DataFrame,
    absorb: pd.Series,
    level: float,
    weights: pd.Series | None = None,
    smallest: int = SMALLEST_GROUP,
) -> Absorbed:
    """Return how much the effects of groups differ beyond chance, under the name ``spread``.

    A group's effect is the mean of what a linear regression on `design` inside groups leaves of the outcome. The
    variance of true effects is that of the estimated ones less their mean sampling variance (Hedges 1983), over
    groups with at least `smallest` loans, each counting once; the estimate is its square root, zero where
    chance explains all. The error is the jackknife's over groups, of the variance, carried to the root; the p-value
    is that of no variance.
    """
    groups = codes(absorb)
    w = np.ones(len(outcome)) if weights is None else weights.to_numpy(dtype=float)
    x, y = design.to_numpy(dtype=float), outcome.to_numpy(dtype=float)
    both = np.column_stack([x, y])
    inside = both - _means(both, groups, w)[groups]
    kept = _varying(inside[:, :-1], design, [])
    root = np.sqrt(w)
    slopes = np.linalg.lstsq(root[:, None] * inside[:, :-1][:, kept], root * inside[:, -1], rcond=None)[0]
    rest = y - x[:, kept] @ slopes
    effects = _means(rest[:, None], groups, w)[:, 0]
    size = np.bincount(groups)
    chance = np.bincount(groups, (w * (rest - effects[groups])) ** 2) / np.bincount(groups, w) ** 2
    large = size >= smallest
    number = int(large.sum())
    if number < 3:
        raise StudyError(f"the spread of groups needs at least three with {smallest} loans, and there are {number}.")
    # With n loans the squared residuals fall short by (n-1)/n.
    effects, chance = effects[large], (chance * size / np.maximum(size - 1, 1))[large]

    def variance(of: np.ndarray) -> float:
        return float(np.var(effects[of], ddof=1) - chance[of].mean())

    everyone = np.arange(number)
    left_out = np.array([variance(np.delete(everyone, one)) for one in everyone])
    found = variance(everyone)
    error = float(np.sqrt((number - 1) / number * ((left_out - left_out.mean()) ** 2).sum()))
    of_variance = effect(found, error, level)
    spread = Effect(
        float(np.sqrt(max(found, 0))),
        error / (2 * np.sqrt(found)) if found > 0 else float("nan"),
        float(np.sqrt(max(of_variance.ci_low, 0))),
        float(np.sqrt(max(of_variance.ci_high, 0))),
        of_variance.p_value,
    )
    return Absorbed({"spread": spread}, int(size[large].sum()), number, number)
