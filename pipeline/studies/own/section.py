"""A new study of a reader's own file: its choices, its line in the list of studies, its data dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells
from pipeline.sources.tabular import Form
from pipeline.studies.own import roles
from pipeline.studies.own.profile import Column

if TYPE_CHECKING:
    import pandas as pd


class Draft(NamedTuple):
    """What `init-study` knows of a file when it writes the choices."""

    name: str
    file: str
    form: Form
    decimal: str
    columns: Mapping[str, Column]
    """Profiles by column."""
    found: Mapping[str, str]
    """The column of every role that was found or given."""
    doses: Mapping[str, list[float]]
    """Lower edges of groups of a factor."""

    def column(self, role: str) -> Column | None:
        """Return the profile of a role's column."""
        return self.columns[self.found[role]] if role in self.found else None


def quartile_edges(values: pd.Series) -> list[float]:
    """Return lower edges of up to four groups of about the same size: distinct quantiles, rounded to three digits."""
    measured = values.dropna()
    if measured.nunique() < 3:
        return []
    edges = [float(f"{edge:.3g}") for edge in measured.quantile([0, 0.25, 0.5, 0.75])]
    # Rounding up must not push the smallest value out of the first group.
    edges[0] = min(edges[0], float(np.floor(measured.min())))
    return sorted(set(edges))


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
        elif isinstance(value, list) and value and isinstance(value[0], tuple):
            written += [f"{pad}{key}:", *_lines(indent + 2, value)]
        elif isinstance(value, list):
            written += [f"{pad}{key}:", *(f"{pad}- {scalar(item)}" for item in value)] if value else [f"{pad}{key}: []"]
        else:
            written.append(f"{pad}{key}: {scalar(value)}".rstrip())
    return written


def choices(draft: Draft) -> str:
    """Return the study's own params.yaml: every role, filled in where its column was found."""
    found = draft.found
    states = draft.column("default").states
    rate = draft.column("interest_rate")
    fraction = rate is not None and not rate.percent and rate.kind == "number" and float(rate.largest) <= 1
    mapped = {name: {role: found.get(role) for role in roles.of_section(name)} for name in roles.SECTIONS}
    numeric = [role for role in mapped["borrower"] if role in found and draft.column(role).kind in ("number", "flag")]

    def term(role: str) -> str:
        # Sums of money are skewed; their logarithm is not.
        money = role in ("income", "assets", "employees")
        return (
            f"log({role})"
            if money and draft.column(role).kind == "number" and float(draft.column(role).smallest) > 0
            else role
        )

    of_borrower = [term(role) for role in mapped["borrower"] if role in found]
    score = [role for role in ("credit_score", "log(amount)", "term_months") if roles_of(role) in found]
    score += [term(role) for role in numeric]
    loan_block = (
        "credit_grade",
        "credit_score",
        "loan_type",
        "term_months",
        "log(amount)",
        "interest_rate",
        "industry",
        "region",
    )
    groups = [
        role for role in ("credit_grade", "loan_type", "region", "industry", "origination_year") if _there(role, found)
    ]
    own = [
        (
            "The file with the loans, one row a loan; it stays where it is. The list of studies names it too.",
            "file",
            draft.file,
        ),
        ("Sheet of an Excel file.", "sheet", draft.form.sheet),
        (
            "How a text file is written: utf-8, gb18030 (holds GBK) ...; what stands between its cells.",
            "encoding",
            draft.form.encoding,
        ),
        ("", "separator", draft.form.separator),
        ("Decimal mark of numbers in text.", "decimal", draft.decimal),
        (
            "true: 03/01/2015 is the third of January; false: the first of March; blank: as the other cells tell.",
            "day_first",
            None,
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
            _beyond_yes_and_no(states.default, states.repaid, states.others)[0],
        ),
        ("", "repaid_when", _beyond_yes_and_no(states.default, states.repaid, states.others)[1]),
        ("", "left_out_when", states.others),
        ("The same for the treatment's column.", "treated_when", []),
        ("", "untreated_when", []),
        ("percent: 12.5 is 12.5%; fraction: .125 is.", "interest_rate_in", "fraction" if fraction else "percent"),
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
        ("CRM factors to study, of those above.", "factors", [role for role in mapped["factors"] if role in found]),
        ("Those of them that may have been recorded after the loan: never among what predicts default.", "undated", []),
        (
            "Pairs agree exactly on `exact` (categories) and are near in a score of `score` (numbers).",
            "matching",
            [
                (
                    "",
                    "exact",
                    [role for role in ("credit_grade", "loan_type", "origination_year") if _there(role, found)],
                ),
                ("", "score", score or ["log(amount)"]),
            ],
        ),
        (
            "Controls of the regression ladder; each rung adds the next block.",
            "controls",
            [
                ("", "loan", [role for role in loan_block if roles_of(role) in found]),
                ("", "borrower", of_borrower),
                ("", "market", [role for role in mapped["market"] if role in found]),
                ("", "time", ["origination_quarter"] if "origination_date" in found else []),
            ],
        ),
        (
            "Standard errors allow loans of one cluster to resemble each other; loan_id: every loan stands alone.",
            "cluster",
            "institution_id" if "institution_id" in found else "loan_id",
        ),
        ("Columns that treatment cannot have changed, to see whether it seems to all the same.", "placebo", []),
        (
            "By what the effect of treatment may differ: levels of a column, thirds of a number, or cut points.",
            "moderators",
            {role: "levels" for role in ("credit_grade", "loan_type") if role in found},
        ),
        ("Of which other columns the effect is asked by some of these (column: moderators).", "moderated", {}),
        ("Default rates are shown by these groups of loans ...", "groups", groups),
        (
            "... and by these doses of a factor: each number opens a group, the last one stays open.",
            "doses",
            dict(draft.doses),
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


def roles_of(term: str) -> str:
    """Return the role inside a term: ``log(amount)`` -> ``amount``."""
    return re.sub(r"^log\((.*)\)$", r"\1", term)


def _there(role: str, found: Mapping[str, str]) -> bool:
    return (role if role != "origination_year" else "origination_date") in found


def _beyond_yes_and_no(default: list[str], repaid: list[str], others: list[str]) -> tuple[list[str], list[str]]:
    """Return the words to list: none where plain yes and no, 1 and 0, say it all."""
    if (
        not others
        and all(word.lower() in cells.YES for word in default)
        and all(word.lower() in cells.NO for word in repaid)
    ):
        return [], []
    return default, repaid


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
        elif not role:
            remark = "not read: give it a role in params.yaml to use it"
        rows.append(
            {
                "column": name,
                "label": roles.roles()[role].label if role else name,
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
        "institution_id": "errors take loans as independent of each other",
        "loan_id": "loans are known by what stands in their row",
    }
    for role, consequence in wanted.items():
        if role not in found:
            said.append(f"No {roles.roles()[role].label.lower()} ({role}) was found: {consequence}.")
    borrower = [role for role in roles.of_section("borrower") if role in found]
    if not borrower:
        said.append(
            "No column on the borrower was recognised (income, age, ...): add what was known at "
            "origination under own.borrower."
        )
    date = draft.column("origination_date")
    if (
        date is not None
        and date.marks.get("undecided")
        and not (date.marks.get("day_first") or date.marks.get("month_first"))
    ):
        said.append(
            f"Day and month of {date.name} could stand in either order, and are read month first: set "
            "own.day_first to true if the day comes first."
        )
    outcome = draft.column("default")
    if outcome.states.others:
        said.append(
            f"Loans whose {outcome.name} is {', '.join(outcome.states.others)} are left out as neither defaulted nor "
            "repaid: move "
            "the words to default_when or repaid_when if they are."
        )
    leaking = [name for name in draft.columns if name not in found.values() and roles.after_outcome(name)]
    if leaking:
        said.append(f"Not proposed, because they look as if filled after the outcome: {', '.join(leaking)}.")
    if not draft.file.startswith(("/", "data/raw/")) and ":" not in draft.file[:3]:
        said.append(
            f"{draft.file} lies where git would commit it: move it to data/raw, which git ignores, or out of the "
            "repository, and correct own.file and the same path in the list of studies in params.yaml."
        )
    idle = [
        name
        for name in draft.columns
        if name not in found.values() and name not in leaking and draft.columns[name].kind != "key"
    ]
    if idle:
        said.append(f"Without a role, and so not read: {', '.join(idle[:15])}{' ...' if len(idle) > 15 else ''}.")
    return said
