import base64
import json
import shutil
import subprocess
import tarfile

import pytest

from pipeline.__main__ import main

MOVED = "  treated.raw: 1.50 points (-0.50 to 3.50) became 2.50 points (0.50 to 4.50): is now significant"
PARAMS = "match:\n  caliper: {caliper}\ninference:\n  level: 0.95\n"


def git(folder, *arguments):
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def state(folder, caliper, points):
    (folder / "reports/lenders").mkdir(parents=True, exist_ok=True)
    effect = {"risk_difference": points, "ci_low": points - 2, "ci_high": points + 2}
    (folder / "params.yaml").write_text(PARAMS.format(caliper=caliper))
    (folder / "reports/lenders/metrics.json").write_text(json.dumps({"treated": {"raw": effect}}))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    state(tmp_path, 0.2, 1.5)
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    state(tmp_path, 0.1, 2.5)
    # As DVC keeps an experiment: a commit under a reference of its own.
    commit = git(tmp_path, "stash", "create")
    git(tmp_path, "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/tight", commit)
    return tmp_path


def test_the_working_folder_is_laid_beside_the_last_commit(repository, capsys):
    assert main(["compare"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "From HEAD to workspace"
    assert "  match.caliper: 0.2 became 0.1" in said and MOVED in said


def test_an_experiment_has_a_name(repository, capsys):
    state(repository, 0.2, 1.5)
    assert main(["compare", "main", "tight"]) == 0
    assert MOVED in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["tigth"], "did you mean tight?"),
        (["--", "-q"], "there is no commit, branch, tag or experiment '-q'"),
        (["main", "workspaces"], "did you mean workspace?"),
    ],
)
def test_a_name_that_is_no_version_is_said_so(repository, capsys, names, part):
    assert main(["compare", *names]) == 1
    said = capsys.readouterr()
    assert part in said.err and not said.out


def test_the_page_shows_both_versions_in_both_languages(repository):
    folder = repository / "reports/lenders"
    for name in ("figures", "figures_zh"):
        (folder / name).mkdir()
        (folder / name / "curve.svg").write_text(f"<svg>{name}</svg>")
    assert main(["compare", "main", "workspace"]) == 0
    pages = {name: (repository / "comparison" / name).read_text() for name in ("index.html", "index.zh.html")}
    for name, (turned, figures, link) in {
        "index.html": ("is now significant", "figures", "index.zh.html"),
        "index.zh.html": ("现已显著", "figures_zh", "index.html"),
    }.items():
        assert "match.caliper" in pages[name] and "treated.raw" in pages[name] and turned in pages[name]
        assert base64.b64encode(f"<svg>{figures}</svg>".encode()).decode() in pages[name]
        assert f'href="{link}"' in pages[name] and "http" not in pages[name]


def test_folders_and_what_was_unpacked_are_versions_without_git(repository, capsys):
    with tarfile.open(repository / "unpacked.tar", "w") as archive:
        archive.add("params.yaml")
        archive.add("reports")
    state(repository, 0.3, 3.5)
    (repository / "other").mkdir()
    state(repository / "other", 0.2, 1.5)
    shutil.rmtree(repository / ".git")
    (repository / ".dvc").mkdir()
    (repository / "unpacked.tar").rename(repository / ".dvc/unpacked.tar")
    assert main(["compare"]) == 0
    assert "  match.caliper: 0.1 became 0.3" in capsys.readouterr().out.splitlines()
    assert main(["compare", "other", "workspace"]) == 0
    assert "  match.caliper: 0.2 became 0.3" in capsys.readouterr().out.splitlines()


def test_a_broken_file_is_named(repository, capsys):
    (repository / "reports/lenders/metrics.json").write_text("{")
    assert main(["compare"]) == 1
    assert "reports/lenders/metrics.json of workspace is no JSON" in capsys.readouterr().err


def test_a_folder_that_holds_no_study_is_said_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    assert main(["compare", "workspace"]) == 1
    assert "workspace has no params.yaml" in capsys.readouterr().err


def test_what_was_unpacked_is_no_version_once_git_keeps_the_files(repository, capsys):
    (repository / ".dvc").mkdir()
    with tarfile.open(repository / ".dvc/unpacked.tar", "w"):
        pass
    assert main(["compare"]) == 0
    assert "  match.caliper: 0.2 became 0.1" in capsys.readouterr().out.splitlines()
