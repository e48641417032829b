import os

import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.sources import tabular


def read(path, **choices):
    return tabular.read_table(path, tabular.form_of(path, **choices))


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


TEXT = "编号,金额,姓名\n1,10,张三\n2,20,李四\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_chinese_text_in_every_common_encoding(tmp_path, encoding):
    frame = read(write(tmp_path / "a.csv", TEXT, encoding)).frame
    assert list(frame) == ["编号", "金额", "姓名"]
    assert frame["姓名"].tolist() == ["张三", "李四"]


def test_western_text_is_not_taken_for_chinese(tmp_path):
    path = write(tmp_path / "a.csv", "id,name\n1,José\n2,Zoë\n3,Müller\n4,Peña\n", "cp1252")
    assert read(path).frame["name"].tolist() == ["José", "Zoë", "Müller", "Peña"]


@pytest.mark.parametrize(("separator", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv"), ("|", "a.txt")])
def test_the_separator_is_found(tmp_path, separator, name):
    lines = [["id", "note", "n"], ["1", '"a, b; c"', "5"], ["2", '"two\nlines"', "6"]]
    frame = read(write(tmp_path / name, "\n".join(separator.join(line) for line in lines))).frame
    assert frame["n"].tolist() == ["5", "6"] and frame["note"].tolist() == ["a, b; c", "two\nlines"]


def test_broken_lines_are_reported_and_names_made_distinct(tmp_path):
    table = read(write(tmp_path / "a.csv", "x,x,\n1,2,3\n4,5\n6,7,8\n"))
    assert list(table.frame) == ["x", "x (2)", "column 3"]
    assert len(table.frame) == 2
    assert table.broken == [(3, "2 cells under 3 names")]


def test_parquet_and_stata_keep_their_kinds(tmp_path):
    made = pd.DataFrame({"n": [1.5, None], "d": pd.to_datetime(["2015-01-01", "2016-01-01"]), "t": ["a", "b"]})
    made.to_parquet(tmp_path / "a.parquet")
    made.assign(state=pd.Categorical(["no", "yes"])).to_stata(tmp_path / "a.dta", write_index=False)
    for name in ("a.parquet", "a.dta"):
        frame = read(tmp_path / name).frame
        assert frame["n"].isna().tolist() == [False, True]
        assert pd.api.types.is_datetime64_any_dtype(frame["d"])
    assert frame["state"].tolist() == ["no", "yes"]


def test_a_sheet_below_a_title_with_percent_cells(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="reading Excel needs openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("Loans")
    for row in (["Export"], ["id", "rate", "mixed"], [1, 0.125, 3], [2, 0.2, "x"]):
        sheet.append(row)
    for line in (3, 4):
        sheet.cell(line, 2).number_format = "0.00%"
    book.save(tmp_path / "a.xlsx")
    form = tabular.form_of(tmp_path / "a.xlsx")
    assert form.sheet == "Loans"
    frame = tabular.read_table(tmp_path / "a.xlsx", form).frame
    assert frame["rate"].tolist() == [12.5, 20.0]
    assert frame["mixed"].tolist() == ["3", "x"]
    with pytest.raises(StudyError, match="no sheet 'Other': there are Notes, Loans"):
        read(tmp_path / "a.xlsx", sheet="Other")


def test_what_is_there_and_no_file_is_not_said_to_be_absent(tmp_path):
    (tmp_path / "dead.csv").symlink_to(tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    write(tmp_path / "folder.csv" / "a.csv", TEXT)
    cases = {
        "dead.csv": r"dead\.csv is a link to \S+/gone\.csv, which does not exist: correct the link",
        "pipe.csv": r"pipe\.csv is a pipe, socket or device, not a file",
        "folder.csv": r"folder\.csv is a folder: give the name of a file in it \(the folder holds a\.csv\)",
    }
    for name, said in cases.items():
        with pytest.raises(StudyError, match=said):
            tabular.form_of(tmp_path / name)


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path):
    cases = {
        "none.csv": (None, "does not exist"),
        "empty.csv": (b"", "is empty"),
        "names.csv": (b"a,b\n", "no row"),
        "old.xls": (b"x", "save it as .xlsx"),
        "broken.parquet": (b"x", "cannot be read as parquet"),
        "broken.dta": (b"x", "cannot be read as stata"),
    }
    for name, (content, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(StudyError, match=message) as caught:
            read(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path):
    path = write(tmp_path / "a.csv", "amount,rate\n1,2\n")
    with pytest.raises(StudyError, match="no column 'amuont': did you mean 'amount'"):
        tabular.read_table(path, tabular.form_of(path), columns=["amuont"])
