"""The market environment as a lender knew it: series joined by month and state with their publication lags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.sources import r_files, readers

STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "District of Columbia": "DC", "Florida": "FL", "Georgia": "GA",
    "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS",
    "Kentucky": "KY", "Louisiana": "LA", "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI",
    "Minnesota": "MN", "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV",
    "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY", "North Carolina": "NC",
    "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
    "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX",
    "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington": "WA", "West Virginia": "WV",
    "Wisconsin": "WI", "Wyoming": "WY",
}  # fmt: skip
"""Names and postal codes of the US states."""


def _unemployment(path: Path) -> pd.DataFrame:
    raw = r_files.read_rda(path, ["state", "year", "month", "unem_rate"])
    return pd.DataFrame(
        {
            "region": raw["state"].map(STATES),
            "period_end": pd.PeriodIndex.from_fields(
                year=raw["year"].astype(int), month=raw["month"].astype(int), freq="M"
            ),
            "unemployment": raw["unem_rate"].astype(float),
        }
    )


def _growth(path: Path) -> pd.DataFrame:
    """Growth of a quarter's real GDP over the quarter before, at an annual rate, in percent."""
    level = readers.read_fred_csv(path)
    factor = level["value"] / level["value"].shift()
    # Products, not a power: NumPy's power differs in its last bit between processors.
    growth = 100 * (factor * factor * (factor * factor) - 1)
    # A quarter is dated by its first month.
    return pd.DataFrame({"period_end": level["date"].dt.to_period("M") + 2, "gdp_growth": growth}).dropna()


def _inflation(path: Path) -> pd.DataFrame:
    year = readers.read_world_bank_csv(path, "USA")
    december = pd.PeriodIndex.from_fields(year=year["year"], month=[12] * len(year), freq="M")
    return pd.DataFrame({"period_end": december, "inflation": year["value"]})


def _policy_rate(path: Path) -> pd.DataFrame:
    month = readers.read_fred_csv(path)
    return pd.DataFrame({"period_end": month["date"].dt.to_period("M"), "policy_rate": month["value"]})


SERIES = {
    "state_unemployment": _unemployment,
    "real_gdp": _growth,
    "consumer_price_inflation": _inflation,
    "federal_funds_rate": _policy_rate,
}
"""How each source becomes a series: ``period_end`` (last month of the period), ``region?`` and one column of
values in percent."""


def read(source: str, path: Path) -> pd.DataFrame:
    """Read a market source as a series whose ``period_end`` is text such as ``2009-12``."""
    series = SERIES[source](path)
    return series.assign(period_end=series["period_end"].astype(str))


def join(loans: pd.DataFrame, tables: Mapping[str, pd.DataFrame], lags: Mapping[str, int]) -> pd.DataFrame:
    """Return each loan's market environment as known in its month of origination.

    `loans` has ``origination_date`` and ``region``; `tables` are series by source as `read` gives them. A value
    counts as known ``lags[series]`` months after its period ended, and a loan gets the latest known one; where no
    value is known yet the result is missing. Same index as `loans`, one float column (percent) a series.
    """
    names = {source: next(iter(set(table.columns) - {"region", "period_end"})) for source, table in tables.items()}
    if set(names.values()) != set(lags):
        raise StudyError(
            f"release_lag_months must hold one lag for each of {', '.join(sorted(names.values()))}, "
            f"and holds {', '.join(sorted(lags))}."
        )
    months = loans["origination_date"].dt.to_period("M").astype("int64").rename("month")
    known = pd.DataFrame(index=loans.index)
    for source, table in tables.items():
        name = names[source]
        by = ["region"] if "region" in table else []
        series = table.assign(month=pd.PeriodIndex(table["period_end"], freq="M").astype("int64") + lags[name])
        wanted = loans[by].assign(month=months, row=range(len(loans)))
        if by:
            wanted["region"] = wanted["region"].astype(str)
        joined = pd.merge_asof(
            wanted.sort_values("month", kind="stable"),
            series.dropna().sort_values("month", kind="stable"),
            on="month",
            by=by or None,
        )
        known[name] = joined.sort_values("row")[name].to_numpy(dtype=float)
    return known
