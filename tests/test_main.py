"""The command line: what it knows, what it says, and what it imports."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import __main__ as command_line
from pipeline.__main__ import main

ROOT = Path(__file__).parents[1]


def test_every_stage_of_dvc_yaml_can_be_run_and_no_other():
    known = set(YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"])
    assert set(command_line.stages()) - {"findings"} == known
    assert set(command_line.commands()) == {"compare", "doctor", "experiment", "explain", "init-study", "score"}


def test_help_says_what_each_stage_and_command_does(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for name, what in (command_line.stages() | command_line.commands()).items():
        assert f" {name} {what} " in f"{said} " and len(what.split()) > 3, name


def test_each_command_has_an_example_that_parses(capsys):
    assert set(command_line.EXAMPLES) == set(command_line.commands())
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    order = [
        said.index(f"\n{title}") for title in ("Commands:", "Stages of one study, such", "Stages of all studies, ")
    ]
    assert order == sorted(order)
    for name, example in command_line.EXAMPLES.items():
        assert f"python -m pipeline {example}\n" in said
        assert command_line.parser().parse_args(example.split()).run == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: STAGE|COMMAND"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["match"], "match is of one study: name it with --study"),
        (["synthesis", "--study", "sba"], "synthesis is of all studies: leave --study out"),
        (["score", "--data", "x.csv"], "the following arguments are required: --study"),
        (["match", "--study", "sba", "--quiet", "--verbose"], "not allowed with argument"),
    ],
)
def test_what_cannot_be_parsed_ends_with_two(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_a_command_is_imported_only_when_it_runs():
    code = (
        "import sys; from pipeline.__main__ import main\n"
        "try: main(['doctor', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pandas', 'numpy', 'pydantic', 'pipeline.commands.score'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
