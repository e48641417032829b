"""What speaks against a role that a name gives: repeated numbers of loans, cells that tell the outcome, empty cells."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.core import params
from pipeline.present.words import Words
from pipeline.runtime import places
from pipeline.studies.own import doubts
from tests.choices import copied
from tests.own_loans import loans


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    copied(tmp_path, "lendingclub")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table():
    made = loans(600)
    return pd.DataFrame(
        {
            "Loan ID": "L-" + made["id"].astype(str),
            "Credit Grade": made["grade"],
            "Loan Amount": made["amount"],
            "Programme": made["treated"].map({1: "yes", 0: "no"}),
            "Status": made["default"].map({1: "Default", 0: "Fully paid"}),
        }
    )


def init(made, *options):
    made.to_csv("loans.csv", index=False)
    return main(["init-study", "mine", "--data", "loans.csv", *options])


def roles_of():
    own = params.load().study("mine").own
    return {role: name for role, name in {**own["columns"], **own["borrower"]}.items() if name}


@pytest.mark.parametrize("name", ("Bonität", "Credit Rating", "Grade", "信用等级"))
def test_many_numbers_are_a_score_whatever_they_are_called(workplace, capsys, name):
    made = table().drop(columns="Credit Grade").assign(**{name: np.arange(300, 900)})
    assert init(made) == 0
    assert "its name and its many numbers" in capsys.readouterr().out
    assert roles_of()["credit_score"] == name and "credit_grade" not in roles_of()


def test_few_numbers_called_grades_are_grades(workplace):
    assert init(table().assign(**{"Credit Grade": np.arange(600) % 9 + 1})) == 0
    assert roles_of()["credit_grade"] == "Credit Grade" and "credit_score" not in roles_of()


def test_few_words_called_a_score_are_grades(workplace, capsys):
    assert init(table().rename(columns={"Credit Grade": "Score"})) == 0
    assert "its name and its few words" in capsys.readouterr().out
    assert roles_of()["credit_grade"] == "Score"


def test_a_score_beside_grades_stays_one(workplace):
    assert init(table().assign(Score=np.arange(600))) == 0
    assert (roles_of()["credit_grade"], roles_of()["credit_score"]) == ("Credit Grade", "Score")


@pytest.mark.parametrize("more", (1, 60, 200))
def test_numbers_of_loans_that_stand_in_rows_that_differ_are_asked_about(workplace, capsys, more):
    made = table()
    made.loc[10 : 9 + more, "Loan ID"] = made["Loan ID"].iloc[300 : 300 + more].to_numpy()
    made.loc[[10, 300], "Loan ID"] = "L-7"
    assert init(made) == 1
    said = capsys.readouterr().err
    assert "column Loan ID: 'L-7' is the number of loans 11 and 301, counted from the first, which differ" in said
    assert (
        f"{2 * more} of 600 rows" in said
        and "--role 'client_id=Loan ID'" in said
        and not places.choices("mine").exists()
    )
    assert init(made, "--role", "client_id=Loan ID") == 0
    assert roles_of()["client_id"] == "Loan ID"


def test_rows_that_are_copies_are_not_asked_about(workplace):
    assert init(pd.concat([table(), table().head(3)])) == 0
    assert roles_of()["loan_id"] == "Loan ID"


def test_numbers_that_many_rows_share_are_no_numbers_of_loans(workplace):
    made = table()
    assert init(made.assign(**{"Loan ID": np.arange(600) // 3})) == 0
    assert "loan_id" not in roles_of()


@pytest.mark.parametrize("wrong", (0, 2))
def test_grades_and_numbers_that_tell_default_are_refused_unless_told(workplace, capsys, wrong):
    made = table()
    bad = (made["Status"] == "Default").to_numpy()
    told = bad.copy()
    told[np.flatnonzero(bad)[:wrong]] = False
    made["Credit Grade"] = np.where(told, "E", "A")
    made["Credit Score"] = np.where(bad, 300, 700) + np.arange(600) % 97
    assert init(made) == 0
    said = capsys.readouterr().out
    assert "Credit Score as credit_score: its cells tell" in said and "--role 'credit_score=Credit Score'" in said
    # Two of sixty-four are more than one in a hundred.
    assert ("Credit Grade as credit_grade: its cells tell" in said) == (wrong == 0)
    assert ("credit_grade" in roles_of()) == (wrong > 0) and "credit_score" not in roles_of()


def test_what_tells_default_is_taken_where_the_reader_says_it_was_known(workplace):
    made = table()
    made["Credit Grade"] = np.where(made["Status"] == "Default", "E", "A")
    assert init(made, "--role", "credit_grade=Credit Grade") == 0
    assert roles_of()["credit_grade"] == "Credit Grade"


def test_the_loans_on_the_wrong_side_are_those_of_the_best_cut(monkeypatch):
    # So many that the best cut is nearly always told.
    monkeypatch.setattr(doubts, "ERRORS", 0.5)
    draw, told = np.random.default_rng(3), set()
    for _ in range(20):
        bad = draw.random(200) < 0.3
        values = np.where(bad, 1.0, 0.0) * draw.choice([-1, 1]) + draw.normal(0, 0.25, 200)
        best = min(
            min(int(((values <= cut) != bad).sum()), int(((values > cut) != bad).sum()))
            for cut in [*values, values.min() - 1]
        )
        said = doubts._by_cells(pd.Series(values).astype(str), pd.Series(bad.astype(float)), ".")
        assert bool(said) == (best <= doubts.ERRORS * min(bad.sum(), (~bad).sum()))
        assert not said or (f"all but {best} of them" in said if best else ", all of them" in said)
        told.add(best)
    assert len(told) > 3


@pytest.mark.parametrize("mark", ("Y", "1"))
def test_empty_cells_beside_one_value_are_asked_about_and_read_as_told(workplace, capsys, mark):
    made = table()
    made["Defaulted"] = made.pop("Status").map({"Default": mark, "Fully paid": None})
    assert init(made) == 1
    said = capsys.readouterr().err
    assert f"'{mark}' stands in 64 rows, and 536 are empty: say --default-when {mark} --repaid-when ''" in said
    assert init(made, "--default-when", mark, "--repaid-when", "") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(empty) repaid 536 as told" in said and "64 of 600 loans in default (10.7%); 0 left out" in said
    assert main(["intake", "--study", "mine"]) == main(["prepare", "--study", "mine"]) == 0
    cohort = pd.read_parquet(places.processed("mine") / "cohort.parquet")
    assert len(cohort) == 600 and cohort["default"].sum() == 64


def test_options_are_shown_as_they_are_typed(workplace, capsys):
    made = table()
    made["Status"] = np.where(
        np.arange(600) < 200, "Fully paid", np.where(np.arange(600) % 2, "Default", "Charged off")
    )
    assert init(made) == 1
    assert (
        "--default-when 'Charged off' Default --repaid-when 'Fully paid' that this is right" in capsys.readouterr().err
    )


@pytest.mark.parametrize(("day", "rows"), [("1900-01-01", 1), ("2099-12-31", 40), ("1970-01-01", 3)])
def test_a_day_far_from_all_others_stands_for_no_date(workplace, capsys, day, rows):
    days = (pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(600), unit="D")).strftime("%Y-%m-%d").to_numpy(str)
    made = table().assign(**{"Issue Date": np.where(np.arange(600) < rows, day, days)})
    assert init(made) == 0
    assert f"Issue Date: {day} ({rows} rows) lies far from all other dates" in capsys.readouterr().out
    assert main(["intake", "--study", "mine"]) == main(["prepare", "--study", "mine"]) == 0
    cohort = pd.read_parquet(places.processed("mine") / "cohort.parquet")
    assert cohort["origination_date"].isna().sum() == rows


def test_a_date_of_default_that_says_never_is_no_default(workplace, capsys):
    made = table()
    bad = made.pop("Status") == "Default"
    made["Default Date"] = np.where(bad, "2016-05-01", "2099-12-31")
    made["Issue Date"] = "2015-01-01"
    assert init(made, "--default", "Default Date") == 0
    assert "64 of 600 loans in default (10.7%)" in capsys.readouterr().out
    assert main(["intake", "--study", "mine"]) == main(["prepare", "--study", "mine"]) == 0
    assert pd.read_parquet(places.processed("mine") / "cohort.parquet")["default"].sum() == 64


def test_a_damaged_byte_is_named_and_changes_no_encoding(workplace, capsys):
    made = table().assign(Purpose=["Möbel", "Küche", "Auto"] * 200)
    text = made.to_csv(index=False).encode()
    lines = text.split(b"\n")
    lines[41] = lines[41].replace("ü".encode(), b"\xc3")
    Path("loans.csv").write_bytes(b"\n".join(lines))
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 1
    said = capsys.readouterr().err
    assert "loans.csv, line 42: " in said and "K\ufffdche' is damaged" in said and said.count("\n") == 1
    Path("loans.csv").write_bytes(made.to_csv(index=False).encode("cp1252"))
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
    assert params.load().study("mine").own["encoding"] == "cp1252"


@pytest.mark.parametrize(
    ("language", "income", "logarithm"), [("en", "Income", "Income (log)"), ("zh", "收入", "收入（对数）")]
)
def test_the_income_of_a_readers_file_is_not_called_annual(language, income, logarithm):
    words = Words(language, "mine", "own")
    assert words.known("columns", "income") == income and words.known("columns", "log(income)") == logarithm
