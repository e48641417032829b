"""The machine that measures, and what one command takes of it: seconds, and memory at the peak."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

PACKAGES = ("numpy", "pandas", "pyarrow", "duckdb", "scikit-learn", "statsmodels", "linearmodels", "pyfixest")
GIGABYTE = 1024**3
LOOKS = 0.2
"""Seconds between two looks at a command's memory."""


class Spent(NamedTuple):
    """What a command took."""

    seconds: float
    processor: float
    """Seconds of processor time, of the process and of those that it waited for: other work on the machine hardly
    moves it."""
    peak: float
    """Gigabytes that it and its workers held at most; what they share counts for each."""
    output: str
    error: str
    """Last line of its complaint when it failed, else nothing."""


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.machine()


def memory() -> float:
    """Return the machine's memory in gigabytes."""
    return psutil.virtual_memory().total / GIGABYTE


def name() -> str:
    """Return what tells machines apart here: processor, cores, memory and system."""
    return f"{processor()}, {os.cpu_count()} cores, {memory():.0f} GB, {platform.system()}"


def versions() -> str:
    """Return Python and the packages that compute, those that are installed."""
    there = []
    for package in PACKAGES:
        try:
            there.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join([f"Python {platform.python_version()}", *there])


def code() -> str:
    """Return the short name of the code's version, or nothing outside a Git repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def run(command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Spent:
    """Run a command and watch the memory of its process and of all that it starts."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as error:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=error)
        with watched(process.pid) as peak:
            # Unlike `wait`, this tells what the process took.
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        error.seek(0)
        said, complaint = output.read(), error.read().strip().splitlines()
    failed = (complaint[-1:] or [f"exit code {process.returncode}"]) if process.returncode else [""]
    return Spent(seconds, used.ru_utime + used.ru_stime, peak[0], said, failed[0])


@contextmanager
def watched(process: int, *, itself: bool = True) -> Iterator[list[float]]:
    """Watch a process and all that it starts; the one number in the list is what they held at most, in gigabytes.

    Without `itself` only what it starts counts.
    """
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            peak[0] = max(peak[0], _held(process, itself))
            ended.wait(LOOKS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _held(process: int, itself: bool) -> float:
    """Return the gigabytes that the descendants of a process hold now, and it `itself`."""
    total = 0
    try:
        one = psutil.Process(process)
        family = [*([one] if itself else []), *one.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total / GIGABYTE
