import io
import sys

import pandas as pd

from pipeline.runtime import journal, store


def test_what_the_store_reads_and_writes_is_noted_in_order(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3]})
    heard = []
    with journal.kept(heard.append) as entries:
        store.write_parquet(tmp_path / "a.parquet", frame)
        store.read_parquet(tmp_path / "a.parquet")
        store.scanned(tmp_path / "a.parquet")
        store.write_csv(tmp_path / "a.csv", frame[:2])
        store.write_text(tmp_path / "a.txt", "x")
    told = [(entry.done, entry.file.rpartition("/")[2], entry.rows) for entry in entries]
    assert told == [
        ("written", "a.parquet", 3),
        ("read", "a.parquet", 3),
        ("read", "a.parquet", 3),
        ("written", "a.csv", 2),
        ("written", "a.txt", None),
    ]
    assert heard == entries


def test_rows_of_a_parquet_file_that_others_write_are_counted(tmp_path):
    with journal.kept() as entries, store.atomic(tmp_path / "a.parquet") as temporary:
        pd.DataFrame({"a": range(7)}).to_parquet(temporary)
    assert [entry.rows for entry in entries] == [7]


def test_nothing_is_noted_when_no_journal_is_kept_or_the_write_fails(tmp_path):
    store.write_text(tmp_path / "a.txt", "x")
    with journal.kept() as entries:
        try:
            with store.atomic(tmp_path / "b.txt"):
                raise RuntimeError
        except RuntimeError:
            pass
    store.write_text(tmp_path / "c.txt", "x")
    assert entries == []


def test_an_entry_reads_as_a_line():
    assert str(journal.Entry("read", "data/a.parquet", 12345)) == "read data/a.parquet: 12,345 rows"
    assert str(journal.Entry("written", "a.svg", None)) == "written a.svg"


def test_what_takes_long_is_counted_on_a_terminal_and_nowhere_else(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for place, shown in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", place)
        assert list(journal.counted("abc", 3, "worlds")) == ["a", "b", "c"]
        assert ("worlds: 100%" in place.getvalue() and "3/3 [" in place.getvalue()) is shown
