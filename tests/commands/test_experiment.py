"""Choices of an experiment that are no parameters, and one that is."""

import subprocess
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.core import yaml
from tests.choices import ROOT, copied

OF_SBA = "pipeline/studies/sba/params.yaml:"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Return what DVC is asked, in a folder that holds the choices; it fails where the test says so."""
    copied(tmp_path)
    monkeypatch.chdir(tmp_path)
    calls = []

    def run(command, check):
        calls.append(command)
        return subprocess.CompletedProcess(command, int("fails" in command))

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("match.calipr=0.1", "params.yaml has no parameter match.calipr (did you mean 'caliper'?)"),
        ("matsh.caliper=0.1", "params.yaml has no parameter matsh (did you mean 'match'?)"),
        (
            f"{OF_SBA}horizon_month=24",
            "sba/params.yaml has no parameter horizon_month (did you mean 'horizon_months'?)",
        ),
        ("seed.start=1", "params.yaml has no parameter seed.start"),
        ("match.caliper", "'match.caliper' must be NAME=VALUE"),
        ("pipeline/studies/sba/parms.yaml:seed=1", "parms.yaml is missing"),
    ],
)
def test_a_slip_is_named_before_anything_runs(asked, capsys, choice, said):
    assert main(["experiment", choice, "--study", "sba"]) == 1
    assert said in capsys.readouterr().err and not asked


def test_what_is_known_goes_to_dvc_as_it_is(asked, capsys):
    choices = ["match.caliper=0.1,0.3", f"{OF_SBA}horizon_months=24"]
    assert main(["experiment", *choices, "--study", "sba", "--name", "tight", "--temp"]) == 0
    given = ["--name", "tight", "--temp", "-S", choices[0], "-S", choices[1], "report@sba"]
    assert asked == [["dvc", "exp", "run", *given]] and "A=HEAD B=tight" in capsys.readouterr().out


def test_an_experiment_that_failed_says_how_to_get_back(asked, capsys):
    assert main(["experiment", "seed=1", "--study", "sba", "--name", "fails"]) == 1
    assert "git checkout ." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("params.yaml", "matsh: 1", "params.yaml: matsh is not a parameter (did you mean 'match'?)."),
        (OF_SBA[:-1], "horizon_month: 24", "horizon_month is not a parameter (did you mean 'horizon_months'?)."),
    ],
)
def test_a_name_that_was_put_in_is_refused_by_the_first_stage(asked, capsys, file, line, said):
    """`dvc exp run -S +matsh=1` writes it, and no other stage declares it."""
    with Path(file).open("a", encoding="utf-8") as choices:
        choices.write(f"{line}\n")
    assert main(["code"]) == 1 and said in capsys.readouterr().err
    assert any(Path(file).is_relative_to(dep) for dep in yaml.stages(ROOT)["code"]["deps"])


def test_a_shell_is_told_of_commands_and_studies(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--completion", "bash"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "complete -o bashdefault -F _shtab_pipeline pipeline" in said
    assert "_shtab_pipeline_match___study_choices=(berka " in said and "_shtab_pipeline_experiment" in said
