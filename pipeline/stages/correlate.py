"""Correlate each CRM factor with default: raw, and given each block of controls."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.errors import StudyError
from pipeline.core.params import Params
from pipeline.core.scope import scope
from pipeline.stats.correlation import Correlation, holm, partial, pearson, spearman
from pipeline.stats.design import design_matrix
from pipeline.stats.samples import number_treated, sample_for


def run(study: str, params: Params) -> str:
    """Write the correlation rows of the results table; Holm's adjustment runs over the factors of each kind."""
    protocol = params.study(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    level = params.inference.level
    allowed = scope(protocol, cohort)
    protocol = allowed.protocol
    factors = allowed.factors if allowed.models else []
    samples = {factor: sample_for(cohort, factor, protocol.after_origination()) for factor in factors}

    families: dict[tuple[str, str], dict[str, Correlation]] = {
        ("point_biserial", "raw"): {
            name: pearson(*_both(samples[name], name), level, weights=_weights(samples[name])) for name in factors
        },
        ("spearman", "raw"): {
            name: spearman(*_both(samples[name], name), level, _weights(samples[name])) for name in factors
        },
    }
    for block, terms in protocol.controls.ladder().items():
        found = families["partial", f"given_{block}"] = {}
        # Factors that were measured on the same loans share one design matrix.
        for same in _measured_together(samples):
            loans = samples[same[0]]
            controls = design_matrix(loans, terms).matrix.to_numpy()
            found |= _partial(loans, same, controls, level)

    rows = [row for (kind, given), found in families.items() for row in _rows(kind, given, found, samples)]
    results.write(places.results(study, "correlate"), results.table(study, "correlate", rows))
    return f"{len(rows):,} rows"


def _partial(loans: pd.DataFrame, factors: list[str], controls: np.ndarray, level: float) -> dict[str, Correlation]:
    """Correlate given the controls; a factor that they determine has no partial correlation, the others stand."""
    try:
        return partial(loans[factors].astype(float), loans["default"], controls, level, _weights(loans))
    except StudyError:
        if len(factors) == 1:
            return {factors[0]: Correlation(*[float("nan")] * len(Correlation._fields))}
    return {name: one for factor in factors for name, one in _partial(loans, [factor], controls, level).items()}


def _both(loans: pd.DataFrame, factor: str) -> tuple[np.ndarray, np.ndarray]:
    return loans[factor].to_numpy(dtype=float), loans["default"].to_numpy(dtype=float)


def _weights(loans: pd.DataFrame) -> np.ndarray | None:
    return loans["weight"].to_numpy(dtype=float) if "weight" in loans else None


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
    known = {factor: one.p_value for factor, one in found.items() if not np.isnan(one.p_value)}
    adjusted = dict(zip(known, holm(list(known.values())), strict=True)) if known else {}
    for factor, one in found.items():
        yield one._asdict() | {
            "estimator": kind,
            "specification": given,
            "factor": factor,
            "outcome": "default",
            "estimand": "correlation",
            "p_adjusted": adjusted.get(factor, float("nan")),
            "n": len(samples[factor]),
            "n_treated": number_treated(samples[factor]),
            "unit": "correlation",
        }
