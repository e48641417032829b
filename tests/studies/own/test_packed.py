"""Packed files: one table, several, a folder of them, and what is made to do harm."""

import gzip
import io
import os
import zipfile

import pytest

from pipeline.__main__ import main
from pipeline.core import params
from pipeline.sources import packed
from tests.studies.own.test_files import asked, loans, prepared, set_up
from tests.studies.own.test_files import workplace as workplace

LOANS = loans().to_csv(index=False).encode()
CLIENTS = b"loan_id,age\n" + b"".join(b"%d,%d\n" % (number, 30 + number % 20) for number in range(1, 61))


def zipped(**members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("loans.csv.gz", gzip.compress(LOANS)),
        ("Loans.ZIP", zipped(**{"data/loans.csv": LOANS, "__MACOSX/._loans.csv": b"x", "read.me": b"x"})),
    ],
)
def test_one_packed_table_is_a_file(workplace, capsys, name, content):
    own = set_up(content, name=name)
    assert own["file"] == f"data/raw/mine/{name}/loans.csv" and f"{name} was unpacked there" in capsys.readouterr().out
    assert len(prepared()) == 60 and [file.name for file in (workplace / "data/raw/mine").iterdir()] == [name]


@pytest.mark.parametrize("together", [True, False])
def test_several_packed_tables_are_a_folder(workplace, capsys, together):
    there = workplace / "packed"
    there.mkdir()
    if together:
        (there / "all.zip").write_bytes(zipped(**{"loans.csv": LOANS, "clients.csv": CLIENTS}))
    else:
        (there / "loans.csv.zip").write_bytes(zipped(**{"loans.csv": LOANS}))
        (there / "clients.csv.gz").write_bytes(gzip.compress(CLIENTS))
    assert main(["init-study", "mine", "--data", str(there / "all.zip" if together else there)]) == 0
    assert params.load().study("mine").own["loans"] == "loans.csv"
    assert prepared()["age"].notna().all()


def test_it_is_unpacked_again_when_the_file_is_newer(workplace):
    (workplace / "loans.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    first = packed.unpacked(workplace / "loans.csv.gz", workplace / "there")
    first.write_bytes(b"kept")
    assert packed.unpacked(workplace / "loans.csv.gz", workplace / "there").read_bytes() == b"kept"
    later = first.parent.stat().st_mtime + 5
    os.utime(workplace / "loans.csv.gz", (later, later))
    assert packed.unpacked(workplace / "loans.csv.gz", workplace / "there").read_bytes() == b"a\n1\n"


def test_a_packed_file_beside_tables_is_named(workplace, capsys):
    there = workplace / "mixed"
    there.mkdir()
    (there / "loans.csv").write_bytes(LOANS)
    (there / "more.zip").write_bytes(zipped(**{"clients.csv": CLIENTS}))
    assert main(["init-study", "mine", "--data", str(there)]) == 0
    assert "more.zip: packed beside tables that are not; unpack it if it holds others" in capsys.readouterr().out


def test_names_of_members_are_no_paths(workplace):
    (workplace / "a.zip").write_bytes(zipped(**{"../../loans.csv": LOANS, "C:\\x\\clients.csv": CLIENTS}))
    made = packed.unpacked(workplace / "a.zip", workplace / "there")
    assert made == workplace / "there/a.zip"
    assert sorted(file.name for file in made.iterdir()) == ["clients.csv", "loans.csv"]
    assert not (workplace.parent / "loans.csv").exists()


def test_names_that_windows_wrote_in_chinese(workplace):
    made = zipped(**{"kh.csv": LOANS}).replace(b"kh.csv", "贷.csv".encode("gbk"))
    (workplace / "a.zip").write_bytes(made)
    assert packed.unpacked(workplace / "a.zip", workplace / "there").name == "贷.csv"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv.gz", gzip.compress(b"1,2\n" * 30_000_000), "unpacks to more than tables of loans do"),
        ("a.zip", zipped(**{"a.csv": b"0" * 200_000_000}), "unpacks to more than tables of loans do"),
        ("a.zip", zipped(**{"a/x.csv": b"1", "b/x.csv": b"2"}), "there is another table x.csv"),
        ("a.zip", zipped(**{"a.docx": b"1"}), "holds no table"),
        ("a.gz", gzip.compress(LOANS), "holds no table"),
        ("a.zip", zipped(**{"a.csv": LOANS})[:200], "cannot be unpacked"),
        ("a.csv.gz", gzip.compress(LOANS)[:200], "cannot be unpacked"),
        ("a.csv.gz", LOANS, "cannot be unpacked"),
    ],
)
def test_what_does_harm_or_holds_nothing_is_refused(workplace, capsys, name, content, sentence):
    assert sentence in asked(capsys, content, name=name)
    left = workplace / "data/raw/mine"
    assert not left.exists() or not list(left.iterdir())


def test_a_password_is_said(workplace, capsys):
    made = bytearray(zipped(**{"a.csv": LOANS}))
    made[made.index(b"PK\x01\x02") + 8] |= 1
    made[6] |= 1
    assert "has a password" in asked(capsys, bytes(made), name="a.zip")
