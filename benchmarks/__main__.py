"""``make bench``: measure this repository and write reports/benchmarks.md from all that was measured on this machine.

Parts: ``since`` (each stage of the simulated study beside version 1), ``commands`` (whole commands beside it, DVC
included; all studies only when asked for by ``--everything``), ``stages`` (each stage of each study, the
simulated one also at larger scales), ``matching`` and ``regression`` (beside other packages, those that are installed),
``large`` (ten million loans) and ``months`` (preparation of a hundred million loan-months). Each measurement is added
to reports/benchmarks_history.csv, and the page written, when it is made, so an interruption loses what was under way
and no more, and ``--only`` renews one part of the page.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import history, large, matching, months, page, regression, since, stages, whole
from benchmarks.history import Measurement, measurement
from pipeline.runtime.errors import StudyError

Job = Callable[[], Iterator[Measurement]]

PARTS = ("since", "commands", "stages", "matching", "regression", "large", "months")
PAIRED = (40_000, 200_000, 1_000_000)
"""Loans to match beside MatchIt; `benchmarks.matching` does more."""

FEW = 50_000
"""Loans of a regression beside statsmodels."""


def of_stages(options: argparse.Namespace) -> Iterator[tuple[str, Job]]:
    """Yield, study by study, what measures its stages; the simulated study is measured at every scale."""
    for study in options.study or stages.here():
        scales = sorted(set(options.scales)) if study == stages.SIMULATED else [1.0]
        for scale in scales:
            # Larger studies take minutes a stage: once is enough.
            repeat = options.repeat if scale == 1 else 1
            job = partial(stages.measure, study, scale, repeat, options.stages, options.at_a_time)
            yield f"{study} at scale {scale:g}", job


def of_matching(options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield pairs of this repository's and of MatchIt's making, where R has it."""
    for size in PAIRED:
        # MatchIt knows the order `closest` from version 4.6 on; both know this one.
        found = matching.measured_apart("match:keys:largest", size, options.repeat)
        what = ("matching", "matching", "pairs by three keys, largest score first")
        yield measurement(*what, size, found["times"], found["peak"])
        peer = matching.matchit(size, "keys", "largest", options.repeat)
        if peer is not None:
            yield measurement(*what, size, [peer], float("nan"), by="MatchIt")


def of_regression(options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield regressions with effects of lenders and quarters by this repository and by each peer."""
    for what, name in regression.NAMES.items():
        peers = regression.PEERS[what]
        runs = [(who, regression.LOANS) for who in ("ours", *peers) if who != "statsmodels"]
        if "statsmodels" in peers:
            # Indicators for every lender take gigabytes and minutes: it gets fewer loans, and so do we.
            runs += [("ours", FEW), ("statsmodels", FEW)]
        for who, size in runs:
            found = regression.measured_apart(who, what, size, 1 if who == "statsmodels" else options.repeat)
            if found is not None:
                yield measurement("regression", "regression", name, size, found["times"], found["peak"], by=who)


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, Job]]:
    """Yield all that is to be measured; when one job fails the others still run."""
    if "since" in options.only and stages.SIMULATED in (options.study or [stages.SIMULATED]):
        yield "since version 1", partial(since.measure, options.repeat, options.stages)
    if "commands" in options.only:
        for what in (whole.ONE, *([whole.EVERY] if options.everything else [])):
            yield what, partial(whole.measure, what)
    if "stages" in options.only:
        yield from of_stages(options)
    if "matching" in options.only:
        yield "matching", partial(of_matching, options)
    if "regression" in options.only:
        yield "regression", partial(of_regression, options)
    if "large" in options.only:
        yield from ((what, partial(large.measured, what, options.loans)) for what in large.ANALYSES)
        if options.loans >= large.LOANS:
            yield from ((what, partial(large.refused, what, options.loans)) for what in large.REFUSED)
    if "months" in options.only:
        yield "loan-months", partial(months.every, options.months)


def main() -> None:
    """Measure, add to the history, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts to measure; none: the page only")
    parser.add_argument("--scales", nargs="+", type=float, default=[1.0, 10.0], help="sizes of the simulated study")
    parser.add_argument("--study", nargs="+", help="studies whose stages are timed (all whose tables are here)")
    parser.add_argument("--stages", nargs="+", help="stages to time (all; each needs what earlier ones write)")
    parser.add_argument("--at-a-time", type=int, default=stages.AT_A_TIME, help="stages that run side by side")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--loans", type=int, default=large.LOANS, help="loans of the large cohort")
    parser.add_argument("--months", type=int, default=months.ROWS, help="loan-months to prepare")
    parser.add_argument("--everything", action="store_true", help="commands: all studies too (half an hour)")
    options = parser.parse_args()
    failed = []
    for name, job in jobs(options):
        try:
            for found in job():
                history.add(found)
                page.write()
                said = f"{found.seconds:.2f} s, {found.peak:.2f} GB"
                print(f"{found.group}: {found.name} ({found.size:,g}, {found.by}): {said}", flush=True)
        except StudyError as error:
            failed.append(f"{name} could not be measured: {error}")
            print(failed[-1], flush=True)
    page.write()
    print(f"{page.PAGE} written.")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
