"""Write loans.csv: 240 made-up loans on which R and the functions of pipeline/stats are run alike.

Run by hand (`python tests/reference/make_loans.py`); what it writes is kept beside it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

LOANS, BANKS, OFFICERS = 240, 12, 9


def loans() -> pd.DataFrame:
    rng = np.random.default_rng(20190411)
    bank, officer = rng.integers(0, BANKS, LOANS), rng.integers(0, OFFICERS, LOANS)
    of_bank, of_officer = rng.normal(size=BANKS)[bank], rng.normal(size=OFFICERS)[officer]
    x = np.round(rng.normal(size=LOANS) + 0.4 * of_bank, 3)
    z = rng.integers(0, 4, LOANS)
    encouraged = rng.integers(0, 2, LOANS)
    treated = (rng.random(LOANS) < 1 / (1 + np.exp(-(0.5 * x - 0.3 * z + 1.2 * encouraged - 0.4)))).astype(int)
    index = -0.9 - 0.7 * treated + 0.5 * x + 0.2 * z + 0.5 * of_bank + 0.3 * of_officer
    default = (rng.random(LOANS) < 1 / (1 + np.exp(-index))).astype(int)
    rare = (rng.random(LOANS) < 1 / (1 + np.exp(-(index - 1.4)))).astype(int)
    amount = np.round(2 + 0.8 * treated + 0.6 * x - 0.2 * z + 0.5 * of_bank + rng.normal(size=LOANS), 3)
    months = np.minimum(1 + rng.geometric(np.clip(np.exp(-2.6 + 0.3 * default), 0, 1)), 24)
    way = np.where(months == 24, 0, np.where(rng.random(LOANS) < 0.15, 0, np.where(default == 1, 1, 2)))
    return pd.DataFrame(
        {
            "bank": bank,
            "officer": officer,
            "x": x,
            "z": z,
            "encouraged": encouraged,
            "treated": treated,
            "default": default,
            "rare": rare,
            "amount": amount,
            "calls": rng.poisson(np.exp(0.3 + 0.2 * x + 0.3 * treated + 0.2 * of_bank)),
            "months": months,
            "way": way,
            "first": np.round(index + 1.5 * rng.normal(size=LOANS), 1),
            "second": np.round(index + 0.8 * rng.normal(size=LOANS), 1),
            "weight": np.round(rng.uniform(0.5, 3, LOANS), 2),
        }
    )


if __name__ == "__main__":
    loans().to_csv(Path(__file__).with_name("loans.csv"), index=False)
