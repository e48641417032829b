import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from pipeline.runtime import store
from pipeline.runtime.errors import StudyError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "a" / "b" / "rows.csv"
    with store.atomic(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["rows.csv"]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, kind):
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with pytest.raises(kind), store.atomic(path) as temporary:
        temporary.write_text("half of the ne")
        raise kind
    assert path.read_text() == "old"
    assert names(tmp_path) == ["rows.csv"]


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "rows [1].csv"
    (tmp_path / ".rows [1].csv.ab12.part").write_text("half of the ne")
    (tmp_path / ".rows.csv.ab12.part").write_text("of another file")
    store.write_text(path, "new")
    assert names(tmp_path) == [".rows.csv.ab12.part", "rows [1].csv"]


def test_what_another_run_is_writing_stays(tmp_path):
    path = tmp_path / "rows.csv"
    with store.atomic(path) as first:
        with store.atomic(path) as second:
            second.write_text("second")
        assert first.exists()
        first.write_text("first")
    assert path.read_text() == "first"
    assert names(tmp_path) == ["rows.csv"]


def test_many_may_write_one_file_at_a_time(tmp_path):
    path = tmp_path / "rows.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.write_text(path, str(number) * 10_000), range(200)))
    assert path.read_text().strip() in {str(number) * 10_000 for number in range(200)}
    assert names(tmp_path) == ["rows.csv"]


def test_an_interruption_of_the_first_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), store.atomic(tmp_path / "rows.csv"):
        raise RuntimeError
    assert names(tmp_path) == []


def test_a_full_disk_is_said_in_a_sentence(tmp_path):
    said = r"rows\.csv cannot be written \(No space left on device\): make room"
    with pytest.raises(StudyError, match=said), store.atomic(tmp_path / "rows.csv"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path):
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(StudyError, match="cannot be written"):
        store.write_text(tmp_path / "reports" / "rows.csv", "new")


def test_a_folder_in_the_files_place_is_said_in_a_sentence(tmp_path):
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(StudyError, match="cannot be written"):
        store.write_text(tmp_path / "rows.csv", "new")
    assert names(tmp_path) == ["rows.csv"]


def test_others_may_read_what_is_written(tmp_path):
    store.write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["甲\n乙", "甲\n乙\n", "甲\n乙\n\n\n"])
def test_text_is_utf_8_and_ends_in_one_line_feed(tmp_path, text):
    store.write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_bytes() == "甲\n乙\n".encode()


def test_json_is_sorted_and_readable(tmp_path):
    store.write_json(tmp_path / "a.json", {"b": 0.1, "a": ["贷款", None]})
    text = (tmp_path / "a.json").read_bytes().decode()
    assert text == '{\n  "a": [\n    "贷款",\n    null\n  ],\n  "b": 0.1\n}\n'
    store.write_json(tmp_path / "b.json", {"a": ["贷款", None], "b": 0.1})
    assert (tmp_path / "b.json").read_bytes().decode() == text
    assert json.loads(text) == {"b": 0.1, "a": ["贷款", None]}


def test_json_knows_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        store.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert names(tmp_path) == []


def test_csv_has_line_feeds_and_every_digit(tmp_path):
    frame = pd.DataFrame({"a": [0.1 + 0.2, 1e-300], "b": ["x, y", 'say "z"']}, index=[7, 3])
    store.write_csv(tmp_path / "a.csv", frame)
    expected = b'a,b\n0.30000000000000004,"x, y"\n1e-300,"say ""z"""\n'
    assert (tmp_path / "a.csv").read_bytes() == expected


@pytest.fixture
def frame():
    grades = pd.Categorical(["B", "A", "B"], ["C", "B", "A"], ordered=True)
    return pd.DataFrame(
        {
            "loan_id": ["1", "2", "3"],
            "grade": grades,
            "region": pd.Categorical(["TX", "CA", "TX"]),
            "when": pd.Series(["2009-10-01", "2010-01-01", None], dtype="datetime64[ms]"),
            "amount": [0.1, np.nan, 3.0],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "default": [0, 1, 0],
        }
    )


def test_parquet_keeps_types_and_ordered_categories(tmp_path, frame):
    store.write_parquet(tmp_path / "a.parquet", frame)
    read = store.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read, frame)
    assert read["grade"].cat.ordered
    assert list(read["grade"].cat.categories) == ["C", "B", "A"]


def test_parquet_forgets_the_index(tmp_path, frame):
    store.write_parquet(tmp_path / "a.parquet", frame.set_axis([5, 6, 7]))
    pd.testing.assert_frame_equal(store.read_parquet(tmp_path / "a.parquet"), frame)


def test_the_same_frame_gives_the_same_bytes(tmp_path, frame):
    store.write_parquet(tmp_path / "a.parquet", frame)
    store.write_parquet(tmp_path / "b.parquet", frame.copy())
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_only_the_columns_asked_for(tmp_path, frame):
    store.write_parquet(tmp_path / "a.parquet", frame)
    assert list(store.read_parquet(tmp_path / "a.parquet", ["default", "grade"])) == ["default", "grade"]


def test_an_absent_parquet_file_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match=r"a\.parquet does not exist: run the earlier stages first"):
        store.read_parquet(tmp_path / "a.parquet")


def test_one_changed_byte_of_the_data_is_seen(tmp_path):
    path = tmp_path / "a.parquet"
    # Noise, which no compression shortens: nearly every byte is one of the data.
    store.write_parquet(path, pd.DataFrame({"a": np.random.default_rng(1).random(20_000)}))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"a\.parquet is damaged .*: remove it"):
        store.read_parquet(path)


def test_a_folder_for_a_parquet_file_is_said(tmp_path):
    with pytest.raises(StudyError, match="is a folder: remove it"):
        store.read_parquet(tmp_path)


@pytest.mark.parametrize("cuts", [[], [1], [1, 2], [2]])
def test_parts_are_written_as_if_they_were_one_table(tmp_path, frame, cuts):
    store.write_parquet(tmp_path / "whole.parquet", frame)
    ends = [0, *cuts, len(frame)]
    parts = (frame.iloc[start:end] for start, end in itertools.pairwise(ends))
    store.write_parquet_parts(tmp_path / "parts.parquet", parts)
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_parts_longer_than_a_row_group_give_the_same_bytes_wherever_they_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROW_GROUP", 10)
    frame = pd.DataFrame({"loan_id": [f"L{row}" for row in range(47)], "rate": range(47)})
    frame["grade"] = pd.Categorical(["A", "B"][row % 2] for row in range(47))
    written = []
    for size in (3, 10, 20, 47):
        parts = (frame.iloc[start : start + size] for start in range(0, 47, size))
        store.write_parquet_parts(tmp_path / "a.parquet", parts)
        pd.testing.assert_frame_equal(store.read_parquet(tmp_path / "a.parquet"), frame)
        written.append((tmp_path / "a.parquet").read_bytes())
    assert len(set(written)) == 1
    assert pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 5


def test_no_part_is_no_table(tmp_path):
    with pytest.raises(ValueError, match="no part"):
        store.write_parquet_parts(tmp_path / "a.parquet", iter(()))
    assert not (tmp_path / "a.parquet").exists()
