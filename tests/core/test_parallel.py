"""The same results in the same order from processes of this machine and from a Dask cluster that loses a worker."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.shared import Parallel
from pipeline.runtime import parallel
from pipeline.runtime.errors import StudyError
from pipeline.runtime.parallel import each

ROOT = Path(__file__).parents[2]
LOKY = Parallel(backend="loky", address=None, workers=2)
ITEMS = list(range(24))


def dask(address):
    return Parallel(backend="dask", address=address, workers=1)


def folder_of(_):
    return Path.cwd()


def test_processes_of_an_earlier_call_work_in_the_folder_of_this_one(tmp_path, monkeypatch):
    for name in ("earlier", "later"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(each(folder_of, ITEMS, LOKY)) == {tmp_path / name}


@contextmanager
def cluster(folder, workers, where=ROOT):
    """Start a scheduler and workers on loopback; yield its address and the workers' processes."""
    started = []
    file = folder / "scheduler.json"
    path = {"PYTHONPATH": ""} | {"PYTHONSAFEPATH": "1" if where is not ROOT else ""}
    environment = os.environ | {"DASK_TEMPORARY_DIRECTORY": str(folder), **path}

    def start(*arguments):
        command = (sys.executable, "-m", "dask", *arguments, "--no-dashboard")
        log = (folder / f"{len(started)}.log").open("w")
        started.append(subprocess.Popen(command, cwd=where, env=environment, stdout=log, stderr=log))
        return started[-1]

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        options = ("--scheduler-file", str(file), "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1")
        processes = [start("worker", *options) for _ in range(workers)]
        deadline = time.monotonic() + 120
        while not (file.exists() and '"address"' in file.read_text()):
            assert time.monotonic() < deadline and started[0].poll() is None, (folder / "0.log").read_text()
            time.sleep(0.05)
        yield pd.read_json(file, typ="series")["address"], processes
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module", autouse=True)
def patience():
    """A machine that runs many tests at once is slow to start processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "PATIENCE", 120)
        yield


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster"), workers=1) as (address, _):
        yield address


def slow_sum(folder, item):
    """Leave a sign of who computes what, and take a while."""
    (folder / f"{item}.{os.getpid()}").touch()
    time.sleep(0.1)
    return item, float(np.random.default_rng(item).normal(size=1000).sum())


def signs(folder):
    return [tuple(map(int, path.name.split("."))) for path in folder.iterdir()]


def test_a_cluster_that_loses_a_worker_gives_what_this_machine_gives(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    expected = list(each(partial(slow_sum, here), ITEMS, LOKY))
    with cluster(tmp_path, workers=2) as (address, workers):
        results = each(partial(slow_sum, there), ITEMS, dask(address))
        found = [next(results)]
        deadline = time.monotonic() + 120
        while len({process for _, process in signs(there)}) < 2:
            assert time.monotonic() < deadline, "the second worker has computed nothing"
            found.append(next(results))
        lost = workers[0]
        lost.send_signal(signal.SIGKILL)
        lost.wait()
        found += results
    assert found == expected
    assert [item for item, _ in found] == ITEMS
    # The lost worker had begun something; whatever it had not handed over was computed by the other one.
    assert lost.pid in {process for _, process in signs(there)}


def test_draws_do_not_depend_on_where_they_are_made(address):
    values = np.random.default_rng(1).normal(size=200)

    def mean(draw):
        return float(values[np.random.default_rng([7, draw]).integers(0, 200, 200)].mean())

    one = [mean(draw) for draw in range(20)]
    for settings in (LOKY, dask(address)):
        assert list(each(mean, range(20), settings)) == one


def test_an_error_of_a_task_comes_out_as_it_is(address):
    for settings in (LOKY, dask(address)):
        with pytest.raises(ZeroDivisionError):
            list(each(lambda item: 1 / item, [1, 0], settings))
        with pytest.raises(StudyError, match=r"^too few loans$"):
            list(each(too_few, [1], settings))
        with pytest.raises(TimeoutError, match=r"^of the task$"):
            list(each(late, [1], settings))


def too_few(item):
    raise StudyError("too few loans")


def late(item):
    raise TimeoutError("of the task")


def test_results_come_while_others_are_computed_and_are_counted_on_a_terminal(address, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for settings in (LOKY, dask(address)):
        assert list(each(abs, [-1, 2, -3], settings, label="numbers")) == [1, 2, 3]
        said = capsys.readouterr().err
        # 3/3 [time taken<time left, ...
        assert "numbers: 100%" in said and re.search(r"3/3 \[\d\d:\d\d<", said)
        assert list(each(abs, [], settings)) == []
        # Whoever takes one result alone leaves nothing behind.
        assert next(each(abs, [-1, 2], settings)) == 1


def test_workers_with_other_code_compute_nothing(address, monkeypatch):
    other = parallel.surroundings() | {"code": "of another day"}
    monkeypatch.setattr(parallel, "surroundings", lambda: other)
    with pytest.raises(StudyError, match=r"^parallel\.address: a worker .* code \w+ instead of of another day"):
        list(each(abs, [1], dask(address)))


def test_where_dask_is_not_installed_it_is_said_what_adds_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        StudyError, match=r"^parallel\.backend: dask needs packages .*\(distributed\): make \.venv/dask"
    ):
        list(each(abs, [1], dask("tcp://127.0.0.1:8786")))


@pytest.mark.long
def test_workers_without_the_code_are_named(tmp_path):
    unknown = pytest.raises(StudyError, match=r"^parallel\.address: the cluster at tcp.* cannot load this study's code")
    with cluster(tmp_path, workers=1, where=tmp_path) as (address, _), unknown:
        list(each(abs, [1], dask(address)))


@pytest.mark.long
def test_a_scheduler_that_does_not_answer_or_has_no_worker_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(StudyError, match=rf"^parallel\.address: no Dask scheduler answers at {nobody}"):
        list(each(abs, [1], dask(nobody)))
    with cluster(tmp_path, workers=0) as (address, _):
        monkeypatch.setattr(parallel, "PATIENCE", 5)
        with pytest.raises(StudyError, match=rf"^parallel\.address: the scheduler at {address} has no worker"):
            list(each(abs, [1], dask(address)))


def _holding(size):
    """Fill memory, and keep it while the next items are computed."""
    _KEPT.append(np.ones(size))
    time.sleep(1.2)
    return len(_KEPT)


_KEPT = []


@pytest.mark.long
def test_processes_that_keep_memory_are_renewed_without_a_word(recwarn):
    assert len(list(each(_holding, [40_000_000] * 8, LOKY))) == 8
    assert not [one for one in recwarn if "worker stopped" in str(one.message)]
