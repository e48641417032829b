"""Made-up tables of a bank, in the form of the challenge's files: text, dates YYMMDD, women's months plus 50."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.params import load
from pipeline.core.protocol import Study
from pipeline.studies.berka.tables import FREQUENCIES

PARAMS = Path(__file__).parents[3] / "params.yaml"


def protocol(**changes: object) -> Study:
    """Return the study's section of params.yaml, for any number of loans and with some fields changed."""
    study = load(PARAMS).study("berka")
    unchecked = study.expected.model_copy(update=dict.fromkeys(type(study.expected).model_fields))
    return study.model_copy(update={"expected": unchecked, **changes})


def raw_tables(loans: int, seed: int) -> dict[str, pd.DataFrame]:
    """Return made-up raw tables as `study.read` gives them: as many loans, each with an account of its own."""
    rng = np.random.default_rng(seed)
    number = np.arange(1, loans + 1)
    opened = pd.Timestamp("1994-01-01") + pd.to_timedelta(rng.integers(0, 300, loans), unit="D")
    granted = opened + pd.to_timedelta(rng.integers(150, 600, loans), unit="D")
    born = pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 12_000, loans), unit="D")
    woman = rng.integers(0, 2, loans)
    duration = rng.choice([12, 24, 36], loans)
    payments = rng.integers(500, 9000, loans)
    second = rng.random(loans) < 0.3

    def yymmdd(dates: pd.DatetimeIndex) -> list[str]:
        return [f"{date:%y%m%d}" for date in dates]

    transactions = []
    for account, first, day in zip(100 + number, opened, granted, strict=True):
        size = int(rng.integers(20, 60))
        dates = first + pd.to_timedelta(np.sort(rng.integers(1, (day - first).days, size)), unit="D")
        kind = np.where(rng.random(size) < 0.5, "credit", "withdrawal")
        kind[0] = "credit"
        amount = np.round(rng.uniform(100, 20_000, size), 1)
        balance = np.round(rng.normal(30_000, 15_000, size), 1)
        transactions.append(
            pd.DataFrame({"account_id": account, "day": dates, "type": kind, "amount": amount, "balance": balance})
        )
    moves = pd.concat(transactions, ignore_index=True)
    by_account = moves.groupby("account_id")
    credits = moves[moves["type"] == "credit"].groupby("account_id")["amount"].max()
    before = pd.DataFrame(
        {
            "loan_id": 5000 + number,
            "account_id": 100 + number,
            "loan_date": [f"{day:%Y-%m-%d}" for day in granted],
            "date_max": by_account["day"].max().dt.strftime("%Y-%m-%d").to_numpy(),
            "date_min": by_account["day"].min().dt.strftime("%Y-%m-%d").to_numpy(),
            "operation_count": by_account.size().to_numpy(),
            "balance_mean": by_account["balance"].mean().to_numpy(),
            "balance_min": by_account["balance"].min().to_numpy(),
            "balance_last": by_account["balance"].last().to_numpy(),
            "amount_max": credits.to_numpy(),
        }
    )
    persons = pd.DataFrame({"disp_id": number, "client_id": number, "account_id": 100 + number, "type": "OWNER"})
    more = persons[second].assign(disp_id=lambda rows: rows["disp_id"] + 10_000, type="DISPONENT")
    cards = number[rng.random(loans) < 0.2]
    issued = granted[cards - 1] + pd.to_timedelta(rng.choice([-20, 0, 30], len(cards)), unit="D")
    tables = {
        "loan": pd.DataFrame(
            {
                "loan_id": 5000 + number,
                "account_id": 100 + number,
                "date": yymmdd(granted),
                "amount": duration * payments,
                "duration": duration,
                "payments": [f"{payment}.00" for payment in payments],
                "status": rng.choice(list("ABCD"), loans, p=[0.3, 0.1, 0.4, 0.2]),
            }
        ),
        "account": pd.DataFrame(
            {
                "account_id": 100 + number,
                "district_id": rng.integers(1, 9, loans),
                "frequency": rng.choice(list(FREQUENCIES), loans, p=[0.6, 0.25, 0.15]),
                "date": yymmdd(opened),
            }
        ),
        "disp": pd.concat([persons, more], ignore_index=True),
        "client": pd.DataFrame(
            {
                "client_id": number,
                "birth_number": [
                    f"{day:%y}{day.month + 50 * w:02d}{day:%d}" for day, w in zip(born, woman, strict=True)
                ],
            }
        ),
        "card": pd.DataFrame(
            {"card_id": cards, "disp_id": cards, "issued": [f"{day} 00:00:00" for day in yymmdd(issued)]}
        ),
        "district": pd.DataFrame(
            {
                "A1": np.arange(1, 9),
                "A2": [f"Place {place}" for place in "ABCDEFGH"],
                "A3": "region",
                "A11": rng.integers(8000, 12_000, 8),
                "A13": np.round(rng.uniform(0.5, 8, 8), 2),
            }
        ),
        "berka_before_loan": before,
        "berka_transactions": moves.assign(date=moves["day"].dt.strftime("%y%m%d")).drop(columns="day"),
    }
    return {name: table.astype(str).astype("string") for name, table in tables.items()}
