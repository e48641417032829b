"""Tables of one lender that are one below the other: those with the same columns, such as one a year."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.sources.tables import Form
from pipeline.studies.own import roles
from pipeline.studies.own.joining import keys, once


def same_names(frame: pd.DataFrame, first: pd.DataFrame) -> dict[str, str]:
    """Return the names of the first table's columns by those of another with the same ones."""
    mine = {roles.normal(str(name)): str(name) for name in first}
    return {str(name): mine.get(roles.normal(str(name)), str(name)) for name in frame}


def shared_start(names: list[str]) -> str:
    """Return the letters with which all names begin."""
    first, last = min(names), max(names)
    same = next((place for place, one in enumerate(first) if last[place : place + 1] != one), len(first))
    return first[:same] if len(names) > 1 else ""


def stacked(forms: Mapping[str, Form], frames: dict[str, pd.DataFrame], refused: list[str]) -> dict[str, pd.DataFrame]:
    """Return tables, those with the same columns put together under a name with ``*`` for what differs."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name, frame in frames.items():
        alike.setdefault((forms[name].kind, *sorted(roles.normal(str(one)) for one in frame)), []).append(name)
    found = {}
    for names in alike.values():
        name = names[0]
        if len(names) > 1:
            first, last = shared_start(names), shared_start([one[::-1] for one in names])[::-1]
            pattern = f"{first}*{last}"
            if not first or [one for one in forms if fnmatchcase(one, pattern.replace("[", "[[]"))] != names:
                refused += [f"{one}: the same columns as {name}: put them in one file" for one in names[1:]]
            else:
                name = pattern
        each = [frames[one].rename(columns=same_names(frames[one], frames[names[0]])) for one in names]
        found[name] = pd.concat(each, ignore_index=True) if "*" in name else frames[names[0]]
    return found


def refuse_more_loans(frames: Mapping[str, pd.DataFrame], loans: str, folder: Path) -> None:
    """Raise a StudyError where another table holds further loans, with an outcome, under nearly the same names."""
    mine = {roles.normal(str(one)): one for one in frames[loans]}
    for name, frame in frames.items():
        theirs = {roles.normal(str(one)): one for one in frame}
        both = set(mine) & set(theirs)
        of_loans = [one for one in both if roles.likeness(one, "loan_id") and once(frame)[theirs[one]].is_unique]
        told = any(roles.likeness(one, "default") > 1 for one in both)
        if name == loans or not told or not of_loans or 2 * len(both) < len({*mine, *theirs}):
            continue
        key = of_loans[0]
        if not keys(frame[theirs[key]]).isin(set(keys(frames[loans][mine[key]]))).any():
            others = ", ".join(sorted(str((mine | theirs)[one]) for one in set(mine) ^ set(theirs)))
            raise StudyError(
                f"{folder}: {loans} and {name} both hold loans ({len(frames[loans]):,} and {len(frame):,}), and differ "
                f"in columns ({others}): give both the same ones, so that they are put together, or say with --loans "
                "which to study alone."
            )
