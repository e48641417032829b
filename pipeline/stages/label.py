"""Put what a reader's data dictionary calls the columns among the results, where pages look for everything."""

from pipeline.core import results
from pipeline.core.params import Params
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.sources import dictionary
from pipeline.studies.own import roles


def run(study: str, params: Params) -> str:
    """Write a row for every column with a label: its name among the factors, the label as the note."""
    protocol = params.study(study)
    if protocol.own is None:
        raise StudyError(f"{places.choices(study)} has no section own: its labels stand in its words.")
    labels = dictionary.labels(protocol.own, dictionary.FOLDER / f"{study}.csv", roles.roles())
    rows = [{"estimator": "label", "factor": name, "note": label} for name, label in labels.items()]
    results.write(places.results(study, "label"), results.table(study, "label", rows))
    return f"{len(rows):,} labels"
