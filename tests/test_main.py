"""The command line: what it knows, what it says, and what it imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import __main__ as command_line
from pipeline.__main__ import main
from pipeline.core import yaml

ROOT = Path(__file__).parents[1]

HEAVY = {"linearmodels", "matplotlib", "pyfixest", "scipy.stats", "sklearn", "statsmodels"}
DRAWING = {"evidence", "report", "synthesis"}


def test_every_stage_of_dvc_can_be_run_and_no_other():
    known = set(yaml.stages(ROOT))
    assert set(command_line.stages()) - {"findings"} == known
    by_hand = {"compare", "doctor", "experiment", "explain", "init-study", "reproduce", "score"}
    assert set(command_line.commands()) == by_hand


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


def test_what_fits_nothing_pays_for_no_library_that_fits():
    names = [f"pipeline.stages.{name}" for name in command_line.stages() if name not in DRAWING]
    code = (
        "import importlib, sys\nimport pandas as pd\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "from pipeline.stats import inference, rates, verdicts\n"
        "inference.effect(1.0, 2.0, 0.95, 30.0), verdicts.corrected([0.01, 0.2], 'holm')\n"
        "rates.default_rates(pd.Series([0, 1]), pd.Series(['a', 'a']), 0.95)\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
