"""Execute the study's notebook and render it for people who do not run anything."""

from pathlib import Path

from pipeline.core import places, store
from pipeline.core.params import Params
from pipeline.present.notebook import execute, to_html
from pipeline.present.words import Words


def run(study: str, params: Params) -> str:
    """Write the executed notebook and its HTML rendering."""
    import nbformat

    folder = Path("notebooks")
    executed = execute(folder / "sources" / f"{study}.py", Path.cwd())
    target = folder / f"{study}.ipynb"
    store.write_text(target, nbformat.writes(executed))
    title = Words(params.report.language, study).text("title")
    store.write_text(places.reports(study) / "notebook.html", to_html(target, title, params.report.language))
    return f"{target}"
