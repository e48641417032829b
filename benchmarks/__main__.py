"""``make bench``: time the stages of every study and its matching, and write reports/benchmarks.md.

Stages run as DVC runs them, each in a process of its own, so a time includes start-up and imports. Their outputs are
written again with the same bytes. ``--study`` chooses a study (default: all that have been run here), ``--repeat`` how
often each stage is measured.
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.core import params, places, store
from pipeline.stats.design import term_values
from pipeline.stats.matching import nearest_neighbour, propensity_logit

NOT_TIMED = ("collect", "intake", "label", "recovery", "synthesis", "evidence")
"""Stages that wait for a network, or for every study, and the recovery, which has its own clock in the README."""

TARGET = 60
"""Seconds that all stages of a study may take one after the other."""


def stages_of(study: str) -> list[str]:
    """Return the stages that run for a study, in the order of dvc.yaml."""
    pipeline = params.read(Path("dvc.yaml"))
    members = {**pipeline["vars"][0], "studies": params.load().studies}
    each = {name: stage["foreach"][2:-1] for name, stage in pipeline["stages"].items() if "foreach" in stage}
    return [name for name, over in each.items() if name not in NOT_TIMED and study in members[over]]


def seconds(measured: Callable[[], object], repeat: int) -> list[float]:
    """Return how long each of `repeat` calls takes."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        measured()
        times.append(time.perf_counter() - start)
    return times


def run_stage(stage: str, study: str) -> None:
    """Run one stage in a process of its own."""
    subprocess.run([sys.executable, "-m", "pipeline", stage, "--study", study], check=True, stdout=subprocess.DEVNULL)


def matching(study: str, repeat: int) -> dict[str, list[float]]:
    """Time the propensity score and the matching itself on the study's cohort, in this process."""
    choices = params.load()
    protocol = choices.study(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    treated = cohort["treated"].to_numpy()
    covariates = term_values(cohort, protocol.matching.score)
    logit = propensity_logit(covariates, treated)
    stratum = cohort.groupby(protocol.matching.exact, observed=True).ngroup().to_numpy()
    loan_id = cohort["loan_id"].to_numpy()
    limit = choices.match.caliper and choices.match.caliper * float(logit.std(ddof=1))
    return {
        f"propensity score, {len(cohort):,} loans": seconds(lambda: propensity_logit(covariates, treated), repeat),
        f"matching, {len(cohort):,} loans, order {choices.match.order}": seconds(
            lambda: nearest_neighbour(treated, logit, stratum, loan_id, caliper=limit, order=choices.match.order),
            repeat,
        ),
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.machine()


def of_study(study: str, repeat: int) -> list[str]:
    """Return the lines of a study: its stages, each in a process of its own, and matching inside one."""
    stages = {stage: seconds(lambda stage=stage: run_stage(stage, study), repeat) for stage in stages_of(study)}
    total = sum(statistics.median(times) for times in stages.values())
    lines = ["", f"## {study}", "", "| stage | median (s) | smallest | largest | share |", "|:--|--:|--:|--:|--:|"]
    for stage, times in stages.items():
        median = statistics.median(times)
        lines.append(f"| {stage} | {median:.2f} | {min(times):.2f} | {max(times):.2f} | {median / total:.0%} |")
    met = "Met" if total < TARGET else "Not met"
    lines += [f"| all | {total:.2f} | | | |", "", f"Target for all stages: under {TARGET} s. {met}.", ""]
    lines += ["| inside a process | median (s) | smallest | largest |", "|:--|--:|--:|--:|"]
    for what, times in matching(study, 10 * repeat).items():
        lines.append(f"| {what} | {statistics.median(times):.4f} | {min(times):.4f} | {max(times):.4f} |")
    return lines


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--study")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    known = params.load().studies
    here = [name for name in known if (places.processed(name) / "cohort.parquet").exists()]
    packages = ("numpy", "pandas", "scikit-learn", "statsmodels")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    lines = [
        "# Benchmarks",
        "",
        f"Measured by `make bench` on {processor()}, {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}, {', '.join(versions)}. Medians, with the smallest and largest time beside them.",
    ]
    for study in [options.study] if options.study else here:
        lines += of_study(study, options.repeat)
    page = "\n".join(lines)
    store.write_text(Path("reports/benchmarks.md"), page)
    print(page)


if __name__ == "__main__":
    main()
