"""The further tables of the reference study are those of plain pandas."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.studies.reference import generator
from pipeline.studies.reference.prepare_months import REACTIVE
from tests.studies.reference.test_prepare import LANDMARK, SEED, SETTINGS, months, prepare


@pytest.fixture(scope="module")
def frames():
    return generator.simulate(replace(SETTINGS, institutions=(4, 3, 4)), SEED, generator.RAW_TABLES, dirt=False)


@pytest.fixture(scope="module")
def further(frames):
    return {name: make() for name, make in prepare(frames).further.items()}


def test_nothing_is_made_until_it_is_asked_for(frames):
    assert all(callable(make) for make in prepare(frames).further.values())


def test_ends_are_the_last_recorded_month(frames, further):
    repayments = frames["repayments"].astype({"loan_id": str})
    last = repayments.sort_values("month_number").groupby("loan_id").tail(1).set_index("loan_id")
    found = further["loan_ends"].set_index("loan_id")
    assert found.index.is_monotonic_increasing and len(found) == len(last)
    assert (found["months"] == last["month_number"].loc[found.index]).all()
    named = last["state"].map({"default": "default", "prepaid": "repaid"}).fillna("open").loc[found.index]
    assert (found["end"].astype(str) == named).all()
    assert set(named) == {"default", "repaid", "open"}


def test_what_came_after_and_the_assessment(frames, further):
    found = further["loan_ends"].set_index("loan_id")
    loans = frames["loans"].astype({"loan_id": str}).set_index("loan_id").loc[found.index]
    start = months(pd.to_datetime(loans["origination_date"]))
    for column, date in (("months_to_next_loan", "next_loan_date"), ("months_to_leaving", "left_lender_date")):
        expected = months(pd.to_datetime(loans[date])) - start
        pd.testing.assert_series_equal(found[column], expected.astype(float), check_names=False)
    assessed = frames["applications"].set_index("application_id")["assessment_score"]
    assert (found["assessment_score"] == assessed.loc[loans["application_id"]].to_numpy()).all()


def test_the_share_that_was_reached_counts_own_contacts_up_to_the_landmark(frames, further):
    found = further["loan_ends"].set_index("loan_id")["reached_share"]
    contacts = frames["contacts"].astype({"loan_id": str})
    loans = frames["loans"].astype({"loan_id": str}).set_index("loan_id")
    since = months(contacts["contact_date"]) - months(
        pd.to_datetime(loans["origination_date"]).loc[contacts["loan_id"]].set_axis(contacts.index)
    )
    own = contacts[~contacts["reason"].isin(REACTIVE) & (since <= LANDMARK)]
    expected = own.groupby("loan_id")["reached"].mean()
    assert found.notna().sum() == len(expected)
    assert (found.dropna() - expected.loc[found.dropna().index]).abs().max() < 1e-12


def test_answers_and_what_follows_are_those_of_plain_pandas(frames, further):
    found = further["alert_answers"]
    assert len(found) > 100
    contacts = frames["contacts"].astype({"loan_id": str})
    own = contacts[~contacts["reason"].isin(REACTIVE)]
    dates = {loan: np.sort(of["contact_date"].to_numpy("datetime64[D]")) for loan, of in own.groupby("loan_id")}
    alerts = frames["alerts"].astype({"loan_id": str}).set_index(["loan_id", "month_number"])["alert_date"]
    states = frames["repayments"].astype({"loan_id": str}).set_index(["loan_id", "month_number"])["state"].to_dict()
    for row in found.sample(150, random_state=1).itertuples():
        date = alerts.loc[row.loan_id, row.month_number].to_datetime64().astype("datetime64[D]")
        later = dates.get(row.loan_id, np.array([], "datetime64[D]"))
        later = later[later >= date]
        days = (later[0] - date).astype(int) if len(later) else 999
        assert (np.isnan(row.answer_days) and days > 90) or row.answer_days == days
        after = [states.get((row.loan_id, row.month_number + ahead)) for ahead in range(1, 7)]
        assert row.default_after == ("default" in after)
        assert row.arrears_after == bool({"delinquent", "default"} & set(after[:3]))
        before = states.get((row.loan_id, row.month_number - 1), "current")
        assert row.current_at_start == (before == "current")
    assert found["month_number"].max() == 18


def test_months_of_the_market_are_those_of_their_quarter(frames, further):
    found = further["market_months"].set_index("calendar_month")
    macro = frames["macro"].set_index(["year", "quarter"])
    assert len(found) == 3 * len(macro)
    for month in ("2004-01", "2004-03", "2008-11"):
        quarter = macro.loc[int(month[:4]), (int(month[5:]) - 1) // 3 + 1]
        assert found.loc[month, "gdp_growth"] == quarter["gdp_growth"]
        assert found.loc[month, "policy_rate"] == quarter["treasury_bill_rate"]
