"""Shapes of files of lenders in more countries and of services, made up here: dates, keys, lines, signs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from pipeline.__main__ import main
from pipeline.core import params, yaml
from pipeline.runtime import places
from pipeline.sources import dates, encodings, states
from pipeline.studies.own import roles
from tests import choices
from tests.studies.own.test_files import asked, cohort, loans, prepared, set_up
from tests.studies.own.test_files import workplace as workplace


@pytest.mark.parametrize(
    ("cells", "name", "first"),
    [
        (["930706", "940101"], "date", "1993-07-06"),
        (["200103", "991231"], "issue_date", "2020-01-03"),
        (["200103", "200212"], "date", "2001-03-01"),
        (["平成30年3月30日", "令和元年5月1日"], "実行日", "2018-03-30"),
        (["R2.4.1", "H31.4.30"], "契約日", "2020-04-01"),
        (["昭和63年1月7日"], "生年月日", "1988-01-07"),
    ],
)
def test_dates_of_six_digits_and_of_eras(cells, name, first):
    found = dates.read(pd.Series(cells, name=name))
    assert str(found.meaning.iloc[0].date()) == first and not found.wrong.any()


def test_six_digits_are_dates_only_where_the_name_says_so():
    # Districts of Beijing and Shenzhen.
    assert dates.read(pd.Series(["110105", "440305"], name="area")).meaning.isna().all()


def test_dates_in_two_orders_are_no_dates_and_that_is_said(workplace, capsys):
    section = set_up(loans(loan_date=["12/15/2019", "15/12/2019", "01/02/2019"]))
    assert section["columns"]["origination_date"] is None
    assert "some cells name the day first and others the month" in capsys.readouterr().out


def test_lines_that_repeat_the_names_are_no_loans(workplace):
    text = loans(status=["Repaid", "Repaid", "Default"]).drop(columns="default").to_csv(index=False).splitlines()
    found = cohort("\n".join([*text[:30], text[0], *text[30:], text[0], "Total,63600,"]) + "\n")
    assert (len(found), found["default"].sum()) == (60, 20)


def test_amounts_below_nought_lose_their_sign_where_all_are(workplace, capsys):
    made = loans()
    assert cohort(made.assign(amount=-made["amount"]))["amount"].sum() == made["amount"].sum()
    assert "amount is below nought where money was paid out" in capsys.readouterr().out


def test_a_table_is_tied_by_the_key_that_another_brings(workplace, capsys):
    """The Czech bank: districts of accounts come before the owners, and clients stand in districts, too."""
    number = np.arange(1, 61)
    tables = {
        "loan": loans().assign(account_id=number, date=["930706", "941231"] * 30),
        "account": pd.DataFrame({"account_id": number, "district_id": number % 7, "date": "930101"}),
        "disp": pd.DataFrame({"disp_id": number, "account_id": number, "client_id": number + 500}),
        "client": pd.DataFrame({"client_id": number + 500, "district_id": number % 5, "age": 20 + number}),
    }
    (workplace / "bank").mkdir()
    for name, table in tables.items():
        table.to_csv(workplace / "bank" / f"{name}.csv", index=False)
    assert main(["init-study", "mine", "--data", "bank"]) == 0
    assert "client.csv adds its columns, tied by client_id" in capsys.readouterr().out
    found = prepared()
    assert found["age"].sum() == (20 + number).sum() and set(found["origination_month"]) == {"1993-07", "1994-12"}


KOREAN = pd.DataFrame({
    "대출번호": range(60), "대출실행일": "2019년 03월 05일", "대출금액(만원)": 500, "대출기간": "36개월",
    "상태": ["완납", "완납", "상환중", "연체"] * 15,
})  # fmt: skip


def test_a_korean_file_in_its_old_encoding(workplace):
    found = cohort(KOREAN.to_csv(index=False), encoding="cp949")
    assert (len(found), found["default"].sum()) == (45, 15)
    assert set(found["amount"]) == {5_000_000} and set(found["term_months"]) == {36}
    assert encodings.encoding_of(workplace / "loans.csv") == "cp949"


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("Takipte", "default"), ("Kapandı", "repaid"), ("Дефолт", "default"), ("Погашен", "repaid"),
        ("Действующий", "running"), ("spłacona", "repaid"), ("wypowiedziana", "default"), ("w spłacie", "running"),
        ("Nhóm 2", "arrears"), ("Nhóm 4", "default"), ("완납", "repaid"), ("متعثر", "default"), ("مسدد", "repaid"),
        ("破綻懸念先", "default"),
        ("Contentieux", "default"), ("Soldé", "repaid"), ("In corso", "running"),
        ("Written-off (policy)", "default"), ("Fully paid - closed", "repaid"),
        ("DA1", "default"), ("STD", "performing"),
    ],
)  # fmt: skip
def test_states_in_more_languages(value, meaning):
    assert states.meaning_of(value) == meaning


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Kullandırım Tarihi", "origination_date"), ("Kredi Tutarı", "amount"), ("Vade (ay)", "term_months"),
        ("Сумма кредита", "amount"), ("Срок, мес.", "term_months"), ("Количество звонков", "communication_frequency"),
        ("Số tiền vay (triệu đồng)", "amount"), ("Ngày giải ngân", "origination_date"), ("대출금액(만원)", "amount"),
        ("مبلغ القرض", "amount"), ("تاريخ الصرف", "origination_date"), ("Disbursed On (M-PESA)", "origination_date"),
        ("ever_90dpd", "default"), ("lender_term", "term_months"), ("Annual HH Income (₹)", "income"),
        ("VLR_CONTRATADO", "amount"), ("DT_CONTRATACAO", "origination_date"), ("tenor_weeks", "term_months"),
        ("limit", "amount"), ("NOTE_RATE", "interest_rate"), ("CHGOFF_FLG", "default"),
        ("Durata (mesi)", "term_months"),
        ("Data erogazione", "origination_date"), ("n_calls", "communication_frequency"), ("ORIG_TERM", "term_months"),
        ("Kwota pożyczki", "amount"),
    ],
)  # fmt: skip
def test_names_in_more_languages(name, role):
    assert max(roles.roles(), key=lambda one: roles.likeness(name, one)) == role


def test_a_flag_of_days_past_due_is_no_open_question(workplace, capsys):
    cohort(loans(ever_90dpd=[1, 0, 0]).drop(columns="default"))
    said = capsys.readouterr().out
    assert "20 of 60 loans in default" in said and "does not say what" not in said


def test_shillings_end_in_a_stroke(workplace):
    assert set(cohort(loans(amount=["1,200,000/=", "900/-"]))["amount"]) == {1_200_000, 900}


def test_counts_of_an_officers_visits_name_no_officer(workplace):
    section = set_up(loans(客户经理走访次数=[0, 1, 2]))
    assert section["columns"]["institution_id"] is None
    assert section["factors"]["communication_frequency"] == "客户经理走访次数"


def test_labels_of_a_baseline_survey_are_read(workplace):
    made = loans(age_b=[30, 40]).rename(columns={"amount": "loan_amt"})
    made.to_stata(workplace / "loans.dta", write_index=False, variable_labels={"age_b": "Age of client, baseline"})
    section = set_up((workplace / "loans.dta").read_bytes(), name="loans.dta")
    assert section["borrower"]["age"] == "age_b" and section["columns"]["amount"] == "loan_amt"


def folder_of(**tables):
    """Write tables of a folder as text between bars, without a line of names."""
    Path("tape").mkdir()
    for name, table in tables.items():
        table.to_csv(f"tape/{name}.txt", sep="|", index=False, header=False)


def courses(number=40, last=9):
    """Return months of loans, of which every fourth is three months past due in its last."""
    rows = pd.DataFrame({"loan": np.repeat(np.arange(number), last), "month": np.tile(np.arange(1, last + 1), number)})
    late = np.where(rows["loan"] % 4 == 0, (rows["month"] - last + 3).clip(lower=0), 0)
    return rows.assign(month=[f"{month:02d}/2019" for month in rows["month"]], rate=7.5, late=late)


MONTHLY = "loan_id|monthly_reporting_period|orig_rate|current_loan_delinquency_status"


def test_months_without_names_get_them_from_a_file(workplace, capsys):
    """As Fannie Mae writes them."""
    table = courses().to_csv(sep="|", index=False, header=False)
    assert "It has no line of names: give them with --names FILE" in asked(capsys, table, name="tape.txt")
    Path("names.txt").write_text(MONTHLY.replace("|", "\n"))
    told = ["--names", "names.txt", "--default", "current_loan_delinquency_status", "--default-at-least", "90"]
    found = cohort(table, *told, name="tape.txt")
    assert (len(found), found["default"].sum()) == (40, 10) and set(found["origination_month"]) == {"2019-01"}
    assert "called by their places" not in capsys.readouterr().out


def test_tables_without_names_get_them_one_by_one(workplace, capsys):
    """As Freddie Mac writes them: the loans, and their months."""
    number = np.arange(40)
    folder_of(orig=pd.DataFrame({"fico": 700 + number, "seq": number, "upb": 1000 + number}), svcg=courses())
    assert main(["init-study", "mine", "--data", "tape"]) == 1
    assert "orig.txt has no line of names: give them with --names orig.txt=FILE" in capsys.readouterr().err
    Path("orig.names").write_text("fico,loan_sequence_number,orig_upb")
    Path("svcg.names").write_text(MONTHLY.replace("loan_id", "loan_sequence_number"))
    told = ["--names", "orig.txt=orig.names", "svcg.txt=svcg.names", "--default-at-least", "90"]
    assert main(["init-study", "mine", "--data", "tape", *told]) == 0
    found = prepared()
    assert (len(found), found["default"].sum(), found["amount"].sum()) == (40, 10, (1000 + number).sum())


@pytest.mark.parametrize(
    ("names", "said"),
    [(["few.txt"], "has 4 columns, and 2 names were given"), (["none.txt"], "there is no file none.txt")],
)
def test_names_that_do_not_fit_are_refused(workplace, capsys, names, said):
    Path("few.txt").write_text("loan_id,month")
    table = courses().to_csv(sep="|", index=False, header=False)
    assert said in asked(capsys, table, "--names", *names, name="tape.txt")


def test_amounts_that_were_lost_tell_default_where_a_state_does_not(workplace, capsys):
    made = loans(status=["Closed", "Closed", "Active"], charge_off_amount=[0, 0, 0, 250.5]).drop(columns="default")
    assert "charge_off_amount is above nought for 15 loans: if these defaulted, say --lost" in asked(capsys, made)
    found = cohort(made, "--lost", "charge_off_amount")
    # Ten of the active ones were charged off in part, five are open.
    assert (len(found), found["default"].sum()) == (45, 15)
    assert "charged off  default" in capsys.readouterr().out


def test_codes_of_a_table_of_months_are_asked_about(workplace, capsys):
    """As a Chinese platform gives its schedules: 1 paid, 2 paid late, and no word on it."""
    made = courses().assign(state=lambda rows: 1 + (rows["late"] == 3)).drop(columns=["rate", "late"])
    made.columns = ["ListingId", "到期日期", "还款状态"]
    Path("tape").mkdir()
    made.to_csv("tape/LP.csv", index=False)
    pd.DataFrame({"ListingId": range(40), "借款金额": range(1000, 1040)}).to_csv("tape/LC.csv", index=False)
    assert main(["init-study", "mine", "--data", "tape"]) == 1
    assert "What 1, 2 means is not known: say with --default-when" in capsys.readouterr().err
    assert main(["init-study", "mine", "--data", "tape", "--default-when", "2"]) == 0
    found = prepared()
    assert (len(found), found["default"].sum()) == (40, 10)


def test_loans_that_leave_the_records_are_told_from_those_still_open(workplace, capsys):
    made = courses().query("late == 0 and (loan % 2 == 0 or month < '06/2019')")
    made.columns = ["loan_id", "month", "rate", "days_past_due"]
    ended = made.assign(days_past_due=np.where((made["loan_id"] == 1) & (made["month"] == "05/2019"), 90, 0))
    set_up(ended, "--default-at-least", "90")
    said = capsys.readouterr().out
    assert "10 loans still open at the end of the records" in said
    assert "29 loans leave the records before their end without a word" in said


def test_strata_of_a_lottery_follow_from_their_column(workplace):
    set_up(loans(treated=[0, 1], stratum=["a", "b", "c"]), "--role", "treated=treated")

    def randomised(content):
        content.update(design="randomised")
        content["own"]["borrower"]["lottery_stratum"] = "stratum"

    choices.edit(places.choices("mine"), randomised)
    assert "strata" in yaml.read(places.choices("mine"))["controls"]
    assert list(params.load().study("mine").controls.strata) == ["lottery_stratum"]
    prepared()


@pytest.mark.parametrize(("word", "every"), [("refused", 4), ("Unknown", 40), ("不清楚", 3)])
def test_numbers_that_were_not_told_are_gaps(workplace, capsys, word, every):
    told = [word if place % every == 0 else str(1000 + place) for place in range(120)]
    found = cohort(loans(120).assign(income=told).to_csv(index=False))
    assert f"income: '{word}' ({told.count(word)} cells) stand for no number" in capsys.readouterr().out
    assert len(found) == 120 and found["income"].isna().sum() == told.count(word)
    assert found["income"].sum() == sum(int(one) for one in told if one != word)


def test_a_survey_of_spss_becomes_a_study(workplace):
    made = loans(
        V1=[1.0, 0.0, 0.0], V2=[36, 24], V3=[1200.0, 800.0, -9.0, 950.0], GRANT_DT=[pd.Timestamp("2019-03-05")]
    )
    made = made.astype({"loan_id": float, "default": float})
    labels = {
        "V1": "Satisfaction with the service",
        "V2": "Term in months",
        "V3": "Monthly income",
        "GRANT_DT": "Date granted",
        "default": "Outcome",
    }
    values = {"V1": {0: "no", 1: "yes"}, "V3": {-9: "refused"}, "default": {0: "repaid", 1: "defaulted"}}
    date = {"GRANT_DT": "DATE11"}
    pyreadstat.write_sav(made, "loans.sav", column_labels=labels, variable_value_labels=values, variable_format=date)
    assert main(["init-study", "mine", "--data", "loans.sav"]) == 0
    found = prepared()
    assert found["default"].sum() == made["default"].sum() and set(found["term_months"]) == {24, 36}
    assert found["income"].isna().sum() == (made["V3"] < 0).sum() and found["income"].max() == made["V3"].max()
    assert set(found["origination_month"]) == {"2019-03"}
