"""Effects on matched and weighted loans, with errors that fit the design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.free_controls import DISTANCE_DECIMALS
from pipeline.stats.inference import WAYS, Effect, as_ratio, cluster_codes, correction, effect, group_sums, on_matched
from pipeline.stats.matching import Matches
from pipeline.stats.neighbours import SAME
from pipeline.stats.regression import LogitEffects, logistic_maximum, logit_effects, place_of
from pipeline.stats.scores import maximum_likelihood
from pipeline.stats.weighting import Estimand, balancing_moments, entropy_balance, probability


def weighted_logit(
    outcome: pd.Series, design: pd.DataFrame, factor: str, clusters: pd.Series, level: float, weights: pd.Series
) -> LogitEffects:
    """Fit a logistic regression with design weights and return the effect of `factor`, as `regression.logit` does.

    The weights enter the likelihood and the mean of the marginal effect; errors are the clustered sandwich.
    """
    x, y, w = design.to_numpy(dtype=float), outcome.to_numpy(dtype=float), weights.to_numpy(dtype=float)
    slopes, covariance = logistic_maximum(y, x, w, cluster_codes(clusters), factor)
    return logit_effects(x, place_of(design, factor), slopes, covariance, level, w)


def abadie_imbens(
    outcome: np.ndarray,
    treated: np.ndarray,
    points: np.ndarray,
    stratum: np.ndarray,
    matches: Matches,
    level: float,
    *,
    neighbours: int = 1,
) -> Effect:
    """Return the effect on the treated from matches with replacement, with Abadie & Imbens' (2006) error.

    Args:
        outcome, treated, stratum: (loans,). points: what was matched on (loans,) or (loans x dimensions).
        matches: treated loans with their controls, all that tie among them (`neighbours.nearest`): a treated loan is
            compared with the mean of its own.
        neighbours: nearest loans of the same arm (and stratum, where there are any), with all that tie, from which the
            variance of a loan's outcome is read (their section 4.1): that of its own and theirs.

    The variance has two parts: the spread of the effects of the treated loans, and what controls that serve K times
    add, sum of (K^2 - K') s^2, s^2 the outcome's conditional variance (their theorem 7). A treated loan with M controls
    uses each of them 1/M times: K is the sum of these shares, K' that of their squares (Abadie, Drukker, Herr & Imbens
    2004, Stata Journal 4). Every loan stands for itself: clusters have no part in it. It takes points as given; with
    an estimated score it is on average somewhat too large (Abadie & Imbens 2016). The usual bootstrap fails here
    (Abadie & Imbens 2008).
    """
    arm, y = treated.astype(bool), outcome.astype(float)
    sizes = np.bincount(matches.treated, minlength=len(arm))
    matched = np.flatnonzero(sizes)
    sums = np.bincount(matches.treated, y[matches.treated] - y[matches.control], minlength=len(arm))
    gaps = sums[matched] / sizes[matched]
    estimate = float(gaps.mean())
    uses = np.bincount(matches.control, 1 / sizes[matches.treated], minlength=len(arm))
    squared = np.bincount(matches.control, 1 / sizes[matches.treated] ** 2, minlength=len(arm))
    served = np.flatnonzero(uses)
    points = points.reshape(len(arm), -1)
    spread = np.zeros(len(arm))
    for label in np.unique(stratum[served]):
        controls = np.flatnonzero(~arm & (stratum == label))
        asked = served[stratum[served] == label]
        # A loan alone in its stratum borrows its likes from the whole arm.
        controls = controls if len(controls) > neighbours else np.flatnonzero(~arm)
        if len(controls) <= neighbours:
            raise StudyError("the error of matching with replacement needs more controls than neighbours.")
        spread[asked] = _conditional_variance(y, points, controls, asked, neighbours)
    variance = ((gaps - estimate) ** 2).sum() + ((uses**2 - squared) * spread)[served].sum()
    return effect(estimate, float(np.sqrt(variance)) / len(matched), level)


def _conditional_variance(
    y: np.ndarray, points: np.ndarray, loans: np.ndarray, asked: np.ndarray, neighbours: int
) -> np.ndarray:
    """Return for each row of `asked` the variance of `y` over it and its nearest neighbours, with all that tie.

    The neighbours are among the rows `loans`, and `asked` are some of these. With one neighbour that is what Abadie &
    Imbens (2006) take, with more it is as unbiased and varies less; Matching (R, 4.10) has the same.
    """
    from scipy.spatial import cKDTree

    # Loans of one point share their neighbours, and there may be very many of them.
    _, first, place = np.unique(
        np.round(points[loans], DISTANCE_DECIMALS), axis=0, return_index=True, return_inverse=True
    )
    centred = y[loans] - y[loans].mean()
    count, total, square = (np.bincount(place.ravel(), values) for values in (np.ones(len(loans)), centred, centred**2))
    tree = cKDTree(points[loans[first]])
    distance, near = tree.query(points[asked], k=np.arange(1, min(neighbours + 1, len(first)) + 1))
    enough = (np.cumsum(count[near], axis=1) > neighbours).argmax(axis=1)
    balls = tree.query_ball_point(points[asked], distance[np.arange(len(asked)), enough] + SAME)
    begins = np.append(0, np.cumsum([len(ball) for ball in balls])[:-1])
    inside = np.concatenate(balls).astype(np.int64)
    number, total, square = (np.add.reduceat(values[inside], begins) for values in (count, total, square))
    return (square - total**2 / number) / (number - 1)


def widest(found: Mapping[str, Effect], level: float, *, ratio: bool = False) -> tuple[Effect, str]:
    """Return the effect on matched loans with the error of `inference.on_matched`, and by what it is clustered.

    `found` is the effect under each clustering of `inference.crossed`, by its name; one alone is returned as it is. A
    `ratio` has its error and its interval on the logarithmic scale. The name is one of `inference.WAYS`.
    """
    if len(found) == 1:
        ((way, alone),) = found.items()
        return alone, way
    error, place = on_matched(*(np.array(found[way].std_error) for way in ("pair", "cluster", "both")))
    way, estimate = WAYS[place], found["both"].estimate
    if not ratio:
        return effect(estimate, float(error), level), way
    return as_ratio(effect(np.log(estimate), float(error), level)), way


class Influence(NamedTuple):
    """An estimate and what each loan adds to it (the influence function over the number of loans)."""

    estimate: float
    parts: np.ndarray
    """(loans,); their squares add up to the estimate's variance."""
    parameters: int
    """Coefficients behind the weights, and the two means."""


def weighting_effect(
    outcome: np.ndarray,
    treated: np.ndarray,
    covariates: np.ndarray,
    level: float,
    *,
    method: Literal["inverse_probability", "overlap", "entropy_balancing"],
    estimand: Estimand = "ATT",
    trim: float | None = None,
    clusters: np.ndarray | None = None,
) -> Effect:
    """Return the difference of weighted means with an error that knows that the weights were estimated.

    Args:
        outcome, treated: (loans,). covariates: of the score, or the moments balanced (loans x covariates, no
            intercept).
        method, estimand, trim: as in `weighting`; a cap of the weights is taken as given.
        clusters: labels within which errors go together (loans,); None: every loan by itself.

    Score, weights and means are solved together as one set of estimating equations, and the error is their sandwich
    (Stefanski & Boos 2002; Lunceford & Davidian 2004, section 3): estimating the score usually makes it smaller. Of the
    correction (`inference.correction`) k counts the coefficients behind the weights and the two means.
    """
    arm, y = treated.astype(bool), outcome.astype(float)
    if method == "entropy_balancing":
        found = _balanced(y, arm, covariates)
    else:
        found = _scored(y, arm, covariates, method, estimand, trim)
    groups = np.arange(len(y)) if clusters is None else cluster_codes(clusters)
    sums = group_sums(found.parts, groups)
    variance = correction(len(sums), len(y), found.parameters) * float((sums**2).sum())
    return effect(found.estimate, float(np.sqrt(variance)), level)


def _scored(
    y: np.ndarray, arm: np.ndarray, covariates: np.ndarray, method: str, estimand: str, trim: float | None
) -> Influence:
    design = np.column_stack([np.ones(len(y)), (covariates - covariates.mean(axis=0)) / covariates.std(axis=0)])
    p = probability(design @ maximum_likelihood(design, arm.astype(float)))
    # Each weight, and its derivative by the linear predictor.
    if method == "overlap":
        weight, slope = np.where(arm, 1 - p, p), np.where(arm, -p * (1 - p), p * (1 - p))
    elif estimand == "ATT":
        weight, slope = np.where(arm, 1.0, p / (1 - p)), np.where(arm, 0.0, p / (1 - p))
    else:
        weight = np.where(arm, 1 / p, 1 / (1 - p))
        slope = np.where(arm, 1 - weight, weight - 1)
    if trim is not None:
        for side in (arm, ~arm):
            cap = np.quantile(weight[side], trim)
            slope[side & (weight > cap)] = 0.0
            weight[side] = np.minimum(weight[side], cap)
    of_score = design * (arm - p)[:, None] @ np.linalg.inv((design * (p * (1 - p))[:, None]).T @ design)
    means, parts = [], []
    for side in (arm, ~arm):
        total = weight[side].sum()
        mean = weight[side] @ y[side] / total
        direct = np.where(side, weight * (y - mean), 0.0) / total
        through = np.where(side, slope * (y - mean), 0.0) @ design / total
        means.append(mean)
        parts.append(direct + of_score @ through)
    return Influence(float(means[0] - means[1]), parts[0] - parts[1], design.shape[1] + 2)


def _balanced(y: np.ndarray, arm: np.ndarray, covariates: np.ndarray) -> Influence:
    weight = entropy_balance(covariates, arm)
    moments = balancing_moments(covariates, arm)
    inner, w, total = moments[~arm], weight[~arm], weight[~arm].sum()
    mean_treated, mean_control = y[arm].mean(), w @ y[~arm] / total
    # By how much the weights' slopes move with each loan: a control through its own equation, a treated loan through
    # the target of all of them.
    curvature = np.linalg.inv((inner * w[:, None]).T @ inner)
    by_slope = (w * (y[~arm] - mean_control)) @ inner / total
    parts = np.zeros(len(y))
    parts[arm] = (y[arm] - mean_treated) / arm.sum() - moments[arm] @ curvature @ by_slope * total / arm.sum()
    parts[~arm] = -(w * (y[~arm] - mean_control) / total - (inner * w[:, None]) @ curvature @ by_slope)
    return Influence(float(mean_treated - mean_control), parts, moments.shape[1] + 2)
