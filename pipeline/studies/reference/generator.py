"""Simulated lenders: the raw tables of the reference study and, apart from them, the truth.

``simulate`` returns tables in memory, ``generate`` writes them institution by institution; both give the same
rows. The cohort for analysis is every loan granted: each has its whole horizon, and loans of institutions that
never adopt, or granted before adoption, are what the designs compare with. The table "What must come out" is
reproduced on that cohort and not on ever-adopting institutions alone (about 56,000 loans of 39 institutions,
where the raw difference is half as large).

What the design document leaves open, and how it is read here:

- M weighs growth as much as unemployment and the real Treasury bill rate together (`world.stress_index`).
- A spell of stress may be under way when the loan is granted (`months.Draws`); before the loan, contacts count
  at their ordinary rate (`months.recent_contacts`); month 1 is the month after origination.
- The linear terms of the later steps are those of the first but its level, M and age (`months.follow`).
- Banks' branches have more applications than others' (`settings.applications_per_branch`): the rates by grade
  and by type of the document agree only if P2P loans are about a quarter.
- Grades part the loans, not the applicants, in fifths (`clients.grade_cuts`).
- `null` takes away every effect of enrolment and of adoption; contacts, sharing, satisfaction and alerts keep
  their own effects on default. In `benign`, adoption does not depend on quality, and the record has no error.
- Prepayment, the window of forbearance, terms, and the laws of repeat borrowing and attrition are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from pipeline.runtime import store
from pipeline.runtime.errors import StudyError
from pipeline.studies.reference.clients import draw_clients, draw_institution
from pipeline.studies.reference.columns import Table, arrow, optional
from pipeline.studies.reference.dirt import spoil
from pipeline.studies.reference.months import draw_months, follow
from pipeline.studies.reference.reviews import reviews
from pipeline.studies.reference.schemas import SCHEMAS
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.tables import Extract
from pipeline.studies.reference.truth import (
    DIRTY_ROWS,
    POTENTIAL_OUTCOMES,
    dirt_counts,
    potential_outcomes,
    replace_rows,
    summarise,
    take_course,
)
from pipeline.studies.reference.world import World, stream, world

RAW_TABLES = tuple(SCHEMAS)
TRUTH_TABLES = ("potential_outcomes", "dirty_rows")
ALL_SCHEMAS = {**SCHEMAS, "potential_outcomes": POTENTIAL_OUTCOMES, "dirty_rows": DIRTY_ROWS}
ROW_GROUP = 131_072  # rows of a parquet row group, whatever the chunks


def lenders(settings: Settings) -> list[tuple[int, int]]:
    """Return the type and the number of each institution, in order."""
    return [(kind, n) for kind, count in enumerate(settings.institution_counts) for n in range(count)]


def extract(settings: Settings, common: World, seed: int, kind: int, number: int) -> Extract:
    """Return one institution's records of what happened, from which each raw table can be built."""
    lender = draw_institution(settings, seed, kind, number)
    applicants = draw_clients(settings, seed, lender)
    loans = np.flatnonzero(applicants.granted)
    clients, draws = applicants.take(loans), draw_months(settings, seed, lender, len(applicants)).take(loans)
    course = follow(settings, common, lender, clients, draws, clients.enrolled)
    return Extract(settings, seed, lender, applicants, loans, course)


def _with_truth(settings: Settings, common: World, seed: int, kind: int, number: int) -> tuple[Extract, Table]:
    """Return the same records, and the table of potential outcomes."""
    lender = draw_institution(settings, seed, kind, number)
    applicants = draw_clients(settings, seed, lender)
    # Whoever gets a loan with or without the programme is followed; only loans granted leave records.
    wanted = np.flatnonzero(applicants.granted | applicants.granted_without)
    clients, draws = applicants.take(wanted), draw_months(settings, seed, lender, len(applicants)).take(wanted)
    after = np.flatnonzero(clients.after_adoption)
    unenrolled = follow(settings, common, lender, clients, draws, np.zeros(len(clients)))
    enrolled = follow(settings, common, lender, clients.take(after), draws.take(after), np.ones(len(after)))
    happened = np.flatnonzero(clients.enrolled)
    factual = replace_rows(unenrolled, happened, take_course(enrolled, np.searchsorted(after, happened)))

    granted = np.flatnonzero(clients.granted)
    made = Extract(settings, seed, lender, applicants, wanted[granted], take_course(factual, granted))
    loan_id = np.zeros(len(clients), dtype=np.int64)
    loan_id[granted] = made.loan_id
    extras = {
        "application_id": made.application_id[wanted],
        "loan_id": optional(loan_id, clients.granted),
        "credit_grade": made.applications()["credit_grade"][wanted],
    }
    return made, potential_outcomes(settings, common, lender, clients, draws, factual, unenrolled, enrolled, extras)


def institution_tables(
    settings: Settings, common: World, seed: int, kind: int, number: int, names: Collection[str], dirt: bool
) -> dict[str, Table]:
    """Return the tables `names` (raw or truth, without macro) of one institution."""
    outcomes: Table = {}
    if "potential_outcomes" in names:
        made, outcomes = _with_truth(settings, common, seed, kind, number)
    else:
        made = extract(settings, common, seed, kind, number)
    builders = {
        "institutions": made.institutions,
        "branches": made.branches,
        "applications": made.applications,
        "loans": made.loans_table,
        "contacts": made.contacts,
        "surveys": made.surveys,
        "alerts": made.alerts,
        "repayments": made.repayments,
        "documents": made.documents,
        "reviews": lambda: reviews(made),
        "potential_outcomes": lambda: outcomes,
    }
    tables = {name: build() for name, build in builders.items() if name in names}
    if dirt:
        tables, record = spoil(settings, lambda part: stream(seed, kind, number, "dirt", part), tables)
        if "dirty_rows" in names:
            tables["dirty_rows"] = record
    return tables


def chunks(
    settings: Settings, seed: int, names: Collection[str], dirt: bool, size: int
) -> Iterator[dict[str, pa.Table]]:
    """Yield the tables `names` of `size` institutions at a time, in the order of type and number."""
    unknown = sorted(set(names) - set(ALL_SCHEMAS))
    if unknown:
        raise StudyError(f"The reference study has no table {unknown[0]!r}: choose among {', '.join(ALL_SCHEMAS)}.")
    common = world(settings, seed)
    if "macro" in names:
        columns = {name: common.macro[name].to_numpy() for name in SCHEMAS["macro"].names}
        yield {"macro": arrow(columns, SCHEMAS["macro"])}
    every = lenders(settings)
    for start in range(0, len(every), size):
        parts: dict[str, list[pa.Table]] = {}
        for kind, number in every[start : start + size]:
            tables = institution_tables(settings, common, seed, kind, number, names, dirt)
            for name, table in tables.items():
                parts.setdefault(name, []).append(arrow(table, ALL_SCHEMAS[name]))
        yield {name: pa.concat_tables(tables) for name, tables in parts.items()}


def simulate(
    settings: Settings,
    seed: int,
    tables: Collection[str] = (*RAW_TABLES, *TRUTH_TABLES),
    dirt: bool = True,
) -> dict[str, pd.DataFrame]:
    """Return the tables named in `tables`, raw ones and those of the truth, as frames.

    Rows and values are those that ``generate`` writes. Tables that are not named are not built, which is what
    makes replications quick; with ``dirt=False`` the raw tables are clean (and there is no `dirty_rows`).
    """
    parts: dict[str, list[pa.Table]] = {}
    for chunk in chunks(settings, seed, tables, dirt, size=16):
        for name, table in chunk.items():
            parts.setdefault(name, []).append(table)
    return {name: pa.concat_tables(parts[name]).to_pandas() for name in ALL_SCHEMAS if name in parts}


class _Writer:
    """A parquet file written in row groups of fixed size, so that its bytes do not depend on the chunks."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.file = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
        self.waiting: list[pa.Table] = []
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        self.waiting.append(table)
        self.rows += len(table)
        while self.rows >= ROW_GROUP:
            self._flush(ROW_GROUP)

    def _flush(self, rows: int) -> None:
        whole = pa.concat_tables(self.waiting)
        self.file.write_table(whole.slice(0, rows).combine_chunks(), row_group_size=ROW_GROUP)
        self.waiting, self.rows = [whole.slice(rows)], len(whole) - rows

    def close(self) -> None:
        if self.rows:
            self._flush(self.rows)
        self.file.close()


def generate(settings: Settings, seed: int, folder: Path, institutions_per_chunk: int = 16) -> None:
    """Write the raw tables into `folder` and the truth into ``folder/truth``, which no analysis may read.

    Raw: one parquet file per table. Truth: `truth.json`, `potential_outcomes.parquet` and
    `dirty_rows.parquet`. Memory holds one chunk of institutions and the potential outcomes. Files take their
    names only when all of them are complete.
    """
    folder = Path(folder)
    names = (*RAW_TABLES, *TRUTH_TABLES)
    truth: dict[str, list[pa.Table]] = {name: [] for name in TRUTH_TABLES}
    with ExitStack() as stack:
        paths = {name: folder / ("truth" if name in TRUTH_TABLES else "") / f"{name}.parquet" for name in names}
        writers = {
            name: _Writer(stack.enter_context(store.atomic(path)), ALL_SCHEMAS[name]) for name, path in paths.items()
        }
        for chunk in chunks(settings, seed, names, dirt=True, size=institutions_per_chunk):
            for name, table in chunk.items():
                writers[name].add(table)
                if name in truth:
                    truth[name].append(table)
        for writer in writers.values():
            writer.close()
    outcomes, dirty = (pa.concat_tables(truth[name]).to_pandas() for name in TRUTH_TABLES)
    store.write_json(
        folder / "truth" / "truth.json",
        {
            "seed": seed,
            **summarise(settings, outcomes),
            "dirt": {"rows": dirt_counts(dirty), "row_ids": "dirty_rows.parquet"},
        },
    )
