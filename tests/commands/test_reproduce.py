"""`python -m pipeline reproduce`: what is asked of DVC, and when, by one that only writes it down."""

import os
import subprocess
import sys

import pytest

from pipeline.commands import reproduce

ROOT = reproduce.__file__.rpartition("/pipeline/")[0]
ANALYSES = [one for one in reproduce.of_study("reference") if one not in ("simulate", "prepare", "match")][:-2]

DVC = """
import pathlib, sys
def main(asked):
    if "--dry" in asked:
        times = len(list(pathlib.Path(".").glob("dry*")))
        pathlib.Path(f"dry{{times}}").touch()
        says = {dry!r}
        print(says[min(times, len(says) - 1)])
        return {code}
    with open("asked", "a") as file:
        print(*asked[2:], file=file)
    return {failing!r} in " ".join(asked)
"""


def running(*stages):
    return "\n".join(f"Running stage '{one}':\n> python -m pipeline ..." for one in stages)


@pytest.fixture
def asked(tmp_path):
    """Return what runs the command beside such a DVC, and gives what DVC was asked and how the command ended."""

    def run(*arguments, dry=("",), code=0, failing="nothing fails"):
        for name in ("params.yaml", "dvc.yaml", "analyses", "pipeline"):
            if not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(f"{ROOT}/{name}")
        package = tmp_path / "dvc"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "cli.py").write_text(DVC.format(dry=tuple(dry), code=code, failing=failing))
        program = tmp_path / "bin" / "dvc"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\nimport sys\nfrom dvc.cli import main\nsys.exit(main(sys.argv[1:]))\n")
        program.chmod(0o755)
        around = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}
        around = os.environ | around
        command = [sys.executable, "-m", "pipeline", "reproduce", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True, check=False)
        file = tmp_path / "asked"
        return file.read_text().splitlines() if file.exists() else [], done

    return run


def test_where_all_is_up_to_date_dvc_only_looks(asked):
    assert asked("--study", "reference")[0] == []


def test_analyses_that_are_out_of_date_run_side_by_side_once_it_is_known_which(asked):
    dry = [running("code"), running("analyses/dvc.yaml:curve@reference", "analyses/dvc.yaml:time@reference")]
    lines, done = asked("--study", "reference", dry=dry)
    assert done.returncode == 0, done.stderr
    assert lines[0] == "match@reference" and lines[-1] == "--glob *@reference"
    one = "--single-item analyses/dvc.yaml:{}@reference"
    assert set(lines[1:3]) == {one.format("curve"), one.format("time")}
    assert set(lines[3:-1]) == {f"--single-item {page}@reference" for page in ("report", "notebook")}


def test_one_job_leaves_all_to_dvc(asked):
    assert asked("--study", "reference", "--jobs", "1", dry=[running("code")])[0] == ["--glob *@reference"]


def test_pages_alone_run_side_by_side_and_those_that_stay_are_not_asked_for(asked):
    lines, _ = asked("--study", "reference", dry=[running("code"), running("report@reference")])
    assert lines == ["match@reference", "--single-item report@reference", "--glob *@reference"]


def test_a_readers_words_are_there_before_the_report_reads_them(monkeypatch):
    asked, stages = [], ["intake", "label", "prepare", "match", "regress", "report", "notebook"]
    monkeypatch.setattr(reproduce, "_stale", lambda every: [f"{one}@mine" for one in stages])
    monkeypatch.setattr(reproduce, "of_study", lambda study: stages)
    reproduce._one(lambda *targets: asked.append(targets[-1]) or 0, "mine", 2)
    assert asked.count("report@mine") == 1 and asked.index("label@mine") < asked.index("report@mine")


def test_where_dvc_cannot_tell_beforehand_all_analyses_run(asked):
    lines, _ = asked("--study", "reference", code=1)
    expected = [f"analyses/dvc.yaml:{one}@reference" for one in ANALYSES] + ["report@reference", "notebook@reference"]
    assert sorted(lines[1:-1]) == sorted(f"--single-item {one}" for one in expected)


def test_a_stage_that_fails_ends_it_with_a_sentence(asked):
    stages = [f"analyses/dvc.yaml:{one}@reference" for one in ("curve", "time", "adjust", "grade")]
    lines, done = asked("--study", "reference", dry=[running(*stages)], failing="curve@")
    assert done.returncode == 1 and reproduce.FAILED in done.stderr
    assert not [line for line in lines if "--glob" in line or "report@" in line or "grade@" in line]


def test_all_studies_wait_for_the_code_and_touch_nothing_of_each_other(asked):
    lines, _ = asked()
    assert lines[0] == "code" and lines[-1] == "--keep-going"
    assert len(lines) == 2 + len(reproduce._kinds()["every"])
    for line in lines[1:-1]:
        option, *stages = line.split()
        assert option == "--single-item" and len({stage.partition("@")[2] for stage in stages}) == 1


def test_long_analyses_of_all_studies_begin_first_and_one_that_fails_ends_its_own_study_alone(asked):
    stale = [f"analyses/dvc.yaml:{one}" for one in ("regress@sba", "grade@berka", "curve@berka")]
    # One at a time: of two that begin together either may come first.
    lines, done = asked("--jobs", "1", dry=[running(*stale)], failing="regress@sba")
    ran = [line.removeprefix("--single-item ") for line in lines[1 + len(reproduce._kinds()["every"]) :]]
    assert ran[:3] == [stale[2], stale[0], stale[1]]
    assert set(ran[3:]) == {"report@berka", "notebook@berka"}
    assert done.returncode == 1 and reproduce.FAILED in done.stderr


@pytest.mark.parametrize("name", ["referenc", "../esc"])
def test_a_study_that_is_not_listed_is_named(asked, name):
    lines, done = asked("--study", name)
    assert not lines and done.returncode == 1 and f"lists no study '{name}'" in done.stderr


def test_no_jobs_are_refused(asked):
    assert "at least 1" in asked("--study", "reference", "--jobs", "0")[1].stderr
