"""Describe the sample: flow, balance before and after matching, score overlap, default rates."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.scope import NOT_STATED, LeftOut, Scope
from pipeline.stats.balance import balance, indicators
from pipeline.stats.design import column_of
from pipeline.stats.rates import default_rates, dose_groups
from pipeline.stats.weighting import effective_size, weighted_rates

SCORE_BINS = 25
"""Bins of the propensity score between its smallest and largest value."""

Rows = Iterator[dict[str, Any]]


class Matched(NamedTuple):
    """What matching has found of a study's loans."""

    design: dict[str, Any]
    """How it was done: method, ratio, replacement; ``failed`` where there is none."""
    scores: pd.DataFrame
    """The propensity score of each loan: loan_id, logit."""
    strata: pd.DataFrame
    """Loans of each arm in the strata: treated, controls, matched."""
    weights: pd.DataFrame
    """What each matched loan counts: loan_id, weight."""


def rows(
    cohort: pd.DataFrame, flow: pd.DataFrame, matched: Matched, allowed: Scope, level: float
) -> list[dict[str, Any]]:
    """Return the descriptive rows of the results table.

    Parameters
    ----------
    cohort : (loans x columns)
    flow : (steps x columns)
        Loans that leave and remain at each step of preparation: step, reason, loans, defaults, remaining,
        remaining_defaults.
    matched : Matched
    allowed : Scope
        What cohort and matching allow of the protocol.
    level : float
        Level of confidence intervals.
    """
    protocol, design = allowed.protocol, matched.design
    weight = cohort["loan_id"].map(matched.weights.set_index("loan_id")["weight"])
    samples = {"before": cohort} | ({"after": cohort[weight.notna()]} if allowed.matching else {})
    # Pairs of one and one count alike: nothing to weight.
    weight = None if (weight.dropna() == 1).all() else weight.dropna()
    one_to_one = design["method"] in ("nearest", "optimal") and design["ratio"] == 1 and not design["replacement"]

    covariates = [column_of(term) for terms in protocol.controls.ladder().values() for term in terms]
    # Levels of the time effects would be a page of their own, and so would those of a lottery's strata.
    effects = {column_of(term) for term in [*protocol.controls.time, *protocol.controls.strata]}
    covariates = [name for name in dict.fromkeys(covariates) if name not in effects]
    scored = [term for term in protocol.matching.score if term.startswith("log(")]
    groups = {name: _as_levels(cohort[name]) for name in protocol.groups}
    groups |= {name: dose_groups(cohort[name], edges) for name, edges in protocol.doses.items()}

    return [
        *_left_out(allowed.left_out),
        *_flow(flow),
        *_loans(cohort),
        *(_counts(samples, matched.strata) if allowed.matching else []),
        *([] if one_to_one or not allowed.matching else _effective_counts(samples["after"], weight)),
        *_summaries(cohort, allowed.factors),
        *(_balance(samples, covariates, scored, weight) if allowed.matching else []),
        *(_overlap(samples, matched.scores, weight) if allowed.matching else []),
        *_rates(samples, ({"treated": cohort["treated"].astype(str)} if allowed.arms else {}) | groups, level, weight),
    ]


def _as_levels(column: pd.Series) -> pd.Series:
    """Return a column to group by; whether something is not stated is yes or no."""
    return column.map({0.0: "no", 1.0: "yes"}) if str(column.name).endswith(NOT_STATED) else column


def _left_out(left_out: list[LeftOut]) -> Rows:
    """Yield what these data cannot support, and why."""
    for item in left_out:
        yield {
            "estimator": "left_out",
            "specification": item.reason,
            "factor": item.name,
            "estimate": item.count,
            "note": item.note,
        }


def _loans(cohort: pd.DataFrame) -> Rows:
    for name, count in (("loans", len(cohort)), ("defaults", int(cohort["default"].sum()))):
        yield {"estimator": "count", "factor": name, "estimate": count, "unit": "loans"}


def _flow(flow: pd.DataFrame) -> Rows:
    for step in flow.itertuples():
        name = {
            "estimator": "sample_flow",
            "specification": f"step_{step.step:02d}",
            "factor": step.reason,
            "unit": "loans",
        }
        yield name | {"estimand": "left", "outcome": "all", "estimate": step.loans}
        yield name | {"estimand": "left", "outcome": "default", "estimate": step.defaults}
        yield name | {"estimand": "remaining", "outcome": "all", "estimate": step.remaining}
        yield name | {"estimand": "remaining", "outcome": "default", "estimate": step.remaining_defaults}


def _effective_counts(after: pd.DataFrame, weight: pd.Series | None) -> Rows:
    """How many loans of equal weight would tell as much, by arm."""
    counted = pd.Series(1.0, after.index) if weight is None else weight
    for arm, name in ((1, "effective_treated"), (0, "effective_controls")):
        size = effective_size(counted[after["treated"] == arm].to_numpy())
        yield {"estimator": "count", "factor": name, "estimate": size, "unit": "loans"}


def _counts(samples: dict[str, pd.DataFrame], strata: pd.DataFrame) -> Rows:
    cohort, after = samples["before"], samples["after"]
    treated, matched = int(cohort["treated"].sum()), int(after["treated"].sum())
    alone = strata[strata["controls"] == 0]
    # Weights of loans, unlike pairs and strata, do not leave these out.
    without = alone["treated"] - alone["matched"]
    counts = {
        "treated": treated,
        "controls": len(cohort) - treated,
        "matched_treated": matched,
        "matched_controls": len(after) - matched,
        "strata": len(strata),
        "strata_without_controls": int((without > 0).sum()),
        "treated_without_controls": int(without.sum()),
        "treated_beyond_caliper": treated - matched - int(without.sum()),
    }
    for name, count in counts.items():
        yield {"estimator": "count", "factor": name, "estimate": count, "unit": "loans"}


def _summaries(cohort: pd.DataFrame, factors: list[str]) -> Rows:
    """Summarise each CRM factor over the loans for which it was measured: mean, spread, range."""
    for factor in factors:
        measured = cohort[factor].dropna().astype(float)
        numbers = {
            "mean": measured.mean(),
            "standard_deviation": measured.std(),
            "smallest": measured.min(),
            "largest": measured.max(),
        }
        # 0/1 factors are compared as they are, all others by their spread.
        numbers["binary"] = float(measured.isin([0, 1]).all())
        for name, value in numbers.items():
            yield {
                "estimator": "summary",
                "factor": factor,
                "estimand": name,
                "estimate": value,
                "n": len(measured),
                "unit": "units of the factor",
            }


def _balance(
    samples: dict[str, pd.DataFrame], covariates: list[str], scored: list[str], weight: pd.Series | None
) -> Rows:
    scale = None
    for name, loans in samples.items():
        columns = indicators(loans[covariates]) if covariates else pd.DataFrame(index=loans.index)
        columns = columns.assign(**{term: np.log(loans[column_of(term)]) for term in scored})
        treated = loans["treated"].to_numpy()
        weighted = name == "after" and weight is not None
        compared = balance(columns, treated, scale, weight.to_numpy() if weighted else None)
        scale = compared["scale"]
        for row in compared.itertuples():
            common = {
                "estimator": "balance",
                "specification": name,
                "factor": row.Index,
                "outcome": "treated",
                "n": len(loans),
                "n_treated": int(treated.sum()),
            }
            for estimand in ("mean_treated", "mean_control", "sd_treated", "sd_control"):
                yield common | {"estimand": estimand, "estimate": getattr(row, estimand)}
            for estimand in ("standardised_mean_difference", "variance_ratio"):
                if not np.isnan(value := getattr(row, estimand)):
                    yield common | {"estimand": estimand, "estimate": value, "unit": "ratio"}


def _overlap(samples: dict[str, pd.DataFrame], scores: pd.DataFrame, weight: pd.Series | None) -> Rows:
    """Share of each arm in equal bins of the propensity score; the outcome column holds the bin's middle."""
    probability = scores.set_index("loan_id")["logit"].map(lambda logit: 1 / (1 + np.exp(-logit)))
    edges = np.linspace(probability.min(), probability.max(), SCORE_BINS + 1)
    for name, loans in samples.items():
        for arm, members in loans.groupby("treated"):
            counted = weight.loc[members.index] if name == "after" and weight is not None else None
            counts, _ = np.histogram(probability.loc[members["loan_id"]], edges, weights=counted)
            for middle, share in zip((edges[1:] + edges[:-1]) / 2, counts / counts.sum(), strict=True):
                yield {
                    "estimator": "score_distribution",
                    "specification": f"{name}_{'treated' if arm else 'control'}",
                    "factor": "propensity_score",
                    "outcome": f"{middle:.5f}",
                    "estimand": "share",
                    "estimate": share,
                    "n": len(members),
                    "unit": "fraction of the arm",
                }


def _rates(
    samples: dict[str, pd.DataFrame], groups: dict[str, pd.Series], level: float, weight: pd.Series | None
) -> Rows:
    for name, loans in samples.items():
        parts = {"all": pd.Series("all", loans.index)}
        parts |= {group: labels.loc[loans.index] for group, labels in groups.items()}
        for group, labels in parts.items():
            if name == "after" and weight is not None:
                found = weighted_rates(loans["default"], labels, weight * loans.get("weight", 1.0), level)
            else:
                found = default_rates(loans["default"], labels, level, loans.get("weight"))
            for place, row in enumerate(found.itertuples()):
                yield {
                    "estimator": "default_rate",
                    # The place keeps the groups' own order when the table is sorted.
                    "specification": f"{name}_{place:02d}",
                    "factor": f"{group}[{row.Index}]" if group != "all" else group,
                    "outcome": "default",
                    "estimand": "rate",
                    "estimate": 100 * row.rate,
                    "ci_low": 100 * row.ci_low,
                    "ci_high": 100 * row.ci_high,
                    "n": row.n,
                    "unit": "percent",
                }
