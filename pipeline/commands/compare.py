"""Lay two versions side by side in words and as a page: commits, branches, experiments, folders or the files now."""

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
from pipeline.pages.comparison import write
from pipeline.present.difference import Version, difference, told
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

WORKSPACE, LAST = "workspace", "HEAD"
"""The files as they are now, as DVC calls them, and the last commit."""

UNPACKED = Path(".dvc/unpacked.tar")
"""In a copy without git, the files as they were unpacked: its last commit (Makefile, target scm)."""

READ = re.compile(
    r"params\.yaml|pipeline/studies/[a-z0-9_]+/params\.yaml"
    r"|reports/[a-z0-9_]+/(metrics\.json|results/[a-z_]+\.csv|figures(_[a-z]+)?/[a-z0-9_]+\.svg)"
)
"""Files in which a version's choices and findings stand."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "name", metavar="A", nargs="?", default=LAST, help=f"a commit, branch, tag, experiment or folder ({LAST})"
    )
    parser.add_argument("other", metavar="B", nargs="?", default=WORKSPACE, help=f"another one ({WORKSPACE})")


def run(options: argparse.Namespace) -> str:
    """Write what differs as a page in each language; return it, one line each, and where the page is."""
    found = difference(version(options.name), version(options.other))
    return "\n".join([*told(found), "", *map(str, write(found))])


def version(name: str) -> Version:
    """Read a version of the study: a commit, branch, tag, experiment, folder that holds a copy, or `workspace`."""
    if name == WORKSPACE:
        return _read(name, Path())
    if (Path(name) / "params.yaml").is_file():
        return _read(name, Path(name))
    with tempfile.TemporaryDirectory() as folder:
        if name == LAST and UNPACKED.exists() and not _tracked():
            _unpack(UNPACKED.read_bytes(), Path(folder))
        else:
            _unpack(_archived(_commit(name)), Path(folder))
        return _read(name, Path(folder))


def _read(name: str, root: Path) -> Version:
    import pandas as pd

    if not (root / "params.yaml").exists():
        raise StudyError(f"{name} has no params.yaml: name a version of this study.")
    found = sorted(file for file in root.glob("reports/*/**/*") if READ.fullmatch(file.relative_to(root).as_posix()))
    metrics: dict[str, Any] = {}
    rows: dict[tuple[str, str], Any] = {}
    verdicts: dict[tuple[str, str], str] = {}
    figures: dict[str, bytes] = {}
    for file in found:
        if file.suffix == ".svg":
            figures[file.relative_to(root).as_posix()] = file.read_bytes()
        elif file.name == "metrics.json":
            try:
                metrics[file.parent.name] = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                path = file.relative_to(root)
                raise StudyError(f"{path} of {name} is no JSON ({error}): stage report writes it again.") from error
        elif file.parts[-3] == FOLDER and file.name == "verdicts.csv":
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
            verdicts = dict(zip(zip(table["claim"], table["study"], strict=True), table["verdict"], strict=True))
        elif (study := file.parts[-3]) != FOLDER:
            rows[study, file.stem] = results.read(file).frame
    choices = yaml.read(root / "params.yaml")
    studies = choices.setdefault("studies", {})
    studies.pop("every", None)  # names again those of each kind
    studies |= {file.parent.name: yaml.read(file) for file in sorted(root.glob(places.choices("*").as_posix()))}
    return Version(name, choices, metrics, rows, verdicts, figures)


def _tracked() -> bool:
    """Say whether git keeps these files: a copy that was unpacked may have been put under it since."""
    try:
        _git("ls-files", "--error-unmatch", "params.yaml")
    except (StudyError, subprocess.CalledProcessError):
        return False
    return True


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
        raise StudyError(
            f"git finds no versions here ({why}): compare folders that hold copies, or do it in a clone."
        ) from error
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


def _archived(commit: str) -> bytes:
    """Return a commit's files in which choices and findings stand, as an archive."""
    listed = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", "params.yaml", "pipeline", "reports")
    wanted = [path for path in listed.decode().split("\0") if READ.fullmatch(path)]
    return _git("archive", "--format=tar", commit, "--", *wanted) if wanted else b""


def _unpack(archive: bytes, folder: Path) -> None:
    if archive:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
