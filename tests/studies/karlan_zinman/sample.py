"""Made-up letters of a lender that draws lots, in the form of the authors' Stata file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.params import load
from pipeline.core.protocol import Study
from pipeline.studies.karlan_zinman.study import RAW

PARAMS = Path(__file__).parents[3] / "params.yaml"
PROVINCES = ["Gauteng", "Kwazulu-Natal"]


def protocol(**changes: object) -> Study:
    """Return the study's section of params.yaml, for any number of loans and with some fields changed."""
    study = load(PARAMS).study("karlan_zinman")
    unchecked = study.expected.model_copy(update=dict.fromkeys(type(study.expected).model_fields))
    return study.model_copy(update={"expected": unchecked, **changes})


def raw_offers(rows: int, seed: int, effect: float = 0.0) -> pd.DataFrame:
    """Return made-up letters as `study.read` gives them; the promise changes arrears by `effect` of the loan."""
    rng = np.random.default_rng(seed)
    wave = rng.choice([1, 2, 3], rows, p=[0.1, 0.4, 0.5])
    branch = rng.integers(0, 12, rows)
    risk = rng.choice(["LOW", "MEDIUM", "HIGH"], rows, p=[0.3, 0.2, 0.5])
    # The second wave is drawn by branch, the others by client.
    yearlong = np.where(wave == 2, branch % 2, rng.integers(0, 2, rows))
    offer = np.round(rng.uniform(4, 11, rows), 2)
    borrowed = rng.random(rows) < 0.4
    size = np.where(borrowed, 100 * rng.integers(2, 40, rows), 0)
    late = np.clip(rng.exponential(0.15, rows) - 0.05 + effect * yearlong, 0, None)
    last = np.round(np.exp(rng.normal(7, 0.6, rows)), 2)
    frame = pd.DataFrame(
        {
            "wave": wave,
            "risk": risk,
            "branchuse": [f"B{number:02d}" for number in branch],
            "province": np.array(PROVINCES)[branch % 2],
            "yearlong": yearlong,
            "offer4": offer,
            "final4": np.round(offer * rng.choice([0.8, 1.0], rows), 2),
            "tookup": borrowed.astype(int),
            "loansize": size,
            "term": np.where(borrowed, rng.choice([4.0, 6.0, 12.0], rows), 0.0),
            "pstdue_average": np.where(borrowed, np.round(late * size, 2), np.nan),
            "lastamount": last,
            "dormancy": rng.integers(1, 25, rows),
            "trcount": rng.integers(1, 20, rows).astype(float),
            "appscore": np.round(rng.normal(30, 6, rows).clip(1, 60)),
            "itcany": (rng.random(rows) < 0.9).astype(float),
            "grossincome": np.round(np.exp(rng.normal(1.1, 0.4, rows)), 3),
            "dependants": rng.integers(0, 6, rows).astype(float),
            "age": np.round(rng.uniform(20, 70, rows), 1),
            "female": rng.integers(0, 2, rows),
            "married": rng.integers(0, 2, rows).astype(float),
            "edhi": rng.integers(0, 2, rows),
            "rural": branch // 10,
        }
    )
    return frame[list(RAW.columns)].assign(row=range(1, rows + 1))
