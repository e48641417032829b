"""Describe the sample: flow, balance before and after matching, score overlap, default rates."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.params import Params
from pipeline.stats.balance import balance, indicators
from pipeline.stats.design import column_of, require
from pipeline.stats.rates import default_rates, dose_groups

SCORE_BINS = 25
"""Bins of the propensity score between its smallest and largest value."""

Rows = Iterator[dict[str, Any]]


def run(study: str, params: Params) -> str:
    """Write the descriptive rows of the results table."""
    protocol = params.study(study)
    matched = places.matched(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    flow = store.read_parquet(places.processed(study) / "flow.parquet")
    pairs = store.read_parquet(matched / "pairs.parquet")
    scores = store.read_parquet(matched / "scores.parquet")
    strata = store.read_parquet(matched / "strata.parquet")
    require(cohort, protocol.groups, "groups")
    in_pairs = cohort[cohort["loan_id"].isin({*pairs["treated"], *pairs["control"]})]
    samples = {"before": cohort, "after": in_pairs}

    covariates = [column_of(term) for terms in protocol.controls.ladder().values() for term in terms]
    # Levels of the time effects would be a page of their own; the quarter is an exact key.
    covariates = [name for name in dict.fromkeys(covariates) if name not in map(column_of, protocol.controls.time)]
    scored = [term for term in protocol.matching.score if term.startswith("log(")]
    groups = {name: cohort[name] for name in protocol.groups}
    groups |= {name: dose_groups(cohort[name], edges) for name, edges in protocol.doses.items()}
    level = params.inference.level

    rows = [
        *_flow(flow),
        *_counts(cohort, pairs, strata),
        *_balance(samples, covariates, scored),
        *_overlap(samples, scores),
        *_rates(samples, groups, level),
    ]
    results.write(places.results(study, "describe"), results.table(study, "describe", rows))
    return f"{len(rows):,} rows"


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


def _counts(cohort: pd.DataFrame, pairs: pd.DataFrame, strata: pd.DataFrame) -> Rows:
    treated = int(cohort["treated"].sum())
    without = strata.loc[strata["controls"] == 0, "treated"]
    counts = {
        "loans": len(cohort),
        "defaults": int(cohort["default"].sum()),
        "treated": treated,
        "controls": len(cohort) - treated,
        "matched_treated": pairs["treated"].nunique(),
        "matched_controls": pairs["control"].nunique(),
        "strata": len(strata),
        "strata_without_controls": int((without > 0).sum()),
        "treated_without_controls": int(without.sum()),
        "treated_beyond_caliper": treated - pairs["treated"].nunique() - int(without.sum()),
    }
    for name, count in counts.items():
        yield {"estimator": "count", "factor": name, "estimate": count, "unit": "loans"}


def _balance(samples: dict[str, pd.DataFrame], covariates: list[str], scored: list[str]) -> Rows:
    scale = None
    for name, loans in samples.items():
        columns = indicators(loans[covariates]).assign(**{term: np.log(loans[column_of(term)]) for term in scored})
        treated = loans["treated"].to_numpy()
        compared = balance(columns, treated, scale)
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


def _overlap(samples: dict[str, pd.DataFrame], scores: pd.DataFrame) -> Rows:
    """Share of each arm in equal bins of the propensity score; the outcome column holds the bin's middle."""
    probability = scores.set_index("loan_id")["logit"].map(lambda logit: 1 / (1 + np.exp(-logit)))
    edges = np.linspace(probability.min(), probability.max(), SCORE_BINS + 1)
    for name, loans in samples.items():
        for arm, members in loans.groupby("treated"):
            counts, _ = np.histogram(probability.loc[members["loan_id"]], edges)
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


def _rates(samples: dict[str, pd.DataFrame], groups: dict[str, pd.Series], level: float) -> Rows:
    for name, loans in samples.items():
        parts = {"all": pd.Series("all", loans.index), "treated": loans["treated"].astype(str)}
        parts |= {group: labels.loc[loans.index] for group, labels in groups.items()}
        for group, labels in parts.items():
            for place, row in enumerate(default_rates(loans["default"], labels, level).itertuples()):
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
