"""Every public function of pipeline/stats has a value from elsewhere: README.md beside this file says which."""

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = Path(__file__).with_name("README.md")
COLUMNS = {"valued": ["Function", "What is compared", "From", "Agreement", "Test"], "others": ["Function", "Why"]}


def tables():
    """The rows of the two tables, each as a list of cells."""
    found, rows = {}, None
    for line in README.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            rows = None
        elif rows is None:
            rows = found[next(name for name, columns in COLUMNS.items() if columns == cells)] = []
        elif not set("".join(cells)) <= {"-", ":"}:
            rows.append(cells)
    return found


TABLES = tables()


def plain(cell):
    return cell.strip("`")


def computing(module):
    """Public functions of a module, methods of its public classes, and classes whose objects are called."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{module.stem}.{node.name}"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__call__":
                    yield f"{module.stem}.{node.name}"
                elif isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{module.stem}.{node.name}.{inner.name}"


PUBLIC = {name for module in (ROOT / "pipeline" / "stats").glob("*.py") for name in computing(module)}


class File:
    """What the tests of a file use, directly or through its own helpers, fixtures and constants."""

    def __init__(self, path):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self.own, self.modules, self.names = {}, {}, {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.own[node.name] = node
            elif isinstance(node, ast.Assign):
                self.own |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "pipeline.stats":
                self.modules |= {name.asname or name.name: name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline.stats."):
                module = node.module.rsplit(".", 1)[1]
                self.names |= {name.asname or name.name: f"{module}.{name.name}" for name in node.names}

    def used(self, name, seen=frozenset()):
        """Functions and classes of stats, as module.name, and attributes, as .name, that something here uses."""
        found, below = set(), set()
        for node in ast.walk(self.own[name]):
            if isinstance(node, ast.Attribute):
                found.add(f".{node.attr}")
                if isinstance(node.value, ast.Name) and node.value.id in self.modules:
                    found.add(f"{self.modules[node.value.id]}.{node.attr}")
            named = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else None
            if named in self.names:
                found.add(self.names[named])
            elif named in self.own and named not in seen:
                below.add(named)
        for one in below - {name}:
            found |= self.used(one, seen | below | {name})
        return found


@functools.cache
def file(path):
    return File(ROOT / path)


def uses(function, test):
    """Whether a test uses a function; of a method that something of its module and the method's name stand there."""
    path, name = test.split("::")
    used = file(path).used(name)
    module, *parts = function.split(".")
    if len(parts) == 1:
        return function in used
    return f".{parts[1]}" in used and any(one.startswith(f"{module}.") for one in used)


def test_every_public_function_is_listed_once():
    valued, others = {plain(row[0]) for row in TABLES["valued"]}, [plain(row[0]) for row in TABLES["others"]]
    assert len(others) == len(set(others))
    assert not valued & set(others)
    assert valued | set(others) == PUBLIC


def test_every_entry_names_a_test_that_uses_the_function():
    wrong = []
    for function, *_, test in TABLES["valued"]:
        path, name = plain(test).split("::")
        if not (ROOT / path).exists() or name not in file(path).own or not uses(plain(function), plain(test)):
            wrong.append((function, test))
    assert not wrong


def test_every_entry_is_complete():
    for kind, rows in TABLES.items():
        for row in rows:
            assert len(row) == len(COLUMNS[kind]) and all(row), row


def test_every_script_of_r_has_values_that_a_test_holds():
    """Values stand beside the script and a test here reads them, or the README says which file holds them."""
    folder, said = README.parent, README.read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    scripts = {path.stem for path in folder.glob("*.R")}
    assert scripts
    for name in scripts:
        if (folder / f"{name}.json").exists():
            assert re.search(rf'"{name}(\.json)?"', tests)
        else:
            holder = re.search(rf"`{name}\.R` prints[^`]*`(tests/[^`]+\.py)`", " ".join(said.split()))
            assert holder and (ROOT / holder[1]).exists(), name


def test_a_function_that_no_test_uses_would_be_seen():
    """The check itself: a test of this folder uses what it names and nothing else."""
    test = "tests/reference/test_r.py::test_linear_probability_is_lm_with_vcovcl"
    assert uses("regression.linear_probability", test)
    assert not uses("regression.logit", test)
    assert not uses("month_regression.Fitted.adds", test)
