"""The code that a stage runs, as hashes that change with what it does and not with what is said about it."""

from __future__ import annotations

import ast
import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.runtime import places

PLUMBING = frozenset(
    f"pipeline/{name}.py"
    for name in (
        "__init__",
        "__main__",
        *(f"runtime/{one}" for one in ("errors", "journal", "parallel", "places", "runs")),
    )
)
"""Modules that change neither a number nor a byte of any output: they find files, divide work and tell what happens."""

UNREPEATED = {
    "recovery": frozenset(
        f"pipeline/{name}.py"
        for name in (
            *(f"core/{one}" for one in ("fields", "params", "protocol", "shared", "yaml")),
            "runtime/store",
            "sources/readers",
        )
    ),
}
"""Further modules for whose sake a stage is not repeated. The recovery takes half an hour, is handed its choices and
reads no file."""

BESIDE = {
    "pipeline/pages/comparison.py": ("pipeline/present/templates/comparison/*",),
    "pipeline/pages/evidence/site.py": ("pipeline/present/templates/evidence/*",),
    "pipeline/present/site.py": ("pipeline/present/templates/*.*",),
    "pipeline/pages/paper/paper.py": ("pipeline/pages/paper/references.bib", "pipeline/present/templates/*.*"),
    "pipeline/pages/report.py": ("pipeline/present/templates/*.*",),
    "pipeline/pages/synthesis.py": ("pipeline/present/templates/*.*",),
    "pipeline/sources/records.py": ("pipeline/sources/*.yaml", "pipeline/studies/*/sources/*.yaml"),
    "pipeline/studies/own/roles.py": ("pipeline/studies/own/roles.yaml",),
    "pipeline/studies/own/section.py": ("pipeline/studies/own/choices.yaml",),
    "pipeline/studies/own/template.py": ("pipeline/studies/own/template.yaml",),
}
"""Files that a module reads beside itself. Words are no code: pages depend on them, and nothing else does."""

BY_NAME = {"studies.module(": "study.py", "studies.effects(": "effects.py", "studies.intake(": "intake.py"}
"""How a stage imports the module of a study that it is run for, and which file that is."""

MODULE = r"^module:\s*[\"']?([a-z0-9_]+)"
"""How a study's choices name another study's folder, whose code it runs."""

CHAPTERS = 'import_module(f"pipeline.analyses.{name}.page")'
"""How a page imports its chapters by name: all of them count."""

NOTEBOOKS = re.compile(r"notebooks/sources/\w+\.py|pipeline/studies/\w+/notebook\.py")
"""Sources of notebooks: their comments are the text that people read, and count."""

WORDS = (
    "pipeline/present/words/*/*.yaml",
    "pipeline/analyses/*/words.*.yaml",
    "pipeline/studies/{module}/words.*.yaml",
)
CHOICES, VERSIONS = "pipeline/studies/{study}/params.yaml", ("pyproject.toml", "requirements.lock")
PAGES = {
    "evidence": (CHOICES, *WORDS, *VERSIONS),
    "notebook": (CHOICES, *WORDS),
    "notebooks": (CHOICES, *WORDS),
    "procedure": (CHOICES,),
    "report": (CHOICES, *WORDS, *VERSIONS),
    "synthesis": (CHOICES, *WORDS),
}
"""What stages whose outcome people read take in beside code and results: words, versions of packages, and their
studies' choices from top to bottom, as any may stand on a page."""


def settled(text: str) -> str:
    """Return a module's text without comments, docstrings, blank lines and blanks at the ends of lines.

    It is cut by position and what is left stays as it is written: trees and tokens differ between versions of Python,
    and the hash must not. Other strings keep every character.
    """
    return _settled(text, _nodes(text))


def _nodes(text: str) -> list[ast.stmt | ast.expr]:
    """Return the nodes of a module's tree that say what it imports and where its strings are."""
    kinds = (ast.Import, ast.ImportFrom, ast.Expr, ast.JoinedStr, ast.Constant)
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def _settled(text: str, nodes: Sequence[ast.stmt | ast.expr]) -> str:
    # Positions count bytes.
    lines = text.encode().split(b"\n")
    strings: dict[int, list[tuple[int, float]]] = {}
    cut: set[int] = set()
    for node in nodes:
        assert node.end_lineno is not None and node.end_col_offset is not None  # as in every tree of a text
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            cut.update(range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        ):
            for number in range(node.lineno, node.end_lineno + 1):
                start = node.col_offset if number == node.lineno else 0
                end = node.end_col_offset if number == node.end_lineno else math.inf
                strings.setdefault(number, []).append((start, end))
    kept = []
    for number, line in enumerate(lines, start=1):
        if number in cut:
            continue
        inside = strings.get(number, [])
        place = line.find(b"#")
        while place >= 0 and any(start <= place < end for start, end in inside):
            place = line.find(b"#", place + 1)
        code = line if place < 0 else line[:place]
        if any(end == math.inf for _, end in inside):
            # The end of the line lies inside a string.
            kept.append(code)
        elif code.strip():
            kept.append(code.rstrip())
    return b"\n".join(kept).decode() + "\n"


class Code:
    """The modules below a root, with what each imports."""

    def __init__(self, root: Path = Path()) -> None:
        """Read pipeline/ and the sources of the notebooks below `root`."""
        files = sorted([*(root / "pipeline").rglob("*.py"), *(root / "notebooks" / "sources").glob("*.py")])
        self.root = root
        self.texts = {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files}
        self._modules = {_module(name): name for name in self.texts if name.startswith("pipeline/")}
        self._found: dict[str, list[ast.stmt | ast.expr]] = {}
        self._imports: dict[str, set[str]] = {}
        self._hashes: dict[str, str] = {}

    def _nodes(self, name: str) -> list[ast.stmt | ast.expr]:
        if name not in self._found:
            self._found[name] = _nodes(self.texts[name])
        return self._found[name]

    def imports(self, name: str) -> set[str]:
        """Return the files that a file imports, at its top or inside functions, with their parent packages."""
        if name not in self._imports:
            found: set[str] = set()
            for node in self._nodes(name):
                if isinstance(node, ast.Import):
                    found |= {one.name for one in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
            inside = [one.split(".") for one in found if one in self._modules]
            modules = {".".join(parts[:end]) for parts in inside for end in range(1, len(parts) + 1)}
            self._imports[name] = {self._modules[one] for one in modules}
            if CHAPTERS in self.texts[name]:
                self._imports[name] |= {one for one in self.texts if one.endswith("/page.py")}
        return self._imports[name]

    def closure(self, *names: str) -> set[str]:
        """Return the files that some files import, directly or not, and these themselves."""
        reached, waiting = set(names), list(names)
        while waiting:
            new = self.imports(waiting.pop()) - reached
            reached |= new
            waiting += new
        return reached

    def stages(self) -> list[str]:
        """Return the names of the stages: what stands in pipeline/stages and runs for a study."""
        folder = "pipeline/stages/"
        return [name[len(folder) : -3] for name, text in self.texts.items() if name.startswith(folder) and _runs(text)]

    def studies(self) -> dict[str, str]:
        """Return for each study the folder whose code it runs: its own, or that which its choices name as module."""
        files = sorted((self.root / places.STUDIES).glob("*/params.yaml"))
        named = {file.parent.name: re.search(MODULE, file.read_text(encoding="utf-8-sig"), re.M) for file in files}
        return {name: found[1] if found else name for name, found in named.items()}

    def asks(self, stage: str) -> list[str]:
        """Return which files of a study's folder a stage imports by the study's name; none for most stages."""
        return [file for call, file in BY_NAME.items() if call in self.texts[f"pipeline/stages/{stage}.py"]]

    def of_study(self, stage: str) -> bool:
        """Say whether a stage runs other code for one study than for another."""
        return stage in ("notebook", "report") or bool(self.asks(stage))

    def runs(self, stage: str, study: str | None = None) -> set[str]:
        """Return all files that a stage runs, for a study's folder where it matters: code and what lies beside it."""
        starts = {f"pipeline/stages/{stage}.py"}
        if stage == "notebook":
            starts.add(f"pipeline/studies/{study}/notebook.py")
        if stage == "notebooks":
            starts |= {name for name in self.texts if name.startswith("notebooks/")}
        starts |= {f"pipeline/studies/{study}/{file}" for file in self.asks(stage)}
        used = self.closure(*(name for name in starts if name in self.texts))
        beside = {
            path.relative_to(self.root).as_posix()
            for name in used
            for pattern in BESIDE.get(name, ())
            for path in self.root.glob(pattern)
            if path.is_file()
        }
        return used - PLUMBING - UNREPEATED.get(stage, frozenset()) | beside

    def hashes(self, stage: str, study: str | None = None) -> dict[str, str]:
        """Return the hash of every file that a stage runs, by name."""
        return {name: self._hash(name) for name in sorted(self.runs(stage, study))}

    def read(self, stage: str, study: str | None = None) -> dict[str, str]:
        """Return the hash of every file that the pages of a stage read, by name; of all public studies without one."""
        named = self.studies()
        of = {study: named[study]} if study else {name: module for name, module in named.items() if name == module}
        files = {
            path
            for pattern in PAGES.get(stage, ())
            for name, module in of.items()
            for path in self.root.glob(pattern.format(study=name, module=module))
        }
        return {name: self._hash(name) for name in sorted(path.relative_to(self.root).as_posix() for path in files)}

    def _hash(self, name: str) -> str:
        if name not in self._hashes:
            if name in self.texts and not NOTEBOOKS.fullmatch(name):
                content = _settled(self.texts[name], self._nodes(name)).encode()
            else:
                content = (self.root / name).read_bytes()
            self._hashes[name] = hashlib.sha256(content).hexdigest()
        return self._hashes[name]

    def every(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield for each stage, and study where it matters, the name of its file and the hashes."""
        for stage in self.stages():
            if not self.of_study(stage):
                yield stage, self.hashes(stage) | self.read(stage)
                continue
            for study, module in self.studies().items():
                if all(f"pipeline/studies/{module}/{file}" in self.texts for file in self.asks(stage)):
                    yield f"{stage}/{study}", self.hashes(stage, module) | self.read(stage, study)


def _module(name: str) -> str:
    parts = name.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _runs(text: str) -> bool:
    return "\ndef run(study: " in text
