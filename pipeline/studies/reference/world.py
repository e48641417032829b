"""What all lenders share: the random streams, the calendar, the market, regions and industries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution

import numpy as np
import pandas as pd

from pipeline.studies.reference.settings import Settings

# One stream per institution and purpose: a new purpose is added at the end and leaves the others as they are.
PURPOSES = (
    "institution",
    "clients",
    "contacts",
    "reactive",
    "stress",
    "alerts",
    "delinquency",
    "cure",
    "prepayment",
    "details",
    "terms",
    "surveys",
    "reviews",
    "contact_rows",
    "account",
    "dirt",
)


def stream(seed: int, kind: int, number: int, purpose: str, part: int = 0) -> np.random.Generator:
    """Return the random stream of one purpose at one institution (type index, number within the type).

    Keyed by what it is for, never by the order of calls, so that an institution's draws do not depend on
    which other institutions are simulated, in what chunks, or under which regime.
    """
    key = np.random.SeedSequence(seed, spawn_key=(kind, number, PURPOSES.index(purpose), part))
    return np.random.Generator(np.random.Philox(key))


def logistic(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def log_odds(p: float | np.ndarray) -> np.ndarray:
    """Return ln(p / (1 - p))."""
    return np.log(p) - np.log1p(-np.asarray(p))


EARLIER_QUARTERS = 4


@cache
def macro_quarters(first_month: str, quarters: int) -> pd.DataFrame:
    """Return the real US quarterly series (statsmodels `macrodata`), `quarters` from that of `first_month` on.

    `EARLIER_QUARTERS` stand before them: figures are published late, so the first loans are granted on older ones.

    Columns: year, quarter, and in percent gdp_growth (annualised log growth), inflation, treasury_bill_rate
    and unemployment.
    """
    # The table alone: to import what stands around it takes longer than to simulate some lenders.
    table = distribution("statsmodels").locate_file("statsmodels/datasets/macrodata/macrodata.csv")
    data = pd.read_csv(str(table)).astype(float)
    frame = pd.DataFrame(
        {
            "year": data["year"].astype("int64"),
            "quarter": data["quarter"].astype("int64"),
            "gdp_growth": (400 * np.log(data["realgdp"]).diff()).round(4),
            "inflation": data["infl"].round(4),
            "treasury_bill_rate": data["tbilrate"].round(4),
            "unemployment": data["unemp"].round(4),
        }
    )
    year, month = int(first_month[:4]), int(first_month[5:])
    start = frame.index[(frame["year"] == year) & (frame["quarter"] == (month - 1) // 3 + 1)][0]
    return frame.loc[start - EARLIER_QUARTERS : start + quarters - 1].reset_index(drop=True)


def stress_index(settings: Settings, macro: pd.DataFrame) -> np.ndarray:
    """Return M by quarter, mean 0 and standard deviation 1 over the calendar (section Size and time).

    The document names the four series, not their weights. Stress is high when growth is low, unemployment is
    high and money is dear (Treasury bill rate less inflation); growth weighs as much as the two others.
    """

    def standardise(x: pd.Series) -> pd.Series:
        return (x - x.mean()) / x.std(ddof=0)

    series = (macro["gdp_growth"], macro["unemployment"], macro["treasury_bill_rate"] - macro["inflation"])
    weighted = [w * standardise(x) for w, x in zip(settings.market_weights, series, strict=True)]
    return standardise(sum(weighted[1:], weighted[0])).to_numpy()


@dataclass(frozen=True)
class World:
    """`macro` by quarter, M by calendar month, and the effects of region and industry on log odds."""

    macro: pd.DataFrame
    market: np.ndarray
    region_effect: np.ndarray
    industry_effect: np.ndarray


def world(settings: Settings, seed: int) -> World:
    """Return what all lenders share under `seed`."""
    macro = macro_quarters(settings.first_month, -(-settings.calendar_months // 3))
    draws = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(999,))))
    return World(
        macro=macro,
        market=np.repeat(stress_index(settings, macro[EARLIER_QUARTERS:]), 3)[: settings.calendar_months],
        region_effect=draws.normal(0, settings.region_sd, settings.regions),
        industry_effect=draws.normal(0, settings.industry_sd, settings.industries),
    )
