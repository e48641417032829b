"""What makes a stage run again is named."""

import hashlib
import json
import types
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.commands import explain_stale
from pipeline.runtime import places
from pipeline.runtime.code import Code
from pipeline.runtime.errors import StudyError

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("parsed_once")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder where `match@x` last ran with another version of one module, `regress@x` with today's."""
    for folder in ("pipeline", "notebooks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    code = Code()

    def recorded(stage, **other):
        text = json.dumps(code.hashes(stage) | other, indent=2, sort_keys=True) + "\n"
        digest = hashlib.md5(text.encode()).hexdigest()
        kept = explain_stale.CACHE / digest[:2] / digest[2:]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text)
        return {"deps": [{"path": f"data/code/{stage}.json", "md5": digest}]}

    lock = {"match@x": recorded("match", **{"pipeline/stats/matching.py": "0"}), "regress@x": recorded("regress")}
    Path("analyses").mkdir()
    for file, stage in zip(places.PIPELINE_LOCKS, lock, strict=True):
        with file.open("w") as text:
            YAML(typ="safe", pure=True).dump({"stages": {stage: lock[stage]}}, text)
    return tmp_path


def says(monkeypatch, status, code=0):
    done = types.SimpleNamespace(returncode=code, stdout=json.dumps(status), stderr="ERROR: broken\n")
    monkeypatch.setattr(explain_stale.subprocess, "run", lambda *_, **__: done)


def test_the_module_is_named_and_a_stage_with_todays_code_is_not(place, monkeypatch):
    says(monkeypatch, {"match@x": [{"changed deps": {"data/code/match.json": "modified"}}]})
    assert explain_stale.stale(None) == "match@x: code pipeline/stats/matching.py"
    assert (
        explain_stale.stale("regress@x")
        == explain_stale.stale("analyses/dvc.yaml:regress@x")
        == ("nothing would run again.")
    )


def test_parameters_and_files_are_named(place, monkeypatch):
    changed = {"params.yaml": {"match.caliper": "modified"}, "data/processed/x/cohort.parquet": "modified"}
    reasons = [{"changed deps": changed}, {"changed outs": {"reports/x/a.csv": "deleted"}}]
    says(monkeypatch, {"analyses/dvc.yaml:regress@x": reasons})
    assert explain_stale.stale("regress@x") == (
        "regress@x: parameter match.caliper; input data/processed/x/cohort.parquet (modified); "
        "output reports/x/a.csv (deleted)"
    )


def test_a_version_that_is_no_longer_kept_is_said_to_be(place, monkeypatch):
    for kept in explain_stale.CACHE.rglob("*"):
        if kept.is_file():
            kept.unlink()
    says(monkeypatch, {})
    assert "not in DVC's cache" in explain_stale.stale("match@x")


def test_an_unknown_stage_and_a_failed_status_are_sentences(place, monkeypatch):
    with pytest.raises(StudyError, match="STAGE@STUDY"):
        explain_stale.stale("match")
    says(monkeypatch, {}, code=1)
    with pytest.raises(StudyError, match="broken"):
        explain_stale.stale(None)
