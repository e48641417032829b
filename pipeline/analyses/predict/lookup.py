"""Rows of the stage predict, as its chapter looks them up."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pandas as pd

from pipeline.core.results import Results

STAGE = "predict"

MODELS = ("logistic", "scorecard", "tree", "forest", "boosting")

HARD, ALL = "hard", "with_crm"


@lru_cache(maxsize=1)
def main(results: Results) -> Results:
    """Return the rows of the moment at which every model was tried, as its split judges them."""
    rows = results.where(stage=STAGE)
    models = rows[rows["estimator"].isin(MODELS)]
    later = models["outcome"] == "default_after_landmark"
    outcome = models["outcome"][later if later.any() else ~later].iloc[0]
    way = rows[(rows["estimator"] == "split") & (rows["outcome"] == outcome)]["specification"].iloc[0]
    kept = (rows["outcome"] == outcome) & (rows["specification"] == way)
    return Results(rows[kept | (rows["estimator"] == "tree_node")].reset_index(drop=True))


def compared(rows: Results) -> str:
    """Return the rung that is shown, `ALL` only where hard information stands beside it."""
    both = all(there(rows, "logistic", rung, "auc") for rung in (HARD, ALL))
    return ALL if both else HARD


def of(rows: pd.DataFrame, estimator: str) -> pd.DataFrame:
    """Return the rows of an estimator."""
    return rows[rows["estimator"] == estimator]


def there(rows: Results, model: str, rung: str, estimand: str) -> bool:
    """Say whether there is a row of a model's estimand at a rung of the information that it has."""
    return len(rows.where(estimator=model, factor=rung, estimand=estimand)) > 0


def one(rows: Results, model: str, rung: str, estimand: str) -> Any:
    """Return the row of a model's estimand at a rung; it must be there."""
    return rows.one(estimator=model, factor=rung, estimand=estimand)


def optional(rows: Results, model: str, rung: str, estimand: str) -> Any:
    """Return that row, or None where it is not there or holds no number."""
    return rows.first(estimator=model, factor=rung, estimand=estimand)


def models(rows: Results, last: str) -> list[Any]:
    """Return the models' areas, the largest first."""
    found = [one(rows, name, last, "auc") for name in MODELS if there(rows, name, last, "auc")]
    return sorted(found, key=lambda row: -row.estimate)
