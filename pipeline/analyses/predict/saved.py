"""The score that the stage predict saves, how it treats groups of clients, and what its use assumes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analyses.predict.judged import percent
from pipeline.analyses.predict.moments import ALL, HARD, Moment, Row
from pipeline.core import results
from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy, discrimination, prediction, saved_score, scorecard
from pipeline.stats.design import column_of
from pipeline.stats.inference import DOMINANT
from pipeline.stats.prediction import Sample
from pipeline.stats.samples import number_treated

ENOUGH = 100
"""Defaults among judged loans from which a score's validation is reliable (Vergouwe et al. 2005)."""

TOO_GOOD = 0.95
"""Area under the ROC curve that no single honest column reaches: a column above it says what happened."""

GROUPS = ("institution_type", "region", "small_firm", "female", "age", "married", "rural", "new_firm")
"""Groups of clients over whom a score should be right alike, where a study has them."""

MOST_GROUPS, SMALLEST_GROUP = 12, 50


def model_of(moment: Moment) -> dict[str, Any]:
    """Return the saved score: learnt at origination from the earlier loans, from all that is known then."""
    fold = moment.saved.folds[0]
    train = moment.sample.part(fold.train)
    terms = moment.rungs[ALL if ALL in moment.rungs else HARD]
    params = moment.params
    choices, grade = params.predict, params.grade
    card = prediction.fit(train, terms, "scorecard").model
    scale = scorecard.Scale(**choices.points.model_dump())
    for one, of_bins in zip(card["characteristics"], scorecard.points(card, scale), strict=True):
        one["points"] = of_bins
    model = saved_score.tidied(
        {
            "logistic": logistic(moment),
            "scorecard": card,
            "scale": scale._asdict(),
        }
    )
    cuts = {}
    for kind in saved_score.KINDS:
        share = saved_score.probability(model, kind, train.loans)
        at = saved_score.cuts(share, grade.cuts, grade.tiers, choices.capacity, train.weights, choices.threshold)
        cuts[kind] = at._asdict()
    dates = train.loans["origination_date"].dropna()
    return model | {
        "cuts": cuts,
        "capacity": choices.capacity,
        **({} if choices.threshold is None else {"threshold": choices.threshold}),
        "trained": {
            "loans": len(train.loans),
            "defaults": int(train.default.sum()),
            "split": moment.saved.name,
            "outcome": moment.outcome,
            "months_to_outcome": moment.months,
            "cut": moment.saved.cut,
            "first": "" if dates.empty else str(dates.min().date()),
            "last": "" if dates.empty else str(dates.max().date()),
            "weighted": train.weights is not None,
            "seed": moment.seed,
        },
    }


def logistic(moment: Moment) -> dict[str, Any]:
    """Return the regression on everything known at a moment, learnt from the earlier loans, as plain values."""
    train = moment.sample.part(moment.saved.folds[0].train)
    line = prediction.fit(train, moment.rungs[ALL if ALL in moment.rungs else HARD], "logistic")
    assert line.encoder is not None
    averages = np.average(line.encoder.matrix(train.loans), axis=0, weights=train.weights)
    return saved_score.tidied(saved_score.saved_logistic(line.encoder, *line.model, averages))


def groups(moment: Moment, model: dict[str, Any]) -> Iterator[Row]:
    """Yield alerts and calibration of the saved scorecard by group of clients, among the loans after the cut."""
    loans, default, weights = moment.sample.part(moment.saved.folds[0].test)
    clusters = loans[moment.protocol.cluster].to_numpy()
    share = saved_score.probability(model, "scorecard", loans)
    alert = saved_score.judged(share, model["cuts"]["scorecard"])["alert"].to_numpy(dtype=float)
    for name in GROUPS:
        if name not in loans or loans[name].isna().any() or loans[name].nunique() < 2:
            continue
        labels = loans[name]
        if pd.api.types.is_numeric_dtype(labels):
            if labels.nunique() > 2:
                edges = np.unique(np.round(np.quantile(labels, [1 / 3, 2 / 3])))
                place = np.searchsorted(edges, labels, side="left")
                ends = ["", *(results.figures(edge) for edge in edges), ""]
                labels = pd.Series([f"{ends[one]}..{ends[one + 1]}" for one in place], loans.index)
            else:
                labels = labels.map("{:g}".format)
        if labels.nunique() > MOST_GROUPS:
            continue
        labels = labels.astype(str)
        for level in sorted(labels.unique()):
            inside = (labels == level).to_numpy()
            if inside.sum() < SMALLEST_GROUP or not default[inside].any():
                continue
            within = None if weights is None else weights[inside]
            ways = {"alert_rate": alert, "observed_rate": default, "predicted_rate": share}
            for estimand, values in ways.items():
                one = percent(accuracy.mean_effect(values[inside], within, moment.level, clusters[inside]))
                more = {"unit": "percent", "loans": loans[inside], "specification": moment.saved.name}
                yield moment.row("group", f"{name}[{level}]", estimand, **one._asdict(), **more)


def assumptions(moment: Moment, model: dict[str, Any]) -> Iterator[Row]:
    """Yield what the saved scorecard's use assumes, checked on the loans after the cut."""
    fold = moment.saved.folds[0]
    train, test = moment.sample.part(fold.train), moment.sample.part(fold.test)
    common = {
        "factor": "scorecard",
        "outcome": moment.outcome,
        "n": len(test.loans),
        "n_treated": number_treated(test.loans),
        "n_clusters": test.loans[moment.protocol.cluster].nunique(),
    }
    judged = int(moment.test.default.sum())
    of_clusters = moment.test.loans[moment.protocol.cluster].value_counts(normalize=True)
    yield results.assumption("judged_defaults", judged, ENOUGH, passed=judged >= ENOUGH, **common)
    largest = float(of_clusters.iloc[0])
    by = common | {"factor": moment.protocol.cluster, "n": len(moment.test.loans), "n_clusters": len(of_clusters)}
    yield results.assumption("no_dominant_cluster", largest, DOMINANT, passed=largest <= DOMINANT, **by)
    known = float(moment.split.forecasts)
    yield results.assumption("outcomes_known", known, 1, passed=moment.split.forecasts, **common)
    before, after = (saved_score.probability(model, "scorecard", one.loans) for one in (train, test))
    moved = accuracy.score_stability(before, after, train.weights, test.weights)
    most = moment.params.grade.stable
    yield results.assumption("score_stable", moved, most, passed=moved <= most, **common)
    try:
        clusters = test.loans[moment.protocol.cluster]
        large = accuracy.calibration(test.default, after, test.weights, moment.level, clusters).intercept
        held = large.ci_low <= 0 <= large.ci_high
        yield results.assumption("score_calibrated", large.estimate, 0, passed=held, p_value=large.p_value, **common)
    except StudyError:
        pass
    best, column = _best_column(train, moment.rungs[ALL if ALL in moment.rungs else HARD])
    yield results.assumption(
        "no_column_tells_all", best, TOO_GOOD, passed=best <= TOO_GOOD, **(common | {"factor": column})
    )


def _best_column(train: Sample, terms: list[str]) -> tuple[float, str]:
    """Return the largest area under the ROC curve of a single column of the training loans, and its term."""
    from pipeline.stats.features import learn

    encoder = learn(train.loans, terms, train.weights)
    matrix = encoder.matrix(train.loans)
    best, name = 0.5, ""
    for column, term in zip(matrix.T, encoder.terms, strict=True):
        area = discrimination.area(train.default, column, train.weights)
        if max(area, 1 - area) > best:
            best, name = max(area, 1 - area), column_of(term)
    return best, name
