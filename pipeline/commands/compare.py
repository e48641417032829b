"""Say in words what differs between two versions of the study: commits, branches, experiments or working folder."""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import tarfile
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pipeline.analyses.evidence.rows import FOLDER
from pipeline.core import results, yaml
from pipeline.present.difference import Version, told
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

WORKSPACE = "workspace"
"""The files as they are now; DVC calls them so too."""

READ = re.compile(
    r"params\.yaml|pipeline/studies/[a-z0-9_]+/params\.yaml"
    r"|reports/[a-z0-9_]+/(metrics\.json|results/[a-z_]+\.csv)|reports/evidence/results/verdicts\.csv"
)
"""Files in which a version's choices and findings stand."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "name", metavar="A", nargs="?", default="HEAD", help="a commit, branch, tag or experiment (HEAD)"
    )
    parser.add_argument("other", metavar="B", nargs="?", default=WORKSPACE, help=f"another one ({WORKSPACE})")


def run(options: argparse.Namespace) -> str:
    """Return what differs, one line each."""
    return "\n".join(told(version(options.name), version(options.other)))


def version(name: str) -> Version:
    """Read a version of the study by the name of a commit, branch, tag or experiment, or `workspace`."""
    if name == WORKSPACE:
        return _read(name, Path())
    with tempfile.TemporaryDirectory() as folder:
        _unpack(_commit(name), Path(folder))
        return _read(name, Path(folder))


def _read(name: str, root: Path) -> Version:
    import pandas as pd

    if not (root / "params.yaml").exists():
        raise StudyError(f"{name} has no params.yaml: name a version of this study.")
    found = sorted(file for file in root.glob("reports/*/**/*") if READ.fullmatch(file.relative_to(root).as_posix()))
    metrics: dict[str, Any] = {}
    rows: dict[tuple[str, str], Any] = {}
    verdicts: dict[tuple[str, str], str] = {}
    for file in found:
        if file.name == "metrics.json":
            try:
                metrics |= json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                path = file.relative_to(root)
                raise StudyError(f"{path} of {name} is no JSON ({error}): stage report writes it again.") from error
        elif file.name == "verdicts.csv":
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
            verdicts = dict(zip(zip(table["claim"], table["study"], strict=True), table["verdict"], strict=True))
        elif (study := file.parts[-3]) != FOLDER:
            rows[study, file.stem] = results.read(file).frame
    choices = yaml.read(root / "params.yaml")
    studies = choices.setdefault("studies", {})
    studies.pop("every", None)  # names again those of each kind
    studies |= {file.parent.name: yaml.read(file) for file in sorted(root.glob(places.choices("*").as_posix()))}
    return Version(name, choices, metrics, rows, verdicts)


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=True)
    except FileNotFoundError as error:
        raise StudyError("git was not found: install it to compare versions.") from error
    return done.stdout


def _commit(name: str) -> str:
    """Return the commit that a name means: git's own names first, then DVC's experiments."""
    try:
        _git("rev-parse", "--git-dir")
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode("utf-8", "replace").strip()
        raise StudyError(f"git finds no versions here ({why}): compare them in a clone of the repository.") from error
    experiments = {}
    for line in _git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").decode().splitlines():
        commit, reference = line.split(" ", 1)
        # refs/exps/<two digits>/<the rest of the commit it starts from>/<name>
        if len(parts := reference.split("/")) == 5:
            experiments[parts[4]] = commit
    try:
        found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().split()
    except subprocess.CalledProcessError:
        found = []
    if not found and name not in experiments:
        branches = _git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").decode().split()
        known = [WORKSPACE, *branches, *experiments]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
        raise StudyError(f"there is no commit, branch, tag or experiment '{name}': {hint}")
    return found[0] if found else experiments[name]


def _unpack(commit: str, folder: Path) -> None:
    """Lay a commit's files in which choices and findings stand into a folder."""
    listed = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", "params.yaml", "pipeline", "reports")
    paths = listed.decode().split("\0")
    if wanted := [path for path in paths if READ.fullmatch(path)]:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit, "--", *wanted))) as archive:
            archive.extractall(folder, filter="data")
