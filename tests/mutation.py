"""How many random mistakes in pipeline/stats do the tests notice? `make mutants` says (MUTANTS=200 SEED=1).

A mutant is the code with one small mistake in it: a plus for a minus, < for <=, a number off by one, a negated
condition. The tests that reach its line are run on it in a temporary copy of the tree, the fastest first; it is caught
when one fails or never ends. Left alone are messages, types, numbers below a millionth and limits of iterations, which
say when to stop. Other mutants that change no number stand with the reason in tests/equivalent_mutants.csv.

Which tests reach which line is traced once and kept in .cache/mutants with the verdicts, so that a run goes on where it
was stopped. After new tests, `python tests/mutation.py --survivors` tries again those that got through.
"""

import argparse
import ast
import copy
import csv
import gc
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading them takes longer than most tests

ROOT = Path(__file__).resolve().parents[1]
STATS = "pipeline/stats"
TESTS = ("tests/stats", "tests/reference")
KEPT = ROOT / ".cache/mutants"
EQUIVALENT = ROOT / "tests/equivalent_mutants.csv"
PRELOADED = (
    "hypothesis", "linearmodels", "numpy", "pandas", "pyfixest", "pytest", "scipy.optimize", "scipy.sparse",
    "scipy.stats", "sklearn.ensemble", "sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection",
    "statsmodels.api",
)  # fmt: skip
"""Imported once, before a process is forked for every mutant."""

ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
NAMES = {"min": "max", "minimum": "maximum", "argmin": "argmax", "any": "all", "floor": "ceil", "cummin": "cummax"}
NAMES |= {new: old for old, new in NAMES.items()}
MEMORY = 16 << 30
SMALL = 1e-6
SPOKEN = {"warn", "warning", "info", "debug", "error", "exception"}
NO_NUMBER = {"strict", "copy", "n_jobs", "verbose", "max_iter", "maxiter", "tol", "xtol", "check_finite"}
"""Keywords that decide on checks, effort or where to stop."""


class Mutant(NamedTuple):
    """One mistake: bytes `start` to `end` of `file` are replaced by `text`."""

    file: str
    line: int
    start: int
    end: int
    text: str
    change: str
    reach: tuple  # lines that a test must run to meet it

    @property
    def place(self):
        return f"{self.file}:{self.line}"

    @property
    def key(self):
        return f"{self.file}:{self.start}-{self.end} {self.change}"


def is_small(value):
    """Return whether a number only says what counts as nothing."""
    return isinstance(value, float) and 0 < abs(value) <= SMALL


def mistakes(node):
    """Yield what may go wrong in a node: the mistaken node."""

    def other(**changes):
        new = copy.deepcopy(node)
        for name, value in changes.items():
            setattr(new, name, value)
        return new

    match node:
        case ast.Constant(value=bool(value)):
            yield other(value=not value)
        case ast.Constant(value=int(value)):
            yield other(value=value + 1)
        case ast.Constant(value=float(value)) if not is_small(value) and abs(value) != float("inf"):
            yield other(value=1.5 * value if value else 1.0)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield other(op=ARITHMETIC[type(node.op)]())
        case ast.Compare():
            close = any(isinstance(one, ast.Constant) and is_small(one.value) for one in ast.walk(node))
            for i, op in enumerate(node.ops):
                # That a distance is exactly the one at which a search stops never happens.
                if type(op) in COMPARISONS and not (close and isinstance(op, ORDERS)):
                    yield other(ops=[*node.ops[:i], COMPARISONS[type(op)](), *node.ops[i + 1 :]])
        case ast.BoolOp():
            yield other(op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield node.operand
        case ast.Name() if node.id in NAMES:
            yield other(id=NAMES[node.id])
        case ast.Attribute() if node.attr in NAMES:
            yield other(attr=NAMES[node.attr])
        case ast.Return(value=ast.BinOp()):
            yield other(value=ast.BinOp(ast.Constant(2), ast.Mult(), node.value))
    condition = getattr(node, "test", None) if isinstance(node, ast.If | ast.IfExp | ast.While) else None
    if isinstance(condition, ast.Name | ast.Call | ast.Attribute | ast.BoolOp):
        yield other(test=ast.UnaryOp(ast.Not(), condition))


def is_text(node):
    """Return whether an expression is text, put together or cut."""
    if isinstance(node, ast.BinOp):
        return is_text(node.left) or is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_spoken(node):
    """Return whether a node only says something: an error, a log line, a type, a text."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Assert():
            return True
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in SPOKEN:
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.keyword(arg=name) if name in NO_NUMBER:
            return True
    return is_text(node)


def mutants(path, root=ROOT):
    """Return every mutant of a file."""
    source = (root / path).read_bytes()
    starts = [0]
    for text in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(text))
    found = []

    def visit(node, reach):
        if is_spoken(node):
            return
        if isinstance(node, ast.FunctionDef):
            reach = range(node.lineno, node.end_lineno + 1)
        elif isinstance(node, ast.stmt) and reach:  # what stands outside of functions every test of the module meets
            body = getattr(node, "body", None)
            reach = range(node.lineno, (max(node.lineno, body[0].lineno - 1) if body else node.end_lineno) + 1)
        for new in mistakes(node):
            # A condition is replaced alone, so that the branches keep their lines.
            old, new = (node.test, new.test) if isinstance(node, ast.If | ast.While) else (node, new)
            text = ast.unparse(new)
            if isinstance(old, ast.expr):
                text = f"({text})"
            start, end = (starts[line - 1] + col for line, col in _span(old))
            change = f"{_short(ast.unparse(old))} -> {_short(ast.unparse(new))}"
            found.append(Mutant(str(path), old.lineno, start, end, text, change, tuple(reach)))
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child, reach)

    visit(ast.parse(source), ())
    return found


def _span(node):
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _short(text):
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:40]} ... {text[-15:]}"


def sample(population, count, seed):
    """Return `count` mutants at random, spread over the modules in proportion to their places."""
    draw = random.Random(seed)
    by_file = defaultdict(list)
    for mutant in population:
        by_file[mutant.file].append(mutant)
    ordered = [mutant for file in sorted(by_file) for mutant in draw.sample(by_file[file], len(by_file[file]))]
    step = len(ordered) / count
    first = draw.random() * step
    return [ordered[int(first + i * step)] for i in range(min(count, len(ordered)))]


class Watch:
    """A pytest plugin: the lines of pipeline/stats that each test runs, how long it takes, and what failed."""

    def __init__(self, folder, traced):
        self.folder, self.traced = str(folder), traced
        self.lines, self.seconds, self.failed = defaultdict(set), {}, []
        self.inside = {}
        self.now, self.began = self.lines[""], 0.0

    def pytest_runtest_logstart(self, nodeid):
        self.now, self.began = self.lines[nodeid], time.process_time()
        if self.traced:
            threading.settrace(self._call)
            sys.settrace(self._call)

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = (
            time.process_time() - self.began
        )  # which other work on the machine does not lengthen
        if report.failed:
            self.failed.append(report.nodeid)

    def _call(self, frame, event, arg):
        name = frame.f_code.co_filename
        if name not in self.inside:
            self.inside[name] = name[len(self.folder) + 1 :] if name.startswith(self.folder + "/" + STATS) else None
        if self.inside[name]:
            self.now.add((self.inside[name], frame.f_lineno))
            return self._line
        return None

    def _line(self, frame, event, arg):
        self.now.add((self.inside[frame.f_code.co_filename], frame.f_lineno))
        return self._line


def _pytest(folder, tests, traced, pipe):
    """Run tests in a process of its own, and send what came out."""
    import pytest

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.chdir(folder)
    # A loop that no longer ends may fill the memory before its time is over.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    watch = Watch(folder, traced)
    options = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
        "-p",
        "_hypothesis_pytestplugin",
        # Long simulations too: they catch what moves an error alone.
        "-m",
        "not end_to_end",
        "--hypothesis-seed=0",
    ]
    code = pytest.main([*options, *([] if traced else ["-x"]), *tests], plugins=[watch])
    sys.settrace(None)
    lines = {test: sorted(lines) for test, lines in watch.lines.items()} if traced else {}
    pipe.send({"code": int(code), "failed": watch.failed, "seconds": watch.seconds, "lines": lines})
    pipe.close()
    os._exit(0)


def run(folder, tests, seconds, traced=False):
    """Return what pytest said of some tests in a folder, or None where it took too long or died."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_pytest, args=(folder, tests, traced, there))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(seconds) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def copied(folder):
    """Lay a copy of the code and the tests into a folder; whatever else they read is linked."""
    for path in ROOT.iterdir():
        if path.name in ("pipeline", "tests"):
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name not in (".git", ".venv", ".cache", ".dvc", ".pytest_cache", ".hypothesis"):
            (folder / path.name).symlink_to(path)


def digest(*paths):
    """Return what identifies the content of files."""
    return hashlib.sha256(b"\0".join((ROOT / path).read_bytes() for path in paths)).hexdigest()


def kept(name):
    path = KEPT / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def keep(name, value):
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / name
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    new.replace(path)


def modules():
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / STATS).glob("*.py"))


def coverage(folder):
    """Return tests' seconds, and the tests that run each line by (file, line); changed files are traced anew."""
    known, code = kept("coverage.json"), digest(*modules())
    files = sorted(str(path.relative_to(ROOT)) for place in TESTS for path in (ROOT / place).glob("test_*.py"))
    for file in files:
        stamp = digest(file)
        if known.get(file, {}).get("stamp") == stamp and known[file]["code"] == code:
            continue
        began = time.monotonic()
        found = run(folder, [file], 1800, traced=True)
        if found is None:
            sys.exit(f"{file} did not end in half an hour, or died.")
        print(f"{file}: {len(found['seconds'])} tests traced in {time.monotonic() - began:.0f} s", flush=True)
        for test in found["failed"]:
            print(f"  fails without any mutant, and is left out: {test}", flush=True)
        passed = {test: seconds for test, seconds in found["seconds"].items() if test not in found["failed"]}
        known[file] = {"stamp": stamp, "code": code, "seconds": passed, "lines": found["lines"]}
        keep("coverage.json", known)
    seconds, reached = {}, defaultdict(set)
    for file in files:
        seconds |= known[file]["seconds"]
        for test, lines in known[file]["lines"].items():
            if test in known[file]["seconds"]:
                for line in lines:
                    reached[tuple(line)].add(test)
    return seconds, reached


def chosen(mutant, seconds, reached, budget):
    """Return the tests to run on a mutant within a budget, the fastest first, the module's own file before others.

    Behind those that run its line come the others of the same files: a fixture or a cache shared between tests is
    traced at its first use only.
    """
    own = f"tests/stats/test_{Path(mutant.file).stem}.py"
    lines = [place for place in reached if place[0] == mutant.file and (not mutant.reach or place[1] in mutant.reach)]
    direct = set().union(*(reached[place] for place in lines))
    files = {test.split("::")[0] for test in direct} | {own}
    beside = {test for test in seconds if test.split("::")[0] in files} - direct

    def cost(test):
        return seconds[test] * (1 if test.startswith(own + "::") else 3)

    tests, spent = [], 0.0
    for test in sorted(direct, key=cost) + sorted(beside, key=cost):
        if spent + seconds[test] <= budget or not tests:
            tests.append(test)
            spent += seconds[test]
    return tests, spent


def judged(mutant, number, folder, seconds, reached, budget):
    """Return what became of a mutant: caught or not, by which test, in how many seconds."""
    tests, spent = chosen(mutant, seconds, reached, budget)
    began = time.monotonic()
    if not tests:
        return {"caught": False, "by": "no test runs it", "seconds": 0.0}
    target, source = folder / mutant.file, (ROOT / mutant.file).read_bytes()
    target.write_bytes(source[: mutant.start] + mutant.text.encode() + source[mutant.end :])
    # Of the size and second of another, it would be taken from the cache of compiled files.
    os.utime(target, (number, number))
    try:
        found = run(folder, tests, 120 + 10 * spent)
    finally:
        target.write_bytes(source)
    took = round(time.monotonic() - began, 1)
    if found is None:
        return {"caught": True, "by": "does not end", "seconds": took}
    by = (found["failed"] or ["does not load" if found["code"] else f"{len(tests)} tests pass"])[0]
    return {"caught": found["code"] != 0, "by": by, "seconds": took}


def equivalents():
    """Return the reasons why mutants change no number, by module, line of code and change."""
    if not EQUIVALENT.is_file():
        return {}
    with EQUIVALENT.open(encoding="utf-8", newline="") as file:
        return {(row["module"], row["line"], row["change"]): row["reason"] for row in csv.DictReader(file)}


def table(judgements):
    """Return the lines that say what was caught; `judgements` is a list of (mutant, verdict)."""
    reasons = equivalents()
    counts, through, same = defaultdict(Counter), [], []
    for mutant, verdict in judgements:
        module = Path(mutant.file).stem
        line = (ROOT / mutant.file).read_text(encoding="utf-8").splitlines()[mutant.line - 1].strip()
        reason = reasons.get((module, line, mutant.change))
        kind = "caught" if verdict["caught"] else "same" if reason else "through"
        for name in (module, "all"):
            counts[name]["mutants"] += 1
            counts[name][kind] += 1
        if kind == "through":
            through.append(f"  {mutant.place}  {mutant.change}   [{line}]  ({verdict['by']})")
        elif kind == "same":
            same.append(f"  {mutant.place}  {mutant.change}: {reason}")
    total = counts.pop("all")
    lines = [f"{'module':28}{'mutants':>8}{'caught':>8}{'through':>9}{'equivalent':>12}"]
    for name, count in [*sorted(counts.items()), ("all", total)]:
        lines.append(f"{name:28}{count['mutants']:8}{count['caught']:8}{count['through']:9}{count['same']:12}")
    if through:
        lines += ["", "Got through:", *through]
    if same:
        lines += ["", "Change no number:", *same]
    other = total["mutants"] - total["same"]
    lines += ["", f"Caught: {total['caught']} of {total['mutants']} ({total['caught'] / total['mutants']:.1%})"]
    if total["same"]:
        lines[-1] += f"; of the {other} that change a number {total['caught'] / other:.1%}"
    return lines


def main():
    """Draw mutants, run the tests on them, and print what was caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200, help="how many to draw (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default: 1)")
    parser.add_argument("--modules", nargs="*", default=[], help="only these modules of pipeline/stats")
    parser.add_argument("--survivors", action="store_true", help="try again those that got through")
    parser.add_argument("--budget", type=float, default=30, help="seconds of tests for a mutant (default: 30)")
    options = parser.parse_args()
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() not in (ROOT, ROOT / "tests")]
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    files = [file for file in modules() if not options.modules or Path(file).stem in options.modules]
    drawn = sample([mutant for file in files for mutant in mutants(file)], options.mutants, options.seed)
    stamps, known = {file: digest(file) for file in files}, kept("verdicts.json")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        folder = Path(folder).resolve()
        copied(folder)
        seconds, reached = coverage(folder)
        # In a random order, so that what an interrupted run has judged is a fair sample too.
        order = random.Random(options.seed).sample(drawn, len(drawn))
        for number, mutant in enumerate(order, 1):
            verdict = known.get(mutant.key)
            if verdict and verdict["stamp"] == stamps[mutant.file] and (verdict["caught"] or not options.survivors):
                continue
            verdict = judged(mutant, number, folder, seconds, reached, options.budget)
            known[mutant.key] = verdict | {"stamp": stamps[mutant.file]}
            keep("verdicts.json", known)
            word = "caught" if verdict["caught"] else "THROUGH"
            told = f"{number:4} {word:8}{verdict['seconds']:6.1f} s  {mutant.place}  {mutant.change}"
            print(f"{told}  ({verdict['by']})", flush=True)
    print("\n".join(table([(mutant, known[mutant.key]) for mutant in drawn])))


if __name__ == "__main__":
    main()
