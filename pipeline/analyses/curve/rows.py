"""The specification curve: the effect of treatment under every combination of choices that could as well have been.

Specifications that share work form a batch: one score, its pairs and their designs; or one set of controls. Batches run
side by side, and each leaves its results in a folder of its own until all are done, so that a run that was interrupted
goes on where it was.
"""

import hashlib
import itertools
import json
import shutil
import sys
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import cohorts, results
from pipeline.core.params import Condition, Outcome, Params, Sample, SpecificationCurve, Study, nearest
from pipeline.core.scope import FEWEST, Scope, column_in, scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.runtime.parallel import each
from pipeline.stats.absorbed import absorbed_logit
from pipeline.stats.balance import balance
from pipeline.stats.comparison import compare, pair_weights
from pipeline.stats.design import design_matrix, term_values
from pipeline.stats.inference import codes, crossed, effect
from pipeline.stats.matched_effects import weighted_logit
from pipeline.stats.matching import Matches
from pipeline.stats.randomisation import Studentised, deal
from pipeline.stats.regression import logit
from pipeline.stats.samples import by_lot
from pipeline.stats.scores import propensity
from pipeline.stats.specification_curve import ManyOutcomes, SignChanges, joint, sign_changes
from pipeline.stats.weighting import probability

OWN = "protocol"
"""Name of the study's own choice among alternatives."""

LOTS = ("lottery_unit", "lottery_stratum")
"""Columns that say what a lottery was drawn for, and within what."""

AT_ONCE = 50
"""Permutations that are computed at a time: bounds the memory."""

Row = dict[str, Any]


class Job(NamedTuple):
    """What all batches of a study share."""

    study: str
    folder: Path
    """Where batches find the loans and leave their results."""
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
    """What makes a treatment do nothing: dealt (the study's lottery), or signs (of whole clusters' residuals)."""


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


class Specified(NamedTuple):
    """A specification's row, and what the joint test makes of it (1 + permutations,), if it takes part."""

    row: Row
    effects: np.ndarray | None = None
    errors: np.ndarray | None = None


def run(study: str, params: Params) -> str:
    """Write the rows of the specification curve."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    protocol = allowed.protocol
    if not allowed.arms:
        note = "there are not two arms of loans to compare."
        rows = [{"estimator": "specification_count", "specification": "all", "factor": "treated", "note": note}]
        results.write(places.results(study, "curve"), results.table(study, "curve", rows))
        return note
    folder = Path(".cache/curve") / study
    kept = folder / _key(study, params)
    for other in folder.glob("*"):
        if other != kept:
            shutil.rmtree(other, ignore_errors=True)
    every = _loans(study, protocol, cohort, params)
    seed = zlib.crc32(f"{params.seed} {study} curve".encode())
    loans = by_lot(every, params.specification_curve.most_loans, seed).reset_index(drop=True)
    drawn = set(LOTS) <= set(cohort)
    permuted = "dealt" if drawn else "signs"
    grid = _with_own(params.specification_curve, params.match)
    job = Job(
        study,
        kept,
        protocol,
        grid,
        params.match.folds,
        params.match.caliper or grid.calipers[-1],
        params.inference.level,
        seed,
        params.seed,
        permuted,
    )
    store.write_parquet(kept / "loans.parquet", loans)
    _write_permutations(job, loans)

    batches = [*_batches(job, allowed)]
    left = [batch for batch in batches if not (kept / f"{batch.name}.npz").exists()]
    if len(left) < len(batches):
        print(f"curve {study}: {len(batches) - len(left)} of {len(batches)} batches are there already", file=sys.stderr)
    for _ in each(compute, left, params.parallel, f"curve {study}"):
        pass
    found = [one for batch in batches for one in _read(kept / f"{batch.name}.npz")]
    rows = [one.row | {"note": _note(one.row, params, protocol)} for one in found]
    rows = [*rows, *_summary(found, rows, job, params), *results.drawn_by_lot(len(loans), len(every))]
    results.write(places.results(study, "curve"), results.table(study, "curve", rows))
    shutil.rmtree(kept)
    return f"{len(found):,} specifications"


def _key(study: str, params: Params) -> str:
    """Return what a batch's results depend on, as one name: data, choices and code."""
    hashed = hashlib.sha256()
    for path in (cohorts.path_of(study), _wider(study)):
        hashed.update(path.read_bytes() if path.exists() else b"-")
    chosen = params.model_dump(mode="json", include={"seed", "match", "inference", "specification_curve"})
    chosen["study"] = params.study(study).model_dump(mode="json")
    hashed.update(json.dumps(chosen, sort_keys=True).encode())
    package = Path(__file__).parents[1]
    for path in sorted([*(package / "core").glob("*.py"), *(package / "stats").glob("*.py"), Path(__file__)]):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


def _wider(study: str) -> Path:
    return places.processed(study) / "more" / "robustness.parquet"


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


def _loans(study: str, protocol: Study, cohort: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return all loans of any sample, sorted, with columns that say how each choice sees them.

    ``sample <name>`` and ``treatment <name>`` are 0/1; ``outcome <name>`` is missing where a loan has none.
    """
    others = protocol.alternatives
    frame = cohort
    if any(sample.wider for sample in others.samples.values()):
        wider = store.read_parquet(_wider(study))
        frame = pd.concat([cohort, wider[~wider["loan_id"].isin(cohort["loan_id"])]], ignore_index=True)
        for name in frame:
            if cohort[name].dtype == "category" and frame[name].dtype != "category":
                levels = list(dict.fromkeys([*cohort[name].cat.categories, *wider[name].cat.categories]))
                frame[name] = pd.Categorical(frame[name], levels, ordered=cohort[name].cat.ordered)
    frame = frame.sort_values("loan_id", ignore_index=True)
    own = frame["loan_id"].isin(cohort["loan_id"])
    made: dict[str, Any] = {f"treatment {OWN}": frame["treated"], f"outcome {OWN}": frame["default"].astype(float)}
    made[f"sample {OWN}"] = own.astype(int)
    for name, condition in others.treatments.items():
        made[f"treatment {name}"] = _holds(frame, condition, f"treatments.{name}").astype(int)
    for name, outcome in others.outcomes.items():
        made[f"outcome {name}"] = _outcome(frame, outcome, f"outcomes.{name}")
    for name, sample in others.samples.items():
        inside = _in_sample(frame, sample, own, protocol, params.seed, f"samples.{name}")
        made[f"sample {name}"] = inside.astype(int)
    for name, keys in others.exact.items():
        for key in keys:
            _column(frame, key, f"exact.{name}")
    return frame.assign(**made)


def _column(frame: pd.DataFrame, name: str, where: str) -> pd.Series:
    if name not in frame:
        raise StudyError(
            f"alternatives.{where} in params.yaml names {name}, which the cohort does not have{nearest(name, frame)}"
        )
    return frame[name]


def _holds(frame: pd.DataFrame, condition: Condition, where: str) -> pd.Series:
    """Return which loans (boolean) meet a condition."""
    values = _column(frame, condition.column, where)
    met = values.notna()
    if condition.levels is not None:
        known = set(values.dropna().astype(str))
        for level in condition.levels:
            if level not in known:
                raise StudyError(
                    f"alternatives.{where} in params.yaml names level {level} of {condition.column}, which no loan has"
                    f"{nearest(level, sorted(known))}"
                )
        return met & values.astype(str).isin(condition.levels)
    limits = (condition.at_least, condition.above, condition.at_most)
    if limits != (None, None, None) and not pd.api.types.is_numeric_dtype(values):
        raise StudyError(f"alternatives.{where} in params.yaml gives {condition.column} limits, which is no number.")
    if condition.at_least is not None:
        met &= values >= condition.at_least
    if condition.above is not None:
        met &= values > condition.above
    if condition.at_most is not None:
        met &= values <= condition.at_most
    return met


def _outcome(frame: pd.DataFrame, outcome: Outcome, where: str) -> pd.Series:
    if outcome.when is not None:
        values = _holds(frame, outcome.when, where).astype(float)
    else:
        values = _column(frame, outcome.column, where).astype(float)
    for condition in outcome.among:
        values = values.where(_holds(frame, condition, where))
    return values


def _in_sample(
    frame: pd.DataFrame, sample: Sample, own: pd.Series, protocol: Study, seed: int, where: str
) -> pd.Series:
    inside = pd.Series(True, frame.index) if sample.wider else own.copy()
    if sample.window is not None:
        month = frame["origination_date"].dt.strftime("%Y-%m")
        inside &= (month >= (sample.window.first_month or "")) & (month <= (sample.window.last_month or "9999"))
    for condition in sample.where:
        inside &= _holds(frame, condition, where)
    if sample.score_within is not None:
        few = frame[inside]
        chance = probability(
            propensity(
                term_values(few, protocol.matching.score),
                few["treated"].to_numpy(),
                few["loan_id"].to_numpy(),
                seed=seed,
            )
        )
        inside[inside] = (chance >= sample.score_within) & (chance <= 1 - sample.score_within)
    return inside


def _write_permutations(job: Job, loans: pd.DataFrame) -> None:
    """Write what each permutation changes: the treatment that the lottery deals, or the sign of each cluster."""
    if job.permuted == "dealt":
        unit, stratum = (loans[name].to_numpy() for name in LOTS)
        drawn = deal(loans["treated"].to_numpy(), unit, stratum, job.grid.permutations, job.seed)
    else:
        drawn = sign_changes(loans[job.protocol.cluster].nunique(), job.grid.permutations, job.seed)
    with store.atomic(job.folder / "permutations.npy") as path, path.open("wb") as file:
        np.save(file, drawn)


def _batches(job: Job, allowed: Scope) -> Iterator[Batch]:
    """Yield the batches, the ones with most work first."""
    others = job.protocol.alternatives
    samples, treatments = [OWN, *others.samples], [OWN, *others.treatments]
    if allowed.matching:
        for score, sample, treatment in itertools.product(job.grid.scores, samples, treatments):
            yield Batch(job, "matching", sample, treatment, score)
    for rung, sample, treatment in itertools.product([*job.protocol.controls.ladder()][::-1], samples, treatments):
        yield Batch(job, "regression", sample, treatment, rung)


@lru_cache(maxsize=1)
def _inputs(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    return store.read_parquet(folder / "loans.parquet"), np.load(folder / "permutations.npy", mmap_mode="r")


class _Loans:
    """The loans of a batch, with what the joint test needs of them."""

    def __init__(self, batch: Batch) -> None:
        everybody, permutations = _inputs(batch.job.folder)
        rows = np.flatnonzero(everybody[f"sample {batch.sample}"])
        self.frame = everybody.iloc[rows].reset_index(drop=True)
        self.frame["treated"] = self.frame[f"treatment {batch.treatment}"]
        self.treated = self.frame["treated"].to_numpy()
        self.weights = self.frame["weight"].to_numpy(dtype=float) if "weight" in self.frame else None
        self.outcomes = [name.removeprefix("outcome ") for name in self.frame if name.startswith("outcome ")]
        dealt = batch.job.permuted == "dealt"
        # A lottery deals the protocol's treatment and no other, and pairs are not formed again.
        self._dealt = permutations[rows] if dealt and batch.treatment == OWN else None
        self._signs = None if dealt else permutations
        exact = [everybody[key] for key in batch.job.protocol.matching.exact]
        strata = everybody.groupby(exact, observed=True, dropna=False).ngroup() if exact else np.zeros(len(everybody))
        self._strata = np.asarray(strata, dtype=int)[rows]
        self._clusters = codes(everybody[batch.job.protocol.cluster])[rows]

    def outcome(self, name: str) -> np.ndarray:
        """Return an outcome (loans,), missing where a loan has none."""
        return self.frame[f"outcome {name}"].to_numpy()

    def known_alike(self) -> list[list[str]]:
        """Return the outcomes, those together that the same loans have."""
        alike: dict[bytes, list[str]] = {}
        for name in self.outcomes:
            alike.setdefault(np.isfinite(self.outcome(name)).tobytes(), []).append(name)
        return [*alike.values()]

    def signs_changed(
        self, outcomes: np.ndarray, rows: np.ndarray, controls: np.ndarray, weights: np.ndarray | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each outcome's effects and errors (outcomes, each 1 + permutations) in the joint test.

        `outcomes` (rows x outcomes) and `controls` (rows x columns) of the loans in `rows`. The exact keys of the
        matching are held equal in every specification, as permuting within them would. Empty where a lottery is dealt.
        """
        if self._signs is None:
            return []
        try:
            changed = SignChanges(self.treated[rows], controls, self._strata[rows], self._clusters[rows], weights)
        except StudyError:
            # Inside the keys nothing varies: the specification takes no part.
            return []
        return [*zip(*changed(outcomes, self._signs), strict=True)]

    def dealt(self) -> Iterator[np.ndarray]:
        """Yield the treatments (loans x permutations) that the lottery deals."""
        if self._dealt is not None:
            yield from _some_at_once(self._dealt)


def _some_at_once(table: np.ndarray) -> Iterator[np.ndarray]:
    """Yield columns of a table as numbers, `AT_ONCE` at a time."""
    for start in range(0, table.shape[1], AT_ONCE):
        yield table[:, start : start + AT_ONCE].astype(float)


def compute(batch: Batch) -> str:
    """Compute a batch and keep its results in its file; return its name."""
    kind = _matched if batch.kind == "matching" else _regressed
    found = [*kind(batch, _Loans(batch))]
    columns = 1 + batch.job.grid.permutations
    numbers = np.full((2, len(found), columns), np.nan)
    for place, one in enumerate(found):
        if one.effects is not None and len(one.effects) == columns:
            numbers[0, place], numbers[1, place] = one.effects, one.errors
    with store.atomic(batch.job.folder / f"{batch.name}.npz") as path, path.open("wb") as file:
        np.savez(file, rows=np.array(json.dumps([one.row for one in found])), numbers=numbers)
    return batch.name


def _read(path: Path) -> Iterator[Specified]:
    with np.load(path) as content:
        rows, numbers = json.loads(str(content["rows"])), content["numbers"]
    for row, effects, errors in zip(rows, *numbers, strict=True):
        yield Specified(row, effects, errors)


def _row(batch: Batch, outcome: str, **choices: Any) -> Row:
    choices |= {"sample": batch.sample, "treatment": batch.treatment}
    return {
        "estimator": batch.kind,
        "specification": "; ".join(f"{name}={value}" for name, value in choices.items()),
        "factor": "treated",
        "outcome": "default" if outcome == OWN else outcome,
        "estimand": "risk_difference",
        "unit": "percentage points",
    }


def _specified(
    row: Row, found: tuple[float, float], level: float, tested: tuple[np.ndarray, np.ndarray] | None, **more: Any
) -> Specified:
    """Return a specification from its effect and error, and from those of the joint test, the real ones first."""
    if not found[1] > 0:
        return Specified(row | more | {"note": "the controls determine treatment, or nothing varies."})
    return Specified(row | _in_points(effect(*found, level)) | more, *(tested or ()))


def _in_points(found: Any) -> Row:
    """Return an effect in percentage points, rounded as it is written: what is counted are signs that readers see."""
    rounded = {name: results.cleared(float(100 * value)) for name, value in found._asdict().items()}
    return rounded | {"p_value": float(found.p_value)}


def _matched(batch: Batch, loans: _Loans) -> Iterator[Specified]:
    """Yield the specifications on matched loans that share a propensity score."""
    job, grid = batch.job, batch.job.grid
    frame, treated, loan_id = loans.frame, loans.treated, loans.frame["loan_id"].to_numpy()
    terms = job.protocol.matching.score
    keys = {OWN: job.protocol.matching.exact, **job.protocol.alternatives.exact}
    named = [
        (distance, exact, caliper, order)
        for distance, exact, caliper, order in itertools.product(grid.distances, keys, grid.calipers, grid.orders)
        # Mahalanobis distances take many times as long and use the score for the caliper alone.
        if distance != "mahalanobis" or (batch.part, exact, caliper) == (grid.scores[0], OWN, job.caliper)
    ]

    def choices(distance: str, exact: str, caliper: float, order: str) -> Row:
        return {"score": batch.part, "distance": distance, "caliper": f"{caliper:g}", "order": order, "exact": exact}

    def failed(of: list[Any], note: str) -> Iterator[Specified]:
        for one, ratio, after, outcome in itertools.product(of, grid.ratios, grid.after_matching, loans.outcomes):
            yield Specified(_row(batch, outcome, **choices(*one), ratio=ratio, after=after) | {"note": note})

    try:
        covariates = term_values(frame, terms)
        covariates = covariates.loc[:, covariates.max() > covariates.min()]
        folds = grid.folds if batch.part == "boosting" else job.folds
        score = propensity(covariates, treated, loan_id, model=batch.part, folds=folds, seed=job.seed % 2**31)
    except StudyError as error:
        yield from failed(named, str(error))
        return
    scale = balance(covariates, treated)["scale"]
    for one in named:
        distance, exact, caliper, order = one
        try:
            found = compare(
                covariates,
                treated,
                loan_id,
                exact=frame[keys[exact]],
                logit=score,
                distance=distance,
                ratio=grid.ratios[-1],
                caliper=caliper,
                order=order,
                calipers=job.protocol.matching.calipers,
                seed=job.ties,
            )
        except StudyError as error:
            yield from failed([one], str(error))
            continue
        for ratio in grid.ratios:
            # Every loan gets its first control before any gets its second, so fewer controls are the first of more.
            weight, group = pair_weights(_first(found.matches, ratio), treated == 1)
            if (treated_left := int(treated[weight > 0].sum())) < FEWEST:
                for after, outcome in itertools.product(grid.after_matching, loans.outcomes):
                    row = _row(batch, outcome, **choices(*one), ratio=ratio, after=after)
                    yield Specified(row | {"note": f"only {treated_left} treated loans find a partner."})
                continue
            unlike = balance(covariates, treated, scale, weight)["standardised_mean_difference"].abs().max()
            for after, outcome in itertools.product(grid.after_matching, loans.outcomes):
                row = _row(batch, outcome, **choices(*one), ratio=ratio, after=after)
                try:
                    specified = _on_pairs(job, loans, row, outcome, after, weight, group)
                except StudyError as error:
                    yield Specified(row | {"note": str(error)})
                else:
                    yield specified._replace(row=specified.row | {"unlike": float(unlike)})


def _first(matches: Matches, number: int) -> Matches:
    """Return the first controls of each treated loan."""
    opens = np.append(True, matches.treated[1:] != matches.treated[:-1])
    since = np.arange(len(opens)) - np.maximum.accumulate(np.where(opens, np.arange(len(opens)), 0))
    return Matches(matches.treated[since < number], matches.control[since < number])


def _on_pairs(
    job: Job, loans: _Loans, row: Row, outcome: str, after: str, weight: np.ndarray, group: np.ndarray
) -> Specified:
    """Return the effect on matched loans, errors clustered by matched set and cluster (`inference.on_matched`)."""
    rows = np.flatnonzero((weight > 0) & np.isfinite(loans.outcome(outcome)))
    controls = np.ones((len(rows), 1))
    if after != "none":
        terms = _controls(job.protocol, after)
        within = loans.frame.loc[rows, list(dict.fromkeys(map(column_in, terms)))]
        controls = design_matrix(within, terms).matrix.to_numpy()
    both = weight[rows] if loans.weights is None else weight[rows] * loans.weights[rows]
    cluster = loans.frame[job.protocol.cluster].to_numpy()[rows]
    ways = crossed(group[rows], cluster)
    values, weights = loans.outcome(outcome)[rows, None], None if (both == 1).all() else both
    clusters = np.column_stack([*ways.values()])
    effects, errors = ManyOutcomes(loans.treated[rows], controls, clusters, weights)(values)
    tested = loans.signs_changed(values, rows, controls, weights)
    return _specified(
        row,
        (effects[0], errors[0]),
        job.level,
        tested[0] if tested else None,
        n=len(rows),
        n_treated=int(loans.treated[rows].sum()),
        n_clusters=len(np.unique(group[rows] if [*ways] == ["pair"] else cluster)),
    )


def _controls(protocol: Study, after: str) -> list[str]:
    """Return the controls of a regression on matched loans: what was matched on, or all."""
    ladder = protocol.controls.ladder()
    if after == "covariates" or not ladder:
        return protocol.matching.score
    return _time_first([*ladder.values()][-1], protocol.controls.time)


def _time_first(terms: list[str], time: list[str]) -> list[str]:
    """Put time effects first: where they determine the market's national series, those are dropped, not a month."""
    return list(dict.fromkeys([*(term for term in terms if term in time), *terms]))


def _regressed(batch: Batch, loans: _Loans) -> Iterator[Specified]:
    """Yield the regressions that share their controls."""
    job = batch.job
    terms = _time_first(job.protocol.controls.ladder()[batch.part], job.protocol.controls.time)
    cluster = loans.frame[job.protocol.cluster]
    for outcomes in loans.known_alike():
        there = np.isfinite(loans.outcome(outcomes[0]))
        frame, weights = loans.frame[there], None if loans.weights is None else loans.weights[there]
        treated, labels = loans.treated[there], cluster[there]
        counts = {"n": len(frame), "n_treated": int(treated.sum()), "n_clusters": int(labels.nunique())}
        values = np.column_stack([loans.outcome(outcome)[there] for outcome in outcomes])

        def rows(model: str, outcomes: list[str] = outcomes) -> list[Row]:
            return [_row(batch, outcome, controls=batch.part, model=model) for outcome in outcomes]

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
            if dealt := [regress.coefficients(moved[there]) for moved in loans.dealt()]:
                columns = (np.concatenate(part, axis=1) for part in zip((effects, errors), *dealt, strict=True))
                tested = [*zip(*columns, strict=True)]
            for place, row in enumerate(rows("linear")):
                of_outcome = (effects[place, 0], errors[place, 0])
                yield _specified(row, of_outcome, job.level, tested[place] if tested else None, **counts)
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
            return counts | _in_points(found.effects["treated"].average_marginal_effect)
        if weights is None:
            # Gives the same as `logit`, in a fraction of the time.
            same = pd.Series(1.0, loans.index)
            return _in_points(weighted_logit(outcome, design, "treated", cluster, level, same).average_marginal_effect)
        return _in_points(logit(outcome, design, "treated", cluster, level, sampled).average_marginal_effect)
    except StudyError as error:
        return {"note": str(error)}


def _note(row: Row, params: Params, protocol: Study) -> str:
    """Say whether a specification is one of the study's own, and whether its pairs are unlike."""
    said = [row["note"]] if row.get("note") else []
    unlike = row.pop("unlike", None)
    if _of_study(row, params, protocol):
        said.append("headline" if row["estimator"] == "regression" else "matched pairs")
    if unlike is not None and unlike >= params.checks.balance:
        said.append(f"unlike: largest standardised difference {unlike:.3f}")
    return "; ".join(said)


def _of_study(row: Row, params: Params, protocol: Study) -> bool:
    match, ladder = params.match, [*protocol.controls.ladder()]
    own = {"sample": OWN, "treatment": OWN}
    if row["estimator"] == "regression":
        own |= {"controls": ladder[-1], "model": "linear"}
    else:
        if match.method != "nearest" or match.replacement or match.discard != "none" or match.caliper is None:
            return False
        if match.score == "boosting" and match.folds != params.specification_curve.folds:
            return False
        own |= {"score": match.score, "distance": match.distance, "caliper": f"{match.caliper:g}", "exact": OWN}
        own |= {"order": match.order, "ratio": str(match.ratio), "after": "none"}
    return row["outcome"] == "default" and choices_of(row["specification"]) == own


def choices_of(specification: str) -> dict[str, str]:
    """Return the choices that a specification names."""
    return dict(part.split("=", 1) for part in specification.split("; "))


def _summary(found: list[Specified], rows: list[Row], job: Job, params: Params) -> Iterator[Row]:
    """Yield how many specifications point which way, where the headline stands, and the test of all at once."""
    from scipy.stats import norm

    alpha = round(1 - job.level, 12)
    for part in ("all", "matching", "regression"):
        chosen = [
            (one, row)
            for one, row in zip(found, rows, strict=True)
            if part in ("all", row["estimator"]) and row.get("estimate") is not None
        ]
        if not chosen:
            continue
        estimates, p = (np.array([row[name] for _, row in chosen]) for name in ("estimate", "p_value"))
        lower, higher, clear = estimates < 0, estimates > 0, p < alpha
        counts = {
            "specifications": len(estimates),
            "lower": lower.sum(),
            "higher": higher.sum(),
            "significant_lower": (lower & clear).sum(),
            "significant_higher": (higher & clear).sum(),
            "unlike": sum("unlike" in row["note"] for _, row in chosen),
        }
        common = {"specification": part, "factor": "treated", "outcome": "any"}
        for name, count in counts.items():
            yield common | {
                "estimator": "specification_count",
                "estimand": name,
                "estimate": int(count),
                "unit": "specifications",
            }
        ends = {"ci_low": np.quantile(estimates, 0.05), "ci_high": np.quantile(estimates, 0.95)}
        note = "from the 5% to the 95% quantile of the specifications"
        yield (
            common
            | {
                "estimator": "spread",
                "estimand": "median",
                "estimate": float(np.median(estimates)),
                "unit": "percentage points",
                "note": note,
            }
            | ends
        )
        yield from _joint([one for one, _ in chosen], common, job, float(norm.ppf(1 - alpha / 2)))
    yield from _by_choice(rows)
    yield from _checked(rows, params)


def _by_choice(rows: list[Row]) -> Iterator[Row]:
    """Yield the median effect of the specifications that share a choice, where there were several to choose from."""
    known = [row for row in rows if row.get("estimate") is not None]
    shared: dict[tuple[str, str], list[float]] = {}
    for row in known:
        chosen = {"kind": row["estimator"], "outcome": OWN if row["outcome"] == "default" else row["outcome"]}
        for item in (chosen | choices_of(row["specification"])).items():
            shared.setdefault(item, []).append(row["estimate"])
    several = {name for name, _ in shared if sum(other == name for other, _ in shared) > 1}
    for (name, value), estimates in shared.items():
        if name in several:
            common = {"estimator": "by_choice", "specification": f"{name}={value}", "factor": "treated"}
            common["outcome"] = "any"
            median = float(np.median(estimates))
            yield common | {"estimand": "median", "estimate": median, "unit": "percentage points"}
            yield common | {"estimand": "specifications", "estimate": len(estimates), "unit": "specifications"}


def _joint(found: list[Specified], common: Row, job: Job, critical: float) -> Iterator[Row]:
    effects, errors = (np.array([getattr(one, name) for one in found]) for name in ("effects", "errors"))
    common = common | {"estimator": "joint_inference"}
    try:
        test = joint(effects, errors, critical)
    except StudyError as error:
        yield common | {"estimand": "median", "note": str(error)}
        return
    how = "treatment dealt by the study's lottery" if job.permuted == "dealt" else "signs of whole clusters"
    note = f"{test.permutations} permutations of {test.specifications} specifications; {how}"
    yield common | {"estimand": "median", "unit": "z statistic", "note": note} | test.median._asdict()
    yield common | {"estimand": "share_significant", "unit": "fraction", "note": note} | test.share._asdict()
    yield common | {"estimand": "stouffer", "unit": "z statistic", "note": note} | test.z._asdict()
    yield common | {"estimand": "centre", "estimate": test.centre, "unit": "z statistic", "note": note}
    yield common | {"estimand": "permuted", "estimate": test.specifications, "unit": "specifications", "note": note}


def _checked(rows: list[Row], params: Params) -> Iterator[Row]:
    """Yield whether the curve agrees on a sign, and whether the headline is a typical part of it."""
    own = next((row for row in rows if row["note"].startswith("headline") and row.get("estimate") is not None), None)
    if own is None:
        return
    estimates = np.array([row["estimate"] for row in rows if row.get("estimate") is not None])
    common = {name: own.get(name) for name in ("factor", "outcome", "n", "n_treated", "n_clusters")}
    same = max(float((estimates < 0).mean()), float((estimates > 0).mean()))
    alike, typical = params.specification_curve.alike, params.specification_curve.typical
    yield results.assumption("curve_of_one_mind", same, alike, passed=same >= alike, **common)
    # Middle of the ranks that the headline shares.
    place = float(((estimates < own["estimate"]).mean() + (estimates <= own["estimate"]).mean()) / 2)
    far = abs(2 * place - 1)
    yield results.assumption("headline_typical", far, typical, passed=far <= typical, **common)
    yield {
        "estimator": "spread",
        "specification": "all",
        "factor": "treated",
        "outcome": "any",
        "estimand": "place_of_headline",
        "estimate": place,
        "unit": "fraction",
    }
