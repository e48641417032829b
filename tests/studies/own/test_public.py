"""Shapes of loan files that analysts bring from public collections, made up here: names, codes and what is not said."""

import numpy as np
import pandas as pd
import pytest

from pipeline.present.page import left_out
from pipeline.sources import states
from pipeline.studies.own import roles
from tests.studies.own.test_files import asked, cohort, loans, prepared, put, set_up
from tests.studies.own.test_files import workplace as workplace


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("person_income", "income"),
        ("person_age", "age"),
        ("cb_person_cred_hist_length", "credit_history_years"),
        ("cb_person_default_on_file", "prior_delinquencies"),
        ("ApplicantIncome", "income"),
        ("BorrowerState", "region"),
        ("DTIRatio", "debt_to_income"),
        ("NINQ", "inquiries"),
        ("No. of calls", "communication_frequency"),
        ("UniqueID", "loan_id"),
        ("BorrState", "region"),
        ("CURRENT_JOB_YRS", "employment_length"),
        ("Risk_Flag", "default"),
        ("初始评级", "credit_grade"),
        ("借款成功日期", "origination_date"),
        ("历史成功借款次数", "relationship_depth"),
        ("标当前状态", "default"),
        ("Rate % p.a.", "interest_rate"),
        ("fico_range_low", "credit_score"),
        ("网点编号", "institution_id"),
        ("客户关怀计划", "treated"),
        ("original_balance", "amount"),
    ],
)
def test_names_of_public_files_are_known(name, role):
    assert max(roles.roles(), key=lambda one: roles.likeness(name, one)) == role


@pytest.mark.parametrize("name", ["CoapplicantIncome", "person_id", "NewCreditCustomer", "employment_type"])
def test_names_that_are_near_a_role_are_none(name):
    assert not any(roles.likeness(name, role) > 1 for role in roles.roles() if role != "client_id")


@pytest.mark.parametrize(
    "name", ["last_fico_range_low", "next_pymnt_d", "ChgOffPrinGr", "已还利息", "ZERO_BALANCE_CODE"]
)
def test_what_follows_from_the_outcome_is_known(name):
    assert roles.after_outcome(name) and not roles.after_outcome("fico_range_low")


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("Repaid on time", "repaid"),
        ("Loan was charged off", "default"),
        ("Late but repaid", "repaid"),
        ("Not yet repaid", ""),
        ("Partly written off", ""),
        ("Paid off after default", ""),
        ("Em atraso", "arrears"),
        ("w trakcie spłaty", "running"),
        ("已垫付", "default"),
        ("Approved", "decision"),
    ],
)
def test_longer_values_are_read_by_their_words(value, meaning):
    assert states.meaning_of(value) == meaning


def test_decisions_on_applications_are_no_outcome(workplace, capsys):
    made = loans(loan_status=["Approved", "Approved", "Rejected"]).drop(columns="default")
    assert "It tells which applications were granted" in asked(capsys, made)
    made = loans(loan_status=["N", "N", "Y"]).drop(columns="default")
    assert "Its name does not say what yes means. If applications were approved" in asked(capsys, made)
    # Approved ones beside loans of which more is known have not ended.
    section = set_up(loans(status=["Approved", "Repaid", "Repaid", "Defaulted"]).drop(columns="default"))
    assert section["left_out_when"] == ["Approved"]


def test_a_bare_one_is_said_to_be_an_assumption(workplace, capsys):
    set_up(loans().rename(columns={"default": "target"}))
    assert "The name of target does not say what 1 means: read as default" in capsys.readouterr().out


def test_what_is_empty_by_the_outcome_is_no_covariate(workplace, capsys):
    made = loans(rate=[None, 5.5, 6.5, 7.5, 8.5], income=[None, 500, 600, 700, 800, 900, 1000])
    section = set_up(made)
    assert "rate as interest_rate: empty for 100% of the loans in default and 0%" in capsys.readouterr().out
    assert section["columns"]["interest_rate"] is None and section["borrower"]["income"] == "income"


def test_lengths_of_time_come_in_years(workplace, capsys):
    made = loans(
        DAYS_BIRTH=[-14610, -7305],
        DAYS_EMPLOYED=[365243, -1461, -1461],
        **{"CREDIT.HISTORY.LENGTH": ["1yrs 6mon", "0yrs 3mon"]},
    )
    found = cohort(made).sort_values("amount")
    said = capsys.readouterr().out
    assert list(found["age"].round(1)[:2]) == [40, 20]
    assert found["employment_length"].isna().sum() == 20 and found["employment_length"].max().round(1) == 4
    assert set(found["credit_history_years"]) == {1.5, 0.25}
    assert "DAYS_EMPLOYED: 365243 (20 cells) stand for no number, so they are gaps" in said


def test_numbers_that_cannot_be_are_gaps_and_codes_are_levels(workplace):
    made = loans(credit_score=[0, 300, 700], inquiries=[-9, 0, 1, 2], education=[1, 2, 3], sex=[1, 2])
    found = cohort(made)
    assert found["credit_score"].min() == 300 and found["credit_score"].isna().sum() == 20
    assert found["inquiries"].min() == 0 and found["inquiries"].isna().sum() == 15
    assert set(found["education"]) == {"1", "2", "3"} and set(found["female"]) == {1.0, 2.0}
    # A score from nought on has a nought.
    put(made.assign(credit_score=[0, 40, 90] * 20))
    assert prepared()["credit_score"].min() == 0


@pytest.mark.parametrize(
    ("columns", "term"),
    [
        ({"date": ["2020-01-01"], "due_date": ["2020-01-08", "2020-01-31"], "duration": [7, 30]}, [0.2, 1]),
        ({"date": ["2020-01-01"], "maturity_date": ["2022-01-01"], "term": [2]}, [24]),
    ],
)  # fmt: skip
def test_a_date_on_which_loans_are_due_tells_the_unit_of_terms(workplace, columns, term):
    assert sorted(set(cohort(loans(**columns))["term_months"])) == term


def test_short_terms_without_a_unit_are_asked(workplace, capsys):
    assert "the longest term is 5 and has no unit, so they may be years" in asked(capsys, loans(term=[3, 5]))
    assert set(cohort(loans(number_of_installments=[3, 5]))["term_months"]) == {3, 5}


def test_codes_are_no_rates_and_places_are_those_that_many_share(workplace, capsys):
    made = loans(240, rate=[1, 2, 3, 4], postcode=range(1000, 1240), regionCode=[1, 2, 3])
    section = set_up(made)["columns"]
    assert section["interest_rate"] is None and section["region"] == "regionCode"
    assert "rate as interest_rate: 1 to 4 are codes" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["BalanceGross", "PRI.CURRENT.BALANCE", "PrincipalBalance"])
def test_a_balance_that_may_be_owed_is_no_saving(workplace, name):
    assert set_up(loans(**{name: range(1, 61)}))["borrower"]["savings"] is None


def months(**columns):
    """Return months 5 to 10 of forty loans, of which every fourth defaults in its last."""
    rows = pd.DataFrame({"id": np.repeat(range(40), 6), "time": np.tile(range(5, 11), 40)})
    rows["balance_time"] = 1000 - rows["time"]
    last = (rows["time"] == 10) & (rows["id"] % 4 == 0)
    return rows.assign(**{name: np.where(last, bad, good) for name, (bad, good) in columns.items()})


def test_months_that_are_only_counted_are_months(workplace, capsys):
    found = cohort(months(default_time=(1, 0)))
    assert (len(found), found["default"].sum()) == (40, 10) and found["origination_date"].isna().all()
    assert "10 of 40 loans in default (25.0%)" in capsys.readouterr().out


def test_the_outcome_of_months_is_found_by_its_values(workplace):
    made = months(end_lstat=("Charged Off", "Current"))
    assert cohort(made.assign(month=[f"2015-{time:02d}" for time in made["time"]]))["default"].sum() == 10


def test_months_past_due_count_thirty_days_each(workplace, capsys):
    made = months(current_delinquency_status=(3, 0))
    made.loc[made["time"] == 8, "current_delinquency_status"] = [1, 2] * 20
    assert cohort(made, "--default", "current_delinquency_status", "--default-at-least", "90")["default"].sum() == 10


def test_a_date_of_default_is_an_outcome_once_it_is_told(workplace, capsys):
    made = loans().drop(columns="default")
    made["DefaultDate"] = ["2019-03-01" if place % 3 == 0 else None for place in range(60)]
    assert "DefaultDate holds dates of default: say --default DefaultDate" in asked(capsys, made)
    assert cohort(made, "--default", "DefaultDate")["default"].sum() == 20
    assert "those still running among them" in capsys.readouterr().out


def test_a_file_without_an_outcome_shows_what_might_be_it(workplace, capsys):
    made = loans(flag7=["p", "q"], date=["2020-01-01"]).drop(columns="default")
    assert "one of flag7 (p (30), q (30)); loan_id (1, 2, 3); amount" in asked(capsys, made)


def test_clusters_that_are_too_few_are_said_to_be_none(workplace, capsys):
    set_up(loans(branch=["North", "South"]))
    assert "2 values of branch are too few for clusters" in capsys.readouterr().out


def test_levels_that_other_controls_determine_are_named():
    note = "left out as determined by other controls: credit_grade[not stated], region[a, b], age"
    assert left_out(note) == ["credit_grade[not stated]", "region[a, b]", "age"] and left_out("matched") == []


def test_nines_that_stand_for_none_are_gaps(workplace, capsys):
    # Amounts of five digits could be dates of a spreadsheet.
    found = cohort(loans(income=[99999999, 50000, 60000], debt_to_income=[999, 900, 20]))
    assert found["income"].max() == 60000 and found["debt_to_income"].max() == 999
    assert "income: 99999999 (20 cells) stand for no number" in capsys.readouterr().out


def test_empty_rows_below_the_loans_take_no_key_away(workplace):
    made = pd.concat([loans(), pd.DataFrame([{"loan_id": None}] * 3)])
    assert set_up(made)["columns"]["loan_id"] == "loan_id"
    assert len(prepared()) == 60
