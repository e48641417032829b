"""How the outcome is read: what each of its values means, with counts, and what has to be asked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, dates, states
from pipeline.sources.states import BASEL_DAYS, DEFAULT, LEFT_OUT, REPAID, State
from pipeline.studies.own import months, roles
from pipeline.studies.own.joining import Link, state_of
from pipeline.studies.own.profile import FEW_LEVELS, MOST_STATES, Column
from pipeline.studies.own.questions import Question

GIVEN = {"default_when": DEFAULT, "repaid_when": REPAID, "left_out_when": LEFT_OUT}
"""Options by which a reader says what values mean."""

EMPTY = ""
"""What stands for empty cells where the reader says what they mean."""


class Outcome(NamedTuple):
    """How an outcome is read."""

    column: str
    states: list[State]
    at_least: float | None
    """Days past due from which a loan counts as in default; None where values say it in words."""
    empty: int
    """Rows without an outcome."""
    dated: bool = False
    """Whether its cells are dates of default: a loan with one is in default, all others are not."""
    loans: tuple[int, int] | None = None
    """Loans ever in default, and all of them, where each has a row a month."""

    def rows(self, read_as: str) -> int:
        """Return how many rows are read in a way."""
        return sum(state.rows for state in self.states if state.read_as == read_as)

    @property
    def told(self) -> bool:
        """Whether the reader has said what values mean."""
        return any(state.why == "as told" for state in self.states)

    @property
    def open_(self) -> bool:
        """Whether a bare yes was taken for default though no name says so."""
        return any(state.why == "yes" for state in self.states) and not states.tells(roles.normal(self.column))

    def in_default(self) -> list[str]:
        """Return the values that mean default."""
        return states.named(self.states, DEFAULT)

    def words(self, read_as: str) -> list[str]:
        """Return the values to write down: none where plain yes and no, 1 and 0, say it all."""
        usual = {DEFAULT: cells.YES, REPAID: cells.NO}
        if self.dated:
            return []
        if self.at_least is None and all(state.value.lower() in usual.get(state.read_as, ()) for state in self.states):
            return []
        return [] if self.at_least is not None else states.named(self.states, read_as)

    def defaults_and_others(self) -> tuple[int, int]:
        """Return how many loans are in default, and how many are not."""
        if self.loans is not None:
            return self.loans[0], self.loans[1] - self.loans[0]
        return self.rows(DEFAULT), self.rows(REPAID)

    def among(self, column: pd.Series, loan: pd.Series | None) -> Outcome:
        """Return the same reading with the rows of some of the loans; `loan` as in `read`."""
        meaning = self.meaning(column)
        counts = self.cells(column).value_counts()
        if self.dated or self.at_least is not None:
            of_kind = {DEFAULT: int((meaning == 1).sum()), REPAID: int((meaning == 0).sum())}
            states = [state._replace(rows=of_kind[state.read_as]) for state in self.states]
        else:
            states = [state._replace(rows=int(counts.get(state.value, 0))) for state in self.states]
        ever = None if loan is None else (meaning == 1).groupby(loan).any()
        loans = None if ever is None else (int(ever.sum()), len(ever))
        return self._replace(states=states, empty=len(column) - sum(one.rows for one in states), loans=loans)

    def cells(self, column: pd.Series) -> pd.Series:
        """Return the outcome's cells, with `EMPTY` for those that are, where the reader has said what that means."""
        present = cells.levels(column)
        return present.fillna(EMPTY) if any(state.value == EMPTY for state in self.states) else present

    def meaning(self, column: pd.Series) -> pd.Series:
        """Return 1 for default and 0 for repaid by row; missing where neither, or nothing, is told."""
        if self.dated:
            return dates.there(column).astype(float)
        if self.at_least is not None:
            days = months.days_late(column).meaning
            return (days >= self.at_least).astype(float).where(days.notna())
        values = {state.value: {DEFAULT: 1.0, REPAID: 0.0}.get(state.read_as) for state in self.states}
        return self.cells(column).map(values).astype(float)

    def shown(self) -> list[str]:
        """Return lines that say how each value is read, and the default rate that follows."""
        wide = max([len(state.value) for state in self.states] + [7])
        lines = [
            f"  {state.value or '(empty)':<{wide}}  {state.read_as:<8}  {state.rows:>9,}  {state.why}"
            for state in sorted(self.states, key=lambda one: -one.rows)
        ]
        if self.empty:
            lines.append(f"  {'(empty)':<{wide}}  {LEFT_OUT:<8}  {self.empty:>9,}")
        defaults, repaid = self.defaults_and_others()
        rate = 100 * defaults / max(defaults + repaid, 1)
        out = self.rows(LEFT_OUT) + self.empty
        return [*lines, f"  {defaults:,} of {defaults + repaid:,} loans in default ({rate:.1f}%); {out:,} left out."]


def read(
    column: pd.Series, profiled: Column, options: Mapping[str, Any], where: str, loan: pd.Series | None = None
) -> Outcome:
    """Return how an outcome is read; a Question where that is not certain.

    Parameters
    ----------
    column
        Its cells.
    profiled
        What it holds.
    options
        What the reader has said: lists of values under ``default_when`` and its like, ``default_at_least``.
    where
        The file and the column, for messages.
    loan
        Whose row each is, where a loan has one a month; it counts as in default if it ever was.

    Raises
    ------
    StudyError
        When no loan, or every one, is in default.

    """
    present = cells.levels(column)
    empty = int((present.isna() if profiled.kind != "date" else ~dates.there(column)).sum())
    given = {str(value): read_as for name, read_as in GIVEN.items() for value in options.get(name) or ()}
    if profiled.kind == "date" and empty and loan is None:
        found = [State("a date", DEFAULT, "in default", len(column) - empty), State("no date", REPAID, "", empty)]
        return Outcome(profiled.name, found, None, 0, dated=True)
    if profiled.distinct == 1 and empty and EMPTY not in given:
        raise _marked(present, empty, where)
    if profiled.distinct + (EMPTY in given) < 2:
        raise StudyError(f"{where}: all cells are the same, so no loan defaulted or every one did.")
    if (least := options.get("default_at_least")) is not None:
        return _by_days(column, profiled, least, empty, where, loan)
    if profiled.distinct > MOST_STATES or (profiled.kind == "number" and profiled.distinct > FEW_LEVELS):
        raise _many(column, profiled, where)
    counts = {str(value): int(rows) for value, rows in present.value_counts(sort=False).items()}
    if EMPTY in given and empty:
        present, counts, empty = present.fillna(EMPTY), counts | {EMPTY: empty}, 0
    if wrong := [value for value in given if value not in counts]:
        raise StudyError(f"{where}: no cell is '{wrong[0]}': there are {_listed(list(counts))}.")
    found = Outcome(profiled.name, states.sorted_out(counts, given, months=loan is not None), None, empty)
    if loan is not None:
        default = {state.value: state.read_as == DEFAULT for state in found.states}
        ever = present.map(default).fillna(False).astype(bool).groupby(loan).any()
        found = found._replace(loans=(int(ever.sum()), len(ever)))
    _ask(found, bool(options.get("default_when")), where, options.get("losses") or "")
    return found


def _marked(present: pd.Series, empty: int, where: str) -> StudyError:
    """Return the question what empty cells mean beside a single value."""
    mark = str(present.dropna().iloc[0])
    return Question(
        f"{where}: '{mark}' stands in {int(present.notna().sum()):,} rows, and {empty:,} are empty: say --default-when "
        f"{_words([mark])} --repaid-when '' if these were repaid, --default-when '' --repaid-when {_words([mark])} if "
        "it is the other way round; if nobody knows, name another column with --default.",
        "default_when",
        "Values that mean default (the others, and empty cells, are repaid)",
        [mark, EMPTY],
    )


def _by_days(
    column: pd.Series, profiled: Column, least: float, empty: int, where: str, loan: pd.Series | None
) -> Outcome:
    if profiled.kind not in ("number", "flag"):
        raise StudyError(f"{where} holds no numbers, so --default-at-least says nothing of it: leave it out.")
    days = months.days_late(column).meaning
    late, early = int((days >= least).sum()), int((days < least).sum())
    found = [State(f"{least:g} and more", DEFAULT, "as told", late), State("less", REPAID, "as told", early)]
    ever = (days >= least).groupby(loan).any() if loan is not None else None
    return Outcome(profiled.name, found, least, empty, loans=None if ever is None else (int(ever.sum()), len(ever)))


def _many(column: pd.Series, profiled: Column, where: str) -> StudyError:
    if profiled.kind == "number" and roles.counts_days(profiled.name):
        days = months.days_late(column).meaning
        late = int((days >= BASEL_DAYS).sum())
        unit = "months past due, of thirty days each" if roles.late_in_months(profiled.name) else "days past due"
        return Question(
            f"{where} counts {unit}, {profiled.largest} at most: say from how many days on a loan counts as in "
            f"default, such as --default-at-least {BASEL_DAYS} ({late:,} of {int(days.notna().sum()):,} loans).",
            "default_at_least",
            f"Days past due from which a loan counts as in default (usual: {BASEL_DAYS})",
        )
    return StudyError(
        f"{where} has {profiled.distinct} different values: the outcome must say yes or no, 1 or 0, or name states of "
        "a loan; where it counts days past due, say from how many on with --default-at-least."
    )


LOST = "charged off"
"""What a loan is called that another column says money was lost of."""


def with_losses(column: pd.Series, lost: pd.Series, decimal: str = ".") -> pd.Series:
    """Return the words of an outcome, and `LOST` where another column says that money was lost."""
    return cells.levels(column).mask(cells.numbers(lost, decimal).meaning > 0, LOST)


def losses(table: pd.DataFrame) -> str:
    """Return sentences on columns that tell losses, or how late loans are, whatever their state; empty without any."""
    said = ""
    for name in map(str, table):
        if roles.loses(name) and (rows := int((cells.numbers(table[name]).meaning > 0).sum())):
            said += f" {name} is above nought for {rows:,} loans: if these defaulted, say --lost {shlex.quote(name)}."
        elif roles.counts_days(name) and (rows := int((months.days_late(table[name]).meaning >= BASEL_DAYS).sum())):
            said += f" Or say {_days(name)} for the {rows:,} loans that are so late."
    return said


def _days(name: str) -> str:
    return f"--default {shlex.quote(name)} --default-at-least {BASEL_DAYS}"


def beside(
    found: Outcome, table: pd.DataFrame, columns: Mapping[str, Column], column_of: Mapping[str, str], where: str
) -> list[str]:
    """Return a sentence where dates of default say otherwise than an outcome.

    Parameters
    ----------
    found
        How the outcome is read.
    table, columns
        The loans, and what each column holds.
    column_of, where
        The columns of roles, and the file and the outcome's column, for messages.

    Raises
    ------
    Question
        When arrears would count as default, and another column tells how late loans are.

    """
    dated = column_of.get("default_date")
    days = next((name for name, one in columns.items() if roles.counts_days(name) and one.kind == "number"), None)
    late = [state for state in found.states if (state.read_as, state.why) == (DEFAULT, states.WHY["arrears"])]
    has_date = dates.there(table[dated]) if dated in table else pd.Series(data=False, index=table.index)
    others = []
    if dated:
        others.append(f"--default {shlex.quote(dated)} for the {int(has_date.sum()):,} loans with a date there")
    if days in table and days != found.column:
        rows = int((months.days_late(table[days]).meaning >= BASEL_DAYS).sum())
        others.append(f"{_days(str(days))} for the {rows:,} loans that are so late")
    if late and others:
        shown = " and ".join(f"{shlex.quote(state.value)} ({state.rows:,} rows)" for state in late)
        raise Question(
            f"{where}: {shown} may be arrears of few days: say {' or '.join(others)}, or --default-when "
            f"{_words([state.value for state in late])} if that is default.",
            "default_when",
            "Values that mean default",
        )
    if rows := int((has_date & (found.meaning(table[found.column]) == 0)).sum()):
        return [f"{rows:,} loans that are read as repaid have a {dated}: say --default {dated} if they defaulted."]
    return []


def sorted_months(link: Link, other: pd.DataFrame, options: Mapping[str, Any], folder: Path) -> Link:
    """Return how a table of months ties, with the values of its state that mean default where the reader has said so.

    Raises a Question where nobody can know it, as of codes.
    """
    state = state_of(other)
    if state is None:
        return link
    counts = {str(value): int(rows) for value, rows in cells.levels(other[state]).value_counts().items()}
    told = list(options.get("default_when") or ())
    if told and set(told) <= set(counts):
        return link._replace(bad=json.dumps(told, ensure_ascii=False))
    codes = not states.tells(roles.normal(state))
    unknown = [value for value in counts if states.meaning_of(value) in (("", "yes", "no") if codes else ("",))]
    if not unknown:
        return link
    shown = ", ".join(f"{shlex.quote(value)} ({counts[value]:,} rows)" for value in list(counts)[:12])
    raise Question(
        f"{folder}, {link.file}, column {state} says month by month what became of loans: {shown}. What "
        f"{_listed(unknown)} means is not known: say with --default-when which values mean default.",
        "default_when",
        "Those that mean default",
        list(counts),
    )


def ends(table: pd.DataFrame, found: Outcome, loan: str, month: pd.Series) -> pd.DataFrame:
    """Return how the loans of a table with a row a loan and month ended (`months.Course.ends`)."""
    column = table[found.column]
    if found.at_least is None:
        told = months.said(column, cells.levels(column).isin(found.in_default()).astype(int))
    else:
        told = months.counted(months.days_late(column).meaning, found.at_least)
    return months.course(told.assign(key=table[loan], calendar=months.month_of(month))).ends()


def ends_by_dates(
    table: pd.DataFrame, found: Outcome, column_of: Mapping[str, str], day_first: bool | None
) -> pd.DataFrame:
    """Return how loans ended of which dates tell it, by the columns of roles, without those never paid out."""
    dated = [role for role in ("origination_date", *roles.ENDINGS) if role in column_of]
    loans = {role: dates.read(table[column_of[role]], day_first).meaning for role in dated}
    if found.dated:
        default = dates.there(table[found.column])
        out = pd.Series(data=False, index=table.index)
    elif found.at_least is None:
        told = found.cells(table[found.column])
        default, idle = told.isin(found.in_default()), told.isin(states.named(found.states, LEFT_OUT))
        out = told.isna() | (idle & ~states.open_then(told))
    else:
        days = months.days_late(table[found.column]).meaning
        default, out = days >= found.at_least, days.isna()
    made = pd.DataFrame({**loans, "loan_id": table[column_of["loan_id"]], "default": default.astype(int)})
    return months.by_dates(made[~out])


def _words(values: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, values))


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(map(shlex.quote, values[:8]))
    return f"{shown} and {len(values) - 8} more" if len(values) > 8 else shown


def _ask(found: Outcome, told: bool, where: str, losses: str) -> None:
    """Raise a Question when a value is not known, yes may be good news, or most loans would be in default."""
    shown = "; ".join(
        f"{shlex.quote(state.value)} ({state.rows:,} rows) {state.read_as or 'not known'}"
        for state in found.states[:12]
    )
    unknown = states.named(found.states, "")
    if unknown:
        raise Question(
            f"{where}: {shown}. Sort what is not known with --default-when, --repaid-when and --left-out-when.",
            "default_when",
            "Those that mean default (the others are repaid)",
            unknown,
        )
    defaults, repaid = found.defaults_and_others()
    if not defaults + repaid and any(state.why == states.WHY["decision"] for state in found.states):
        raise StudyError(
            f"{where}: {shown}. It tells which applications were granted, not which loans were repaid: name with "
            "--default the column that says which loans defaulted; where there is none, the file cannot be studied."
        )
    kinds = ((defaults, "defaulted", "--default-when", losses), (repaid, "was repaid", "--repaid-when", ""))
    for count, what, name, hint in kinds:
        if not count:
            raise Question(
                f"{where}: {shown}. No loan {what} so, and without both kinds nothing can be compared: say with {name} "
                f"which values mean it.{hint}",
                "default_when",
                "Values that mean default",
            )
    if told:
        return
    plain_yes = any(state.why == "yes" for state in found.states)
    if found.open_ and any(state.value.isalpha() for state in found.states):
        kept, turned = (_words(states.named(found.states, read_as)) for read_as in (DEFAULT, REPAID))
        raise Question(
            f"{where}: {shown}. Its name does not say what yes means. If applications were approved or refused so, it "
            f"is no outcome: name another column with --default. Otherwise say --default-when {kept} --repaid-when "
            f"{turned} if yes is default, or --default-when {turned} --repaid-when {kept} if it is repaid.",
            "default_when",
            "Values that mean default (the others are repaid)",
            [state.value for state in found.states],
        )
    reasons = {
        "its name says that yes is good": plain_yes and states.good_name(roles.normal(found.column)),
        "more than half would be in default": defaults > repaid,
    }
    for reason, holds in reasons.items():
        if holds:
            turned, kept = states.named(found.states, REPAID), states.named(found.states, DEFAULT)
            raise Question(
                f"{where}: {shown}, {100 * defaults / (defaults + repaid):.1f}% in default; {reason}: say with "
                f"--default-when {_words(turned)} --repaid-when {_words(kept)} that it is the other way round, or "
                f"with --default-when {_words(kept)} --repaid-when {_words(turned)} that this is right.",
                "default_when",
                "Values that mean default (the others are repaid)",
                [*turned, *kept],
            )
