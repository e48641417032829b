"""What a score is worth on the loans that judge it: order, calibration, decisions, gains on others, and curves."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.analyses.predict.moments import HARD, HARD_MARKET, MARKET, Moment, Row
from pipeline.core.params import Params
from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy, discrimination
from pipeline.stats.inference import Effect, scaled
from pipeline.stats.prediction import Kind
from pipeline.stats.shares import on_log_odds

CONTACTS = {"": 1.0, "_at_half": 0.5, "_at_twice": 2.0}
"""Multiples of the assumed cost of a contact at which savings are compared: the answer should not hang on one."""


def quality(moment: Moment, kind: Kind, rung: str, share: np.ndarray) -> Iterator[Row]:
    """Yield order, calibration, decisions and stability of one score; intervals allow for the protocol's clusters."""
    _, default, weights = moment.test
    level, choices, clusters = moment.level, moment.params.predict, moment.clusters

    def row(estimand: str, found: Effect | float, unit: str, **more: Any) -> Row:
        numbers = found._asdict() if isinstance(found, Effect) else {"estimate": found}
        return moment.row(kind, rung, estimand, **(numbers | {"unit": unit} | more))

    try:
        yield row("auc", accuracy.area(default, share, level, clusters, weights), "area")
    except StudyError as error:
        estimate = discrimination.area(default, share, weights)
        yield moment.row(kind, rung, "auc", estimate=estimate, unit="area", note=str(error))
    yield row("kolmogorov_smirnov", accuracy.kolmogorov_smirnov(default, share, weights), "share")
    brier = accuracy.mean_effect((default - share) ** 2, weights, level, clusters)._replace(p_value=np.nan)
    yield row("brier", brier, "squared error")
    try:
        right = accuracy.calibration(default, share, weights, level, clusters)
    except StudyError as error:
        yield moment.row(kind, rung, "calibration_slope", note=str(error))
    else:
        yield row("calibration_slope", right.slope, "log odds for log odds")
        yield row("calibration_intercept", right.intercept, "log odds")
    note = f"the {100 * choices.capacity:g}% of loans with the highest scores"
    try:
        found = accuracy.alerts(default, share, weights, choices.capacity, level, clusters, moment.seed)
    except StudyError as error:
        yield moment.row(kind, rung, "precision", note=str(error))
    else:
        yield row("precision", percent(found.precision), "percent", note=note)
        yield row("recall", percent(found.recall), "percent", note=note)
        yield row("lift", found.lift, "times", note=note)
    costs = choices.costs
    saving = _saving(moment, default, share)
    note = f"loss {_lost(moment.params):g}, contact {costs.contact:g}, prevented {costs.prevented:g}"
    yield row("saving", accuracy.mean_effect(saving, weights, level, clusters), "of 100 lent", note=note)


def _saving(moment: Moment, default: np.ndarray, share: np.ndarray, multiple: float = 1.0) -> np.ndarray:
    costs = moment.params.predict.costs
    return accuracy.savings(
        default, share, loss=_lost(moment.params), contact=multiple * costs.contact, prevented=costs.prevented
    )


def _lost(params: Params) -> float:
    """Return what a default loses, of 100 lent."""
    return 100 * params.loss_share


def gains(
    moment: Moment, kind: Kind, rung: str, share: np.ndarray, found: dict[tuple[Kind, str], np.ndarray]
) -> Iterator[Row]:
    """Yield what a score gains on those with fewer blocks, and on the logistic regression."""
    against = {}
    if rung not in (HARD, HARD_MARKET, MARKET) and (kind, HARD) in found:
        against["gain"] = found[kind, HARD]
    order = [name for name in moment.rungs if name != HARD_MARKET]
    place = order.index(rung) if rung in order else 0
    if place and (kind, order[place - 1]) in found and kind == "logistic":
        against["step"] = found[kind, order[place - 1]]
    if rung == MARKET:
        against["gain_given_market"] = found[kind, HARD_MARKET]
    if kind != "logistic" and ("logistic", rung) in found:
        against["gain_on_logistic"] = found["logistic", rung]
    _, default, weights = moment.test
    level, clusters = moment.level, moment.clusters
    for name, other in against.items():
        by_loan = accuracy.gain(default, other, share, level, weights=weights)
        yield moment.row(kind, rung, f"auc_{name}", **by_loan._asdict(), unit="area")
        try:
            clustered = accuracy.gain(default, other, share, level, clusters, weights)
            yield moment.row(kind, rung, f"auc_{name}_clustered", **clustered._asdict(), unit="area")
        except StudyError as error:
            yield moment.row(kind, rung, f"auc_{name}_clustered", note=str(error))
        better = accuracy.mean_effect((default - other) ** 2 - (default - share) ** 2, weights, level, clusters)
        note = "above nought: better; by cluster"
        yield moment.row(kind, rung, f"brier_{name}", **better._asdict(), unit="squared error", note=note)
        if name == "step":
            continue
        more = {
            suffix: _saving(moment, default, share, multiple) - _saving(moment, default, other, multiple)
            for suffix, multiple in CONTACTS.items()
        }
        for suffix, values in (more | {"_over_costs": np.mean([*more.values()], axis=0)}).items():
            saved = accuracy.mean_effect(values, weights, level, clusters)._asdict()
            at = [suffix] if suffix in CONTACTS else CONTACTS
            costs = ", ".join(f"{CONTACTS[one] * moment.params.predict.costs.contact:g}" for one in at)
            note = f"{'mean over contact' if len(at) > 1 else 'contact'} {costs}; by cluster"
            yield moment.row(kind, rung, f"saving_{name}{suffix}", **saved, unit="of 100 lent", note=note)


def percent(found: Effect) -> Effect:
    """Return a share in percent."""
    return scaled(on_log_odds(found), 100)._replace(p_value=np.nan)


def curves(moment: Moment, shares: dict[Kind, np.ndarray], rung: str) -> Iterator[Row]:
    """Yield the points of the figures: ROC, reliability and lift."""
    _, default, weights = moment.test
    for kind, share in shares.items():
        for one in accuracy.roc(default, share, weights=weights).itertuples():
            more = {"outcome": f"{one.false_alarms:.4f}", "estimate": one.found, "unit": "share"}
            yield moment.row("roc", rung, kind, **more)
        for one in accuracy.gains(default, share, weights).itertuples():
            yield moment.row("gains", rung, kind, outcome=f"{one.flagged:.4f}", estimate=one.lift, unit="times")
        bins = accuracy.reliability(default, share, weights, moment.level, clusters=moment.clusters)
        for one in bins.itertuples():
            ends = {"estimate": 100 * one.rate, "ci_low": 100 * one.low, "ci_high": 100 * one.high, "n": one.n}
            yield moment.row("reliability", rung, kind, outcome=f"{100 * one.predicted:.6f}", unit="percent", **ends)
