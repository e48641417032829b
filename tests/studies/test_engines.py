"""Preparation by DuckDB, with much or little memory, and by Spark: the same tables, cell by cell."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.shared import Checks
from pipeline.runtime import store
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
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


@pytest.fixture()
def cluster(tmp_path):
    """Address of a Spark cluster: a master and a worker, processes of their own on this machine."""
    pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: make .venv/spark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    home = str(Path(pyspark.__file__).parent)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"spark://127.0.0.1:{port}"
    # Two hundred parts of a join are for more workers than one.
    (tmp_path / "spark-defaults.conf").write_text("spark.sql.shuffle.partitions 2\n")
    around = os.environ | {"SPARK_HOME": home, "SPARK_CONF_DIR": str(tmp_path), "PYSPARK_PYTHON": sys.executable}
    place = ["--host", "127.0.0.1", "--webui-port", "0"]
    worker = ["worker.Worker", *place, "--cores", "1", "--memory", "1G", "--work-dir", str(tmp_path / "work"), address]
    with ExitStack() as stack, (tmp_path / "log").open("w") as log:
        for name, *options in (["master.Master", *place, "--port", str(port)], worker):
            command = [f"{home}/bin/spark-class", f"org.apache.spark.deploy.{name}", *options]
            stack.callback(subprocess.Popen(command, env=around, stdout=log, stderr=log).kill)
            for _ in range(60):
                with socket.socket() as asked:
                    if asked.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(1)
        yield address, around


PREPARE = """
import sys
from pathlib import Path
from pipeline.runtime import store
from pipeline.runtime.engine import Engine
from tests.studies.test_engines import prepared
raw, address, found = sys.argv[1:]
for name, table in prepared(Path(raw), "reference", Engine("spark", address)).items():
    store.write_parquet(Path(found) / f"{name}.parquet", table)
"""


@pytest.mark.long
def test_a_spark_cluster_prepares_what_duckdb_prepares(raw, by_duckdb, cluster, tmp_path):
    address, around = cluster
    # A process has one Spark session, and that of the tests beside is on no cluster.
    subprocess.run([sys.executable, "-c", PREPARE, str(raw), address, str(tmp_path)], env=around, check=True)
    names = list(by_duckdb["reference"])
    same({name: store.read_parquet(tmp_path / f"{name}.parquet") for name in names}, by_duckdb["reference"])


def test_a_tenth_of_the_memory_prepares_the_same(raw, by_duckdb):
    same(prepared(raw, "reference", Engine(memory="200MB")), by_duckdb["reference"])


def test_too_little_memory_stops_the_preparation_with_one_sentence(raw):
    with pytest.raises(StudyError, match=r"^engine_memory is too small"):
        prepared(raw, "reference", Engine(memory="1MB"))
