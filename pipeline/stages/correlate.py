"""Correlate each CRM factor with default: raw, and given each block of controls."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.params import Params
from pipeline.stats.correlation import Correlation, holm, partial, pearson, spearman
from pipeline.stats.design import design_matrix


def run(study: str, params: Params) -> str:
    """Write the correlation rows of the results table; Holm's adjustment runs over the factors of each kind."""
    protocol = params.study(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    factors = cohort[["treated", *protocol.factors]].astype(float)
    default = cohort["default"].to_numpy(dtype=float)
    level = params.inference.level

    families: dict[tuple[str, str], dict[str, Correlation]] = {
        ("point_biserial", "raw"): {name: pearson(factors[name].to_numpy(), default, level) for name in factors},
        ("spearman", "raw"): {name: spearman(factors[name].to_numpy(), default, level) for name in factors},
    }
    for block, terms in protocol.controls.ladder().items():
        design = design_matrix(cohort, terms)
        families["partial", f"given_{block}"] = partial(factors, cohort["default"], design.matrix.to_numpy(), level)

    rows = [row for (kind, given), found in families.items() for row in _rows(kind, given, found, cohort)]
    results.write(places.results(study, "correlate"), results.table(study, "correlate", rows))
    return f"{len(rows):,} rows"


def _rows(kind: str, given: str, found: dict[str, Correlation], cohort: pd.DataFrame) -> Iterable[dict[str, Any]]:
    adjusted = holm([one.p_value for one in found.values()])
    for (factor, one), p_adjusted in zip(found.items(), adjusted, strict=True):
        yield one._asdict() | {
            "estimator": kind,
            "specification": given,
            "factor": factor,
            "outcome": "default",
            "estimand": "correlation",
            "p_adjusted": p_adjusted,
            "n": len(cohort),
            "n_treated": int(cohort["treated"].sum()),
            "unit": "correlation",
        }
