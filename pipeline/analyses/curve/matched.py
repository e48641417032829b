"""Specifications on matched loans."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.curve.choices import OWN, Batch, Job
from pipeline.analyses.curve.specified import Loans, Row, Specified, row_of, specified, time_first
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST, column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats.balance import balance
from pipeline.stats.comparison import compare, pair_weights
from pipeline.stats.design import design_matrix, score_columns
from pipeline.stats.inference import crossed
from pipeline.stats.matching import Matches
from pipeline.stats.scores import propensity
from pipeline.stats.specification_curve import ManyOutcomes


class Matching(NamedTuple):
    """A way of forming pairs on one score."""

    distance: str
    exact: str
    caliper: float
    order: str

    def choices(self, score: str) -> Row:
        """Return the choices as a specification names them."""
        caliper = f"{self.caliper:g}"
        return {"score": score, "distance": self.distance, "caliper": caliper, "order": self.order, "exact": self.exact}


def matched(batch: Batch, loans: Loans) -> Iterator[Specified]:
    """Yield the specifications on matched loans that share a propensity score."""
    job, grid = batch.job, batch.job.grid
    frame, treated, loan_id = loans.frame, loans.treated, loans.frame["loan_id"].to_numpy()
    terms = job.protocol.matching.score
    keys = {OWN: job.protocol.matching.exact, **job.protocol.alternatives.exact}
    named = [
        Matching(distance, exact, caliper, order)
        for distance, exact, caliper, order in itertools.product(grid.distances, keys, grid.calipers, grid.orders)
        # Mahalanobis distances take many times as long and use the score for the caliper alone.
        if distance != "mahalanobis" or (batch.part, exact, caliper) == (grid.scores[0], OWN, job.caliper)
    ]
    try:
        covariates = score_columns(frame, terms)
        covariates = covariates.loc[:, covariates.max() > covariates.min()]
        folds = grid.folds if batch.part == "boosting" else job.folds
        score = propensity(covariates, treated, loan_id, model=batch.part, folds=folds, seed=job.seed % 2**31)
    except StudyError as error:
        yield from _failed(batch, loans, named, str(error))
        return
    for way in named:
        try:
            found = compare(
                covariates,
                treated,
                loan_id,
                exact=frame[keys[way.exact]],
                logit=score,
                distance=way.distance,
                ratio=grid.ratios[-1],
                caliper=way.caliper,
                order=way.order,
                calipers=job.protocol.matching.calipers,
                seed=job.ties,
            )
        except StudyError as error:
            yield from _failed(batch, loans, [way], str(error))
            continue
        yield from _by_ratio(batch, loans, way, found.matches, covariates)


def _by_ratio(
    batch: Batch, loans: Loans, way: Matching, matches: Matches, covariates: pd.DataFrame
) -> Iterator[Specified]:
    """Yield the specifications on pairs of one matching: by controls a pair, regressions after it, and outcomes."""
    job, grid, treated = batch.job, batch.job.grid, loans.treated
    scale = balance(covariates, treated)["scale"]
    for ratio in grid.ratios:
        # Every loan gets its first control before any gets its second, so fewer controls are the first of more.
        weight, group = pair_weights(_first(matches, ratio), treated == 1)
        if (treated_left := int(treated[weight > 0].sum())) < FEWEST:
            for after, outcome in itertools.product(grid.after_matching, loans.outcomes):
                row = row_of(batch, outcome, **way.choices(batch.part), ratio=ratio, after=after)
                yield Specified(row | {"note": f"only {treated_left} treated loans find a partner."})
            continue
        unlike = float(balance(covariates, treated, scale, weight)["standardised_mean_difference"].abs().max())
        for after in grid.after_matching:
            found = {}
            for outcomes in loans.known_alike():
                of = [row_of(batch, name, **way.choices(batch.part), ratio=ratio, after=after) for name in outcomes]
                try:
                    ones = _on_pairs(job, loans, of, outcomes, after, weight, group)
                except StudyError as error:
                    ones = [Specified(row | {"note": str(error)}) for row in of]
                else:
                    ones = [one._replace(row=one.row | {"unlike": unlike}) for one in ones]
                found |= dict(zip(outcomes, ones, strict=True))
            yield from (found[name] for name in loans.outcomes)


def _failed(batch: Batch, loans: Loans, of: list[Matching], note: str) -> Iterator[Specified]:
    """Yield the specifications of some ways of matching, none of which can be."""
    grid = batch.job.grid
    for way, ratio, after, outcome in itertools.product(of, grid.ratios, grid.after_matching, loans.outcomes):
        yield Specified(row_of(batch, outcome, **way.choices(batch.part), ratio=ratio, after=after) | {"note": note})


def _first(matches: Matches, number: int) -> Matches:
    """Return the first controls of each treated loan."""
    opens = np.append(True, matches.treated[1:] != matches.treated[:-1])
    since = np.arange(len(opens)) - np.maximum.accumulate(np.where(opens, np.arange(len(opens)), 0))
    return Matches(matches.treated[since < number], matches.control[since < number])


def _on_pairs(
    job: Job, loans: Loans, of: list[Row], outcomes: list[str], after: str, weight: np.ndarray, group: np.ndarray
) -> list[Specified]:
    """Return the effects on matched loans, errors clustered by matched set and cluster (`inference.on_matched`).

    The same loans have all of the `outcomes`, whose rows are `of`, so that what does not depend on them is done once.
    """
    values = np.column_stack([loans.outcome(name) for name in outcomes])
    rows = np.flatnonzero((weight > 0) & np.isfinite(values[:, 0]))
    values = values[rows]
    controls = np.ones((len(rows), 1))
    if after != "none":
        terms = _controls(job.protocol, after)
        within = loans.frame.loc[rows, list(dict.fromkeys(map(column_in, terms)))]
        controls = design_matrix(within, terms).matrix.to_numpy()
    both = weight[rows] if loans.weights is None else weight[rows] * loans.weights[rows]
    ways = crossed(group[rows], loans.frame[job.protocol.cluster].iloc[rows])
    weights = None if (both == 1).all() else both
    found = ManyOutcomes(loans.treated[rows], controls, np.column_stack([*ways.values()]), weights)(values)
    tested = loans.signs_changed(values, rows, controls, weights) or [None] * len(of)
    counts = {
        "n": len(rows),
        "n_treated": int(loans.treated[rows].sum()),
        "n_clusters": int(ways["cluster" if "cluster" in ways else "pair"].max()) + 1,
    }
    effects = zip(*found, strict=True)
    return [
        specified(row, effect, job.level, of_signs, **counts)
        for row, effect, of_signs in zip(of, effects, tested, strict=True)
    ]


def _controls(protocol: Study, after: str) -> list[str]:
    """Return the controls of a regression on matched loans: what was matched on, or all."""
    ladder = protocol.controls.ladder()
    if after == "covariates" or not ladder:
        return protocol.matching.score
    return time_first([*ladder.values()][-1], protocol.controls.time)
