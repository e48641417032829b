"""Try the whole procedure, from regression to verdict, on made-up sets of lenders whose truth is known."""

from pipeline.analyses.procedure.rows import SCENARIOS, Task, asked, lender_of, rows
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.pages.written import read
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import load_bearings, load_claims

FOLDER = "procedure"
"""Folder under reports."""

FALSE, FOUND = 0.1, 0.8
"""At most how many sets may support anything where nothing works, and at least how many must where all does."""


def run(study: None, params: Params) -> str:
    """Write how often each verdict comes out; a procedure that does not hold what it promises stops the build."""
    names = params.compared
    simulated = [name for name in names if params.study(name).simulated]
    claims = load_claims()
    bearings = asked(claims, load_bearings(claims, simulated), simulated)
    mine = [claim for claim in claims if claim.id in {one.claim for one in bearings}]
    lenders = {}
    for name in names:
        asks = [one for one in bearings if one.study == name]
        if asks:
            lenders[name] = lender_of(asks, read(name))
    found = rows(Task(mine, bearings, lenders, params), params.procedure.sets)
    results.write(places.results(FOLDER, FOLDER), results.table(FOLDER, FOLDER, found))
    shares = {(row["specification"], row["outcome"]): row["estimate"] for row in found if row["factor"] == "any"}
    false, true = (shares[scenario, "supported"] for scenario in SCENARIOS)
    if false > FALSE or true < FOUND:
        said = f"{false:g} of sets without effect and {true:g} of sets with one"
        raise StudyError(f"the procedure supports something in {said}, where at most {FALSE} and at least {FOUND} may.")
    return f"supported where nothing works: {false:g} of sets, where all does: {true:g}"
