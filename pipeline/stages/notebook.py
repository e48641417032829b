"""Execute the study's notebook in both languages, and render it for people who do not run anything."""

from pipeline.core.params import Params
from pipeline.pages.notebook import publish
from pipeline.present.words import Words, there
from pipeline.runtime import places


def run(study: str, params: Params) -> str:
    """Write the executed notebooks and their HTML renderings."""
    module, first, twin = params.study(study).module, params.report.language, params.report.twin
    words = {first: Words(first, study, module)}
    # A study without words in the other language shows its notebook in its own.
    words[twin] = Words(twin, study, module) if there(twin, study, module) else words[first]
    page = places.reports(study) / "notebook.html"
    return ", ".join(map(str, publish(places.STUDIES / module / "notebook.py", study, page, words, study)))
