"""``python -m benchmarks.months``: a hundred million generated loan-months, and how DuckDB makes a cohort of them.

The lenders of the reference study are simulated chunk by chunk, as many as have so many loan-months; then the stage
that prepares the cohort runs on their raw tables as it always does.
"""

import argparse
from collections.abc import Iterator

from benchmarks import stages
from benchmarks.history import Measurement, add, measurement

ROWS = 100_000_000
AT_SCALE_ONE = 1_850_000
"""Loan-months of the simulated study at scale 1, rounded down."""

SECONDS, MEMORY = 300.0, 8.0
"""What preparation may take, in seconds and gigabytes."""

NAMES = {"simulate": "raw tables simulated", "prepare": "cohort prepared by DuckDB"}
PREPARED = NAMES["prepare"]


def every(rows: int) -> Iterator[Measurement]:
    """Yield what simulating at least `rows` loan-months takes, and what preparing them takes."""
    for found in stages.measure(stages.SIMULATED, round(rows / AT_SCALE_ONE, 2), 1, [*NAMES]):
        yield measurement("months", "loan-months", NAMES[found.name], rows, [found.seconds], found.peak)


def main() -> None:
    """Measure, add the measurements to the history and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.months", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    for found in every(parser.parse_args().rows):
        add(found)
        print(f"{found.name}, {found.size:,.0f} loan-months: {found.seconds:.0f} s, {found.peak:.1f} GB", flush=True)


if __name__ == "__main__":
    main()
