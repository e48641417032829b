"""Execute the study's notebook and render it for people who do not run anything."""

from pathlib import Path

from pipeline.core import places, store
from pipeline.core.params import Params
from pipeline.present.dictionary import words_of
from pipeline.present.notebook import execute
from pipeline.present.report import to_html


def run(study: str, params: Params) -> str:
    """Write the executed notebook and its HTML rendering."""
    import nbformat

    folder = Path("notebooks")
    executed = execute(folder / "sources" / f"{params.study(study).module}.py", Path.cwd(), study)
    target = folder / f"{study}.ipynb"
    written = nbformat.writes(executed)
    store.write_text(target, written)
    words = words_of(study, params)
    page = to_html(written, "ipynb", words.text("title"), words, folder)
    store.write_text(places.reports(study) / "notebook.html", page)
    return f"{target}"
