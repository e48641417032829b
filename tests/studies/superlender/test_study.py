import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.stats.design import column_of
from pipeline.studies.superlender import study
from tests.studies.superlender.sample import PARAMS, protocol, raw_tables

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


def prepare(tables, **changes):
    return study.prepare(tables, protocol(**changes), CHECKS)


@pytest.fixture(scope="module")
def tables():
    return raw_tables(300, 1)


@pytest.fixture(scope="module")
def prepared(tables):
    return prepare(tables)


def changed(tables, name, row, **values):
    table = tables[name].copy()
    for column, value in values.items():
        table.loc[row, column] = value
    return {**tables, name: table}


def days(column):
    return pd.to_datetime(column).dt.normalize()


def test_a_loan_stays_one_row_and_clients_without_a_record_leave(tables, prepared):
    loans = tables["trainperf"]
    assert sorted(prepared.cohort["loan_id"]) == sorted(loans["systemloanid"].astype(str))[:-1]
    assert prepared.flow.set_index("reason").loc["no_earlier_loan", "loans"] == 1
    bad = loans.set_index("systemloanid")["good_bad_flag"].loc[prepared.cohort["loan_id"]]
    assert (prepared.cohort["default"].to_numpy() == (bad == "Bad").to_numpy()).all()


def test_the_earlier_loans_of_a_client_tell_how_long_and_how_punctual(tables, prepared):
    before = tables["trainprevloans"].astype(str)
    late = days(before["firstrepaiddate"]) > days(before["firstduedate"])
    share = late.groupby(before["customerid"]).mean()
    first = days(before["approveddate"]).groupby(before["customerid"]).min()
    loans = tables["trainperf"].set_index("systemloanid").loc[prepared.cohort["loan_id"]]
    np.testing.assert_allclose(prepared.cohort["early_warning_late_share"], share.loc[loans["customerid"].astype(str)])
    years = (
        days(loans["approveddate"]).to_numpy() - first.loc[loans["customerid"].astype(str)].to_numpy()
    ) / np.timedelta64(1, "D")
    np.testing.assert_allclose(prepared.cohort["relationship_length"], years / 365.25)
    np.testing.assert_allclose(prepared.cohort["relationship_depth_prior_loans"], loans["loannumber"].astype(float) - 1)
    assert (prepared.cohort["treated"] == (prepared.cohort["relationship_depth_prior_loans"] >= 4)).all()


def test_a_payment_of_the_due_day_is_not_late_although_the_clock_says_so(tables):
    # Due at midnight and paid before noon of that day, in all of a client's loans.
    client = tables["trainprevloans"]["customerid"][0]
    rows = tables["trainprevloans"].index[tables["trainprevloans"]["customerid"] == client]
    due = days(tables["trainprevloans"].loc[rows, "firstduedate"])
    paid = (due + pd.Timedelta(hours=10)).dt.strftime("%Y-%m-%d %H:%M:%S.000000")
    cohort = prepare(changed(tables, "trainprevloans", rows, firstrepaiddate=paid)).cohort.set_index("loan_id")
    loan = cohort.loc[tables["trainperf"].set_index("customerid")["systemloanid"][client]]
    assert (loan["early_warning_late_share"], loan["late_share_by_the_clock"]) == (0, 1)
    assert loan["first_loan_days_late"] == 0 and loan["credit_grade"] in ("B", "C")


def test_closed_late_counts_from_the_day_on_which_all_was_due():
    raw = pd.DataFrame(
        {
            "systemloanid": ["1", "2", "3"],
            "customerid": "c",
            "loannumber": [1.0, 2.0, 3.0],
            "approveddate": pd.Timestamp("2017-01-01"),
            "termdays": ["15", "60", "60"],
            "loanamount": 100.0,
            "firstduedate": pd.Timestamp("2017-01-31"),
            "firstrepaiddate": pd.Timestamp("2017-01-30 12:00"),
            # A month later the second instalment is due.
            "closeddate": pd.to_datetime(["2017-02-01", "2017-03-02", "2017-03-03"]),
        }
    )
    assert study.earlier_loans(raw)["closed_late"].tolist() == [1, 0, 1]


def test_the_grade_counts_points_for_the_first_loan_and_for_youth():
    loans = pd.DataFrame({"first_days_late": [-1, 0, 3, -1, 3, -1], "age": [40, 40, 40, 20, 20, np.nan]})
    assert study.credit_grade(loans).tolist() == ["A", "B", "C", "B", "D", "A"]


def test_the_grade_knows_nothing_of_the_loan_itself(tables, prepared):
    others = tables["trainperf"].copy()
    others["good_bad_flag"] = others["good_bad_flag"].map({"Good": "Bad", "Bad": "Good"}).astype("string")
    others["loanamount"], others["totaldue"] = "99000", "100000"
    again = prepare({**tables, "trainperf": others}).cohort
    assert (again["credit_grade"] == prepared.cohort["credit_grade"]).all()
    assert (again["default"] == 1 - prepared.cohort["default"]).all()


def test_of_persons_the_age_alone_is_kept(tables, prepared):
    assert {"customerid", "birthdate"} == set(study.TABLES["traindemographics"])
    assert not {"birthdate", "customerid"} & set(prepared.cohort)
    stated = set(tables["traindemographics"]["customerid"])
    loans = tables["trainperf"].set_index("systemloanid").loc[prepared.cohort["loan_id"]]
    on_file = loans["customerid"].isin(stated).to_numpy()
    assert (prepared.cohort["statements_on_file"] == on_file).all() and 0 < on_file.mean() < 1
    assert (prepared.cohort["age"].notna() == on_file).all()
    assert (prepared.cohort["age_group"].eq("not_on_file") == ~on_file).all()


def test_a_client_with_an_open_loan_leaves(tables):
    found = prepare(changed(tables, "trainprevloans", 0, closeddate="2017-12-01 00:00:00.000000"))
    assert found.flow.set_index("reason").loc["earlier_loan_open", "loans"] == 1


def test_what_the_lender_sets_by_the_relationship_is_never_held_fixed():
    terms = load(PARAMS).study("superlender")
    used = [*terms.matching.exact, *terms.matching.score]
    used += [term for block in terms.controls.ladder().values() for term in block]
    assert not {"amount", "term", "interest_rate", *terms.factors} & {column_of(term) for term in used}


def test_the_order_of_rows_plays_no_part(tables, prepared):
    shuffled = {name: table.sample(frac=1, random_state=7).reset_index(drop=True) for name, table in tables.items()}
    again = prepare(shuffled)
    pd.testing.assert_frame_equal(again.cohort, prepared.cohort)
    pd.testing.assert_frame_equal(again.panels["earlier_loans"], prepared.panels["earlier_loans"])


def test_what_breaks_a_rule_is_quarantined_and_too_much_of_it_stops_the_study(tables):
    found = prepare(changed(tables, "trainprevloans", 3, firstrepaiddate="soon"))
    assert "firstrepaiddate" in found.quarantined["reason"].item()
    assert found.flow.set_index("reason").loc["data_rule", "loans"] == 0
    with pytest.raises(StudyError, match="termdays"):
        prepare(changed(tables, "trainperf", list(range(9)), termdays="7"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"factors": ["loyalty"]}, "cannot be measured here"), ({"treatment": None}, "how many earlier loans")],
)
def test_a_wrong_protocol_gets_a_sentence(tables, changes, message):
    with pytest.raises(StudyError, match=message):
        prepare(tables, **changes)


def test_the_files_are_read_as_the_preparation_wants_them(tmp_path, tables, prepared):
    for name, table in tables.items():
        table.assign(longitude_gps="3.3").to_csv(tmp_path / f"{name}.csv", index=False)
    read = study.read("superlender", sorted(tmp_path.glob("*.csv")))
    assert not [name for table in read.values() for name in table if "gps" in name]
    pd.testing.assert_frame_equal(prepare(read).cohort, prepared.cohort)


def test_the_published_counts_come_out():
    """Against the competition's tables: the counts and rates that were known before the study was built."""
    folder = os.environ.get("CRM_DATA_MIRROR")
    if not folder:
        pytest.skip("CRM_DATA_MIRROR names no folder with the competition's tables")
    source = load_source("superlender")
    tables = study.read("superlender", [Path(folder, source.folder, file.name) for file in source.files])
    assert [len(tables[Path(file.name).stem]) for file in source.files] == [file.rows for file in source.files]
    found = study.prepare(tables, load(PARAMS).study("superlender"), CHECKS)
    cohort = found.cohort
    assert found.flow["remaining"].tolist() == [4368, 4368, 4359, 4359]
    loans = tables["trainperf"]
    bad, number = loans["good_bad_flag"] == "Bad", loans["loannumber"].astype(int)
    assert bad.sum() == 952
    rates = bad.groupby(number.clip(upper=12)).mean()
    np.testing.assert_allclose(
        rates, [0.249, 0.267, 0.251, 0.160, 0.227, 0.163, 0.168, 0.167, 0.147, 0.142, 0.165], atol=6e-4
    )
    referred = bad.groupby(loans["referredby"].notna()).agg(["size", "mean"])
    assert referred["size"].tolist() == [3781, 587]
    np.testing.assert_allclose(referred["mean"], [0.216, 0.228], atol=6e-4)
    assert loans["termdays"].value_counts().to_dict() == {"30": 3129, "15": 919, "60": 288, "90": 32}
    by_the_clock = pd.cut(cohort["late_share_by_the_clock"], [-1, 0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(
        cohort.groupby(by_the_clock, observed=True)["default"].mean(), [0.145, 0.127, 0.211, 0.255, 0.401], atol=6e-4
    )
    assert loans["customerid"].isin(tables["traindemographics"]["customerid"]).sum() == 3269
    assert cohort.groupby("credit_grade", observed=True)["default"].mean().is_monotonic_increasing
    assert len(found.panels["earlier_loans"]) == 18183
    assert load(PARAMS).study("superlender").treatment.at_least == (number - 1).median() + 1
