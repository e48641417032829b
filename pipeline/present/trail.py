"""From each figure and table back to the stage and the parameters that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core import yaml
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

ROOT = Path(__file__).parents[2]


class Trail:
    """What the stages of DVC say of themselves: description, files and parameters."""

    def __init__(self, study: str, root: Path = Path()) -> None:
        """Read the stages and the parameters as they stand below `root`."""
        self._stages, self._study = yaml.stages(root), study
        self._own = places.choices(study).as_posix()
        self._choices = {"": yaml.read(root / "params.yaml"), self._own: yaml.read(root / self._own)}

    def parameters(self, stage: str) -> dict[str, Any]:
        """Return the parameters that a stage declares, by name; short sections are opened.

        A study's own choices have the name of their file and a colon before theirs.
        """
        if stage not in self._stages:
            raise StudyError(f"DVC has no stage '{stage}'.")
        named: dict[str, Any] = {}
        for declared in self._stages[stage]["do"].get("params", []):
            # A name of params.yaml, or names by the only other file: the study's own.
            own = isinstance(declared, dict)
            for path in next(iter(declared.values())) if own else [declared]:
                value: Any = self._choices[self._own if own else ""]
                for step in path.split("."):
                    value = value[step]
                named |= _opened(f"{self._own}:{path}" if own else path, value)
        return named

    def reads(self, stage: str, study: str) -> list[str]:
        """Return the files and folders that a stage of a study reads, its code aside."""
        deps = [dep.replace("${key}", study) for dep in self._stages[stage]["do"]["deps"]]
        return [dep for dep in deps if not dep.startswith("data/code/")]

    def ways(self, stage: str) -> dict[str, str]:
        """Return the way from the study's report to the code of a stage and to its choices, its own and all studies'.

        What is collected has records of sources in place of rows.
        """
        files = [f"pipeline/analyses/{stage}/rows.py", f"pipeline/studies/{self._study}/{stage}.py"]
        code = next((file for file in files if (ROOT / file).is_file()), f"pipeline/stages/{stage}.py")
        found = {"rows": "../../pipeline/sources"} if stage == "collect" else {}
        return found | {"code": f"../../{code}", "own": f"../../{self._own}", "common": "../../params.yaml"}

    def sentence(self, stage: str) -> str:
        """Return a stage's parameters in one line: short values with their value, longer ones by name."""
        prefix = f"{self._own}:"
        shown = [
            name if _long(value) or value is None else f"{name}={value}"
            for name, value in self.parameters(stage).items()
        ]
        common = [text for text in shown if not text.startswith(prefix)]
        own = [text.removeprefix(prefix) for text in shown if text.startswith(prefix)]
        return "; ".join([*common, f"{self._own}: {', '.join(own)}"])


def _opened(path: str, value: Any) -> dict[str, Any]:
    """Open a section whose values are all short; a section that holds lists or sections stays whole."""
    if isinstance(value, dict) and not any(map(_long, value.values())):
        return {f"{path}.{name}": "null" if inner is None else inner for name, inner in value.items()}
    return {path: value}


def _long(value: Any) -> bool:
    """Say whether a value is a section or a list, of which names may stand in one line."""
    return isinstance(value, dict | list) or ", " in str(value)
