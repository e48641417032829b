"""How fast a lender grew before it granted a loan."""

from __future__ import annotations

import numpy as np
import pandas as pd


def lagged_growth(lender: pd.Series, year: pd.Series, weights: pd.Series, least: int) -> pd.Series:
    """Return, for each loan, the growth of its lender's lending from two years before it to the year before it.

    `lender`, `year` (whole numbers) and `weights` (loans of the population that each stands for) are (loans,). With
    weighted numbers of loans a (two years before) and b (the year before), growth is (b - a) / ((a + b) / 2), which
    lies between -2 and 2 and is defined for a lender that enters or leaves (Davis, Haltiwanger & Schuh 1996). Missing
    where the two years hold fewer than `least` loans of the sample together. The loan's own year never enters.
    """
    frame = pd.DataFrame({"lender": lender.astype(object), "year": year.astype(int), "weight": weights})
    lent = frame.groupby(["lender", "year"])["weight"].agg(["sum", "size"])

    def back(years: int, what: str) -> np.ndarray:
        wanted = pd.MultiIndex.from_arrays([frame["lender"], frame["year"] - years])
        return lent[what].reindex(wanted).fillna(0).to_numpy(dtype=float)

    before, after = back(2, "sum"), back(1, "sum")
    enough = back(2, "size") + back(1, "size") >= max(least, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = (after - before) / ((after + before) / 2)
    return pd.Series(np.where(enough, growth, np.nan), lender.index)
