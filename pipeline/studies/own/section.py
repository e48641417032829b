"""A new study of a reader's own file: its choices, its line in the list of studies, its data dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.runtime.errors import StudyError
from pipeline.sources.states import DEFAULT, LEFT_OUT, REPAID
from pipeline.sources.tables import Form
from pipeline.studies.own import roles
from pipeline.studies.own.folder import Folder
from pipeline.studies.own.outcome import Outcome
from pipeline.studies.own.profile import Column
from pipeline.studies.own.roles import Guess

if TYPE_CHECKING:
    pass


class Draft(NamedTuple):
    """What `init-study` knows of a file when it writes the choices."""

    name: str
    file: str
    form: Form
    rows: int
    """Rows that were looked at."""
    decimal: Mapping[str, str]
    """Decimal marks other than a point, by column."""
    columns: Mapping[str, Column]
    """Profiles by column."""
    guessed: Guess
    outcome: Outcome
    day_first: bool | None
    term_in: str | None
    rates_in: str = "percent"
    """Whether interest rates are percent or fractions."""
    panel: str | None = None
    """The column of months, of a file with a row a loan and month."""
    tables: Folder | None = None
    """What was joined, where the loans stand in a folder of tables."""

    @property
    def found(self) -> Mapping[str, str]:
        """Return the column of every role that was found or given."""
        return self.guessed.found

    def column(self, role: str) -> Column | None:
        """Return the profile of a role's column."""
        return self.columns[self.found[role]] if role in self.found else None


def scalar(value: Any) -> str:
    """Return a value as YAML 1.1 and 1.2 both read it: quoted unless it is plainly text; None is left blank."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    words = {"yes", "no", "true", "false", "null", "on", "off", "y", "n", "none", "nan", "inf"}
    plainly = re.fullmatch(r"[A-Za-z/\u3400-\u9fff][\w ./()\u3400-\u9fff-]*", value)
    if plainly and value.lower() not in words and value == value.strip():
        return value
    return "'" + value.replace("'", "''") + "'"


def _lines(indent: int, content: Iterable[tuple[str, str, Any]]) -> list[str]:
    """Write keys with a comment above: (comment, key, value); a mapping is indented, a list is not."""
    pad, written = " " * indent, []
    for comment, key, value in content:
        written += [f"{pad}# {line}" for line in comment.splitlines()]
        if isinstance(value, dict):
            if value:
                written += [f"{pad}{key}:", *_lines(indent + 2, [("", name, inner) for name, inner in value.items()])]
            else:
                written.append(f"{pad}{key}: {{}}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            written.append(f"{pad}{key}:")
            for item in value:
                first, *rest = _lines(0, [("", name, inner) for name, inner in item.items()])
                written += [f"{pad}- {first}", *(f"{pad}  {line}" for line in rest)]
        elif isinstance(value, list) and value and isinstance(value[0], tuple):
            written += [f"{pad}{key}:", *_lines(indent + 2, value)]
        elif isinstance(value, list):
            written += [f"{pad}{key}:", *(f"{pad}- {scalar(item)}" for item in value)] if value else [f"{pad}{key}: []"]
        else:
            written.append(f"{pad}{key}: {scalar(value)}".rstrip())
    return written


def choices(draft: Draft) -> str:
    """Return the study's own params.yaml: every role, filled in where its column was found."""
    found, outcome = draft.found, draft.outcome
    mapped = {name: {role: found.get(role) for role in roles.of_section(name)} for name in roles.SECTIONS}
    own = [
        (
            "The file with the loans, one row a loan; it stays where it is. The list of studies names it too.",
            "file",
            draft.file,
        ),
        (
            "Of a folder of tables: the one with the loans, and what each other adds (columns: its columns; count:\n"
            "its rows before the loan; state: default if it ever was), by the columns that hold the same key.",
            "loans",
            draft.tables.loans if draft.tables else None,
        ),
        ("", "tables", [link._asdict() for link in draft.tables.links] if draft.tables else []),
        ("Sheet of an Excel file.", "sheet", draft.form.sheet),
        (
            "How a text file is written: utf-8, gb18030 (holds GBK) ...; what stands between its cells.",
            "encoding",
            draft.form.encoding,
        ),
        ("", "separator", draft.form.separator),
        ("Lines of names above the loans.", "names", draft.form.names),
        ("Columns of text whose decimal mark is no point, and their mark.", "decimal", dict(draft.decimal)),
        (
            "true: 03/01/2015 is the third of January; false: the first of March; blank: as the other cells tell.",
            "day_first",
            draft.day_first,
        ),
        (
            "The column of months, where the file has a row a loan and month: a loan is granted in its first month,\n"
            "in default if it ever was, and everything else is what stood in its first month. Blank: one row a loan.",
            "panel",
            draft.panel,
        ),
        (
            "Which column plays which role; blank: the file has none, and the report says what it cannot say then.\n"
            "Only columns with a role are read. default is needed, everything else may stay blank.",
            "columns",
            {**mapped["outcome"], **mapped["columns"]},
        ),
        (
            "Values of the outcome's column that mean default, repaid, and neither (such as loans still running).\n"
            "Both lists empty: yes and no in the usual words, 1 and 0.",
            "default_when",
            outcome.words(DEFAULT),
        ),
        ("", "repaid_when", outcome.words(REPAID)),
        ("", "left_out_when", outcome.words(LEFT_OUT)),
        (
            "Days past due from which a loan is in default, where the outcome counts days.",
            "default_at_least",
            outcome.at_least,
        ),
        ("The same for the treatment's column.", "treated_when", []),
        ("", "untreated_when", []),
        (
            "percent: 12.5 is 12.5%; fraction: .125 is.",
            "interest_rate_in",
            draft.rates_in,
        ),
        ("What terms without a unit are: month, year, week or day; blank: months.", "term_in", draft.term_in),
        (
            "CRM factors: a name from this list, or one that begins with it (satisfaction_service), and its column.\n"
            "Each must be known before the loan could default.",
            "factors",
            mapped["factors"],
        ),
        (
            "The borrower's finances and person: any name in small letters, and its column.",
            "borrower",
            mapped["borrower"],
        ),
        ("Market series, when the file has them.", "market", mapped["market"]),
    ]
    content = [
        ("The study whose code this one runs.", "module", "own"),
        ("What the column default counts: default or arrears.", "outcome", "default"),
        (
            "Strength of the design: randomised, quasi_experimental or matched_observational. Say randomised only\n"
            "when lots were drawn over the treatment. If that was done within strata, name their column under\n"
            "own.borrower as lottery_stratum (and as lottery_unit what was drawn, if not single loans), and list\n"
            "lottery_stratum under controls.strata.",
            "design",
            "matched_observational",
        ),
        (
            "Kind of lender: commercial_bank, consumer_finance, p2p, sme_lender, several or other.",
            "institution_type",
            "other",
        ),
        ("Nothing is fetched.", "sources", []),
        ("", "own", own),
        (
            "Months of origination that take part, such as 2015-01; blank: all. Leave out loans too young\n"
            "to have defaulted.",
            "eligibility",
            {"first_month": None, "last_month": None},
        ),
        ("Months within which default counts; blank: whenever it came.", "horizon_months", None),
        ("Every factor counts as known at origination.", "landmark", None),
        ("", "release_lag_months", {}),
        (
            "Which loans are treated, where no column says so: a factor and the value from which on a loan counts,\n"
            "as in\n"
            "treatment:\n  factor: satisfaction\n  at_least: 8",
            "treatment",
            None,
        ),
        (
            "Blank from here to doses: what follows from the roles above. What is written here takes its place.\n"
            "CRM factors to study: every factor that has a column.",
            "factors",
            None,
        ),
        ("Those of them that may have been recorded after the loan: never among what predicts default.", "undated", []),
        (
            "Pairs agree exactly on `exact` (credit grade, type of loan, year) and are near in a score of `score`\n"
            "(credit score, amount, term, the borrower's columns).",
            "matching",
            [("", "exact", None), ("", "score", None)],
        ),
        (
            "Controls of the nested regressions; each adds the next block: the loan's columns, the borrower's,\n"
            "market series, quarters.",
            "controls",
            [("", "loan", None), ("", "borrower", None), ("", "market", None), ("", "time", None)],
        ),
        (
            "Standard errors are clustered by this column: institution_id, client_id, or loan_id for none.",
            "cluster",
            None,
        ),
        ("Columns that treatment cannot have changed, to see whether it seems to all the same.", "placebo", []),
        (
            "By what the effect of treatment may differ: levels of a column, thirds of a number, or cut points.",
            "moderators",
            None,
        ),
        ("Of which other columns the effect is asked by some of these (column: moderators).", "moderated", {}),
        (
            "Default rates are shown by these groups of loans: credit grade, type, region, industry, year ...",
            "groups",
            None,
        ),
        (
            "... and by these exposure levels of a factor: each number opens a group, the last one stays open.\n"
            "Blank: four groups of about the same size.",
            "doses",
            None,
        ),
        (
            "Plain relations beside the factors', each with a name, an outcome, a factor and controls.",
            "relations",
            [],
        ),
        (
            "Columns beyond factors and controls whose gaps are asked about; controls with gaps are in any case.",
            "incomplete",
            [],
        ),
        (
            "Outcomes, treatments, samples and exact keys that could as well have been chosen: the specification curve "
            "tries them.",
            "alternatives",
            {},
        ),
        (
            "Counts that the sample flow must meet (blank: not checked): fill them in once they are right.",
            "expected",
            {"ended": None, "ended_defaults": None, "cohort": None},
        ),
    ]
    return "\n".join([f"# Loans of the file {draft.file.rsplit('/', 1)[-1]}.", "", *_lines(0, content)]) + "\n"


def with_study(text: str, name: str, file: str) -> str:
    """Return params.yaml with a study added to its list under ``owned``; the rest stays as it is, byte for byte."""
    lines = text.splitlines(keepends=True)
    place = next((at for at, line in enumerate(lines) if re.match(r"  owned: &owned\b", line)), None)
    if place is None:
        raise StudyError("params.yaml has no line `owned: &owned` in its list of studies: nothing was written.")
    lines[place] = re.sub(r"&owned\s*\{\s*\}", "&owned", lines[place])
    end = place + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    lines.insert(end, f"    {name}:\n      file: {scalar(file)}\n")
    return "".join(lines)
