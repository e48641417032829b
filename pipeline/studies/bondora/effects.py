"""What one platform's file allows on customers who come back: the rule, how long they are watched, how they repaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.stats.rates import default_rates
from pipeline.studies.specified import Specifications, specified

Row = dict[str, Any]

RETURNING, NUMBER = "relationship_depth_returning", "relationship_depth_prior_loans"

MOST = 6
"""Earlier loans from which customers stand together."""

ENDS = ("2014-12", "2015-12", "2016-12", "2017-12")
"""Last months of shorter windows: loans applied for earlier were watched for longer."""

COLUMNS = ("repaid_early", "term_over", "watched_years")
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(cohort: pd.DataFrame, panels: Mapping[str, pd.DataFrame], protocol: Study, params: Params) -> list[Row]:
    """Return rows of the results table; of the panels none is read."""
    level, cluster = params.inference.level, protocol.cluster
    controls = [term for term in [*protocol.controls.ladder().values()][-1] if term not in protocol.controls.time]
    every, time = [*controls, *protocol.controls.time], list(protocol.controls.time)
    loans = cohort.assign(
        several=(cohort[NUMBER] >= 1).astype(float),
        grade_step=cohort["credit_grade"].cat.codes.astype(float),
        **{
            f"earlier_{number}": (cohort[NUMBER].clip(upper=MOST) == number).astype(float)
            for number in range(1, MOST + 1)
        },
    )
    borrower = list(protocol.controls.borrower)
    return [
        *_agreement(loans),
        *specified("rule", [RETURNING], _alone_and_with(loans, time, every), cluster, level),
        *specified("rule", ["several"], _alone_and_with(loans, time, every), cluster, level),
        *specified(
            "by_number",
            [f"earlier_{many}" for many in range(1, MOST + 1)],
            _alone_and_with(loans, time, every),
            cluster,
            level,
        ),
        *specified("watched", [RETURNING], _watched(loans, every), cluster, level),
        *_years(loans, level),
        *specified(
            "rating",
            [RETURNING],
            {"same_month": (loans, time), "same_borrower": (loans, [*borrower, *time])},
            cluster,
            level,
            outcome="grade_step",
            scale=1,
            estimand="mean_difference",
            unit="grades",
        ),
        *specified(
            "price",
            [RETURNING],
            {"same_month": (loans, time), "same_grade": (loans, ["credit_grade", *time])},
            cluster,
            level,
            outcome="interest_rate",
            scale=1,
            estimand="mean_difference",
            unit="points of interest",
        ),
        *specified(
            "rating_left_out",
            [RETURNING],
            {
                "without_rating": (loans, [term for term in every if term != "credit_grade"]),
                "with_interest": (loans, [*every, "interest_rate"]),
            },
            cluster,
            level,
        ),
        *_behaviour(loans[loans[RETURNING] == 1], every, cluster, level),
    ]


def _alone_and_with(loans: pd.DataFrame, time: list[str], every: list[str]) -> Specifications:
    return {"alone": (loans, []), "same_month": (loans, time), "controls": (loans, every)}


def _agreement(loans: pd.DataFrame) -> Iterator[Row]:
    """Count how the platform's word on who is new agrees with the number of earlier loans on record."""
    for name, returning in {"new": 0, "returning": 1}.items():
        for record, several in {"none": 0, "some": 1}.items():
            here = loans[(loans[RETURNING] == returning) & (loans["several"] == several)]
            yield {
                "estimator": "agreement",
                "specification": f"{name}_{record}",
                "estimand": "loans",
                "estimate": len(here),
                "n": len(loans),
                "unit": "loans",
            }


def _watched(loans: pd.DataFrame, every: list[str]) -> Specifications:
    """Return samples of loans that were watched for longer, up to those whose term was over."""
    month = loans["origination_month"].astype(str)
    windows = {f"until_{end}": (loans[month <= end], every) for end in ENDS}
    return windows | {"term_over": (loans[loans["term_over"] == 1], every)}


def _years(loans: pd.DataFrame, level: float) -> Iterator[Row]:
    """Yield default by year of application and arm, and how long the loans of the year were watched at least."""
    for name, value in {"new": 0, "returning": 1}.items():
        here = loans[loans[RETURNING] == value]
        for year, rate in default_rates(here["default"], here["origination_year"], level).iterrows():
            yield {
                "estimator": "by_year",
                "specification": name,
                "factor": f"origination_year[{year}]",
                "outcome": "default",
                "estimand": "rate",
                "estimate": 100 * rate["rate"],
                "ci_low": 100 * rate["ci_low"],
                "ci_high": 100 * rate["ci_high"],
                "n": int(rate["n"]),
                "unit": "percent",
            }
    for name, column, unit in (("shortest", "watched_years", "years"), ("term_over", "term_over", "percent")):
        value = loans[column].min() if name == "shortest" else 100 * loans[column].mean()
        row = {"estimator": "follow_up", "specification": name, "estimand": name, "estimate": value, "unit": unit}
        yield row | {"n": len(loans)}


def _behaviour(returning: pd.DataFrame, every: list[str], cluster: str, level: float) -> Iterator[Row]:
    """Of customers who came back: the number of loans and early repayment, apart and together."""
    sample = {"controls": (returning, every)}
    yield from specified("behaviour", [NUMBER], {"number": sample["controls"]}, cluster, level)
    yield from specified("behaviour", ["repaid_early"], {"early": sample["controls"]}, cluster, level)
    yield from specified("behaviour", [NUMBER, "repaid_early"], {"together": sample["controls"]}, cluster, level)
