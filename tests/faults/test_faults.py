"""Whatever happens to a run: no file is half written, and the next run gives what an undisturbed one does."""

import fcntl
import random
import signal
import time

import pytest

from pipeline.runtime import places
from tests.faults import driver
from tests.faults.driver import BEGINNING, every_stage

TRIES = 4


def chance(stage, what):
    """Return draws that are the same whenever this fault strikes this stage."""
    return random.Random(f"{stage} {what}")


def in_writing(stage, undisturbed, what):
    """Say at which of its files a stage is struck when it has written it and not yet named it."""
    return chance(stage, what).randint(1, len(driver.written(undisturbed, stage)))


def killed_at_random(stage, folder, state, around):
    """Kill the run at a random moment of its usual time; the old files are in place."""
    after = chance(stage, "moment").uniform(0.1, 0.95) * state.seconds[str(stage)]
    for attempt in range(TRIES):
        ended = driver.end(driver.start(folder, stage, around), after / 2**attempt)
        if ended.code == -signal.SIGKILL:
            return
    pytest.fail(f"{stage} always ended before it was killed: {ended.said}")


def killed_in_writing(stage, folder, state, around):
    """Kill the run when it has written a file and not yet given it its name."""
    fault = f"SIGKILL os.rename {in_writing(stage, state.folder, 'killed')}"
    driver.remove_written(folder, stage, state.folder)
    ended = driver.run(folder, stage, around | {"PYTHONPATH": str(driver.HOOKS), "FAULT": fault})
    assert ended.code == -signal.SIGKILL, ended.said


def stopped_in_writing(stage, folder, state, around):
    """Ask the run to end, by Ctrl-C or by kill, when it has written a file and not yet given it its name."""
    by = chance(stage, "stopped").choice(("SIGINT", "SIGTERM"))
    fault = f"{by} os.rename {in_writing(stage, state.folder, 'stopped')}"
    driver.remove_written(folder, stage, state.folder)
    ended = driver.run(folder, stage, around | {"PYTHONPATH": str(driver.HOOKS), "FAULT": fault})
    assert ended.code == 130, ended.said
    assert f"{stage}: interrupted: " in ended.said
    assert "Traceback" not in ended.said
    assert driver.left_unfinished(folder) == []


def disk_full(stage, folder, state, around):
    """Leave half the room on the disk that the stage needs."""
    names = set(driver.written(state.folder, stage)) & set(state.files)
    room = sum((state.folder / name).stat().st_size for name in names) // 2
    driver.remove_written(folder, stage, state.folder)
    if driver.may_mount():
        with driver.full(folder, room):
            ended = driver.run(folder, stage, around)
    else:
        # Without a disk of its own: the system's answer is put in its mouth.
        hook = {"PYTHONPATH": str(driver.HOOKS), "FAULT": "ENOSPC tempfile.mkstemp 1"}
        ended = driver.run(folder, stage, around | hook)
    assert ended.code == 1, ended.said
    assert "No space left on device" in ended.said
    assert "Traceback" not in ended.said


def folder_read_only(stage, folder, state, around):
    """Let nobody write where the stage writes."""
    first = folder / driver.written(state.folder, stage)[0]
    driver.remove_written(folder, stage, state.folder)
    first.parent.mkdir(parents=True, exist_ok=True)
    if driver.may_mount():
        with driver.read_only(first.parent):
            ended = driver.run(folder, stage, around)
    else:
        hook = {"PYTHONPATH": str(driver.HOOKS), "FAULT": "EROFS tempfile.mkstemp 1"}
        ended = driver.run(folder, stage, around | hook)
    assert ended.code == 1, ended.said
    assert "Read-only file system" in ended.said
    assert "change its rights" in ended.said
    assert "Traceback" not in ended.said


def locked(stage, folder, state, around):
    """Let another process hold the stage's lock."""
    lock = folder / places.LOCKS / f"{str(stage).replace(' ', '@')}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("process 1")
        file.flush()
        ended = driver.run(folder, stage, around)
    assert ended.code == 1
    assert ended.said == f"{stage}: another run of it is under way (process 1): wait until it ends, or stop it.\n"
    driver.assert_same(folder, state.files)


FAULTS = (
    (killed_at_random, killed_in_writing),
    (locked, stopped_in_writing),
    (disk_full, folder_read_only),
)
"""Which strike a stage one after the other: the second meets what the first has left behind."""


def strike(faults, stage, folder, state):
    """Let faults strike a stage; nothing is half written, and the next run gives what an undisturbed one does."""
    around = driver.surroundings(state.mirror)
    for fault in faults:
        fault(stage, folder, state, around)
        driver.assert_whole(folder, state.files)
    driver.must_run(folder, stage, around)
    assert driver.left_unfinished(folder) == []
    driver.assert_same(folder, state.files)


@pytest.mark.long
@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: ", ".join(fault.__name__ for fault in faults))
@pytest.mark.parametrize("stage", every_stage(), ids=str)
def test_a_stage_recovers(stage, faults, disturbed, everything):
    strike(faults, stage, disturbed, everything)


@pytest.mark.long
def test_an_early_stage_recovers(disturbed_beginning, beginning):
    strike([killed_at_random, stopped_in_writing, disk_full], BEGINNING[2], disturbed_beginning, beginning)


@pytest.mark.long
def test_the_second_of_two_runs_is_told_of_the_first_and_another_study_does_not_wait(disturbed_beginning, beginning):
    """The lock is one of a stage and a study: two studies may go through a stage together."""
    folder, stage = disturbed_beginning, BEGINNING[1]
    around = driver.surroundings(beginning.mirror)
    lock = folder / places.LOCKS / f"{stage.name}@{stage.study}.lock"
    lock.unlink(missing_ok=True)
    with (folder / places.LOCKS / f"{stage.name}@sba.lock").open("w") as of_another_study:
        fcntl.flock(of_another_study, fcntl.LOCK_EX)
        first = driver.start(folder, stage, around)
        while not (lock.exists() and lock.read_text()):
            assert first.poll() is None
            time.sleep(0.01)
        second = driver.run(folder, stage, around)
        assert second.code == 1
        assert second.said.startswith(f"{stage}: another run of it is under way (process {first.pid}, since ")
        assert driver.end(first).code == 0
    driver.assert_same(folder, beginning.files)
