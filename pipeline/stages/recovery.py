"""Try every method on simulated lenders whose truth is known.

The stage stops when a method that must recover the truth does not, or when one that must fail does not fail: then the
generator, the preparation or the method is broken.
"""

from pipeline.analyses.recovery.rows import replicate, rows
from pipeline.analyses.recovery.verdicts import judge
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

ENOUGH = 20
"""Replications below which verdicts are printed, not enforced: Monte Carlo errors are then themselves guesses."""


def run(study: str, params: Params) -> str:
    """Write the recovery rows of the results table; a verdict that breaks the design document stops the study."""
    protocol = params.study(study).recovery
    if protocol is None:
        raise StudyError(f"{places.choices(study)} has no section recovery.")
    found = replicate(study, params)
    verdicts = judge(found)
    written = rows(found, verdicts)
    results.write(places.results(study, "recovery"), results.table(study, "recovery", written))
    broken = [one.sentence for one in verdicts if one.enforced and not one.as_expected]
    if broken and protocol.replications >= ENOUGH:
        raise StudyError("recovery: " + "; ".join(broken) + ".")
    missed = [row["estimator"] for row in written if row["estimand"] == "target" and row["note"].startswith("not met")]
    said = f"{protocol.replications} replications of {len(protocol.scenarios)} scenarios"
    return f"{said}; targets not met: {', '.join(dict.fromkeys(missed)) or 'none'}"
