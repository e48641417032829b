"""Go back from a verdict, a row, a figure or a table to the stage, its parameters and the files it started from."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import studies
from pipeline.analyses.evidence.rows import FOLDER
from pipeline.commands import explain_shown
from pipeline.core import yaml
from pipeline.core.params import Params, load
from pipeline.core.results import COUNTS
from pipeline.pages.written import contents, read
from pipeline.present.trail import Trail
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source

if TYPE_CHECKING:
    import pandas as pd

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
    if options.stale:
        from pipeline.commands.explain_stale import stale

        return stale(options.name)
    if options.name is None:
        raise StudyError('name a CLAIM such as E09 or, with --study, a ROW or "Table 3"; or ask with --stale.')
    params = load()
    if explain_shown.NAMED.fullmatch(options.name):
        stage, lines = explain_shown.told(options.name, options.study, params)
        stages = yaml.stages()
        return "\n".join([*lines, *origin(options.study, stage, stages, params)])
    if "/" in options.name or options.name in yaml.stages():
        return "\n".join(rows_told(options.name, options.study, params))
    table, parts = evidence("verdicts"), evidence("parts")
    mine = table[table["claim"] == options.name]
    if mine.empty:
        near = get_close_matches(options.name, sorted(set(table["claim"])), n=1)
        raise StudyError(f"there is no claim {options.name}{f': did you mean {near[0]}?' if near else '.'}")
    if options.study is not None:
        params.study(options.study)
        mine = mine[mine["study"] == options.study]
    stages = yaml.stages()
    deciding = parts[parts["claim"] == options.name].to_dict(orient="records")
    return "\n\n".join("\n".join(told(row, deciding, stages, params)) for row in mine.to_dict(orient="records"))


def evidence(name: str) -> pd.DataFrame:
    """Return a table of the evidence as text."""
    import pandas as pd

    file = places.results(FOLDER, name)
    if not file.exists():
        raise StudyError(f"{file} does not exist: run the stage that writes it (python -m pipeline evidence).")
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def told(row: dict[str, str], deciding: list[dict[str, str]], stages: dict[str, Any], params: Params) -> Iterator[str]:
    """Yield the lines about one study's verdict, or about all studies', with the rows that decide it."""
    study = row["study"]
    yield f"{row['claim']}, {study}: {row['verdict']} ({row['reason']})"
    if row["certainty"]:
        yield ": ".join(filter(None, [f"  certainty   {row['certainty']}", row["why"]]))
    mine = [part for part in deciding if part["study"] == study]
    for part in mine:
        interval = f" [{part['ci_low']}, {part['ci_high']}]" if part["ci_low"] else ""
        per = " per standard deviation" if part["per"] else ""
        if part["estimate"]:
            yield f"  number      {part['estimate']}{interval} {part['unit']}{per}; {part['design']}; {part['verdict']}"
            given = ("p_value", "p_adjusted", "p_family", "margin", "smallest_detectable")
            yield f"  judged by   {', '.join(f'{name} {part[name]}' for name in given if part[name])}"
        yield f"  row         {places.results(study, part['stage'])}: {path_of(part)}"
    for stage in dict.fromkeys(part["stage"] for part in mine):
        yield from origin(study, stage, stages, params)


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
    bearings = evidence("parts").to_dict(orient="records") if places.results(FOLDER, "parts").exists() else []
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
        if claims := decided_by(row, study, bearings):
            yield f"  claims      {', '.join(claims)}"
    if len(rows) > SHOWN:
        yield f"... and {len(rows) - SHOWN} rows more: name further parts of the row."
    known = yaml.stages()
    shown = contents(study)
    for stage in dict.fromkeys(row["stage"] for row in rows):
        yield f"{stage}"
        yield f"  rows        {places.results(study, stage)}"
        where = [f"{item['kind']} {item['number']}" for item in shown if item["stage"] == stage]
        if where:
            yield f"  shown       {places.reports(study) / 'report.html'}: {', '.join(where)}"
        yield from origin(study, stage, known, params)


def decided_by(row: dict[str, Any], study: str, parts: list[dict[str, str]]) -> list[str]:
    """Return the claims that a row decides in its study."""
    mine = [part for part in parts if part["study"] == study and all(part[name] == row[name] for name in ROW)]
    return list(dict.fromkeys(part["claim"] for part in mine))


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
    yield f"  again       dvc repro --single-item --force {yaml.address(stage, study)}"
    yield f"  parameters  {Trail(study).sentence(stage)}"
    yield f"  reads       {', '.join(Trail(study).reads(stage, study))}"
    for name in named.sources:
        source = load_source(name)
        for file in studies.module(named.module).files(source, named.vintages):
            yield f"  source      {name}/{file.name}, {file.checksum.algorithm} {file.checksum.value}"
    if named.simulated:
        yield f"  source      none: simulated from seed {params.seed}"
