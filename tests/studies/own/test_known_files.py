"""Files of public collections and lenders that an analyst tries first: what was read in silence, and now is not."""

import numpy as np
import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.core import params
from tests.studies.own.test_files import asked, cohort, loans, set_up
from tests.studies.own.test_files import workplace as workplace


def test_waves_of_a_survey_are_no_loans(workplace, capsys):
    one = loans().rename(columns={"loan_id": "hhid"})
    waves = pd.concat([one.assign(wave=wave) for wave in (1, 2, 3)])
    assert "each hhid has a row for every wave, and a study needs one row a loan" in asked(capsys, waves)
    # A wave of one row each is a column as any other.
    set_up(one.assign(wave=1 + one.index % 2))


@pytest.mark.parametrize("given", [("Weekly",), ("Weekly", "Daily")])
def test_a_treatment_in_words_is_told_once(workplace, capsys, given):
    made = loans(treatment=["Weekly", "Monthly", "Daily"])
    assert "Daily, Monthly, Weekly are not yes and no" in asked(capsys, made, "--treated", "treatment")
    assert "has no value 'weakly'" in asked(capsys, made, "--treated", "treatment", "--treated-when", "weakly")
    found = cohort(made, "--treated", "treatment", "--treated-when", *given)
    assert found["treated"].sum() == 20 * len(given) and found["treated"].notna().all()


def test_a_treatment_in_words_is_not_taken_unasked(workplace, capsys):
    set_up(loans(treatment=["Weekly", "Monthly"]))
    assert "say --treated treatment, and --treated-when with those of loans" in capsys.readouterr().out


def test_values_of_the_treatment_without_its_column(workplace, capsys):
    assert "say --treated COLUMN, too" in asked(capsys, loans(), "--treated-when", "Weekly")


@pytest.mark.parametrize(
    ("dates", "calendar"),
    [(["1402/05/31", "1401/11/03"], "Iranian or Islamic"), (["23/08/2566", "03/11/2565"], "Buddhist")],
)
def test_years_of_other_calendars_are_no_dates_of_loans(workplace, capsys, dates, calendar):
    assert f"is a date of the {calendar} calendar" in asked(capsys, loans(date=dates))
    set_up(loans(date=["2015-03-02", "2016-03-02"], closing_date=["2017-05-01", "2500-01-01"]))


def test_a_client_who_is_called_total_has_a_loan(workplace, capsys):
    made = loans(client=["Ann", "Bo", "Cy"]).astype("object")
    made = made[["loan_id", "client", "amount", "default"]]
    made.loc[7, ["client", "amount"]] = ["Total", None]
    total = {"loan_id": "Total", "client": None, "amount": made["amount"].sum(), "default": None}
    below = {"loan_id": None, "client": "Total", "amount": made["amount"].sum(), "default": None}
    assert len(cohort(pd.concat([made, pd.DataFrame([total, below])]))) == 60
    assert "Lines that hold totals, no loans (2): 62, 63." in capsys.readouterr().out


def test_a_balance_in_months_of_loans_is_owed(workplace):
    rows = pd.DataFrame({"loan_id": np.repeat(range(40), 6)})
    rows["date"] = [f"2019-{month:02d}-28" for month in range(1, 7)] * 40
    rows["balance"], rows["original_balance"] = 900 - rows.index % 6, 1000 + rows["loan_id"]
    rows["status"] = np.where((rows.index % 6 == 5) & (rows["loan_id"] % 4 == 0), "Charged-off", "Current")
    section = set_up(rows)
    assert section["borrower"]["savings"] is None and section["columns"]["amount"] == "original_balance"


def test_logarithms_are_no_sums(workplace, capsys):
    section = set_up(loans(**{"log.annual.inc": [10.5, 11.25, 9.75]}))
    assert section["borrower"]["income"] is None
    assert "log.annual.inc as income: its name is that of a logarithm" in capsys.readouterr().out


def test_codes_of_bands_are_levels(workplace, capsys):
    found = cohort(loans(beszeit=[1, 2, 3, 4, 5], sparkont=[1, 2, 3, 4, 5]))
    assert "Numbers of beszeit, sparkont are codes of answers" in capsys.readouterr().out
    assert set(found["employment_length"]) == set("12345") == set(found["savings"])


def test_polish_terms_are_read(workplace):
    assert set(cohort(loans(**{"Okres kredytowania": ["12 mies.", "24 mies."]}))["term_months"]) == {12, 24}


def test_tables_are_not_tied_by_what_borrowers_are(workplace, capsys):
    (workplace / "d").mkdir()
    loans(CODE_GENDER=["F", "M"], date=["2020-03-01"]).to_csv("d/loans.csv", index=False)
    calls = pd.DataFrame({"person": range(9000, 9040), "CODE_GENDER": ["F", "M"] * 20, "call_date": "2020-02-01"})
    calls.to_csv("d/calls.csv", index=False)
    assert main(["init-study", "mine", "--data", "d"]) == 0
    assert "calls.csv: " in capsys.readouterr().out and not params.load().study("mine").own["tables"]


def test_loans_without_a_date_of_closing_are_not_said_to_be_open(workplace, capsys):
    dated = [f"2019-{1 + place % 12:02d}-05" if place % 5 == 0 else None for place in range(60)]
    set_up(loans(date=["2018-01-05", "2018-07-05"], default_date=dated))
    said = capsys.readouterr().out
    assert "loans that no date of closing ends" in said and "still open at the end" not in said


def test_sentences_below_the_loans_are_no_loans(workplace, capsys):
    """As Lending Club's files end, whose numbers of loans are empty."""
    made = loans(id=[None], rate=[5, 6, 7]).drop(columns="loan_id")[["id", "amount", "rate", "default"]]
    below = "Total amount funded in policy code 1: 6417608175,,,"
    text = f"Notes offered by Prospectus\n{made.to_csv(index=False)}\n\n{below}\n"
    assert len(cohort(text)) == 60
    said = capsys.readouterr().out
    assert "Lines that hold a sentence, no loans (1): " in said and "0 left out" in said
