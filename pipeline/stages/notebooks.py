"""Execute the notebooks that belong to no single study, and render them."""

from pathlib import Path

from pipeline.core.params import Params
from pipeline.pages.notebook import execute
from pipeline.present.documents import to_html
from pipeline.present.words import Words
from pipeline.runtime import places, store

NOTEBOOKS = (("start_here", "en"), ("start_here", "zh"), ("evidence", None), ("methods", None))
"""A first study in both languages, the verdicts derived again, and why some methods find the truth."""


def run(study: None, params: Params) -> str:
    """Write the executed notebooks and their HTML renderings."""
    import nbformat

    folder, names = Path("notebooks"), []
    for source, language in NOTEBOOKS:
        words = Words(language or params.report.language, "evidence")
        executed = execute(folder / "sources" / f"{source}.py", Path.cwd(), language=language)
        written = nbformat.writes(executed)
        name = f"{source}.zh" if language == "zh" else source
        store.write_text(folder / f"{name}.ipynb", written)
        title = executed.cells[0]["source"].splitlines()[0].removeprefix("# ")
        other = {"en": "zh", "zh": "en"}.get(language or "")
        twin = (f"{source}{'' if other == 'en' else '.zh'}.html", Words(other, "evidence")) if other else None
        page = to_html(written, "ipynb", title, words, folder, twin)
        store.write_text(places.reports("notebooks") / f"{name}.html", page)
        names.append(str(folder / f"{name}.ipynb"))
    return ", ".join(names)
