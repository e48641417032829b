"""The rows of a reader's file that are looked at: of one table, or of several that are joined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.sources import tabular
from pipeline.sources.tables import Form
from pipeline.studies.own import folder, panel, profile, roles
from pipeline.studies.own.profile import Column

if TYPE_CHECKING:
    import pandas as pd


class Opened(NamedTuple):
    """What is looked at."""

    tables: folder.Folder | None
    """The tables of a folder, if it is one."""
    form: Form
    frame: pd.DataFrame
    others: dict[str, Column]
    """What further columns hold."""
    whole: bool
    """Whether these are all rows."""
    aside: list[str]
    """Sentences on lines that are not read as loans."""


def opened(path: Path, options: Mapping[str, Any]) -> Opened:
    """Return the rows of a file, or of the tables of a folder, with what the reader has said of them."""
    if options["data"].strip() and not options.get("sheet") and folder.holds_tables(path):
        tables = folder.read(path, options)
        return Opened(tables, tables.form, tables.frame, {}, whole=True, aside=[])
    header = folder.names_of(options["header"], path.name)
    form = tabular.form_of(path, encoding=options.get("encoding"), sheet=options.get("sheet"), header=header)
    return _first_rows(path, form, options)


def _first_rows(path: Path, form: Form, options: Mapping[str, Any]) -> Opened:
    """Return the first rows of a file, and what further columns hold.

    Of very many columns the rows are those whose name is one of a role; all others are looked at in fewer rows.
    """
    given = {options[role] for role in ("default", "treated") if options.get(role)}
    given |= {one.partition("=")[2] for one in options.get("role") or ()}
    few = tabular.read_table(path, form, rows=profile.FEW_ROWS).frame
    if few.empty:
        tabular.read_table(path, form)
    if len(few.columns) <= profile.MANY_COLUMNS or len(few) < profile.FEW_ROWS:
        table = tabular.read_table(path, form, rows=profile.SAMPLE_ROWS)
        whole = len(table.frame) + len(table.dropped) < profile.SAMPLE_ROWS
        return Opened(None, form, table.frame, {}, whole, table.aside(form.first))
    labels = tabular.labels_of(path, form)
    most = profile.SAMPLE_ROWS
    if form.kind == "text":
        most = max(min(most, profile.SAMPLE_CELLS // len(few.columns)), profile.FEW_ROWS)
    told = [name for name in few if name in given or any(map(_may_play_a_role, (name, labels.get(name, ""))))]
    profile.progress(
        f"{len(told):,} of {len(few.columns):,} columns have the name of a role; looking at the others ..."
    )
    others = {name: profile.glance(few[name], labels.get(name, "")) for name in few if name not in told}
    profile.progress("reading those with the name of a role ...")
    table = tabular.read_table(path, form, columns=told, rows=most)
    whole = len(table.frame) + len(table.dropped) < most
    return Opened(None, form, table.frame, others, whole, table.aside(form.first))


def _may_play_a_role(name: str) -> bool:
    return bool(name) and (
        roles.is_instalment(name)
        or roles.counts_days(name)
        or panel.of_month(name)
        or any(roles.likeness(name, role) for role in roles.roles())
    )
