"""Execute the notebooks that belong to no single study, and render them."""

from pathlib import Path

from pipeline.core.params import Params
from pipeline.pages.notebook import execute
from pipeline.present.documents import to_html
from pipeline.present.words import Words
from pipeline.runtime import places, store

NAMES = ("evidence", "methods")
"""The verdicts derived again, and why some methods find the truth."""


def run(study: None, params: Params) -> str:
    """Write the executed notebooks and their HTML renderings."""
    import nbformat

    folder = Path("notebooks")
    words = Words(params.report.language, "evidence")
    for name in NAMES:
        executed = execute(folder / "sources" / f"{name}.py", Path.cwd())
        written = nbformat.writes(executed)
        store.write_text(folder / f"{name}.ipynb", written)
        title = executed.cells[0]["source"].splitlines()[0].removeprefix("# ")
        page = to_html(written, "ipynb", title, words, folder)
        store.write_text(places.reports("notebooks") / f"{name}.html", page)
    return ", ".join(str(folder / f"{name}.ipynb") for name in NAMES)
