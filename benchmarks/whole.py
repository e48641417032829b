"""Whole commands beside version 1's, DVC included: a study, or all of them, from raw tables to pages.

Each runs in a clone of its own in which every stage but the recovery is out of date, so that DVC hashes, runs, caches
and writes its lock files as it does for a reader; then once more with nothing to do.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine, since, stages
from benchmarks.history import Measurement, measurement
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError


class Command(NamedTuple):
    """What is run in version 1 and now, and most of version 1's time that it may take."""

    first: str
    now: str
    processor: float | None
    seconds: float | None


ONE, AGAIN = "the simulated study, from raw tables to pages", "the simulated study, nothing to do"
EVERY = "all studies, from raw files to pages"
STUDY = stages.SIMULATED

# What `make reproduce` and `make reproduce-all` asked of DVC then, and ask now.
FIRST_ONE = f"dvc repro -q report@{STUDY} notebook@{STUDY}"
FIRST_ALL = (
    "dvc stage list --name-only | sed -n 's/^report@//p' | xargs -P 2 -I STUDY "
    "dvc --wait-for-lock repro -q --keep-going report@STUDY notebook@STUDY && dvc repro -q --keep-going"
)
OURS = f"{shlex.quote(sys.executable)} -m pipeline reproduce --quiet --jobs 2"
COMMANDS = {
    ONE: Command(FIRST_ONE, f"{OURS} --study {STUDY}", 0.45, 0.4),
    AGAIN: Command(FIRST_ONE, f"{OURS} --study {STUDY}", None, None),
    EVERY: Command(FIRST_ALL, OURS, None, 0.5),
}
ADDED = "what DVC adds to a stage that runs"
MOST_ADDED = 2.0
"""Seconds of processor that DVC may add to a stage."""

LEFT = (
    "The stages' own time is most of it (the table above): the regressions that are read first are fitted by "
    "statsmodels and linearmodels, where version 1 had engines of its own, and pages and notebooks stand in two "
    "languages. While raw tables are simulated and prepared nothing else can run, and in the end pages wait for the "
    "last analysis. DVC starts once and not once a stage; what it adds is its lock file, which it reads and writes "
    "whole for every stage that ran. A lock for each study would be a seventh as long, and ask for a copy of the "
    "stages' description for each."
)
"""Why the whole takes what it takes now, by profiles."""

KEPT = ("recovery",)
"""Stages that stay up to date: the recovery's worlds are measured one by one."""


@contextmanager
def clone(version: str) -> Iterator[Path]:
    """Yield a clone of this repository at a version, in which all stages but `KEPT` are out of date."""
    with tempfile.TemporaryDirectory(prefix="whole-") as name:
        folder = Path(name)
        for command in (["clone", "-q", Path.cwd(), folder], ["-C", folder, "checkout", "-q", version]):
            done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
            if done.returncode:
                raise StudyError(f"{version} is not here: `git fetch --unshallow` brings it ({done.stderr.strip()}).")
        for pipeline in places.PIPELINES:
            lock = folder / pipeline.with_suffix(".lock")
            if lock.exists():
                lock.write_text(outdated(lock.read_text()))
        yield folder


def outdated(lock: str) -> str:
    """Return the text of a lock file in which every stage but `KEPT` was last run by another command."""

    def of(found: re.Match[str]) -> str:
        return found[0] if found[2] in KEPT else f"{found[1]}another command"

    return re.sub(r"(^  (\w+)(?:@\w+)?:\n    cmd: ).*", of, lock, flags=re.MULTILINE)


def measure(wanted: str) -> Iterator[Measurement]:
    """Yield what a command takes in version 1 and now: `ONE`, with `AGAIN` and what DVC adds, or `EVERY`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = [ONE, AGAIN] if wanted == ONE else [wanted]
    for by, version in ((since.FIRST, since.VERSION), ("ours", "HEAD")):
        with clone(version) as folder:
            around = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": path}
            for name in names:
                command = COMMANDS[name].first if by == since.FIRST else COMMANDS[name].now
                spent = machine.run(["sh", "-c", command], folder, around)
                if spent.error:
                    raise StudyError(f"{name}, {by}: {spent.error}")
                yield measurement(
                    "commands", STUDY, name, 1.0, [spent.seconds], spent.peak, by=by, processor=[spent.processor]
                )
                if name == ONE and by == "ours":
                    own = processor_of_stages(folder)
                    added = (spent.processor - sum(own)) / len(own)
                    yield measurement("commands", STUDY, ADDED, 1.0, [added], 0.0, processor=[added])


def processor_of_stages(folder: Path) -> list[float]:
    """Return the seconds of processor that each stage of the study took in a clone, as its log has them."""
    logs = sorted((folder / places.log(STUDY) / "times").glob("*.json"))
    return [json.loads(path.read_text())["processor_seconds"] for path in logs]
