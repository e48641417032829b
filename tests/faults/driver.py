"""A small copy of the repository in which stages run as people run them, and in which things go wrong."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import params, yaml
from pipeline.runtime import places, store
from tests.own_loans import english_csv
from tests.sample import write_mirror
from tests.test_end_to_end import clone

ROOT = Path(__file__).parents[2]
HOOKS = Path(__file__).parent / "hooks"
TREES = ("data", "notebooks", "reports")
"""Where stages write."""

CLONE_NEWNS = 0x20000
"""Linux's name for a process's own view of what is mounted."""

STUDIES = {"collect": "lendingclub", "intake": "mine", "label": "mine"}
"""Stages that the reference study does not have, with a study that has them."""


class Stage(NamedTuple):
    """A stage as it is run."""

    name: str
    study: str | None

    def __str__(self):
        return " ".join(filter(None, self))

    @property
    def log(self):
        """Its log, without its ending."""
        return places.log(self.study) / f"{self.name}.json"


CODE = Stage("code", None)
"""What DVC runs before any of the others."""

BEGINNING = [Stage(name, "reference") for name in ("simulate", "prepare", "match")]


def every_stage():
    """Return all stages of DVC in their order, each with one study."""
    stages = yaml.stages(ROOT)
    return [
        Stage(name, STUDIES.get(name, "reference") if "foreach" in stage else None) for name, stage in stages.items()
    ]


def small_copy(folder, mirror):
    """Copy the repository with a small reference study, made-up Lending Club loans, a reader's own file and reports."""
    write_mirror(mirror, 1500, seed=1)
    clone(folder, mirror)
    shutil.copytree(ROOT / "reports", folder / "reports", dirs_exist_ok=True, ignore=shutil.ignore_patterns("log"))
    english_csv(folder / "loans.csv", 800)
    command = [sys.executable, "-m", "pipeline", "init-study", "mine", "--data", "loans.csv"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    loans_of_others(folder)
    return folder


def loans_of_others(folder):
    """Put some loans where the synthesis reads those of real lenders, whose stages are not run here."""
    chosen, rng = params.load(), np.random.default_rng(1)
    for name, protocol in {name: chosen.study(name) for name in chosen.compared}.items():
        if not protocol.simulated:
            loans = pd.DataFrame({factor: rng.normal(size=50) for factor in protocol.factors})
            target = folder / places.processed(name) / "cohort.parquet"
            target.parent.mkdir(parents=True)
            loans.assign(credit_grade=pd.Categorical(rng.choice(["A", "B"], 50))).to_parquet(target)


def surroundings(mirror, **changed):
    """Return the environment in which stages run; a value None leaves a variable out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    inherited |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "CRM_DATA_MIRROR": str(mirror)}
    # A package that looks for Spark is warned by it of versions, where it is installed.
    inherited["PYTHONWARNINGS"] = "ignore::FutureWarning"
    return {name: value for name, value in (inherited | changed).items() if value is not None}


def start(folder, stage, environment, *options, python=sys.executable, before=()):
    """Start a stage in a group of its own, so that whatever it started can be ended with it."""
    study = ("--study", stage.study) if stage.study else ()
    return subprocess.Popen(
        [*before, python, "-m", "pipeline", stage.name, *study, *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


class Ended(NamedTuple):
    """How a process ended and what it said."""

    code: int
    said: str
    seconds: float


def end(process, after=None, by=signal.SIGKILL):
    """Wait until a process ends; after so many seconds end it by a signal."""
    began = time.monotonic()
    while True:
        try:
            out, err = process.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            if process.poll() is None and (after is None or time.monotonic() - began < after):
                continue
            if process.poll() is None:
                process.send_signal(by)
                process.wait()
            # Its workers may outlive it by minutes, and hold what it says open.
            end_group(process)
        else:
            end_group(process)
            return Ended(process.returncode, out + err, time.monotonic() - began)


def end_group(process):
    """End what a process left running."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run(folder, stage, environment, *options, **more):
    """Run a stage and return how it ended."""
    return end(start(folder, stage, environment, *options, **more))


def must_run(folder, stage, environment, **more):
    """Run a stage that must end well; return its seconds."""
    ended = run(folder, stage, environment, **more)
    assert ended.code == 0, f"{stage}: {ended.said}"
    return ended.seconds


def files(folder):
    """Return the checksum of every file that stages wrote, by path; logs tell of runs and are left out."""
    found = {}
    for tree in TREES:
        for path in sorted((folder / tree).rglob("*")):
            place = path.relative_to(folder)
            if path.is_file() and "log" not in place.parts:
                found[place.as_posix()] = sha256(path.read_bytes()).hexdigest()
    return found


def written(folder, stage):
    """Return the files that the last run of a stage wrote."""
    return [entry["file"] for entry in json.loads((folder / stage.log).read_text())["written"]]


def remove_written(folder, stage, undisturbed):
    """Remove what a stage writes in an undisturbed run, as DVC does before it runs one."""
    for name in written(undisturbed, stage):
        (folder / name).unlink(missing_ok=True)


def left_unfinished(folder):
    """Return files that somebody began to write and did not name."""
    return [path for tree in TREES for path in (folder / tree).rglob(f".*{store.UNFINISHED}")]


def assert_whole(folder, undisturbed):
    """Assert that every file holds what an undisturbed run gives, or is marked as unfinished: none is half written."""
    contents = set(undisturbed.values())
    for name, checksum in files(folder).items():
        assert checksum in contents or name.endswith(store.UNFINISHED), f"{name} is neither old nor new"


def assert_same(folder, undisturbed):
    """Assert that a folder holds the files of an undisturbed run and no others."""
    found = files(folder)
    differ = sorted(name for name in found.keys() | undisturbed.keys() if found.get(name) != undisturbed.get(name))
    assert not differ, f"other than after an undisturbed run: {differ}"


@cache
def may_mount():
    """Say whether this user may mount file systems; from then on they are this process's own and end with it."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return False
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode == 0


@contextmanager
def full(folder, room):
    """Fill the disk on which `folder` lies until `room` bytes are left."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        with suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(1 << 20))
        os.ftruncate(file.fileno(), max(filler.stat().st_size - room, 0))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder):
    """Let nobody, not even root, write into a folder."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
