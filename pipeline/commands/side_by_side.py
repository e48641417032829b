"""Which stages of a study wait for which, and how they run several at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from pipeline.core import yaml
from pipeline.runtime.errors import StudyError

Result = TypeVar("Result")

LONG = ("curve", "regress", "predict", "heterogeneity", "adjust", "robustness", "time", "effects", "missing")
"""Stages that begin as soon as they can, in this order: who begins a long one last waits for it alone."""

LARGE = ("effects", "time", "mechanism", "warning")
"""Stages that hold all loan-months: one of them at a time, so that two do not need the memory of both."""

LAST = ("report", "notebook")
"""Stages that begin when nothing else can, the longer one first."""


def needed(names: Iterable[str]) -> dict[str, set[str]]:
    """Return for each stage of those named the other ones whose files it reads, by what DVC's files say."""
    pipeline, names = yaml.stages(), list(names)
    written = {name: list(_paths(pipeline[name]["do"], "outs", "metrics", "plots")) for name in names}

    def reads(name: str, other: str) -> bool:
        return any(
            read.is_relative_to(path) or path.is_relative_to(read)
            for read in _paths(pipeline[name]["do"], "deps")
            for path in written[other]
        )

    return {name: {other for other in names if other != name and reads(name, other)} for name in names}


def _paths(stage: Mapping[str, Any], *kinds: str) -> Iterator[Path]:
    for kind in kinds:
        for one in stage.get(kind, []):
            # With what DVC is to know of it a path is the name of a section.
            yield Path(next(iter(one)) if isinstance(one, dict) else one)


def in_turn(
    run: Callable[[str], Result], needs: Mapping[str, Collection[str]], at_a_time: int
) -> Iterator[tuple[str, Result | StudyError]]:
    """Run stages, `at_a_time` at most, each when what it `needs` has been done: those of `LONG` first, `LAST` last.

    They are called by their names, or as those of several studies are, such as ``curve@sba``. Of those that are `LARGE`
    one runs at a time.

    Yield each stage as it ends with what `run` returns for it, or with the StudyError that says why it did not end
    well: its own, or that what it needs failed. Stages that are needed and not among `needs` count as done before. Who
    takes no more waits for what runs, and nothing new begins.
    """
    waiting, failed = sorted(needs, key=_turn), set[str]()
    running: dict[Future[Result], str] = {}
    with ThreadPoolExecutor(at_a_time) as pool:
        while waiting or running:
            for stage in [one for one in waiting if failed.intersection(needs[one])]:
                waiting.remove(stage)
                failed.add(stage)
                yield stage, StudyError(f"needs {' and '.join(sorted(failed.intersection(needs[stage])))}")
            not_done = {*waiting, *running.values(), *failed}
            for stage in [one for one in waiting if not not_done.intersection(needs[one])]:
                crowded = _kind(stage) in LARGE and not set(LARGE).isdisjoint(map(_kind, running.values()))
                if len(running) < at_a_time and not crowded:
                    waiting.remove(stage)
                    running[pool.submit(run, stage)] = stage
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                stage, error = running.pop(ended), ended.exception()
                if isinstance(error, StudyError):
                    failed.add(stage)
                    yield stage, error
                else:
                    yield stage, ended.result()


def _kind(name: str) -> str:
    return name.partition("@")[0]


def _turn(name: str) -> int:
    kind = _kind(name)
    if kind in LONG:
        return LONG.index(kind)
    return len(LONG) + (1 + LAST.index(kind) if kind in LAST else 0)
