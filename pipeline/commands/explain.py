"""Go back from a verdict, a row, a figure or a table to the stage, its parameters and the files it started from."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline import studies
from pipeline.analyses.evidence.rows import FOLDER, OVERALL
from pipeline.commands import explain_shown
from pipeline.core import params as yaml
from pipeline.core.params import Params
from pipeline.core.results import COUNTS
from pipeline.pages.written import contents, read
from pipeline.present.trail import Trail
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import Selector, load_claims, load_selectors
from pipeline.sources.records import load_source

ROW = ("stage", "estimator", "specification", "factor", "outcome", "estimand")

SHOWN = 20
"""Rows that are told at once."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "name",
        metavar="CLAIM|ROW|TABLE|STAGE",
        nargs="?",
        help='a claim such as E09, or, with --study, a row such as "regress / linear_probability / M5 / treated": '
        'parts in this order, a star for any; later parts may be left out; or "Table 3", "Figure 4"; with --stale, a '
        "stage such as regress@sba",
    )
    parser.add_argument(
        "--stale", action="store_true", help="say which module, parameter or file makes stages run again"
    )
    parser.add_argument("--study", help="one study; without it, all that bear on the claim")


def run(options: argparse.Namespace) -> str:
    """Return the explanation of a claim's verdicts, of result rows, or of a figure or table."""
    import pandas as pd

    if options.stale:
        from pipeline.commands.explain_stale import stale

        return stale(options.name)
    if options.name is None:
        raise StudyError('name a CLAIM such as E09 or, with --study, a ROW or "Table 3"; or ask with --stale.')
    params = yaml.load()
    if explain_shown.NAMED.fullmatch(options.name):
        stage, lines = explain_shown.told(options.name, options.study, params)
        stages = yaml.read(Path("dvc.yaml"))["stages"]
        return "\n".join([*lines, *origin(options.study, stage, stages, params)])
    if "/" in options.name or options.name in yaml.read(Path("dvc.yaml"))["stages"]:
        return "\n".join(rows_told(options.name, options.study, params))
    file = places.results(FOLDER, "verdicts")
    if not file.exists():
        raise StudyError(f"{file} does not exist: run the stage that writes it (python -m pipeline evidence).")
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    mine = table[table["claim"] == options.name]
    if mine.empty:
        near = get_close_matches(options.name, sorted(set(table["claim"])), n=1)
        raise StudyError(f"there is no claim {options.name}{f': did you mean {near[0]}?' if near else '.'}")
    if options.study is not None:
        params.study(options.study)
        mine = mine[mine["study"] == options.study]
    stages = yaml.read(Path("dvc.yaml"))["stages"]
    return "\n\n".join("\n".join(told(row, stages, params)) for row in mine.to_dict(orient="records"))


def told(row: dict[str, str], stages: dict[str, Any], params: Params) -> Iterator[str]:
    """Yield the lines about one study's verdict, or about all studies'."""
    study = row["study"]
    yield f"{row['claim']}, {study}: {row['verdict']} ({row['reason']})"
    if study == OVERALL or not row["stage"]:
        return
    interval = f" [{row['ci_low']}, {row['ci_high']}]" if row["ci_low"] else ""
    if row["estimate"] or row["p_value"]:
        number = row["estimate"] or "p-value " + row["p_value"]
        yield f"  number      {number}{interval} {row['unit']}; {row['strength']}"
    yield f"  row         {places.results(study, row['stage'])}: {path_of(row)}"
    yield from origin(study, row["stage"], stages, params)


def path_of(row: dict[str, Any]) -> str:
    """Name a row by its parts."""
    return " / ".join(filter(None, (row[name] for name in ROW)))


def rows_told(path: str, study: str | None, params: Params) -> Iterator[str]:
    """Yield the lines about the result rows of a study that a path names."""
    if study is None:
        raise StudyError("a row belongs to a study: name it with --study.")
    params.study(study)
    wanted = [part.strip() or "*" for part in path.split("/")]
    found = read(study).frame
    stages = sorted(set(found["stage"]))
    if not any(_like(stage, wanted[0]) for stage in stages):
        raise StudyError(f"study {study} has no rows of stage {wanted[0]}; it has {', '.join(stages)}.")
    rows = [row for row in found.to_dict(orient="records") if _named(row, wanted)]
    if not rows:
        mine = found[[_like(stage, wanted[0]) for stage in found["stage"]]]
        near = get_close_matches(
            " / ".join(wanted), [path_of(row) for row in mine.to_dict(orient="records")], n=1, cutoff=0
        )
        raise StudyError(f"study {study} has no such row; the most similar is: {near[0]}")
    selectors = load_selectors(load_claims())
    for row in rows[:SHOWN]:
        yield f"{study}: {path_of(row)}"
        interval = "" if math.isnan(row["ci_low"]) else f" [{row['ci_low']:g}, {row['ci_high']:g}]"
        p_value = "" if math.isnan(row["p_value"]) else f"; p-value {row['p_value']:.3g}"
        number = "none" if math.isnan(row["estimate"]) else f"{row['estimate']:g}{interval} {row['unit']}".rstrip()
        yield f"  number      {number}{p_value}"
        counts = [f"{name} {row[name]}" for name in COUNTS if not _missing(row[name])]
        if counts:
            yield f"  counts      {', '.join(counts)}"
        if row["note"]:
            yield f"  note        {row['note']}"
        if bears := bearing(row, selectors):
            yield f"  claims      {', '.join(bears)}"
    if len(rows) > SHOWN:
        yield f"... and {len(rows) - SHOWN} rows more: name further parts of the row."
    known = yaml.read(Path("dvc.yaml"))["stages"]
    shown = contents(study)
    for stage in dict.fromkeys(row["stage"] for row in rows):
        yield f"{stage}"
        yield f"  rows        {places.results(study, stage)}"
        where = [f"{item['kind']} {item['number']}" for item in shown if item["stage"] == stage]
        if where:
            yield f"  shown       {places.reports(study) / 'report.html'}: {', '.join(where)}"
        yield from origin(study, stage, known, params)


def bearing(row: dict[str, Any], selectors: list[Selector]) -> list[str]:
    """Return the claims on which a row bears, with what it does for each."""
    mine = [item for item in selectors if all(_like(str(row[name]), want) for name, want in item.columns().items())]
    return [f"{item.claim} ({item.role})" for item in mine]


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _named(row: dict[str, Any], wanted: list[str]) -> bool:
    """Say whether a row has the wanted parts: place by place, or with the parts left out that it does not use."""
    every = [str(row[name]) for name in ROW]
    used = [part for part in every if part]
    return any(
        len(wanted) <= len(parts) and all(_like(part, want) for part, want in zip(parts, wanted, strict=False))
        for parts in (every, used)
    )


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def origin(study: str, stage: str, stages: dict[str, Any], params: Params) -> Iterator[str]:
    """Yield the lines about what made a stage's rows."""
    named = params.study(study)
    analysis = Path("pipeline/analyses") / stage
    yield f"  stage       {stage}: {stages[stage]['do']['desc']}"
    yield f"  program     pipeline/stages/{stage}.py{f', {analysis.as_posix()}' if analysis.is_dir() else ''}"
    yield f"  again       dvc repro --single-item --force {stage}@{study}"
    yield f"  parameters  {Trail(study).sentence(stage)}"
    yield f"  reads       {', '.join(Trail(study).reads(stage, study))}"
    for name in named.sources:
        source = load_source(name)
        for file in studies.module(named.module).files(source, named.vintages):
            yield f"  source      {name}/{file.name}, {file.checksum.algorithm} {file.checksum.value}"
    if named.simulated:
        yield f"  source      none: simulated from seed {params.seed}"
