"""Work that falls into pieces, done side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pipeline.core.params import Parallel as Settings

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result], items: Sequence[Item], settings: Settings, label: str | None = None
) -> Iterator[Result]:
    """Yield `function` of every item, in the order of the items, computed `settings.workers` at a time.

    `function` must be importable by other processes. With a `label`, progress is shown on standard error.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(n_jobs=settings.workers, return_as="generator")(delayed(function)(item) for item in items)
        for number, one in enumerate(found, start=1):
            if label:
                print(f"\r{label}: {number} of {len(items)}", end="", file=sys.stderr, flush=True)
            yield one
    if label:
        print(file=sys.stderr)
