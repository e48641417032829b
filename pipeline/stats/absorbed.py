"""Regressions on many groups, such as banks, whose effects are taken out rather than estimated one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.inference import Effect, adding, as_ratio, cluster_codes, codes, correction, effect, sandwich
from pipeline.stats.products import BLOCK, weighted_products
from pipeline.stats.regression import LogitEffects
from pipeline.stats.sampling import prior_ratio

SMALLEST_GROUP = 20
"""Loans that a group needs in the logistic regression: with few, its estimated effect pulls the slopes away from zero
by a share of about one over their number (Hahn & Newey 2004)."""

NOTHING = 1e-8
"""Of a column's length, what is left when nothing but rounding is."""


class Absorbed(NamedTuple):
    """The effects that were asked for, and on what they rest."""

    effects: dict[str, Effect | LogitEffects]
    loans: int
    groups: int
    clusters: int
    stays: np.ndarray | None = None
    """Which loans (boolean) the regression takes; None where it takes all."""


def _means(values: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each group (groups x columns)."""
    return adding(groups, weights) @ values / np.bincount(groups, weights)[:, None]


def _groupings(absorb: pd.Series | pd.DataFrame) -> list[np.ndarray]:
    """Return the group numbers of one or two kinds of groups, the kind with more groups first."""
    columns = [absorb] if isinstance(absorb, pd.Series) else [absorb[name] for name in absorb]
    if len(columns) > 2:
        raise ValueError("at most two kinds of groups are taken out")
    return sorted((codes(column) for column in columns), key=lambda numbers: -numbers.max(initial=0))


def within(values: np.ndarray, groupings: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return what effects of one or two kinds of groups leave of `values` (rows x columns), by weighted least squares.

    Of two kinds, the normal equations of the second given the first have as many rows as it has groups, and need
    nothing but sums by group and the weights of the cells: no indicators, no iteration (Abowd, Creecy & Kramarz 2002).
    Memory is that of `values`.
    """
    first = groupings[0]
    means = _means(values, first, weights)
    if len(groupings) == 1:
        return _less(values, [(means, first)])
    second = groupings[1]
    size, other = len(means), int(second.max()) + 1
    cells = np.bincount(first * other + second, weights, size * other).reshape(size, other)
    shares = cells / cells.sum(axis=1, keepdims=True)
    of_second = adding(second, weights) @ values
    normal = np.diag(cells.sum(axis=0)) - cells.T @ shares
    effects = np.linalg.pinv(normal, rcond=1e-10, hermitian=True) @ (of_second - cells.T @ means)
    return _less(values, [(means - shares @ effects, first), (effects, second)])


def _less(values: np.ndarray, effects: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return `values` (rows x columns) less the effects (groups x columns) of each row's groups (rows,)."""
    left = np.empty(values.shape)
    # Block after block: between the subtractions rows stay in the processor's cache.
    for start in range(0, len(values), BLOCK):
        rows = slice(start, start + BLOCK)
        block = values[rows]
        for of_group, groups in effects:
            block = block - of_group[groups[rows]]
        left[rows] = block
    return left


def standing(x: np.ndarray, groupings: Sequence[np.ndarray]) -> np.ndarray:
    """Return which columns (boolean) of `x` (rows x columns) groups and the columns to their left do not determine."""
    return _standing(within(x, groupings, np.ones(len(x))), x)


def _standing(left: np.ndarray, x: np.ndarray) -> np.ndarray:
    kept = np.linalg.norm(left, axis=0) > NOTHING * np.linalg.norm(x, axis=0)
    kept[kept] = independent(left[:, kept])
    return kept


def _varying(within: np.ndarray, design: pd.DataFrame, factors: Sequence[str]) -> np.ndarray:
    """Return which columns (boolean) vary inside groups and are not determined by others, the factors first."""
    order = [design.columns.get_loc(name) for name in factors]
    order += [place for place, name in enumerate(design) if name not in set(factors)]
    kept = np.zeros(design.shape[1], dtype=bool)
    kept[order] = _standing(within[:, order], design.to_numpy(dtype=float)[:, order])
    missing = [name for name in factors if not kept[design.columns.get_loc(name)]]
    if missing:
        raise StudyError(f"{', '.join(missing)}: no variation is left inside the groups, so there is no effect to see.")
    return kept


def varying(
    design: pd.DataFrame, factors: Sequence[str], absorb: pd.Series | pd.DataFrame, weights: pd.Series | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return group numbers by kind, and which columns vary inside groups; arguments as in `absorbed_linear`."""
    groupings = _groupings(absorb)
    w = np.ones(len(design)) if weights is None else weights.to_numpy(dtype=float)
    return groupings, _varying(within(design.to_numpy(dtype=float), groupings, w), design, factors)


def absorbed_linear(
    outcome: pd.Series,
    design: pd.DataFrame,
    factors: Sequence[str],
    absorb: pd.Series | pd.DataFrame,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Absorbed:
    """Return the coefficients of `factors` in a linear regression with an effect for every group of `absorb`.

    `outcome` (loans,), `design` (loans x columns; what does not vary inside groups is left out), `absorb` one kind of
    groups or a frame of two, such as banks and quarters, `weights` of a sample (loans,) or None. Least squares on what
    the groups leave (see `within`). Errors are cluster-robust, with the correction of `inference.correction`, as a
    regression with an indicator for each group has them. The engine of inner loops and of what a stage does for
    hundreds of sets of groups: a sixth of linearmodels' time (`libraries.absorbed_linear`, the same numbers).
    """
    groupings, cluster = _groupings(absorb), cluster_codes(clusters)
    w = np.ones(len(outcome)) if weights is None else weights.to_numpy(dtype=float)
    both = np.column_stack([design.to_numpy(dtype=float), outcome.to_numpy(dtype=float)])
    both = within(both, groupings, w)
    kept = _varying(both[:, :-1], design, factors)
    x, y = both[:, :-1][:, kept], both[:, -1]
    names = list(design.columns[kept])
    bread = np.linalg.inv(x.T @ x if weights is None else weighted_products(x, w))
    slopes = bread @ (x.T @ (w * y))
    variance = sandwich(bread, x, w * (y - x @ slopes), cluster, x.shape[1] + number_of_effects(groupings))
    found: dict[str, Effect | LogitEffects] = {
        name: effect(slopes[place], np.sqrt(variance[place, place]), level)
        for name in factors
        for place in [names.index(name)]
    }
    return Absorbed(found, len(y), int(groupings[0].max()) + 1, int(cluster.max()) + 1)


def number_of_effects(groupings: Sequence[np.ndarray]) -> int:
    """Return how many effects of one or two kinds of groups are estimated: the rank of their indicators.

    Of two kinds one effect is redundant in each set of groups that share rows, directly or through others (Abowd,
    Creecy & Kramarz 2002).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sizes = [int(groups.max()) + 1 for groups in groupings]
    if len(groupings) == 1:
        return sizes[0]
    first, second = groupings
    shared = coo_array((np.ones(len(first), dtype=bool), (first, sizes[0] + second)), shape=(sum(sizes), sum(sizes)))
    return sum(sizes) - connected_components(shared, directed=False, return_labels=False)


def _levels(controls: pd.DataFrame) -> np.ndarray:
    """Return the levels of all categories (loans x levels, boolean), also those that a design matrix leaves out."""
    categories: dict[str, list[str]] = {}
    for name in controls:
        if name.endswith("]"):
            categories.setdefault(name.split("[")[0], []).append(name)
    levels = [controls[names].to_numpy() == 1 for names in categories.values()]
    first = [~levels_of_one.any(axis=1, keepdims=True) for levels_of_one in levels]
    return np.hstack([np.zeros((len(controls), 1), dtype=bool), *levels, *first])


def _informative(y: np.ndarray, levels: np.ndarray, groupings: Sequence[np.ndarray], smallest: int) -> np.ndarray:
    """Return which loans (boolean) are in groups, and at levels of categories, that have both outcomes."""
    stays = np.ones(len(y), dtype=bool)
    levels = levels.astype(np.float32)
    while True:
        now = stays.copy()
        for fewest, group in zip((smallest, 1), groupings, strict=False):
            size, bad = np.bincount(group, now), np.bincount(group, now * y)
            now &= ((size >= fewest) & (bad > 0) & (bad < size))[group]
        in_level, bad_in_level = now @ levels, (now * y) @ levels
        one_sided = (in_level > 0) & ((bad_in_level == 0) | (bad_in_level == in_level))
        if one_sided.any():
            now &= ~(levels[:, one_sided] > 0).any(axis=1)
        if (now == stays).all():
            return stays
        stays = now


class GroupedLogit(NamedTuple):
    """A logistic regression with group effects at its maximum."""

    slopes: np.ndarray
    variance: np.ndarray
    """Cluster-robust, with the correction of `inference.correction`."""
    information: np.ndarray
    """Minus the Hessian in the slopes, the group effects concentrated out."""
    inside: np.ndarray
    """What the group effects leave of the regressors (rows x slopes), at the weights of the maximum."""
    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    """Fitted log odds (rows,)."""
    log_likelihood: float


def grouped_logit(
    y: np.ndarray,
    x: np.ndarray,
    groupings: Sequence[np.ndarray],
    clusters: np.ndarray,
    name: str = "",
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> GroupedLogit:
    """Fit a logistic regression of `y` (rows,) on `x` (rows x slopes) and effects of one or two kinds of groups.

    Each of Newton's steps is a weighted regression on what the groups leave of `x` and of the working residual, so
    that group effects are never estimated one by one (Stammann, Heiss & McFadden 2016). `groupings` and `clusters`
    are numbers from 0; a single group is an intercept. `start` are slopes and log odds (rows,), such as those of a
    regression on fewer columns, from which fewer steps lead to the same maximum. Raises StudyError when there is no
    maximum; `name` is for that.
    """
    if start is None:
        share = np.bincount(groupings[0], y) / np.bincount(groupings[0])
        start = np.zeros(x.shape[1]), np.log(share / (1 - share))[groupings[0]]
    slopes, index = start
    both = np.column_stack([x, y]).astype(float)
    for _ in range(50):
        p = 1 / (1 + np.exp(-index))
        density = np.maximum(p * (1 - p), 1e-15)
        both[:, -1] = (y - p) / density
        left = within(both, groupings, density)
        inside = left[:, :-1]
        information = weighted_products(inside, density)
        try:
            step = np.linalg.solve(information, inside.T @ (density * left[:, -1]))
        except np.linalg.LinAlgError as error:
            raise StudyError(f"the logistic regression{_on(name)} has no maximum: something separates it.") from error
        move = both[:, -1] - left[:, -1] + inside @ step
        slopes, index = slopes + step, index + move
        if not np.isfinite(step).all() or np.abs(index).max() > 500:
            raise StudyError(f"the logistic regression{_on(name)} has no maximum: something separates it.")
        if np.abs(move).max() < 1e-9:
            break
    else:
        raise StudyError(f"the logistic regression{_on(name)} does not converge: something separates it.")
    _told_apart(information, density @ both[:, :-1] ** 2, name)
    parameters = x.shape[1] + number_of_effects(groupings)
    variance = sandwich(np.linalg.inv(information), inside, y - p, clusters, parameters)
    likelihood = float(y @ index - np.logaddexp(0, index).sum())
    return GroupedLogit(slopes, variance, information, inside, index, likelihood)


def _told_apart(information: np.ndarray, before: np.ndarray, name: str) -> None:
    """Refuse slopes of which the groups and other columns leave rounding noise: errors of the others would be of it.

    `before` (slopes,) is the diagonal of `information` before the groups were taken out.
    """
    own = np.diag(information)
    root = np.sqrt(own)
    if (own <= NOTHING**2 * before).any() or np.linalg.eigvalsh(information / np.outer(root, root))[0] < 1e-12:
        raise StudyError(f"the logistic regression{_on(name)} holds a column that groups and other columns determine.")


def _on(name: str) -> str:
    return f" on {name}" if name else ""


def absorbed_logit(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    absorb: pd.Series | pd.DataFrame,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
    smallest: int = SMALLEST_GROUP,
) -> Absorbed:
    """Return the effect of `factor` in a logistic regression with an effect for every group of `absorb`.

    Arguments as in `absorbed_linear`. Groups (of two kinds, those of the kind with more groups) with fewer than
    `smallest` loans, groups with one outcome only, and loans of a level of a control that has one outcome only leave:
    their effect would be without bound. The odds ratio is plain; with `weights` of a sample by outcome the marginal
    effect is the population's (see `regression.logit`). Errors are as in `absorbed_linear`.
    """
    groupings = _groupings(absorb)
    stays = _informative(outcome.to_numpy(), _levels(design.drop(columns=factor)), groupings, smallest)
    if not stays.any():
        raise StudyError(f"no group has {smallest} loans with and without default: there is no effect to see.")
    # The sampling ratio is that of all loans: those that leave do not change it.
    shift = 0.0 if weights is None else np.log(prior_ratio(outcome, weights))
    w = np.ones(int(stays.sum())) if weights is None else weights.to_numpy(dtype=float)[stays]
    y = outcome.to_numpy(dtype=float)[stays]
    groupings = [codes(groups[stays]) for groups in groupings]
    cluster = cluster_codes(clusters.to_numpy()[stays])
    everything = design.loc[stays]
    raw = everything.to_numpy(dtype=float)
    kept = _varying(within(raw, groupings, np.ones(len(y))), everything, [factor])
    raw, place = raw[:, kept], list(everything.columns[kept]).index(factor)

    fit = grouped_logit(y, raw, groupings, cluster, factor)
    odds_ratio = as_ratio(effect(fit.slopes[place], np.sqrt(fit.variance[place, place]), level))
    count, number = int(cluster.max()) + 1, int(groupings[0].max()) + 1
    marginal, by_index, by_slope = _marginal(raw[:, place], fit.index, fit.slopes[place], shift, w)
    p = 1 / (1 + np.exp(-fit.index))
    density = p * (1 - p)
    # A loan's score moves the effect through the slopes and through the effects of groups, which may cross clusters.
    of_groups = by_index / density - within((by_index / density)[:, None], groupings, density)[:, 0]
    of_slopes = fit.inside.T @ by_index
    of_slopes[place] += by_slope
    sums = np.bincount(cluster, (of_groups + fit.inside @ np.linalg.solve(fit.information, of_slopes)) * (y - p))
    scale = correction(count, len(y), raw.shape[1] + number_of_effects(groupings))
    effects = LogitEffects(odds_ratio, effect(marginal, float(np.sqrt(scale * (sums @ sums))), level))
    return Absorbed({factor: effects}, len(y), number, count, stays)


def _marginal(
    value: np.ndarray, index: np.ndarray, slope: float, shift: float, weights: np.ndarray
) -> tuple[float, np.ndarray, float]:
    """Return the average marginal effect and its derivatives by the log odds of each row (rows,) and by the slope."""
    share = weights / weights.sum()

    def at(moved: np.ndarray | float) -> np.ndarray:
        return 1 / (1 + np.exp(-(index + shift + moved * slope)))

    if set(np.unique(value)) <= {0.0, 1.0}:
        on, off = at(1 - value), at(-value)
        of_on, of_off = share * on * (1 - on), share * off * (1 - off)
        return float(share @ (on - off)), of_on - of_off, float(of_on @ (1 - value) + of_off @ value)
    p = at(0.0)
    density = share * p * (1 - p)
    return float(density.sum() * slope), slope * density * (1 - 2 * p), float(density.sum())


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
