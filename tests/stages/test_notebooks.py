from pathlib import Path

import pytest

from pipeline.stages.notebooks import NAMES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_says_how_to_run_it_and_explains_each_figure(name):
    import jupytext  # takes seconds, which whoever only collects the tests need not wait for

    cells = jupytext.read(ROOT / "notebooks" / "sources" / f"{name}.py").cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert "**To run it:** `make reproduce-all`" in cells[0].source
    figures = [place for place, cell in enumerate(cells) if "plt.show()" in cell.source]
    assert len(figures) >= 2
    for place in figures:
        assert cells[place - 1].cell_type == "markdown" and cells[place - 1].source.rstrip().endswith(".")
