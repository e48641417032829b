"""Whether an effect differs between groups of loans, on the scale of differences and on that of ratios."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import grouped_logit, standing
from pipeline.stats.design import independent
from pipeline.stats.inference import Effect, cluster_codes, codes, effect, sandwich
from pipeline.stats.shape import standardised


class Groups(NamedTuple):
    """Effects of a factor in each group of loans."""

    effects: dict[str, Effect]
    """The effect in each group, in the groups' order."""
    last_against_first: Effect
    """The effect in the last group less that in the first."""
    statistic: float
    """Wald's statistic of the hypothesis that all groups have the same effect."""
    degrees: int
    p_value: float
    """From the chi-squared distribution."""


def in_thirds(values: pd.Series) -> pd.Series | None:
    """Return loans in thirds of a number, ``lowest``, ``middle`` and ``highest``; None where ties leave no three.

    Missing where the number is. A number of which one value is more than a third of all (a count that is mostly nought)
    has no thirds.
    """
    measured = values.dropna()
    edges = measured.quantile([1 / 3, 2 / 3]).to_numpy() if len(measured) else np.zeros(2)
    place = pd.Series(np.searchsorted(edges, values, side="left"), values.index)
    sizes = np.bincount(place[measured.index], minlength=3)
    if edges[0] == edges[1] or sizes.min() < len(measured) / 6:
        return None
    return pd.Series(
        pd.Categorical.from_codes(np.where(values.notna(), place, -1), ["lowest", "middle", "highest"]), values.index
    )


def cut(values: pd.Series, edges: Sequence[float]) -> pd.Series:
    """Return loans in groups of a number, each edge the smallest value of its group; missing where the number is."""
    names = [f"<{edges[0]:g}", *(f"{low:g}-<{high:g}" for low, high in pairwise(edges))]
    names.append(f">={edges[-1]:g}")
    place = np.searchsorted(np.asarray(edges, dtype=float), values, side="right")
    return pd.Series(pd.Categorical.from_codes(np.where(values.notna(), place, -1), names), values.index)


class Controlled:
    """A regression's outcome and controls, to which the effects by one group after another are added."""

    def __init__(
        self,
        outcome: pd.Series,
        design: pd.DataFrame,
        factor: str,
        clusters: pd.Series,
        level: float,
        weights: pd.Series | None = None,
        absorb: pd.Series | None = None,
    ) -> None:
        """Take a 0/1 `outcome` (loans,) and a `design` with `factor` and controls (loans x columns, full rank).

        `absorb` names groups, such as periods, whose effects stand in the design as columns ``absorb.name[level]``;
        the logistic regression takes them out instead. `weights` are those of sampling.
        """
        if factor not in design:
            raise StudyError(
                f"{factor} does not vary, or the controls determine it: nothing can be said of its effect."
            )
        self._y, self._factor = outcome.to_numpy(dtype=float), design[factor].to_numpy(dtype=float)
        self._name, self._level = factor, level
        self._clusters = cluster_codes(clusters)
        root = np.ones(len(design)) if weights is None else np.sqrt(weights.to_numpy(dtype=float))
        self._root = root
        controls = design.drop(columns=factor)
        self._parameters = controls.shape[1]
        scaled = standardised(controls)
        z = np.column_stack([np.ones(len(scaled)), scaled])
        if weights is not None:
            z *= root[:, None]
        self._controls, self._inverse = z, np.linalg.inv(z.T @ z)
        self._periods = np.zeros(len(design), dtype=int) if absorb is None else codes(absorb)
        effects = [] if absorb is None else [one for one in controls if one.startswith(f"{absorb.name}[")]
        self._design, self._others = design, [one for one in controls if one not in {"intercept", *effects}]

    @cached_property
    def _slim(self) -> np.ndarray:
        """Controls of the logistic regression (loans x columns), which most of these regressions never ask for."""
        return standardised(self._design[self._others])

    def _crossed(self, group: pd.Series) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Return the groups' names, their indicators and the factor inside each, what controls leave, and what to keep.

        Of the indicators those leave that the controls determine.
        """
        names = [name for name in group.cat.categories if (group == name).any()]
        if len(names) < 2:
            raise StudyError("effects by group need at least two groups of loans.")
        member = np.column_stack([(group == name).to_numpy(dtype=float) for name in names])
        plain = np.column_stack([member, member * self._factor[:, None]])
        left, kept = self._left(plain)
        self._varied(kept, names)
        return [str(name) for name in names], plain, left, kept

    def _varied(self, kept: np.ndarray, names: Sequence[str]) -> None:
        if not kept[-len(names) :].all():
            raise StudyError(f"{self._name} does not vary within every group, the controls held equal.")

    def _left(self, plain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what controls leave of columns and of the outcome, and which columns they do not determine."""
        left = np.column_stack([plain, self._y]) * self._root[:, None]
        length = np.linalg.norm(left, axis=0)
        # A second pass takes out what rounding left.
        for _ in range(2):
            left = left - self._controls @ (self._inverse @ (self._controls.T @ left))
        kept = (np.linalg.norm(left, axis=0) > 1e-7 * length)[:-1]
        kept[kept] = independent(left[:, :-1][:, kept])
        return left, kept

    def _slopes(self, left: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the least squares coefficients of the columns that are kept, and their clustered variance."""
        if len(left) <= self._parameters + kept.sum():
            raise StudyError("there are no more loans than controls.")
        x, y = left[:, :-1][:, kept], left[:, -1]
        bread = np.linalg.inv(x.T @ x)
        slopes = bread @ (x.T @ y)
        return slopes, sandwich(bread, x, y - x @ slopes, self._clusters, self._parameters + x.shape[1])

    def slope_of_effect(self, moderator: np.ndarray) -> Effect:
        """Return by how much the effect differs for one more of a number (loans,), in fractions of the outcome.

        Least squares with clustered errors, as in `differences`: the coefficient of factor times number, beside both.
        Raises StudyError where the controls leave no variation of the product.
        """
        # From its mean, so that rounding does not take the product for the factor; the coefficient stays.
        centred = moderator - np.average(moderator, weights=self._root**2)
        left, kept = self._left(np.column_stack([centred, self._factor, self._factor * centred]))
        if not kept[1:].all():
            raise StudyError(f"the controls and the number leave no variation of {self._name} by it.")
        slopes, variance = self._slopes(left, kept)
        return effect(slopes[-1], float(np.sqrt(variance[-1, -1])), self._level)

    def differences(self, group: pd.Series) -> Groups:
        """Estimate the effect in each group (a category, loans) by least squares, in fractions of the outcome.

        Errors are cluster-robust, as in `regression.linear_probability`.
        Controls are taken out first (Frisch, Waugh and Lovell), once for all groupings. Raises StudyError when the
        factor does not vary within a group.
        """
        names, _, left, kept = self._crossed(group)
        slopes, variance = self._slopes(left, kept)
        return self._groups(names, slopes, variance)

    def log_odds(self, group: pd.Series) -> Groups:
        """Estimate the effect in each group by a logistic regression: logarithms of odds ratios.

        Errors are cluster-robust, as in `regression.logit`. Odds ratios of a sample by outcome are those of the
        population without weights (Prentice & Pyke 1979). Raises StudyError when there is no maximum.
        """
        names, plain, _, varies = self._crossed(group)
        size, bad = np.bincount(self._periods), np.bincount(self._periods, self._y)
        # A period of one outcome has no effect of its own, and says nothing of the others.
        stays = ((bad > 0) & (bad < size))[self._periods]
        x = np.column_stack([self._slim, plain[:, varies]])[stays]
        clusters, periods = codes(self._clusters[stays]), codes(self._periods[stays])
        # With these periods a control, or an effect, may have gone.
        kept = standing(x, [periods])
        self._varied(kept, names)
        fit = grouped_logit(self._y[stays], x[:, kept], [periods], clusters, self._name)
        return self._groups(names, fit.slopes, fit.variance)

    def _groups(self, names: list[str], slopes: np.ndarray, variance: np.ndarray) -> Groups:
        """Return the effects from the coefficients, of which the groups' are the last."""
        from scipy.special import chdtrc

        slopes, variance = slopes[-len(names) :], variance[-len(names) :, -len(names) :]
        each = {
            name: effect(slopes[place], float(np.sqrt(variance[place, place])), self._level)
            for place, name in enumerate(names)
        }
        contrasts = np.eye(len(names))[1:] - np.eye(len(names))[0]
        moved, spread = contrasts @ slopes, contrasts @ variance @ contrasts.T
        statistic = float(moved @ np.linalg.solve(spread, moved))
        degrees = len(names) - 1
        last = effect(moved[-1], float(np.sqrt(spread[-1, -1])), self._level)
        return Groups(each, last, statistic, degrees, float(chdtrc(degrees, statistic)))
