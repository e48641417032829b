"""Fetch a study's public files and keep the columns it uses as parquet."""

from pipeline import studies
from pipeline.core import places, store
from pipeline.core.params import Params
from pipeline.sources.fetch import fetch, mirror_from_environment
from pipeline.sources.records import load_source


def run(study: str, params: Params) -> str:
    """Write a source's raw table, or its several tables by name; return a line that says what was read."""
    protocol = params.study(study)
    module = studies.module(protocol.module)
    mirror = mirror_from_environment()
    rows = 0
    for name in protocol.sources:
        source = load_source(name)
        paths = [fetch(source, file, places.RAW, mirror) for file in module.files(source, protocol.vintages)]
        read = module.read(name, paths)
        for table_name, table in (read if isinstance(read, dict) else {name: read}).items():
            store.write_parquet(places.interim(study) / f"{table_name}.parquet", table)
            rows += len(table)
    return f"{rows:,} rows from {len(protocol.sources)} sources"
