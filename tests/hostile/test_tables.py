"""Tables that people could hand in: text, and the cells of loans to score or to take in."""

import codecs
import gzip
import shutil

import pandas as pd
import pytest

from pipeline.__main__ import main
from tests.hostile.place import STUDY, loans, refused, table, text, with_cell, with_column, write

SET_UP = ("init-study", "theirs", "--data")
NAMES = ",".join(loans(1).columns)


def line(number, old, new):
    """Return the table with a part of one line replaced; the names are line 1."""
    lines = text().split("\n")
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    return "\n".join(lines)


def without_names():
    return text().split("\n", 1)[1]


AS_A_FILE = {
    "nothing": ("", "is empty"),
    "only_a_mark": (codecs.BOM_UTF8, "no line of column names"),
    "only_blanks": ("   \n \n", "no line of column names"),
    "only_line_ends": ("\r\n" * 40, "no line of column names"),
    "only_separators": (",,,\n" * 10, "no line of column names"),
    "names_and_no_row": (f"{NAMES}\n", "holds column names and no row"),
    "names_without_a_line_end": (NAMES, "holds column names and no row"),
    "a_row_shorter_than_the_names": (f"{NAMES}\n1,2\n", ("line 2", "2 cells under")),
    "a_row_longer_than_the_names": (f"{NAMES}\n{'1,' * 40}\n", ("line 2", "41 cells under")),
    "utf_16_without_its_mark": (text().encode("utf-16-le"), "zero bytes"),
    "utf_16_of_the_other_order": (text().encode("utf-16-be"), "zero bytes"),
    "a_zero_byte_in_a_cell": (line(9, ",", "\0,"), "zero bytes"),
    "a_zip": (b"PK\x03\x04" + bytes(range(200)), "a zip or Excel file under the name of a text file"),
    "a_gzip": (gzip.compress(text().encode()), "a gzip file"),
    "an_old_workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512, "an old or password-protected Office file"),
    "a_pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
    "a_parquet_file": (b"PAR1" + b"\0" * 30, "a parquet file"),
    "a_picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(99)), "a picture"),
    "a_stata_file": (b"<stata_dta><header>", "a Stata file"),
    "an_r_file": (b"RDX3\nX\n", "an R data file"),
    "a_page": ("<html><body><table><tr><td>1</td></tr></table></body></html>\n", "bad.csv"),
    "json": ('{"loans": [1, 2, 3]}\n', "bad.csv"),
    "yaml": ("loans:\n- amount: 3\n  default: 1\n", ("bad.csv", "no column was recognised as the outcome")),
    "no_names": (without_names(), ("bad.csv", "no column was recognised as the outcome")),
    "a_quotation_mark_that_stays_open": (line(7, ",", ',"'), ("bad.csv", "a quotation mark")),
    "an_open_mark_in_the_last_column": (text()[:-2] + '"1\n' + text().split("\n", 1)[1], "a quotation mark"),
    "an_open_mark_in_the_last_line": (text() + '"900,2019-01-01', ("bad.csv", "a quotation mark")),
    "an_open_mark_among_the_names": ('"' + text(), "bad.csv"),
    "two_outcomes_of_one_name": (f"{NAMES},default\n" + "".join(
        f"{row},0\n" for row in text().split("\n")[1:] if row), "several columns 'default'"),
    "two_amounts": (f"{NAMES},amount\n" + "".join(f"{row},0\n" for row in text().split("\n")[1:] if row),
                    "several columns 'amount'"),
    "names_alike_but_for_blanks": (f"{NAMES},  amount \n" + "".join(
        f"{row},0\n" for row in text().split("\n")[1:] if row), "several columns 'amount'"),
    "no_outcome": (text(loans().drop(columns="default")), "no column was recognised as the outcome"),
    "a_line_of_many_million_bytes": (f"{NAMES},remark\n{'1,' * 11}1,{'9' * 18_000_000}\n{'1,' * 11}1,x\n",
                                     "a line of more than"),
    "names_of_two_million_characters": ("x" * 2_000_000 + "," + text(), "bad.csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_A_FILE)
def test_a_file_that_is_no_table(place, capsys, name):
    content, needles = AS_A_FILE[name]
    write(place / "bad.csv", content)
    said = refused(capsys, place, [*SET_UP, "bad.csv"], needles)
    assert "bad.csv" in said


ONE_KIND = {"no_defaults": "0", "defaults_only": "1", "empty": "", "marks_of_missing": "n/a", "one_word": "closed"}


@pytest.mark.parametrize("name", ONE_KIND)
def test_an_outcome_of_one_kind(place, capsys, name):
    write(place / "bad.csv", text(with_column("default", ONE_KIND[name])))
    needles = ("bad.csv", "column default", "all cells are the same")
    refused(capsys, place, [*SET_UP, "bad.csv", "--default", "default"], needles)


ENDINGS = {
    "xls": "save it as .xlsx", "ods": "no kind of file", "json": "cannot be read as json", "csv.gz": "unpack it",
    "pickle": "no kind of file", "sav": "cannot be read as SPSS", "": "no kind of file",
    "sas7bdat": "cannot be read as SAS", "rds": "is not a complete R data file",
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_kind_of_file_that_is_not_read(place, capsys, ending):
    name = f"loans.{ending}" if ending else "loans"
    write(place / name, text())
    refused(capsys, place, [*SET_UP, name], (name, ENDINGS[ending]))


PATHS = {
    "absent": ("nowhere.csv", ("nowhere.csv does not exist", "the folder holds loans.csv")),
    "absent_folder": ("no/where.csv", "no/where.csv does not exist"),
    "a_folder": ("data", "data holds no table"),
    "a_device": ("/dev/zero", "/dev/zero is a pipe, socket or device, not a file"),
    "nothing": ("", "is a folder: give the name of a file in it (the folder holds loans.csv)"),
    "too_long": ("a" * 300 + ".csv", "too long"),
    "a_zero_byte": ("a\0.csv", "does not exist"),
    "an_unknown_user": ("~nobody_here/loans.csv", "~nobody_here/loans.csv"),
    "an_address": ("https://user:secret@example.org/loans.csv", "***@example.org"),
    "letters_that_steer_a_terminal": ("\x1b[31mred.csv", r"\x1b[31mred.csv"),
    "letters_that_turn_writing": ("a\u202evsc.exe", r"\u202e"),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_leads_nowhere(place, capsys, name):
    path, needles = PATHS[name]
    said = refused(capsys, place, [*SET_UP, path], needles)
    assert "secret" not in said


STUDY_NAMES = {
    "a_way_out": "../theirs", "a_root": "/theirs", "capitals": "Theirs", "a_blank": "their loans",
    "a_hyphen": "their-loans",
    "a_digit_first": "1theirs", "nothing": "", "a_line_end": "theirs\n", "a_homoglyph": "thеirs",
    "a_formula": "=theirs",
    "markup": "<b>", "a_template": "{{theirs}}", "yaml": "theirs: x",
}  # fmt: skip


@pytest.mark.parametrize("name", STUDY_NAMES)
def test_a_name_that_no_study_can_have(place, capsys, name):
    refused(capsys, place, ["init-study", STUDY_NAMES[name], "--data", "loans.csv"], "cannot be a study's name")


@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["init-study", STUDY, "--data", "loans.csv"], ("mine", "already")),
        (["init-study", "own", "--data", "loans.csv"], ("own", "already")),
        (["init-study", "theirs"], "--data"),
        (["init-study", "--data", "loans.csv"], "NAME"),
        ([*SET_UP, "loans.csv", "--default", "defualt"], ("'defualt'", "--default")),
        ([*SET_UP, "loans.csv", "--treated", "crm"], ("'crm'", "--treated")),
        ([*SET_UP, "loans.csv", "--default", "amount"], ("column amount", "different values")),
        ([*SET_UP, "loans.csv", "--colour"], "--colour"),
        (["score", "--study", STUDY], "--data"),
        (["score", "--data", "loans.csv"], "--study"),
        (["score", "--study", STUDY, "--data", "loans.csv", "--model", "forest"], "--model"),
        (["score", "--study", "mien", "--data", "loans.csv"], ("'mien'", "did you mean 'mine'?")),
        (["score", "--study", "../mine", "--data", "loans.csv"], "'../mine'"),
        (["score", "--study", "berka", "--data", "loans.csv"], ("berka/model.json", "does not exist")),
        (["score", "--study", STUDY, "--data", "loans.csv", "--out", "loans.csv", "--force"], "the file of the loans"),
        (["score", "--study", STUDY, "--data", "loans.csv", "--out", "./data/../loans.csv"], "the file of the loans"),
        (["score", "--study", STUDY, "--data", "loans.csv", "--out", "dvc.yaml"], ("dvc.yaml", ".csv")),
        (["score", "--study", STUDY, "--data", "loans.csv", "--out", "data/dictionaries/mine.csv"], "already"),
        (["score", "--study", STUDY, "--data", "loans.csv", "--out", "~nobody_here/a.csv"], "~nobody_here/a.csv"),
        (["score", "--study", STUDY, "--data", "loans.csv", "--out", "loans.csv/a.csv"], "loans.csv/a.csv"),
        (["explain", "E99"], "verdicts.csv"),
        (["explain", "regress / x", "--study", "mien"], "mien"),
        (["explain", "regress / x"], "--study"),
        (["explain"], "CLAIM"),
        (["match", "--study", "mien"], ("'mien'", "did you mean 'mine'?")),
        (["mtach", "--study", STUDY], "mtach"),
        (["match"], "--study"),
        (["evidence", "--study", STUDY], "--study"),
        (["simulate", "--study", "../../etc"], "../../etc"),
        (["match", "--study", STUDY, "--worker", "3"], "--worker"),
        ([], "STAGE"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_line_that_cannot_be_meant(place, capsys, arguments, needles):
    refused(capsys, place, arguments, needles)


NUMBERS = {
    "a_word": "many", "the_letter_o": "1O0", "two_points": "1.2.3", "two_signs": "--5", "a_sum": "1+1",
    "infinity": "inf", "infinity_in_words": "Infinity", "less_than_infinity": "-inf", "too_large": "1e999",
    "hexadecimal": "0x10", "an_underscore": "1_000", "a_range": "5-10", "a_fraction": "1/2", "a_date": "2019-01-01",
    "a_power": "10²", "a_circled_digit": "①", "a_zero_width_space": "1\u200b000", "a_formula": "=1+1",
    "a_link_in_a_formula": '=HYPERLINK("http://x","5")', "a_command_in_a_formula": "=cmd|' /C calc'!A1",
    "a_script": "<script>alert(1)</script>", "a_template": "{{ 7*7 }}", "an_error_of_a_sheet": "#REF!",
    "apples": "5 apples", "a_bracket": "(5", "true": "yes", "very_long": "9" * 5000, "longer": "x" * 200_000,
    "a_line_end": "1\n2", "steers_a_terminal": "\x1b[2J", "a_surrogate_pair": "💶5", "groups_that_are_none": "1,2,3",
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_a_cell_that_is_no_number(place, capsys, name):
    write(place / "new.csv", text(with_cell("amount", NUMBERS[name])))
    score = ["score", "--study", STUDY, "--data", "new.csv", "--model", "logistic"]
    refused(capsys, place, score, ("new.csv, column amount, row 5", "is no number (1 in all)"))


ROWS = {
    "no_amount": (with_cell("amount", ""), ("column amount, row 5 is empty", "(1 in all)")),
    "blanks_for_an_amount": (with_cell("amount", "  "), "column amount, row 5 is empty"),
    "a_word_for_missing": (with_cell("income", "n/a"), "column income, row 5 is empty"),
    "all_incomes_missing": (with_column("income", ""), "column income, row 2 is empty (60 in all)"),
    "an_amount_of_zero": (with_cell("amount", "0"), ("column amount, row 5", "must be above zero")),
    "an_amount_below_zero": (with_cell("amount", "-400"), ("column amount, row 5", "must be above zero")),
    "an_amount_in_brackets": (with_cell("amount", "(400)"), ("column amount, row 5", "must be above zero")),
    "dates_for_ages": (with_column("age", "2019-01-01"), ("column age, row 2", "(60 in all)")),
    "words_for_terms": (with_column("term", "long"), ("column term, row 2", "'long'")),
    "an_unknown_grade": (with_cell("grade", "Z"), ("column grade, row 5", "'Z' is unknown", "A, B, C")),
    "a_grade_in_small_letters": (with_cell("grade", "a"), ("column grade, row 5", "'a' is unknown")),
    "a_grade_in_cyrillic": (with_cell("grade", "А"), ("column grade, row 5", "is unknown")),
    "a_grade_with_a_letter_of_no_width": (with_cell("grade", "A\u200d"), ("column grade, row 5", r"\u200d")),
    "a_grade_that_is_a_formula": (with_cell("grade", "=A1"), ("column grade, row 5", "'=A1' is unknown")),
    "a_grade_that_is_a_script": (with_cell("grade", "<script>"), ("column grade, row 5", "is unknown")),
    "a_grade_as_long_as_a_book": (with_cell("grade", "A" * 100_000), ("column grade, row 5", "is unknown")),
    "a_number_for_a_grade": (with_cell("grade", "1"), ("column grade, row 5", "'1' is unknown")),
    "no_grade": (with_cell("grade", ""), ("column grade, row 5 is empty", "give one of")),
    "grades_and_purposes_swapped": (loans().rename(columns={"grade": "purpose", "purpose": "grade"}), "column grade"),
    "a_column_missing": (loans().drop(columns="income"), ("no column 'income'", "it has loan_id")),
    "three_columns_missing": (loans()[["grade", "amount"]], ("'income'", "'age'", "'term'")),
    "a_name_misspelt": (loans().rename(columns={"income": "incone"}), "no column 'income'"),
    "a_name_in_capitals": (loans().rename(columns={"income": "INCOME"}), "no column 'income'"),
    "a_name_in_cyrillic": (loans().rename(columns={"age": "аge"}), "no column 'age'"),
    "a_name_with_a_letter_of_no_width": (loans().rename(columns={"age": "age\u200b"}), "no column 'age'"),
    "no_name_at_all": (loans().rename(columns={"age": ""}), "no column 'age'"),
    "no_loans": (loans().head(0), "no row"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_loans_that_cannot_be_scored(place, capsys, name):
    frame, needles = ROWS[name]
    write(place / "new.csv", text(frame))
    said = refused(capsys, place, ["score", "--study", STUDY, "--data", "new.csv", "--model", "logistic"], needles)
    assert "new.csv" in said


def test_a_column_that_stands_there_twice_is_not_guessed(place, capsys):
    frame = loans().assign(again="5").rename(columns={"again": "amount"})
    write(place / "new.csv", text(frame))
    score = ["score", "--study", STUDY, "--data", "new.csv", "--model", "logistic"]
    refused(capsys, place, score, "several columns 'amount'")


def test_a_line_of_another_length_is_not_left_out(place, capsys):
    lines = text().split("\n")
    write(place / "new.csv", "\n".join([*lines[:6], lines[6].rsplit(",", 2)[0], *lines[7:]]))
    refused(capsys, place, ["score", "--study", STUDY, "--data", "new.csv"], ("new.csv", "row 7", "cells under"))


TAKEN_IN = {
    "an_outcome_that_says_nothing": (with_cell("default", "perhaps"), ("column default, row 5", "'perhaps'",
                                                                       "under own in")),
    "an_outcome_of_two": (with_cell("default", "2"), ("column default, row 5", "'2'")),
    "an_outcome_that_is_a_formula": (with_cell("default", "=0"), ("column default, row 5", "'=0'")),
    "no_defaults": (with_column("default", "0"), ("column default", "no loan defaulted among 60")),
    "defaults_only": (with_column("default", "1"), ("column default", "no loan was repaid among 60")),
    "no_outcome": (with_column("default", ""), ("column default", "among 0 loans")),
    "an_arm_in_words": (with_cell("crm_programme", "sometimes"), ("column crm_programme, row 5", "'sometimes'")),
    "an_arm_of_two": (with_cell("crm_programme", "2"), ("column crm_programme, row 5", "'2'")),
    "words_for_all_amounts": (with_column("amount", "much"), ("column amount", "row 2", "'much'", "no numbers")),
    "words_for_all_dates": (with_column("issue_date", "soon"), ("column issue_date", "'soon'", "no dates")),
    "months_that_do_not_exist": (with_column("issue_date", "2019-13-40"), ("column issue_date", "no dates")),
    "infinite_amounts": (with_column("amount", "inf"), ("column amount", "'inf'", "no numbers")),
    "words_for_contacts": (with_column("contacts", "by telephone, mostly"), ("column contacts", "no numbers")),
    "a_column_gone": (loans().drop(columns="income"), ("loans.csv", "no column 'income'")),
    "a_column_renamed": (loans().rename(columns={"default": "defaulted"}), ("'default'", "did you mean 'defaulted'?")),
    "an_amount_twice": (loans().assign(again="5").rename(columns={"again": "amount"}), "several columns 'amount'"),
    "all_rows_gone": (loans().head(0), ("loans.csv", "no row")),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_IN)
def test_a_file_that_changed_since_its_study_was_set_up(place, capsys, name):
    frame, needles = TAKEN_IN[name]
    write(place / "loans.csv", text(frame))
    said = refused(capsys, place, ["intake", "--study", STUDY], needles)
    assert "loans.csv" in said


PREPARED = {
    "a_number_twice": (with_cell("loan_id", loans()["loan_id"][0]), ("column loan_id", "rows 2 and 5")),
    "a_loan_without_a_number": (with_cell("loan_id", ""), ("row 5", "column loan_id is empty")),
    "amounts_of_nothing": (with_column("amount", "0"), ("amount must be above zero", "0 in row 2")),
    "an_amount_in_words": (with_cell("amount", "much"), ("amount cannot be read", "'much' is no number")),
    "an_infinite_income": (with_cell("income", "inf"), ("income cannot be read", "'inf' is no number")),
    "a_rate_of_a_million": (with_cell("interest_rate", "1000000"), ("interest_rate must lie in 0 to 1000 %", "row 5")),
    "a_rate_below_zero": (with_cell("interest_rate", "-3"), "interest_rate must lie in 0 to 1000 %"),
    "a_term_of_nothing": (with_cell("term", "0"), ("term must be above zero", "row 5")),
    "a_date_that_does_not_exist": (with_cell("issue_date", "2019-02-30"), ("issue_date cannot be read", "2019-02-30")),
    "a_date_before_there_were_banks": (with_cell("issue_date", "0019-02-03"), ("issue_date", "row 5")),
    "a_date_after_us_all": (with_cell("issue_date", "9998-12-31"), ("issue_date", "row 5")),
    "a_date_that_is_a_formula": (with_cell("issue_date", "=TODAY()"), "issue_date cannot be read"),
    "an_age_that_is_a_script": (with_cell("age", "<script>alert(1)</script>"), "age cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", PREPARED)
def test_loans_that_break_a_rule_of_the_data(place, capsys, name):
    frame, needles = PREPARED[name]
    write(place / "loans.csv", text(frame))
    assert main(["intake", "--study", STUDY]) == 0
    said = refused(capsys, place, ["prepare", "--study", STUDY], needles)
    assert "loans.csv" in said


def scored(place, content):
    write(place / "new.csv", content)
    assert main(["score", "--study", STUDY, "--data", "new.csv", "--model", "logistic"]) == 0
    found = pd.read_csv(place / "new_scored.csv", dtype=str)
    (place / "new_scored.csv").unlink()
    return found


SAME = {
    "a_mark": lambda plain: codecs.BOM_UTF8 + plain.encode(),
    "windows_line_ends": lambda plain: plain.replace("\n", "\r\n"),
    "old_line_ends": lambda plain: plain.replace("\n", "\r"),
    "mixed_line_ends": lambda plain: plain.replace("\n", "\r\n", 20),
    "no_last_line_end": lambda plain: plain.rstrip("\n"),
    "blank_lines_at_the_end": lambda plain: plain + "\n\n\n",
    "a_blank_line_first": lambda plain: "\n" + plain,
    "semicolons": lambda plain: plain.replace(",", ";"),
    "tabs": lambda plain: plain.replace(",", "\t"),
    "bars": lambda plain: plain.replace(",", "|"),
    "utf_16": lambda plain: plain.encode("utf-16"),
    "utf_32": lambda plain: plain.encode("utf-32"),
    "all_quoted": lambda plain: table(plain).to_csv(index=False, quoting=1),
    "blanks_around_cells": lambda plain: table(plain).map("  {} ".format).to_csv(index=False),
    "blanks_around_names": lambda plain: table(plain).rename(columns="  {} ".format).to_csv(index=False),
    "columns_in_another_order": lambda plain: table(plain).iloc[:, ::-1].to_csv(index=False),
    "a_column_more": lambda plain: table(plain).assign(remark="<b>=1+1</b>").to_csv(index=False),
    "a_column_without_a_name": lambda plain: table(plain).assign(**{"": "x"}).to_csv(index=False),
    "a_remark_as_long_as_a_book": lambda plain: table(plain).assign(remark="x" * 150_000).to_csv(index=False),
    "remarks_of_several_lines": lambda plain: table(plain).assign(remark='"a"\nb, c; d').to_csv(index=False),
    "full_width_digits": lambda plain: table(plain).assign(
        age=lambda frame: frame["age"].str.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    ).to_csv(index=False),
    "currency_signs": lambda plain: table(plain).assign(
        amount=lambda frame: "$ " + frame["amount"]
    ).to_csv(index=False),
    "units": lambda plain: table(plain).assign(term=lambda frame: frame["term"] + " months").to_csv(index=False),
}  # fmt: skip


@pytest.fixture(scope="module")
def as_usual(furnished, tmp_path_factory):
    """The plain table, scored."""
    folder = tmp_path_factory.mktemp("usual") / "work"
    shutil.copytree(furnished, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return scored(folder, text())


@pytest.mark.parametrize("name", SAME)
def test_what_a_table_may_look_like_changes_nothing(place, as_usual, name):
    columns = ["loan_id", "probability", "grade", "tier", "alert"]
    pd.testing.assert_frame_equal(scored(place, SAME[name](text()))[columns], as_usual[columns])


def test_text_that_a_spreadsheet_would_compute_is_written_as_text(place):
    found = scored(place, text(with_cell("loan_id", "=1+1", 5, with_cell("loan_id", "@SUM(A1)", 6))))
    assert found["loan_id"][3:5].tolist() == ["'=1+1", "'@SUM(A1)"] and found["loan_id"][0] == loans()["loan_id"][0]


def test_huge_numbers_are_scored_and_said_to_lie_outside(place):
    frame = with_cell("amount", "1e300", 5, with_cell("age", "-1e300", 6, with_cell("income", "5e-324", 7)))
    found = scored(place, text(frame))
    assert found["outside_training"][3] == "amount" and found["outside_training"][4] == "age"
    assert found["probability"].astype(float).between(0, 1).all()
