"""Made-up draws of guaranteed loans, in the form of the real ones."""

import numpy as np
import pandas as pd
import rdata

from pipeline.core.params import load
from pipeline.core.protocol import Study
from pipeline.studies.sba.study import RAW
from tests.sample import PARAMS
from tests.sources.test_readers import CONSTRUCTORS, Classed, Frame

STATES = ["CA", "NY", "OH", "TX"]
BANKS = ["ALPHA NATL BK", "BETA BANK, N.A.", "GAMMA SVGS BK", "DELTA TR CO", "FIRST NATL BK", "THE EPSILON BANK"]


def protocol(**changes: object) -> Study:
    """Return the study's section of params.yaml, for any number of loans and with some fields changed."""
    study = load(PARAMS).study("sba")
    unchecked = study.expected.model_copy(update=dict.fromkeys(type(study.expected).model_fields))
    return study.model_copy(update={"expected": unchecked, **changes})


def raw_loans(loans: int, seed: int, last: str = "2003-12-31") -> pd.DataFrame:
    """Return made-up raw rows as `study.read` gives them, approved up to the day `last`: all eligible up to 2003.

    Default hangs on the bank's state alone.
    """
    rng = np.random.default_rng(seed)
    days = np.array(pd.date_range("1994-02-01", last), "datetime64[ms]")
    approved = pd.Series(np.sort(rng.choice(days, loans)))
    paid_out = approved + pd.to_timedelta(rng.integers(1, 200, loans), unit="D")
    bank = rng.integers(0, len(BANKS), loans)
    state = rng.choice(STATES, loans)
    bank_state = np.where(rng.random(loans) < 0.6, state, "NC")
    chance = np.where(bank_state == state, 0.4, 0.6)
    charged_off = rng.random(loans) < chance
    amount = np.round(rng.uniform(5_000, 99_000, loans))
    raw = pd.DataFrame(
        {
            "loan_nr_chk_dgt": (1_000_000_000 + rng.permutation(loans)).astype(str),
            "state": state,
            "bank": np.array(BANKS, dtype=object)[bank],
            "bank_state": bank_state,
            "naics": rng.choice([236115.0, 445110.0, 541110.0, 0.0], loans),
            "approval_date": approved,
            "no_emp": rng.poisson(4, loans).astype(float),
            "new_exist": rng.choice([1.0, 2.0], loans),
            "franchise_code": rng.choice([0.0, 1.0, 50_564.0], loans, p=[0.5, 0.4, 0.1]),
            "rev_line_cr": rng.choice(np.array(["Y", "N", None], dtype=object), loans),
            "low_doc": rng.choice(["Y", "N"], loans),
            "chg_off_date": (paid_out + pd.to_timedelta(rng.integers(90, 1_500, loans), unit="D")).where(charged_off),
            "disbursement_date": paid_out,
            "disbursement_gross": amount,
            "mis_status": np.where(charged_off, "CHGOFF", "PIF"),
            "chg_off_prin_gr": np.where(charged_off, np.round(amount * rng.uniform(0.2, 1, loans)), 0.0),
            "gr_appv": amount,
            "sba_appv": 0.8 * amount,
        }
    )
    # Of young approvals long terms are on file only where they ended early.
    term = np.where(approved.dt.year <= 2003, rng.choice([84.0, 120.0], loans), 84.0)
    return as_read(raw).assign(term=term, draw=1)


def as_read(raw: pd.DataFrame) -> pd.DataFrame:
    """Give a raw table's columns the types that `study.read` gives them."""
    kinds = {"f": "float64", "s": "string", "d": "datetime64[ms]"}
    return raw.astype({name: kinds[str(rule.dtype)[0]] for name, rule in RAW.columns.items()})


def market_tables() -> dict[str, pd.DataFrame]:
    """Return made-up market series of 1990 to 2009 as `market.read` gives them."""
    months = pd.period_range("1990-01", "2009-12", freq="M").astype(str)
    wave = np.sin(np.arange(len(months)) / 7)
    unemployment = [
        pd.DataFrame({"region": region, "period_end": months, "unemployment": (5 + place / 4 + wave).round(2)})
        for place, region in enumerate(STATES)
    ]
    return {
        "state_unemployment": pd.concat(unemployment, ignore_index=True),
        "real_gdp": pd.DataFrame({"period_end": months[2::3], "gdp_growth": (3 - wave[2::3]).round(2)}),
        "consumer_price_inflation": pd.DataFrame({"period_end": months[11::12], "inflation": (2 + wave[11::12])}),
        "federal_funds_rate": pd.DataFrame({"period_end": months, "policy_rate": (4 + wave).round(2)}),
    }


def teaching_case(loans: int, seed: int) -> pd.DataFrame:
    """Return a made-up classroom file."""
    rng = np.random.default_rng(seed)
    case = pd.DataFrame(
        {
            "Selected": rng.integers(0, 2, loans),
            "RealEstate": rng.integers(0, 2, loans),
            "Portion": rng.choice([0.5, 0.75, 0.85], loans),
            "Recession": rng.integers(0, 2, loans),
        }
    )
    chance = 1 / (1 + np.exp(-(1.5 - 2 * case["RealEstate"] - 3 * case["Portion"] + case["Recession"])))
    case.insert(1, "Default", (rng.random(loans) < chance).astype(int))
    return case.astype(float)


def tables(raw: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return everything that `prepare` reads."""
    return {"sba_loans": raw, "sba_teaching_case": teaching_case(600, 1), **market_tables()}


def write_draw(path, raw: pd.DataFrame) -> None:
    """Write a raw table as R saved the draws: numbers of loans as reals, dates as days, codes as factors."""
    columns = {}
    for name in raw.columns.drop("draw"):
        column = raw[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            days = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
            columns[name] = Classed(days.to_numpy())
        elif name == "loan_nr_chk_dgt":
            columns[name] = column.astype(float).to_numpy()
        elif name == "low_doc":
            codes, levels = pd.factorize(column, sort=True)
            columns[name] = Classed(codes.astype(np.int32) + 1, "factor", np.array(levels, dtype=object))
        elif pd.api.types.is_numeric_dtype(column):
            columns[name] = column.to_numpy()
        else:
            columns[name] = column.astype(object).where(column.notna(), None).to_numpy()
    rdata.write_rds(path, Frame(columns), constructor_dict=CONSTRUCTORS)
