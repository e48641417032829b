"""Time and memory of the stages of a study, each run as DVC runs it, at one or several sizes.

Stages run in a copy of the repository in a temporary folder, so that nothing here is touched; a time includes start-up
and imports. Larger studies are simulated: `studies.reference.scale` multiplies lenders, and so loans.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine
from benchmarks.history import Measurement, measurement
from pipeline.core import params, places
from pipeline.core.errors import StudyError

NOT_TIMED = ("collect", "intake", "label", "recovery", "synthesis", "evidence")
"""Stages that wait for a network, or for every study, and the recovery, which simulates its own worlds."""

COPIED = ("params.yaml", "dvc.yaml", "pyproject.toml", "requirements.lock", "pipeline", "notebooks", "docs", "reports")
CLAIMS = ("claims.csv", "claim_rows.csv", "claim_limits.csv", "dictionaries")
SIMULATED = "reference"


def stages_of(study: str) -> list[str]:
    """Return the stages that run for a study, in the order of dvc.yaml."""
    pipeline = params.read(Path("dvc.yaml"))
    members = {**pipeline["vars"][0], "studies": params.load().studies}
    each = {name: stage["foreach"][2:-1] for name, stage in pipeline["stages"].items() if "foreach" in stage}
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
            text = (folder / "params.yaml").read_text()
            text, changed = re.subn(r"^    scale: .*$", f"    scale: {scale}", text, flags=re.MULTILINE)
            if changed != 1:
                raise StudyError(f"params.yaml has {changed} lines `scale:` inside a study; one is needed.")
            (folder / "params.yaml").write_text(text)
        else:
            shutil.copytree(root / places.interim(study), folder / places.interim(study))
        yield folder


def measure(study: str, scale: float, repeat: int, wanted: list[str] | None = None) -> Iterator[Measurement]:
    """Yield what each stage of a study takes; `wanted` names stages, None all.

    A stage that fails, for want of memory say, is reported as an error and ends the study: later ones would read what
    it did not write.
    """
    command = [sys.executable, "-m", "pipeline"]
    with copy(study, scale) as folder:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        for stage in stages_of(study):
            if wanted is not None and stage not in wanted:
                continue
            runs = []
            for _ in range(repeat):
                runs.append(machine.run([*command, stage, "--study", study], folder, environment))
                if runs[-1].error:
                    raise StudyError(f"{stage} of {study} at scale {scale:g} failed: {runs[-1].error}")
            times, peak = [one.seconds for one in runs], max(one.peak for one in runs)
            yield measurement("stages", study, stage, scale, times, peak)
