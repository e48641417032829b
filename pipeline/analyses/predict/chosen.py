"""Which learner the training loans alone would choose without CRM, and what CRM adds to it on loans that judge it."""

from collections.abc import Collection, Iterator

import numpy as np

from pipeline.analyses.predict.moments import ALL, HARD, Moment, Row, enough
from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy, discrimination, prediction, splits
from pipeline.stats.prediction import Kind

FOLDS = 3
"""Parts into which clusters of training loans are split."""

MOST = 8_000
"""Training loans on which learners are compared: of more, so many are drawn by lot."""

DECIMALS = 9
"""Of areas that are compared: what differs less is alike, and the learner that is named first is chosen."""

NAMES = {HARD: "hard information", ALL: "all there is"}
"""What is said of the information by which the learner is chosen."""


def chosen(moment: Moment, found: dict[tuple[Kind, str], np.ndarray]) -> Iterator[Row]:
    """Yield one learner's area with hard information and with CRM, and what CRM adds to it.

    It is chosen once, of those that learn with and without CRM: by hard information, as a lender would without CRM, or
    where there is no such, by what there is. Another one with CRM would take a change of learner for what CRM tells.
    `found` are the predicted shares of the judged loans, by learner and rung.
    """
    _, default, weights = moment.test
    rungs = [rung for rung in (HARD, ALL) if rung in moment.rungs]
    by = rungs[0]
    kinds = [kind for kind, of in found if of == by and all((kind, rung) in found for rung in rungs)]
    if len(kinds) < 2:
        return
    try:
        areas, loans = cross_validated(moment, by, kinds)
    except StudyError as error:
        for rung in rungs:
            yield moment.row("chosen", rung, "auc", note=str(error))
        return
    best = max(kinds, key=lambda kind: areas[kind])
    compared = ", ".join(f"{kind} {areas[kind]:.3f}" for kind in kinds)
    how = f"{best}; by {FOLDS} parts of the clusters of {loans:,} training loans"
    note = f"{how}, with {NAMES[by]}: {compared}"
    for rung in rungs:
        try:
            area = accuracy.area(default, found[best, rung], moment.level, moment.clusters, weights)
        except StudyError as error:
            yield moment.row("chosen", rung, "auc", note=str(error))
        else:
            yield moment.row("chosen", rung, "auc", **area._asdict(), unit="area", note=note)
    if len(rungs) < 2:
        return
    try:
        gain = accuracy.gain(default, found[best, HARD], found[best, ALL], moment.level, moment.clusters, weights)
    except StudyError as error:
        yield moment.row("chosen", ALL, "auc_gain_clustered", note=str(error))
        return
    note = f"{best} with CRM less {best} without"
    yield moment.row("chosen", ALL, "auc_gain_clustered", **gain._asdict(), unit="area", note=note)


def cross_validated(moment: Moment, rung: str, kinds: Collection[Kind]) -> tuple[dict[Kind, float], int]:
    """Return each learner's area on training loans of clusters that it has not seen, and of how many loans.

    Where loans are judged by rolling origin, those before the first of them: none that is judged has a say. Raises
    StudyError where parts of them hold too few defaults to learn from.
    """
    train = moment.sample.part(moment.split.folds[0].train)
    few = prediction.by_lot(train, MOST, moment.seed)
    # Parts are masks of rows.
    few = few._replace(loans=few.loans.reset_index(drop=True))
    parts = splits.by_group(few.loans[moment.protocol.cluster], FOLDS)
    if not all(enough(few.default[fold.train]) and fold.test.any() for fold in parts.folds):
        raise StudyError("too few of the training loans' clusters hold defaults to choose a learner by them.")
    held = few.part(parts.test)
    areas = {}
    for kind in kinds:
        share = prediction.predict(few, parts, moment.rungs[rung], kind, moment.seed).share
        areas[kind] = round(discrimination.area(held.default, share, held.weights), DECIMALS)
    return areas, len(few.loans)
