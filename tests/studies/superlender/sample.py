"""Made-up tables of the lender, in the form of the competition's files: text, a loan a client, and loans before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.params import load
from pipeline.core.protocol import Study
from pipeline.studies.superlender.study import TABLES, TERMS

PARAMS = Path(__file__).parents[3] / "params.yaml"


def protocol(**changes: object) -> Study:
    """Return the study's section of params.yaml, for any number of loans and with some fields changed."""
    study = load(PARAMS).study("superlender")
    unchecked = study.expected.model_copy(update=dict.fromkeys(type(study.expected).model_fields))
    return study.model_copy(update={"expected": unchecked, **changes})


def _text(days: pd.Series) -> pd.Series:
    return days.dt.strftime("%Y-%m-%d %H:%M:%S.000000")


def raw_tables(clients: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return made-up raw tables as `study.read` gives them; the last client has no earlier loan on record."""
    rng = np.random.default_rng(seed)
    names = np.array([f"c{place:05d}" for place in range(clients)])
    earlier = rng.integers(1, 9, clients)
    now = pd.Timestamp("2017-07-01 09:30") + pd.to_timedelta(rng.integers(0, 30, clients), unit="D")
    client = np.repeat(np.arange(clients), earlier)
    number = np.concatenate([np.arange(1, many + 1) for many in earlier])
    term = rng.choice(TERMS, len(client), p=[0.3, 0.6, 0.08, 0.02])
    # One loan after the other, each closed before the next begins.
    start = now[client] - pd.to_timedelta(50 * (earlier[client] - number + 1), unit="D")
    due = start.normalize() + pd.to_timedelta(np.minimum(term.astype(int), 30), unit="D")
    paid = due + pd.to_timedelta(rng.integers(-10, 8, len(client)) * 24 + 11, unit="h")
    amount = 10_000 + 1000 * number
    before = pd.DataFrame(
        {
            "customerid": names[client],
            "systemloanid": 300_000 + np.arange(len(client)),
            "loannumber": number,
            "approveddate": _text(start.to_series()).to_numpy(),
            "loanamount": amount,
            "totaldue": amount * 1.3,
            "termdays": term,
            "firstduedate": _text(due.to_series()).to_numpy(),
            "firstrepaiddate": _text(paid.to_series()).to_numpy(),
            "closeddate": _text((paid + pd.Timedelta(days=3)).to_series()).to_numpy(),
        }
    )
    late = pd.Series(paid.normalize() > due).groupby(client).mean().to_numpy()
    loans = pd.DataFrame(
        {
            "customerid": names,
            "systemloanid": 900_000 + np.arange(clients),
            "loannumber": earlier + 1,
            "approveddate": _text(now.to_series()).to_numpy(),
            "loanamount": 10_000 + 2000 * earlier,
            "totaldue": (10_000 + 2000 * earlier) * (1.3 - 0.02 * earlier + 0.1 * rng.random(clients)),
            "termdays": rng.choice(TERMS, clients, p=[0.3, 0.5, 0.15, 0.05]),
            "referredby": np.where(rng.random(clients) < 0.2, names[0], None),
            "good_bad_flag": np.where(rng.random(clients) < 0.35 - 0.02 * earlier + 0.3 * late, "Bad", "Good"),
        }
    )
    known = rng.random(clients) < 0.75
    born = pd.Timestamp("1970-01-01") + pd.to_timedelta(rng.integers(0, 9000, clients), unit="D")
    stated = pd.DataFrame({"customerid": names, "birthdate": _text(born.to_series()).to_numpy()})[known]
    tables = {
        "trainperf": loans,
        "trainprevloans": before[before["customerid"] != names[-1]],
        # One client stands there twice, as some do in the published table.
        "traindemographics": pd.concat([stated, stated.head(1)]),
    }
    return {name: table[list(TABLES[name])].astype("string").reset_index(drop=True) for name, table in tables.items()}
