"""Go back from a figure or table of a report to its rows, and to the functions that make and show them."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.core.params import Params
from pipeline.pages.written import contents
from pipeline.present.words import Words
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

NAMED = re.compile(r"(?:(?P<table>table|表)|figure|图)\s*(?P<number>\d+)", re.IGNORECASE)
"""How a reader names what a report shows, in either language."""

PAGES = ("pipeline/pages/drawings.py", "pipeline/pages/report.py", "pipeline/analyses/*/page.py")
"""Where the figures and tables of a report have their names."""

FILLED_IN = re.compile(r"\{% *if.*?endif *-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
"""What a caption does not take over from its words as it stands."""


class Maker(NamedTuple):
    """A function, and where it stands."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        """Return the function with its file and line."""
        return f"{self.name}, {self.file}:{self.line}"


def told(text: str, study: str | None, params: Params) -> tuple[str, list[str]]:
    """Return the stage of a figure or table, and the lines about it; `text` names it: ``Table 3``, ``图4``."""
    if study is None:
        raise StudyError(f"{text} is part of a study's report: name it with --study.")
    module = params.study(study).module
    named = NAMED.fullmatch(text)
    assert named is not None
    kind, number = "table" if named["table"] else "figure", int(named["number"])
    shown = {int(item["number"]): item for item in contents(study) if item["kind"] == kind}
    if not shown:
        file = places.reports(study) / "contents.csv"
        raise StudyError(f"{file} names no {kind}: run the stage that writes it (python -m pipeline report).")
    if number not in shown:
        raise StudyError(
            f"the report of {study} has no {kind.title()} {number}: it has {kind.title()} {min(shown)} to {max(shown)}."
        )
    item, folder = shown[number], places.reports(study)
    stage = item["stage"]
    lines = [
        f"{study}, {kind.title()} {number}: {item['caption']}",
        f"  shown       {folder / 'report.html'}#{kind}-{number}",
        # The table of sources shows their records; it has no rows.
        f"  rows        {places.results(study, stage) if stage != 'collect' else 'pipeline/sources'}",
        *(f"  made by     {maker}" for maker in makers(stage, module)),
    ]
    if kind == "figure":
        by = named_makers("figure")
        lines += [f"  file        {folder / item['file']}", f"  drawn by    {by.get(Path(item['file']).stem, by[''])}"]
    else:
        words = Words(params.report.language, study, module)
        lines.append(f"  laid out by {table_maker(item['caption'], words)}")
    return stage, lines


def table_maker(caption: str, words: Words) -> Maker:
    """Return the function that lays out a table: the name under which the words have its caption leads there.

    Tables of what a study's design allows have their captions with the study, and share one function.
    """
    by = named_makers("table")
    fixed = {}
    for name in by:
        with suppress(StudyError):
            parts = [
                " ".join(re.sub(r"[*`]", "", part).split()) for part in FILLED_IN.split(words.text(f"tables.{name}"))
            ]
            if re.fullmatch(".*".join(map(re.escape, parts)), caption):
                fixed[name] = sum(map(len, parts))
    return by[max(fixed, key=fixed.__getitem__, default="")]


@functools.cache
def named_makers(kind: str, root: Path = Path()) -> dict[str, Maker]:
    """Return the functions that draw figures or lay out tables by name; under no name that of computed names."""
    files = sorted(file.relative_to(root).as_posix() for pattern in PAGES for file in root.glob(pattern))
    return {name: maker for file in files for what, name, maker in module_of(file, root).shown() if what == kind}


def makers(stage: str, study: str, root: Path = Path()) -> list[Maker]:
    """Return the functions of its analysis that a stage uses; else that of the study's design, else the stage's own."""
    module = module_of(f"pipeline/stages/{stage}.py", root)
    home = f"pipeline.analyses.{stage}."
    names = [*map(module.dotted, ast.walk(module.tree)), *module.imports.values()]
    found = [maker_of(name, root) for name in dict.fromkeys(names) if name and name.startswith(home)]
    if "studies.effects(" in module.text:
        found.append(maker_of(f"pipeline.studies.{study}.effects.effects", root))
    return [maker for maker in found if maker] or [module.makers["run"]]


class Module:
    """A module's tree: what it imports, what it defines, and which figures and tables it names."""

    def __init__(self, file: str, root: Path = Path()) -> None:
        """Read a file below `root`."""
        self._root = root
        self.text = (root / file).read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self._functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]
        self.makers = {node.name: Maker(node.name, file, node.lineno) for node in self._functions}
        self.imports: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                self.imports |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}

    def dotted(self, node: ast.AST) -> str | None:
        """Return the full name of what an imported name, or an attribute of an imported module, stands for."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id)
        if isinstance(node, ast.Attribute) and (owner := self.dotted(node.value)):
            return f"{owner}.{node.attr}"
        return None

    def shown(self) -> Iterator[tuple[str, str, Maker]]:
        """Yield each figure and table that the module names: what it is, its name or nothing, and its maker.

        A figure's name stands before a tuple of function and choices; a table's before a lambda, or in a call of
        `show_table`. Names that are computed (those of a study's own design) are left empty.
        """
        for function in self._functions:
            for node in ast.walk(function):
                for kind, name, value in _named(node):
                    if maker := self._maker(value, function):
                        key = name.value if isinstance(name, ast.Constant) else ""
                        yield kind, key, maker

    def _maker(self, value: ast.AST, inside: ast.FunctionDef) -> Maker | None:
        """Return the function that gives an expression its value."""
        if isinstance(value, ast.Call):
            maker = self._maker(value.func, inside)
            # A table that is put together where it is shown.
            return self.makers[inside.name] if maker and maker.name == "markdown" else maker
        if isinstance(value, ast.Lambda):
            return self._maker(value.body, inside)
        if isinstance(value, ast.Tuple):
            return self._maker(value.elts[0], inside)
        if name := self.dotted(value):
            return maker_of(name, self._root)
        if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "self":
            return self.makers.get(value.attr)
        if isinstance(value, ast.Name):
            given = [node.value for node in ast.walk(inside) if isinstance(node, ast.Assign) and _is(node, value.id)]
            return self.makers.get(value.id) or (self._maker(given[-1], inside) if given else None)
        return None


@functools.cache
def module_of(file: str, root: Path = Path()) -> Module:
    """Return a module's tree, read once."""
    return Module(file, root)


def _is(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _named(node: ast.AST) -> Iterator[tuple[str, ast.AST | None, ast.AST]]:
    """Yield what a node names: figure or table, the name, and the expression that makes it."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) > 1:
        if node.func.attr == "show_table":
            yield "table", node.args[0], node.args[1]
        elif node.func.attr == "_block" and isinstance(node.args[0], ast.Constant) and node.args[0].value == "table":
            yield "table", None, node.args[1]
    pairs: list[tuple[ast.expr | None, ast.expr]] = []
    if isinstance(node, ast.Dict):
        pairs = list(zip(node.keys, node.values, strict=True))
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        pairs = [(node.targets[0].slice, node.value)]
    for name, value in pairs:
        if isinstance(value, ast.Tuple) and value.elts:
            yield "figure", name, value
        elif isinstance(value, ast.Lambda):
            yield "table", name, value


def maker_of(name: str, root: Path = Path()) -> Maker | None:
    """Return a function of the package by its full name; None where it is no function."""
    module, _, function = name.rpartition(".")
    file = f"{module.replace('.', '/')}.py"
    return module_of(file, root).makers.get(function) if (root / file).is_file() else None
