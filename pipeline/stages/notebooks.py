"""Execute the notebooks that belong to no single study in both languages, and render them."""

from pipeline.core.params import Params
from pipeline.pages.notebook import FOLDER, publish
from pipeline.present.words import LANGUAGES, Words
from pipeline.runtime import places

NOTEBOOKS = ("start_here", "evidence", "methods")
"""A first study, the verdicts derived again, and why some methods find the truth."""


def run(study: None, params: Params) -> str:
    """Write the executed notebooks and their HTML renderings."""
    words = {language: Words(language, "evidence") for language in LANGUAGES}
    written = [
        str(file)
        for name in NOTEBOOKS
        for file in publish(
            FOLDER / "sources" / f"{name}.py", name, places.reports("notebooks") / f"{name}.html", words
        )
    ]
    return ", ".join(written)
