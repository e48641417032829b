"""Specifications that are regressions on all loans."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.curve.choices import Batch
from pipeline.analyses.curve.specified import Loans, Row, Specified, in_points, row_of, specified, time_first
from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import absorbed_logit
from pipeline.stats.design import design_matrix
from pipeline.stats.matched_effects import weighted_logit
from pipeline.stats.randomisation import Studentised
from pipeline.stats.regression import logit


def regressed(batch: Batch, loans: Loans) -> Iterator[Specified]:
    """Yield the regressions that share their controls."""
    job = batch.job
    terms = time_first(job.protocol.controls.ladder()[batch.part], job.protocol.controls.time)
    cluster = loans.frame[job.protocol.cluster]
    for outcomes in loans.known_alike():
        there = np.isfinite(loans.outcome(outcomes[0]))
        frame, weights = loans.frame[there], None if loans.weights is None else loans.weights[there]
        treated, labels = loans.treated[there], cluster[there]
        counts = {"n": len(frame), "n_treated": int(treated.sum()), "n_clusters": int(labels.nunique())}
        values = np.column_stack([loans.outcome(outcome)[there] for outcome in outcomes])

        def rows(model: str, outcomes: list[str] = outcomes) -> list[Row]:
            return [row_of(batch, outcome, controls=batch.part, model=model) for outcome in outcomes]

        try:
            controls = design_matrix(frame, terms).matrix
            regress = Studentised(values, controls.to_numpy(), labels.to_numpy(), weights)
            effects, errors = regress.coefficients(treated[:, None].astype(float))
            if np.isnan(effects).any():
                raise StudyError("the controls determine treatment.")
        except StudyError as error:
            for model in job.grid.models:
                yield from (Specified(row | {"note": str(error)}) for row in rows(model))
            continue
        if "linear" in job.grid.models:
            tested = loans.signs_changed(values, np.flatnonzero(there), controls.to_numpy(), weights)
            if permuted := [regress.coefficients(moved[there]) for moved in loans.assignments()]:
                columns = (np.concatenate(part, axis=1) for part in zip((effects, errors), *permuted, strict=True))
                tested = [*zip(*columns, strict=True)]
            for place, row in enumerate(rows("linear")):
                of_outcome = (effects[place, 0], errors[place, 0])
                yield specified(row, of_outcome, job.level, tested[place] if tested else None, **counts)
        if "logit" in job.grid.models:
            for value, row in zip(values.T, rows("logit"), strict=True):
                yield Specified(row | counts | _marginal(value, frame, batch, terms, controls, weights))


def _marginal(
    values: np.ndarray,
    loans: pd.DataFrame,
    batch: Batch,
    terms: list[str],
    controls: pd.DataFrame,
    weights: np.ndarray | None,
) -> Row:
    """Return the average marginal effect of a logistic regression; it takes no part in the joint test."""
    if not set(np.unique(values)) <= {0.0, 1.0}:
        return {"note": "a share between nought and one has no logit."}
    job, strata = batch.job, batch.job.protocol.controls.strata
    design = controls.assign(treated=loans["treated"].astype(float))
    outcome, cluster, level = pd.Series(values, loans.index), loans[job.protocol.cluster], job.level
    sampled = None if weights is None else pd.Series(weights, loans.index)
    try:
        if strata:
            # A stratum in which all loans end alike has no effect of its own: it leaves.
            stratum = loans.groupby(strata, observed=True, dropna=False).ngroup()
            design = design_matrix(loans, ["treated", *(term for term in terms if term not in strata)]).matrix
            found = absorbed_logit(outcome, design, "treated", stratum, cluster, level, sampled, smallest=1)
            counts = {"n": found.loans, "n_clusters": found.clusters}
            counts["n_treated"] = int(loans.loc[found.stays, "treated"].sum())
            return counts | in_points(found.effects["treated"].average_marginal_effect)
        if weights is None:
            # Gives the same as `logit`, in a fraction of the time.
            same = pd.Series(1.0, loans.index)
            return in_points(weighted_logit(outcome, design, "treated", cluster, level, same).average_marginal_effect)
        return in_points(logit(outcome, design, "treated", cluster, level, sampled).average_marginal_effect)
    except StudyError as error:
        return {"note": str(error)}
