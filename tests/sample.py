"""Made-up Lending Club loans and market series: small, plausible, and in the form of the real ones."""

from pathlib import Path

import numpy as np
import pandas as pd
from rdata.missing import R_FLOAT_NA

from pipeline.core import cohorts
from pipeline.core.params import load
from pipeline.core.protocol import Study
from pipeline.studies.lendingclub.study import OUTSIDE_POLICY, READ
from pipeline.studies.market import STATES
from tests.sources.test_readers import Classed, Frame, write

PARAMS = Path(__file__).parents[1] / "params.yaml"
REGIONS = ["CA", "FL", "IL", "NJ", "NY", "OH", "PA", "TX"]
DEFAULT_RATE = {"A": 0.10, "B": 0.16, "C": 0.22, "D": 0.28}
MONTHS = [
    "2009-03",
    "2009-06",
    "2009-11",
    "2010-02",
    "2010-05",
    "2010-08",
    "2010-11",
    "2011-02",
    "2011-05",
    "2011-10",
]
SENTENCE = "I plan to pay off my credit cards with this loan and close the accounts for good"


def protocol(**changes: object) -> Study:
    """Return the study's section of params.yaml, for any number of loans and with some fields changed."""
    study = load(PARAMS).study("lendingclub")
    unchecked = study.expected.model_copy(update=dict.fromkeys(type(study.expected).model_fields))
    return study.model_copy(update={"expected": unchecked, **changes})


def completed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a made-up cohort with every column that a study's cohort has, those it lacks without a value."""
    study = load(PARAMS).study(name)
    columns = [*cohorts.ALWAYS, *(cohorts.AT_LANDMARK if study.landmark else ())]
    columns += [column for _, column in cohorts.named(study)]
    return frame.assign(**{column: np.nan for column in columns if column not in frame})


def raw_loans(loans: int, seed: int) -> pd.DataFrame:
    """Return made-up raw rows as `study.read` gives them; default depends on the grade alone."""
    rng = np.random.default_rng(seed)

    def pick(**shares: float) -> np.ndarray:
        return rng.choice(list(shares), loans, p=list(shares.values()))

    def some(share: float) -> np.ndarray:
        return rng.random(loans) < share

    # Few months, grades, purposes and levels: each stratum and each control then holds enough loans.
    issued = pd.Series(np.sort(rng.choice(np.array(MONTHS, "datetime64[ms]"), loans)))
    grade = pick(A=0.25, B=0.35, C=0.25, D=0.15)
    rank = pd.Series(grade).map(list(DEFAULT_RATE).index).to_numpy()
    fico = np.clip(np.round((770 - 20 * rank + rng.normal(0, 15, loans)) / 5) * 5, 660, 825)
    ended = np.where(rng.random(loans) < pd.Series(grade).map(DEFAULT_RATE), "Charged Off", "Fully Paid")
    status = np.where(some(0.06), OUTSIDE_POLICY + pd.Series(ended), ended)
    no_history, nothing_owed = some(0.002), some(0.01)

    raw = pd.DataFrame(
        {
            "id": (500_000 + rng.permutation(loans)).astype(str),
            "loan_status": np.where(some(0.01), "Current", status),
            "issue_d": issued,
            "addr_state": rng.choice(REGIONS, loans),
            "grade": grade,
            "fico_range_low": fico,
            "fico_range_high": fico + 4,
            "purpose": pick(debt_consolidation=0.7, credit_card=0.3),
            "term": pick(**{"36": 0.9, "60": 0.1}),
            "loan_amnt": np.clip(np.round(np.exp(rng.normal(9.1, 0.6, loans)) / 25) * 25, 500, 35_000),
            "int_rate": np.round(0.07 + 0.03 * rank + rng.normal(0, 0.005, loans), 4),
            "verification_status": pick(**{"Not Verified": 0.44, "Source Verified": 0.24, "Verified": 0.32}),
            "desc": [_description(rng, month) for month in issued],
            "annual_inc": np.where(some(0.001), np.nan, np.round(np.exp(rng.normal(11, 0.5, loans)))),
            "dti": np.round(rng.uniform(0, 30, loans), 2),
            "inq_last_6mths": np.where(no_history, np.nan, rng.poisson(1, loans)),
            "revol_util": np.where(nothing_owed | some(0.002), np.nan, rng.uniform(0, 1, loans).round(3)),
            "revol_bal": np.where(nothing_owed, 0.0, 1 + np.round(np.exp(rng.normal(9, 1, loans)))),
            "delinq_2yrs": np.where(no_history, np.nan, rng.poisson(0.15, loans)),
            "pub_rec": np.where(no_history, np.nan, rng.poisson(0.06, loans)),
            "open_acc": np.where(no_history, np.nan, 1 + rng.poisson(8, loans)),
            "earliest_cr_line": (issued - pd.to_timedelta(rng.integers(1_200, 9_000, loans), unit="D")),
            "emp_length": pick(**{"n/a": 0.1, "< 1 year": 0.2, "5 years": 0.3, "10+ years": 0.4}),
            "home_ownership": pick(RENT=0.45, MORTGAGE=0.4, OWN=0.1, OTHER=0.05),
        }
    )
    raw["earliest_cr_line"] = raw["earliest_cr_line"].mask(no_history)
    raw["funded_amnt"] = raw["loan_amnt"]
    raw["total_pymnt"] = raw["loan_amnt"] * np.where(ended == "Charged Off", 0.6, 1 + 1.5 * raw["int_rate"])
    raw["collection_recovery_fee"] = np.where(ended == "Charged Off", 0.01, 0.0) * raw["loan_amnt"]
    return as_read(raw)


def as_read(raw: pd.DataFrame) -> pd.DataFrame:
    """Give a raw table's columns the types that `study.read` gives them."""
    kinds = {"f": "float64", "s": "string", "d": "datetime64[ms]"}
    return raw.astype({name: kinds[str(rule.dtype)[0]] for name, rule in READ.columns.items()})


def _description(rng: np.random.Generator, month: pd.Timestamp) -> str:
    def text() -> str:
        return " ".join(rng.choice(SENTENCE.split(), rng.integers(3, 40)))

    if month < pd.Timestamp("2009-10-01"):
        return text() if rng.random() < 0.8 else ""
    messages = rng.choice(5, p=[0.5, 0.36, 0.08, 0.04, 0.02])
    days = month + pd.to_timedelta(np.sort(rng.integers(-10, 20, messages)), unit="D")
    return " ".join(f"  Borrower added on {day:%m/%d/%y} > {text()}<br>" for day in days)


def market_tables() -> dict[str, pd.DataFrame]:
    """Return made-up market series of 2008 to 2011 as `market.read` gives them, percent with two decimals."""
    months = pd.period_range("2008-01", "2011-12", freq="M").astype(str)
    quarters, decembers = months[5::3], months[11::12]
    wave = np.sin(np.arange(len(months)) / 7)
    unemployment = [
        pd.DataFrame({"region": region, "period_end": months, "unemployment": (8 + place / 4 + wave).round(2)})
        for place, region in enumerate(REGIONS)
    ]
    return {
        "state_unemployment": pd.concat(unemployment, ignore_index=True),
        "real_gdp": pd.DataFrame({"period_end": quarters, "gdp_growth": (1 - 3 * wave[5::3]).round(2)}),
        "consumer_price_inflation": pd.DataFrame({"period_end": decembers, "inflation": (2 + wave[11::12]).round(2)}),
        "federal_funds_rate": pd.DataFrame({"period_end": months, "policy_rate": (1.1 + wave).round(2)}),
    }


def write_mirror(folder: Path, loans: int, seed: int) -> None:
    """Write `raw_loans` and `market_tables` below `folder` as a data mirror holds the published files."""
    for name in ("lendingclub", "macro"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    raw = raw_loans(loans, seed)
    for year, rows in raw.groupby(raw["issue_d"].dt.year):
        columns = {name: _r_vector(rows[name]) for name in rows}
        write(folder / "lendingclub" / f"LendingClubData_{year}.rda", {f"LendingClub{year}": Frame(columns)})

    tables = market_tables()
    month = tables["state_unemployment"].assign(
        state=lambda rows: rows["region"].map({code: state for state, code in STATES.items()}),
        year=lambda rows: rows["period_end"].str[:4].astype("int32"),
        month=lambda rows: rows["period_end"].str[5:].astype("int32"),
        unem_rate=lambda rows: rows["unemployment"],
    )
    columns = {name: _r_vector(month[name]) for name in ("state", "year", "month", "unem_rate")}
    write(folder / "macro" / "state_month_sa.rda", {"state_month_sa": Frame(columns)})

    rate = tables["federal_funds_rate"]
    _write_fred(folder / "macro" / "FEDFUNDS.csv", rate["period_end"], rate["policy_rate"])
    growth = tables["real_gdp"]["gdp_growth"].to_numpy()
    level = 15_000 * np.concatenate([[1], np.cumprod((1 + growth / 100) ** 0.25)])
    first_months = pd.period_range("2008-01", periods=len(level), freq="3M").astype(str)
    _write_fred(folder / "macro" / "GDPC1.csv", first_months, level)

    years = tables["consumer_price_inflation"]
    about = "Country Name,Country Code,Indicator Name,Indicator Code"
    usa = 'United States,USA,"Inflation, consumer prices (annual %)",FP.CPI.TOTL.ZG'
    lines = [
        ",".join([about, *years["period_end"].str[:4]]),
        ",".join([usa, *years["inflation"].astype(str)]),
    ]
    (folder / "macro" / "FP.CPI.TOTL.ZG.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _r_vector(column: pd.Series) -> object:
    """Return a column as R would save it: text, dates, whole numbers or reals, with R's marks for missing."""
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return Classed(days.fillna(R_FLOAT_NA).to_numpy())
    if not pd.api.types.is_numeric_dtype(column):
        return column.astype(object).to_numpy()
    if (column.dropna() % 1 == 0).all():
        return np.ma.array(column.fillna(0).to_numpy("int32"), mask=column.isna().to_numpy())
    return np.where(column.isna(), R_FLOAT_NA, column)


def _write_fred(path: Path, months: pd.Index | pd.Series, values: np.ndarray | pd.Series) -> None:
    rows = zip(months, values, strict=True)
    lines = [f"{month[:4]},{month[5:]},01,{value}" for month, value in rows]
    path.write_text("\n".join(["% made up", "%DATE,VALUE", *lines]) + "\n", encoding="utf-8")
