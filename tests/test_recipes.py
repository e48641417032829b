"""The recipes of CONTRIBUTING.md, walked in a copy: an analysis is one folder and one stage."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import yaml
from pipeline.runtime.code import PAGES, Code

ROOT = Path(__file__).parents[1]

FILES = {
    "pipeline/stats/made_up.py": '''"""Shares, as an example of an estimator."""


def share(part: float, whole: float) -> float:
    """Return a part in percent of the whole."""
    return 100 * part / whole
''',
    "pipeline/analyses/made_up/__init__.py": '"""Made up."""\n',
    "pipeline/analyses/made_up/rows.py": '''"""Ask which share of the loans was treated, for the sake of the example."""

from collections.abc import Iterator
from typing import Any

from pipeline.core.results import Results
from pipeline.stats.made_up import share


def rows(described: Results) -> Iterator[dict[str, Any]]:
    """Yield the share of loans that were treated, in percent."""
    loans, treated = (int(described.one(estimator="count", factor=name).estimate) for name in ("loans", "treated"))
    yield {"estimator": "share", "factor": "treated", "estimate": share(treated, loans), "n": loans, "unit": "percent"}
''',
    "pipeline/analyses/made_up/page.py": '''"""The chapter on the share of loans that were treated."""

from collections.abc import Iterator

from pipeline.present.numerals import percent
from pipeline.present.page import Page
from pipeline.present.tables import markdown

STAGE = "made_up"


def blocks(page: Page) -> Iterator[str]:
    """Yield the chapter's blocks of Markdown."""
    row = page.results.one(stage=STAGE, estimator="share")
    yield f"## {page.text('headings.made_up')}"
    yield page.text("made_up", share=percent(row.estimate))
    yield page.show_table("made_up", shares(page, row), STAGE)


def drawings(results, words, scope) -> dict:
    """Return no figure."""
    return {}


def shares(page: Page, row) -> str:
    """Lay out the share."""
    return markdown([page.words.text("columns.loans"), "%"], [[str(row.n), percent(row.estimate)]])
''',
    "pipeline/analyses/made_up/words.en.yaml": """headings:
  made_up: A made-up chapter
made_up: Of all loans {{ share }} were treated.
tables:
  made_up: The share of loans that were treated.
""",
    "pipeline/analyses/made_up/words.zh.yaml": """headings:
  made_up: 虚构的一章
made_up: 全部贷款中{{ share }}为处理组。
tables:
  made_up: 处理组所占份额。
""",
    "pipeline/stages/made_up.py": '''"""Write the share of loans that were treated."""

from pipeline.analyses.made_up.rows import rows
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.runtime import places


def run(study: str, params: Params) -> str:
    """Write the rows of the results table, and return how many there are."""
    found = [*rows(results.read(places.results(study, "describe")))]
    results.write(places.results(study, "made_up"), results.table(study, "made_up", found))
    return f"{len(found):,} rows"
''',
}
"""An analysis and its estimator, each in its own file, and nothing changed elsewhere but one stage of DVC."""

STAGE = """  made_up:
    foreach: ${studies}
    do:
      desc: Ask which share of the loans was treated
      cmd: python -m pipeline made_up --study ${key}
      deps:
        - data/code/made_up.json
        - reports/${key}/results/describe.csv
      outs:
        - reports/${key}/results/made_up.csv:
            cache: false

"""

PAGE = """
from pathlib import Path
from pipeline.core import params, results
from pipeline.pages.report import Report
from pipeline.present.trail import Trail
from pipeline.present.words import Words
checked = params.load()
rows = results.read(*sorted(Path("reports/berka/results").glob("*.csv")))
for language in ("en", "zh"):
    words = Words(language, "berka")
    page = Report(rows, checked, "berka", words, Trail("berka"), [], "markdown").render()
    Path(f"{language}.md").write_text(page, encoding="utf-8")
"""


def python(place, *arguments):
    """Run Python in a folder, with the package that stands there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory, parsed_once):
    """A copy of the house with the results of one study, and the code of each stage before an analysis is added."""
    place = tmp_path_factory.mktemp("house")
    for folder in ("pipeline", "notebooks/sources", "reports/berka/results"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("params.yaml", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / file, place)
    return place, dict(Code(place).every())


@pytest.fixture(scope="module")
def house(copy):
    """The same with a made-up analysis in it."""
    place, _ = copy
    for file, text in FILES.items():
        (place / file).parent.mkdir(exist_ok=True)
        (place / file).write_text(text, encoding="utf-8")
    pipeline = (ROOT / "analyses/dvc.yaml").read_text()
    kinds = re.search(r"^  describe:\n    foreach: (\S+)$", pipeline, flags=re.M)[1]
    stage = STAGE.replace("${studies}", kinds)
    (place / "analyses").mkdir()
    (place / "analyses/dvc.yaml").write_text(f"{pipeline}\n{stage}")
    shutil.copy(ROOT / "dvc.yaml", place)
    python(place, "-m", "pipeline", "made_up", "--study", "berka")
    return place


def test_an_analysis_is_one_folder_and_one_stage(house):
    """Its stage runs, help knows it, and its rows are in the one form."""
    [header, row] = (house / "reports/berka/results/made_up.csv").read_text().splitlines()
    counts = (house / "reports/berka/results/describe.csv").read_text()
    loans, treated = (float(re.search(rf"count,,{name},,,([\d.]+)", counts)[1]) for name in ("loans", "treated"))
    assert float(row.split(",")[header.split(",").index("estimate")]) == pytest.approx(100 * treated / loans, rel=1e-4)
    assert "Ask which share of the loans was treated" in " ".join(python(house, "-m", "pipeline", "--help").split())


def test_it_makes_nothing_else_stale_but_pages(copy, house):
    """Neither the analysis nor its estimator touches another stage; pages that have chapters see the new one."""
    (_, before), now = copy, dict(Code(house).every())
    changed = {name.split("/")[0] for name in now if now[name] != before.get(name)}
    # The stage `code` runs whenever anything changes.
    assert changed - {"code"} == {"made_up", "report", *(stage for stage in PAGES if stage != "procedure")}
    assert "pipeline/stats/made_up.py" in now["made_up"]


def test_its_words_stand_on_the_pages_of_both_languages(house):
    python(house, "-c", PAGE)
    share = float((house / "reports/berka/results/made_up.csv").read_text().splitlines()[1].split(",")[7])
    for language, heading in (("en", "A made-up chapter"), ("zh", "虚构的一章")):
        page = (house / f"{language}.md").read_text()
        assert f"## {heading}" in page and f"{share:.1f}%" in page.partition(heading)[2]
        # The last chapter of the page, since no order names it.
        assert page.rfind("results/made_up.csv") > page.rfind("results/grade.csv")


@pytest.mark.long
def test_a_study_of_a_readers_file_is_set_up_by_one_command(house):
    python(ROOT, "-m", "tests.own_loans", str(house / "loans"))
    python(house, "-m", "pipeline", "init-study", "made_up_bank", "--data", "loans/loans.csv")
    said = python(house, "-m", "pipeline", "intake", "--study", "made_up_bank")
    assert said.startswith("made_up_bank") or "intake made_up_bank" in said


def test_the_recipes_name_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    named = re.findall(r"`((?:pipeline|tests|docs|data)/[\w./-]+)`", text)
    assert len(named) > 10 and not [path for path in named if not (ROOT / path).exists()]
    assert "code" in yaml.stages(ROOT) and "stage `code`" in text
