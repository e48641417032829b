"""Who is let back: punctuality within clients over their earlier loans, and bounds for those who get no next loan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.seeds import seed_of
from pipeline.stats import accuracy
from pipeline.stats.added_information import added
from pipeline.stats.prediction import Sample
from pipeline.stats.rates import default_rates
from pipeline.stats.splits import rolling
from pipeline.studies.specified import grade_steps, specified

Row = dict[str, Any]

NUMBER, LATE = "relationship_depth_prior_loans", "early_warning_late_share"

MONTH = "30"
"""Term in days of the loans by which prices are compared."""

DRAWS = 999
"""Bootstrap samples of clients behind intervals of the bounds."""

APPLICATION = ("age_group", "statements_on_file", "relationship_depth_referred")
"""What an application tells of a client whose earlier loans nobody has looked at."""

REPAYMENT = ("first_loan_days_late", LATE, NUMBER)
"""What the earlier loans tell."""

SHARES = (0, 0.25, 0.5, 0.75, 1)
"""Upper edges of the groups by share of earlier loans first repaid late."""

COLUMNS = ("late_share_by_the_clock",)
"""Columns of the cohort that are needed here, besides those that the study's choices name."""


def effects(cohort: pd.DataFrame, panels: Mapping[str, pd.DataFrame], protocol: Study, params: Params) -> list[Row]:
    """Return rows of the results table; of the panels, ``earlier_loans`` holds what clients borrowed before."""
    level, cluster = params.inference.level, protocol.cluster
    every = [*protocol.controls.ladder().values()][-1]
    from_number = protocol.treatment.at_least if protocol.treatment else 1.0
    return [
        *_punctuality(panels["earlier_loans"], level),
        *_length(cohort, every, cluster, level),
        *_lender_rules(cohort, cluster, level),
        *_forgiven(panels["earlier_loans"]),
        *survivors(cohort, from_number, level, seed_of(params.seed, "superlender", "survivors")),
        *_by_share(cohort, level),
        *_foretold(cohort, params),
        *grade_steps(cohort, [], cluster, level),
    ]


def _punctuality(earlier: pd.DataFrame, level: float) -> Iterator[Row]:
    """Yield whether clients become more punctual from loan to loan: over all earlier loans, and within clients.

    Within clients the loans of clients with several are compared, each with its own client's others.
    """
    loans = earlier.assign(
        later_loan=(earlier["loan_number"] > 1).astype(float), month=earlier["approved"].dt.strftime("%Y-%m")
    )
    of_client = loans.groupby("client_id")["loan_number"]
    loans["last"] = loans["loan_number"] == of_client.transform("max")
    several = loans[of_client.transform("size") > 1]
    terms = ["term", "log(amount)"]
    pooled = {"pooled": (loans, []), "pooled_of_several": (several, [])}
    within = {
        "within_clients": (several, []),
        "within_clients_terms": (several, terms),
        "within_clients_months": (several, ["month"]),
        "within_clients_without_last": (_of_several(several[~several["last"]]), []),
    }
    for outcome in ("first_repaid_late", "closed_late"):
        for factor in ("loan_number", "later_loan"):
            named = ("punctuality", [factor])
            yield from specified(*named, pooled, "client_id", level, outcome=outcome)
            yield from specified(*named, within, "client_id", level, outcome=outcome, absorb="client_id")


def _of_several(loans: pd.DataFrame) -> pd.DataFrame:
    return loans[loans.groupby("client_id")["loan_number"].transform("size") > 1]


def _length(cohort: pd.DataFrame, every: list[str], cluster: str, level: float) -> Iterator[Row]:
    """Yield the number of earlier loans apart from how they went, and from what the lender grants to it."""
    specifications = {
        "alone": (cohort, []),
        "controls": (cohort, every),
        "given_behaviour": (cohort, [*every, LATE]),
        "given_terms": (cohort, [*every, "term", "log(amount)", "interest_rate"]),
    }
    for factor in ("treated", NUMBER):
        yield from specified("length", [factor], specifications, cluster, level)
    given = {name: (cohort, [*terms, NUMBER]) for name, terms in {"alone": [], "controls": every}.items()}
    yield from specified("behaviour", [LATE], given, cluster, level)


def _lender_rules(cohort: pd.DataFrame, cluster: str, level: float) -> Iterator[Row]:
    """Yield what the lender grants with each earlier loan: amount, price of a loan of a month, a term beyond it."""
    loans = cohort.assign(
        amount_log=np.log(cohort["amount"]), beyond_month=(cohort["term"].astype(int) > int(MONTH)).astype(float)
    )
    units = {
        "amount_log": "percent",
        "interest_rate": "points of interest",
        "beyond_month": "percentage points",
    }
    for outcome, unit in units.items():
        priced = outcome == "interest_rate"
        sample = loans[loans["term"] == MONTH] if priced else loans
        yield from specified(
            "lender_rules",
            [NUMBER],
            {"alone": (sample, []), "same_grade": (sample, ["credit_grade"])},
            cluster,
            level,
            outcome=outcome,
            scale=1 if priced else 100,
            estimand="mean_difference",
            unit=unit,
        )


def _forgiven(earlier: pd.DataFrame) -> Iterator[Row]:
    """Yield how much lateness the lender forgave: every earlier loan was followed by another."""
    late = {"earlier_loans": earlier["closed_late"], "clients": earlier.groupby("client_id")["closed_late"].max()}
    for name, closed_late in late.items():
        row = {"estimator": "forgiven", "specification": name, "factor": "closed_late", "outcome": "next_loan"}
        yield row | {
            "estimand": "rate",
            "estimate": 100 * closed_late.mean(),
            "n": len(closed_late),
            "unit": "percent",
        }


def bounds(default: np.ndarray, number: np.ndarray, from_number: float) -> dict[str, float]:
    """Bound the default rate of long relationships had nobody left on the way there.

    Parameters
    ----------
    default : (loans,)
        0/1; bounds are those of the worst case, in which no client whose loan goes bad gets a next one.
    number : (loans,)
        Earlier loans of the client, one or more.
    from_number : float
        Earlier loans from which a relationship is long.

    Returns
    -------
    dict of str to float
        Shares: ``rate_start`` at one earlier loan, ``rate_long``, ``share_left`` of those who begin with one and
        default before they are long, if each step loses the share that it loses now; ``lower_bound`` and
        ``upper_bound`` of the difference between long relationships and the start, if none or all of those who left
        were to default (Manski 1990, American Economic Review 80); and ``break_even``, the rate among those who left
        from which on long relationships default no less than at the start.
    """
    rates = [default[number == step].mean() for step in range(1, int(from_number))]
    long = default[number >= from_number].mean()
    stay = float(np.prod([1 - rate for rate in rates]))
    start = rates[0]
    lower = stay * long
    return {
        "rate_start": start,
        "rate_long": long,
        "share_left": 1 - stay,
        "lower_bound": lower - start,
        "upper_bound": lower + 1 - stay - start,
        "break_even": (start - lower) / (1 - stay),
    }


def survivors(cohort: pd.DataFrame, from_number: float, level: float, seed: int) -> Iterator[Row]:
    """Yield the `bounds`, in percent, with percentile intervals from samples of clients drawn with replacement.

    The interval of either bound is that of the range between the two.
    """
    default, number = cohort["default"].to_numpy(dtype=float), cohort[NUMBER].to_numpy()
    generator = np.random.default_rng(seed)
    draws = [generator.integers(len(cohort), size=len(cohort)) for _ in range(DRAWS)]
    drawn = pd.DataFrame([bounds(default[rows], number[rows], from_number) for rows in draws])
    edges = drawn.quantile([(1 - level) / 2, (1 + level) / 2])
    edges["lower_bound"] = edges["upper_bound"] = [edges["lower_bound"].iloc[0], edges["upper_bound"].iloc[1]]
    for name, value in bounds(default, number, from_number).items():
        low, high = 100 * edges[name]
        yield {
            "estimator": "survivors",
            "specification": "all_left",
            "factor": "treated",
            "outcome": "default",
            "estimand": name,
            "estimate": 100 * value,
            "ci_low": low,
            "ci_high": high,
            "n": len(cohort),
            "unit": "percentage points" if name.endswith("bound") else "percent",
        }


def _by_share(cohort: pd.DataFrame, level: float) -> Iterator[Row]:
    """Yield default by the share of earlier loans first repaid late, by the day and by the clock."""
    for name, column in {"by_the_day": LATE, "by_the_clock": "late_share_by_the_clock"}.items():
        names = ["none", *(f"up_to_{edge:g}" for edge in SHARES[1:])]
        group = pd.cut(cohort[column], [-1, *SHARES], labels=names)
        for label, rate in default_rates(cohort["default"], group, level).iterrows():
            yield {
                "estimator": "late_share",
                "specification": name,
                "factor": str(label),
                "outcome": "default",
                "estimand": "rate",
                "estimate": 100 * rate["rate"],
                "ci_low": 100 * rate["ci_low"],
                "ci_high": 100 * rate["ci_high"],
                "n": int(rate["n"]),
                "unit": "percent",
            }


def _foretold(cohort: pd.DataFrame, params: Params) -> Iterator[Row]:
    """Yield how well late payments alone foretell default, and what repayment adds to the application."""
    loans = cohort.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)
    default, clients = loans["default"].to_numpy(dtype=float), loans["loan_id"].to_numpy()
    row = {"outcome": "default", "estimand": "area_under_curve", "unit": "area"}
    alone = accuracy.area(default, loans[LATE].to_numpy(), params.inference.level, clients)
    named = {"estimator": "late_payments", "specification": "alone", "factor": LATE}
    yield row | named | alone._asdict() | {"n": len(loans), "n_clusters": len(loans)}
    split = rolling(loans["origination_date"], None, params.predict.spans)
    found = added(Sample(loans, default, None), split, APPLICATION, REPAYMENT, clients, params.inference.level)
    judged = loans.iloc[split.test]
    for specification, one in zip(("application", "application_and_repayment", "gain"), found, strict=True):
        named = {"estimator": "earlier_repayment", "specification": specification, "factor": "earlier_repayment"}
        yield row | named | one._asdict() | {"n": len(judged), "n_clusters": len(judged)}
