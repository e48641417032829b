"""The simulated study as a user runs it: without a network, without the truth, and again to the same bytes."""

import shutil
import sys

import pytest

from tests.test_end_to_end import clone, commit, run

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    clone(folder / "copy", folder / "no mirror")
    said = run(folder / "copy", "make", "reproduce", CRM_DATA_MIRROR="", https_proxy="http://127.0.0.1:9")
    commit(folder / "copy")
    return folder / "copy", said


@pytest.mark.long
def test_every_stage_gives_the_same_bytes_again(reproduced):
    folder, _ = reproduced
    assert "Same bytes." in run(folder, "make", "verify", "RECOVERY=yes")


# Minutes; the public study and a reader's own go the same way by DVC on every change.
@pytest.mark.long
def test_the_simulated_study_needs_nothing_from_outside(reproduced):
    folder, said = reproduced
    assert (folder / "reports/reference/findings.txt").read_text() in said
    # Analyses go on without the truth, to the same rows: only the stages that simulate may know it.
    shutil.rmtree(folder / "data" / "truth")
    for stage in ("prepare", "match", "describe", "correlate", "regress", "effects"):
        run(folder, sys.executable, "-m", "pipeline", stage, "--study", "reference")
    assert run(folder, "git", "status", "--porcelain", "--untracked-files=no") == ""
