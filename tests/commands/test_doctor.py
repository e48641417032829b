"""The doctor, on healthy and broken folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.commands import doctor, explain_stale
from pipeline.runtime import runs, store
from tests.choices import copied, edit
from tests.sample import write_mirror

ROOT = Path(__file__).parents[2]
FILES = ("requirements.lock", "dvc.lock", "analyses/dvc.lock")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the doctor looks at; DVC is not asked, which takes long and has a test."""
    copied(tmp_path)
    for name in FILES:
        shutil.copy2(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRM_DATA_MIRROR", raising=False)
    answer("{}", monkeypatch)
    return tmp_path


REALLY = doctor._run


def answer(said, monkeypatch, code=0, wrong=""):
    """Let DVC give this answer when it is asked."""
    real = doctor._run

    def run(*command):
        return subprocess.CompletedProcess(command, code, said, wrong) if "dvc" in command else real(*command)

    monkeypatch.setattr(doctor, "_run", run)


def examine(capsys, *options):
    """Return the exit code, the findings as {subject: (state, sentence)}, and what stands on standard error."""
    code = main(["doctor", *options])
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if line[:5].strip() in ("ok", "note", "fix")]
    found = {line[6:25].strip(): (line[:5].strip(), line[26:]) for line in lines}
    return code, found, err


def test_a_healthy_folder_has_nothing_to_put_right(folder, capsys):
    code, found, err = examine(capsys)
    assert (code, err) == (0, "")
    assert {subject for subject, (state, _) in found.items() if state == "fix"} == set()
    assert found["packages"][1].endswith("as in requirements.lock")
    assert "make reproduce STUDY=sba fetches them" in found["data sba"][1]
    assert found["stages"] == ("ok", "all are up to date")
    assert found["git"][0] in ("ok", "note")


def test_quiet_prints_only_what_is_wrong(folder, capsys):
    assert main(["doctor", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    (folder / "params.yaml").write_text("seed: [")
    assert main(["doctor", "--quiet"]) == 1
    assert capsys.readouterr() == ("", "doctor: to put right: params, data.\n")


def test_wrong_and_missing_packages_are_named(folder, capsys):
    lock = folder / "requirements.lock"
    lock.write_text(
        "numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==2.0\nother==1 ; python_full_version < '3'\npandas>=2\n"
    )
    code, found, err = examine(capsys)
    state, says = found["packages"]
    assert (code, state) == (1, "fix")
    assert says.startswith("2 of 3 are not those of requirements.lock: numpy (")
    assert "not 0.1), no-such-package (missing, not 2.0): rm -r .venv, then make reproduce." in says
    assert err == "doctor: to put right: packages.\n"


def test_a_folder_without_a_lock_file(folder, capsys):
    (folder / "requirements.lock").unlink()
    assert examine(capsys)[1]["packages"] == (
        "fix",
        "requirements.lock is missing: run from the folder that holds it, or git checkout requirements.lock.",
    )


def test_old_pythons_are_not_enough(folder, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST", (4, 0))
    assert examine(capsys)[1]["python"][0] == "fix"


def test_a_wrong_parameter_is_named_and_the_rest_is_examined(folder, capsys):
    edit(folder / "params.yaml", lambda choices: choices["match"].update(caliber=1))
    code, found, _ = examine(capsys)
    assert code == 1
    assert found["params"][0] == "fix" and "did you mean 'caliper'" in found["params"][1]
    assert found["disk"][0] == "ok"


def test_a_changed_lock_file_is_noted(folder, capsys):
    def git(*command):
        identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
        subprocess.run(["git", *identity, *command], check=True, capture_output=True)

    git("init")
    git("add", *FILES, "dvc.yaml", "analyses", "params.yaml", "pipeline")
    git("commit", "--message", "state")
    assert examine(capsys)[1]["git"][0] == "ok"
    with (folder / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    code, found, _ = examine(capsys)
    assert code == 0
    assert found["git"][0] == "note" and found["git"][1].startswith("requirements.lock: not as committed")


def test_a_spoilt_file_is_named_and_a_mirror_looked_at(folder, capsys, monkeypatch, tmp_path_factory):
    mirror = tmp_path_factory.mktemp("mirror")
    monkeypatch.setenv("CRM_DATA_MIRROR", str(mirror))
    write_mirror(mirror, 300, seed=1)
    code, found, _ = examine(capsys)
    assert code == 1
    state, says = found["data lendingclub"]
    # The made-up files are not those on record.
    assert state == "fix" and "LendingClubData_2009.rda" in says and "in the mirror" in says
    monkeypatch.setenv("CRM_DATA_MIRROR", str(mirror / "absent"))
    assert "correct or unset CRM_DATA_MIRROR" in examine(capsys)[1]["mirror"][1]
    monkeypatch.delenv("CRM_DATA_MIRROR")
    spoilt = folder / "data/raw/macro/FEDFUNDS.csv"
    spoilt.parent.mkdir(parents=True)
    spoilt.write_text("half of the fi")
    found = examine(capsys)[1]
    assert found["data lendingclub"] == (
        "fix",
        "data/raw/macro/FEDFUNDS.csv: not the recorded content: remove it, and it is fetched again.",
    )


def test_a_full_disk(folder, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_ROOM", 10**18)
    assert "make room" in examine(capsys)[1]["disk"][1]


def test_stages_out_of_date_are_counted(folder, capsys, monkeypatch):
    answer(json.dumps({f"match@{number}": [] for number in range(6)}), monkeypatch)
    code, found, _ = examine(capsys)
    assert code == 0
    assert found["stages"][0] == "note"
    assert found["stages"][1].startswith("6 are out of date: match@0, match@1, match@2, match@3 and 2 more: make")


def test_dvc_says_why_it_does_not_answer(folder, capsys, monkeypatch):
    answer("", monkeypatch, code=255, wrong="ERROR: you are not inside of a DVC repository (checked up to '/')\n")
    assert examine(capsys)[1]["stages"] == (
        "fix",
        "their state cannot be asked (you are not inside of a DVC repository (checked up to '/')).",
    )


@pytest.mark.parametrize(
    ("wrong", "way"),
    [
        ("ERROR: /here is not a git repository", "tell DVC: dvc config --local core.no_scm true"),
        ("'./dvc.lock' validation failed.", "git checkout dvc.lock, then make reproduce STUDY=... takes"),
        ("'./analyses/dvc.lock' is invalid.", "git checkout analyses/dvc.lock, then make reproduce STUDY=... takes"),
    ],
)
def test_of_what_dvc_does_not_take_the_way_out_is_told(folder, capsys, monkeypatch, wrong, way):
    answer("", monkeypatch, code=255, wrong=f"{wrong}\n\nrequired key\n")
    state, says = examine(capsys)[1]["stages"]
    assert state == "fix" and says.startswith(
        f"their state cannot be asked ({wrong.removeprefix('ERROR: ').rstrip('.')}): {way}"
    )


@pytest.mark.parametrize("name", ["dvc.lock", "analyses/dvc.lock"])
def test_both_sides_of_a_merge_in_a_lock_are_named(folder, capsys, name):
    lock = folder / name
    lock.write_text(lock.read_text().replace("stages:\n", "<<<<<<< HEAD\nstages:\n", 1))
    what, says = examine(capsys)[1]["stages"]
    assert what == "fix" and f"{name}, line 2: a merge left both sides: git checkout --ours {name}" in says


def test_what_dvc_keeps_and_something_spoilt_is_named(folder, capsys):
    kept = explain_stale.CACHE / "5d" / "41402abc4b2a76b9719d911017c592"
    kept.parent.mkdir(parents=True)
    kept.write_text("hello")
    shutil.copy(kept, kept.with_suffix(".dir"))
    assert examine(capsys)[1]["cache"] == ("ok", "2 files of .dvc/cache/files/md5, checksums right")
    kept.write_text("help!")
    assert examine(capsys)[1]["cache"] == (
        "fix",
        f"{kept}: not what was kept: remove it, and make reproduce STUDY=... computes it again.",
    )


def test_dvc_is_asked(folder):
    asked = REALLY(sys.executable, "-m", "dvc", "status", "--json")
    assert asked.returncode != 0 and "not inside of a DVC repository" in asked.stderr
    assert REALLY("no-such-program") is None


def test_runs_under_way_and_what_killed_ones_left(folder, capsys):
    (folder / "data").mkdir()
    left = folder / f"data/.rows.csv.ab12{store.UNFINISHED}"
    left.write_text("half of the ne")
    assert "data/.rows.csv.ab12.part: the next run" in examine(capsys)[1]["runs"][1]
    with runs.alone("match sba"):
        assert "under way: match sba (process " in examine(capsys)[1]["runs"][1]


def test_programs_that_only_some_uses_need_are_notes(folder, capsys, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    code, found, _ = examine(capsys)
    assert code == 0
    assert found["java"] == ("note", "not found; it serves engine: spark (Debian: default-jre-headless).")
    assert found["browser"][0] == "note"


def test_the_doctor_is_heard_where_packages_are_missing(tmp_path):
    """Isolated from site-packages, nothing but the standard library is there."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipeline.__main__ import main; sys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the package pydantic is missing" in done.stdout
    assert done.stderr.startswith("doctor: to put right: packages, params, data")
