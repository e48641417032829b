"""Print the headline results and where the report is."""

from pipeline.core.params import Params
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError


def run(study: str, params: Params) -> str:
    """Return the study's findings as the report stage wrote them."""
    folder = places.reports(study)
    if not (folder / "findings.txt").exists():
        raise StudyError(f"{folder / 'findings.txt'} does not exist: run make reproduce STUDY={study} first.")
    text = (folder / "findings.txt").read_text(encoding="utf-8")
    return f"\n{text}\nReport: {folder / 'report.html'} (also report.pdf and report.md)"
