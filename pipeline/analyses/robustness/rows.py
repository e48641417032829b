"""Repeat each factor's headline regression with other standard errors, other effects and another shape."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analyses import headline
from pipeline.analyses.robustness.doses import doses
from pipeline.analyses.robustness.errors import errors, without_clusters
from pipeline.analyses.robustness.groups import group_effects
from pipeline.analyses.robustness.sample import Row, Sample
from pipeline.analyses.robustness.shape import by_thirds, shape
from pipeline.core import results
from pipeline.core.scope import Scope, column_in
from pipeline.core.seeds import seed_of
from pipeline.runtime.errors import StudyError
from pipeline.stats import robust_errors
from pipeline.stats.design import design_matrix
from pipeline.stats.gelbach import WHOLE, gelbach
from pipeline.stats.inference import cluster_codes, codes
from pipeline.stats.samples import sample_for
from pipeline.stats.shape import link_test

ENOUGH = 40
"""Clusters from which the errors by formula are usually near enough (Angrist & Pischke 2009, section 8.2.3)."""

DOMINANT = 0.1
"""Share of all loans from which one cluster alone decides much of an error."""

OUTSIDE = 0.05
"""Share of fitted probabilities beyond nought and one that puts a linear model in doubt (Horrace & Oaxaca 2006)."""


def rows(cohort: pd.DataFrame, allowed: Scope, level: float, seed: str) -> list[Row]:
    """Return the rows on robustness.

    Parameters
    ----------
    cohort : (loans x columns)
    allowed : Scope
        What the cohort allows of the protocol.
    level : float
        Level of confidence intervals.
    seed : str
        From it and a factor's name the draws of the wild bootstrap follow.
    """
    protocol = allowed.protocol
    terms = headline.terms(protocol)
    factors = allowed.factors if allowed.models else []

    found: list[Row] = []
    for factor in factors:
        loans = sample_for(cohort, factor, protocol.after_origination())
        design = design_matrix(loans, [factor, *terms])
        of_factor = seed_of(seed, factor)
        dropped = [name for name in design.dropped if name.split("[")[0] not in protocol.controls.strata]
        sample = Sample(factor, loans, design.matrix, dropped, protocol, level, of_factor)
        try:
            fit = robust_errors.partial_out(sample.default, sample.design, factor, sample.weights)
        except StudyError as error:
            found.append(sample.row("errors", "clustered", "risk_difference", note=str(error)))
            continue
        without = None if sample.alone else robust_errors.leave_one_out(fit, cluster_codes(sample.clusters))
        found += errors(sample, fit, without)
        found += without_clusters(sample, without)
        found += group_effects(sample)
        found += _gelbach(sample)
        found += shape(sample)
        found += by_thirds(sample)
        found += doses(sample)
        if factor == factors[0]:
            found += _assumptions(sample, fit, terms)
    return found


def _gelbach(sample: Sample) -> Iterator[Row]:
    """Yield what each block of controls takes away from the raw effect."""
    controls = sample.protocol.controls
    blocks, before = {}, set()
    for block, rung in controls.ladder().items():
        # A lottery's strata stand with the first block.
        terms = set(rung) - before
        before |= terms
        columns = [name for name in sample.design if name != sample.factor and name.split("[")[0] in terms]
        if columns:
            blocks[block] = columns
        else:
            note = "the other controls determine this block: its part stands with theirs."
            yield sample.row("gelbach", block, "part_of_difference", note=note)
    if not blocks:
        return
    found = gelbach(sample.default, sample.design, sample.factor, blocks, sample.clusters, sample.level, sample.weights)
    note = f"left out as determined by other controls: {', '.join(sample.dropped)}" if sample.dropped else ""
    for block, one in found.items():
        estimand = "difference" if block == WHOLE else "part_of_difference"
        yield sample.row("gelbach", block, estimand, **results.in_points(one), note=note)


def _assumptions(sample: Sample, fit: robust_errors.Partialled, terms: list[str]) -> Iterator[Row]:
    """Yield what the headline regression of the first factor assumes, checked."""
    sizes = sample.clusters.value_counts()
    common = {name: sample.row("", "", "")[name] for name in ("n", "n_treated", "n_clusters")}

    def checked(name: str, value: float, threshold: float, passed: bool, **more: Any) -> Row:
        return results.assumption(
            name, value, threshold, passed=passed, factor=sample.factor, outcome="default", **common, **more
        )

    if not sample.alone:
        yield checked("clusters_enough", len(sizes), ENOUGH, len(sizes) >= ENOUGH)
        share = float(sizes.iloc[0] / sizes.sum())
        yield checked("largest_cluster", share, DOMINANT, share <= DOMINANT)
    empty = _one_sided(sample, [sample.factor, *terms])
    yield checked("one_sided_levels", empty, 0, empty == 0)
    share = robust_errors.outside(sample.default, fit, sample.weights)
    yield checked("probabilities_in_range", share, OUTSIDE, share <= OUTSIDE)
    try:
        link = link_test(sample.default, sample.slim, sample.clusters, sample.factor, sample.periods)
    except StudyError as error:
        yield sample.row("link_test", "logit", "p_value", note=str(error))
        return
    significance = 1 - sample.level
    passed = link.p_value >= significance
    yield checked("link", link.p_value, significance, passed, estimand="p_value", p_value=link.p_value)


def _one_sided(sample: Sample, terms: list[str]) -> int:
    """Count the levels of categories and of yes-or-no columns at which all loans have the same outcome."""
    number = 0
    for name in dict.fromkeys(map(column_in, terms)):
        column = sample.loans[name]
        if column.dtype == "category" or column.nunique() == 2:
            numbers = codes(column)
            size, bad = np.bincount(numbers), np.bincount(numbers, sample.default)
            number += int(((bad == 0) | (bad == size)).sum())
    return number
