"""What changes a stage's code file, and what does not."""

import shutil
import textwrap
from pathlib import Path

import pytest

from pipeline.runtime.code import BESIDE, VERSIONS, WORDS, Code, settled

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("parsed_once")

MODULE = textwrap.dedent('''
    """What it is."""

    import math  # why


    def half(value: float) -> float:
        """Return the half.

        More of it.
        """
        # A comment.
        text = f"{value:.2f} # none" + "# none"
        return value / 2 + len(text)


    LONG = """kept  
    # kept

    end"""
    """Said of LONG."""
''')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is", "What it  is"),
        ("More of it.", "More.\n\n    Much more."),
        ("# A comment.", "# Another # one, ünd \"more'"),
        ("    # A comment.\n", ""),
        ("  # why", ""),
        ("\n\n\ndef", "\ndef"),
        ("math  # why", "math"),
        ("Said of", "Told of"),
    ],
)
def test_words_about_code_change_nothing(old, new):
    assert old in MODULE
    assert settled(MODULE.replace(old, new, 1)) == settled(MODULE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value / 2", "value / 3"),
        ("# none", "# some"),
        ("kept  \n", "kept\n"),
        ("# kept", "#kept"),
        ("\n\nend", "\nend"),
    ],
)
def test_what_code_does_changes_it(old, new):
    assert old in MODULE
    assert settled(MODULE.replace(old, new, 1)) != settled(MODULE)


def test_what_is_left_is_the_same_program():
    before, after = {}, {}
    exec(MODULE, before)
    exec(settled(MODULE), after)
    assert after["half"](3.0) == before["half"](3.0)
    assert after["LONG"] == before["LONG"]


@pytest.fixture(scope="module")
def code(parsed_once):
    return Code(ROOT)


def changed(tmp_path, code, file, old, new):
    """Return the files of stages that another text of one module changes."""
    for folder in ("pipeline", "notebooks/sources"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in VERSIONS:
        shutil.copy(ROOT / name, tmp_path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    before, after = dict(code.every()), dict(Code(tmp_path).every())
    return {name for name in before if before[name] != after[name]}


def test_a_docstring_of_the_core_changes_no_stage(tmp_path, code):
    assert not changed(tmp_path, code, "pipeline/core/results.py", '"""Write a results', '"""Write  a results')


def test_an_estimator_changes_the_stages_that_use_it(tmp_path, code):
    text = (ROOT / "pipeline/stats/gelbach.py").read_text(encoding="utf-8")
    name = next(line for line in text.splitlines() if line.startswith("def "))
    found = changed(tmp_path, code, "pipeline/stats/gelbach.py", name, f"OTHER = 1\n\n\n{name}")
    assert found == {"robustness"}


def test_a_source_record_changes_the_stages_that_read_records(tmp_path, code):
    found = changed(tmp_path, code, "pipeline/studies/sba/sources/sba_loans.yaml", "\n", "\n# other\n")
    assert "collect/sba" in found and "regress" not in found and "match" not in found


def test_a_chapter_changes_pages(tmp_path, code):
    text = (ROOT / "pipeline/analyses/curve/page.py").read_text(encoding="utf-8")
    name = next(line for line in text.splitlines() if line.startswith("def "))
    found = changed(tmp_path, code, "pipeline/analyses/curve/page.py", name, f"OTHER = 1\n\n\n{name}")
    assert "report/sba" in found and not {"regress", "curve", "recovery"} & found


OF_ALL = {"evidence", "notebooks", "synthesis"}
"""Stages whose pages show all studies."""


def test_a_word_changes_pages_alone(tmp_path, code):
    found = changed(tmp_path, code, "pipeline/studies/sba/words.zh.yaml", "\n", "\n# other\n")
    assert found == {"report/sba", "notebook/sba", *OF_ALL}
    found = changed(tmp_path, code, "pipeline/analyses/curve/words.zh.yaml", "\n", "\n# other\n")
    assert found == {f"{stage}/{name}" for stage in ("report", "notebook") for name in code.studies()} | OF_ALL


def test_every_file_beside_the_code_belongs_to_a_module_or_is_words():
    there = {path for path in (ROOT / "pipeline").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    words = {path for pattern in WORDS for path in ROOT.glob(pattern.format(module="*"))}
    # Choices are parameters, which DVC compares one by one; pages follow the whole file.
    words |= set((ROOT / "pipeline").glob("studies/*/params.yaml"))
    named = {path for patterns in BESIDE.values() for pattern in patterns for path in ROOT.glob(pattern)}
    assert there - words <= named
    assert all((ROOT / name).exists() for name in BESIDE)


def test_a_notebooks_text_counts_and_a_choice_for_pages_alone(tmp_path, code):
    assert changed(tmp_path, code, "pipeline/studies/sba/notebook.py", "# %%\n", "# %%\n# Said.\n") == {"notebook/sba"}
    found = changed(tmp_path, code, "pipeline/studies/sba/params.yaml", "design:", "# Said.\ndesign:")
    assert found == {"report/sba", "notebook/sba", "procedure", *OF_ALL}


def test_a_readers_study_runs_the_code_of_the_folder_that_it_names(tmp_path, code):
    changed(tmp_path, code, "pipeline/studies/sba/params.yaml", "\n", "\n")
    (tmp_path / "pipeline/studies/mine").mkdir()
    (tmp_path / "pipeline/studies/mine/params.yaml").write_text("# Mine.\n\nmodule: own\n", encoding="utf-8")
    there = Code(tmp_path)
    every = dict(there.every())
    for stage in ("intake", "prepare", "notebook"):
        assert every[f"{stage}/mine"] == there.hashes(stage, "own") | there.read(stage, "mine")
    assert every["effects/mine"] == there.hashes("effects", "own")
    assert "pipeline/studies/own/words.en.yaml" in every["report/mine"]
