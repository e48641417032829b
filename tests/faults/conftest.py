"""What an undisturbed run gives, made once for all workers, and a folder in which it may be disturbed."""

import fcntl
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults import driver
from tests.test_end_to_end import clone

# What a shell starts in the background ignores Ctrl-C, and so would every stage that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Undisturbed(NamedTuple):
    """A folder in which stages ran, what its files are, and how long each stage took."""

    folder: Path
    mirror: Path
    files: dict[str, str]
    seconds: dict[str, float]


def make(home, stages, copy):
    """Run stages in a new copy, unless another worker did so before; return what they gave."""
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, mirror, record = home / "undisturbed", home / "mirror", home / "record.json"
        if not record.exists():
            # Another worker may have failed to make it.
            shutil.rmtree(folder, ignore_errors=True)
            copy(folder, mirror)
            around = driver.surroundings(mirror)
            seconds = {str(stage): driver.must_run(folder, stage, around) for stage in stages}
            record.write_text(json.dumps([driver.files(folder), seconds]))
    return Undisturbed(folder, mirror, *json.loads(record.read_text()))


def shared(tmp_path_factory, name):
    """Return a folder that all workers of this test run see."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / name


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    """All stages, undisturbed."""
    return make(shared(tmp_path_factory, "everything"), driver.every_stage(), driver.small_copy)


@pytest.fixture(scope="session")
def beginning(tmp_path_factory):
    """The first stages of the reference study, undisturbed and alone: some seconds."""
    return make(shared(tmp_path_factory, "beginning"), [driver.CODE, *driver.BEGINNING], clone)


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    """A small disk of its own where this user may mount one, else a folder."""
    folder = tmp_path_factory.mktemp("disk")
    if not driver.may_mount():
        yield folder
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def again(state, folder):
    """Return a copy of an undisturbed folder: the one that is there, unless a test that failed left it other."""
    if not folder.exists() or driver.files(folder) != state.files:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(state.folder, folder, symlinks=True)
    return folder


@pytest.fixture
def disturbed(disk, everything):
    """A copy on the small disk."""
    return again(everything, disk / "all")


@pytest.fixture
def disturbed_beginning(disk, beginning):
    """The same for the first stages."""
    return again(beginning, disk / "beginning")
