"""Copies of the project without git: an archive of it, and a folder that was copied."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def git(*arguments, at):
    me = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(["git", *me, *arguments], cwd=at, check=True, capture_output=True).stdout


def scm_of(folder):
    from dvc.config import Config

    return Config(dvc_dir=str(folder / ".dvc"), local_dvc_dir=str(folder / ".dvc"))["core"].get("no_scm", False)


def test_an_archive_tells_dvc_that_there_is_no_git(tmp_path):
    (tmp_path / "clone" / ".dvc").mkdir(parents=True)
    for name in (".gitattributes", ".dvc/config"):
        shutil.copy(ROOT / name, tmp_path / "clone" / name)
    git("init", "--quiet", at=tmp_path / "clone")
    git("add", ".", at=tmp_path / "clone")
    git("commit", "--quiet", "--message", "all", at=tmp_path / "clone")
    (tmp_path / "archive.tar").write_bytes(git("archive", "HEAD", at=tmp_path / "clone"))
    shutil.unpack_archive(tmp_path / "archive.tar", tmp_path / "archive", filter="data")
    assert scm_of(tmp_path / "clone") is False
    assert scm_of(tmp_path / "archive") is True


LOCKS = ("dvc.lock", "analyses/dvc.lock")

DVC = """#!/bin/sh
echo "$@" >> asked.txt
case "$*" in
  stage*) printf 'code\\nmatch@reference\\nanalyses/dvc.yaml:recovery@reference\\n' ;;
  *repro*) [ ! -e moved ] || echo moved >> "$(cat moved)" ;;
esac
"""
"""Stands for DVC: writes down what it is asked, and moves a result where the test says so."""


@pytest.fixture
def copy(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "copy"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    for name in ("Makefile", ".dvc/config", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "analyses").mkdir()
    for name in LOCKS:
        (folder / name).write_text("as unpacked\n")
    (folder / "pipeline/studies/reference").mkdir(parents=True)
    for name in ("pipeline/__init__.py", "pipeline/__main__.py", "params.yaml", "dvc.yaml", "analyses/dvc.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("commands", "core", "runtime"):
        shutil.copytree(ROOT / "pipeline" / name, folder / "pipeline" / name)
    (folder / "pipeline/studies/reference/params.yaml").touch()
    (folder / ".venv" / "bin" / "dvc").write_text(DVC)
    (folder / ".venv" / "bin" / "dvc").chmod(0o755)
    (folder / ".venv" / "installed").touch()
    return folder


def make(folder, *targets):
    # Make hands its own settings down where it runs these tests.
    mine = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *targets], cwd=folder, env=mine, capture_output=True, text=True, check=False)


def asked(folder):
    return (folder / "asked.txt").read_text().splitlines() if (folder / "asked.txt").exists() else []


def test_a_copy_without_git_tells_dvc_once(copy):
    assert make(copy, "scm").returncode == 0
    assert asked(copy) == ["config --local core.no_scm true"]
    (copy / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    assert make(copy, "scm").returncode == 0
    assert len(asked(copy)) == 1


def test_a_clone_keeps_its_git(copy):
    git("init", "--quiet", at=copy)
    git("add", "dvc.lock", at=copy)
    assert make(copy, "scm").returncode == 0
    assert asked(copy) == [] and not (copy / ".dvc" / "unpacked.tar").exists()


@pytest.mark.parametrize("lock", LOCKS)
def test_verify_compares_with_what_was_unpacked(copy, lock):
    same = make(copy, "verify")
    assert same.returncode == 0 and same.stdout.endswith("Same bytes.\n"), same.stderr
    assert asked(copy)[-1] == "repro --force --single-item match@reference"
    (copy / "moved").write_text(lock)
    make(copy, "reproduce")
    (copy / "moved").unlink()
    # What an earlier run has moved counts, too.
    other = make(copy, "verify")
    assert other.returncode != 0 and "+moved" in other.stdout and "Same bytes" not in other.stdout


PYTHON = """#!/bin/sh
[ "$1" = -c ] && exec {} -c "import sys; sys.version_info = ({}); $2"
exit 9
"""
"""Stands for a Python of another version, which can build nothing."""


@pytest.mark.parametrize(("version", "needed"), [("3, 10, 9", True), ("3, 13, 9", False), ("3, 14, 0", True)])
def test_a_python_that_was_not_tried_is_refused_before_anything_is_removed(copy, version, needed):
    other = copy / "python"
    other.write_text(PYTHON.format(sys.executable, version))
    other.chmod(0o755)
    (copy / ".venv" / "installed").unlink()
    done = make(copy, "scm", f"PYTHON={other}")
    assert done.returncode != 0
    assert ("Python 3.11, 3.12 or 3.13 is needed: make PYTHON=" in done.stderr) is needed
    assert (copy / ".venv").exists() is needed


def test_both_sides_of_a_merge_are_named_before_dvc_is_asked(copy):
    choices = copy / "pipeline/studies/reference/params.yaml"
    choices.write_text("seed: 1\n<<<<<<< HEAD\nseed: 2\n=======\nseed: 3\n>>>>>>> other\n")
    refused = make(copy, "reproduce")
    assert refused.returncode != 0 and asked(copy) == []
    assert refused.stderr.startswith("pipeline/studies/reference/params.yaml:2:<<<<<<< HEAD: a merge left both sides")
    assert "(git checkout --ours pipeline/studies/reference/params.yaml)" in refused.stderr


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("left", ["", "stages:\n  code:\n  mat", "stages:\n  code:\n"])
def test_a_lock_file_that_was_cut_off_is_taken_from_git_or_from_what_was_unpacked(copy, left, name):
    """A kill or a full disk leaves it so, while DVC writes it."""
    lock, whole = copy / name, "stages:\n  code:\n  match@reference:\n"
    lock.write_text(f"# unpacked\n{whole}")
    make(copy, "scm")
    lock.write_text(left)
    assert f"{name} was cut off" in make(copy, "whole").stderr and lock.read_text() == f"# unpacked\n{whole}"
    git("init", "--quiet", at=copy)
    lock.write_text(whole)
    git("add", *LOCKS, at=copy)
    lock.write_text(left)
    assert f"{name} was cut off" in make(copy, "whole").stderr and lock.read_text() == whole
    lock.write_text(f"{whole}  match@mine:\n")
    assert make(copy, "whole").stderr == "" and lock.read_text() == f"{whole}  match@mine:\n"
