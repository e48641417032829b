import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.studies.lendingclub import study
from tests.sample import PARAMS, market_tables, protocol, raw_loans, write_mirror

CHECKS = Checks(quarantine_share=0.01, balance=0.1)
STAMP = "  Borrower added on {} > {}<br>"


def prepare(raw, checks=CHECKS, tables=None, **changes):
    return study.prepare({"lendingclub": raw, **(tables or market_tables())}, protocol(**changes), checks)


@pytest.fixture(scope="module")
def eligible():
    """Rows that all reach the cohort."""
    raw = raw_loans(400, 3)
    keep = (raw["issue_d"] >= "2009-10-01") & raw["loan_status"].isin(study.DEFAULT)
    return raw[keep & raw.notna().all(axis=1)].reset_index(drop=True)


def planted(raw, rows, **values):
    """Return the table with other values in some rows."""
    changed = raw.copy()
    for name, value in values.items():
        changed.loc[rows, name] = value
    return changed


def steps(prepared):
    return prepared.flow.set_index("reason")["loans"].to_dict()


def same(one, other):
    """Compare two preparations table by table; this study has no panels."""
    tables = [[table for table in prepared if isinstance(table, pd.DataFrame)] for prepared in (one, other)]
    for left, right in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(left, right)


# Messages


def messages(*descriptions, issued="2010-05-01"):
    dates = pd.Series(pd.to_datetime([issued] * len(descriptions)))
    found = study.messages(study.without_late_messages(pd.Series(descriptions, dtype="string"), dates))
    return list(zip(found["communication_frequency"], found["communication_frequency_days"], strict=True))


def test_stamps_are_messages_and_their_dates_are_days():
    twice = STAMP.format("05/03/10", "one") + STAMP.format("05/03/10", "two") + STAMP.format("04/28/10", "x")
    assert messages(STAMP.format("05/03/10", "one"), twice) == [(1, 1), (3, 2)]


@pytest.mark.parametrize("text", ["", None, "I never added on anything", "added on 5/3/10", "added on May 3"])
def test_without_a_stamp_there_is_no_message(text):
    assert messages(text) == [(0, 0)]


def test_a_stamp_of_the_month_of_origination_counts_and_a_later_one_does_not():
    days = ["04/30/10", "05/31/10", "06/01/10", "01/01/11"]
    found = messages(*(STAMP.format(day, "text") for day in days))
    assert found == [(1, 1), (1, 1), (0, 0), (0, 0)]
    assert messages("".join(STAMP.format(day, "text") for day in days)) == [(2, 2)]


def test_a_stamp_with_the_borrowers_number_is_a_stamp_like_any_other():
    # So the platform wrote them in its first months.
    early, late = " 569499 added on 05/04/10 > one<br>", " 569499 added on 06/01/10 > two<br>"
    assert messages(early, late) == [(1, 1), (0, 0)]
    assert messages(STAMP.format("05/03/10", "text") + early + late) == [(2, 2)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("day", ["13/01/10", "02/30/10", "00/10/10", "05/00/10"])
def test_a_day_that_does_not_exist_is_no_message(day):
    assert messages(STAMP.format(day, "text"), STAMP.format(day, "") + STAMP.format("05/02/10", "")) == [
        (0, 0),
        (1, 1),
    ]


def test_the_new_year_is_crossed():
    assert messages(STAMP.format("12/31/09", "text"), issued="2010-01-01") == [(1, 1)]
    assert messages(STAMP.format("01/01/10", "text"), issued="2009-12-01") == [(0, 0)]


def test_messages_keep_the_index_of_their_loans():
    text = pd.Series(["", STAMP.format("05/03/10", "a")], [9, 4], dtype="string")
    issued = pd.Series(pd.Timestamp("2010-05-01"), [4, 9])
    found = study.messages(study.without_late_messages(text, issued))
    assert found["communication_frequency"].to_dict() == {9: 0, 4: 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, 0),
        ("", 0),
        ("   ", 0),
        ("pay off my cards", 4),
        (STAMP.format("05/03/10", "pay off"), 2),
        (STAMP.format("05/03/10", "pay off") + STAMP.format("05/04/10", "my cards"), 4),
        (" 569499 added on 05/04/10 > pay off<br>", 2),
        ("one<br>two<br/>three<br />four", 4),
        # The platform's mark for an empty field is no word of the borrower's.
        (STAMP.format("05/03/10", "pay off") + "null", 2),
    ],
)
def test_words_are_the_borrowers_own(text, words):
    assert study.words_written(pd.Series([text], dtype="string")).tolist() == [words / 100]


# What is read


def test_nothing_that_comes_after_the_loan_is_read_but_what_was_paid_back():
    assert not study.POST_OUTCOME & set(study.RAW.columns)
    assert study.POST_OUTCOME & set(study.READ.columns) == {"total_pymnt", "collection_recovery_fee"}
    assert {"recoveries", "last_fico_range_high", "total_pymnt", "settlement_status"} <= study.POST_OUTCOME


def test_what_was_paid_back_is_an_outcome_and_explains_none():
    own = load().study("lendingclub")
    terms = [*own.factors, *own.placebo, *own.matching.exact, *own.matching.score]
    terms += [term for block in own.controls.ladder().values() for term in block]
    terms += [name for relation in own.relations for name in (relation.factor, *relation.controls)]
    assert not {term for term in terms if "net_received" in term}


def test_lenders_receive_what_was_paid_less_the_loan_and_the_cost_of_collection(eligible):
    raw = planted(eligible, [0, 1], funded_amnt=1000.0)
    raw = planted(raw, [0], total_pymnt=1150.0, collection_recovery_fee=0.0)
    raw = planted(raw, [1], total_pymnt=300.0, collection_recovery_fee=20.0)
    received = prepare(raw).cohort.set_index("loan_id")["net_received"]
    assert received[raw.loc[[0, 1], "id"]].tolist() == pytest.approx([15.0, -72.0])


def test_files_are_those_of_the_years(eligible):
    source = load_source("lendingclub")
    names = [file.name for file in study.files(source, [2011, 2009, 2009])]
    assert names == ["LendingClubData_2009.rda", "LendingClubData_2011.rda"]
    with pytest.raises(StudyError, match=r"vintages: no file for \[2006\]; there are years 2007 to 2018"):
        study.files(source, [2006, 2009])


def test_a_market_series_is_read_whole():
    assert len(study.files(load_source("real_gdp"), [2009])) == 1


def test_published_files_are_read_as_one_table(tmp_path):
    write_mirror(tmp_path, 60, 5)
    paths = [tmp_path / "lendingclub" / f"LendingClubData_{year}.rda" for year in (2009, 2010, 2011)]
    pd.testing.assert_frame_equal(study.read("lendingclub", paths), raw_loans(60, 5))


# The sample flow


def test_rows_that_break_nothing_all_reach_the_cohort(eligible):
    prepared = prepare(eligible)
    assert len(prepared.cohort) == len(eligible) > 200
    assert set(steps(prepared).values()) == {0}
    assert len(prepared.quarantined) == 0


ROWS = [3, 50, 101]


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("outside_policy", {"loan_status": f"{study.OUTSIDE_POLICY}Charged Off"}),
        ("not_ended", {"loan_status": "Late (31-120 days)"}),
        ("before_stamps", {"issue_d": pd.Timestamp("2009-09-01")}),
        ("missing_market", {"addr_state": "WY"}),
        ("missing_borrower", {"annual_inc": None}),
        ("missing_borrower", {"earliest_cr_line": None}),
    ],
)
def test_each_reason_catches_the_rows_planted_for_it(eligible, reason, values):
    prepared = prepare(planted(eligible, ROWS, **values))
    gone = set(eligible["id"]) - set(prepared.cohort["loan_id"])
    assert gone == set(eligible.loc[ROWS, "id"])
    assert {name: count for name, count in steps(prepared).items() if count} == {reason: 3}


def test_loans_after_the_last_month_leave(eligible):
    prepared = prepare(eligible, eligibility={"first_month": "2009-10", "last_month": "2011-05"})
    late = (eligible["issue_d"] > "2011-05-31").sum()
    assert late > 0
    assert steps(prepared)["after_last_month"] == late
    assert prepared.cohort["origination_month"].astype(str).max() == "2011-05"


def test_a_row_that_is_there_twice_counts_once(eligible):
    prepared = prepare(pd.concat([eligible, eligible.loc[ROWS]]))
    assert steps(prepared)["recorded_twice"] == 3
    same([prepared.cohort], [prepare(eligible).cohort])


def test_which_of_two_records_stays_does_not_depend_on_their_order(eligible):
    twice = pd.concat([eligible, eligible.loc[[3]].assign(loan_amnt=777.0)])
    same(prepare(twice), prepare(twice.iloc[::-1]))


def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(eligible):
    raw = planted(planted(eligible, [3], grade="H"), [3, 50], int_rate=7.5)
    prepared = prepare(raw, CHECKS.model_copy(update={"quarantine_share": 0.02}))
    assert steps(prepared)["data_rule"] == 2
    assert prepared.quarantined["id"].tolist() == eligible.loc[[3, 50], "id"].tolist()
    first, second = prepared.quarantined["reason"]
    assert first.startswith("grade: isin(") and "; int_rate: in_range(" in first
    assert second.startswith("int_rate: in_range")


def test_too_many_broken_rows_stop_the_study(eligible):
    with pytest.raises(StudyError) as caught:
        prepare(planted(eligible, range(10), grade="H"))
    message = str(caught.value)
    assert f"lendingclub: 10 of {len(eligible)} rows break a data rule" in message
    assert "checks.quarantine_share" in message
    assert "10 rows (H, H, H, H, H)" in message


def test_a_column_of_text_where_numbers_belong_stops_the_study(eligible):
    with pytest.raises(StudyError, match="lendingclub: column dti"):
        prepare(eligible.assign(dti="high"))


def test_the_flow_adds_up():
    raw = raw_loans(500, 4)
    prepared = prepare(pd.concat([raw, raw.iloc[:7]]))
    flow = prepared.flow
    assert flow["remaining"].iloc[0] == 507
    assert flow["loans"].sum() + len(prepared.cohort) == 507
    assert flow["remaining"].iloc[-1] == len(prepared.cohort)
    assert flow["remaining_defaults"].iloc[-1] == prepared.cohort["default"].sum()
    assert flow["remaining_defaults"].iloc[0] - flow["defaults"].sum() == prepared.cohort["default"].sum()


@pytest.mark.parametrize("name", ["ended", "ended_defaults", "cohort"])
def test_a_count_that_is_not_the_expected_one_is_named(eligible, name):
    expected = protocol().expected
    prepared = prepare(eligible)
    found = int(prepared.cohort["default"].sum()) if name == "ended_defaults" else len(prepared.cohort)
    prepare(eligible, expected=expected.model_copy(update={name: found}))
    with pytest.raises(StudyError, match=rf"finds {found} where .* expects {found + 1} \(expected\.{name}\)"):
        prepare(eligible, expected=expected.model_copy(update={name: found + 1}))


def test_the_robustness_sample_is_the_cohort_and_the_loans_outside_policy(eligible):
    outside = planted(eligible, ROWS, loan_status=f"{study.OUTSIDE_POLICY}Charged Off")
    # One that is outside policy and out for another reason stays out.
    outside = planted(outside, [3], annual_inc=None)
    prepared = prepare(outside)
    more = set(prepared.robustness["loan_id"]) - set(prepared.cohort["loan_id"])
    assert more == set(eligible.loc[[50, 101], "id"])
    assert prepared.robustness.set_index("loan_id").loc[sorted(more), "default"].tolist() == [1, 1]
    assert list(prepared.robustness) == list(prepared.cohort)
    assert set(prepared.cohort["loan_id"]) <= set(prepared.robustness["loan_id"])


# The cohort's columns


def loan(raw, number, **changes):
    """Return the cohort's row of one raw row."""
    return prepare(raw, **changes).cohort.set_index("loan_id").loc[raw.loc[number, "id"]]


def test_the_columns_of_a_loan(eligible):
    raw = planted(
        eligible,
        [3],
        issue_d=pd.Timestamp("2010-05-01"),
        fico_range_low=700.0,
        fico_range_high=704.0,
        int_rate=0.1065,
        revol_util=0.25,
        term="60",
        earliest_cr_line=pd.Timestamp("2000-05-01"),
        verification_status="Source Verified",
        home_ownership="NONE",
        loan_status="Charged Off",
        desc=STAMP.format("05/03/10", "pay off my cards") + STAMP.format("05/03/10", "soon"),
    )
    row = loan(raw, 3)
    assert row["origination_month"] == "2010-05"
    assert row["origination_quarter"] == "2010Q2"
    assert row["credit_score"] == 702
    assert row["interest_rate"] == pytest.approx(10.65)
    assert row["revolving_utilisation"] == 25
    assert row["term_months"] == 60
    assert row["credit_history_years"] == pytest.approx(10, abs=0.01)
    assert row["information_sharing"] == 1
    assert row["information_sharing_words"] == 0.05
    assert row["home_ownership"] == "OTHER"
    assert row["communication_frequency"] == 2
    assert row["communication_frequency_days"] == 1
    assert (row["treated"], row["default"]) == (1, 1)


def test_grades_and_verification_are_ordered(eligible):
    cohort = prepare(eligible).cohort
    assert list(cohort["credit_grade"].cat.categories) == ["A", "B", "C", "D"]
    assert cohort["credit_grade"].cat.ordered
    assert cohort["income_verification"].cat.ordered


def test_the_treatment_is_its_factor_from_its_value_on(eligible):
    for least in (1, 2):
        rule = protocol().treatment.model_copy(update={"at_least": least})
        cohort = prepare(eligible, treatment=rule).cohort
        assert 0 < cohort["treated"].sum() < len(cohort)
        assert (cohort["treated"] == (cohort["communication_frequency"] >= least)).all()


def test_utilisation_is_filled_where_nothing_is_owed_and_nowhere_else(eligible):
    raw = planted(eligible, [3, 50, 101], revol_util=None)
    raw = planted(planted(raw, [3], revol_bal=0.0), [50, 101], revol_bal=500.0)
    raw = planted(raw, [7], revol_bal=0.0, revol_util=0.4)
    prepared = prepare(raw)
    assert steps(prepared)["missing_borrower"] == 2
    cohort = prepared.cohort.set_index("loan_id")
    assert cohort.loc[raw.loc[3, "id"], "revolving_utilisation"] == 0
    assert cohort.loc[raw.loc[7, "id"], "revolving_utilisation"] == 40


# No factor may know what came after the loan was made.


def test_a_message_after_the_month_of_origination_changes_nothing(eligible):
    later = STAMP.format("12/24/12", "I lost my job and cannot pay any more")
    leaked = eligible.assign(desc=eligible["desc"] + later)
    same(prepare(leaked), prepare(eligible))


def test_how_the_loan_went_changes_nothing_but_default(eligible):
    ended = prepare(eligible).cohort
    other = prepare(eligible.assign(loan_status="Charged Off")).cohort
    pd.testing.assert_frame_equal(other.drop(columns="default"), ended.drop(columns="default"))
    assert other["default"].eq(1).all()


@pytest.mark.parametrize("reading", ["one order", "another index"])
def test_the_order_of_the_rows_plays_no_part(reading):
    raw = raw_loans(500, 4)
    other = raw.sample(frac=1, random_state=1)
    if reading == "one order":
        other = other.reset_index(drop=True)
    same(prepare(other)[:3], prepare(raw)[:3])


# What people may choose


def test_a_study_of_fewer_factors(eligible):
    cohort = prepare(eligible, factors=["communication_frequency", "information_sharing"]).cohort
    assert "communication_frequency" in cohort


@pytest.mark.parametrize(
    "eligibility",
    [
        {},
        {"first_month": "2009-10"},
        {"first_month": "2009-13", "last_month": "2011-12"},
        {"first_month": "2009-10", "last_month": "2011-12", "grade": "A"},
    ],
)
def test_wrong_eligibility_is_named(eligible, eligibility):
    with pytest.raises(StudyError, match=r"studies/lendingclub/params\.yaml: eligibility must hold"):
        prepare(eligible, eligibility=eligibility)


LAGS = {"unemployment": 2, "gdp_growth": 2, "inflation": 2, "policy_rate": 1}


@pytest.mark.parametrize(
    ("lags", "name"),
    [
        ({name: lag for name, lag in LAGS.items() if name != "inflation"}, "inflation"),
        ({**LAGS, "gpd_growth": 2}, "gpd_growth"),
    ],
)
def test_wrong_release_lags_are_named(eligible, lags, name):
    with pytest.raises(StudyError, match=name):
        prepare(eligible, release_lag_months=lags)


def test_a_loan_without_any_income_leaves_and_does_not_stop_the_study(eligible):
    prepared = prepare(planted(eligible, [3], annual_inc=0.0))
    assert len(prepared.cohort) == len(eligible) - 1


# The real data


MIRROR = Path(os.environ.get("CRM_DATA_MIRROR", "absent"))
FILES = [MIRROR / "lendingclub" / f"LendingClubData_{year}.rda" for year in range(2007, 2012)]


@pytest.mark.skipif(
    not all(path.is_file() for path in FILES),
    reason="CRM_DATA_MIRROR names no folder with the loans of 2007-2011",
)
def test_the_real_data_give_the_published_counts():
    params = load(PARAMS)
    protocol = params.study("lendingclub")
    tables = {"lendingclub": study.read("lendingclub", FILES)}
    for name in protocol.sources[1:]:
        source = load_source(name)
        tables[name] = study.read(name, [MIRROR / source.folder / file.name for file in source.files])
    prepared = study.prepare(tables, protocol, params.checks)
    flow = prepared.flow.set_index("reason")
    assert flow.loc["read", "remaining"] == 42_535
    assert flow.loc["outside_policy", "loans"] == 2_749
    assert flow.loc["not_ended", "remaining"] == 39_786
    assert flow.loc["not_ended", "remaining_defaults"] == 5_670
    assert len(prepared.cohort) == 35_002
    assert len(prepared.quarantined) == 0
