"""What names and cells say of units: thousands and 万元, rates a month, terms in weeks, several currencies."""

import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.core import params
from pipeline.runtime import places, store
from pipeline.sources import currencies
from pipeline.studies.own import roles
from tests import choices
from tests.studies.own.test_files import asked, cohort, loans, prepared, put, set_up
from tests.studies.own.test_files import workplace as workplace


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("贷款金额(万元)", 10_000), ("贷款金额（万元）", 10_000), ("贷款金额万元", 10_000), ("融資額（千円）", 1_000),
        ("대출금액(만원)", 10_000), ("放款金额(百万元)", 1e6), ("Loan amount ('000)", 1_000),
        ("loan_amount_thousands", 1_000), ("Amount (k EUR)", 1_000), ("Sanctioned Amt (₹ lakh)", 100_000),
        ("Amount in crores", 1e7), ("Số tiền vay (triệu đồng)", 1e6), ("Kreditbetrag (Tsd. EUR)", 1_000),
        ("Loan amount ($m)", 1e6), ("Plafon (juta)", 1e6), ("Сумма кредита (тыс. руб.)", 1_000),
        
        ("principal_cents", 0.01), ("Financed amount EUR", 1),
        ("Loan amount", 1), ("Loan amount (USD)", 1), ("贷款金额(元)", 1),
    ],
)  # fmt: skip
def test_names_of_amounts_say_what_their_numbers_stand_for(workplace, name, factor):
    made = loans().rename(columns={"amount": name})
    assert cohort(made)["amount"].sum() == pytest.approx(factor * made[name].sum())


def test_cells_that_say_it_themselves_are_not_multiplied_again(workplace):
    made = loans().drop(columns="amount").assign(**{"贷款金额(万元)": "1.2万元"})
    assert set(cohort(made)["amount"]) == {12_000}


@pytest.mark.parametrize(
    ("name", "cells", "rate"),
    [
        ("TAXA_JUROS_MES", ["1,04%", "0,88%"], [10.56, 12.48]),
        ("Tasa mensual", [1.5, 0.9], [10.8, 18]),
        ("MonthlyInterestRate", [0.015, 0.01], [12, 18]),
        ("Lãi suất (%/tháng)", [1.5, 0.9], [10.8, 18]),
        ("Aylık Faiz Oranı", ["%1,50", "%0,90"], [10.8, 18]),
        ("月利率(‰)", [7.5, 6], [7.2, 9]),
        ("利率(%/月)", [1, 0.8], [9.6, 12]),
        ("Rate (bps)", [1250, 990], [9.9, 12.5]),
        ("interest rate per week", [0.5, 0.25], [13.04, 26.09]),
        ("Rate (% p.m.)", [1.5, 0.9], [10.8, 18]),
        ("Annual interest rate", [12.5, 9], [9, 12.5]),
        ("Rate (% p.a.)", [12.5, 9], [9, 12.5]),
    ],
)  # fmt: skip
def test_rates_come_in_percent_a_year(workplace, name, cells, rate):
    made = loans(**{name: cells})
    assert sorted(set(cohort(made)["interest_rate"].round(2))) == rate


def test_what_multiplies_is_said_and_can_be_told(workplace, capsys):
    set_up(loans(**{"Tasa mensual": [1.5, 0.9]}))
    assert "Tasa mensual is multiplied by 12, as its name says, to be in percent a year" in capsys.readouterr().out
    assert params.load().study("mine").own["times"] == {"Tasa mensual": 12}
    choices.edit(places.choices("mine"), lambda content: content["own"].update(times={}))
    assert set(prepared()["interest_rate"]) == {1.5, 0.9}


def test_a_reader_says_what_names_do_not(workplace, capsys):
    assert set(cohort(loans(roi=[1.5, 2]), "--times", "roi=12")["interest_rate"]) == {18, 24}


@pytest.mark.parametrize("told", ["roi", "roi=0", "roi=x", "none=12"])
def test_what_is_no_multiple_is_refused(workplace, capsys, told):
    assert "is no column and a number above nought" in asked(capsys, loans(roi=[1.5, 2]), "--times", told)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Plazo (semanas)", "week"), ("tenor_weeks", "week"), ("Tenor (fortnights)", "fortnight"),
        ("Vade (ay)", "month"),
        ("PRAZO_MESES", "month"), ("Jangka Waktu (bulan)", "month"), ("Kỳ hạn (tháng)", "month"), ("贷款天数", "day"),
        ("Okres (mies.)", "month"), ("Срок, мес.", "month"), ("term", ""), ("plazo quincenas", "fortnight"),
        ("duree (ans)", "year"), ("termdays", "day"), ("Term (yrs)", "year"),
    ],
)  # fmt: skip
def test_names_of_terms_say_their_unit_in_many_languages(name, unit):
    assert roles.unit_in(name) == unit


def test_terms_in_weeks_are_weeks(workplace):
    found = cohort(loans(**{"Plazo (semanas)": [52, 26]}))
    assert sorted(set(found["term_months"])) == [6, 12]
    put(loans(tenor=["26 fortnights", "13 fortnights"]))
    found = prepared_anew("--role", "term_months=tenor")
    assert sorted(set(found["term_months"])) == [6, 12]


def prepared_anew(*arguments):
    assert main(["init-study", "again", "--data", "loans.csv", *arguments]) == 0
    for stage in ("intake", "prepare"):
        assert main([stage, "--study", "again"]) == 0
    return store.read_parquet(places.processed("again") / "cohort.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"amount": ["USD 1,200", "KES 90,000"]}, "amounts are in USD (30 rows), KES (30 rows)"),
        ({"currency": ["USD", "KES", "KES"]}, "amounts are in KES (40 rows), USD (20 rows)"),
        ({"币种": ["人民币", "人民币", "美元"]}, "amounts are in CNY (40 rows), USD (20 rows)"),
    ],
)
def test_several_currencies_are_asked_about(workplace, capsys, columns, said):
    made = loans(**columns)
    assert said in asked(capsys, made)
    found = cohort(made, "--currency", "USD")
    assert len(found) == (30 if "amount" in columns else 20)
    flow = store.read_parquet(places.processed("mine") / "flow.parquet").set_index("reason")
    assert flow.loc["other_currency", "loans"] == 60 - len(found)


def test_one_currency_is_no_question(workplace):
    assert len(cohort(loans(amount=["KES 1,200", "Ksh 900"], currency_policy=["shared", "not shared"]))) == 60


def test_amounts_that_were_converted_are_taken_as_they_are(workplace):
    assert len(cohort(loans(currency=["USD", "KES"]), "--currency", "any")) == 60


def test_currencies_are_read_beside_amounts_and_alone():
    cells = pd.Series(["$ 900", "900 EUR", "R$ 1.200,50", "1.2万元", "900", "KES", "shared", None, "(£300)"])
    assert currencies.of_cells(cells).fillna("").tolist() == ["USD", "EUR", "BRL", "CNY", "", "KES", "", "", "GBP"]


@pytest.mark.parametrize(
    ("unit", "cells"),
    [("term_unit", ["Days", "Weeks", "Months", "years"]), ("期限单位", ["天", "周", "个月", "年"]),
     ("Unit of tenor", ["D", "W", "M", "Y"])],
)  # fmt: skip
def test_a_column_tells_the_unit_of_each_term(workplace, capsys, unit, cells):
    found = cohort(loans(term=[365, 52, 12, 1], **{unit: cells}))
    assert set(found["term_months"]) == {12}
    assert f"{unit} says in which unit each term is" in capsys.readouterr().out


def test_kinds_of_terms_that_are_no_units_are_left_alone(workplace):
    found = cohort(loans(term=[12, 24], term_type=["short", "long"]))
    assert set(found["term_months"]) == {12, 24} and params.load().study("mine").own["term_unit"] is None


def test_a_unit_that_makes_rates_very_high_is_asked_about(workplace, capsys):
    made = loans(**{"rate on day of disbursement": [12, 15, 18]})
    told = ["--role", "interest_rate=rate on day of disbursement"]
    assert "if they are a year's" in asked(capsys, made, *told)
    assert set(cohort(made, *told, "--times", "rate on day of disbursement=1")["interest_rate"]) == {12, 15, 18}


def test_what_is_asked_can_be_answered_at_a_terminal(workplace, monkeypatch):
    put(loans(currency=["USD", "KES"], **{"rate on day of disbursement": [12, 15, 18]}))
    answers = {"multiplied": "'rate on day of disbursement=1'", "currency": "KES"}
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda asked: next(answers[word] for word in answers if word in asked))
    told = ["--role", "interest_rate=rate on day of disbursement", "--times", "amount=1000"]
    assert main(["init-study", "mine", "--data", "loans.csv", *told]) == 0
    own = params.load().study("mine").own
    assert own["currency"] == "KES" and own["times"] == {"amount": 1000} and len(prepared()) == 30
