"""What could as well have been chosen, as batches of specifications that share work."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import Scope
from pipeline.core.shared import SpecificationCurve
from pipeline.stats.randomisation import permute
from pipeline.stats.specification_curve import sign_changes

OWN = "protocol"
"""Name of the study's own choice among alternatives."""

LOTS = ("lottery_unit", "lottery_stratum")
"""Columns that say what a lottery was drawn for, and within what."""


class Job(NamedTuple):
    """What all batches of a study share."""

    protocol: Study
    grid: SpecificationCurve
    folds: int
    """Parts for the cross-fitting of a logistic score."""
    caliper: float
    """The study's own caliper."""
    level: float
    seed: int
    ties: int
    """Seed of the order that breaks ties, as in the stage match."""
    permuted: str
    """What makes a treatment do nothing: assignment (as the study did it), or signs (of whole clusters' residuals)."""


class Batch(NamedTuple):
    """Specifications that share work."""

    job: Job
    kind: str
    """matching or regression."""
    sample: str
    treatment: str
    part: str
    """The model of the score, or the last block of controls."""

    @property
    def name(self) -> str:
        """Name of its file."""
        return "-".join(self[1:])


def job_of(protocol: Study, params: Params, seed: int, *, lottery: bool) -> Job:
    """Return what the batches of a study share; `lottery` says whether its cohort knows the lottery's units."""
    grid = _with_own(params.specification_curve, params.match)
    return Job(
        protocol,
        grid,
        params.match.folds,
        params.match.caliper or grid.calipers[-1],
        params.inference.level,
        seed,
        params.seed,
        "assignment" if lottery else "signs",
    )


def _with_own(grid: SpecificationCurve, match: Any) -> SpecificationCurve:
    """Return the grid with the study's own matching among its choices."""

    def joined(values: list[Any], own: Any) -> list[Any]:
        return values if own in values or own is None else [*values, own]

    return grid.model_copy(
        update={
            "scores": joined(grid.scores, match.score),
            "distances": joined(grid.distances, match.distance),
            "calipers": sorted(joined(grid.calipers, match.caliper)),
            "ratios": sorted(joined(grid.ratios, match.ratio)),
            "orders": joined(grid.orders, match.order),
        }
    )


def batches_of(job: Job, allowed: Scope) -> Iterator[Batch]:
    """Yield the batches, the ones with most work first."""
    others = job.protocol.alternatives
    samples, treatments = [OWN, *others.samples], [OWN, *others.treatments]
    if allowed.matching:
        for score, sample, treatment in itertools.product(job.grid.scores, samples, treatments):
            yield Batch(job, "matching", sample, treatment, score)
    for rung, sample, treatment in itertools.product([*job.protocol.controls.ladder()][::-1], samples, treatments):
        yield Batch(job, "regression", sample, treatment, rung)


def permutations(job: Job, loans: pd.DataFrame) -> np.ndarray:
    """Return what each permutation changes (loans or clusters x permutations).

    It is the permuted treatment, or the sign of each cluster.
    """
    if job.permuted == "assignment":
        unit, stratum = (loans[name].to_numpy() for name in LOTS)
        return permute(loans["treated"].to_numpy(), unit, stratum, job.grid.permutations, job.seed)
    return sign_changes(loans[job.protocol.cluster].nunique(), job.grid.permutations, job.seed)


def choices_of(specification: str) -> dict[str, str]:
    """Return the choices that a specification names."""
    return dict(part.split("=", 1) for part in specification.split("; "))
