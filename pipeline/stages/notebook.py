"""Execute the study's notebook and render it for people who do not run anything."""

from pathlib import Path

from pipeline.core.params import Params
from pipeline.pages.notebook import execute
from pipeline.present.documents import to_html
from pipeline.present.words import Words
from pipeline.runtime import places, store


def run(study: str, params: Params) -> str:
    """Write the executed notebook and its HTML rendering."""
    import nbformat

    folder = Path("notebooks")
    executed = execute(places.STUDIES / params.study(study).module / "notebook.py", Path.cwd(), study)
    target = folder / f"{study}.ipynb"
    written = nbformat.writes(executed)
    store.write_text(target, written)
    words = Words(params.report.language, study, params.study(study).module)
    page = to_html(written, "ipynb", words.text("title"), words, folder)
    store.write_text(places.reports(study) / "notebook.html", page)
    return f"{target}"
