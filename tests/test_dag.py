"""The figure of a study's stages in the documents is the one that DVC draws."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_figure_of_the_stages_is_that_of_dvc():
    command = [sys.executable, "-m", "dvc", "dag", "--mermaid", "report@lendingclub"]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shown = re.search(r"```mermaid\n(.*?)```", (ROOT / "docs/experiments.md").read_text(), re.S)[1]
    assert shown == drawn
