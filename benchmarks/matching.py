"""``python -m benchmarks.matching``: time matching on made-up loans, and write reports/matching_benchmarks.md.

Every measurement runs in a process of its own, so that its peak of memory is its own. MatchIt is measured on the same
loans when R and the package are installed; otherwise the page gives no ratio.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import processor
from pipeline.runtime import store
from pipeline.runtime.errors import StudyError

PAGE = Path("reports/matching_benchmarks.md")
SIZES = (40_000, 200_000, 1_000_000, 4_000_000)
KEYS = ("grade", "loan_type", "quarter")

MATCHIT = """
suppressMessages(library(MatchIt))
loans <- read.csv(commandArgs(TRUE)[1])
keys <- if (commandArgs(TRUE)[2] == "keys") ~ grade + loan_type + quarter else NULL
m <- function() matchit(treated ~ score, loans, method = "nearest", distance = loans$score, exact = keys,
                        caliper = 0.2, m.order = commandArgs(TRUE)[3])
for (i in 1:as.integer(commandArgs(TRUE)[4])) cat(system.time(m())[["elapsed"]], "")
"""


def loans(number: int, seed: int = 1) -> pd.DataFrame:
    """Make up loans, a fifth of them treated: ten covariates, three exact keys, a score and an outcome."""
    rng = np.random.default_rng(seed)
    covariates = {f"x{place}": rng.normal(size=number) for place in range(10)}
    index = 0.4 * covariates["x0"] - 0.3 * covariates["x1"] + 0.2 * covariates["x2"]
    treated = (rng.random(number) < 1 / (1 + np.exp(1.5 - index))).astype(int)
    default = (rng.random(number) < 1 / (1 + np.exp(2 - 0.5 * index + 0.2 * treated))).astype(int)
    keys = {"grade": rng.integers(0, 7, number), "loan_type": rng.integers(0, 10, number)}
    return pd.DataFrame(
        {
            "treated": treated,
            "default": default,
            "score": index.round(6),
            **keys,
            "quarter": rng.integers(0, 3, number),
            **covariates,
        }
    )


def pair_up(frame: pd.DataFrame, keys: bool, order: str) -> int:
    """Match one to one within a caliper of 0.2 standard deviations, with or without the three keys."""
    from pipeline.stats.matching import nearest_neighbour
    from pipeline.stats.ties import priorities

    stratum = np.zeros(len(frame), dtype=np.int64)
    if keys:
        for key in KEYS:
            stratum = 10 * stratum + frame[key].to_numpy()
    score = frame["score"].to_numpy()
    caliper = 0.2 * float(score.std(ddof=1))
    found = nearest_neighbour(
        frame["treated"].to_numpy(),
        score,
        stratum,
        priorities(np.arange(len(frame)), 1),
        caliper=caliper,
        order=order,
    )
    return len(found.treated)


def chain(frame: pd.DataFrame) -> int:
    """Fit the score, match, compare ten covariates, and estimate the effect with errors clustered by pair."""
    from benchmarks.measures import weighted_difference
    from pipeline.stats.balance import balance
    from pipeline.stats.matching import nearest_neighbour
    from pipeline.stats.scores import propensity_logit
    from pipeline.stats.ties import priorities

    covariates, treated = frame[[f"x{place}" for place in range(10)]], frame["treated"].to_numpy()
    logit = propensity_logit(covariates, treated)
    stratum = (100 * frame["grade"] + 10 * frame["loan_type"] + frame["quarter"]).to_numpy()
    priority = priorities(np.arange(len(frame)), 1)
    found = nearest_neighbour(treated, logit, stratum, priority, caliper=0.2 * float(logit.std(ddof=1)))
    rows = np.concatenate(found)
    before = balance(covariates, treated)
    balance(covariates.iloc[rows], treated[rows], before["scale"])
    pairs = np.tile(np.arange(len(found.treated)), 2)
    default = frame["default"].to_numpy()[rows]
    weighted_difference(default, treated[rows], np.ones(len(rows)), 0.95, clusters=pairs)
    return len(found.treated)


def measure(what: str, number: int, repeat: int) -> None:
    """Time one thing in this process and print times, peak of memory and the number of pairs as JSON."""
    frame = loans(number)
    kind, *choices = what.split(":")
    measured = {
        "match": lambda: pair_up(frame, choices[0] == "keys", choices[1]),
        "chain": lambda: chain(frame),
    }[kind]
    times, processor_times, count = [], [], 0
    for _ in range(repeat):
        start, processor_start = time.perf_counter(), time.process_time()
        count = measured()
        times.append(time.perf_counter() - start)
        processor_times.append(time.process_time() - processor_start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps({"times": times, "processor": processor_times, "peak": peak, "count": count}))


def measured_apart(what: str, number: int, repeat: int) -> dict:
    """Run `measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.matching", "--measure", what, str(number), str(repeat)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def matchit(number: int, keys: str, order: str, repeat: int) -> float | None:
    """Return MatchIt's median time on the same loans, or None where R or the package is missing.

    Raises StudyError where it is there and does not match, such as by an order that its version does not know.
    """
    if not shutil.which("Rscript"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loans.csv"
        loans(number).to_csv(path, index=False)
        script = Path(folder) / "matchit.R"
        script.write_text(MATCHIT)
        done = subprocess.run(
            ["Rscript", str(script), str(path), keys, order, str(repeat)], capture_output=True, text=True
        )
    if done.returncode and "no package called" in done.stderr:
        return None
    if done.returncode:
        raise StudyError(f"MatchIt does not match {number:,} loans by {order}: {' '.join(done.stderr.split())[:300]}")
    return statistics.median(map(float, done.stdout.split()))


def exponent(sizes: list[int], times: list[float]) -> float:
    """Return the slope of log time on log size: 1 is linear growth."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def line(what: str, found: dict, *more: str) -> str:
    """Lay out one row of a table."""
    times = found["times"]
    cells = [what, *(f"{value:.3f}" for value in (statistics.median(times), min(times), max(times)))]
    cells += [f"{statistics.median(found['processor']):.3f}", f"{found['peak']:.2f}"]
    return "| " + " | ".join([*cells, *more]) + " |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching", description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs=3, metavar=("WHAT", "LOANS", "REPEAT"))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="most loans to match")
    options = parser.parse_args()
    if options.measure:
        what, number, repeat = options.measure
        measure(what, int(number), int(repeat))
        return
    lines = [
        "# Benchmarks of matching",
        "",
        f"Measured by `python -m benchmarks.matching` on {processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}. Made-up loans, a fifth of them treated; medians of {options.repeat} with "
        "the smallest and largest time beside them, and the processor's time, in which other work on the machine does "
        "not count. Each row ran in a process of its own on one core; peak memory is that of the process, the data and "
        "imports included.",
        "",
        "## One control for each treated loan, caliper 0.2",
        "",
        "| loans, keys, order | median (s) | smallest | largest | processor (s) | peak (GB) | pairs | MatchIt / ours |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    medians: dict[tuple[str, str], list[float]] = {}
    sizes = [size for size in SIZES if size <= options.largest]
    for keys, name in (("keys", "three exact keys"), ("none", "no keys")):
        for order in ("closest", "largest"):
            for size in sizes:
                found = measured_apart(f"match:{keys}:{order}", size, options.repeat)
                median = statistics.median(found["times"])
                medians.setdefault((name, order), []).append(statistics.median(found["processor"]))
                try:
                    peer = matchit(size, keys, order, options.repeat) if size <= 1_000_000 else None
                except StudyError as error:
                    print(error, file=sys.stderr)
                    peer = None
                ratio = "" if peer is None else f"{peer / median:.1f}"
                lines.append(line(f"{size:,}, {name}, {order}", found, f"{found['count']:,}", ratio))
    if not shutil.which("Rscript"):
        lines += ["", "R is not installed here, so there are no ratios."]
    lines += ["", "Growth: the exponent of the processor's time by number of loans (1 is linear).", ""]
    lines += ["| keys, order | exponent |", "|:--|--:|"]
    lines += [f"| {name}, {order} | {exponent(sizes, times):.2f} |" for (name, order), times in medians.items()]
    lines += ["", "## Whole analyses", "", "| what | median (s) | smallest | largest | processor (s) | peak (GB) |"]
    lines.append("|:--|--:|--:|--:|--:|--:|")
    what = "score, pairs, balance of ten covariates, pair-clustered effect: 1,000,000 loans"
    lines.append(line(what, measured_apart("chain", 1_000_000, options.repeat)))
    page = "\n".join(lines)
    store.write_text(PAGE, page)
    print(page)


if __name__ == "__main__":
    main()
