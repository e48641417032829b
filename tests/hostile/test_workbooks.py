"""Workbooks, parquet, Stata and R files that are broken, or made to exhaust whoever reads them."""

import datetime
import gzip
import io
import pickle
import re
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from pipeline.__main__ import main
from pipeline.runtime.errors import StudyError
from pipeline.sources import columnar, r_files, readers, tabular
from tests.hostile.place import STUDY, loans, picture, refused, write

SCORE = ("score", "--study", STUDY, "--model", "logistic", "--data")


def typed(number=60):
    """Loans with numbers and dates as such."""
    frame = loans(number)
    for name in frame:
        if name not in ("grade", "purpose", "issue_date"):
            frame[name] = pd.to_numeric(frame[name])
    return frame.assign(issue_date=pd.to_datetime(frame["issue_date"]))


def workbook(change=lambda sheet: None, frame=None):
    """Return the bytes of a workbook with the loans, its sheet changed."""
    book = openpyxl.Workbook()
    book.active.title = "Loans"
    frame = typed() if frame is None else frame
    book.active.append(list(frame))
    for row in frame.itertuples(index=False):
        book.active.append([value.item() if hasattr(value, "item") else value for value in row])
    change(book.active)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def repacked(change, content=None):
    """Return a workbook's bytes with its members changed: `change` takes and returns a mapping of names to bytes."""
    with zipfile.ZipFile(io.BytesIO(workbook() if content is None else content)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, member in change(members).items():
            packed.writestr(name, member)
    return out.getvalue()


def spoilt(content, at, new):
    return content[:at] + new + content[at + len(new) :]


def cell(place, value):
    """Return a change of a sheet that puts a value into a cell."""

    def change(sheet):
        sheet[place] = value

    return change


SHEET = "xl/worksheets/sheet1.xml"
AMOUNT = "E5"
"""The amount in line 5."""
assert list(loans(1))[4] == "amount"


def bomb(members):
    return members | {"xl/sharedStrings.xml": b"<sst>" + b" " * 300_000_000 + b"</sst>"}


def laughing(members):
    entities = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    doctype = f'<!DOCTYPE x [<!ENTITY l0 "lol">{entities}]>'
    sheet = members[SHEET].decode()
    declared = sheet if sheet.startswith("<?xml") else f"<?xml version='1.0'?>{sheet}"
    head, tail = declared.split("?>", 1)
    return members | {SHEET: f"{head}?>{doctype}{tail.replace('<v>', '<v>&l9;', 1)}".encode()}


def wrong_size(content):
    """Return a zip whose directory says that its members are larger than they are."""
    return re.sub(rb"(PK\x01\x02.{20})(.{4})", lambda part: part[1] + b"\xff\xff\xff\x7f", content, flags=re.DOTALL)


WORKBOOKS = {
    "text_under_the_name_of_a_workbook": (lambda: b"loan_id,amount\n1,2\n", "cannot be read as excel"),
    "a_page_under_the_name_of_a_workbook": (lambda: b"<html><table><tr><td>1</td></tr></table></html>",
                                            "cannot be read as excel"),
    "an_old_or_locked_workbook": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4096, "without a password"),
    "cut_in_the_middle": (lambda: workbook()[:3000], "cannot be read as excel"),
    "without_its_end": (lambda: workbook()[:-30], "cannot be read as excel"),
    "an_empty_zip": (lambda: b"PK\x05\x06" + b"\0" * 18, "cannot be read as excel"),
    "a_zip_of_something_else": (lambda: repacked(lambda members: {"readme.txt": b"hello"}), "cannot be read as excel"),
    "no_sheet_inside": (lambda: repacked(lambda members: {name: members[name] for name in members if name != SHEET}),
                        "is empty"),
    "a_sheet_that_is_no_xml": (lambda: repacked(lambda members: members | {SHEET: b"<worksheet><sheetData><row"}),
                               "cannot be read as excel"),
    "some_bytes_changed": (lambda: spoilt(workbook(), workbook().index(SHEET.encode()) + 300, b"\xff" * 40),
                           "cannot be read as excel"),
    "laughs_by_the_billion": (lambda: repacked(laughing), "cannot be read as excel"),
    "a_bomb_of_blanks": (lambda: repacked(bomb), "would unpack to"),
    "a_bomb_that_only_says_so": (lambda: wrong_size(workbook()), "would unpack to"),
    "a_member_above_the_folder": (lambda: repacked(lambda members: members | {"../../evil.xml": b"x"}),
                                  "../../evil.xml"),
    "a_member_at_the_root": (lambda: repacked(lambda members: members | {"/etc/cron.d/x": b"x"}), "/etc/cron.d/x"),
    "a_member_above_a_windows_folder": (lambda: repacked(lambda members: members | {"..\\evil.xml": b"x"}), "evil.xml"),
    "an_empty_sheet": (lambda: workbook(lambda sheet: sheet.delete_rows(1, 99)), "is empty"),
    "names_and_no_row": (lambda: workbook(frame=typed(0)), "holds column names and no row"),
    "a_column_missing": (lambda: workbook(frame=typed().drop(columns="age")), "no column 'age'"),
    "a_column_twice": (lambda: workbook(cell("A1", "amount")), "several columns 'amount'"),
    "a_formula_without_its_value": (lambda: workbook(cell(AMOUNT, "=1+1")), ("row 5, column amount", "a formula")),
    "a_formula_in_a_title": (lambda: workbook(cell("E1", "=1+1")), "no column 'amount'"),
    "an_error_for_an_amount": (lambda: workbook(cell(AMOUNT, "#REF!")), ("column amount, row 5", "'#REF!'")),
    "a_division_by_nothing": (lambda: workbook(cell(AMOUNT, "#DIV/0!")), "column amount, row 5 is empty"),
    "a_word_for_an_amount": (lambda: workbook(cell(AMOUNT, "many")), ("column amount, row 5", "'many' is no number")),
    "a_day_for_an_amount": (lambda: workbook(cell(AMOUNT, datetime.datetime(2019, 1, 1))),
                            ("column amount", "is no number")),
    "a_time_of_day_for_an_age": (lambda: workbook(cell("I5", datetime.time(12, 30))),
                                 ("column age, row 5", "is no number")),
    "an_empty_amount": (lambda: workbook(cell(AMOUNT, None)), "column amount, row 5 is empty"),
    "a_script_for_a_grade": (lambda: workbook(cell("C5", "<script>")), ("column grade, row 5", "is unknown")),
    "an_amount_below_zero": (lambda: workbook(cell(AMOUNT, -1)), ("column amount, row 5", "above zero")),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKBOOKS)
def test_a_workbook_that_cannot_be_scored(place, capsys, name):
    made, needles = WORKBOOKS[name]
    write(place / "new.xlsx", made())
    assert "new.xlsx" in refused(capsys, place, [*SCORE, "new.xlsx"], needles)


def test_a_cell_in_the_last_corner_takes_no_time(place):
    """A sheet that says it has seventeen billion cells is read as long as it is."""
    write(place / "far.xlsx", workbook(cell("XFD1048576", 1)))
    assert main([*SCORE, "far.xlsx"]) == 0
    assert len(pd.read_csv(place / "far_scored.csv")) == 60


def test_a_large_honest_workbook_is_not_taken_for_a_bomb(tmp_path):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["loan_id", "amount", "default"])
    for number in range(40_000):
        sheet.append([number, 1000, 0])
    book.save(tmp_path / "large.xlsx")
    assert tabular.form_of(tmp_path / "large.xlsx").kind == "excel"


def as_parquet(table, **choices):
    packed = io.BytesIO()
    pyarrow.parquet.write_table(table, packed, **choices)
    return packed.getvalue()


def arrow(**changes):
    table = pyarrow.Table.from_pandas(typed(), preserve_index=False)
    for name, column in changes.items():
        table = table.set_column(table.schema.get_field_index(name), name, pyarrow.array(column))
    return table


def parquet(**changes):
    return as_parquet(arrow(**changes))


AMOUNTS = typed()["amount"].tolist()
GOOD = parquet()

PARQUETS = {
    "text": (lambda: b"loan_id,amount\n1,2\n", "cannot be read as parquet"),
    "its_mark_and_nothing": (lambda: b"PAR1PAR1", "cannot be read as parquet"),
    "cut_in_the_middle": (lambda: GOOD[: len(GOOD) // 2], "cannot be read as parquet"),
    "without_its_beginning": (lambda: GOOD[100:], "cannot be read as parquet"),
    "a_footer_of_nonsense": (lambda: spoilt(GOOD, len(GOOD) - 200, b"\xff" * 100), "cannot be read as parquet"),
    "pages_of_nonsense": (lambda: spoilt(GOOD, 30, b"\xff" * 400), "cannot be read as parquet"),
    "a_footer_longer_than_the_file": (lambda: spoilt(GOOD, len(GOOD) - 8, b"\xff\xff\xff\x7f"),
                                      "cannot be read as parquet"),
    "no_rows": (lambda: as_parquet(arrow().slice(0, 0)), "no row"),
    "no_columns": (lambda: as_parquet(pyarrow.table({})), "no column"),
    "a_column_missing": (lambda: as_parquet(arrow().drop_columns(["age"])), "no column 'age'"),
    "an_infinite_amount": (lambda: parquet(amount=[float("inf"), *AMOUNTS[1:]]),
                           ("column amount, row 2", "'inf' is no")),
    "less_than_infinity": (lambda: parquet(income=[float("-inf"), *AMOUNTS[1:]]),
                           ("column income, row 2", "is no number")),
    "no_number": (lambda: parquet(amount=[float("nan"), *AMOUNTS[1:]]), "column amount, row 2 is empty"),
    "nothing": (lambda: parquet(amount=[None, *AMOUNTS[1:]]), "column amount, row 2 is empty"),
    "all_nothing": (lambda: parquet(amount=[None] * 60), "column amount, row 2 is empty (60 in all)"),
    "lists_for_amounts": (lambda: parquet(amount=[[1.0, 2.0]] * 60), "column amount"),
    "records_for_amounts": (lambda: parquet(amount=[{"value": 1}] * 60), "column amount"),
    "bytes_for_amounts": (lambda: parquet(amount=[b"\xff\xfe"] * 60), "column amount"),
    "days_for_amounts": (lambda: parquet(amount=[datetime.date(2019, 1, 1)] * 60), ("column amount", "is no number")),
    "moments_for_ages": (lambda: parquet(age=[datetime.datetime(2019, 1, 1)] * 60), ("column age", "is no number")),
    "spans_of_time_for_terms": (lambda: parquet(term=[datetime.timedelta(days=30)] * 60), "column term"),
    "words_for_amounts": (lambda: parquet(amount=["many"] * 60), ("column amount, row 2", "'many' is no number")),
    "numbers_for_grades": (lambda: parquet(grade=[1] * 60), ("column grade, row 2", "'1' is unknown")),
    "bytes_for_grades": (lambda: parquet(grade=[b"\xff"] * 60), "cannot be read as parquet"),
    "an_amount_below_zero": (lambda: parquet(amount=[-1.0] * 60), ("column amount, row 2", "above zero")),
    "one_name_twice": (lambda: as_parquet(arrow().rename_columns(["amount", *arrow().column_names[1:]])),
                       "several columns 'amount'"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARQUETS)
def test_a_parquet_file_that_cannot_be_scored(place, capsys, name):
    made, needles = PARQUETS[name]
    write(place / "new.parquet", made())
    assert "new.parquet" in refused(capsys, place, [*SCORE, "new.parquet"], needles)


def test_billions_of_rows_in_a_few_bytes_are_refused_before_they_are_unpacked(place, capsys, monkeypatch):
    monkeypatch.setattr(columnar, "MOST_CELLS", 50_000)
    ones = pyarrow.table({name: pyarrow.array([1] * 10_000) for name in typed()})
    write(place / "new.parquet", as_parquet(ones))
    refused(capsys, place, [*SCORE, "new.parquet"], ("new.parquet unpacks to", "give fewer loans"))
    assert 10_000_000 * 200 <= 2_000_000_000


def as_stata(frame, **choices):
    packed = io.BytesIO()
    frame.to_stata(packed, write_index=False, **choices)
    return packed.getvalue()


STATA = as_stata(typed())
STATAS = {
    "text": (lambda: b"loan_id,amount\n1,2\n" * 50, "cannot be read as stata"),
    "its_mark_and_nothing": (lambda: b"<stata_dta>", "cannot be read as stata"),
    "cut_in_the_middle": (lambda: STATA[: len(STATA) // 2], "cannot be read as stata"),
    "cut_among_the_names": (lambda: STATA[:300], "cannot be read as stata"),
    "a_version_to_come": (lambda: b"\xff" + STATA[1:], "cannot be read as stata"),
    "no_rows": (lambda: as_stata(typed().head(0)), "no row"),
    "a_column_missing": (lambda: as_stata(typed().drop(columns="age")), "no column 'age'"),
    "words_for_amounts": (lambda: as_stata(typed().assign(amount="many")), ("column amount, row 2", "'many'")),
    "days_for_amounts": (lambda: as_stata(typed().assign(amount=pd.Timestamp("2019-01-01"))),
                         ("column amount", "no number")),
    "an_amount_missing": (lambda: as_stata(typed().assign(amount=[np.nan, *AMOUNTS[1:]])),
                          "column amount, row 2 is empty"),
    "labels_for_numbers": (lambda: as_stata(typed().assign(age=pd.Categorical(["young"] * 60))),
                           ("column age", "'young'")),
    "an_unknown_grade": (lambda: as_stata(typed().assign(grade="ZZ")), ("column grade, row 2", "'ZZ' is unknown")),
}  # fmt: skip


@pytest.mark.parametrize("name", STATAS)
def test_a_stata_file_that_cannot_be_scored(place, capsys, name):
    made, needles = STATAS[name]
    write(place / "new.dta", made())
    assert "new.dta" in refused(capsys, place, [*SCORE, "new.dta"], needles)


def sentence(folder, read, needles):
    """Run a reader of public files that must refuse; return its one sentence."""
    before = picture(folder)
    with pytest.raises(StudyError) as caught:
        read()
    said = str(caught.value)
    assert "\n" not in said and len(said) < 2_500
    for needle in [needles] if isinstance(needles, str) else needles:
        assert needle in said, said
    assert picture(folder) == before
    return said


NO_R_FILE = {
    "nothing": b"",
    "its_mark_and_nothing": b"RDX3\n",
    "text": b"loan_id,amount\n1,2\n",
    "a_page": b"<!DOCTYPE html><title>404</title>",
    "gzip_of_nothing": gzip.compress(b""),
    "gzip_of_text": gzip.compress(b"loan_id,amount\n1,2\n"),
    "gzip_cut_in_the_middle": gzip.compress(b"RDX3\nX\n" + b"\0" * 5000)[:20],
    "xz_of_nonsense": b"\xfd7zXZ\0" + bytes(range(99)),
    "bzip_of_nonsense": b"BZh9" + bytes(range(99)),
    "a_pickle": pickle.dumps({"loan_id": [1]}),
    "a_vector_longer_than_the_file": b"RDX3\nX\n\0\0\0\3\0\4\2\1\0\3\5\0\0\0\0\5UTF-8\0\0\4\2\0\0\0\1\0\4\0\t\0\0\0\1x"
                                     b"\0\0\0\x0e\x7f\xff\xff\xff",
    "ascii_of_nonsense": b"RDA3\nA\n3\n263169\n197888\n5\nUTF-8\n1026\nx\n",
}  # fmt: skip


@pytest.mark.parametrize("read", [r_files.read_rda, r_files.read_rds], ids=["rda", "rds"])
@pytest.mark.parametrize("name", NO_R_FILE)
def test_a_file_that_is_no_r_data(tmp_path, name, read):
    path = tmp_path / f"loans.{read.__name__[-3:]}"
    write(path, NO_R_FILE[name])
    sentence(tmp_path, lambda: read(path, ["amount"]), (str(path), "fetch it again"))


def test_an_r_file_that_is_not_there(tmp_path):
    sentence(tmp_path, lambda: r_files.read_rda(tmp_path / "a.rda", ["amount"]), ("a.rda does not exist"))


NO_SERIES = {
    "nothing": ("", "holds no line"),
    "comments_only": ("% made by hand\n", "holds no line"),
    "a_page": ("<html>\n<title>404</title>\n", ("line 1", "<html>")),
    "a_heading": ("date,value\n2001,1,1,5\n", "line 1"),
    "three_cells": ("2001,1,5\n", "line 1"),
    "five_cells": ("2001,1,1,5,6\n", "line 1"),
    "a_month_of_thirteen": ("2001,13,1,5\n", "line 1"),
    "a_day_that_does_not_exist": ("2001,2,30,5\n", "line 1"),
    "the_year_nought": ("0,1,1,5\n", "line 1"),
    "a_year_of_five_digits": ("20011,1,1,5\n", "line 1"),
    "a_word_for_a_value": ("2001,1,1,five\n", ("line 1", "five")),
    "an_infinite_value": ("2001,1,1,inf\n", "line 1"),
    "no_number": ("2001,1,1,nan\n", "line 1"),
    "a_day_twice": ("2001,1,1,5\n2001,1,1,6\n", ("line 2", "repeated date")),
    "a_formula": ("2001,1,1,=1+1\n", "line 1"),
    "latin_letters": (b"2001,1,1,5 \xb5\n", "is not UTF-8 text"),
    "utf_16": ("2001,1,1,5\n".encode("utf-16"), "is not UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_SERIES)
def test_a_series_that_cannot_be_read(tmp_path, name):
    content, needles = NO_SERIES[name]
    write(tmp_path / "rate.csv", content)
    assert "rate.csv" in sentence(tmp_path, lambda: readers.read_fred_csv(tmp_path / "rate.csv"), needles)


YEARS = '"Country Name","Country Code","2001","2002"\n'
NO_INDICATOR = {
    "nothing": ("", "line 1"),
    "no_years": ('"Country Name","Country Code"\n', "line 1"),
    "no_codes": ('"Country Name","2001"\n"x","5"\n', "line 1"),
    "another_country": (YEARS + '"Aruba","ABW","1","2"\n', "'USA'"),
    "a_short_line": (YEARS + '"United States","USA","1"\n', ("line 2", "3 cells under 4 headings")),
    "a_long_line": (YEARS + '"United States","USA","1","2","3"\n', ("line 2", "5 cells under 4 headings")),
    "a_word": (YEARS + '"United States","USA","one","2"\n', ("line 2", "column 2001", "'one'")),
    "an_infinite_value": (YEARS + '"United States","USA","1","inf"\n', ("line 2", "column 2002", "'inf'")),
    "an_open_mark": (YEARS + '"United States","USA","1,"2"\n', "line 2"),
    "a_cell_as_long_as_a_book": (YEARS + f'"{"x" * 2_000_000}","USA","1","2"\n', "line"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_INDICATOR)
def test_an_indicator_that_cannot_be_read(tmp_path, name):
    content, needles = NO_INDICATOR[name]
    write(tmp_path / "gdp.csv", content)
    assert "gdp.csv" in sentence(tmp_path, lambda: readers.read_world_bank_csv(tmp_path / "gdp.csv", "USA"), needles)


NO_DELIMITED = {
    "nothing": ("", "no column 'amount'"),
    "another_separator": ("loan_id,amount\n1,2\n", "no column 'amount'"),
    "a_name_misspelt": ("loan_id;amuont\n1;2\n", ("'amount'", "nearest: amuont")),
    "a_short_line": ("loan_id;amount\n1\n", ("line 2", "1 cells under 2 headings")),
    "a_long_line": ("loan_id;amount\n1;2;3\n", ("line 2", "3 cells under 2 headings")),
    "an_empty_line": ("loan_id;amount\n\n1;2\n", ("line 2", "0 cells under 2 headings")),
    "an_open_mark": ('loan_id;amount\n1;"2\n3;4\n', "line"),
    "a_mark_inside": ('loan_id;amount\n1;"2"3\n', "line 2"),
    "latin_letters": (b"loan_id;amount\n1;\xe9\n", "is not UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_DELIMITED)
def test_a_delimited_table_that_cannot_be_read(tmp_path, name):
    content, needles = NO_DELIMITED[name]
    path = tmp_path / "loan.asc"
    write(path, content)
    assert "loan.asc" in sentence(tmp_path, lambda: readers.read_delimited(path, ["amount"], ";"), needles)


@pytest.mark.parametrize("name", [name for name in STATAS if "cannot be read" in STATAS[name][1]])
def test_a_public_stata_file_that_cannot_be_read(tmp_path, name):
    path = tmp_path / "loans.dta"
    write(path, STATAS[name][0]())
    sentence(tmp_path, lambda: readers.read_dta(path, ["amount"]), (str(path), "fetch it again"))
