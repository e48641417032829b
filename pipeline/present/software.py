"""The packages that the results were computed with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK, PROJECT = ROOT / "requirements.lock", ROOT / "pyproject.toml"


def software(lock: Path = LOCK, project: Path = PROJECT) -> list[tuple[str, str]]:
    """Return the packages on which the project rests, with the versions that the lock file pins."""
    versions = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(encoding="utf-8"), flags=re.M))
    asked = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [re.split(r"[\[<>=~!;\s]", one)[0] for one in asked]
    plain = {name: re.sub(r"[-_.]+", "-", name).lower() for name in names}
    return [(name, versions[key]) for name, key in sorted(plain.items()) if key in versions]
