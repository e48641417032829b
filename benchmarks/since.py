"""Processor time of each stage beside that of version 1: both run in turn, so that other work slows both alike."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine, stages
from benchmarks.history import Measurement, measurement
from pipeline.runtime.errors import StudyError

VERSION, FIRST = "4e4f61a", "version 1"

RECOVERY = "recovery, a world"
TARGETS = {"report": 0.4, "curve": 0.6, "predict": 0.6, "adjust": 0.7, RECOVERY: 0.55}
"""Most of version 1's processor time that a stage may take."""

LEFT = {
    "regress": "statsmodels fits least squares by singular values and takes whole cross products in each of Newton's "
    "steps, where version 1 ran its own engine; each factor has a design of its own, so no fit serves twice.",
    "missing": "a quarter imputes, a quarter fits response weights with an effect of each lender, a fifth asks whether "
    "values are missing by chance; each set of imputed values is regressed for each factor.",
    "heterogeneity": "two fifths are interactions of each factor with each moderator, by least squares and by logit, a "
    "third are effects by group, a fifth effects of single clients; each pair has a design of its own.",
    "notebook": "it is executed in both languages, where version 1 had one.",
    "adjust": "most of it is cross-fitted models, boosted trees of scikit-learn before all, and loading that package; "
    "each fold has loans of its own, and logistic regressions start from those of the fold before.",
    RECOVERY: "a third estimates, most of that in the hazards of contacts, where scores and debts differ from loan to "
    "loan, so that no cells of months stand for rows, and calendar quarters make most of the columns; a third joins "
    "raw records in DuckDB as a study's are joined, and a quarter simulates each loan under all regimes. A start from "
    "another fit, or sums in another order, would move last digits.",
}
"""Why a stage takes what it takes now, by its profile."""

WORLD = """
import time
from pipeline.core import params
try:
    from pipeline.analyses.recovery.rows import one_world
except ImportError:
    from pipeline.stages.recovery import one_world
read = params.load()
one_world("reference", read, "base", 0)
start = time.process_time()
one_world("reference", read, "base", 1)
print(time.process_time() - start)
"""
"""One world of the recovery at its own scale, once what it imports is there."""


@contextmanager
def first() -> Iterator[Path]:
    """Yield a folder with version 1."""
    with tempfile.TemporaryDirectory(prefix="version-1-") as folder:
        archive = Path(folder) / "version.tar"
        done = subprocess.run(["git", "archive", "-o", archive, VERSION], capture_output=True, text=True, check=False)
        if done.returncode:
            raise StudyError(f"version 1 is not here: `git fetch --unshallow` brings it ({done.stderr.strip()}).")
        subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
        yield Path(folder)


def measure(repeat: int, wanted: list[str] | None = None) -> Iterator[Measurement]:
    """Yield what each stage of the simulated study takes in version 1 and now, as it ends; `wanted` names stages."""
    study = stages.SIMULATED
    with stages.copy(study) as now, first() as then:
        for stage in (*stages.stages_of(study), RECOVERY):
            if (wanted is not None and stage not in wanted) or not _there(then, stage):
                continue
            command = [sys.executable, "-m", "pipeline", stage, "--study", study]
            command = [sys.executable, "-c", WORLD] if stage == RECOVERY else command
            runs: dict[str, list[machine.Spent]] = {FIRST: [], "ours": []}
            for _ in range(repeat):
                for by, folder in ((FIRST, then), ("ours", now)):
                    spent = machine.run(command, folder, os.environ | {"PYTHONPATH": str(folder)})
                    if spent.error:
                        raise StudyError(f"{stage} of {by}: {spent.error}")
                    runs[by].append(spent)
            for by, of in runs.items():
                processor = [float(one.output) if stage == RECOVERY else one.processor for one in of]
                times, peak = [one.seconds for one in of], max(one.peak for one in of)
                yield measurement("since", study, stage, 1.0, times, peak, by=by, processor=processor)


def _there(folder: Path, stage: str) -> bool:
    return stage == RECOVERY or (folder / "pipeline" / "stages" / f"{stage}.py").exists()
