"""What no data may do here: run as code, leave its folder, reach a page as markup, or a log as a secret."""

import ast
import functools
import re
from pathlib import Path

import pandas as pd
import pypandoc
import pytest

from pipeline import studies
from pipeline.core import params
from pipeline.core.schema import cohort_schema
from pipeline.present import words
from pipeline.runtime import store
from pipeline.runtime.errors import LONGEST, StudyError, told
from pipeline.sources import dictionary
from pipeline.studies.berka.tables import RAW as BANK
from pipeline.studies.bondora.study import RAW as ESTONIA
from pipeline.studies.karlan_zinman.study import RAW as LOTTERY
from pipeline.studies.lendingclub.study import RAW as PLATFORM
from pipeline.studies.own.roles import roles
from pipeline.studies.own.study import readable
from pipeline.studies.sba.study import RAW as BANKS
from pipeline.studies.superlender.study import TABLES as DIGITAL

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("pipeline", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "yaml", "tarfile"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pd.read_pickle", "joblib.load", "joblib.dump",
    "shutil.unpack_archive", "tempfile.mktemp",
}  # fmt: skip

TRUSTED = {
    # This study's own function on its way to workers of a cluster that the user runs; no file is unpacked.
    "pipeline/runtime/parallel.py": {"cloudpickle"},
    # Unpacks what git has just packed of this repository, and by tarfile's safe filter.
    "pipeline/commands/compare.py": {"tarfile"},
}


@functools.cache
def calls(path):
    """Return every call of a file, with its name as it is written."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [(ast.unparse(node.func), node) for node in tree if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_runs_as_code(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        imported = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        trusted = TRUSTED.get(path.relative_to(ROOT).as_posix(), set())
        assert not (FORBIDDEN_MODULES - trusted) & {name.split(".")[0] for name in imported}
    for name, call in calls(path):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert name not in FORBIDDEN_CALLS and not name.endswith("to_pickle"), name
        if name == "archive.extractall":
            assert given.get("filter") == "'data'", "members that leave the folder"
        assert given.get("shell", "False") == "False", "a shell would read what users write"
        assert given.get("verify", "True") == "True", "certificates are checked"
        assert given.get("allow_pickle", "False") == "False"
        if name == "YAML":
            assert given in ({"typ": "'safe'"}, {"typ": "'safe'", "pure": "True"}), "YAML that builds objects"
        if name.endswith("jinja2.Environment"):
            assert given.get("undefined") == "jinja2.StrictUndefined" and "autoescape" in given


def test_templates_are_filled_in_one_place():
    found = [path.relative_to(ROOT) for path in CODE for name, _ in calls(path) if name.endswith("jinja2.Environment")]
    assert [str(path) for path in found if path.parts[0] == "pipeline"] == ["pipeline/present/words.py"]


def test_only_recorded_addresses_are_fetched():
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in CODE
        for name, _ in calls(path)
        if re.match(r"(requests|urllib\.request|httpx|socket|ftplib)\b", name) or name.endswith("session.get")
    }
    # The engine asks whether the cluster that params.yaml names answers, and fetches nothing.
    assert asking == {"pipeline/sources/fetch.py", "pipeline/runtime/engine.py"}


SCRIPT = "<script>alert(1)</script>"
MARKUP = [
    SCRIPT, "<img src=x onerror=alert(1)>", "[click](javascript:alert(1))", "![x](http://x/y.png)", "&lt;script&gt;",
    "`x`{=html}", "a | b\n| c", "# heading", "**bold**", "<!-- x", "$x$", "[^1]: x", "\\<b>", "{{ 7 * 7 }}", "{% x %}",
    "<style>*{display:none}</style>", "<svg/onload=alert(1)>", "<a href='javascript:x'>y</a>",
]  # fmt: skip


@pytest.mark.parametrize("made_plain", [dictionary.plain, readable])
@pytest.mark.parametrize("text", MARKUP)
def test_text_of_a_readers_file_is_no_markup_on_a_page(text, made_plain):
    page = f"# Report\n\n| level | loans |\n|---|---|\n| {made_plain(text)} | 5 |\n\nOf {made_plain(text)}, all.\n"
    for form in ("markdown", "gfm"):
        html = pypandoc.convert_text(page, "html5", format=form)
        assert not re.search(r"<(script|img|a|style|svg|b|strong|code|sup|h2)\b|<!--", html), html
        assert html.count("<tr") == 2


def test_a_level_of_a_readers_file_reaches_the_words_as_text():
    filled = words.filled("Of {{ level }}, {{ share }}%.", level="{{ 7 * 7 }} {% for x in y %}", share=5)
    assert filled == "Of {{ 7 * 7 }} {% for x in y %}, 5%."


def test_pages_in_html_escape_what_is_filled_in():
    page = words.environment("html").from_string("<p title='{{ text }}'>{{ text }}</p>").render(text=SCRIPT + "'")
    assert "<script>" not in page and page.count("&lt;script&gt;") == 2 and "&#39;" in page


FORMULAS = [
    "=1+1", "=HYPERLINK(\"http://x\")", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1+1", "\r=1", "\n=1", " =1",
    "＝1+1", "-x", "+x", "=", "-",
]  # fmt: skip
NO_FORMULAS = ["1", "-1.5", "+3", "-1e5", ".5", "A", "a=b", "2019-01-01", "", "-.5"]


def test_cells_that_a_spreadsheet_would_compute_are_made_text():
    found = store.no_formula(pd.Series(FORMULAS))
    assert found.tolist() == [f"'{cell}" for cell in FORMULAS]
    kept = pd.Series([*NO_FORMULAS, None])
    assert store.no_formula(kept).fillna("-").tolist() == kept.fillna("-").tolist()
    levels = store.no_formula(pd.Series(["=A", "B", "=A"], dtype="category"))
    assert levels.tolist() == ["'=A", "B", "'=A"] and levels.dtype == "category"
    numbers = pd.Series([-1.5, float("nan")])
    assert store.no_formula(numbers) is numbers


def test_a_dictionary_knows_a_column_whose_name_was_made_text(tmp_path):
    (tmp_path / "mine.csv").write_text("column,label\n'=amount,Sum\n", encoding="utf-8")
    named = dictionary.labels({"columns": {"amount": "=amount"}}, tmp_path / "mine.csv")
    assert named["amount"] == "Sum"


@pytest.mark.parametrize(
    "text",
    [
        "The mirror https://reader:hunter2@example.org/x is not a folder.",
        "proxy http://reader:hunter2@10.0.0.1:8080 refused",
        "https://hunter2@example.org",
        "https:/reader:hunter2@example.org/loans.csv",
    ],
)
def test_a_password_in_an_address_is_never_said(text):
    for error in (StudyError(text), ValueError(text)):
        assert "hunter2" not in told(error)[0]


def test_what_is_said_is_one_line_that_steers_no_terminal():
    said, code = told(StudyError("a\nb \x1b[31m \u202e \x00 \u200b " + "x" * 10_000))
    assert code == 1 and said.isprintable() and "\n" not in said and len(said) < LONGEST + 100
    assert told(KeyError("x"))[1] == 3 and "defect of the program" in told(KeyError("x"))[0]
    assert told(PermissionError(13, "Permission denied", "a.csv")) == (
        "a.csv cannot be read or written (Permission denied): correct the path, or its rights.",
        1,
    )
    assert told(MemoryError())[1] == 1


def test_a_defect_of_the_program_is_one_line_unless_asked_for(monkeypatch, capsys):
    from pipeline.__main__ import main
    from pipeline.commands import explain

    def broken(options):
        raise KeyError("treated")

    monkeypatch.setattr(explain, "run", broken)
    assert main(["explain", "E09"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "KeyError: 'treated'" in said and "--debug" in said
    with pytest.raises(KeyError):
        main(["explain", "E09", "--debug"])


PERSONAL = re.compile(r".*(name|street|address|city|zip|phone|e?_?mail|emp_title|member_id|url|birth|passport|ssn).*")


# Of these studies the source names columns; the others' lenders are simulated, or a reader gives columns their roles.
READ = {
    "lendingclub": PLATFORM.columns,
    "sba": BANKS.columns,
    "karlan_zinman": LOTTERY.columns,
    "berka": BANK.columns,
    "bondora": ESTONIA.columns,
    "superlender": dict.fromkeys(name for columns in DIGITAL.values() for name in columns),
}
DROPPED = {"berka": ["birth_date"], "superlender": ["birthdate"]}
"""What is read for the age it gives, and dropped when the cohort is prepared."""


@pytest.mark.parametrize("name", READ)
def test_what_would_tell_who_a_borrower_is_is_not_read(name):
    found = [column for column in READ[name] if PERSONAL.fullmatch(column.lower())]
    assert found == DROPPED.get(name, [])


@pytest.mark.parametrize("name", sorted({study.module for study in params.load(ROOT / "params.yaml").studies.values()}))
def test_no_cohort_may_tell_who_a_borrower_is(name):
    """Cohorts hold declared columns and no others: what a source says beyond them is dropped when it is prepared."""
    module = studies.module(name)
    schema = cohort_schema(module.STUDY_COLUMNS, module.FACTORS, [])
    assert schema.strict is True
    assert [column for column in schema.columns if PERSONAL.fullmatch(column) or column in ("desc", "title")] == []


def test_no_role_asks_a_reader_for_what_would_tell():
    assert [name for name in roles() if PERSONAL.fullmatch(name)] == []


COHORTS = sorted((ROOT / "data/processed").glob("*/cohort.parquet"))


@pytest.mark.skipif(not COHORTS, reason="no study is prepared here")
def test_no_cohort_tells_who_a_borrower_is():
    import pyarrow.parquet

    for path in COHORTS:
        names = pyarrow.parquet.read_schema(path).names
        assert [name for name in names if PERSONAL.fullmatch(name) or name in ("desc", "title")] == [], path
