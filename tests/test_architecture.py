import ast
import difflib
import functools
import itertools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core import params, yaml
from pipeline.core.protocol import Study
from pipeline.runtime.code import PAGES, Code
from tests.choices import copied

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
FLOORS = {
    name: height
    for height, names in enumerate(
        ("runtime", "core", "sources stats", "studies", "present", "analyses", "pages", "stages commands", "__main__")
    )
    for name in names.split()
}
"""Imports go to lower floors only; what shares a floor stands apart."""

PIPELINE = yaml.stages(ROOT)
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
EACH = {
    name: stage["foreach"].removeprefix("${studies.")[:-1] for name, stage in PIPELINE.items() if "foreach" in stage
}
"""Stages that run for one study at a time, with the kind of studies for which they do."""
STUDIES = params.load(ROOT / "params.yaml").studies
LISTED = yaml.read(ROOT / "params.yaml")["studies"]
"""Studies by kind."""
OWN = "own"
"""Stands for any study of a reader's own file: it has the name of the module that serves them all."""


def studies_of(stage):
    """Every study for which a stage runs, or would if a reader had set one up."""
    if stage not in EACH:
        return [""]
    named = list(LISTED[EACH[stage]])
    return [*named, OWN] if EACH[stage] in ("every", "owned") else named


RUNS = [(stage, study) for stage in STAGES for study in studies_of(stage)]
"""Every stage with every study for which it runs."""


def test_one_place_corrects_clustered_errors_for_the_size_of_the_sample():
    """No other code divides by one less than a number of clusters: `inference.correction` is the rule.

    A jackknife's (G-1)/G stands the other way round. Estimators of other libraries carry the same rule by a switch.
    """
    ratio = re.compile(r"/ \(?(?:max\()?[\w.]*(?:\(\w+\))? - 1\b")
    allowed = {"clusters / (clusters - 1)": "the rule itself", "/ (at_risk - 1)": "a hypergeometric variance"}
    allowed["/ (number - 1)"] = "the variance of an outcome among neighbours"
    found = {
        f"{path.name}: {line.strip()}"
        for folder in ("stats", "studies", "analyses", "stages")
        for path in (PACKAGE / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if ratio.search(line) and not any(part in line for part in allowed)
    }
    assert found == set()
    assert ratio.search("variance = count / (count - 1) * total") and ratio.search("len(s) / (len(s) - 1)")
    assert ratio.search("count / max(count - 1, 1)") and not ratio.search("(count - 1) / count")


def module_named(study):
    """Return the folder in pipeline/studies that holds a study's code."""
    return STUDIES[study].module if study in STUDIES else study


def place(dep, study):
    """Return a dependency as DVC means it for a study."""
    return dep.replace("${key}", study)


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py") if path.name != "notebook.py"}
"""Without notebooks, which nothing imports and which may use all floors."""


@functools.cache
def imports(path):
    """Modules of this package that a file imports, at its top or inside functions, with their parent packages."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    named = {name for name in found if name in MODULES}
    return named | {".".join(name.split(".")[:end]) for name in named for end in range(1, name.count(".") + 1)}


def closure(path):
    reached, waiting = set(), [path]
    while waiting:
        for name in imports(waiting.pop()):
            if name not in reached:
                reached.add(name)
                waiting.append(MODULES[name])
    return {MODULES[name] for name in reached}


def floor(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_one_way(module):
    own = floor(module)
    for other in map(floor, imports(MODULES[module])):
        if own is None or other is None or own == other:
            continue
        assert FLOORS[other] < FLOORS[own], f"{module} imports from pipeline.{other}"


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if name.endswith(".rows")])
def test_rows_know_nothing_of_pages(module):
    assert not {name for name in imports(MODULES[module]) if floor(name) == "present" or name.endswith(".page")}


AT_THE_EDGE = {"pipeline.runtime.places", "pipeline.runtime.store", "pipeline.runtime.journal", "pipeline.core.cohorts"}
"""Modules by which files are found, read and written."""

WITH_FILES = {"regress"}
"""Analyses whose rows still read or write."""


@pytest.mark.parametrize("name", sorted({path.parent.name for path in PACKAGE.glob("analyses/*/rows.py")} - WITH_FILES))
def test_rows_read_and_write_no_file(name):
    reached, waiting = set(), [f"pipeline.analyses.{name}.rows"]
    while waiting:
        found = imports(MODULES[waiting.pop()])
        assert not found & AT_THE_EDGE, name
        waiting += [one for one in found - reached if floor(one) == "analyses"]
        reached |= found


CODE = Code(ROOT)


def code_file(stage, study):
    """The file in which the stage `code` writes what a stage of a study runs."""
    return f"data/code/{stage}/{study}.json" if CODE.of_study(stage) else f"data/code/{stage}.json"


def test_every_study_is_fetched_or_simulated():
    owned = [name for name, study in STUDIES.items() if study.own is not None]
    fetched = [name for name, study in STUDIES.items() if study.sources]
    simulated = [name for name, study in STUDIES.items() if study.simulated]
    assert list(LISTED["fetched"]) == fetched
    assert list(LISTED["simulated"]) == simulated
    assert LISTED["owned"] == {name: {"file": STUDIES[name].own["file"]} for name in owned}
    assert sorted(fetched + simulated + owned) == sorted(STUDIES)
    designed = {name for name in STUDIES if (PACKAGE / "studies" / name / "effects.py").exists()}
    assert set(LISTED["designed"]) == designed


def test_the_synthesis_reads_the_studies_that_it_names():
    read = {dep.split("/")[1] for dep in STAGES["synthesis"]["deps"] if dep.startswith("reports/")}
    assert read == set(params.load(ROOT / "params.yaml").compared)


@pytest.mark.parametrize(("stage", "study"), [run for run in RUNS if run[0] != "code"])
def test_a_stage_depends_on_the_code_it_runs_by_one_file(stage, study):
    deps = [place(dep, study) for dep in STAGES[stage]["deps"]]
    assert [dep for dep in deps if dep.startswith("data/code/")] == [code_file(stage, study)]
    words = any("words" in pattern for pattern in PAGES.get(stage, ()))
    fills = "pipeline/present/words.py" in CODE.runs(stage, module_named(study) if study else None)
    assert words == fills, f"{stage} fills in words" if fills else f"{stage} fills in none"
    assert not [dep for dep in deps if dep.startswith("pipeline/")]


def test_the_code_of_every_stage_is_written():
    written = {f"data/code/{name}.json" for name, _ in CODE.every()}
    assert {code_file(stage, study) for stage, study in RUNS if stage != "code" and study != OWN} <= written


@pytest.mark.parametrize(("stage", "study"), [one for one in RUNS if one[0] in ("simulate", "collect", "prepare")])
def test_loans_are_not_read_again_for_an_estimators_sake(stage, study):
    ties = {"pipeline/stats/__init__.py", "pipeline/stats/ties.py"}
    runs = CODE.runs(stage, module_named(study) if study else None)
    assert not {file for file in runs if file.startswith("pipeline/stats/")} - ties


def test_the_recovery_is_repeated_when_generator_or_estimators_change_and_not_for_plumbing():
    runs = CODE.runs("recovery")
    assert {"pipeline/stats/estimators.py", "pipeline/studies/reference/generator.py"} <= runs
    assert not {"pipeline/core/params.py", "pipeline/runtime/store.py", "pipeline/runtime/runs.py"} & runs


PLACES = {"parallel", "engine", "engine_address", "engine_memory"}
"""Where work is done, not what is done: results do not depend on these sections (tests/core/test_parallel.py,
tests/core/test_engine.py), so no stage declares them and none reruns when they change."""

OF_STUDY = "pipeline/studies/${key}/params.yaml"


def parameters(stage):
    """Parameters that a stage declares, a study's own after its file and a colon."""
    found = []
    for one in STAGES[stage].get("params", []):
        if isinstance(one, dict):
            found += [f"{file}:{name}" for file, names in one.items() for name in names]
        else:
            found.append(one)
    return found


def sections_read(path):
    """Names of the choices that a module reads, a study's own after its file and a colon."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            name = {"after_origination": "landmark"}.get(node.attr, node.attr)
            # The module is a dependency, which names its folder.
            if owner in ("protocol", "study") and name in set(Study.model_fields) - {"module"}:
                found.add(f"{OF_STUDY}:{name}")
            elif owner == "params" and node.attr in set(params.Params.model_fields) - {"studies"} - PLACES:
                found.add(node.attr)
    return found


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in PAGES])
def test_a_stage_declares_the_parameters_it_reads(stage):
    declared = parameters(stage)
    start = PACKAGE / "stages" / f"{stage}.py"
    parts = [
        path for path in closure(start) if path.parent == start.parent or path.is_relative_to(PACKAGE / "analyses")
    ]
    read = set.union(*map(sections_read, [start, *parts]))
    if stage in ("prepare", "recovery"):
        for study in [study for name, study in RUNS if name == stage]:
            read |= sections_read(PACKAGE / "studies" / module_named(study) / "study.py")
    if stage == "effects":
        for study in LISTED["designed"]:
            read |= sections_read(PACKAGE / "studies" / study / "effects.py")
    if stage == "intake":
        read |= sections_read(PACKAGE / "studies" / OWN / "intake.py")
    for name in read:
        assert any(name == path or path.startswith(f"{name}.") for path in declared), f"{stage} reads {name}"
    if any("scope(protocol" in path.read_text() for path in [start, *parts]):
        # Through the scope a stage may read whatever the cohort has to hold.
        read |= {f"{OF_STUDY}:{name}" for name in ("factors", "matching", "controls", "cluster")}
    for path in declared:
        assert any(path == name or path.startswith(f"{name}.") for name in read), f"{stage} does not read {path}"


@pytest.mark.parametrize("stage", STAGES)
def test_outputs_are_all_cached_or_all_committed(stage):
    outs = [out for kind in ("outs", "metrics", "plots") for out in STAGES[stage].get(kind, [])]
    committed = {isinstance(out, dict) and next(iter(out.values())).get("cache") is False for out in outs}
    assert len(committed) == 1


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_is_short(path):
    assert len(path.read_text().splitlines()) <= 80


LONG: set[str] = set()
"""Modules of more than 400 lines: none, and no other joins them."""


def test_a_module_has_at_most_400_lines_or_stands_in_the_list():
    long = {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.read_text().count("\n") > 400
    }
    assert long == LONG


LONG_FUNCTIONS = {
    "analyses/match/rows.py:_matched": "rows of one kind after another",
    "analyses/mechanism/loyalty.py:loyalty": "rows of one kind after another",
    "analyses/mechanism/satisfaction.py:satisfaction": "rows of one kind after another",
    "analyses/predict/page.py:blocks": "a chapter from top to bottom",
    "analyses/regress/rows.py:_effects": "rows of one kind after another",
    "analyses/time/curves.py:curves": "rows of one kind after another",
    "analyses/warning/signals.py:before_default": "rows of one kind after another",
    "present/page.py:Page._context": "a table of what templates may name",
    "studies/berka/tables.py:joined": "one table joined after another",
    "studies/sba/study.py:prepare": "one step of preparation after another",
}
"""Functions of more than 60 lines beside signature and docstring, and what keeps each together."""


def functions(node, name=""):
    """Every function below a node of the syntax, with its name and those of what it stands in."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef):
            yield f"{name}{inner.name}", inner
        if isinstance(inner, ast.FunctionDef | ast.ClassDef):
            yield from functions(inner, f"{name}{inner.name}.")


def lines(function):
    """Lines of a function without its signature and its docstring."""
    statements = function.body[bool(ast.get_docstring(function)) :]
    return function.end_lineno - statements[0].lineno + 1 if statements else 0


def test_a_function_has_at_most_60_lines_or_stands_in_the_list():
    long = {
        f"{path.relative_to(PACKAGE).as_posix()}:{name}"
        for path in MODULES.values()
        for name, function in functions(ast.parse(path.read_text()))
        if lines(function) > 60
    }
    assert long == set(LONG_FUNCTIONS)


def used(module):
    """What a module defines at its top, each with what it names of the package: (module, name)."""
    tree, known = ast.parse(MODULES[module].read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for one in node.names:
                known[one.asname or one.name] = (node.module, one.name)
    for node in tree.body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        own = {getattr(node, "name", None), *names, getattr(getattr(node, "target", None), "id", None)} - {None}
        found = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                found.add(known.get(inner.id, (module, inner.id)))
            elif isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id in known:
                found.add((".".join(known[inner.value.id]), inner.attr))
        yield own, found


def test_no_estimator_serves_tests_alone():
    """All that pipeline/stats defines is reached from a study, an analysis, a stage or a page."""
    defined, waiting = {}, []
    for module in MODULES:
        for own, found in used(module):
            if floor(module) == "stats":
                defined |= dict.fromkeys(((module, name) for name in own), found)
            else:
                waiting += found
    reached = set()
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += defined.get(one, ())
    assert not set(defined) - reached


def test_every_stage_has_a_description():
    assert all(stage["desc"] for stage in STAGES.values())


@pytest.mark.parametrize("stage", PAGES)
def test_a_page_depends_on_all_choices_of_the_studies_that_it_shows(stage):
    listed = {"studies.fetched", "studies.simulated"}  # which studies there are, for all pages lead to each other
    assert not [name for name in set(parameters(stage)) - listed if ":" in name or name.startswith("studies")]
    for study in LISTED["every"] if stage in EACH else [None]:
        shown = {study} if study else set(params.load(ROOT / "params.yaml").compared)
        assert {f"pipeline/studies/{name}/params.yaml" for name in shown} <= set(CODE.read(stage, study))


@pytest.mark.parametrize(
    ("file", "choice", "before", "after"),
    [
        ("params.yaml", "match.caliper=0.123", "  caliper: 0.2", "  caliper: 0.123"),
        ("pipeline/studies/sba/params.yaml", "horizon_months=24", "horizon_months:", "horizon_months: 24"),
        ("pipeline/studies/reference/params.yaml", "scenario=benign", "scenario: base", "scenario: benign"),
    ],
)
def test_an_experiment_changes_one_line_of_the_parameters(tmp_path, file, choice, before, after):
    from dvc.utils.hydra import apply_overrides

    copied(tmp_path)
    old = (tmp_path / file).read_text().splitlines()
    apply_overrides(tmp_path / file, [choice])
    new = (tmp_path / file).read_text().splitlines()
    # DVC would lay a list anew and drop the comment behind it: none stands there.
    assert [line for line in difflib.ndiff(old, new) if line[0] in "+-"] == [f"- {before}", f"+ {after}"]
    assert params.load(tmp_path / "params.yaml") != params.load(ROOT / "params.yaml")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared():
    """Packages that the project asks for, under the lock that pins them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    return {
        "requirements.lock": project["project"]["dependencies"],
        **{
            f"requirements-{name}.lock": [text for text in group if isinstance(text, str)]
            for name, group in groups.items()
        },
    }


def locked(lock):
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), flags=re.M))


@pytest.mark.parametrize("lock", declared())
def test_the_lock_holds_every_declared_package_with_hashes(lock):
    names = {canonical(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in declared()[lock]}
    assert names <= set(locked(lock))
    text = (ROOT / lock).read_text()
    assert "://" not in text
    requirements = [part for part in re.split(r"\n(?=[a-z0-9])", text) if "==" in part]
    assert all("--hash=sha256:" in part for part in requirements)


@pytest.mark.parametrize("lock", declared())
def test_the_lock_meets_the_declared_versions(lock):
    from packaging.requirements import Requirement

    for text in declared()[lock]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked(lock)[canonical(requirement.name)])


def test_a_package_has_one_version_in_all_locks():
    pinned = {one for lock in declared() for one in locked(lock).items()}
    assert len(pinned) == len(dict(pinned))


def test_what_not_every_reader_needs_is_in_no_other_lock():
    for name in ("distributed", "jupyterlab", "pyspark", "pytest"):
        assert name not in locked("requirements.lock")
    groups = re.search(r"^GROUPS := (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)[1].split()
    assert {"requirements.lock", *(f"requirements-{name}.lock" for name in groups)} == set(declared())


def test_conda_installs_the_lock_on_the_same_python():
    environment = YAML(typ="safe", pure=True).load((ROOT / "environment.yml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert environment["name"] == project["name"]
    assert f"python{project['requires-python']}" in environment["dependencies"]
    assert {"pip": ["-r requirements.lock"]} in environment["dependencies"]


def test_it_is_said_why_each_package_is_there():
    said = (ROOT / "docs" / "built-with.md").read_text().lower()
    for text in itertools.chain(*declared().values()):
        name = re.match(r"[A-Za-z0-9._-]+", text)[0].lower()
        assert f"**{name}**" in said, f"docs/built-with.md does not say why {name} is there"


@pytest.mark.parametrize("file", ["README.md", "docs/running.md"])
def test_the_commands_that_are_named_exist(file):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / file).read_text()))
    assert named - {"and"} <= targets and named


def test_readme_is_a_landing_page():
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_help_lists_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)[1].split()
    assert all(re.search(rf"make {target} +\S", said) for target in phony)


# A number in a text may name something (M5, Table 1); a quantity may not be typed.
NAMES = re.compile(r"\bM[1-7]\b|[Cc]redit_grade\[\w\]|treated\[[01]\]")


def texts(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "references":
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


WORDS = sorted([*(PACKAGE / "present" / "words").rglob("*.yaml"), *PACKAGE.rglob("words.*.yaml")])


@pytest.mark.parametrize("file", WORDS, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_number_is_typed_into_prose(file):
    for text in texts(yaml.read(file)):
        prose = NAMES.sub("", re.sub(r"\{[{%].*?[}%]\}", "", text, flags=re.S))
        assert not re.search(r"\d", prose), f"{file.name}: {text}"


def test_no_number_is_typed_into_templates():
    template = (PACKAGE / "present" / "templates" / "report.md.jinja").read_text()
    assert not re.search(r"\d", re.sub(r"\{[{%#].*?[}%#]\}", "", template, flags=re.S))


def test_no_analysis_can_open_the_truth():
    """Only stages that simulate name the folder of the truth or import what computes it.

    One more opens the folder, to judge and never to fit: the stage `policy` hands its analysis the true values of
    rules, which lays them beside the estimated ones (tests/stages/test_policy.py holds that its estimates do not
    change when the truth does).
    """
    names = [path for path in PACKAGE.rglob("*.py") if "places.truth" in path.read_text()]
    assert sorted(path.relative_to(PACKAGE).as_posix() for path in names) == ["stages/policy.py", "stages/simulate.py"]
    for stage, content in STAGES.items():
        declared = str([*content["deps"], *content.get("outs", [])])
        assert ("data/truth" in declared) == (stage in ("simulate", "policy"))
        reached = {path.relative_to(PACKAGE).as_posix() for path in closure(PACKAGE / "stages" / f"{stage}.py")}
        knows = "studies/reference/truth.py" in reached or PACKAGE / "stages" / f"{stage}.py" in names
        assert knows == (stage in ("simulate", "recovery", "policy"))
    study = {path.relative_to(PACKAGE).as_posix() for path in closure(PACKAGE / "studies" / "reference" / "study.py")}
    assert "studies/reference/truth.py" not in study and "studies/reference/generator.py" not in study
