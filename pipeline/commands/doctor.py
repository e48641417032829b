"""Check what the pipeline needs (Python, packages, parameters, data, disk, DVC) and say what to do."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.core import yaml
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError

OLDEST, UNTRIED = (3, 11), (3, 14)
LEAST_ROOM = 2 * 1024**3
"""Bytes: raw and derived data, the cache and an environment take less than this together."""
SHOWN = 4
"""Names that are listed before the rest is counted."""
MEND = {
    "not a git repository": " tell DVC: dvc config --local core.no_scm true",
    **{
        f"'./{lock}'": f" git checkout {lock}, then make reproduce STUDY=... takes what ran since from the cache"
        for lock in places.PIPELINE_LOCKS
    },
}
"""What to do, by words of DVC's error; dvc.lock is written in place, and a kill or a full disk may leave half of it."""


class Finding(NamedTuple):
    """What a check found: nothing to do, something that only some uses need, or something to put right."""

    state: Literal["ok", "note", "fix"]
    subject: str
    says: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes: nothing."""


def run(options: argparse.Namespace) -> str:
    """Print every finding; a StudyError names what is to be put right."""
    found = []
    for check in CHECKS:
        for finding in _kept_going(check):
            print(f"{finding.state:<5} {finding.subject:<19} {finding.says}")
            found.append(finding)
    wrong = [finding.subject for finding in found if finding.state == "fix"]
    if wrong:
        raise StudyError(f"to put right: {', '.join(dict.fromkeys(wrong))}.")
    return "Everything that the pipeline needs is there."


def _kept_going(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield a check's findings; a check that cannot be made is one of its own, and the others are made."""
    subject = check.__name__.removeprefix("_")
    try:
        yield from check()
    except StudyError as error:
        yield Finding("fix", subject, str(error))
    except ImportError as error:
        yield Finding("fix", subject, f"cannot be checked: the package {error.name} is missing.")


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run a program; None where the machine does not have it."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST <= sys.version_info < UNTRIED:
        says = f"{version}: 3.11, 3.12 or 3.13 is needed (make PYTHON=/path/to/python3.11 ...)."
        yield Finding("fix", "python", says)
    else:
        yield Finding("ok", "python", f"{version}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    lock = Path("requirements.lock")
    if not lock.exists():
        raise StudyError(f"{lock} is missing: run from the folder that holds it, or git checkout {lock}.")
    asked = [
        Requirement(line.removesuffix("\\"))
        for line in lock.read_text(encoding="utf-8").splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    ]
    here = [one for one in asked if one.marker is None or one.marker.evaluate()]
    differ = []
    for one in here:
        try:
            installed = version(one.name)
            right = one.specifier.contains(installed)
        except PackageNotFoundError:
            installed, right = "missing", False
        if not right:
            differ.append(f"{one.name} ({installed}, not {str(one.specifier).removeprefix('==')})")
    if differ:
        says = (
            f"{len(differ)} of {len(here)} are not those of {lock}: {_few(differ)}: rm -r .venv, then make reproduce."
        )
        yield Finding("fix", "packages", says)
    else:
        yield Finding("ok", "packages", f"{len(here)} as in {lock}")


def _git() -> Iterator[Finding]:
    stages = map(str, (*places.PIPELINE_LOCKS, *places.PIPELINES))
    files = ("requirements.lock", *stages, "params.yaml", places.choices("*").as_posix())
    asked = _run("git", "status", "--porcelain", "--", *files)
    if asked is None or asked.returncode:
        yield Finding(
            "note", "git", "no git, or no repository of it here: make compare and dvc exp need one (git clone)."
        )
        return
    changed = [line[3:] for line in asked.stdout.splitlines()]
    if changed:
        says = f"{', '.join(changed)}: not as committed (git diff shows how, git checkout FILE takes it back)."
        yield Finding("note", "git", says)
    else:
        yield Finding("ok", "git", f"{', '.join(files)} as committed")


def _params() -> Iterator[Finding]:
    from pipeline.core import params

    names = list(params.load().studies)
    yield Finding("ok", "params", f"params.yaml is valid, {len(names)} studies: {', '.join(names)}")


def _data() -> Iterator[Finding]:
    from pipeline import studies
    from pipeline.core import params
    from pipeline.sources.fetch import MIRROR_VARIABLE, is_right, mirror_from_environment
    from pipeline.sources.records import load_source

    mirror = mirror_from_environment()
    if mirror is None:
        yield Finding("ok", "mirror", f"{MIRROR_VARIABLE} is not set: files come from their recorded addresses")
    elif not mirror.is_dir():
        yield Finding("fix", "mirror", f"{mirror} is no folder: correct or unset {MIRROR_VARIABLE}.")
    else:
        yield Finding("ok", "mirror", f"{mirror}")
    for name, protocol in params.load().studies.items():
        subject = f"data {name}"
        if protocol.own is not None:
            file = Path(str(protocol.own.get("file")))
            if file.is_file():
                yield Finding("ok", subject, f"{file}")
            else:
                says = f"{file} is missing: put it there, or correct own.file in {places.choices(name)}."
                yield Finding("fix", subject, says)
            continue
        wanted = [
            (Path(source.folder) / file.name, file)
            for source in map(load_source, protocol.sources)
            for file in studies.module(protocol.module).files(source, protocol.vintages)
        ]
        wrong = [
            str(places.RAW / at)
            for at, file in wanted
            if (places.RAW / at).exists() and not is_right(places.RAW / at, file)
        ]
        absent = [(at, file) for at, file in wanted if not (places.RAW / at).exists()]
        spoilt = [
            str(mirror / at)
            for at, file in absent
            if mirror and (mirror / at).exists() and not is_right(mirror / at, file)
        ]
        if wrong:
            yield Finding(
                "fix", subject, f"{_few(wrong)}: not the recorded content: remove it, and it is fetched again."
            )
        elif spoilt:
            yield Finding(
                "fix", subject, f"{_few(spoilt)}: not the recorded content: replace or remove it in the mirror."
            )
        elif absent:
            says = f"{len(absent)} of {len(wanted)} files are not here yet: make reproduce STUDY={name} fetches them."
            yield Finding("note", subject, says)
        elif wanted:
            yield Finding("ok", subject, f"{len(wanted)} files, checksums right")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    says = f"{free / 1024**3:.1f} GB free"
    if free < LEAST_ROOM:
        yield Finding("fix", "disk", f"{says}: make room for {LEAST_ROOM / 1024**3:.0f} GB.")
    else:
        yield Finding("ok", "disk", says)


def _stages() -> Iterator[Finding]:
    for lock in places.PIPELINE_LOCKS:
        if lock.exists() and (line := yaml.conflict(lock.read_text(encoding="utf-8", errors="replace"))):
            says = f"{lock}, line {line}: a merge left both sides: git checkout --ours {lock}, then make reproduce."
            yield Finding("fix", "stages", says)
            return
    asked = _run(sys.executable, "-m", "dvc", "status", "--json")
    try:
        changed = json.loads(asked.stdout) if asked and asked.returncode == 0 else None
    except ValueError:
        changed = None
    if changed is None:
        # What is wrong with one of its files, DVC says without that word.
        said = [line for line in (asked.stderr if asked else "").splitlines() if line]
        trouble = [*(line for line in said if line.startswith("ERROR")), *said, "dvc cannot be run"]
        reason = trouble[0].removeprefix("ERROR: ").rstrip(".")
        mend = next((way for words, way in MEND.items() if words in reason), "")
        yield Finding("fix", "stages", f"their state cannot be asked ({reason}){':' * bool(mend)}{mend}.")
    elif changed:
        says = (
            f"{len(changed)} are out of date: {_few(sorted(changed))}: make reproduce STUDY=... or make reproduce-all."
        )
        yield Finding("note", "stages", says)
    else:
        yield Finding("ok", "stages", "all are up to date")


def _cache() -> Iterator[Finding]:
    """DVC trusts what it has kept, and would bring a spoilt file back again and again."""
    from pipeline.commands.explain_stale import CACHE

    kept = [path for path in sorted(CACHE.glob("??/*")) if path.is_file()]
    spoilt = [str(path) for path in kept if path.parent.name + path.stem != _md5(path)]
    if spoilt:
        says = f"{_few(spoilt)}: not what was kept: remove it, and make reproduce STUDY=... computes it again."
        yield Finding("fix", "cache", says)
    else:
        yield Finding("ok", "cache", f"{len(kept)} files of {CACHE}, checksums right")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _runs() -> Iterator[Finding]:
    from pipeline.runtime import runs

    under_way = [f"{name} ({holder})" for name, holder in runs.under_way()]
    if under_way:
        yield Finding("note", "runs", f"under way: {_few(under_way)}: wait until they end.")
    else:
        yield Finding("ok", "runs", "none is under way; lock files that are left mean nothing")
    left = sorted(
        str(path) for top in ("data", "reports", "notebooks") for path in Path(top).rglob(f".*{store.UNFINISHED}")
    )
    if left and not under_way:
        yield Finding(
            "note", "runs", f"left by runs that were killed: {_few(left)}: the next run of the stage removes it."
        )


def _tools() -> Iterator[Finding]:
    needs = {
        "make": (("make",), "the commands of the README (Debian: make)"),
        "java": (("java",), "engine: spark (Debian: default-jre-headless)"),
        "browser": (("chromium", "chromium-browser", "google-chrome"), "the tests of the pages (Debian: chromium)"),
    }
    for name, (programs, serves) in needs.items():
        found = next(filter(None, map(shutil.which, programs)), None)
        yield Finding("ok", name, found) if found else Finding("note", name, f"not found; it serves {serves}.")
    from pipeline.present.figures import wide_fonts

    fonts = wide_fonts()
    lacks = "no font with Chinese characters, so PDFs lack their letters (Debian: fonts-noto-cjk)."
    yield Finding("ok", "fonts", fonts[0]) if fonts else Finding("note", "fonts", lacks)


CHECKS = (_python, _packages, _git, _params, _data, _disk, _stages, _cache, _runs, _tools)
