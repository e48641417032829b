"""The same rows from every engine and within any memory, and one sentence where that cannot be."""

import shutil
import socket

import ibis
import numpy as np
import pandas as pd
import pytest

from pipeline.runtime import engine, store
from pipeline.runtime.engine import Engine, frame, value
from pipeline.runtime.errors import StudyError

TEXTS = [
    "2004-11-30",
    "2004-11-31",
    "2004-1-3",
    "2004",
    " 2004-11-30",
    "12",
    "-1.5e3",
    ".5",
    "7.",
    "1_000",
    "0x10",
    "inf",
]
TEXTS += ["nan", "1e", "", " 12", "12d", "1,5", "٣", None]
NUMBERS = {"2004": 2004, "12": 12, "-1.5e3": -1500, ".5": 0.5, "7.": 7}


@pytest.fixture(scope="module")
def spark():
    pytest.importorskip("pyspark", reason="Spark is not installed: make .venv/spark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    return Engine("spark").connect()


@pytest.fixture(params=["duckdb", "spark"])
def backend(request):
    return Engine().connect() if request.param == "duckdb" else request.getfixturevalue("spark")


def test_a_text_stands_for_the_same_number_and_date_in_every_engine(backend):
    table = engine.put(
        backend, pd.DataFrame({"place": range(len(TEXTS)), "text": pd.Series(TEXTS, dtype="str")}), "texts"
    )
    read = table.select("place", number=engine.number(table.text), date=engine.date(table.text))
    found = frame(read.order_by("place"))
    numbers = [NUMBERS.get(text, np.nan) for text in TEXTS]
    np.testing.assert_array_equal(found["number"], numbers)
    assert found["date"].notna().tolist() == [text == "2004-11-30" for text in TEXTS]
    assert found["date"][0] == pd.Timestamp("2004-11-30")


def test_parts_lie_under_each_other(backend):
    table = engine.put(backend, pd.DataFrame({"key": [1, 2, 3]}), "keys")
    stored = engine.store_parts((table.filter(table.key == key).mutate(twice=2 * table.key) for key in (3, 1)), "parts")
    pd.testing.assert_frame_equal(frame(stored.order_by("key")), pd.DataFrame({"key": [1, 3], "twice": [2, 6]}))
    with pytest.raises(ValueError, match="no part"):
        engine.store_parts([], "parts")


def test_rows_come_in_the_order_and_types_of_the_expression(backend):
    rows = pd.DataFrame(
        {"key": [3, 1, 2], "number": [np.nan, 1.5, 2.0], "flag": [True, False, True], "word": list("abc")}
    )
    table = engine.put(backend, rows, "rows")
    kept = engine.store(table.mutate(gap=ibis.cases((table.key > 1, table.key))), "kept")
    found = frame(kept.order_by("key"))
    expected = rows.sort_values("key", ignore_index=True).assign(gap=[np.nan, 2.0, 3.0])
    pd.testing.assert_frame_equal(found, expected)
    assert value(kept.key.sum()) == 6
    assert value(kept.number.count()) == 2


@pytest.mark.long
def test_what_exceeds_the_memory_is_spilled_and_the_same(tmp_path):
    numbers = np.random.default_rng(1).permutation(4_000_000)
    store.write_parquet(
        tmp_path / "rows.parquet", pd.DataFrame({"key": numbers, "half": numbers // 2, "third": numbers // 3})
    )
    found = {}
    for memory in ("60MB", "2GB"):
        backend = Engine(memory=memory).connect(threads=1)
        rows = engine.store(backend.read_parquet(tmp_path / "rows.parquet"), "rows")
        if memory == "60MB":
            spilled = backend.raw_sql("select sum(size) from duckdb_temporary_files()").fetchall()
            assert spilled[0][0] > 0
        found[memory] = frame(rows.group_by("third").aggregate(sum=rows.key.sum()).order_by("third"))
    pd.testing.assert_frame_equal(found["60MB"], found["2GB"])


def test_too_little_memory_is_named(tmp_path):
    store.write_parquet(tmp_path / "rows.parquet", pd.DataFrame({"key": np.arange(1_000_000)}))
    with pytest.raises(StudyError, match=r"^engine_memory is too small for these tables: raise it"):
        rows = Engine(memory="1MB").read(tmp_path, ["rows"])["rows"]
        frame(rows.order_by(rows.key.desc()))


def test_spark_that_does_not_answer_is_named(spark):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"spark://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(StudyError, match=rf"^engine_address: nothing answers at {address}"):
        Engine("spark", address).connect()
