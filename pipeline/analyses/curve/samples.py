"""The loans of any sample, with how each choice of treatment, outcome and sample sees them."""

from typing import Any

import pandas as pd

from pipeline.analyses.curve.choices import OWN
from pipeline.core.fields import nearest
from pipeline.core.protocol import Condition, Outcome, Sample, Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import score_columns
from pipeline.stats.scores import propensity
from pipeline.stats.weighting import probability


def seen(cohort: pd.DataFrame, wider: pd.DataFrame | None, protocol: Study, seed: int) -> pd.DataFrame:
    """Return all loans of any sample, sorted, with columns that say how each choice sees them.

    `wider` are the loans of the study's wider sample (loans x columns of the cohort), where one is asked for.
    ``sample <name>`` and ``treatment <name>`` are 0/1; ``outcome <name>`` is missing where a loan has none.
    Raises StudyError where an alternative names what the cohort does not have.
    """
    others = protocol.alternatives
    frame = cohort
    if wider is not None:
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
        inside = _in_sample(frame, sample, own, protocol, seed, f"samples.{name}")
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
                score_columns(few, protocol.matching.score),
                few["treated"].to_numpy(),
                few["loan_id"].to_numpy(),
                seed=seed,
            )
        )
        inside[inside] = (chance >= sample.score_within) & (chance <= 1 - sample.score_within)
    return inside
