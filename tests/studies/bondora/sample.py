"""Made-up loans of the platform, in the form of the published file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.params import load
from pipeline.core.protocol import Study
from pipeline.studies.bondora.study import GRADES, RAW, TERMS, USES, VERIFICATION

PARAMS = Path(__file__).parents[3] / "params.yaml"


def protocol(**changes: object) -> Study:
    """Return the study's section of params.yaml, for any number of loans and with some fields changed."""
    study = load(PARAMS).study("bondora")
    unchecked = study.expected.model_copy(update=dict.fromkeys(type(study.expected).model_fields))
    return study.model_copy(update={"expected": unchecked, **changes})


def raw_table(loans: int, seed: int) -> pd.DataFrame:
    """Return a made-up raw table as `study.read` gives it; categories have at most one column that is one."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(0.0, range(loans), list(RAW.columns))
    for columns in (list(TERMS), list(VERIFICATION), list(USES), GRADES[1:]):
        # One more than there are columns: the level that was dropped.
        places = rng.integers(0, len(columns) + 1, loans)
        for place, name in enumerate(columns):
            frame[name] = (places == place).astype(float)
    earlier = rng.poisson(1.5, loans)
    new = np.where(rng.random(loans) < 0.05, rng.integers(0, 2, loans), earlier == 0)
    return frame.assign(
        **{
            "default": (rng.random(loans) < 0.3 + 0.03 * earlier).astype(float),
            "new": new.astype(float),
            # Days since the end of February 2009, in thousands: 2014 to 2021.
            "time": rng.integers(1900, 4500, loans) / 1000,
            "Age": rng.integers(20, 65, loans).astype(float),
            "Interest": rng.uniform(8, 30, loans),
            "DebtToIncome": rng.uniform(0, 60, loans),
            "NoOfPreviousLoansBeforeLoan": earlier.astype(float),
            "log.amount": np.log(rng.integers(500, 9000, loans)),
            "inc.total": rng.uniform(6, 8, loans),
            "liab.l": rng.uniform(0, 7, loans),
            "FreeCash.l": rng.uniform(0, 6, loans),
            "educ.5": rng.integers(0, 2, loans).astype(float),
            "no.previous.repay.00": np.where(earlier > 0, rng.integers(0, 2, loans), 1).astype(float),
        }
    )
