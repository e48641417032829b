"""What few defaults allow: penalised and exact regressions, and how large an effect would have had to be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.added_information import added
from pipeline.stats.design import design_matrix
from pipeline.stats.exact import exact_tests, fisher
from pipeline.stats.firth import firth_logit
from pipeline.stats.power import detectable_rates, minimum_detectable
from pipeline.stats.prediction import Sample
from pipeline.stats.splits import rolling

POWER = 0.8
"""Probability with which an effect of the minimum detectable size is found."""

POINTS = "percentage points"

APPLICATION = ("log(amount)", "term_months", "age", "female", "district_salary", "district_unemployment")
"""What an application tells of a client whose account nobody has looked at."""

ACCOUNT = ("log(balance_mean)", "balance_min", "balance_last", "log(largest_credit)", "transactions_per_month")
"""How the client used the account before the loan."""

Row = dict[str, Any]

COLUMNS = ("balance_last", "balance_min", "ended", "largest_credit", "transactions_per_month")
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(
    cohort: pd.DataFrame, panels: dict[str, pd.DataFrame], protocol: Study, params: Params
) -> list[dict[str, Any]]:
    """Return rows of the results table; the study has no further tables."""
    level = params.inference.level
    factors = ["treated", *protocol.factors]
    return [
        *_penalised(cohort, factors, protocol, level),
        *_exact(cohort, factors, level),
        *_frequency_table(cohort, protocol.treatment.factor),
        *_grades(cohort),
        *_account(cohort, protocol, params),
        {
            "estimator": "power",
            "specification": "chosen",
            "estimand": "power",
            "estimate": 100 * POWER,
            "n": len(cohort),
            "unit": "percent",
        },
    ]


def _counts(loans: pd.DataFrame) -> Row:
    return {"n": len(loans), "n_treated": int(loans["treated"].sum())}


def _penalised(cohort: pd.DataFrame, factors: list[str], protocol: Study, level: float) -> Iterator[Row]:
    """Estimate each factor's odds ratio by Firth's regression, with the smallest that would have been found."""
    every = list(protocol.controls.ladder().values())[-1]
    specifications = {"alone": (cohort, []), "controls": (cohort, every)}
    # Loans that had ended are good or bad for ever; running ones are so for the time being. Too few for all controls.
    specifications["ended_loans"] = (cohort[cohort["ended"] == 1], [])
    for factor in factors:
        for name, (loans, terms) in specifications.items():
            design = design_matrix(loans, [factor, *terms]).matrix
            found = firth_logit(loans["default"], design, factor, level)
            row = {
                "estimator": "firth",
                "specification": name,
                "factor": factor,
                "outcome": "default",
                "unit": "odds ratio",
                **_counts(loans),
            }
            yield row | {
                "estimand": "odds_ratio",
                "estimate": math.exp(found.log_odds_ratio),
                "std_error": found.std_error,
                "ci_low": math.exp(found.ci_low),
                "ci_high": math.exp(found.ci_high),
                "p_value": found.p_value,
                "note": "standard error on the log scale",
            }
            yield row | {
                "estimand": "minimum_detectable_odds_ratio",
                "estimate": math.exp(-minimum_detectable(found.null_error, level, POWER)),
                "note": f"below one, with power {POWER:g}; its inverse above one",
            }


def _exact(cohort: pd.DataFrame, factors: list[str], level: float) -> Iterator[Row]:
    """Compare the arms of each 0/1 factor by Fisher's exact test, with the rates that would have been told apart."""
    for factor in factors:
        values = cohort[factor]
        if not set(values.unique()) <= {0, 1}:
            continue
        default = cohort["default"]
        sizes = int((values == 1).sum()), int((values == 0).sum())
        events = int(default[values == 1].sum()), int(default[values == 0].sum())
        found = fisher(events, sizes, level)
        row = {"estimator": "exact", "specification": "alone", "factor": factor, "outcome": "default"}
        row |= {"n": sum(sizes), "n_treated": sizes[0]}
        yield row | {
            "estimand": "conditional_odds_ratio",
            "estimate": found.estimate,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "p_value": found.p_value,
            "unit": "odds ratio",
        }
        rate = events[1] / sizes[1]
        yield row | {"estimand": "rate_with", "estimate": 100 * events[0] / sizes[0], "unit": "percent"}
        yield row | {"estimand": "rate_without", "estimate": 100 * rate, "unit": "percent"}
        below, above = detectable_rates(rate, sizes[1], sizes[0], level, POWER)
        for estimand, edge in (("detectable_rate_below", below), ("detectable_rate_above", above)):
            note = f"with power {POWER:g}" if not np.isnan(edge) else "not even a rate of nought would be told apart"
            yield row | {"estimand": estimand, "estimate": 100 * edge, "unit": "percent", "note": note}


def _frequency_table(cohort: pd.DataFrame, factor: str) -> Iterator[Row]:
    """Test the table of statement frequency by default without any approximation."""
    table = cohort.groupby(factor)["default"].agg(["sum", "size"])
    tests = exact_tests(table["sum"].tolist(), table["size"].tolist(), table.index.tolist())
    row = {"estimator": "exact_table", "specification": "frequency", "factor": factor, "outcome": "default"}
    row |= _counts(cohort)
    yield row | {"estimand": "any_difference", "p_value": tests.any_difference}
    yield row | {"estimand": "trend", "p_value": tests.trend}
    for step, counts in table.iterrows():
        yield row | {
            "estimand": f"rate_{step:g}",
            "estimate": 100 * counts["sum"] / counts["size"],
            "n": int(counts["size"]),
            "n_treated": int(counts["size"]) if step > 0 else 0,
            "unit": "percent",
            "note": f"{int(counts['sum'])} defaults",
        }


def _grades(cohort: pd.DataFrame) -> Iterator[Row]:
    """Show whether default rises from grade to grade, and test it exactly."""
    table = cohort.groupby("credit_grade", observed=True)["default"].agg(["sum", "size"])
    tests = exact_tests(table["sum"].tolist(), table["size"].tolist(), list(range(len(table))))
    row = {"estimator": "grade", "factor": "credit_grade", "outcome": "default"}
    for grade, counts in table.iterrows():
        yield row | {
            "specification": str(grade),
            "estimand": "rate",
            "estimate": 100 * counts["sum"] / counts["size"],
            "n": int(counts["size"]),
            "unit": "percent",
            "note": f"{int(counts['sum'])} defaults",
        }
    yield row | {"specification": "all_grades", "estimand": "trend", "p_value": tests.trend, "n": len(cohort)}


def _account(cohort: pd.DataFrame, protocol: Study, params: Params) -> Iterator[Row]:
    """Ask what the use of the account before the loan adds to the application, on the loans of later periods."""
    loans = cohort.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)
    row = {"estimator": "account_before_loan", "factor": "account_use", "outcome": "default", "unit": "area"}
    sample = Sample(loans, loans["default"].to_numpy(dtype=float), None)
    try:
        split = rolling(loans["origination_date"], None, params.predict.spans)
        clusters = loans[protocol.cluster].astype(str).to_numpy()
        found = added(sample, split, APPLICATION, ACCOUNT, clusters, params.inference.level)
    except StudyError as error:
        yield row | {"specification": "not_estimated", "note": str(error)}
        return
    judged = loans.iloc[split.test]
    counts = _counts(judged) | {"n_clusters": judged[protocol.cluster].nunique()}
    for specification, one in zip(("application", "application_and_account", "gain"), found, strict=True):
        note = f"{int(judged['default'].sum())} defaults judged, from {split.cut} on; training outcomes not all known"
        yield (
            row
            | {"specification": specification, "estimand": "area_under_curve", **one._asdict(), "note": note}
            | counts
        )
