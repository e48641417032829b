"""Go back from a verdict to the row, the stage, its parameters and the files that it started from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pipeline import studies
from pipeline.core import params as yaml
from pipeline.core import places
from pipeline.core.errors import StudyError
from pipeline.core.params import Params
from pipeline.present.trail import Trail
from pipeline.sources.records import load_source
from pipeline.stages.evidence import FOLDER, OVERALL

ROW = ("stage", "estimator", "specification", "factor", "outcome", "estimand")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    made = argparse.ArgumentParser(
        prog="python -m pipeline explain",
        description="Say where a verdict comes from: result row, stage, parameters, source files and checksums.",
    )
    made.add_argument("name", metavar="CLAIM", help="a claim such as E09")
    made.add_argument("--study", help="one study; without it, all that bear on the claim")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return made


def run(options: argparse.Namespace) -> str:
    """Return the explanation of a claim's verdicts."""
    import pandas as pd

    params = yaml.load()
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
    yield f"  number      {row['estimate'] or 'p-value ' + row['p_value']}{interval} {row['unit']}; {row['strength']}"
    yield f"  row         {places.results(study, row['stage'])}: {' / '.join(filter(None, map(row.get, ROW)))}"
    yield f"  stage       {row['stage']}: {stages[row['stage']]['do']['desc']}"
    yield f"  again       dvc repro --single-item --force {row['stage']}@{study}"
    yield f"  parameters  {Trail(study).sentence(row['stage'])}"
    named = params.study(study)
    for name in named.sources:
        source = load_source(name)
        for file in studies.module(named.module).files(source, named.vintages):
            yield f"  source      {name}/{file.name}, {file.checksum.algorithm} {file.checksum.value}"
    if named.simulated:
        yield f"  source      none: simulated from seed {params.seed}"
