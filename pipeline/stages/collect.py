"""Fetch a study's public files and keep the columns it uses as parquet."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline import studies
from pipeline.core.params import Params
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.sources.fetch import DELAYS, fetch, mirror_from_environment
from pipeline.sources.records import Source, SourceFile, load_source

TOLD = 2
"""Missing files that are told with address and checksum; of further ones a line holds the names alone."""


def fetch_all(
    source: Source, files: Iterable[SourceFile], mirror: Path | None, delays: Sequence[float] = DELAYS
) -> tuple[list[Path], dict[str, str]]:
    """Fetch a source's files; return where they are, and by name a sentence on each that could not be had.

    After the first that could not, the others are tried once each, without the waits (`delays`) between tries.
    """
    paths: list[Path] = []
    missing: dict[str, str] = {}
    for file in files:
        try:
            paths.append(fetch(source, file, places.RAW, mirror, delays=() if missing else delays))
        except StudyError as error:
            missing[f"{source.folder}/{file.name}"] = str(error)
    return paths, missing


def told(absent: dict[str, str]) -> Iterator[str]:
    """Yield what is said of files that could not be had: the first in full, of the rest their names."""
    sentences = list(dict.fromkeys(absent.values()))
    yield from sentences[:TOLD]
    if more := [name for name, said in absent.items() if said in sentences[TOLD:]]:
        yield f"Nor could {', '.join(more)}: the source records have their addresses and checksums."


def run(study: str, params: Params) -> str:
    """Write a source's raw table, or its several tables by name; return a line that says what was read."""
    protocol = params.study(study)
    module = studies.module(protocol.module)
    mirror = mirror_from_environment()
    rows = 0
    absent: dict[str, str] = {}
    for name in protocol.sources:
        source = load_source(name)
        paths, missing = fetch_all(
            source, module.files(source, protocol.vintages), mirror, delays=() if absent else DELAYS
        )
        absent |= missing
        if absent:
            continue
        read = module.read(name, paths)
        for table_name, table in (read if isinstance(read, dict) else {name: read}).items():
            store.write_parquet(places.interim(study) / f"{table_name}.parquet", table)
            rows += len(table)
    if absent:
        # All that could not be had in one message: whoever brings files by hand brings them once.
        raise StudyError("\n".join(told(absent)))
    return f"{rows:,} rows from {len(protocol.sources)} sources"
