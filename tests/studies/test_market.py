import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.studies import market
from tests.sample import market_tables, write_mirror

LAGS = {"unemployment": 2, "gdp_growth": 2, "inflation": 2, "policy_rate": 1}
FILES = {
    "state_unemployment": "state_month_sa.rda",
    "real_gdp": "GDPC1.csv",
    "consumer_price_inflation": "FP.CPI.TOTL.ZG.csv",
    "federal_funds_rate": "FEDFUNDS.csv",
}


def loans(*originations, region="CA"):
    dates = pd.to_datetime([f"{month}-01" for month in originations])
    return pd.DataFrame({"origination_date": dates, "region": region})


def rate(**values):
    periods = [name.replace("m", "").replace("_", "-") for name in values]
    return {"rate": pd.DataFrame({"period_end": periods, "policy_rate": list(values.values())})}


@pytest.mark.parametrize("lag", [0, 1, 2, 5])
def test_a_value_is_known_its_lag_after_its_period_and_not_a_month_before(lag):
    months = pd.period_range("2009-10", periods=9, freq="M").astype(str)
    tables = rate(m2009_09=1.0, m2009_10=2.0)
    known = market.join(loans(*months), tables, {"policy_rate": lag})["policy_rate"].tolist()
    # The value of October becomes known `lag` months after October.
    assert pd.isna(known[: max(lag - 1, 0)]).all()
    assert known[max(lag - 1, 0) : lag] == [1.0] * min(lag, 1)
    assert known[lag:] == [2.0] * (9 - lag)


def test_before_the_first_value_is_known_it_is_missing():
    known = market.join(loans("2009-09", "2009-10", "2009-11"), rate(m2009_09=1.0), {"policy_rate": 2})
    assert known["policy_rate"].isna().tolist() == [True, True, False]


def test_every_region_has_its_own_values():
    table = pd.DataFrame(
        {
            "region": ["CA", "TX", "CA"],
            "period_end": ["2009-09", "2009-10", "2009-11"],
            "unemployment": [12.0, 8.0, 13.0],
        }
    )
    three = pd.concat([loans("2009-12", region=region) for region in ("TX", "CA", "NY")])
    three = three.set_axis([30, 10, 20]).assign(region=lambda rows: rows["region"].astype("category"))
    known = market.join(three, {"states": table}, {"unemployment": 1})
    assert known["unemployment"].loc[[30, 10]].tolist() == [8.0, 13.0]
    assert known["unemployment"].isna().loc[20]


def test_a_missing_value_leaves_the_one_before_it_in_force():
    known = market.join(loans("2010-01"), rate(m2009_09=1.0, m2009_10=None), {"policy_rate": 0})
    assert known["policy_rate"].tolist() == [1.0]


def test_rows_and_columns_keep_their_places():
    some = loans("2010-05", "2009-12", "2010-01").set_axis([7, 3, 5])
    known = market.join(some, market_tables(), LAGS)
    assert known.index.tolist() == [7, 3, 5]
    assert list(known) == ["unemployment", "gdp_growth", "inflation", "policy_rate"]
    one = market.join(some.loc[[3]], market_tables(), LAGS)
    pd.testing.assert_frame_equal(known.loc[[3]], one)


MONTHS = pd.period_range("2008-01", "2011-12", freq="M").astype(str).tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(MONTHS), st.just(0.0), min_size=1),
    st.lists(st.sampled_from(MONTHS), min_size=1, max_size=5),
    st.integers(0, 14),
    st.randoms(),
)
def test_no_value_comes_from_the_future_and_none_is_older_than_it_must_be(periods, originations, lag, random):
    # Each value is its own period, counted in months.
    ends = random.sample(list(periods), len(periods))
    number = {month: place for place, month in enumerate(MONTHS)}
    table = pd.DataFrame({"period_end": ends, "policy_rate": [float(number[end]) for end in ends]})
    known = market.join(loans(*originations), {"rate": table}, {"policy_rate": lag})["policy_rate"]
    for origination, value in zip(originations, known, strict=True):
        usable = [number[end] for end in ends if number[end] + lag <= number[origination]]
        assert pd.isna(value) if not usable else value == max(usable)


@pytest.mark.parametrize("series", LAGS)
def test_a_later_revision_of_what_was_not_yet_known_changes_nothing(series):
    tables = market_tables()
    some = loans("2009-10", "2010-02", "2010-03")
    before = market.join(some, tables, LAGS)
    changed = {
        name: table.assign(**{series: table[series].mask(table["period_end"] > "2010-02", 99.0)})
        if series in table
        else table
        for name, table in tables.items()
    }
    pd.testing.assert_frame_equal(market.join(some, changed, LAGS), before)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    write_mirror(folder, 10, 1)
    return folder / "macro"


@pytest.mark.parametrize("source", FILES)
def test_series_are_read_from_the_published_files(mirror, source):
    found = market.read(source, mirror / FILES[source]).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, market_tables()[source], check_dtype=False)


def test_a_quarter_ends_with_its_third_month_and_a_year_in_december(tmp_path):
    path = tmp_path / "gdp.csv"
    path.write_text("2009,07,01,100\n2009,10,01,101\n2010,01,01,.\n2010,04,01,103\n2010,07,01,103\n")
    found = market.read("real_gdp", path)
    assert found["period_end"].tolist() == ["2009-12", "2010-09"]
    assert found["gdp_growth"].tolist() == pytest.approx([100 * (1.01**4 - 1), 0])


def test_growth_is_the_same_bytes_on_every_processor(tmp_path):
    levels = np.random.default_rng(5).uniform(9000, 11000, 400).round(3)
    quarters = pd.date_range("1900-01-01", periods=400, freq="QS")
    path = tmp_path / "gdp.csv"
    path.write_text("".join(f"{day:%Y,%m,%d},{value}\n" for day, value in zip(quarters, levels, strict=True)))
    ratios = [now / before for before, now in zip(levels.tolist(), levels.tolist()[1:], strict=False)]
    # Python's own arithmetic rounds each product as IEEE 754 says, which a vectorised power does not.
    assert market.read("real_gdp", path)["gdp_growth"].tolist() == [100 * (x * x * (x * x) - 1) for x in ratios]


def test_the_states_are_fifty_and_the_district():
    assert len(market.STATES) == len(set(market.STATES.values())) == 51
