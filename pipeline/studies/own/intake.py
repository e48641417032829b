"""From a reader's file to columns by role: reading, typing, and saying which cell cannot be what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, currencies, dates, states, tabular
from pipeline.sources.tables import LONGEST_WHOLE, Form, Table
from pipeline.studies.own import folder, joining, months, ranges, roles
from pipeline.studies.own.choices import KEYS, Own, checked, unused
from pipeline.studies.own.joining import Link
from pipeline.studies.own.outcome import EMPTY, with_losses
from pipeline.studies.own.panel import collapse, moments
from pipeline.studies.own.units import with_units

SIGNALS = {"communication_frequency": "proactive_contacts", "early_warning": "alert"}
"""What analyses of loan-months call how often factors were seen in a month."""


class Intake(NamedTuple):
    """A file's columns by role."""

    loans: pd.DataFrame
    """One row a row of the file: a typed column a mapped role, ``row`` (its line, the names being the first) and
    ``fault`` (what is wrong with it, empty if nothing is)."""
    columns: pd.DataFrame
    """One row a mapped role: ``role, column, file``."""
    unused: list[str]
    """Columns that have a role and that nothing of the study uses."""
    followed: Mapping[str, pd.DataFrame] = MappingProxyType({})
    """Of loans that are followed month by month: ``ends`` and ``months`` (`months.Course`, whose ``key`` is the loan),
    and ``signals``, how often (``rows``) a ``signal`` came in the month ``number`` of a loan (``key``)."""


def intake(study: Study, where: str) -> Intake:
    """Read the columns that have a role and give each the type of its role.

    `where` names the file of the study's choices, for messages. Raises StudyError when the file cannot be read,
    lacks a column, or when its outcome is not told by the words that params.yaml sorts.
    """
    own: Own = checked(Own, study.own, "own", where)
    path = tabular.path_of(own.file)
    mapped = own.mapped()
    wanted = dict.fromkeys([*mapped.values(), *filter(None, (own.panel, own.late, *own.beside()))])
    form, table = _read(path, own, None if own.loans else list(wanted))
    raw, course, signals = _joined(table.frame.reset_index(drop=True), path, own, study)
    if missing := next((name for name in wanted if name not in raw), None):
        raise StudyError(f"{path} and the tables beside it have no column '{missing}': correct it in {where}.")
    raw = _with_what_stands_beside(raw, own)
    # The first lines hold the names. In Excel and text with broken lines the count may be short by those.
    row = pd.Series(table.lines(form.first), raw.index)
    typed: dict[str, pd.Series] = {}
    faults = pd.Series("", raw.index, dtype="string")
    for role, name in mapped.items():
        if role in roles.ENDINGS and not (study.landmark or study.horizon_months):
            continue
        column, place = raw[name], f"{path}, column {name}"
        if role in ("default", "treated"):
            typed[role] = (_outcome if role == "default" else _arms)(column, own, row, place, where)
            continue
        if form.kind == "excel" and role in KEYS:
            _whole(column.astype(float) if pd.api.types.is_numeric_dtype(column) else column, place)
        read, what = meaning(role, column, own, place, where)
        if role in roles.SINCE and own.columns.get("origination_date"):
            granted = dates.read(raw[own.columns["origination_date"]], own.day_first).meaning
            read = _years_before(granted, column, own) or read
        typed[role] = read.meaning
        if read.wrong.any():
            told = f"{name}: '" + column[read.wrong].astype(str) + f"' is no {what}; "
            faults.loc[read.wrong] = faults[read.wrong] + told.astype("string")
        if not read.meaning.notna().any() and len(sample := cells.plain(column).dropna()):
            raise StudyError(
                f"{path}, row {row[sample.index[0]]}, column {name}: '{sample.iloc[0]}' and all other cells are no "
                f"{what}s: correct {role} in {where}."
            )
    loans = pd.DataFrame({**typed, "row": row, "fault": faults.str.removesuffix("; ")})
    if own.currency_column:
        loans["other_currency"] = ~currencies.of_cells(raw[own.currency_column]).eq(own.currency).fillna(False)
    followed: Mapping[str, pd.DataFrame] = {}
    if own.panel:
        loans, followed = _collapsed(loans, raw, own, study)
        if "origination_date" not in mapped and "origination_date" in loans:
            mapped |= {"origination_date": own.panel}
    elif course is not None and "loan_id" in loans:
        key, at = course
        loan = pd.Series(loans["loan_id"].to_numpy(), key)
        followed = months.named(at, loan[~loan.index.duplicated()], [_of_loans(one, loans) for one in signals])
    elif (study.landmark or study.horizon_months) and {"default_date", "loan_id", "origination_date"} <= set(loans):
        followed = {"ends": months.by_dates(loans)}
    if study.horizon_months and "ends" in followed:
        loans["default"] = _within(loans, followed["ends"], raw[mapped["default"]], study.horizon_months)
    for line, why in table.broken:
        # Rows that could not be cut into cells are counted with those that break a data rule.
        loans.loc[len(loans), ["row", "fault"]] = [line, why]
    columns = pd.DataFrame({"role": list(mapped), "column": list(mapped.values()), "file": str(path)}, dtype="string")
    return Intake(loans, columns, unused(study, where), followed)


def _with_what_stands_beside(raw: pd.DataFrame, own: Own) -> pd.DataFrame:
    """Return the columns with what others say of the outcome (amounts lost) and of terms (their unit)."""
    default, term = own.columns["default"], own.columns.get("term_months")
    if own.lost and default:
        raw = raw.assign(**{default: with_losses(raw[default], raw[own.lost], own.mark(own.lost))})
    if own.term_unit and term:
        raw = raw.assign(**{term: with_units(raw[term], raw[own.term_unit])})
    return raw


def _joined(
    raw: pd.DataFrame, path: Path, own: Own, study: Study
) -> tuple[pd.DataFrame, tuple[pd.Series, months.Course] | None, list[pd.DataFrame]]:
    """Return the loans with what other tables add; their keys and months; and how often what came in which month."""
    course, signals = None, []
    landmark = study.landmark.months if study.landmark else None
    for link in [Link(**one) for one in own.tables]:
        _, other, _ = folder.table(path, link.file, header=own.header)
        if link.take == "state":
            key = joining.keys(raw[link.key])
            raw, at = joining.followed(
                raw, other, link, day_first=own.day_first, horizon=study.horizon_months, least=own.default_at_least
            )
            course = key, at
            continue
        signal = next((to for role, to in SIGNALS.items() if roles.likeness(link.name, role) > 1), None)
        if signal and link.until:
            came = joining.events(raw, other, link, own.day_first).assign(signal=signal)
            if signal == "proactive_contacts":
                came["signal"] = np.where(came["answers"], "reactive_contacts", signal)
                if (without := joining.unlogged(raw, came["loan"])) is not None:
                    nothing = pd.DataFrame({"loan": np.flatnonzero(without), "number": 0, "rows": np.nan})
                    came = pd.concat([came, nothing.assign(signal=signal)])
            signals.append(came)
        raw = joining.joined(raw, other, link, day_first=own.day_first, landmark=landmark)
    return raw, course, signals


def _of_loans(signals: pd.DataFrame, loans: pd.DataFrame) -> pd.DataFrame:
    """Name the loans of signals, which stand there by their place."""
    return signals.assign(key=loans["loan_id"].to_numpy()[signals["loan"]])


def _within(loans: pd.DataFrame, ends: pd.DataFrame, told: pd.Series, horizon: int) -> pd.Series:
    """Return the outcome within the horizon: neither later defaults nor loans that are still open count as in it."""
    default, late = loans["default"], ends[(ends["end"] == "default") & (ends["months"] > horizon)]
    default = default.mask((default == 1) & loans["loan_id"].astype(str).isin(late["loan_id"]), 0.0)
    if "default_date" not in loans:
        return default
    return default.mask((default == -1) & states.open_then(told), 0.0)


def _collapsed(
    rows: pd.DataFrame, raw: pd.DataFrame, own: Own, study: Study
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return one row a loan of a file with one a month, and the months."""
    outcome, late = raw[own.columns["default"]], None
    in_default = rows["default"].eq(1)
    if own.default_at_least is None:
        told = months.said(outcome, in_default)
    else:
        told = months.counted(months.days_late(outcome).meaning, own.default_at_least)
    if own.late:
        late = cells.numbers(raw[own.late]).meaning
        told["late"] = ((told["late"] == 1) | (late > 0)).astype("int8")
    last, events = (study.landmark.months, study.landmark.factors) if study.landmark else (None, ())
    month, counted = moments(raw[own.panel], own.day_first)
    made = collapse(rows.assign(**{name: told[name] for name in told}), month, study.horizon_months, last, events)
    at = made.course.rows
    signals = [
        at[["key", "number"]].assign(rows=at[role], signal=signal) for role, signal in SIGNALS.items() if role in at
    ]
    # Months that are only counted date nothing.
    loans = made.loans.drop(columns="origination_date") if counted and "origination_date" not in rows else made.loans
    return loans, months.named(made.course, None, signals)


def _read(path: Path, own: Own, columns: list[str] | None) -> tuple[Form, Table]:
    """Read the loans, from their file or from among several tables."""
    told = {"encoding": own.encoding, "separator": own.separator, "names": own.names}
    if own.loans:
        form, frame, _ = folder.table(path, own.loans, header=own.header, **told)
        return form, Table(frame, [])
    form = tabular.form_of(path, sheet=own.sheet, header=folder.names_of(own.header, path.name), **told)
    return form, tabular.read_table(path, form, columns=columns)


def meaning(role: str, column: pd.Series, own: Own, place: str, where: str) -> tuple[cells.Cells, str]:
    """Return what the cells of a role's column mean, and what each should be.

    Parameters
    ----------
    role
        What the column is in the study.
    column
        Its cells.
    own
        How the file is read.
    place, where
        The file and the column, and the file of the study's choices, for messages.

    Raises
    ------
    StudyError
        When cells cannot be read for certain, with two of them and the choice that settles it.

    """
    mark = own.mark(str(column.name))
    if role in ("origination_date", "adoption_date", *roles.ENDINGS):
        return dates.read(column, own.day_first), "date"
    if role in KEYS:
        _whole(column, place)
        return _words(column), "word"
    if role == "term_months":
        found = cells.months(column, mark, own.term_in or "")
        answer = f"say under own.term_in in {where} what cells without a unit are"
    else:
        found = cells.measures(column, mark) if role in own.factors else cells.numbers(column, mark)
        answer = "write all of them on one scale"
    found, _ = ranges.inside(role, column, found)
    if role in own.borrower and (ranges.coded(role, found) or not ranges.mostly(found, column)):
        return _words(column), "word"
    if role == "interest_rate":
        found = _in_percent(found, column, own)
    if found.doubt:
        raise StudyError(f"{place}: {found.doubt}: {answer}.")
    return found._replace(meaning=found.meaning * own.times.get(str(column.name), 1)), "number"


def _years_before(granted: pd.Series, column: pd.Series, own: Own) -> cells.Cells | None:
    """Return the years from a column's dates to the loans; None where it holds no dates."""
    if pd.api.types.is_numeric_dtype(column):
        return None
    since = dates.read(column, own.day_first)
    if not ranges.mostly(since, column):
        return None
    years = (granted - since.meaning).dt.days / 365.25
    return cells.Cells(years.where(years >= 0), since.wrong | (years < 0), {})


def _words(column: pd.Series) -> cells.Cells:
    return cells.Cells(cells.levels(column), pd.Series(False, column.index), {})


def _whole(column: pd.Series, place: str) -> None:
    """Raise a StudyError when the numbers of a key have lost digits: 1.23457E+18 names many loans."""
    if pd.api.types.is_float_dtype(column):
        lost = column.abs() > LONGEST_WHOLE
    elif pd.api.types.is_numeric_dtype(column):
        return
    else:
        lost = column.astype("string").str.fullmatch(r"\d[.,]\d+[eE]\+\d+").fillna(False).astype(bool)
    if lost.any():
        raise StudyError(
            f"{place}: '{column[lost].iloc[0]}' is a long number that has lost its last digits ({int(lost.sum()):,} "
            "cells): save the column as text."
        )


def _in_percent(read: cells.Cells, column: pd.Series, own: Own) -> cells.Cells:
    """Bring interest rates to percent; a doubt where a column holds fractions beside percent, neither with a sign."""
    if read.marks.get("percent") or read.doubt:
        return read
    values = read.meaning.dropna()
    small, large = values[(values > 0) & (values < 1)], values[values >= 1]
    if min(len(small), len(large)) > 0.05 * len(values) and large.median() > 30 * small.median():
        shown = f"'{column[small.index[0]]}' and '{column[large.index[0]]}'"
        return read._replace(doubt=f"{shown} cannot both be percent, nor both fractions")
    return read._replace(meaning=100 * read.meaning) if own.interest_rate_in == "fraction" else read


def _outcome(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    """Return 1 for default, 0 for repaid, -1 for states that are left out; missing where a cell says nothing."""
    if own.default_dated:
        return dates.there(column).astype(float)
    if own.default_at_least is not None:
        return _days_late(column, own, row, place, where)
    read = cells.flags(column, own.default_when, own.repaid_when)
    aside = cells.flags(column, own.left_out_when, ()) if own.left_out_when else None
    values, wrong = read.meaning, read.wrong
    if aside is not None:
        left_out = aside.meaning == 1
        values, wrong = values.mask(left_out, -1.0), wrong & ~left_out
    for value, words in ((1.0, own.default_when), (0.0, own.repaid_when), (-1.0, own.left_out_when)):
        if EMPTY in words:
            values = values.mask(cells.levels(column).isna(), value)
    if wrong.any():
        first = wrong.idxmax()
        others = sorted(set(cells.plain(column[wrong]).unique()))
        more = f" (and {len(others) - 1} other values)" if len(others) > 1 else ""
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}'{more} says neither default nor repaid: add it to "
            f"default_when, repaid_when or left_out_when under own in {where}."
        )
    for value, name in ((1.0, "defaulted"), (0.0, "was repaid")):
        if not (values == value).any():
            raise StudyError(
                f"{place}: no loan {name} among {int(values.isin([0, 1]).sum())} loans: without both kinds nothing can "
                f"be compared; give another column, or correct default_when and repaid_when under own in {where}."
            )
    return values


def _days_late(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    days = months.days_late(column, own.mark(str(column.name)))
    if days.wrong.any():
        first = days.wrong.idxmax()
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}' is no number of days, which default_at_least under own in "
            f"{where} asks for: correct the cell, or sort the values under default_when and repaid_when."
        )
    return (days.meaning >= own.default_at_least).astype(float).where(days.meaning.notna())


def _arms(column: pd.Series, own: Own, row: pd.Series, place: str, where: str) -> pd.Series:
    read = cells.flags(column, own.treated_when, own.untreated_when)
    if read.wrong.any():
        first = read.wrong.idxmax()
        raise StudyError(
            f"{place}, row {row[first]}: '{column[first]}' is neither yes nor no: add it to treated_when or "
            f"untreated_when under own in {where}, or leave the role treated blank."
        )
    return read.meaning
