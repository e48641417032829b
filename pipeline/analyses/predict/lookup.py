"""Rows of the stage predict, as its chapter looks them up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.core.results import Results

STAGE = "predict"

MODELS = ("logistic", "scorecard", "tree", "forest", "boosting")

HARD, ALL = "hard", "with_crm"


def main(results: Results) -> pd.DataFrame:
    """Return the rows of the moment at which every model was tried, as its split judges them."""
    rows = results.where(stage=STAGE)
    models = rows[rows["estimator"].isin(MODELS)]
    later = models["outcome"] == "default_after_landmark"
    outcome = models["outcome"][later if later.any() else ~later].iloc[0]
    way = rows[(rows["estimator"] == "split") & (rows["outcome"] == outcome)]["specification"].iloc[0]
    kept = (rows["outcome"] == outcome) & (rows["specification"] == way)
    return rows[kept | (rows["estimator"] == "tree_node")].reset_index(drop=True)


def compared(rows: pd.DataFrame) -> str:
    """Return the rung that is shown, `ALL` only where hard information stands beside it."""
    both = all(len(cell(rows, "logistic", rung, "auc")) for rung in (HARD, ALL))
    return ALL if both else HARD


def of(rows: pd.DataFrame, estimator: str) -> pd.DataFrame:
    """Return the rows of an estimator."""
    return rows[rows["estimator"] == estimator]


def cell(rows: pd.DataFrame, model: str, rung: str, estimand: str) -> pd.DataFrame:
    """Return the row, or none, of a model's estimand at a rung of the information that it has."""
    return rows[(rows["estimator"] == model) & (rows["factor"] == rung) & (rows["estimand"] == estimand)]


def one(rows: pd.DataFrame, model: str, rung: str, estimand: str) -> Any:
    """Return the row that `cell` finds; it must be there."""
    return next(cell(rows, model, rung, estimand).itertuples(index=False))


def optional(rows: pd.DataFrame, model: str, rung: str, estimand: str) -> Any:
    """Return the row that `cell` finds, or None where it is not there or holds no number."""
    found = cell(rows, model, rung, estimand)
    found = found[found["estimate"].notna()]
    return next(found.itertuples(index=False), None)


def models(rows: pd.DataFrame, last: str) -> list[Any]:
    """Return the models' areas, the largest first."""
    found = [one(rows, name, last, "auc") for name in MODELS if len(cell(rows, name, last, "auc"))]
    return sorted(found, key=lambda row: -row.estimate)
