"""Correlate each CRM factor with default: raw, and given each block of controls."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.params import Params
from pipeline.stats.correlation import Correlation, holm, partial, pearson, spearman
from pipeline.stats.design import design_matrix
from pipeline.stats.samples import sample_for


def run(study: str, params: Params) -> str:
    """Write the correlation rows of the results table; Holm's adjustment runs over the factors of each kind."""
    protocol = params.study(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    level = params.inference.level
    factors = ["treated", *protocol.factors]
    samples = {factor: sample_for(cohort, factor, protocol.after_origination()) for factor in factors}

    families: dict[tuple[str, str], dict[str, Correlation]] = {
        ("point_biserial", "raw"): {name: pearson(*_both(samples[name], name), level) for name in factors},
        ("spearman", "raw"): {name: spearman(*_both(samples[name], name), level) for name in factors},
    }
    for block, terms in protocol.controls.ladder().items():
        found = families["partial", f"given_{block}"] = {}
        # Factors that were measured on the same loans share one design matrix.
        for same in _measured_together(samples):
            loans = samples[same[0]]
            controls = design_matrix(loans, terms).matrix.to_numpy()
            found |= partial(loans[same].astype(float), loans["default"], controls, level)

    rows = [row for (kind, given), found in families.items() for row in _rows(kind, given, found, samples)]
    results.write(places.results(study, "correlate"), results.table(study, "correlate", rows))
    return f"{len(rows):,} rows"


def _both(loans: pd.DataFrame, factor: str) -> tuple[np.ndarray, np.ndarray]:
    return loans[factor].to_numpy(dtype=float), loans["default"].to_numpy(dtype=float)


def _measured_together(samples: dict[str, pd.DataFrame]) -> list[list[str]]:
    """Group the factors whose samples hold the same loans with the same outcome."""
    groups: list[list[str]] = []
    for name, loans in samples.items():
        for group in groups:
            other = samples[group[0]]
            if loans.index.equals(other.index) and loans["default"].equals(other["default"]):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _rows(
    kind: str, given: str, found: dict[str, Correlation], samples: dict[str, pd.DataFrame]
) -> Iterable[dict[str, Any]]:
    adjusted = holm([one.p_value for one in found.values()])
    for (factor, one), p_adjusted in zip(found.items(), adjusted, strict=True):
        yield one._asdict() | {
            "estimator": kind,
            "specification": given,
            "factor": factor,
            "outcome": "default",
            "estimand": "correlation",
            "p_adjusted": p_adjusted,
            "n": len(samples[factor]),
            "n_treated": int(samples[factor]["treated"].sum()),
            "unit": "correlation",
        }
