import base64
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.yaml import read
from pipeline.pages.notebook import PICTURE, describe, markdown, minus, with_scopes
from pipeline.present.figures import shown
from pipeline.present.words import LANGUAGES, WIDE
from pipeline.runtime.errors import StudyError
from pipeline.stages.notebooks import NOTEBOOKS

ROOT = Path(__file__).parents[2]
OF_ALL = {name: ROOT / "notebooks" / "sources" / f"{name}.py" for name in NOTEBOOKS}
OF_STUDIES = {file.parent.name: file for file in sorted((ROOT / "pipeline" / "studies").glob("*/notebook.py"))}
SOURCES = OF_ALL | OF_STUDIES
EXECUTED = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = {"en": "**To run it:** ", "zh": "**运行方法：** "}
ASKED = {"en": ("**The question.** ", "**The data.** "), "zh": ("**问题。** ", "**数据。** ")}
READING = {"pipeline.core.params", "pipeline.core.scope", "pipeline.present.words"}
"""What a notebook may use of the pipeline: choices and labels. None of its estimators."""


def cells_of(name, language):
    import jupytext  # takes seconds, which whoever only collects the tests need not wait for

    cells = jupytext.read(SOURCES[name]).cells
    return [cell for cell in cells if cell["metadata"].get("lang", language) == language]


def headings(cells):
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return [len(found) for text in texts for found in re.findall(r"^(#+) ", text, flags=re.M)]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notebook_asks_says_how_to_run_it_and_tells_each_figure_in_a_sentence(name, language):
    cells = cells_of(name, language)
    first = cells[0].source
    assert cells[0].cell_type == "markdown" and first.startswith("# ") and RUN[language] in first
    assert all(part in first for part in ASKED[language])
    figures = [place for place, cell in enumerate(cells) if "plt.show()" in cell.source]
    assert len(figures) >= 1
    for place in figures:
        assert cells[place - 1].cell_type == "code" or cells[place - 1].source.rstrip().endswith((".", "。"))
        after = next(cell for cell in cells[place + 1 :] if "print(" in cell.source or cell.cell_type == "markdown")
        assert after.cell_type == "code"


@pytest.mark.parametrize("name", SOURCES)
def test_a_notebook_says_the_same_in_both_languages(name):
    english, chinese = (cells_of(name, language) for language in LANGUAGES)
    assert [cell.cell_type for cell in english] == [cell.cell_type for cell in chinese]
    levels = headings(english)
    assert levels == headings(chinese) and levels[0] == 1 and set(levels[1:]) == {2}
    for one, other in zip(english, chinese, strict=True):
        if one.metadata.get("lang"):
            assert not WIDE.search(one.source) and (WIDE.search(other.source) or one.cell_type == "code")
            names = [re.findall(r"^([A-Z_]+)(?=[, ]|$)", cell.source, flags=re.M) for cell in (one, other)]
            assert one.cell_type == "markdown" or names[0] == names[1]


@pytest.mark.parametrize("name", SOURCES)
def test_a_notebook_derives_without_the_pipelines_estimators(name):
    text = SOURCES[name].read_text(encoding="utf-8")
    found = re.findall(r"^\s*(?:from|import) (pipeline[.\w]*)(?: import ([\w, ]+))?", text, flags=re.M)
    used = {
        f"{where}.{one.strip()}" if where == "pipeline.core" else where
        for where, what in found
        for one in what.split(",")
    }
    assert used <= (set() if name in ("start_here", "evidence", "methods") else READING)
    assert name in ("start_here", "own") or "assert" in text


def test_the_first_notebook_calls_verdicts_as_the_pages_do():
    text = OF_ALL["start_here"].read_text(encoding="utf-8")
    assert 'evidence["verdicts"]' in text and 'evidence["kinds"]' in text
    for language in LANGUAGES:
        words = read(ROOT / "pipeline" / "present" / "words" / language / "evidence.yaml")
        assert words["verdicts"]["supported"] and words["kinds"]["effect"]


def test_a_picture_has_the_sentence_below_it_as_its_text():
    import nbformat.v4 as written  # as above

    def cell(*outputs, source="1"):
        return written.new_code_cell(source, outputs=list(outputs))

    picture = written.new_output("display_data", {PICTURE: "<svg></svg>"})
    said = written.new_output("stream", text="Of 2 loans\n1 & no more\n")
    with pytest.raises(StudyError, match="no sentence below a figure"):
        describe(written.new_notebook(cells=[cell(picture), written.new_markdown_cell("Next."), cell(said)]), Path("s"))
    book = written.new_notebook(
        cells=[cell(picture), cell(said, source="a < b"), written.new_markdown_cell("[r](../reports/x/r.html)")]
    )
    describe(book, Path("s"))
    page = markdown(book)
    held = base64.b64encode(b"<svg></svg>").decode()
    assert f'<img src="data:{PICTURE};base64,{held}" alt="Of 2 loans 1 &amp; no more">' in page
    assert (
        '<p class="printed">1 &amp; no more</p>' in page
        and "<code>a &lt; b</code>" in page
        and "[r](../x/r.html)" in page
    )


def test_each_head_of_a_table_says_what_it_stands_over():
    frame = pd.DataFrame({"a": [1], "b": [2]}, index=["x"])
    plain = with_scopes(frame._repr_html_())
    assert re.findall(r"<t[hd]\b[^>]*>[^<]*", plain) == [
        "<td>", '<th scope="col">a', '<th scope="col">b', '<th scope="row">x', "<td>1", "<td>2"
    ]  # fmt: skip
    assert "style" not in plain and "border" not in plain
    named = with_scopes(frame.rename_axis("n")._repr_html_())
    assert named == plain.replace("<td></td>", '<th scope="col">n</th>', 1)


def test_a_figure_of_a_notebook_keeps_chinese_as_text_and_is_the_same_twice():
    from matplotlib.figure import Figure

    def drawn(title):
        figure = Figure(figsize=(2, 2))
        figure.add_subplot().set(xlabel=title)
        return shown(figure)

    assert ">违约率</text>" in drawn("违约率") and "<text" not in drawn("Default")
    assert drawn("违约率") == drawn("违约率") and drawn("Default") == drawn("Default")


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_no_cell_of_an_executed_notebook_warns(path):
    """A warning says where the notebook ran, and on another machine says something else."""
    outputs = [one for cell in json.loads(path.read_text())["cells"] for one in cell.get("outputs", [])]
    assert outputs and not [one["text"] for one in outputs if one.get("name") == "stderr"]


def test_a_page_shows_true_minus_signs_and_leaves_hyphens_alone():
    assert minus("CI -1.01 to -0.37, [-2, 3]") == "CI \u22121.01 to \u22120.37, [\u22122, 3]"
    assert minus("95%置信区间为-1.01至-0.37") == "95%置信区间为\u22121.01至\u22120.37"
    assert minus("2009-12, 1e-05, a-1, --x") == "2009-12, 1e-05, a-1, --x"
