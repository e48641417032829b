"""Write down which code each stage runs, so that the others rerun when that changes and not when a comment does."""

import shutil

from pipeline.core.params import Params
from pipeline.runtime import places, store
from pipeline.runtime.code import Code


def run(study: None, params: Params) -> str:
    """Write a file for each stage (and study, where the code differs): the hash of every module that it runs."""
    shutil.rmtree(places.CODE, ignore_errors=True)
    written = 0
    for name, hashes in Code().every():
        store.write_json(places.CODE / f"{name}.json", hashes)
        written += 1
    return f"{written} files"
