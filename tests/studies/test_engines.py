"""Preparation by DuckDB, with much or little memory, and by Spark: the same tables, cell by cell."""

import shutil

import pandas as pd
import pytest

from pipeline.core import store
from pipeline.core.engine import Engine
from pipeline.core.errors import StudyError
from pipeline.core.params import Checks
from pipeline.studies.berka import study as berka
from pipeline.studies.reference import generator
from pipeline.studies.reference import study as reference
from pipeline.studies.reference.settings import Settings
from tests.studies.berka.sample import protocol as of_berka
from tests.studies.berka.sample import raw_tables
from tests.studies.reference.test_prepare import protocol as of_reference

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Folders of raw tables by study."""
    folder = tmp_path_factory.mktemp("raw")
    generator.generate(Settings(scale=0.05), 11, folder / "reference")
    for name, table in raw_tables(150, 1).items():
        store.write_parquet(folder / "berka" / f"{name}.parquet", table)
    return folder


def prepared(raw, name, engine):
    """Every table of a study's preparation by one engine."""
    study, protocol = {"reference": (reference, of_reference()), "berka": (berka, of_berka())}[name]
    found = study.prepare(study.load(raw / name, engine), protocol, CHECKS)
    further = {name: make() for name, make in found.further.items()}
    return {"cohort": found.cohort, "flow": found.flow, "quarantined": found.quarantined, **found.panels, **further}


@pytest.fixture(scope="module")
def by_duckdb(raw):
    return {name: prepared(raw, name, Engine()) for name in ("reference", "berka")}


def same(one, other):
    assert list(one) == list(other)
    for name, table in one.items():
        assert len(table) or name == "quarantined"
        pd.testing.assert_frame_equal(table, other[name], check_exact=True, obj=name)


@pytest.mark.parametrize("name", ["reference", "berka"])
def test_spark_prepares_what_duckdb_prepares(raw, by_duckdb, name):
    pytest.importorskip("pyspark", reason="Spark is not installed: make .venv/spark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    same(prepared(raw, name, Engine("spark")), by_duckdb[name])


def test_a_tenth_of_the_memory_prepares_the_same(raw, by_duckdb):
    same(prepared(raw, "reference", Engine(memory="200MB")), by_duckdb["reference"])


def test_too_little_memory_stops_the_preparation_with_one_sentence(raw):
    with pytest.raises(StudyError, match=r"^engine_memory is too small"):
        prepared(raw, "reference", Engine(memory="1MB"))
