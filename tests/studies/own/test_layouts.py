"""Layouts of well-known public loan files, made up here in a few lines: what was once read wrong without a word."""

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.core import params
from pipeline.runtime import places
from pipeline.sources import states
from pipeline.studies.own import rates, roles
from tests.studies.own.test_files import asked, cohort, loans, prepared, set_up
from tests.studies.own.test_files import workplace as workplace

# Lines that are no loans.


def with_lines(text, **lines):
    """Put lines of text below the rows of the given numbers, the names being row 0."""
    rows = text.splitlines()
    for place in sorted(map(int, (one.removeprefix("after_") for one in lines)), reverse=True):
        rows.insert(place + 1, lines[f"after_{place}"])
    return "\n".join(rows) + "\n"


def test_lines_that_repeat_the_names_are_counted_and_shown(workplace, capsys):
    text = loans(status=["Repaid", "Repaid", "Default"]).to_csv(index=False)
    names = text.splitlines()[0]
    found = cohort(with_lines(text, after_20=names, after_40=names))
    assert "Lines that repeat the names, no loans (2): 22, 43." in capsys.readouterr().out
    assert len(found) == 60


@pytest.mark.parametrize("label", ["Total", "North Total", "SUBTOTAL:", "合计", "Итого"])
def test_lines_of_totals_are_no_loans(workplace, capsys, label):
    made = loans(branch=["North", "South"])[["branch", "loan_id", "amount", "default"]]
    text = with_lines(made.to_csv(index=False), after_30=f"{label},,99999,0", after_60=f"{label},,199999,0")
    found = cohort(text)
    assert "Lines that hold totals, no loans (2): 32, 63." in capsys.readouterr().out
    assert (len(found), found["amount"].sum()) == (60, made["amount"].sum())
    assert params.load().study("mine").own["columns"]["loan_id"] == "loan_id"


def test_a_client_or_a_level_called_total_is_one(workplace):
    made = loans(client=["Total", "Shell"], note=["x", None, None], loss=["total", "partial"])
    assert len(cohort(made[["client", "note", "loan_id", "amount", "loss", "default"]])) == 60


@pytest.mark.parametrize("separator", [" ", "\t", ";"])
def test_names_of_rows_without_a_name_shift_no_column(workplace, separator):
    """As R writes them."""
    made = loans(date=["2018-03-05"])
    text = made.set_index(made["loan_id"] + 7000).to_csv(sep=separator, index_label=False)
    found = cohort(text, name="loans.txt")
    assert (found["amount"].sum(), found["default"].sum()) == (made["amount"].sum(), 12)


def test_totals_of_a_workbook_stand_in_their_rows(workplace, capsys):
    book = openpyxl.Workbook()
    for line in (["Portfolio"], [], ["No", "Amount", "Status"]):
        book.active.append(line)
    for number in range(1, 61):
        book.active.append([number, 1000 + number, "Default" if number % 5 == 0 else "Repaid"])
        if number % 30 == 0:
            book.active.append(["Total", None, None])
    book.save("loans.xlsx")
    assert len(cohort(Path("loans.xlsx").read_bytes(), name="loans.xlsx")) == 60
    assert "no loans (2): 34, 65." in capsys.readouterr().out


def test_rows_behind_lines_that_are_no_loans_keep_their_numbers(workplace):
    made = loans(200, status=["Repaid", "Repaid", "Default"]).astype({"amount": str})
    made.loc[150, "amount"] = "?!"
    text = made.to_csv(index=False)
    cohort(with_lines(text, after_20=text.splitlines()[0]))
    kept = pd.read_csv(places.processed("mine") / "quarantine.csv")
    assert list(kept["row"]) == [153]


def test_lines_with_too_few_cells_are_said_at_once(workplace, capsys):
    """Lending Club ends its files so."""
    made = loans(400, purpose=["car"]).to_csv(index=False)
    set_up(made + "\nTotal amount funded in policy code 1: 460296150\n")
    assert "Lines with 1 cells under 4 names, set aside (1)" in capsys.readouterr().out


def test_lines_of_tables_in_a_folder_are_said_with_their_table(workplace, capsys):
    Path("files").mkdir()
    text = loans(status=["Repaid", "Repaid", "Default"]).to_csv(index=False)
    Path("files/loans.csv").write_text(with_lines(text, after_20=text.splitlines()[0]))
    pd.DataFrame({"loan_id": range(1, 61), "age": range(20, 80)}).to_csv("files/clients.csv", index=False)
    assert main(["init-study", "mine", "--data", "files"]) == 0
    assert "loans.csv: Lines that repeat the names, no loans (1): 22." in capsys.readouterr().out
    assert len(prepared()) == 60


def test_copies_of_rows_stand_in_no_count(workplace, capsys):
    made = loans()
    found = cohort(pd.concat([made, made[made["default"] == 1]]))
    said = capsys.readouterr().out
    assert "12 of 60 loans in default (20.0%)" in said and "copies of others, and count once: 12." in said
    assert (len(found), found["default"].sum()) == (60, 12)


@pytest.mark.parametrize("told", [False, True])
def test_loans_of_a_year_with_one_column_more_are_not_left_out_in_silence(workplace, capsys, told):
    Path("files").mkdir()
    loans().to_csv("files/loans_2018.csv", index=False)
    later = loans().assign(loan_id=range(101, 161), channel="web")
    later.to_csv("files/loans_2019.csv", index=False)
    if told:
        assert main(["init-study", "mine", "--data", "files", "--loans", "loans_2018.csv"]) == 0
        assert len(prepared()) == 60
        return
    assert main(["init-study", "mine", "--data", "files"]) == 1
    said = capsys.readouterr().err
    assert "both hold loans (60 and 60), and differ in columns (channel)" in said and "--loans" in said


def test_dates_are_told_in_the_order_that_the_reader_gives(workplace, capsys):
    set_up(loans(date=["05/03/2018", "07/09/2018"]), "--day-first", "yes")
    assert "date runs from 2018-03-05 to 2018-09-07" in capsys.readouterr().out


# States.


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("Up to 90 days late", "late"), ("less than 90 days past due", "late"), ("逾期90天以内", "late"),
        ("逾期90天以上", "default"), ("120 days or less past due", "late"), ("Просрочка до 90 дней", "late"),
        ("Просрочка 90+", "default"), ("Просрочен свыше 90 дней", "default"), ("Просрочка", "arrears"),
        ("atraso de 120 dias", "default"), ("Group 3 (91-180 days overdue)", "default"), ("> 90", "default"),
        ("not repaid", "default"), ("wypowiedziany", "default"),
    ],
)  # fmt: skip
def test_days_past_due_have_a_bound_above_or_below(value, meaning):
    assert states.meaning_of(value) == meaning


def test_codes_are_asked_about_with_their_counts(workplace, capsys):
    """As banks of Indonesia class loans."""
    made = loans(Kol=[1, 1, 1, 2, 3, 5]).drop(columns="default")
    said = asked(capsys, made)
    assert "column Kol: 1 (30 rows) not known; 2 (10 rows) not known" in said and "--default-when" in said
    found = cohort(made, "--default-when", "3", "5", "--repaid-when", "1", "--left-out-when", "2")
    assert (len(found), found["default"].sum()) == (50, 20)


def test_one_and_minus_one_are_codes(workplace, capsys):
    assert "1 (40 rows) not known; -1 (20 rows) not known" in asked(
        capsys, loans(status=[1, 1, -1]).drop(columns="default")
    )


def test_days_past_due_are_offered_where_states_name_no_default(workplace, capsys):
    """As a cooperative in Uganda keeps its loans."""
    made = loans(Status=["Active", "Closed"], **{"Days In Arrears": [0, 0, 0, 120]}).drop(columns="default")
    assert "--default 'Days In Arrears' --default-at-least 90 for the 15 loans that are so late" in asked(capsys, made)


def test_codes_under_an_unknown_name_are_shown_with_their_counts(workplace, capsys):
    made = loans(cls=["A", "A", "B", "C"], y7=[0, 0, 0, 1]).drop(columns="default")
    said = asked(capsys, made)
    assert "it is one of y7 (0 (45), 1 (15)); cls (A (30), B (15), C (15))" in said and "--default-when" in said


@pytest.mark.parametrize(
    ("beside", "option"),
    [
        ({"DefaultDate": ["2019-03-01", None, None, None]}, "--default DefaultDate for the 15 loans with a date"),
        ({"days_overdue": [120, 0, 9, 0, *range(50)]}, "--default days_overdue --default-at-least 90 for the 2 loans"),
    ],
)
def test_arrears_are_no_default_where_another_column_tells_more(workplace, capsys, beside, option):
    """As Bondora's and PPDai's files."""
    made = loans(date=["2018-01-01"], status=["Late", "Repaid", "Repaid"], **beside).drop(columns="default")
    said = asked(capsys, made)
    assert "Late (20 rows) may be arrears of few days" in said and option in said
    assert cohort(made, "--default-when", "Late")["default"].sum() == 20


def test_dates_of_default_of_loans_that_are_read_as_repaid_are_said(workplace, capsys):
    made = loans(date=["2018-01-01"], status=["Default", "Repaid", "Repaid"], default_date=["2019-03-01", None])
    set_up(made.drop(columns="default"))
    assert "20 loans that are read as repaid have a default_date" in capsys.readouterr().out


# Rates.


def repaid(rate, number=60, flat=False, **names):
    """Loans with instalments of a rate in percent a month."""
    made = loans(number, term=[12, 24, 36])
    monthly = np.resize(rate, number) / 100
    share = 1 / made["term"] + monthly if flat else monthly / (1 - (1 + monthly) ** -made["term"])
    return made.assign(interest_rate=np.resize(rate, number), EMI=(made["amount"] * share).round(2))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(("factor", "times"), [(1, 12), (12, None), (0.01, 12), (0.12, None)])
def test_instalments_tell_the_scale_of_rates(workplace, capsys, factor, times, flat):
    """Percent and fractions, a month and a year: the same loans."""
    made = repaid([1.5, 2, 2.5], flat=flat)
    found = cohort(made.assign(interest_rate=(factor * made["interest_rate"]).round(6)))
    assert sorted(set(found["interest_rate"].round(6))) == [18, 24, 30]
    assert params.load().study("mine").own["times"] == ({"interest_rate": 12} if times else {})
    assert ("multiplied by 12, as EMI shows" in capsys.readouterr().out) == bool(times)


def test_instalments_that_fit_no_scale_decide_nothing(workplace, capsys):
    made = repaid([1.5, 2, 2.5])
    made["EMI"] = made["EMI"] * 1.3
    assert "half of the rates are below 2%" in asked(capsys, made)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"interest_rate": [1.5, 2.5]}, "say --times 'interest_rate=12' if they are a month's"),
        ({"interest_rate": ["1,5%", "2,5%"]}, "half of the rates are below 2%"),
        ({"利率": [0.65, 0.8, 0.95]}, "above 0.8, which is 80% a year or 0.8% a month: say --rate-in fraction"),
        ({"rate": [0.015, 0.02, 0.025]}, "half of the rates are below 2%"),
    ],
)
def test_rates_that_may_be_a_months_are_asked_about(workplace, capsys, columns, sentence):
    assert sentence in asked(capsys, loans(**columns))


@pytest.mark.parametrize(
    "columns",
    [
        {"interest_rate": [1.5, 2.5], "term": [360, 180]}, {"APR": [1.5, 2.5]}, {"Annual rate": [1.5, 2.5]},
        {"Taxa de Juros (a.a.)": ["1,5%", "2,5%"]}, {"Rate % p.a.": [1.5, 2.5]}, {"年化利率": [1.5, 2.5]},
    ],
)  # fmt: skip
def test_low_rates_of_a_year_are_no_question_where_something_says_so(workplace, columns):
    assert sorted(set(cohort(loans(**columns))["interest_rate"])) == [1.5, 2.5]


def test_too_few_instalments_tell_nothing():
    few = repaid([2], number=9)
    shown = rates.Repayments("EMI", few["amount"], few["term"], few["interest_rate"], few["EMI"])
    assert rates.by_instalments(shown, signed=False) is None


# Currencies.


def test_the_default_rate_is_that_of_the_currency_that_is_studied(workplace, capsys):
    made = loans(currency=["KES", "KES", "USD"]).drop(columns="default")
    made["status"] = np.where(made["currency"] == "USD", "Default", np.where(made.index % 6 == 0, "Default", "Repaid"))
    found = cohort(made, "--currency", "KES")
    said = capsys.readouterr().out
    assert "  10 of 40 loans in default (25.0%); 0 left out." in said and "20 loans whose currency is not KES" in said
    assert (len(found), found["default"].sum()) == (40, 10)


# Lengths of time, counts and terms.


def test_lengths_of_time_without_a_unit_are_no_centuries(workplace, capsys):
    """Months in Prosper's file and in the one of home equity loans, years elsewhere."""
    found = cohort(loans(YOJ=[1, 2, 30], CLAGE=[120, 360]))
    assert set(found["employment_length"]) == {1, 2, 30} and set(found["credit_history_years"]) == {10, 30}
    said = capsys.readouterr().out
    assert "YOJ without a unit is read in years" in said and "CLAGE is read in months, as years" in said


def test_a_life_of_service_is_a_gap(workplace, capsys):
    found = cohort(loans(person_emp_length=[*range(1, 50), 123]))
    assert found["employment_length"].max() == 49 and found["employment_length"].isna().sum() == 1
    assert "person_emp_length: 123 (1 cells) stand for no number" in capsys.readouterr().out


def test_codes_among_counts_are_gaps(workplace, capsys):
    found = cohort(loans(NumberOfTimes90DaysLate=[0, 0, 1, 2, 96, 98]))
    assert found["prior_delinquencies"].max() == 2 and found["prior_delinquencies"].isna().sum() == 20
    # Nothing is strange in a count that reaches them.
    assert cohort_of_inquiries([0, 40, 70, 98]) == 98


def cohort_of_inquiries(counts):
    loans(inquiries=counts).to_csv("loans.csv", index=False)
    assert main(["init-study", "again", "--data", "loans.csv"]) == 0
    for stage in ("intake", "prepare"):
        assert main([stage, "--study", "again"]) == 0
    return pd.read_parquet(places.processed("again") / "cohort.parquet")["inquiries"].max()


def test_codes_among_answers_are_gaps(workplace):
    found = cohort(loans(satisfaction=[1, 2, 3, 4, 5, 99, -98]))
    assert found["satisfaction"].max() == 5 and found["satisfaction"].min() == 1
    assert found["satisfaction"].isna().sum() == 16


def test_nines_among_terms_are_gaps(workplace):
    found = cohort(loans(term=[12, 24, 999]))
    assert set(found["term_months"].dropna()) == {12, 24} and found["term_months"].isna().sum() == 20


@pytest.mark.parametrize("term", ["12 tháng", "12 شهر", "12 мес.", "1 năm", "1 год"])
def test_terms_in_more_languages(workplace, term):
    assert set(cohort(loans(term=[term]))["term_months"]) == {12}


def test_instalments_a_week_are_weeks(workplace, capsys):
    found = cohort(loans(no_of_installments=[26, 52], repayment_frequency=["Weekly"]))
    assert sorted(set(found["term_months"])) == [6, 12]
    assert "repayment_frequency says in which unit each term is" in capsys.readouterr().out
    # What is no count of instalments has months, however they are paid.
    assert roles.likeness("term_in_months", "term_months") == 4


# Roles.


def test_what_was_collected_is_no_rate_and_no_amount(workplace):
    """As in a peer-to-peer lender's book of loans."""
    made = loans(**{"Interest Collected": [120, 80], "Principal Collected": [900, 300], "Lending rate": [0.07, 0.09]})
    section = set_up(made.rename(columns={"amount": "Original Loan Amount"}))["columns"]
    assert (section["interest_rate"], section["amount"]) == ("Lending rate", "Original Loan Amount")
    bare = loans(**{"Interest Collected": [120, 80], "Principal Collected": [900, 300]})
    for role in ("interest_rate", "amount"):
        assert not any(roles.likeness(name, role) for name in bare if name.endswith("Collected"))


def test_a_loan_is_granted_before_its_first_payment(workplace):
    made = loans(FirstPaymentDate=["2016-05-02"], LoanDate=["2016-03-23"])
    assert set_up(made)["columns"]["origination_date"] == "LoanDate"
