"""Faults that strike `make reproduce`: DVC with several stages behind it."""

import os
import random
import signal
import subprocess
import time

import pytest

from pipeline.runtime import places
from tests.faults import driver
from tests.faults.test_same_bytes import all_removed

COMMAND = ("dvc", "repro", "match@reference")
SECONDS = 600

pytestmark = pytest.mark.long


@pytest.fixture
def copy(beginning, tmp_path):
    """The first stages' folder before they ran."""
    return all_removed(beginning, tmp_path / "copy", driver.BEGINNING)


def start(folder, state):
    return subprocess.Popen(
        COMMAND,
        cwd=folder,
        env=driver.surroundings(state.mirror),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(folder, stage, process):
    """Wait until a stage runs."""
    lock = folder / places.LOCKS / f"{stage.name}@{stage.study}.lock"
    lock.unlink(missing_ok=True)
    while not (lock.exists() and lock.read_text()):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda by: by.name)
@pytest.mark.parametrize("stage", driver.BEGINNING, ids=str)
def test_the_next_reproduction_completes(stage, by, copy, beginning):
    process = start(copy, beginning)
    wait_for(copy, stage, process)
    time.sleep(random.Random(f"{stage} {by}").uniform(0, 0.5) * beginning.seconds[str(stage)])
    os.killpg(process.pid, by)
    process.communicate(timeout=SECONDS)
    if process.returncode == 0:
        # The last stage may have been done, with nothing left to stop but DVC; of those before it, others wait. While a
        # stage ends, DVC hears no Ctrl-C and goes on.
        assert stage == driver.BEGINNING[-1] or by == signal.SIGINT
        driver.assert_same(copy, beginning.files)
    driver.assert_whole(copy, beginning.files)
    again = start(copy, beginning)
    said = again.communicate(timeout=SECONDS)[0]
    assert again.returncode == 0, said
    assert driver.left_unfinished(copy) == []
    driver.assert_same(copy, beginning.files)


def test_the_second_of_two_reproductions_is_told(copy, beginning):
    """DVC says which process holds what the second wants; the first goes on."""
    first = start(copy, beginning)
    wait_for(copy, driver.BEGINNING[0], first)
    second = start(copy, beginning)
    said = second.communicate(timeout=SECONDS)[0]
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in said or "Unable to acquire lock" in said, said
    assert "Traceback" not in said
    said = first.communicate(timeout=SECONDS)[0]
    assert first.returncode == 0, said
    driver.assert_same(copy, beginning.files)
