"""Time and memory of the stages of a study, each a process as with DVC, at one or several sizes.

Stages run side by side, two at a time unless asked otherwise, in a copy of the repository in a temporary folder, so
that nothing here is touched, in the order of `make reproduce`; a time includes start-up and imports, not DVC. Larger
studies are simulated: `scale` of the simulated study multiplies lenders, and so loans.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine
from benchmarks.history import Measurement, measurement
from benchmarks.machine import Spent
from pipeline.commands.side_by_side import in_turn, needed
from pipeline.core import params, yaml
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

NOT_TIMED = ("collect", "intake", "label", "recovery", "synthesis", "evidence")
"""Stages that wait for a network, or for every study, and the recovery, which simulates its own worlds."""

FILES = ("params.yaml", "dvc.yaml", "pyproject.toml", "requirements.lock")
COPIED = (*FILES, "analyses", "pipeline", "notebooks", "docs", "reports")
CLAIMS = ("claims.csv", "claim_rows.csv", "claim_limits.csv", "dictionaries")
SIMULATED = "reference"

TO_REPORT = "from raw tables to report"

AT_A_TIME = 2
"""Stages that run side by side, as far as what they read allows."""


def stages_of(study: str) -> list[str]:
    """Return the stages that run for a study, in their order."""
    members = params.read(Path("params.yaml"))["studies"]
    each = {
        name: stage["foreach"].removeprefix("${studies.")[:-1]
        for name, stage in yaml.stages().items()
        if "foreach" in stage
    }
    return [name for name, over in each.items() if name not in NOT_TIMED and study in members[over]]


def here() -> list[str]:
    """Return the studies that can be run: the simulated one, and those whose raw tables are on this machine."""
    known = params.load().studies
    return [name for name in known if name == SIMULATED or any(places.interim(name).glob("*"))]


@contextmanager
def copy(study: str, scale: float = 1.0) -> Iterator[Path]:
    """Yield a folder in which the stages of a study can run; the simulated study has `scale` times its loans."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        folder = Path(name)
        for part in COPIED:
            put = shutil.copytree if (root / part).is_dir() else shutil.copy2
            put(root / part, folder / part)
        (folder / "data").mkdir()
        for part in CLAIMS:
            put = shutil.copytree if (root / "data" / part).is_dir() else shutil.copy2
            put(root / "data" / part, folder / "data" / part)
        if study == SIMULATED:
            choices = folder / places.choices(study)
            text, changed = re.subn(r"^scale: .*$", f"scale: {scale}", choices.read_text(), flags=re.MULTILINE)
            if changed != 1:
                raise StudyError(f"{choices} has {changed} lines `scale:`; one is needed.")
            choices.write_text(text)
        else:
            shutil.copytree(root / places.interim(study), folder / places.interim(study))
        yield folder


def measure(
    study: str, scale: float, repeat: int, wanted: list[str] | None = None, at_a_time: int = AT_A_TIME
) -> Iterator[Measurement]:
    """Yield what each stage of a study takes, as it ends, and at last what all take together.

    Also how long it is from the raw tables, which of a simulated study are there when `simulate` ends, to the report.
    `wanted` names stages, None all; `at_a_time` run side by side. Where a stage fails, for want of memory say, those
    that do not need it still run; in the end the failures are raised as one error.
    """
    needs = needed(stages_of(study))
    needs = {stage: of for stage, of in needs.items() if wanted is None or stage in wanted}
    runs: dict[str, list[Spent]] = {stage: [] for stage in needs}
    wholes: list[tuple[float, float]] = []
    to_report: list[float] = []
    with copy(study, scale) as folder:
        environment = os.environ | {"PYTHONPATH": str(folder)}

        def run(stage: str) -> Spent:
            command = [sys.executable, "-m", "pipeline", stage, "--study", study]
            spent = machine.run(command, folder, environment)
            if spent.error:
                raise StudyError(spent.error)
            return spent

        for _ in range(repeat):
            failures, start = [], time.perf_counter()
            ended = {"simulate": start}
            with machine.watched(os.getpid(), itself=False) as peak:
                for stage, spent in in_turn(run, needs, at_a_time):
                    if isinstance(spent, StudyError):
                        failures.append(f"{stage} ({spent})")
                        continue
                    ended[stage] = time.perf_counter()
                    runs[stage].append(spent)
                    if len(runs[stage]) == repeat:
                        yield _of(study, stage, scale, runs[stage])
            if failures:
                raise StudyError(f"{study} at scale {scale:g}: {'; '.join(failures)}")
            wholes.append((time.perf_counter() - start, peak[0]))
            if "report" in ended:
                to_report.append(ended["report"] - ended["simulate"])
    if wanted is None:
        seconds, most = [one for one, _ in wholes], max(held for _, held in wholes)
        processor = [sum(several[place].processor for several in runs.values()) for place in range(repeat)]
        name = f"all stages, {at_a_time} at a time"
        yield measurement("whole", study, name, scale, seconds, most, processor=processor)
        yield measurement("to_report", study, TO_REPORT, scale, to_report, most)


def _of(study: str, stage: str, scale: float, runs: list[Spent]) -> Measurement:
    times, processor = [one.seconds for one in runs], [one.processor for one in runs]
    return measurement("stages", study, stage, scale, times, max(one.peak for one in runs), processor=processor)
