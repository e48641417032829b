from pathlib import Path

import pytest

from pipeline.stages.notebooks import NOTEBOOKS

ROOT = Path(__file__).parents[2]
RUN = {
    None: "**To run it:** `make reproduce-all`",
    "en": "**To run it:** `make reproduce`",
    "zh": "**运行方法：** 先`make",
}


def cells_of(name, language):
    import jupytext  # takes seconds, which whoever only collects the tests need not wait for

    cells = jupytext.read(ROOT / "notebooks" / "sources" / f"{name}.py").cells
    return [cell for cell in cells if cell["metadata"].get("lang", language) == language]


@pytest.mark.parametrize(("name", "language"), NOTEBOOKS)
def test_a_notebook_says_how_to_run_it_and_explains_each_figure(name, language):
    cells = cells_of(name, language)
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert RUN[language] in cells[0].source
    figures = [place for place, cell in enumerate(cells) if "plt.show()" in cell.source]
    assert len(figures) >= 2
    for place in figures:
        assert cells[place - 1].cell_type == "markdown" and cells[place - 1].source.rstrip().endswith((".", "。"))


def test_the_first_notebook_says_the_same_in_both_languages_and_imports_no_code_of_the_pipeline():
    english, chinese = cells_of("start_here", "en"), cells_of("start_here", "zh")
    assert [cell.cell_type for cell in english] == [cell.cell_type for cell in chinese]
    assert not [cell.source for cell in english if "pipeline import" in cell.source or "from pipeline" in cell.source]
