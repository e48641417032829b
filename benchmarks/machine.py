"""The machine that measures, and what one command takes of it: seconds, and memory at the peak."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
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
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peaks, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            peaks.append(_held(process.pid))
            ended.wait(LOOKS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        output, error = process.communicate()
    finally:
        ended.set()
        watcher.join()
    seconds = time.perf_counter() - start
    failed = error.strip().splitlines()[-1:] or [f"exit code {process.returncode}"] if process.returncode else [""]
    return Spent(seconds, max(peaks), output, failed[0])


def _held(process: int) -> float:
    """Return the gigabytes that a process and its descendants hold now."""
    total = 0
    try:
        one = psutil.Process(process)
        family = [one, *one.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total / GIGABYTE
