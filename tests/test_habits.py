"""What a code host and an editor run: the files parse, and call what exists."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
HOST = sorted([*ROOT.glob(".github/workflows/*.yml"), ROOT / ".pre-commit-config.yaml"])
CONTAINER = ROOT / ".devcontainer" / "devcontainer.json"


def read(file):
    return YAML(typ="safe", pure=True).load(file.read_text())


def steps(name):
    jobs = read(ROOT / ".github" / "workflows" / name)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_every_change_and_every_night_have_their_tests():
    assert steps("ci.yml") == [".ci/run"]
    assert steps("nightly.yml") == ["make test-long"]
    assert "schedule" in read(ROOT / ".github" / "workflows" / "nightly.yml")["on"]
    # Read by YAML 1.1 as well, where a bare `on` is true.
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_container_opens_jupyterlab_and_recommends_dvc():
    container = json.loads(CONTAINER.read_text())
    assert container["postAttachCommand"] == "make lab"
    assert "iterative.dvc" in container["customizations"]["vscode"]["extensions"]
    assert "jupyter lab" in (ROOT / "Makefile").read_text()


def test_hooks_run_what_the_environment_has():
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["entry"].split()[0] for hook in hooks} == {"ruff", "mypy"}
    assert all(hook["language"] == "system" for hook in hooks)
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["test"]
    assert any(str(text).startswith("ruff") for text in asked)


@pytest.mark.parametrize("file", [*HOST, CONTAINER], ids=lambda file: file.name)
def test_made_targets_exist_and_no_package_index_is_named(file):
    text = file.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    # No address of any kind, so none of a package index.
    assert "://" not in text and "index" not in text


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_published_notebook_holds_no_warning_and_no_place_of_the_machine_that_ran_it(file):
    """A warning names a temporary file, which is another one in every run."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    printed = [output for cell in cells for output in cell.get("outputs", ()) if output["output_type"] == "stream"]
    assert not [output["text"] for output in printed if output["name"] == "stderr"]
