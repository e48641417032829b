"""Fit and judge scores of default on later loans, with and without what CRM knows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analyses.predict import judged as predict_judged
from pipeline.analyses.predict import saved as predict_saved
from pipeline.analyses.predict.chosen import chosen
from pipeline.analyses.predict.moments import ALL, HARD, Moment, Row, enough, moments
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.scope import FEWEST, Scope, as_measured
from pipeline.core.shared import OutcomeWindow
from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy, dependence, discrimination, prediction, splits
from pipeline.stats.design import column_of
from pipeline.stats.prediction import Fitted, Kind, Sample

FOLDS = 5
"""Parts into which institutions are split."""

IMPORTANCE: tuple[Kind, ...] = ("logistic", "boosting")
"""Models whose blocks are permuted."""

TREES: tuple[Kind, ...] = ("tree", "forest", "boosting")
"""Models without coefficients to read, of which the best one's dependence on single columns is shown."""

SHOWN, MOST_RANKED = 6, 8_000
"""Columns that are shown, and loans on which they are ranked."""

HARD_INFORMATION = {
    "grade_and_lender": ("credit_grade", "institution_type"),
    "application": ("credit_grade", "institution_type", "debt_to_income", "loan_type", "small_firm"),
}
"""Narrower meanings of hard information, in simulated studies, whose design does not say which it means."""

EXPECTED, WITHIN = {HARD: 0.78, ALL: 0.79}, 0.01
"""Areas under the ROC curve that the design of the reference study expects, and how near is near."""

REPEATS = 5
"""Times that each block's columns are permuted."""


def rows(
    cohort: pd.DataFrame, allowed: Scope, window: OutcomeWindow | None, params: Params, seed: int
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows on prediction, and the score to save.

    Parameters
    ----------
    cohort
        Prepared loans, in any order.
    allowed
        What the cohort allows of the protocol.
    window
        The study's own, within which default counts for scores.
    params
        The sections ``predict``, ``grade``, ``loss_share`` and ``inference`` are read.
    seed
        Of every draw.

    Returns
    -------
    rows
        Where nothing can be predicted, one that says why.
    model
        What `saved_score` reads, but for its version and the study's name; where no score was fitted, ``nothing`` with
        the reason.

    """
    cohort = cohort.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)
    found: list[Row] = []
    model: dict[str, Any] = {}
    try:
        if allowed.lacks("few_defaults"):
            raise StudyError("too few loans defaulted, or too few did not.")
        for moment in moments(cohort, as_measured(allowed.protocol), window, params, seed):
            found += [*_judge(moment)]
            if not model:
                model = predict_saved.model_of(moment)
                found += predict_saved.groups(moment, model)
                found += predict_saved.assumptions(moment, model)
            else:
                # For the grades' migration; a loan that is applied for has no landmark yet.
                model["renewed"] = predict_saved.logistic(moment)
    except StudyError as error:
        if model:
            # At origination it went well; what is missing is the landmark.
            found.append({"estimator": "not_predicted", "outcome": "default_after_landmark", "note": str(error)})
        else:
            found = [{"estimator": "not_predicted", "outcome": "default", "n": len(cohort), "note": str(error)}]
            model = {"nothing": str(error)}
    return found, model


def _judge(moment: Moment) -> Iterator[Row]:
    """Yield every number on the scores at a moment."""
    most = moment.params.predict.most_loans
    judged = {
        (kind, rung): prediction.predict(moment.sample, moment.split, terms, kind, moment.seed, most)
        for rung, terms in moment.rungs.items()
        for kind in _kinds(moment, rung)
    }
    found = {name: one.share for name, one in judged.items()}
    yield from _counts(moment)
    for (kind, rung), share in found.items():
        yield from predict_judged.quality(moment, kind, rung, share)
        yield from predict_judged.gains(moment, kind, rung, share, found)
    yield from chosen(moment, found)
    last = ALL if ALL in moment.rungs else HARD
    if not moment.full:
        return
    yield from predict_judged.curves(
        moment, {kind: share for (kind, rung), share in found.items() if rung == last}, last
    )
    if last == ALL and ("logistic", HARD) in found:
        yield from predict_judged.curves(moment, {"logistic": found["logistic", HARD]}, HARD)
    fold = moment.split.folds[-1]
    train, test = moment.sample.part(fold.train), moment.sample.part(fold.test)
    sorting = {"factor": ", ".join(prediction.SORTING), "outcome": moment.outcome}
    yield from results.drawn_by_lot(min(most, len(train.loans)), len(train.loans), **sorting)
    if enough(test.default):
        asked = prediction.by_lot(test, most, moment.seed)
        yield from results.drawn_by_lot(len(asked.loans), len(test.loans), factor="importance", outcome=moment.outcome)
        for place, kind in enumerate(IMPORTANCE):
            fitted = judged[kind, last].fitted
            lost = prediction.importance(fitted, asked, moment.blocks, REPEATS, [moment.seed, place])
            for block, (mean, spread) in lost.items():
                more = {"estimate": mean, "std_error": spread, "unit": "area", "loans": asked.loans}
                note = f"mean and standard deviation of {REPEATS} draws"
                yield moment.row(f"importance_{kind}", block, "auc_lost", note=note, **more)
        yield from _dependence(moment, {kind: judged[kind, last].fitted for kind in TREES}, found, last, test)
    for node in prediction.nodes(judged["tree", last].fitted):
        threshold = "" if np.isnan(node.threshold) else results.figures(node.threshold)
        named = {"specification": node.path, "loans": train.loans, "n": node.loans, "note": threshold}
        yield moment.row("tree_node", node.column, "default_rate", estimate=100 * node.rate, unit="percent", **named)
    if HARD in moment.rungs and ALL in moment.rungs:
        yield from _complete(moment, found["logistic", HARD])
        if moment.protocol.design == "simulated":
            yield from _definitions(moment, found)
    yield from _other_institutions(moment)
    if moment.protocol.after_origination() and ALL in moment.rungs:
        yield from _updated(moment, found["logistic", ALL])


def _definitions(moment: Moment, found: dict[tuple[Kind, str], np.ndarray]) -> Iterator[Row]:
    """Yield the areas that the design expects, and those at each meaning of hard information."""
    for rung, area in EXPECTED.items():
        limits = {"ci_low": area - WITHIN, "ci_high": area + WITHIN}
        yield moment.row("hard_information", "design", f"auc_{rung}", estimate=area, **limits, unit="area")
    crm = [term for term in moment.rungs[ALL] if term not in moment.rungs[HARD]]
    for name, columns in HARD_INFORMATION.items():
        hard = [term for term in moment.rungs[HARD] if column_of(term) in columns]
        if {column_of(term) for term in hard} != set(columns):
            continue
        for rung, terms in {HARD: hard, ALL: [*hard, *crm]}.items():
            share = prediction.predict(moment.sample, moment.split, terms, "logistic").share
            area = accuracy.area(moment.test.default, share, moment.level, moment.clusters)._asdict()
            yield moment.row("hard_information", name, f"auc_{rung}", **area, unit="area")
    for rung in EXPECTED:
        area = accuracy.area(moment.test.default, found["logistic", rung], moment.level, moment.clusters)._asdict()
        yield moment.row("hard_information", "everything", f"auc_{rung}", **area, unit="area")


def _dependence(
    moment: Moment, fitted: dict[Kind, Fitted], found: dict[tuple[Kind, str], np.ndarray], last: str, test: Sample
) -> Iterator[Row]:
    """Yield how the best of the trees' predictions depend on what matters most to them."""
    areas = {kind: discrimination.area(moment.test.default, found[kind, last], moment.test.weights) for kind in fitted}
    best = max(areas, key=lambda kind: areas[kind])
    # Ranks need no more loans than these.
    few = dependence.thinned(test, MOST_RANKED)
    if not enough(few.default):
        few = test
    for one in dependence.most_important(fitted[best], few, SHOWN, REPEATS, [moment.seed, len(IMPORTANCE)]):
        common = {"loans": few.loans, "note": best}
        yield moment.row("term_importance", one.column, "auc_lost", estimate=one.lost, unit="area", **common)
        for value, share in zip(one.values, one.shares, strict=True):
            at = value if isinstance(value, str) else results.figures(value)
            named = {"outcome": at, "estimate": 100 * share, "unit": "percent"}
            yield moment.row("partial_dependence", one.column, "default_rate", **named, **common)


def _counts(moment: Moment) -> Iterator[Row]:
    """Yield how many loans teach and are judged, of how many dates, from when on, and what was known by then."""
    _, default, _ = moment.sample
    teach = moment.split.folds[-1].train
    date = moment.sample.loans["origination_date"]
    counts = {"train_loans": teach.sum(), "train_defaults": default[teach].sum(), "dates": date.nunique()}
    counts["factors_with_gaps"] = len(_with_gaps(moment))
    counts |= {"test_loans": len(moment.test.loans), "test_defaults": moment.test.default.sum()}
    if moment.months is not None:
        # Earlier loans whose outcome was not known when the first of the judged ones was granted.
        earlier = (date < pd.Timestamp(moment.saved.cut)).to_numpy() & ~moment.saved.folds[0].train
        counts |= {"months_to_outcome": moment.months, "loans_left_out": earlier.sum()}
    for name, number in counts.items():
        yield moment.row("split", "", name, estimate=float(number), unit="count", note=moment.split.cut)


def _with_gaps(moment: Moment) -> list[str]:
    """Return the CRM factors that some loans lack."""
    of_crm = [term for name, terms in moment.blocks.items() if name != HARD for term in terms]
    return [term for term in of_crm if moment.sample.loans[column_of(term)].isna().any()]


def _complete(moment: Moment, hard: np.ndarray) -> Iterator[Row]:
    """Yield what CRM factors without gaps add: a gap that is marked may tell of the lender's files."""
    gaps = _with_gaps(moment)
    terms = [term for term in moment.rungs[ALL] if term not in gaps]
    if not gaps or len(terms) == len(moment.rungs[HARD]):
        return
    default = moment.test.default
    share = prediction.predict(moment.sample, moment.split, terms, "logistic").share
    named = ("logistic", ALL, "auc_gain_of_complete_clustered")
    try:
        found = accuracy.gain(default, hard, share, moment.level, moment.clusters, moment.test.weights)
    except StudyError as error:
        yield moment.row(*named, note=str(error))
        return
    yield moment.row(*named, **found._asdict(), unit="area", note=f"without {', '.join(gaps)}")


def _kinds(moment: Moment, rung: str) -> tuple[Kind, ...]:
    if rung not in (HARD, ALL):
        return ("logistic",)
    if not moment.full:
        return ("logistic", "scorecard")
    only = ALL not in moment.rungs
    return prediction.KINDS if rung == ALL or only else ("logistic", "scorecard", "boosting")


def _other_institutions(moment: Moment) -> Iterator[Row]:
    """Yield how the scores do at lenders of which no loan was seen."""
    sample = moment.sample
    lender = sample.loans.get("institution_id")
    if lender is None or lender.isna().any() or lender.nunique() < 2 * FEWEST or ALL not in moment.rungs:
        return
    split = splits.by_group(lender, FOLDS)
    here = moment._replace(split=split, test=sample.part(split.test))
    if not all(enough(sample.default[fold.train]) for fold in split.folds):
        return
    found: dict[tuple[Kind, str], np.ndarray] = {}
    for rung in (HARD, ALL):
        if rung in moment.rungs:
            share = prediction.predict(sample, split, moment.rungs[rung], "logistic").share
            found["logistic", rung] = share
            try:
                area = accuracy.area(here.test.default, share, here.level, here.clusters, here.test.weights)._asdict()
            except StudyError as error:
                yield here.row("logistic", rung, "auc", note=str(error))
            else:
                yield here.row("logistic", rung, "auc", **area, unit="area")
    if HARD in moment.rungs:
        yield from predict_judged.gains(here, "logistic", ALL, found["logistic", ALL], found)


def _updated(moment: Moment, share: np.ndarray) -> Iterator[Row]:
    """Yield what a score that is renewed at the landmark gains on one that stays as it was at origination."""
    later = set(moment.protocol.after_origination())
    static = [term for term in moment.rungs[ALL] if term not in later]
    other = prediction.predict(moment.sample, moment.split, static, "logistic").share
    found = accuracy.gain(moment.test.default, other, share, moment.level, moment.clusters, moment.test.weights)
    yield moment.row("logistic", ALL, "auc_gain_on_static", **found._asdict(), unit="area")
