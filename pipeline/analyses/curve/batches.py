"""Batches of specifications, computed side by side and kept in files: an interrupted run goes on where it was."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.analyses.curve.choices import Batch
from pipeline.analyses.curve.matched import matched
from pipeline.analyses.curve.regressed import regressed
from pipeline.analyses.curve.specified import Loans, Specified
from pipeline.core.params import Params
from pipeline.runtime import store
from pipeline.runtime.parallel import Where, each

FOLDER = Path(".cache/curve")
"""One folder a study, in it one for the data, choices and code of a run that is not done."""


@contextmanager
def kept(study: str, params: Params, files: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder in which a study's batches are kept until the results that they make are written.

    It stays when that fails, and the next run on the same data (`files`), choices and code goes on with it. What was
    kept of others is removed.
    """
    folder = FOLDER / study / _key(study, params, files)
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    yield folder
    shutil.rmtree(folder)


def _key(study: str, params: Params, files: Sequence[Path]) -> str:
    """Return what a batch's results depend on, as one name: data, choices and code."""
    hashed = hashlib.sha256()
    for path in files:
        hashed.update(path.read_bytes() if path.exists() else b"-")
    chosen = params.model_dump(mode="json", include={"seed", "match", "inference", "specification_curve"})
    chosen["study"] = params.study(study).model_dump(mode="json")
    hashed.update(json.dumps(chosen, sort_keys=True).encode())
    for path in code():
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


def code() -> list[Path]:
    """Return the modules that decide what a batch's results are."""
    package = Path(__file__).parents[2]
    return sorted(path for part in ("analyses/curve", "core", "stats") for path in (package / part).rglob("*.py"))


def computed(
    folder: Path, batches: Sequence[Batch], loans: pd.DataFrame, permutations: np.ndarray, where: Where, label: str
) -> list[Specified]:
    """Return the specifications of all batches; those that an interrupted run left in the folder are not repeated.

    Parameters
    ----------
    folder : Path
        Where the batches find the loans, and leave their results.
    batches : sequence of Batch
    loans : (loans x columns)
        As every choice sees them.
    permutations : (loans or clusters x permutations)
        What each permutation changes.
    where : Where
        The processes that compute.
    label : str
        What is said of progress begins with it.
    """
    store.write_parquet(folder / "loans.parquet", loans)
    with store.atomic(folder / "permutations.npy") as path, path.open("wb") as file:
        np.save(file, permutations)
    left = [batch for batch in batches if not _file(folder, batch).exists()]
    if len(left) < len(batches):
        print(f"{label}: {len(batches) - len(left)} of {len(batches)} batches are there already", file=sys.stderr)
    for _ in each(partial(compute, folder), left, where, label):
        pass
    return [one for batch in batches for one in _read(_file(folder, batch))]


def compute(folder: Path, batch: Batch) -> str:
    """Compute a batch and keep its results in its file; return its name."""
    kind = matched if batch.kind == "matching" else regressed
    found = [*kind(batch, Loans(batch, *_inputs(folder)))]
    columns = 1 + batch.job.grid.permutations
    numbers = np.full((2, len(found), columns), np.nan)
    for place, one in enumerate(found):
        if one.effects is not None and len(one.effects) == columns:
            numbers[0, place], numbers[1, place] = one.effects, one.errors
    with store.atomic(_file(folder, batch)) as path, path.open("wb") as file:
        np.savez(file, rows=np.array(json.dumps([one.row for one in found])), numbers=numbers)
    return batch.name


@lru_cache(maxsize=1)
def _inputs(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    return store.read_parquet(folder / "loans.parquet"), np.load(folder / "permutations.npy", mmap_mode="r")


def _file(folder: Path, batch: Batch) -> Path:
    return folder / f"{batch.name}.npz"


def _read(path: Path) -> Iterator[Specified]:
    with np.load(path) as content:
        rows, numbers = json.loads(str(content["rows"])), content["numbers"]
    for row, effects, errors in zip(rows, *numbers, strict=True):
        yield Specified(row, effects, errors)
