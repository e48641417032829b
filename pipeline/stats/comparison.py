"""Carry out a matching design: from scores and covariates to weights that make the two arms comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import ties
from pipeline.stats.coarsening import AUTOMATIC, strata, stratum_weights
from pipeline.stats.free_controls import DISTANCE_DECIMALS
from pipeline.stats.matching import Matches, Order
from pipeline.stats.neighbours import Caliper, mahalanobis, nearest, on_support, tied
from pipeline.stats.optimal import optimal
from pipeline.stats.subclassification import subclasses
from pipeline.stats.weighting import Estimand, entropy_balance, inverse_probability, overlap, probability

Method = Literal[
    "nearest",
    "optimal",
    "exact",
    "coarsened_exact",
    "subclassification",
    "inverse_probability",
    "overlap",
    "entropy_balancing",
]

PAIRS = ("nearest", "optimal")
"""Methods that form pairs, or sets of a treated loan and its controls."""

STRATA = ("exact", "coarsened_exact", "subclassification")
"""Methods that weight strata."""

WEIGHTS = ("inverse_probability", "overlap", "entropy_balancing")
"""Methods that weight loans; exact keys are among the covariates that they balance."""

Cuts = Mapping[str, Sequence[float] | int | str]


class Comparison(NamedTuple):
    """What a design makes of the loans."""

    weight: np.ndarray
    """How much each loan counts (loans,); 0: it was left out."""
    group: np.ndarray
    """Within which errors are allowed to go together (loans,): the pair, or the loan itself; -1: left out."""
    matches: Matches | None
    """The pairs, for methods that form any."""


def compare(
    covariates: pd.DataFrame,
    treated: np.ndarray,
    identifier: np.ndarray,
    *,
    method: Method = "nearest",
    exact: pd.DataFrame | None = None,
    logit: np.ndarray | None = None,
    distance: Literal["logit", "probability", "mahalanobis"] = "logit",
    ratio: int = 1,
    replacement: bool = False,
    caliper: float | None = None,
    calipers: Mapping[str, float] | None = None,
    order: Order = "closest",
    discard: Literal["none", "treated", "controls", "both"] = "none",
    cuts: Cuts | None = None,
    number: int = 6,
    estimand: Estimand = "ATT",
    stabilised: bool = False,
    trim: float | None = None,
    seed: int = 0,
) -> Comparison:
    """Carry out a design on loans in any order.

    Args:
        covariates: numeric (loans x covariates): of the Mahalanobis distance, of calipers, of coarsening, and for
            entropy balancing the moments.
        treated: 0/1 (loans,).
        identifier: unique text or numbers (loans,). Ties are broken by an order drawn from them and `seed`
            (`ties.order`): neither the order of the rows nor the numbering of the loans decides.
        method: one of `Method`.
        exact: columns on which matched loans agree; not used by weighting methods.
        logit: propensity score on the logit scale, needed by all methods but exact and coarsened_exact,
            entropy_balancing and Mahalanobis distance without a caliper.
        distance: what pairs are near in. ``mahalanobis`` with a caliper: pairs keep the caliper on the logit.
        ratio, replacement, order: as in `neighbours.nearest`.
        caliper: in standard deviations of the score on the scale of `distance`.
        calipers: further ones by covariate, in its own standard deviations.
        discard: loans outside the other arm's range of the score that leave first (`neighbours.on_support`).
        cuts: how coarsened_exact coarsens covariates (`coarsening.coarsen`); others are cut automatically.
        number: of subclasses.
        estimand, stabilised, trim: as in `weighting.inverse_probability` and `coarsening.stratum_weights`.
        seed: of the order that breaks ties.

    Raises StudyError when an arm is empty, or the design leaves no loan in one.
    """
    arm = np.asarray(treated).astype(bool)
    for side, name in ((arm, "treated loan"), (~arm, "control")):
        if not side.any():
            raise StudyError(f"there is no {name}: nothing can be compared; see who is treated.")
    # Everything is done in the order drawn, so that not even rounding depends on the order of the rows.
    place = ties.order(identifier, seed)
    arm, covariates = arm[place], covariates.iloc[place].reset_index(drop=True)
    logit = None if logit is None else logit[place]
    keys = pd.DataFrame(index=covariates.index) if exact is None else exact.iloc[place].reset_index(drop=True)
    kept = np.ones(len(arm), dtype=bool) if discard == "none" else on_support(arm, _needed(logit, method), discard)
    rows = np.flatnonzero(kept)
    weight, group = np.zeros(len(arm)), np.full(len(arm), -1, dtype=np.int64)
    matches = None
    if method in PAIRS:
        points, limit, within = _scale(covariates, arm, logit, distance, caliper, calipers or {})
        within = [Caliper(one.covariate[rows], one.width) for one in within]
        chosen: dict[str, Any] = {"ratio": ratio, "caliper": limit, "within": within}
        if method == "nearest":
            score = None if logit is None else logit[rows]
            chosen |= {"replacement": replacement, "order": order, "score": score}
        elif replacement:
            raise StudyError("optimal pairs with replacement are nearest neighbours: use match.method nearest.")
        match = nearest if method == "nearest" else optimal
        found = match(arm[rows], points[rows], strata(keys.iloc[rows]), rows, **chosen)
        matches = Matches(rows[found.treated], rows[found.control])
        if not len(matches.treated):
            raise StudyError("no pair keeps the caliper and the exact keys: widen match.caliper or drop a key.")
        weight, group = pair_weights(matches, arm)
        if replacement:
            group = np.where(weight > 0, np.arange(len(arm)), -1)
    elif method in STRATA:
        logits = _needed(logit, method)[rows] if method == "subclassification" else None
        stratum = _strata(keys.iloc[rows], covariates.iloc[rows], arm[rows], logits, method, cuts, number, estimand)
        weight[rows] = stratum_weights(arm[rows], stratum, estimand)
        # Not the stratum: errors clustered in a few large ones come out too small (reports/method/method.md).
        group[rows] = np.where(weight[rows] > 0, rows, -1)
    else:
        logits = None if method == "entropy_balancing" else _needed(logit, method)[rows]
        weight[rows] = _weights(covariates.iloc[rows], arm[rows], logits, method, estimand, stabilised, trim)
        group[rows] = rows
    back = np.empty_like(place)
    back[place] = np.arange(len(place))
    if matches is not None:
        matches = Matches(place[matches.treated], place[matches.control])
    return Comparison(weight[back], group[back], matches)


def _weights(
    covariates: pd.DataFrame,
    arm: np.ndarray,
    logit: np.ndarray | None,
    method: str,
    estimand: Estimand,
    stabilised: bool,
    trim: float | None,
) -> np.ndarray:
    """Return the weight of each loan by a method that weights loans; arguments as in `compare`."""
    if logit is None:
        return entropy_balance(covariates.to_numpy(dtype=float), arm)
    score = probability(logit)
    if method == "overlap":
        return overlap(arm, score)
    return inverse_probability(arm, score, estimand=estimand, stabilised=stabilised, trim=trim)


def _strata(
    keys: pd.DataFrame,
    covariates: pd.DataFrame,
    arm: np.ndarray,
    logit: np.ndarray | None,
    method: str,
    cuts: Cuts | None,
    number: int,
    estimand: Estimand,
) -> np.ndarray:
    """Return the stratum of each loan by the method's own columns and the exact keys; arguments as in `compare`."""
    if method == "coarsened_exact":
        cuts = {name: (cuts or {}).get(name, AUTOMATIC) for name in covariates}
        both = pd.concat([keys, covariates.add_prefix("coarse ")], axis=1)
        return strata(both, {f"coarse {name}": cut for name, cut in cuts.items()})
    if logit is not None:
        return strata(keys.assign(subclass=subclasses(arm, logit, number, estimand)))
    if keys.columns.empty:
        raise StudyError("match.method exact needs columns under matching.exact.")
    return strata(keys)


def share_tied(
    found: Comparison,
    covariates: pd.DataFrame,
    treated: np.ndarray,
    *,
    exact: pd.DataFrame | None = None,
    logit: np.ndarray | None = None,
    distance: Literal["logit", "probability", "mahalanobis"] = "logit",
) -> float:
    """Return the share of the matched treated loans that chose among controls equally near (`neighbours.tied`).

    Arguments as given to `compare`, and the pairs that it returned.
    """
    assert found.matches is not None  # pairs were asked for
    arm = np.asarray(treated).astype(bool)
    points, _, _ = _scale(covariates, arm, logit, distance, None, {})
    stratum = strata(pd.DataFrame(index=covariates.index) if exact is None else exact)
    return float(tied(arm, points, stratum, found.matches).mean())


def pair_weights(matches: Matches, arm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of each loan and the number of its pair (-1: none; with replacement: its last).

    A treated loan counts once and its controls together once; controls are then scaled to a mean weight of one, as in
    MatchIt.
    """
    sizes = np.bincount(matches.treated, minlength=len(arm))
    weight = (sizes > 0).astype(float)
    np.add.at(weight, matches.control, 1 / sizes[matches.treated])
    served = ~arm & (weight > 0)
    weight[served] *= served.sum() / weight[served].sum()
    group = np.full(len(arm), -1, dtype=np.int64)
    pair = np.cumsum(np.append(True, matches.treated[1:] != matches.treated[:-1])) - 1
    group[matches.treated], group[matches.control] = pair, pair
    return weight, group


def _needed(logit: np.ndarray | None, method: str) -> np.ndarray:
    if logit is None:
        raise StudyError(f"{method} needs a propensity score.")
    return logit


def _scale(
    covariates: pd.DataFrame,
    arm: np.ndarray,
    logit: np.ndarray | None,
    distance: str,
    caliper: float | None,
    calipers: Mapping[str, float],
) -> tuple[np.ndarray, float | None, list[Caliper]]:
    """Return the points between which distance counts, its limit, and the calipers on other scales."""
    within = []
    for name, width in calipers.items():
        if name not in covariates:
            raise StudyError(f"matching.calipers names {name}, which is not among the covariates under matching.score.")
        values = covariates[name].to_numpy(dtype=float)
        within.append(Caliper(values, width * float(values.std(ddof=1))))
    if distance == "mahalanobis":
        points = mahalanobis(covariates.to_numpy(dtype=float), arm)
        if caliper is not None:
            score = _needed(logit, "a caliper on the propensity score")
            within.append(Caliper(score, caliper * float(score.std(ddof=1))))
        return points, None, within
    points = _needed(logit, "matching on the propensity score")
    if distance == "probability":
        # Where probabilities are small, logits that differ lie nearer to each other than distances are told apart.
        points = np.round(probability(points), DISTANCE_DECIMALS)
    return points, None if caliper is None else caliper * float(points.std(ddof=1)), within
