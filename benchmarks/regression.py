"""``python -m benchmarks.regression``: time regressions on made-up loans, and write reports/regression_benchmarks.md.

A logistic regression and a linear probability model with an effect for each lender and each quarter, errors clustered
by lender, on the same loans as pyfixest, linearmodels and statsmodels. Every measurement runs in a process of its own,
so that its peak of memory is its own; estimates and errors stand beside the times.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import processor
from pipeline.runtime import store

PAGE = Path("reports/regression_benchmarks.md")
LOANS, LENDERS, QUARTERS, CONTROLS = 1_000_000, 500, 40, 10
TARGETS = {"logit": (8.0, 2.5), "linear": (3.0, None)}
"""Seconds, and gigabytes at the peak, that ours may take for `LOANS` loans."""

PEERS = {"logit": ("pyfixest", "statsmodels"), "linear": ("pyfixest", "linearmodels")}
NAMES = {"logit": "Logistic regression", "linear": "Linear probability model"}

Found = tuple[float, float]
"""The coefficient of the programme and its standard error."""


def loans(number: int, seed: int = 1) -> pd.DataFrame:
    """Make up loans of lenders with habits of their own over ten years, a tenth of them in default."""
    rng = np.random.default_rng(seed)
    lender, quarter = rng.integers(0, LENDERS, number), rng.integers(0, QUARTERS, number)
    habit, season = 0.5 * rng.normal(size=LENDERS), 0.2 * rng.normal(size=QUARTERS)
    controls = {f"x{place}": rng.normal(size=number) for place in range(CONTROLS)}
    crm = (rng.random(number) < 1 / (1 + np.exp(1 - habit[lender] - 0.3 * controls["x0"]))).astype(float)
    index = -2.4 + habit[lender] + season[quarter] - 0.2 * crm + 0.4 * controls["x0"] - 0.2 * controls["x1"]
    default = (rng.random(number) < 1 / (1 + np.exp(-index))).astype(float)
    return pd.DataFrame({"default": default, "crm": crm, **controls, "lender": lender, "quarter": quarter})


def ours(frame: pd.DataFrame, what: str) -> Found:
    """Run this project's own regression."""
    from pipeline.stats.absorbed import absorbed_linear, absorbed_logit

    design = frame[["crm", *(f"x{place}" for place in range(CONTROLS))]]
    absorb = frame[["lender", "quarter"]]
    if what == "linear":
        found = absorbed_linear(frame["default"], design, ["crm"], absorb, frame["lender"], 0.95).effects["crm"]
        return found.estimate, found.std_error
    # Peers keep small groups as well.
    fit = absorbed_logit(frame["default"], design, "crm", absorb, frame["lender"], 0.95, smallest=1)
    found = fit.effects["crm"].odds_ratio
    return float(np.log(found.estimate)), found.std_error


def with_pyfixest(frame: pd.DataFrame, what: str) -> Found:
    """Run pyfixest's, which takes effects out by alternating projections."""
    import pyfixest

    formula = f"default ~ crm + {' + '.join(f'x{place}' for place in range(CONTROLS))} | lender + quarter"
    if what == "linear":
        fit = pyfixest.feols(formula, frame, vcov={"CRV1": "lender"})
    else:
        fit = pyfixest.feglm(formula, frame, family="logit", vcov={"CRV1": "lender"})
    return float(fit.coef()["crm"]), float(fit.se()["crm"])


def with_linearmodels(frame: pd.DataFrame, what: str) -> Found:
    """Run linearmodels' regression that absorbs effects: a lender has many loans a quarter, so no PanelOLS."""
    from linearmodels.iv.absorbing import AbsorbingLS

    absorb = frame[["lender", "quarter"]].astype("category")
    model = AbsorbingLS(frame["default"], frame[["crm", *(f"x{place}" for place in range(CONTROLS))]], absorb=absorb)
    fit = model.fit(cov_type="clustered", clusters=frame["lender"])
    return float(fit.params["crm"]), float(fit.std_errors["crm"])


def with_statsmodels(frame: pd.DataFrame, what: str) -> Found:
    """Run statsmodels' logistic regression with an indicator for each lender and quarter."""
    import statsmodels.api as sm

    names = ["crm", *(f"x{place}" for place in range(CONTROLS))]
    parts = [frame[names], *(pd.get_dummies(frame[name], dtype=float) for name in ("lender", "quarter"))]
    x = np.hstack([parts[0].to_numpy(), parts[1].to_numpy(), parts[2].to_numpy()[:, 1:]])
    fit = sm.Logit(frame["default"].to_numpy(), x).fit(
        method="newton", disp=False, cov_type="cluster", cov_kwds={"groups": frame["lender"].to_numpy()}
    )
    return float(fit.params[0]), float(fit.bse[0])


RUN: dict[str, Callable[[pd.DataFrame, str], Found]] = {
    "ours": ours,
    "pyfixest": with_pyfixest,
    "linearmodels": with_linearmodels,
    "statsmodels": with_statsmodels,
}


def measure(who: str, what: str, number: int, repeat: int) -> None:
    """Time one regression in this process and print times, peak of memory and what was found as JSON."""
    frame = loans(number)
    # Imports and compiled code are not the regression's time.
    if who != "statsmodels":
        RUN[who](loans(20_000, seed=2), what)
    times, processor_times, found = [], [], (float("nan"),) * 2
    for _ in range(repeat):
        start, processor_start = time.perf_counter(), time.process_time()
        found = RUN[who](frame, what)
        times.append(time.perf_counter() - start)
        processor_times.append(time.process_time() - processor_start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps({"times": times, "processor": processor_times, "peak": peak, "found": found}))


def measured_apart(who: str, what: str, number: int, repeat: int) -> dict | None:
    """Run `measure` in a process of its own; None where the package is missing or memory does not suffice."""
    if who != "ours" and importlib.util.find_spec(who) is None:
        return None
    command = [sys.executable, "-m", "benchmarks.regression", "--measure", who, what, str(number), str(repeat)]
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = os.environ | dict.fromkeys(threads, "1")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def of_kind(what: str, number: int, repeat: int, of_statsmodels: int) -> list[str]:
    """Return the lines of one regression: ours, the peers, and whether the targets are met."""
    lines = ["", f"## {NAMES[what]}", ""]
    head = ["loans, by", "median (s)", "smallest", "largest", "processor (s)", "peak (GB)", "coefficient", "error"]
    lines += ["| " + " | ".join([*head, "time, theirs / ours"]) + " |", "|:--|" + "--:|" * len(head)]
    medians: dict[tuple[str, int], float] = {}
    missing, peak = [], float("nan")
    # Indicators for every lender and quarter take gigabytes and minutes: statsmodels gets fewer loans, and so do we.
    runs = [("ours", number), *((who, number) for who in PEERS[what] if who != "statsmodels")]
    runs += [(who, of_statsmodels) for who in ("ours", "statsmodels") if what == "logit" and of_statsmodels]
    for who, size in runs:
        found = measured_apart(who, what, size, repeat if who != "statsmodels" else 1)
        if found is None:
            missing.append(f"{who} could not be measured here on {size:,} loans.")
            continue
        times = found["times"]
        medians[who, size] = statistics.median(times)
        if (who, size) == ("ours", number):
            peak = found["peak"]
        ratio = f"{medians[who, size] / medians['ours', size]:.1f}" if who != "ours" else ""
        cells = [f"{size:,}, {who}", *(f"{value:.2f}" for value in (medians[who, size], min(times), max(times)))]
        cells += [f"{statistics.median(found['processor']):.2f}", f"{found['peak']:.2f}"]
        cells += [f"{found['found'][0]:.8f}", f"{found['found'][1]:.8f}", ratio]
        lines.append("| " + " | ".join(cells) + " |")
    seconds, memory = TARGETS[what]
    if number == LOANS and ("ours", number) in medians:
        met = medians["ours", number] < seconds and (memory is None or peak < memory)
        aim = f"under {seconds:g} s" + ("" if memory is None else f" and {memory:g} GB")
        lines += ["", f"Target for {number:,} loans: {aim}. {'Met' if met else 'Not met'}."]
    return lines + [line for text in missing for line in ("", text)]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regression", description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs=4, metavar=("WHO", "WHAT", "LOANS", "REPEAT"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--loans", type=int, default=LOANS)
    parser.add_argument("--statsmodels", type=int, default=50_000, help="loans for statsmodels; 0 leaves it out")
    options = parser.parse_args()
    if options.measure:
        who, what, number, repeat = options.measure
        measure(who, what, int(number), int(repeat))
        return
    packages = ("numpy", "pyfixest", "linearmodels", "statsmodels")
    there = [name for name in packages if importlib.util.find_spec(name)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in there)
    lines = [
        "# Benchmarks of regressions",
        "",
        f"Measured by `python -m benchmarks.regression` on {processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}. Made-up loans of {LENDERS} lenders in {QUARTERS} quarters, "
        f"{CONTROLS + 1} regressors, an effect for each lender and each quarter, errors clustered by lender; medians "
        f"of {options.repeat} with the smallest and largest time beside them, and the processor's time, in which other "
        "work on the machine does not count. Each row ran in a process of its own on one core, after a first run on "
        "few loans that does not count; peak memory is that of the process, the data and imports included. "
        "Small-sample corrections differ between packages in the last digits of the error.",
    ]
    for what in NAMES:
        lines += of_kind(what, options.loans, options.repeat, options.statsmodels)
    page = "\n".join(lines)
    store.write_text(PAGE, page)
    print(page)


if __name__ == "__main__":
    main()
