"""Files as people keep them, the smallest shapes of what once went wrong, and the right answer of each."""

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pipeline.__main__ import main
from pipeline.core import params, results, yaml
from pipeline.present.words import Words, filled
from pipeline.runtime import places, store
from pipeline.studies.own import template
from tests import choices
from tests.choices import copied


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    copied(tmp_path, "sba")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(content, name="loans.csv", encoding="utf-8"):
    if isinstance(content, pd.DataFrame):
        content = content.to_csv(index=False)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return name


def set_up(content, *arguments, name="loans.csv", encoding="utf-8"):
    """Set up a study of a file; return the choices under own."""
    assert main(["init-study", "mine", "--data", put(content, name, encoding), *arguments]) == 0
    return params.load().study("mine").own


def asked(capsys, content, *arguments, **choices):
    """Return the sentence with which a file is not set up; nothing is written."""
    capsys.readouterr()
    assert main(["init-study", "mine", "--data", put(content, **choices), *arguments]) == 1
    assert not places.choices("mine").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def cohort(content, *arguments, **choices):
    set_up(content, *arguments, **choices)
    return prepared()


def prepared():
    for stage in ("intake", "prepare"):
        assert main([stage, "--study", "mine"]) == 0
    return store.read_parquet(places.processed("mine") / "cohort.parquet")


def loans(number=60, **columns):
    """Loans of which every fifth is in default, with further columns: lists that are repeated, or of that length."""
    made = pd.DataFrame({"loan_id": range(1, number + 1), "amount": range(1001, 1001 + number)})
    for name, values in columns.items():
        made[name] = (list(values) * number)[:number]
    return made.assign(default=(np.arange(number) % 5 == 0).astype(int))


# The outcome.


@pytest.mark.parametrize(
    ("values", "defaults", "remaining"),
    [
        (["Completed"] * 3 + ["Chargedoff"] * 2 + ["Defaulted"], 3, 6),
        (["G"] * 4 + ["B"] * 2, 2, 6),
        (["Fully Paid"] * 3 + ["Charged Off", "Late (31-120 days)", "Current"], 1, 4),
        (["paid off"] * 3 + ["90+ DPD", "Past Due (61-90 days)", "Past Due (>120 days)"], 2, 5),
        (["Fully Paid", "Does not meet the credit policy. Status:Fully Paid"] * 2
         + ["Does not meet the credit policy. Status:Charged Off", "Written-off"], 2, 6),
        (["结清"] * 4 + ["核销", "逾期"], 1, 5),
        (["正常"] * 4 + ["逾期", "坏账"], 1, 5),
        (["正常"] * 4 + ["逾期"] * 2, 2, 6),
        (["M0"] * 3 + ["M1", "M3+", "M4"], 2, 5),
        (["正常", "正常", "正常", "关注", "次级", "可疑"], 2, 5),
        (["已結清"] * 4 + ["壞帳", "催收中"], 1, 5),
        (["Lancar"] * 4 + ["Dalam Perhatian Khusus", "Macet"], 1, 5),
        (["adimplente"] * 4 + ["inadimplente"] * 2, 2, 6),
        (["Remboursé"] * 4 + ["En défaut", "IMPAYE"], 2, 6),
        (["zurückgezahlt"] * 4 + ["in Verzug", "gekündigt"], 1, 5),
        (["vollständig getilgt"] * 4 + ["laufend", "abgeschrieben"], 1, 5),
        (["Standard"] * 3 + ["SMA-1", "NPA", "Doubtful"], 2, 5),
        (["Liquidado"] * 3 + ["Vencido", "Cartera vencida", "Castigado"], 2, 5),
        (["Non-Performing", "performing", "PERFORMING", "Performing", "npl", "performing"], 2, 6),
    ],
)  # fmt: skip
def test_the_words_of_the_trade(workplace, capsys, values, defaults, remaining):
    made = loans(60).assign(status=values * 10).drop(columns="default")
    found = cohort(made, "--default", "status")
    said = capsys.readouterr().out
    assert (found["default"].sum(), len(found)) == (10 * defaults, 10 * remaining)
    for value in set(values):
        assert f"  {value} " in said
    assert f"{10 * defaults} of {10 * remaining} loans in default" in said


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("repaid", [1, 1, 1, 1, 0], "its name says that yes is good: say with --default-when 0 --repaid-when 1"),
        ("in_default", [1, 1, 1, 0], "more than half would be in default"),
        ("state", ["paid off", "paid off", "C7"], "C7 (20 rows) not known"),
        ("state", [1, 2], "not known. Sort what is not known with --default-when"),
        ("state", ["current", "charged off"], "No loan was repaid so"),
    ],
)
def test_an_outcome_that_is_not_certain_is_asked(workplace, capsys, column, values, sentence):
    made = loans().drop(columns="default").assign(**{column: (values * 60)[:60]})
    assert sentence in asked(capsys, made, "--default", column)


def test_an_outcome_whose_words_are_not_known_is_found_by_its_name(workplace, capsys):
    made = loans(status=["P", "P", "P", "D"]).drop(columns="default")
    assert "P (45 rows) not known; D (15 rows) not known" in asked(capsys, made)
    assert cohort(made, "--default-when", "D", "--repaid-when", "P")["default"].sum() == 15


def test_once_default_is_told_a_bare_yes_is_none(workplace):
    made = loans(good=[1, 1, 1, 2]).drop(columns="default")
    section = set_up(made, "--default", "good", "--default-when", "2")
    assert (section["default_when"], section["repaid_when"]) == (["2"], ["1"])


def test_a_second_outcome_is_named(workplace, capsys):
    set_up(loans(loan_status=["Fully Paid", "Fully Paid", "Charged Off"]))
    assert "loan_status as default: default fits better" in capsys.readouterr().out


def test_what_was_asked_can_be_told(workplace):
    made = loans(repaid=[1, 1, 1, 1, 1, 0]).drop(columns="default")
    found = cohort(made, "--default", "repaid", "--default-when", "0", "--repaid-when", "1")
    assert (found["default"].sum(), len(found)) == (10, 60)


def test_what_was_asked_can_be_answered_at_a_terminal(workplace, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda asked: "0")
    found = cohort(loans(repaid=[1, 1, 1, 1, 1, 0]).drop(columns="default"), "--default", "repaid")
    assert (found["default"].sum(), len(found)) == (10, 60)


def test_days_past_due_are_an_outcome_once_it_is_said_from_how_many_on(workplace, capsys):
    made = loans(days_late=[*range(0, 90, 3), *range(90, 120, 1)]).drop(columns="default")
    assert "--default-at-least 90 (30 of 60 loans)" in asked(capsys, made)
    found = cohort(made, "--default", "days_late", "--default-at-least", "90")
    assert found["default"].sum() == 30
    assert params.load().study("mine").own["default_at_least"] == 90


def test_an_empty_outcome_is_counted(workplace, capsys):
    made = loans(70).assign(default=lambda frame: frame["default"].astype("Int64"))
    made.loc[60:, "default"] = pd.NA
    set_up(made)
    said = capsys.readouterr().out
    assert "(empty)" in said and "12 of 60 loans in default (20.0%); 10 left out" in said


def test_a_path_that_dvc_would_read_as_a_parameter_is_refused(workplace, capsys):
    before = Path("params.yaml").read_bytes()
    assert "rename the file" in asked(capsys, loans(), name="${x}.csv")
    assert Path("params.yaml").read_bytes() == before


# Roles.


@pytest.mark.parametrize(
    ("columns", "role", "column"),
    [
        ({"account_type": ["savings", "current"], "customer_no": range(5001, 5061)}, "client_id", "customer_no"),
        ({"loan_number": [1, 2, 3], "system_loan_id": range(90001, 90061)}, "loan_id", "system_loan_id"),
        ({"calls_made": [0, 1, 2, 3]}, "communication_frequency", "calls_made"),
        ({"verification_status": ["Verified", "Not Verified", "Source Verified"]}, "information_sharing",
         "verification_status"),
        ({"no_of_previous_loans": [0, 1, 2]}, "relationship_depth", "no_of_previous_loans"),
        ({"termdays": [15, 30, 60]}, "term_months", "termdays"),
        ({"BorrowerRate": [0.12, 0.2, 0.31]}, "interest_rate", "BorrowerRate"),
        ({"approveddate": ["2017-07-25 08:22:56.000000", "2017-08-01 00:00:00.000000"]}, "origination_date",
         "approveddate"),
        ({"AMT_INCOME_TOTAL": [1500, 2500, 900]}, "income", "AMT_INCOME_TOTAL"),
        ({"婚姻狀況": ["已婚", "未婚"], "年齡": [20, 30, 40]}, "age", "年齡"),
        ({"prazo_meses": ["12x", "24x"]}, "term_months", "prazo_meses"),
        ({"Taxa de Juros": ["13,5%", "14,25%"]}, "interest_rate", "Taxa de Juros"),
        ({"term_years": [1, 3, 5]}, "term_months", "term_years"),
        ({"Tenure": [12, 24, 36, 6]}, "term_months", "Tenure"),
        ({"Tenure": range(1, 61)}, "relationship_length", "Tenure"),
        ({"Tenure": [12, 24, 36], "term": [7, 14, 19]}, "relationship_length", "Tenure"),
        ({"tenure_months": [7, 14, 19], "years_as_client": [1, 2, 3]}, "term_months", "tenure_months"),
        ({"शाखा (Branch)": ["a", "b"]}, "institution_id", "शाखा (Branch)"),
        ({"Monto / 贷款额": range(60), "वार्षिक आय": range(7, 67)}, "income", "वार्षिक आय"),
        ({"Satisfacción del cliente": [5, 6, 7]}, "satisfaction", "Satisfacción del cliente"),
    ],
)  # fmt: skip
def test_columns_are_taken_for_what_they_are(workplace, columns, role, column):
    made = loans(**columns)
    if {"client_id", "loan_id"} & {role}:
        made = made.drop(columns="loan_id")
    own = set_up(made)
    assert (own["columns"] | own["factors"] | own["borrower"])[role] == column
    assert own["columns"]["loan_id"] not in ("account_type", "loan_number")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"income": [0, 1]}, "income as income: only two values; 0, 1"),
        ({"income": [*[None] * 4, 900, *[None] * 4, 700, *[None] * 4, 500]}, "80% of the cells are empty"),
        ({"term": ["short", "long"]}, "term as term_months: its cells are no numbers; short, long"),
        ({"loan_balance": range(60), "balance": range(60)}, ""),
        ({"बकाया (Outstanding balance)": range(60)}, "they look as if filled after the outcome: बकाया"),
    ],
)
def test_what_only_has_the_name_of_a_role_is_refused_with_its_cells(workplace, capsys, columns, sentence):
    own = set_up(loans(**columns))
    assert sentence in capsys.readouterr().out
    assert own["borrower"]["savings"] == ("balance" if "balance" in columns else None)
    assert not {own["borrower"]["income"], own["columns"]["term_months"]} & set(columns)


def test_each_guess_has_its_reason_and_three_cells_and_the_fuller_column_wins(workplace, capsys):
    own = set_up(loans(income=[None, None, 700, 800, 900], annual_income=range(500, 560)))
    said = " ".join(capsys.readouterr().out.split())
    assert own["borrower"]["income"] == "annual_income"
    assert "income annual_income its name; 500, 501, 502" in said
    assert "annual_income fits better" in said


def test_what_a_tenure_is_of_is_asked_where_its_cells_leave_it_open(workplace, capsys):
    made = loans(tenure=[12, 24, 36, 7])
    said = asked(capsys, made)
    assert "how long clients have been with the lender: say with --role 'term_months=tenure' or" in said
    assert set_up(made, "--role", "term_months=tenure")["columns"]["term_months"] == "tenure"


@pytest.mark.parametrize(
    ("told", "sentence"), [("terms=term", "'terms' is no role"), ("term_months=trem", "no column 'trem' (--role)")]
)
def test_a_role_that_is_told_must_be_one_and_its_column_there(workplace, capsys, told, sentence):
    assert sentence in asked(capsys, loans(term=[12, 24]), "--role", told)


def test_loans_of_one_client_are_clustered(workplace):
    set_up(loans(client_id=range(30)))
    assert params.load().study("mine").cluster == "client_id"
    assert prepared()["client_id"].nunique() == 30


def test_labels_of_a_stata_file_are_read(workplace):
    made = loans(q7=range(60)).rename(columns={"default": "defaulted"})
    made.to_stata("loans.dta", write_index=False, variable_labels={"q7": "Monthly income"})
    assert main(["init-study", "mine", "--data", "loans.dta"]) == 0
    assert params.load().study("mine").own["borrower"]["income"] == "q7"


# Cells.


@pytest.mark.parametrize(
    ("name", "cells", "role", "values"),
    [
        ("term", ["36", "12", "24", "60", "3 years"], "term_months", [36, 12, 24, 60, 36]),
        ("term", ["36m", "24m", "12m"], "term_months", [36, 24, 12]),
        ("term", ["18 months", "365 days", "2 years"], "term_months", [18, 12, 24]),
        ("term", ["1y 6m", "2 Jahre", "6个月"], "term_months", [18, 24, 6]),
        ("term", ["12x", "24x", "36x"], "term_months", [12, 24, 36]),
        ("termdays", ["15", "30", "60"], "term_months", [0.5, 1, 2]),
        ("rate", ["7,25", "3,03", "12"], "interest_rate", [7.25, 3.03, 12]),
        ("rate", ["12.25%", ".1072", "9.39%", "0.0928"], "interest_rate", [12.25, 10.72, 9.39, 9.28]),
        ("income", ["1'200.50", "12’345.00", "900"], "income", [1200.5, 12345, 900]),
        ("income", ["10'000.-", "9'500.50", "900"], "income", [10000, 9500.5, 900]),
        ("income", ["1.234,50", "12.345", "900"], "income", [1234.5, 12345, 900]),
        ("income", ["12,34,567", "1,000", "900"], "income", [1234567, 1000, 900]),
        ("income", ["0.123", "1.250", "2.333"], "income", [0.123, 1.25, 2.333]),
    ],
)
def test_cells_are_read_by_column(workplace, name, cells, role, values):
    # Amounts have points, whatever the other column has.
    made = loans(**{name: cells}).assign(amount=lambda frame: frame["amount"].map("{:.2f}".format))
    found = cohort(made.to_csv(index=False, sep=";")).sort_values("amount")
    np.testing.assert_allclose(found[role].head(len(values)), values)
    np.testing.assert_allclose(found["amount"].head(2), [1001, 1002])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"income": ["4.971", "12.345", "7.250"]}, "row 2: '4.971'"),
        ({"rate": ["12.25%", "50", "9.39%", ".09"]}, "on scales that do not fit"),
        ({"term": ["5", "3 years"]}, "'5' without a unit beside '3 years' may be months or years"),
        ({"term": [1095, 730]}, "hardly a term in months"),
        ({"income": ["7,25", "8.50"]}, "two decimal marks"),
        ({"int_rate": ["0.054", "0.12", "1.2"]}, "say with --rate-in fraction that .125 is 12.5%"),
        ({"issue_date": ["2015-03-01", "01/02/2015"]}, "'01/02/2015' could stand in either order"),
        ({"issue_date": ["01/02/2015", "03/04/2015"]}, "could stand in either order"),
    ],
)
def test_what_cells_leave_open_is_asked_with_a_row(workplace, capsys, columns, sentence):
    made = loans(**columns)
    if "rate" in columns:
        set_up(made)
        capsys.readouterr()
        assert main(["intake", "--study", "mine"]) == 1
        assert sentence in capsys.readouterr().err
    else:
        assert sentence in asked(capsys, made.to_csv(index=False, sep=";"))


def test_the_scale_of_rates_can_be_told(workplace):
    found = cohort(loans(int_rate=["0.054", "0.12", "1.2"]), "--rate-in", "fraction").sort_values("amount")
    np.testing.assert_allclose(found["interest_rate"].head(3), [5.4, 12, 120])


@pytest.mark.parametrize("title", ["Loans of 2018\n", "Loans of 2018;;\n\nexported by K;;\n", "sep=;\n"])
def test_titles_above_the_names_are_no_names(workplace, capsys, title):
    made = loans()
    made.loc[3, "amount"] = -5
    set_up(title + made.to_csv(index=False, sep=";"))
    assert "Lines above the names that are not read" in capsys.readouterr().out
    assert main(["intake", "--study", "mine"]) == 0
    assert main(["prepare", "--study", "mine"]) == 1
    assert "1 of 60 rows break a data rule" in (said := capsys.readouterr().err)
    lines = title.count("\n")
    assert f"-5 in row {lines + 5}" in said


def test_dots_for_thousands_are_told(workplace):
    made = loans(income=["4.971", "12.345", "7.250"]).to_csv(index=False, sep=";")
    found = cohort(made, "--decimal", "income=,").sort_values("amount")
    assert found["income"].head(3).tolist() == [4971, 12345, 7250]


def test_years_of_two_digits_lie_in_the_past(workplace):
    found = cohort(loans(approval_date=["02-Oct-66", "03-Oct-97", "05-Oct-14"])).sort_values("amount")
    assert found["origination_date"].dt.year.head(3).tolist() == [1966, 1997, 2014]


def test_none_is_a_level(workplace):
    found = cohort(loans(guarantee=["none", "full", "", "partial"]))
    assert found["collateral"].value_counts().to_dict() == {"none": 15, "full": 15, "not stated": 15, "partial": 15}


def test_long_numbers_keep_their_digits(workplace):
    branches = [9007199254740993 + place for place in range(4)]
    made = loans(branch_id=branches).assign(branch_id=lambda frame: frame["branch_id"].astype("Int64"))
    made.loc[59, "branch_id"] = pd.NA
    made.to_parquet("loans.parquet")
    assert main(["init-study", "mine", "--data", "loans.parquet"]) == 0
    assert set(prepared()["institution_id"]) == {*map(str, branches), "not stated"}


@pytest.mark.parametrize("branches", [[9007199254740993, 9007199254740995], [1 << 60, (1 << 60) + 300, None]])
def test_long_numbers_of_a_workbook_which_has_rounded_them_are_refused(workplace, capsys, branches):
    book = openpyxl.Workbook()
    made = loans(branch_id=branches)
    book.active.append(list(made))
    made["branch_id"] = pd.array((branches * 60)[:60], dtype="Int64")
    for row in made.astype(object).to_numpy().tolist():
        book.active.append([None if cell is pd.NA else cell for cell in row])
    book.save("loans.xlsx")
    assert main(["init-study", "mine", "--data", "loans.xlsx"]) == 0
    capsys.readouterr()
    assert main(["intake", "--study", "mine"]) == 1
    assert "lost its last digits" in capsys.readouterr().err


def test_a_key_that_has_lost_its_digits_is_refused(workplace, capsys):
    set_up(loans(branch_id=["1.23457E+18", "1.23458E+18"]))
    capsys.readouterr()
    assert main(["intake", "--study", "mine"]) == 1
    assert "lost its last digits" in capsys.readouterr().err


@pytest.mark.parametrize("order", [slice(None), [*range(59, -1, -1)]], ids=["a_range", "numbers"])
def test_the_index_of_a_pandas_parquet_is_a_column(workplace, order):
    loans().set_index("loan_id", drop=True).pipe(lambda made: made.iloc[order]).to_parquet("loans.parquet")
    assert main(["init-study", "mine", "--data", "loans.parquet"]) == 0
    assert params.load().study("mine").own["columns"]["loan_id"] == "loan_id"
    assert set(prepared()["loan_id"]) == set(map(str, range(1, 61)))


def test_feather_is_read(workplace):
    loans().to_feather("loans.feather")
    assert main(["init-study", "mine", "--data", "loans.feather"]) == 0
    assert len(prepared()) == 60


def test_a_file_between_blanks_without_names(workplace):
    """As the German credit data are published: the last column is the outcome, 1 good and 2 bad."""
    made = loans(status=["A11", "A12", "A14"], age=range(20, 80)).assign(default=lambda frame: frame["default"] + 1)
    text = made.to_csv(index=False, header=False, sep=" ")
    told = ("--default", "column 5", "--default-when", "2", "--repaid-when", "1")
    own = set_up(text, *told, name="german.data")
    assert own["names"] == 0 and own["separator"] == " "
    found = prepared()
    assert (found["default"].sum(), len(found)) == (12, 60)


def test_two_lines_of_names(workplace):
    made = loans()
    text = "X1,X2,X3\n" + made.to_csv(index=False)
    assert set_up(text)["columns"]["amount"] == "amount"
    quarantined = prepared()
    assert len(quarantined) == 60


def test_a_line_of_units_below_the_names(workplace):
    text = loans(term=[12, 24]).to_csv(index=False).replace("\n", "\n,EUR,months,\n", 1)
    own = set_up(text)
    assert own["columns"]["amount"] == "amount (EUR)" and own["names"] == 2
    assert len(prepared()) == 60


@pytest.mark.parametrize(
    ("encoding", "purposes"),
    [
        ("cp1250", ["Příbram", "Česká Lípa", "Žďár nad Sázavou", "Plzeň", "Děčín"]),
        ("cp1250", ["Łódź", "Gdańsk", "Częstochowa", "Śląsk"]),
        ("cp1252", ["Tõnu", "Võru", "Pärnu", "Jõhvi", "Kärdla"]),
        ("cp1252", ["Größe", "Köln", "Düsseldorf", "Fälligkeit"]),
        ("cp1251", ["Москва", "Санкт-Петербург", "кредит"]),
        ("cp932", ["住宅ローン", "自動車", "カード", "貸出"]),
        ("big5", ["住宅貸款", "汽車", "教育", "台北市分行"]),
        ("gb18030", ["购车", "装修", "经营", "教育"]),
        ("gb18030", ["电话", "上门"]),
        ("gb18030", ["满意度", "调查日期"]),
    ],
)
def test_encodings_are_told_by_the_letters_of_languages(workplace, encoding, purposes):
    found = cohort(loans(purpose=purposes), encoding=encoding)
    assert set(found["loan_type"]) == set(purposes)


def test_an_encoding_that_cannot_be_told_is_asked(workplace, capsys):
    made = loans(purpose=["Gyõr", "Gyula"]).to_csv(index=False)
    said = asked(capsys, made, encoding="cp1252")
    assert "cp1250 reads 'Győr'" in said and "--encoding" in said
    assert set_up(made, "--encoding", "cp1252", encoding="cp1252")["encoding"] == "cp1252"


# What is mapped is used, and gaps stay.


@pytest.mark.parametrize("share", [19, 21])
def test_a_gap_is_the_same_on_both_sides_of_any_threshold(workplace, share):
    made = loans(500, income=range(2000, 2500)).assign(
        income=lambda frame: frame["income"].where(frame.index >= 5 * share)
    )
    found = cohort(made)
    assert len(found) == 500
    assert found["income_not_stated"].sum() == found["income"].isna().sum() == 5 * share
    assert found["income_filled"].notna().all()


def test_gaps_of_dates_keep_their_loans(workplace):
    made = loans(issue_date=["2015-01-01", "2016-05-01", ""])
    found = cohort(made)
    assert len(found) == 60 and (found["origination_year"] == "not stated").sum() == 20


def test_choices_follow_from_the_roles_unless_written_out(workplace):
    set_up(loans(income=range(60), calls_made=[0, 1, 2], remark=["a", "b"]))
    file = places.choices("mine")
    study = params.load().study("mine")
    assert study.factors == ["communication_frequency"] and study.controls.borrower == ["log(income)"]
    assert study.matching.score == ["log(amount)", "log(income)"]
    text = file.read_text().replace("    income: income", "    income:\n    mood: remark")
    file.write_text(text)
    study = params.load().study("mine")
    assert study.controls.borrower == ["mood"]
    file.write_text(text.replace("  borrower:\n  market:\n  time:", "  borrower: []\n  market:\n  time:"))
    assert params.load().study("mine").controls.borrower == []


# A row a loan and month.


def loan_months(number=60):
    """Loans of twelve months of which the first two fifths end in default, contacts growing with each month."""
    rows = [
        {"loan_id": loan, "month": f"2020-{month:02d}", "amount": 1000 + loan, "calls_made": loan % 3 + month,
         "status": "default" if loan % 5 < 2 and month == 6 + loan % 5 else "current"}
        for loan in range(number)
        for month in range(1, 13)
        if not (loan % 5 < 2 and month > 6 + loan % 5)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_months_are_recognised_and_collapsed_by_a_declared_rule(workplace, capsys):
    made = loan_months()
    found = cohort(made.sample(frac=1, random_state=1))
    said = capsys.readouterr().out
    assert "24 of 60 loans in default (40.0%)" in said and "Each loan has a row a month (month)" in said
    assert params.load().study("mine").own["panel"] == "month"
    assert (found["default"].sum(), len(found)) == (24, 60)
    assert set(found["origination_month"]) == {"2020-01"}
    # Contacts are a mean over the three months that most defaults come after, and only those count.
    assert set(found["communication_frequency"]) == {2, 3, 4}
    assert (found["open_at_landmark"].sum(), found["default_after_landmark"].sum()) == (60, 24)
    ends = store.read_parquet(places.processed("mine") / "more" / "loan_ends.parquet")
    assert ends.groupby("end")["months"].unique().map(sorted).to_dict() == {"default": [6, 7], "open": [12]}
    assert main(["time", "--study", "mine"]) == 0
    assert main(["warning", "--study", "mine"]) == 0
    months = store.read_parquet(places.processed("mine") / "more" / "loan_months.parquet")
    assert (len(months), months["default"].sum()) == (len(made), 24)
    assert (
        months["proactive_contacts"]
        == made.sort_values(["loan_id", "month"], key=lambda one: one.astype(str))["calls_made"].to_numpy()
    ).all()


def test_a_month_that_was_recorded_twice_is_one(workplace):
    assert cohort(pd.concat([loan_months(), loan_months().head(1)]))["default"].sum() == 24


def test_two_rows_of_a_loan_in_one_month_are_no_panel(workplace, capsys):
    made = pd.concat([loan_months(), loan_months().head(1).assign(amount=1)])
    assert "No loan was repaid so" in asked(capsys, made)


def test_months_of_clients_with_one_loan_each_are_a_panel(workplace):
    """In the manner of Taiwan: years of the Republic, the island's characters and encoding."""
    rows = [
        {"客戶編號": f"T{client}", "月份": f"107/{month:02d}/28", "核貸金額": f"{1000 + client:,}",
         "聯絡次數": client % 3 + month, "參加方案": "否是"[client % 2],
         "還款狀態": "逾期90天以上" if client % 5 == 0 and month == 6 else "正常"}
        for client in range(60)
        for month in range(1, 7 if client % 5 == 0 else 13)
    ]  # fmt: skip
    found = cohort(pd.DataFrame(rows), encoding="cp950")
    assert (len(found), found["default"].sum(), found["treated"].sum()) == (60, 12, 30)
    assert set(found["communication_frequency"]) == {2, 3, 4} and found["amount"].min() == 1000
    assert main(["time", "--study", "mine"]) == 0


def test_new_loans_of_a_client_are_no_months(workplace):
    made = loans(90, client_id=range(30)).drop(columns="loan_id")
    made["loan_date"] = [f"20{15 + place // 30}-0{1 + place % 9}-01" for place in range(90)]
    assert len(cohort(made)) == 90


def test_a_brazilian_file_needs_no_option(workplace):
    made = pd.DataFrame({
        "ID_Contrato": range(60), "Data da Contratação": "25/07/2018", "Valor Financiado": "R$ 1.234,56",
        "Prazo": "24x", "Taxa de Juros (a.a.)": "3,5%", "Participante": ["Sim", "Não"] * 30,
        "Nº de Contatos": range(60),
        "Situação": ["Quitado", "Quitado", "Inadimplente"] * 20,
    })  # fmt: skip
    found = cohort(made.to_csv(index=False, sep=";"), encoding="latin-1")
    assert (len(found), found["default"].sum(), found["treated"].sum()) == (60, 20, 30)
    assert (
        set(found["amount"]) == {1234.56} and set(found["interest_rate"]) == {3.5} and set(found["term_months"]) == {24}
    )
    assert set(found["origination_month"]) == {"2018-07"} and found["communication_frequency"].sum() == 1770


# Several tables.


def lender(folder, number=120):
    """A lender's loans, clients, contacts, surveys, earlier loans and something else, in a folder."""
    Path(folder).mkdir()
    draw = np.random.default_rng(7)
    made = loans(number).rename(columns={"loan_id": "systemloanid"}).assign(
        customerid=lambda frame: "c" + (frame["systemloanid"] % 90).astype(str),
        approveddate=[f"2017-0{1 + place % 9}-15 10:00:00" for place in range(number)],
        good_bad_flag=lambda frame: np.where(frame["default"] == 1, "Bad", "Good"),
    ).drop(columns="default")  # fmt: skip
    clients = pd.DataFrame({"customerid": [f"c{place}" for place in range(90)], "monthly_income": range(500, 590)})
    events = pd.DataFrame({
        "customerid": [f"c{place}" for place in draw.integers(0, 90, 400)],
        "date": pd.Timestamp("2016-12-01") + pd.to_timedelta(draw.integers(0, 300, 400), unit="D"),
    })  # fmt: skip
    survey = events.assign(satisfaction=draw.integers(1, 11, 400))
    earlier = pd.DataFrame({"customerid": ["c1", "c1", "c2"], "loannumber": [1, 2, 1]})
    for name, table in {
        "trainperf": made, "traindemographics": clients, "traincontacts": events, "trainsurveys": survey,
        "trainprevloans": earlier, "trainother": pd.DataFrame({"a": [1], "b": [2]}),
        "trainnotes": pd.DataFrame({"systemloanid": [1, 1, 2], "note": ["a", "b", "c"]}),
    }.items():  # fmt: skip
        table.to_csv(f"{folder}/{name}.csv", index=False)
    return made, events, survey


def test_several_tables_are_joined_by_their_keys_and_count_what_came_before(workplace, capsys):
    made, events, survey = lender("lender")
    assert main(["init-study", "mine", "--data", "lender"]) == 0
    said = capsys.readouterr().out
    assert "trainother.csv: no column of it is a key of the loans" in said
    assert "trainnotes.csv: several rows a loan without a date" in said
    own = params.load().study("mine").own
    assert own["loans"] == "trainperf.csv" and own["factors"]["communication_frequency"] == "contacts"
    assert own["factors"]["relationship_depth"] == "previous loans" and own["borrower"]["income"] == "monthly_income"
    found = prepared().set_index("loan_id").loc[made["systemloanid"].astype(str)].reset_index()
    assert (found["default"] == (made["good_bad_flag"] == "Bad")).all()
    granted = pd.to_datetime(made["approveddate"]).dt.normalize()
    for place, (client, day) in enumerate(zip(made["customerid"], granted, strict=True)):
        before = (events["customerid"] == client) & (events["date"] < day)
        assert found.loc[place, "communication_frequency"] == before.sum()
        answers = survey.loc[before, "satisfaction"]
        np.testing.assert_allclose(found.loc[place, "satisfaction"], answers.mean() if len(answers) else np.nan)
        assert found.loc[place, "income"] == 500 + int(client[1:])
    assert (
        found["relationship_depth"].sum() == 2 * (made["customerid"] == "c1").sum() + (made["customerid"] == "c2").sum()
    )


def test_what_became_of_loans_may_stand_in_a_table_of_months(workplace):
    Path("lender").mkdir()
    loan_months().drop(columns="amount").to_csv("lender/repayments.csv", index=False)
    pd.DataFrame({"loan_id": range(60), "amount": range(1000, 1060)}).to_csv("lender/loans.csv", index=False)
    assert main(["init-study", "mine", "--data", "lender"]) == 0
    found = prepared()
    assert (found["default"].sum(), len(found)) == (24, 60)


def of_lender(folder, **tables):
    """Set up a study of tables in a folder; return its choices under own."""
    Path(folder).mkdir()
    for name, table in tables.items():
        table.to_csv(f"{folder}/{name}.csv", index=False)
    assert main(["init-study", "mine", "--data", folder]) == 0
    return params.load().study("mine").own


def clients_of(made):
    return pd.DataFrame({"client_id": sorted(set(made["client_id"])), "income": range(made["client_id"].nunique())})


def test_a_table_of_clients_with_few_copies_has_one_row_a_client(workplace, capsys):
    made = loans(client_id=[f"c{place}" for place in range(60)])
    clients = clients_of(made).assign(birthdate="1980-05-01")
    own = of_lender("lender", loans=made, clients=pd.concat([clients, clients.head(2), clients.head(1)[["client_id"]]]))
    assert own["borrower"]["income"] == "income" and [one["take"] for one in own["tables"]] == ["columns"]
    assert "where a client_id has several (rows more: 3)" in capsys.readouterr().out
    assert sorted(prepared()["income"]) == list(range(60))


@pytest.mark.parametrize(
    ("of_loans", "of_clients", "cells"),
    [("CustomerNo", "cust_id", "c{}"), ("client_id", "id", "{}"), ("client_id", "client_id", "{:06d}")],
)
def test_keys_of_other_names_and_forms_tie_tables(workplace, of_loans, of_clients, cells):
    made = loans(client_id=range(60)).rename(columns={"client_id": of_loans})
    clients = pd.DataFrame({of_clients: [cells.format(place) for place in range(60)], "income": range(60)})
    made[of_loans] = made[of_loans].astype(str) if cells != "c{}" else clients[of_clients]
    of_lender("lender", clients=clients, loans=made)
    assert sorted(prepared()["income"]) == list(range(60))


def test_tables_of_the_same_columns_are_one_below_the_other(workplace):
    made = loans().assign(date=[f"2018-{1 + place % 9:02d}-01" for place in range(60)])
    own = of_lender("lender", loans_2018=made.head(20), loans_2019=made.tail(40).rename(columns=str.upper))
    assert own["loans"] == "loans_201*.csv"
    assert len(prepared()) == 60


def test_an_answer_after_the_loan_counts_for_nothing(workplace):
    made = loans(client_id=range(60)).assign(loan_date="2018-06-01")
    dates = ["2018-05-01" if place % 3 else "2018-07-01" for place in range(60)]
    surveys = pd.DataFrame({"client_id": range(60), "date": dates, **{f"q{n}": range(60) for n in range(1, 9)}})
    of_lender("lender", loans=made, surveys=surveys)
    assert set(prepared()["satisfaction"].dropna()) == {place for place in range(60) if place % 3}


def test_what_comes_after_a_loan_counts_to_the_landmark_where_months_tell_how_loans_ended(workplace, capsys):
    months = loan_months().drop(columns=["amount", "calls_made"])
    made = pd.DataFrame({"loan_id": range(60), "amount": range(1000, 1060), "loan_date": "2019-12-10"})
    made["branch"] = [f"B{place % 12}" for place in range(60)]
    days = {"2020-01-05": "service", "2020-03-31": "offer", "2020-04-01": "service", "2020-02-01": "arrears"}
    contacts = pd.DataFrame([
        {"loan_id": loan, "date": day, "reason": why}
        for loan in range(30) for day, why in days.items() if loan % 12 > 1
    ])  # fmt: skip
    of_lender("lender", repayments=months, loans=made, contacts=contacts)
    assert "rows from loan_date to the landmark, by date" in capsys.readouterr().out
    found = prepared().set_index("loan_id")["communication_frequency"].rename(int).sort_index()
    # Contacts up to the end of month three that answer no arrears; branches without any keep no log.
    for loan in range(60):
        wanted = np.nan if loan % 12 < 2 else 2 if loan < 30 else 0
        np.testing.assert_equal(found[loan], wanted)
    choices.edit(places.choices("mine"), lambda section: section.update(landmark=None))
    assert main(["intake", "--study", "mine"]) == 1
    assert "say in which month under landmark" in capsys.readouterr().err


def test_documents_of_one_row_are_a_share_where_it_says_how_many_were_asked_for(workplace):
    made = pd.DataFrame({"loan_id": range(1, 61), "documents_requested": 4, "documents_provided": np.arange(60) % 5})
    own = of_lender("lender", loans=loans(60), documents=made)
    assert own["factors"]["information_sharing"] == "documents provided"
    assert params.load().study("mine").undated == []
    found = prepared().set_index("loan_id")["information_sharing"]
    np.testing.assert_allclose(found.loc[made["loan_id"].astype(str)], made["documents_provided"] / 4)


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        (
            lambda place: {"items_requested": 4, "items_shared": place % 5},
            lambda place: [place % 5 / 4, (place + 1) % 5 / 4],
        ),
        (lambda place: {"submitted": ["no", "yes"][place % 2]}, lambda place: [place % 2, (place + 1) % 2]),
    ],
)
def test_documents_of_several_rows_are_a_share_of_those_asked_for(workplace, capsys, columns, rule):
    documents = [{"loan_id": loan, "kind": kind, **columns(loan + kind)} for loan in range(1, 61) for kind in (0, 1)]
    own = of_lender("lender", loans=loans(60), documents=pd.DataFrame(documents))
    assert own["factors"]["information_sharing"] == "documents provided"
    assert "Nothing dates documents provided (information_sharing)" in capsys.readouterr().out
    found = prepared().assign(loan=lambda one: one["loan_id"].astype(int)).set_index("loan")["information_sharing"]
    for loan in range(1, 61):
        assert found[loan] == pytest.approx(np.mean(rule(loan)))


def test_rows_without_dates_count_once_the_reader_says_that_they_came_before(workplace, capsys):
    calls = pd.DataFrame({"loan_id": [*range(1, 61), *range(1, 31)], "agent": "A"})
    own = of_lender("lender", loans=loans(60), calls=calls)
    assert not own["tables"] and "say --before calls.csv if all of it did" in capsys.readouterr().out
    assert main(["init-study", "other", "--data", "lender", "--before", "calls.csv"]) == 0
    assert params.load().study("other").own["factors"]["communication_frequency"] == "calls"


def test_a_factor_that_nothing_dates_is_asked_about(workplace, capsys):
    set_up(loans(contacts=range(60)))
    assert "Nothing dates contacts (communication_frequency)" in capsys.readouterr().out
    assert params.load().study("mine").undated == ["communication_frequency"]


def test_contacts_of_one_row_a_client_are_counted(workplace):
    made = loans(client_id=range(60)).assign(loan_date="2018-06-01")
    contacts = pd.DataFrame({"client_id": range(30), "date": ["2018-05-01", "2018-07-01"] * 15})
    of_lender("lender", loans=made, contacts=contacts)
    assert prepared()["communication_frequency"].sum() == 15


def test_dates_of_another_table_that_may_be_read_either_way_are_asked(workplace, capsys):
    made = loans(client_id=range(60)).assign(loan_date="2018-06-01")
    Path("lender").mkdir()
    made.to_csv("lender/loans.csv", index=False)
    pd.DataFrame({"client_id": range(30), "date": "03/04/2018"}).to_csv("lender/contacts.csv", index=False)
    assert main(["init-study", "mine", "--data", "lender"]) == 1
    assert "contacts.csv, column date: day and month of '03/04/2018'" in capsys.readouterr().err


def test_a_table_of_which_no_row_came_before_the_loans_adds_nothing(workplace, capsys):
    made = loans().assign(date="2017-03-01")
    later = pd.DataFrame({"loan_id": [1, 1, 2], "paid_on": "2017-04-01", "paid": 10})
    assert not of_lender("lender", loans=made, instalments=later)["tables"]
    assert "instalments.csv: none of its rows came before date" in capsys.readouterr().out


def test_what_is_filled_after_the_outcome_is_not_joined(workplace, capsys):
    made = loans()
    of_lender("lender", loans=made, collections=made[["loan_id"]].assign(income=5))
    assert "collections.csv: its name tells that it is filled after the outcome" in capsys.readouterr().out


def test_days_past_due_by_month_are_an_outcome(workplace, capsys):
    months = loan_months()
    late = months.assign(days_past_due=np.where(months["status"] == "default", 95, 10))[
        ["loan_id", "month", "days_past_due"]
    ]
    Path("lender").mkdir()
    late.to_csv("lender/repayments.csv", index=False)
    pd.DataFrame({"loan_id": range(60), "amount": range(1000, 1060), "date": "2020-01-15"}).to_csv(
        "lender/loans.csv", index=False
    )
    assert main(["init-study", "mine", "--data", "lender"]) == 1
    assert "--default-at-least 90 (24 of 60 loans)" in capsys.readouterr().err
    assert main(["init-study", "mine", "--data", "lender", "--default-at-least", "90"]) == 0
    assert prepared()["default"].sum() == 24


@pytest.mark.parametrize(("horizon", "defaults"), [(6, 12), (7, 24)])
@pytest.mark.parametrize("several", [False, True])
def test_default_counts_within_the_horizon(workplace, horizon, defaults, several):
    months = loan_months()
    if several:
        of_lender(
            "lender", repayments=months.drop(columns="amount"), loans=months[["loan_id", "amount"]].drop_duplicates()
        )
    else:
        set_up(months)
    file = places.choices("mine")
    file.write_text(file.read_text().replace("horizon_months:", f"horizon_months: {horizon}"))
    assert prepared()["default"].sum() == defaults
    ends = store.read_parquet(places.processed("mine") / "more" / "loan_ends.parquet")
    assert ((ends["end"] == "default").sum(), ends["months"].max()) == (24, 12)


ROWS = {
    "loans": lambda n: [
        [f"L{n}", f"C{n % 40}", f"B{n % 12}", f"2019-{1 + n % 9:02d}-10", 1000 + n, 12, 9.5, "car", "AB"[n % 2],
         ["yes", "no"][n % 2], ["Charged Off" if n % 5 == 0 else "Paid off"][0]]
    ],
    "applications": lambda n: [[f"L{n}", 20000 + n, 0.3, 30 + n % 9, "F", 3, 10 + n % 24]],
    "contacts": lambda n: [[f"C{n % 40}", "2019-01-05", "call", "lender", "service", 30]],
    "documents": lambda n: [[f"L{n}", 8, n % 8]],
    "surveys": lambda n: [[f"C{n % 40}", "2018-12-01", 1 + n % 7]],
    "alerts": lambda n: [[f"C{n % 40}", "2018-11-01", "inflow", "2018-11-02"]] if n % 3 else [],
    "branches": lambda n: [[f"B{n}", f"R{n % 3}", f"2019-{1 + n % 9:02d}-01" if n % 3 else None]] if n < 12 else [],
    "earlier_loans": lambda n: [[f"C{n % 40}", "2017-01-01", 500]] if n % 4 else [],
}  # fmt: skip
"""Rows of a lender's tables for its n-th loan, in the order of the template's columns."""


@pytest.mark.parametrize(("language", "kind"), [("en", "tables"), ("zh", "tables"), ("zh", "workbook.xlsx")])
def test_a_template_that_was_filled_in_is_understood(workplace, capsys, language, kind):
    assert main(["init-study", "--template", "empty", "--language", language]) == 0
    files = sorted(Path("empty").iterdir())
    assert [file.suffix for file in files if file.is_file()].count(".csv") == 2 and Path("empty/workbook.xlsx").exists()
    assert len(openpyxl.load_workbook("empty/workbook.xlsx").sheetnames) == len(list(Path("empty/tables").iterdir()))
    tables = template.headings(language)
    book = openpyxl.load_workbook("empty/workbook.xlsx")
    for (name, columns), key in zip(tables.items(), template.headings("en"), strict=True):
        rows = [row for number in range(120) for row in ROWS.get(key, lambda n: [])(number)]
        pd.DataFrame(rows, columns=columns if rows else None).to_csv(
            f"empty/tables/{name}.csv", index=False
        ) if rows else 0
        for row in rows:
            book[name].append(row)
    book.save("empty/workbook.xlsx")
    capsys.readouterr()
    assert main(["init-study", "mine", "--data", f"empty/{kind}"]) == 0
    own = params.load().study("mine").own
    wanted = {
        "satisfaction", "communication_frequency", "information_sharing", "relationship_length", "relationship_depth",
        "early_warning",
    }  # fmt: skip
    assert {role for role, column in own["factors"].items() if column} == wanted
    assert all(own["columns"][role] for role in ("treated", "region", "credit_grade", "loan_type", "client_id"))
    found = prepared()
    assert (len(found), found["default"].sum()) == (120, 24)
    assert main(["init-study", "--template", "empty"]) == 1


def branches(number=240):
    """Loans of eight branches, of which six adopt a practice, each in a month of its own; and these months."""
    made = loans(number).assign(
        branch=[f"b{place % 8}" for place in range(number)],
        issue_date=[f"20{15 + place // 8 % 3}-{1 + place // 24 % 12:02d}-20" for place in range(number)],
        default=(np.arange(number) % 7 == 0).astype(int),
    )
    return made, {f"b{place}": f"2016-{place + 1:02d}-05" for place in range(6)} | {"b6": "", "b7": ""}


@pytest.mark.parametrize("several", [False, True])
def test_dates_of_adoption_tell_before_and_after(workplace, several):
    made, adopted = branches()
    if several:
        own = of_lender(
            "lender", loans=made, branches=pd.DataFrame({"branch": adopted.keys(), "adopted": adopted.values()})
        )
    else:
        own = set_up(made.assign(上线日期=made["branch"].map(adopted)))
    assert own["columns"]["adoption_date"] == ("adopted" if several else "上线日期")
    found = prepared().set_index("loan_id").loc[made["loan_id"].astype(str)]
    months, granted = made["branch"].map(adopted).str[:7], made["issue_date"].str[:7]
    assert (found["adopted"].to_numpy() == ((months != "") & (granted >= months))).all() and found["adopted"].any()
    assert (found["adoption_month"].astype("string").fillna("").to_numpy() == months).all()
    assert main(["effects", "--study", "mine"]) == 0
    assert "mine" in yaml.read(Path("params.yaml"))["studies"]["designed"]
    rows = results.read(places.results("mine", "effects"))
    level = rows.one(estimator="difference_in_levels", specification="institution_and_quarter_effects")
    quarter = pd.PeriodIndex(made["issue_date"], freq="Q").astype(str)
    plain = pd.DataFrame({"y": made["default"], "a": found["adopted"].to_numpy(), "b": made["branch"], "q": quarter})
    assert level.estimate == pytest.approx(100 * smf.ols("y ~ a + b + q", plain).fit().params["a"], rel=1e-6)


def test_a_date_of_adoption_that_differs_within_a_branch_is_refused(workplace, capsys):
    made, adopted = branches()
    wrong = made.assign(adopted=np.where(made["loan_id"] == 1, "2017-01-01", made["branch"].map(adopted)))
    assert set_up(wrong)["columns"]["adoption_date"] is None
    assert "adopted as adoption_date: it differs among the loans of one branch" in capsys.readouterr().out
    choices.edit(places.choices("mine"), lambda one: one["own"]["columns"].update(adoption_date="adopted"))
    assert main(["intake", "--study", "mine"]) == 0 and main(["prepare", "--study", "mine"]) == 1
    assert "b0 has several dates: give one for each institution_id" in capsys.readouterr().err


def test_dates_of_default_tell_which_loans_were_open_at_the_landmark(workplace, capsys):
    """Contacts after the loan count to the landmark; no month is on record, dates of default and of closing are."""
    made = loans(120).assign(date="2019-01-10")
    bad, early = made["default"] == 1, made["loan_id"] % 20 == 1
    made["date_of_default"] = np.where(bad, np.where(early, "2019-04-02", "2020-02-03"), "")
    made["closed_on"] = np.where(~bad, np.where(made["loan_id"] % 3 == 0, "2019-06-30", "2021-01-31"), "")
    made.loc[made["loan_id"] == 6, "date_of_default"] = ""
    each = made.loc[made.index.repeat(2)]
    contacts = pd.DataFrame({"loan_id": each["loan_id"], "date": ["2019-03-05", "2019-09-09"] * 120})
    own = of_lender("lender", loans=made, contacts=contacts)
    assert (own["columns"]["default_date"], own["columns"]["closing_date"]) == ("date_of_default", "closed_on")
    assert "contacts: counts up to the end of month 6 of a loan" in capsys.readouterr().out
    found = prepared().set_index("loan_id").loc[made["loan_id"].astype(str)]
    assert set(found["communication_frequency"]) == {1} and not {"default_date", "closing_date"} & set(found)
    late = bad & ~early & (made["loan_id"] != 6)
    np.testing.assert_array_equal(found["default_after_landmark"], late)
    np.testing.assert_array_equal(found["open_at_landmark"], late | (~bad & (made["loan_id"] % 3 != 0)))


def dated():
    """Loans in default early, in default late, repaid, open (some cancelled); and two kinds that were granted late."""
    made = loans(120).drop(columns="default")
    kind = np.arange(120) % 8
    made["date"] = np.where(np.isin(kind, [4, 5]), "2020-06-10", "2019-01-10")
    made["default_date"] = np.select([kind == 0, kind == 1, kind == 4], ["2020-01-31", "2020-02-01", "2020-08-01"], "")
    made["status"] = np.where(np.isin(kind, [0, 1, 4]), "Charged Off", np.where(kind == 3, "Current", "Paid off"))
    made.loc[[0, 3], ["default_date", "status"]] = [["", "Charged Off"], ["", "Cancelled"]]
    return made, kind


def test_dates_tell_which_defaults_came_within_the_horizon(workplace, capsys):
    """Later ones do not count, loans open after it do, and those granted too late for it leave."""
    made, kind = dated()
    assert set_up(made, "--horizon", "12")["columns"]["default_date"] == "default_date"
    assert "Within 12 months: 14 of 88 loans (15.9%); 30 granted too late to tell" in capsys.readouterr().out
    found = prepared().set_index("loan_id")["default"]
    known = ~np.isin(kind, [4, 5]) & ~np.isin(made.index, [0, 3])
    expected = pd.Series(kind[known] == 0, made["loan_id"][known].astype(str))
    pd.testing.assert_series_equal(found.sort_index() == 1, expected.sort_index(), check_names=False)
    flow = store.read_parquet(places.processed("mine") / "flow.parquet").set_index("reason")
    assert flow.loc[["left_out", "undated", "too_young"], "loans"].tolist() == [1, 1, 30]
    assert flow.loc[["read", "too_young"], "remaining_defaults"].tolist() == [30, 14]


def test_without_a_horizon_dates_of_default_change_nothing(workplace, capsys):
    made, _ = dated()
    assert set_up(made)["columns"]["default_date"] == "default_date"
    assert "With --horizon 12 default counts within 12 months: 14 of 88 loans" in capsys.readouterr().out
    found = prepared()
    assert "default_date" not in found and (len(found), found["default"].sum()) == (105, 45)


def test_a_horizon_without_dates_is_refused(workplace, capsys):
    assert "nothing dates default" in asked(capsys, loans(), "--horizon", "12")


@pytest.mark.parametrize("several", [False, True])
def test_months_tell_which_loans_are_too_young_for_the_horizon(workplace, several):
    made = loan_months()
    late = made[made["month"] > "2020-07"].assign(loan_id=made["loan_id"] + 1000)
    made = pd.concat([made.drop(columns="calls_made"), late.drop(columns="calls_made")])
    if several:
        of_lender("lender", repayments=made.drop(columns="amount"), loans=made[["loan_id", "amount"]].drop_duplicates())
    else:
        set_up(made)
    choices.edit(places.choices("mine"), lambda one: one.update(horizon_months=7))
    assert (len(prepared()), prepared()["default"].sum()) == (60, 24)
    flow = store.read_parquet(places.processed("mine") / "flow.parquet").set_index("reason")
    assert flow.loc["too_young", "loans"] == late["loan_id"].nunique() == 36


@pytest.mark.parametrize(("language", "young", "open_", "nothing"), [
    ("en", "within 7 months of origination; 36 loans were", "Loans whose records end", "nothing dates it"),
    ("zh", "只计发放后7个月之内的违约；另有36笔", "直到记录中断或截止都没有违约的贷款计为未违约", "文件没有违约的日期"),
])  # fmt: skip
def test_the_first_page_says_when_default_counts(language, young, open_, nothing):
    text = next(one for one in Words(language, "mine", "own").text("reading") if "too_young" in one)
    months = {"columns": {}, "tables": [{"take": "state"}]}
    for own, horizon, rule, said in (
        (months, 7, True, young), (months, None, False, open_), ({"columns": {}}, None, False, nothing),
    ):  # fmt: skip
        page = filled(
            text,
            own=own,
            horizon=horizon,
            landmark=None,
            rule=lambda _, rule=rule: rule,
            flow=lambda *_: 36,
            counted=str,
        )
        assert said in page


def test_dates_of_birth_and_of_joining_become_years(workplace):
    made = loans(60).assign(loan_date="2018-07-01", date_of_birth="1980-07-01", customer_since="2014-01-01")
    found = cohort(made)
    np.testing.assert_allclose(found["age"], 38, atol=0.01)
    np.testing.assert_allclose(found["relationship_length"], 4.5, atol=0.01)


def test_dates_of_birth_without_a_date_of_the_loan_are_refused(workplace, capsys):
    set_up(loans(birthdate=["1980-07-01", "1990-02-02"]))
    assert "birthdate as age: dates, and no date of origination" in capsys.readouterr().out


def test_a_mapped_column_that_nothing_uses_is_named(workplace, capsys):
    set_up(loans(client_id=range(60), branch=range(12), income=range(60)))
    assert "Nothing uses client_id (client_id)" in capsys.readouterr().out
    file = places.choices("mine")
    file.write_text(file.read_text().replace("  borrower:\n  market:\n  time:", "  borrower: []\n  market:\n  time:"))
    file.write_text(file.read_text().replace("  score:\n", "  score: [log(amount)]\n"))
    assert main(["intake", "--study", "mine"]) == 0
    assert "nothing uses client_id (client_id), income (income)" in capsys.readouterr().out


def test_of_very_many_columns_those_of_a_role_are_found(workplace):
    wide = {f"var_{place}": [place, "a"] if place % 2 else [0, 1] for place in range(210)}
    made = pd.DataFrame({"loan_id": range(1100), "VAR_X": "", **{name: values * 550 for name, values in wide.items()}})
    made = made.assign(annual_income=range(1100), loan_status=["Paid", "Paid", "Paid", "Default"] * 275)
    own = set_up(made)
    assert (own["columns"]["loan_id"], own["borrower"]["income"]) == ("loan_id", "annual_income")
    described = pd.read_csv("data/dictionaries/mine.csv").set_index("column")
    assert len(described) == 214 and described.loc["var_0", "values"] == "0 (500); 1 (500)"
    assert described.loc["VAR_X", "holds"] == "empty"
