"""Say why stages would run again: the module, parameter or file that changed since they last did."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core import yaml
from pipeline.runtime import places
from pipeline.runtime.code import Code
from pipeline.runtime.errors import StudyError

CACHE = Path(".dvc/cache/files/md5")

FOLDER = f"{places.CODE.as_posix()}/"


def stale(name: str | None) -> str:
    """Return a line for each stage that would run again, with what changed; `name` (``regress@sba``) asks for one."""
    locks = [yaml.read(lock).get("stages", {}) for lock in places.PIPELINE_LOCKS if lock.exists()]
    recorded = {one: stage for stages in locks for one, stage in stages.items()}
    # DVC puts the file before the name of a stage that does not stand in the first one.
    name = name and name.rpartition(":")[2]
    if name is not None and name not in recorded:
        raise StudyError(f"dvc.lock has no stage '{name}': write it as STAGE@STUDY.")
    code = {f"{FOLDER}{file}.json": hashes for file, hashes in Code().every()}
    status = _status()
    lines = []
    for stage, lock in recorded.items():
        if stage == "code" or (name is not None and stage != name):
            continue
        reasons = [*_code(lock, code), *_else(status.get(stage, []))]
        if reasons:
            lines.append(f"{stage}: {'; '.join(reasons)}")
    return "\n".join(lines) or "nothing would run again."


def _status() -> dict[str, list[Any]]:
    done = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StudyError(
            f"`dvc status` failed: {done.stderr.strip().splitlines()[-1] if done.stderr else 'no message'}"
        )
    return {name.rpartition(":")[2]: changed for name, changed in json.loads(done.stdout).items()}


def _code(lock: dict[str, Any], code: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield which modules of a stage changed, by the hashes of its last run, which DVC keeps in its cache."""
    for dep in lock.get("deps", []):
        if not dep["path"].startswith(FOLDER):
            continue
        now = code.get(dep["path"], {})
        text = json.dumps(now, indent=2, sort_keys=True) + "\n"
        if hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == dep["md5"]:
            continue
        kept = CACHE / dep["md5"][:2] / dep["md5"][2:]
        if not kept.exists():
            yield "code (its last version is not in DVC's cache here: see `git log -- pipeline`)"
            continue
        then = json.loads(kept.read_text(encoding="utf-8"))
        changed = sorted(file for file in then.keys() | now.keys() if then.get(file) != now.get(file))
        yield f"code {', '.join(changed)}"


def _else(status: list[Any]) -> Iterator[str]:
    """Yield which parameters and files changed, as DVC sees them."""
    for part in status:
        if isinstance(part, str):
            yield part
            continue
        for kind, entries in part.items():
            for file, what in entries.items():
                if isinstance(what, dict):
                    # As `dvc exp run -S` takes them: those of params.yaml by their names alone.
                    before = "" if file == "params.yaml" else f"{file}:"
                    yield f"parameter {', '.join(f'{before}{name}' for name in what)}"
                elif not file.startswith(FOLDER):
                    yield f"{'input' if 'deps' in kind else 'output'} {file} ({what})"
