"""Run by DVC the stages that are out of date, several at a time: a study's analyses, or the studies."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from pipeline.core import yaml
from pipeline.runtime import places, runs
from pipeline.runtime.errors import StudyError

FAILED = "a stage failed, as is said above: mend that and run it again; what was done before it is kept."

STALE = re.compile(r"^Running stage '(?:[^':]*:)?(\w+)", re.MULTILINE)
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
            _all(named, options.jobs)
        else:
            _one(options.study, options.jobs)
    return ""


def _one(study: str, jobs: int) -> None:
    """Run a study: what comes before its analyses, these side by side, then its pages, and a look at all of them."""
    every = ["--glob", f"*@{study}"]
    stale = _stale(every)
    if stale is not None and not stale:
        return
    if jobs > 1:
        _done([_dvc(yaml.address("match", study))])
        # Only now is it known what the code, or the loans, make stale.
        stale = _stale(every)
        stages = of_study(study)
        after = stages[stages.index("match") + 1 :]
        pages = [one for one in after if yaml.address(one, study) == f"{one}@{study}"]
        analyses = [one for one in after if one not in pages and (stale is None or one in stale)]
        for shares in (shared(analyses, study, jobs), shared(pages, study, jobs) if analyses else []):
            _done(_together([_named(share, study) for share in shares], jobs))
    _done([_dvc(*every)])


def _named(stages: Iterable[str], study: str) -> list[str]:
    return ["--single-item", *(yaml.address(one, study) for one in stages)]


def _all(studies: Sequence[str], jobs: int) -> None:
    """Run all studies, some at the same time, then what rests on several.

    A second `dvc repro` would stop at the first one's locks of what both rest on. So that, the stage of the code, runs
    before, and each study's stages by their names, which touch nothing of another.
    """
    _done([_dvc("code")])
    _done(_together([_named(of_study(study), study) for study in studies], jobs))
    _done([_dvc("--keep-going")])


def of_study(study: str) -> list[str]:
    """Return the stages that DVC runs for a study, in an order in which they can run."""
    kinds = _kinds()
    return [name for name, stage in yaml.stages().items() if study in _run_for(stage, kinds)]


def _kinds() -> dict[str, Any]:
    return yaml.read()["studies"]


def _run_for(stage: dict[str, Any], kinds: dict[str, Any]) -> Iterable[str]:
    found = re.fullmatch(r"\$\{studies\.(\w+)\}", str(stage.get("foreach")))
    return kinds[found[1]] if found else ()


def shared(analyses: Sequence[str], study: str, jobs: int) -> list[list[str]]:
    """Share analyses among `jobs`, the longest first by their last run; what reads what another wrote follows it."""
    every = yaml.stages()
    groups: list[list[str]] = []
    for name in analyses:
        reads = set(every[name]["do"]["deps"])
        before = [group for group in groups if any(reads & set(_written(every[one]["do"])) for one in group)]
        groups = [group for group in groups if group not in before] + [[*chain.from_iterable(before), name]]
    times = {name: _seconds(name, study) for name in analyses}
    shares: list[list[str]] = [[] for _ in range(jobs)]
    for group in sorted(groups, key=lambda group: -sum(map(times.__getitem__, group))):
        min(shares, key=lambda share: sum(map(times.__getitem__, share))).extend(group)
    return [share for share in shares if share]


def _written(stage: dict[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind, []):
            yield from out if isinstance(out, dict) else [out]


def _seconds(stage: str, study: str) -> float:
    """Return how long a stage took when it last ran here; one second where that is not known."""
    try:
        return float(json.loads((places.log(study) / "times" / f"{stage}.json").read_bytes())["seconds"])
    except (OSError, KeyError, TypeError, ValueError):
        return 1.0


def _stale(targets: Sequence[str]) -> list[str] | None:
    """Return the stages of a study that DVC would run, as far as it can tell beforehand; None where it cannot."""
    done = subprocess.run(
        ["dvc", "--wait-for-lock", "repro", "--dry", *targets], capture_output=True, text=True, check=False
    )
    return None if done.returncode else STALE.findall(done.stdout)


def _together(commands: Iterable[Sequence[str]], jobs: int) -> list[int]:
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda command: _dvc(*command), commands))


def _dvc(*targets: str) -> int:
    return subprocess.run(["dvc", "--wait-for-lock", "repro", *targets], check=False).returncode


def _done(codes: Sequence[int]) -> None:
    if any(codes):
        raise StudyError(FAILED)
