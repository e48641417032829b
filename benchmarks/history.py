"""What was measured, when and on which machine: one row a measurement in reports/benchmarks_history.csv.

Rows are only ever added. The page is written from the last ones of this machine, so one part can be measured alone,
and a measurement that became slower shows against the one before it.
"""

import csv
import datetime
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine
from pipeline.runtime import store

FILE = Path("reports/benchmarks_history.csv")
SLOWER = 0.2
"""Share by which a median must grow before it counts as slower."""


class Measurement(NamedTuple):
    """One thing measured once or several times."""

    part: str
    """Part of the page, such as ``stages``."""
    group: str
    """Study, or kind of analysis."""
    name: str
    """Stage, or what was done."""
    by: str
    """Package that did it; ``ours`` is this repository."""
    size: float
    """Scale of the study, or number of loans or rows."""
    repeats: int
    seconds: float
    """Median."""
    smallest: float
    largest: float
    peak: float
    """Gigabytes at the peak."""
    processor: float = 0.0
    """Seconds of processor time, the median; nought where only the clock was read."""
    date: str = ""
    code: str = ""
    machine: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, float]:
        """What is the same from one measurement to the next."""
        return self.part, self.group, self.name, self.by, self.size


def measurement(
    part: str,
    group: str,
    name: str,
    size: float,
    times: Sequence[float],
    peak: float,
    by: str = "ours",
    processor: Sequence[float] = (),
) -> Measurement:
    """Return the median and the spread of `times`, and the median of `processor` times."""
    middle = round(statistics.median(times), 4)
    ends = round(min(times), 4), round(max(times), 4)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Measurement(
        part,
        group,
        name,
        by,
        float(size),
        len(times),
        middle,
        *ends,
        round(peak, 3),
        round(statistics.median(processor), 4) if processor else 0.0,
        today,
        machine.code(),
        machine.name(),
    )


def add(found: Measurement, path: Path = FILE) -> None:
    """Put a measurement under the others."""
    before = path.read_text() if path.exists() else ",".join(Measurement._fields) + "\n"
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(found)
    store.write_text(path, before + line.getvalue())


def read(path: Path = FILE, of: str | None = None) -> list[Measurement]:
    """Return the measurements of a machine (None: of this one), the oldest first."""
    if not path.exists():
        return []
    of = machine.name() if of is None else of
    kinds = {"size": float, "repeats": int, "seconds": float, "smallest": float, "largest": float}
    kinds |= {"peak": float, "processor": float}
    with path.open(newline="") as file:
        rows = [
            Measurement(**{name: kinds.get(name, str)(cell) for name, cell in row.items()})
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.machine == of]


def latest(rows: Sequence[Measurement]) -> dict[tuple[str, str, str, str, float], Measurement]:
    """Return the last measurement of each key."""
    return {row.key: row for row in rows}


def before(rows: Sequence[Measurement]) -> dict[tuple[str, str, str, str, float], Measurement]:
    """Return the measurement before the last one of each key, where there is one."""
    found: dict[tuple[str, str, str, str, float], list[Measurement]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return {key: several[-2] for key, several in found.items() if len(several) > 1}


def slower(rows: Sequence[Measurement]) -> list[tuple[Measurement, Measurement]]:
    """Return the measurements (before, now) whose median grew by more than `SLOWER`, the worst first."""
    old = before(rows)
    pairs = [(old[key], now) for key, now in latest(rows).items() if key in old]
    grown = [(then, now) for then, now in pairs if now.seconds > (1 + SLOWER) * then.seconds]
    return sorted(grown, key=lambda pair: -pair[1].seconds / pair[0].seconds)
