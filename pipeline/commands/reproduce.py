"""Run by DVC the stages that are out of date, several at a time: a study's analyses, or the studies."""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from pipeline.commands import side_by_side
from pipeline.core import yaml
from pipeline.runtime import runs
from pipeline.runtime.errors import StudyError

FAILED = "a stage failed, as is said above: mend that and run it again; what was done before it is kept."

Dvc = Callable[..., int]
"""Asks DVC to reproduce targets, with options before them, and returns how it ended."""

STALE = re.compile(r"^Running stage '(?:[^':]*:)?([\w@]+)", re.MULTILINE)
"""How DVC names a stage that it would run."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--study", help="one study; without it, all of them and the pages that lay them side by side")
    parser.add_argument("--jobs", type=int, default=2, help="stages, or studies, at the same time (2)")


def run(options: argparse.Namespace) -> str:
    """Run them, waiting for another run of the same kind to end."""
    # Stage `code` checks all other choices.
    named = list(_kinds()["every"])
    if options.jobs < 1:
        raise StudyError("--jobs must be at least 1.")
    if options.study not in (None, *named):
        from pipeline.core.fields import nearest

        raise StudyError(f"params.yaml lists no study '{options.study}'{nearest(options.study, named)}")
    with runs.alone("reproduce", options.study or "all studies"):
        if options.study is None:
            with _processes(options.jobs) as dvc:
                _all(dvc, named, options.jobs)
        else:
            stale = _stale(_every([options.study]))
            if stale is None or stale:
                with _processes(options.jobs) as dvc:
                    _one(dvc, options.study, options.jobs)
    return ""


@contextmanager
def _processes(jobs: int) -> Iterator[Dvc]:
    """Yield what asks DVC in processes that stay: loaded for each stage anew it takes nearly a second longer."""
    # Not forked: this process has threads, which wait for the answers.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _stays) as processes:

        def dvc(*targets: str) -> int:
            try:
                return processes.submit(_repro, targets).result()
            except BrokenProcessPool as error:
                raise StudyError("DVC was killed, as for want of memory: run it again, or with --jobs 1.") from error

        yield dvc


def _stays() -> None:
    """Let an interruption end the stage that runs, which DVC then tells, not the process that asks DVC."""
    # A handler, not `SIG_IGN`, which the stages would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)


def _repro(targets: Sequence[str]) -> int:
    from dvc.cli import main

    try:
        return main(["--wait-for-lock", "repro", *targets])
    finally:
        sys.stdout.flush()


def _every(studies: Sequence[str]) -> list[str]:
    return ["--glob", *(f"*@{study}" for study in studies)]


def _one(dvc: Dvc, study: str, jobs: int) -> None:
    """Run a study: what comes before its analyses, these and its pages side by side, and a look at all of them."""
    if jobs > 1:
        _done([dvc(yaml.address("match", study))])
        if _side_by_side(dvc, [study], jobs, goes_on=False):
            raise StudyError(FAILED)
    _done([dvc(*_every([study]))])


def _side_by_side(dvc: Dvc, studies: Sequence[str], jobs: int, *, goes_on: bool) -> list[str]:
    """Ask DVC for each analysis and page that is out of date when what it reads has been written.

    Return those that failed: where one has, nothing begins that needs it, and nothing at all unless the rest `goes_on`.
    """
    # Only once the loans are matched is it known what they, or the code, make stale.
    stale = _stale(_every(studies))
    needs: dict[str, set[str]] = {}
    for study in studies:
        after = _after(study)
        wanted = [one for one in after if stale is None or f"{one}@{study}" in stale]
        # A page may be out of date by what an analysis will have written.
        if any(not _page(one, study) for one in wanted):
            wanted = [one for one in after if one in wanted or _page(one, study)]
        for stage, others in side_by_side.needed(wanted).items():
            needs[f"{stage}@{study}"] = {f"{other}@{study}" for other in others}

    def alone(name: str) -> None:
        stage, _, study = name.partition("@")
        if dvc(*_named([stage], study)):
            raise StudyError(FAILED)

    failed = []
    for name, error in side_by_side.in_turn(alone, needs, jobs):
        if error is not None:
            failed.append(name)
            if not goes_on:
                break
    return failed


def _after(study: str) -> list[str]:
    """Return a study's analyses and pages, and a reader's words for columns, which pages read."""
    stages = of_study(study)
    return [one for one in stages if one == "label" or one in stages[stages.index("match") + 1 :]]


def _page(stage: str, study: str) -> bool:
    """Say whether a stage after matching is none of the analyses."""
    return yaml.address(stage, study) == f"{stage}@{study}"


def _named(stages: Iterable[str], study: str) -> list[str]:
    return ["--single-item", *(yaml.address(one, study) for one in stages)]


def _all(dvc: Dvc, studies: Sequence[str], jobs: int) -> None:
    """Run all studies, some at the same time, then what rests on several.

    A second `dvc repro` would stop at the first one's locks of what both rest on. So that, the stage of the code, runs
    before, and each study's stages by their names, which touch nothing of another. Where one fails, others go on.
    """
    _done([dvc("code")])
    before = {study: [one for one in of_study(study) if one not in _after(study)] for study in studies}
    with ThreadPoolExecutor(jobs) as pool:
        codes = [*pool.map(lambda study: dvc(*_named(before[study], study)), studies)]
    matched = [study for study, code in zip(studies, codes, strict=True) if not code]
    failed = _side_by_side(dvc, matched, jobs, goes_on=True)
    _done([*codes, len(failed)])
    _done([dvc("--keep-going")])


def of_study(study: str) -> list[str]:
    """Return the stages that DVC runs for a study, in an order in which they can run."""
    kinds = _kinds()
    return [name for name, stage in yaml.stages().items() if study in _run_for(stage, kinds)]


def _kinds() -> dict[str, Any]:
    return yaml.read()["studies"]


def _run_for(stage: dict[str, Any], kinds: dict[str, Any]) -> Iterable[str]:
    found = re.fullmatch(r"\$\{studies\.(\w+)\}", str(stage.get("foreach")))
    return kinds[found[1]] if found else ()


def _stale(targets: Sequence[str]) -> list[str] | None:
    """Return the stages, such as ``match@sba``, that DVC would run, as far as it can tell; None where it cannot."""
    done = subprocess.run(
        ["dvc", "--wait-for-lock", "repro", "--dry", *targets], capture_output=True, text=True, check=False
    )
    return None if done.returncode else STALE.findall(done.stdout)


def _done(codes: Sequence[int]) -> None:
    if any(codes):
        raise StudyError(FAILED)
