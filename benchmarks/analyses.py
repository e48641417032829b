"""``python -m benchmarks.analyses``: time all analyses of a study, and write reports/analyses_benchmarks.md.

The nine stages run two at a time, the longest first, each in a process of its own as DVC runs them. Their results are
written again with the same bytes. A second run of each stage, under a profiler, says which estimators take its time.
"""

import argparse
import cProfile
import importlib
import importlib.metadata
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import processor
from pipeline.core import params
from pipeline.runtime import store

PAGE = Path("reports/analyses_benchmarks.md")

STAGES = (
    "adjust",
    "time",
    "effects",
    "robustness",
    "regress",
    "heterogeneity",
    "missing",
    "correlate",
    "mechanism",
)
"""The analyses, the longest first."""

AT_A_TIME = 2
TARGET = 60
"""Seconds that all analyses of the reference study may take on two cores."""

OUTSIDE = ("pipeline/stages/", "pipeline/analyses/", "pipeline/studies/", "pipeline/stats/estimators")
"""Who calls estimators: a call from here into `INSIDE` is a step of its own. `estimators` only calls others."""
INSIDE = ("pipeline/stats/", "pipeline/runtime/store.py", "pipeline/core/results.py")

SHOWN = 0.02
"""Share of a stage's processor time from which a step has a line of its own."""


class Measured(NamedTuple):
    """One run of a stage."""

    seconds: float
    processor: float
    """Processor time of the process and of those it waited for, in seconds."""
    peak: float
    """Most memory held at once, in GB."""


def measured(stage: str, study: str) -> Measured:
    """Run one stage in a process of its own; a stage that fails stops the benchmark."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", stage, "--study", study]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Measured(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024**2)


def together(study: str) -> tuple[float, dict[str, Measured]]:
    """Run all stages, `AT_A_TIME`, and return the time from the first start to the last end, and each stage's own."""
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        found = dict(zip(STAGES, pool.map(lambda stage: measured(stage, study), STAGES), strict=True))
    return time.perf_counter() - start, found


def steps(profile: pstats.Stats) -> Counter[str]:
    """Return the cumulative seconds of each function of `INSIDE` that a function of `OUTSIDE` calls."""

    def among(path: str, places: tuple[str, ...]) -> bool:
        return any(place in Path(path).as_posix() for place in places)

    found: Counter[str] = Counter()
    for (path, _, name), (*_, callers) in profile.stats.items():  # type: ignore[attr-defined]
        if among(path, INSIDE) and not among(path, OUTSIDE):
            from_outside = sum(times[3] for (caller, *_), times in callers.items() if among(caller, OUTSIDE))
            found[f"{Path(path).stem}.{name}"] += from_outside
    return found


def profiled(stage: str, study: str) -> None:
    """Run one stage in this process under a profiler, and print the share of each step as JSON."""
    watch = cProfile.Profile(time.process_time)
    checked = params.load()
    run = importlib.import_module(f"pipeline.stages.{stage}").run
    begin = time.process_time()
    watch.runcall(run, study, checked)
    total = time.process_time()
    found = steps(pstats.Stats(watch))
    shares = {"start and imports": begin / total} | {name: value / total for name, value in found.items()}
    print(json.dumps(shares))


def shares_of(stage: str, study: str) -> dict[str, float]:
    """Return each step's share of a stage's processor time, the largest first, with what is left for all others."""
    command = [sys.executable, "-m", "benchmarks.analyses", "--profile", stage, "--study", study]
    with tempfile.TemporaryFile("w+") as said:
        subprocess.run(command, check=True, stdout=said)
        said.seek(0)
        found: dict[str, float] = json.loads(said.readlines()[-1])
    shown = {name: share for name, share in sorted(found.items(), key=lambda one: -one[1]) if share >= SHOWN}
    return shown | {"the rest": max(1 - sum(shown.values()), 0.0)}


def page(study: str, runs: list[tuple[float, dict[str, Measured]]], shares: dict[str, dict[str, float]]) -> str:
    """Lay out the measurements."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pandas", "scikit-learn", "scipy")]
    walls = [wall for wall, _ in runs]
    median = statistics.median(walls)
    lines = [
        "# Benchmarks of the analyses",
        "",
        f"Measured by `python -m benchmarks.analyses --study {study}` on {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, {', '.join(versions)}. Each stage ran in a process "
        f"of its own, {AT_A_TIME} at a time, the longest first; medians of {len(runs)} with the smallest and largest "
        "beside them. Processor time is little moved by other work on the machine, the clock's time is.",
        "",
        f"## {study}",
        "",
        "| stage | median (s) | smallest | largest | processor (s) | peak (GB) |",
        "|:--|--:|--:|--:|--:|--:|",
    ]

    def line(name: str, seconds: list[float], busy: float, peak: float) -> str:
        figures = (statistics.median(seconds), min(seconds), max(seconds), busy)
        return f"| {name} | " + " | ".join(f"{value:.1f}" for value in figures) + f" | {peak:.2f} |"

    busy = {stage: statistics.median(found[stage].processor for _, found in runs) for stage in STAGES}
    peaks = {stage: max(found[stage].peak for _, found in runs) for stage in STAGES}
    lines += [line(stage, [found[stage].seconds for _, found in runs], busy[stage], peaks[stage]) for stage in STAGES]
    lines.append(line("all", walls, sum(busy.values()), max(peaks.values())))
    met = "Met" if median < TARGET else "Not met"
    lines += ["", f"Target for all analyses on two cores: under {TARGET} s. {met}.", ""]
    lines += ["## What takes the time", ""]
    lines.append(
        "Shares of each stage's processor time, from a run of its own under a profiler: every function of "
        f"`pipeline/stats` that a stage calls, with all it calls, where that is {SHOWN:.0%} or more."
    )
    for stage, found in shares.items():
        lines += ["", f"### {stage}", "", "| step | share |", "|:--|--:|"]
        lines += [f"| {name} | {share:.0%} |" for name, share in found.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyses", description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="reference")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", choices=STAGES, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.profile:
        profiled(options.profile, options.study)
        return
    runs = [together(options.study) for _ in range(options.repeat)]
    written = page(options.study, runs, {stage: shares_of(stage, options.study) for stage in STAGES})
    store.write_text(PAGE, written)
    print(written)


if __name__ == "__main__":
    main()
