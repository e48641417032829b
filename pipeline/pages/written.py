"""What the stages of a study have written, for pages that show several studies."""

import pandas as pd

from pipeline.core import results
from pipeline.core.results import Results
from pipeline.runtime import journal, places
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import ROWS


def read(study: str) -> Results:
    """Read all results of a study."""
    folder = places.results(study, "any").parent
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise StudyError(f"{folder} holds no results: run the study first (make reproduce STUDY={study}).")
    found = results.read(*files)
    journal.note("read", folder, len(found.frame))
    return found


def claims_on(study: str) -> dict[tuple[str, str], list[str]]:
    """Return the claims that rest on rows of a study, by stage and estimator.

    A claim of which nothing else is said rests on the regressions; without the list of claims none does.
    """
    found: dict[tuple[str, str], list[str]] = {}
    if not ROWS.exists():
        return found
    for row in pd.read_csv(ROWS, dtype=str, keep_default_na=False).itertuples():
        if row.study == study:
            found.setdefault((row.stage or "regress", row.estimator), []).append(row.claim)
    return found


def contents(study: str) -> list[dict[str, str]]:
    """Return the figures and tables of a study's report, in its order; none where it is not written yet."""
    file = places.reports(study) / "contents.csv"
    if not file.exists():
        return []
    return pd.read_csv(file, dtype=str, keep_default_na=False).to_dict(orient="records")
