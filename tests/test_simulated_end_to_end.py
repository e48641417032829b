"""The simulated study as a user runs it: without a network, again to the same bytes, and without the truth."""

import shutil
import sys

import pytest

from tests.test_end_to_end import clone, commit, run

pytestmark = pytest.mark.end_to_end


def test_the_simulated_study_needs_nothing_from_outside(tmp_path):
    folder = clone(tmp_path / "copy", tmp_path / "no mirror")
    said = run(folder, "make", "reproduce", CRM_DATA_MIRROR="", https_proxy="http://127.0.0.1:9")
    assert (folder / "reports/reference/findings.txt").read_text() in said
    commit(folder)
    assert "Same bytes." in run(folder, "make", "verify", "RECOVERY=yes")
    # Analyses go on without the truth, to the same rows: only the stages that simulate may know it.
    shutil.rmtree(folder / "data" / "truth")
    for stage in ("prepare", "match", "describe", "correlate", "regress", "effects"):
        run(folder, sys.executable, "-m", "pipeline", stage, "--study", "reference")
    assert run(folder, "git", "status", "--porcelain", "--untracked-files=no") == ""
