"""What `init-study` tells of a file: the roles found, with reasons and cells, what was refused, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.scope import FEWEST
from pipeline.sources.states import DEFAULT, WHY
from pipeline.studies.own import months, roles
from pipeline.studies.own.joining import END, MONTHS
from pipeline.studies.own.section import Draft

if TYPE_CHECKING:
    import pandas as pd

ARREARS = WHY["arrears"]

HORIZON = 12
"""Months within which default is tried where nobody says: banks' rules ask for the probability within a year."""
MOST_REFUSED = 20
"""Columns that were refused and are listed."""


def found(draft: Draft) -> list[str]:
    """Return a line for every role: its column, why it was taken, and its first cells."""
    wide = max(map(len, draft.found.values()))
    return [
        f"  {role:<28} {column:<{wide}}  {draft.guessed.reasons[role]}; {_cells(draft, column)}"
        for role, column in draft.found.items()
    ]


def horizon(draft: Draft) -> list[str]:
    """Return lines on the months within which default counts, or could; none where nothing dates it."""
    ends = draft.ends
    if ends is None:
        return []
    last = draft.horizon or HORIZON
    known = months.within(ends, last, draft.landmark[0] if draft.landmark else 0)
    count, young, open_ = known.count(), int(known.isna().sum()), ends[ends["end"] == "open"]
    gone = int((open_["months"] < open_["followed"]).sum())
    counts = f"{int(known.sum()):,} of {count:,} loans ({100 * known.mean():.1f}%)" if count else "no loan"
    out = f"{young:,} granted too late to tell are left out"
    if draft.horizon:
        return [f"  Within {last} months: {counts}; {out} (horizon_months)."]
    left = f"  {gone:,} loans leave the records before their end without a word: they count as not in default."
    late = "still open at the end of the records had less time for it."
    if "default_date" in draft.found and "closing_date" not in draft.found:
        late = "that no date of closing ends count as followed to the last date; those granted late had less time."
    return [
        f"  Whenever default came: {len(open_) - gone:,} loans {late}",
        *([left] if gone else []),
        f"  With --horizon {last} default counts within {last} months: {counts}; {out}.",
    ]


def refused(draft: Draft) -> list[str]:
    """Return a line for every column that has the name of a role and was not taken."""
    lines = [
        f"  {column} as {role}: {why}; {_cells(draft, column)}"
        for column, role, why in draft.guessed.refused[:MOST_REFUSED]
    ]
    lines += [f"  {sentence}" for sentence in draft.tables.refused] if draft.tables else []
    more = len(draft.guessed.refused[MOST_REFUSED:])
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _cells(draft: Draft, column: str) -> str:
    return ", ".join(cell if len(cell) <= 24 else f"{cell[:21]}..." for cell in draft.columns[column].samples)


def joined(draft: Draft) -> list[str]:
    """Return a sentence for each table that was joined to the loans."""
    if draft.tables is None:
        return []
    return [f"{draft.tables.loans} holds the loans.", *(link.told() for link in draft.tables.links)]


def _of_outcome(draft: Draft) -> list[str]:
    """Return in plain sentences what is taken for default where it could be something else."""
    said: list[str] = []
    outcome = draft.outcome
    bad = ", ".join(outcome.in_default())
    if outcome.open_ and not outcome.told:
        said.append(
            f"The name of {outcome.column} does not say what {bad} means: read as default. If it means that a loan was "
            "repaid, or approved, correct default_when and repaid_when, or name another column: own.columns.default."
        )
    if outcome.dated:
        said.append(
            f"Loans without {outcome.column} are in no default, those still running among them: own.default_dated."
        )
    if arrears := [state.value for state in outcome.states if (state.read_as, state.why) == (DEFAULT, ARREARS)]:
        said.append(
            f"{', '.join(arrears)} of {outcome.column} may be arrears of few days; they count as default, as no other "
            "value does: own.default_when."
        )
    return said


def assumed(draft: Draft) -> list[str]:
    """Return in plain sentences how cells are read where they could be read otherwise."""
    said = _of_outcome(draft)
    rate, term = draft.column("interest_rate"), draft.column("term_months")
    if rate is not None:
        scale = {"fraction": "fractions (.125 is 12.5%)", "percent": "percent"}[draft.units.rates_in]
        scale += "" if rate.name in draft.units.times else " a year"
        spread = f" ({rate.smallest} to {rate.largest})" if rate.smallest else ""
        said.append(f"{rate.name}{spread} is read as {scale}: own.interest_rate_in.")
        if 0 < rate.percent < 0.999 * (1 - rate.missing):
            said.append(f"{rate.name}: cells without a percent sign are brought to the scale of those with one.")
    if term is not None and term.kind == "number" and not term.marks and not draft.term_unit:
        said.append(f"{term.name} without a unit is read in {draft.units.term_in or 'month'}s: own.term_in.")
    for name, number in draft.units.times.items():
        made = "percent a year" if name == draft.found.get("interest_rate") else "ones"
        why = draft.units.why[name]
        said.append(f"{name} is multiplied by {number:.10g}, {why}, to be in {made}: own.times, --times.")
    if draft.term_unit:
        said.append(f"{draft.term_unit} says in which unit each term is: own.term_unit.")
    date = draft.column("origination_date")
    if date is not None and date.kind == "date":
        said.append(f"{date.name} runs from {date.smallest} to {date.largest}.")
    said += draft.notes
    if draft.decimal:
        said.append(f"A comma is the decimal mark of {', '.join(draft.decimal)}: own.decimal.")
    if draft.form.idle:
        said.append(f"Lines above the names that are not read: {draft.form.idle}.")
    if draft.form.names != 1 and not draft.header:
        lines = {0: "no line of names, so columns are called by their places", 2: "two lines of names"}
        said.append(f"The file has {lines[draft.form.names]}: own.names.")
    if draft.panel:
        said.append(
            f"Each loan has a row a month ({draft.panel}): granted in its first, in default if it ever was, all else "
            "as it stood in the first: own.panel."
        )
    if draft.landmark:
        last, factors = draft.landmark
        named = ", ".join(draft.found[role] for role in factors)
        said.append(
            f"{named}: counts up to the end of month {last} of a loan, for loans still open then, and default after "
            "it: landmark."
        )
    if "adoption_date" in draft.found:
        said.append(
            f"{draft.found['adoption_date']} is when each {draft.found['institution_id']} adopted a practice (empty: "
            "never): default before and after it is set against that of those without it."
        )
    cluster = next((role for role in ("institution_id", "client_id") if role in draft.found), None)
    if cluster and (groups := draft.columns[draft.found[cluster]].distinct) < FEWEST:
        said.append(
            f"{groups} values of {draft.found[cluster]} are too few for clusters: standard errors take loans as "
            "independent of each other."
        )
    elif cluster:
        said.append(f"Standard errors are clustered by {draft.found[cluster]}: cluster.")
    return said


def dictionary(draft: Draft) -> pd.DataFrame:
    """Return the data dictionary: one row a column of the file; ``label`` is what pages call it."""
    import pandas as pd

    role_of = {column: role for role, column in draft.found.items()}
    rows = []
    for name, column in draft.columns.items():
        role = role_of.get(name, "")
        remark = ""
        if not role and roles.after_outcome(name):
            remark = "looks as if it were filled after the loan was paid out: no covariate"
        elif not role and column.kind == "key":
            remark = "all values differ: not read"
        elif role:
            remark = f"pages call it {roles.roles()[role].label}, unless label says otherwise"
        else:
            remark = "not read: give it a role in params.yaml to use it"
        rows.append(
            {
                "column": name,
                "label": "",
                "role": role,
                "holds": column.kind,
                "empty_percent": f"{100 * column.missing:.1f}",
                "distinct": column.distinct,
                "smallest": column.smallest,
                "largest": column.largest,
                "values": "; ".join(column.levels),
                "remark": remark,
            }
        )
    return pd.DataFrame(rows)


def advice(draft: Draft) -> list[str]:
    """Return in plain sentences what is still missing and what should be looked at."""
    found, said = draft.found, []
    factors = [role for role in roles.of_section("factors") if role in found]
    if "treated" not in found:
        said.append(
            "No column says which loans were treated: matching and balance are left out until you name one under "
            "own.columns.treated or give a rule under treatment."
        )
    if draft.undated:
        named = ", ".join(f"{draft.found[role]} ({role})" for role in draft.undated)
        said.append(
            f"Nothing dates {named}: what came after trouble began would follow from default. Give a table with its "
            "dates, or take it out of undated if it was recorded before the loan."
        )
    if not factors:
        said.append(
            "No column was recognised as a CRM factor (satisfaction, contacts, ...): name them under own.factors."
        )
    if not factors and "treated" not in found:
        said.append("Without either, the report can only describe default rates.")
    wanted = {
        "credit_grade": "loans are not compared within the same initial credit status",
        "loan_type": "loans are not compared within the same kind",
        "amount": "the size of the loan is not controlled for",
        "origination_date": "nothing is controlled for time",
        "institution_id": "errors do not allow for loans of one institution to resemble each other",
        "loan_id": "loans are known by what stands in their row",
    }
    for role, consequence in wanted.items():
        if role not in found and not (draft.panel and role == "origination_date"):
            said.append(f"No {roles.roles()[role].label.lower()} ({role}) was found: {consequence}.")
    borrower = [role for role in roles.of_section("borrower") if role in found]
    if not borrower:
        said.append(
            "No column on the borrower was recognised (income, age, ...): add what was known at "
            "origination under own.borrower."
        )
    leaking = [
        name for name in draft.columns if name not in (*found.values(), draft.lost) and roles.after_outcome(name)
    ]
    if leaking:
        said.append(f"Not proposed, because they look as if filled after the outcome: {', '.join(leaking)}.")
    if not draft.file.startswith(("/", "data/raw/")) and ":" not in draft.file[:3]:
        said.append(
            f"{draft.file} lies where git would commit it: move it to data/raw, which git ignores, or out of the "
            "repository, and correct own.file and the same path in the list of studies in params.yaml."
        )
    beside = (draft.panel, draft.late, draft.lost, draft.term_unit, draft.units.currency[1], MONTHS, END)
    used = (*found.values(), *leaking, *beside)
    idle = [name for name in draft.columns if name not in used and draft.columns[name].kind != "key"]
    if idle:
        said.append(f"Without a role, and so not read: {', '.join(idle[:15])}{' ...' if len(idle) > 15 else ''}.")
    return said
