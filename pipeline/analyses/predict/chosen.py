"""Which learner the training loans alone would choose, and what it is worth on the loans that judge it."""

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


def chosen(moment: Moment, found: dict[tuple[Kind, str], np.ndarray]) -> Iterator[Row]:
    """Yield the chosen learner's area with hard information and with CRM, and what CRM adds to the chosen one.

    `found` are the predicted shares of the judged loans, by learner and rung.
    """
    best: dict[str, Kind] = {}
    _, default, weights = moment.test
    for rung in (HARD, ALL):
        kinds = [kind for kind, of in found if of == rung]
        if len(kinds) < 2:
            continue
        try:
            areas, loans = cross_validated(moment, rung, kinds)
            best[rung] = max(kinds, key=lambda kind: areas[kind])
            area = accuracy.area(default, found[best[rung], rung], moment.level, moment.clusters, weights)
        except StudyError as error:
            yield moment.row("chosen", rung, "auc", note=str(error))
            continue
        compared = ", ".join(f"{kind} {areas[kind]:.3f}" for kind in kinds)
        note = f"{best[rung]}; by {FOLDS} parts of the clusters of {loans:,} training loans: {compared}"
        yield moment.row("chosen", rung, "auc", **area._asdict(), unit="area", note=note)
    if len(best) < 2:
        return
    shares = [found[best[rung], rung] for rung in (HARD, ALL)]
    note = f"{best[ALL]} with CRM less {best[HARD]} without"
    try:
        gain = accuracy.gain(default, *shares, moment.level, moment.clusters, weights)
    except StudyError as error:
        yield moment.row("chosen", ALL, "auc_gain_clustered", note=str(error))
        return
    yield moment.row("chosen", ALL, "auc_gain_clustered", **gain._asdict(), unit="area", note=note)


def cross_validated(moment: Moment, rung: str, kinds: Collection[Kind]) -> tuple[dict[Kind, float], int]:
    """Return each learner's area on training loans of clusters that it has not seen, and of how many loans.

    Where loans are judged span by span, those before the first of them: none that is judged has a say. Raises
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
