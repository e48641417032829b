"""Run an experiment of DVC, once the names of its choices are known: the nearest is named where one is not."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

from pipeline.core import yaml
from pipeline.core.fields import nearest
from pipeline.core.params import load
from pipeline.runtime.errors import StudyError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("choices", metavar="NAME=VALUE", nargs="+", help="a choice, of a study FILE:NAME=VALUE")
    parser.add_argument("--study", required=True, help="the study whose report is made")
    parser.add_argument("--name", help="what the experiment is called")
    parser.add_argument("--temp", action="store_true", help="run in a folder of its own, and leave this one as it is")


def run(options: argparse.Namespace) -> str:
    """Run the experiment; return how to see what became of it."""
    load().study(options.study)
    for choice in options.choices:
        known(choice)
    more = [*(["--name", options.name] if options.name else []), *(["--temp"] if options.temp else [])]
    chosen = [part for choice in options.choices for part in ("-S", choice)]
    done = subprocess.run(["dvc", "exp", "run", *more, *chosen, f"report@{options.study}"], check=False)
    if done.returncode:
        raise StudyError(
            "the experiment failed, as DVC says above: `git checkout .` brings the last commit's files back."
        )
    return f"make compare{f' A=HEAD B={options.name}' if options.name else ''} lays it beside the last commit."


def known(choice: str) -> None:
    """Refuse a choice whose name, before the ``=``, stands in no file of parameters."""
    place, equals, _ = choice.partition("=")
    file, _, path = place.rpartition(":")
    if not equals:
        raise StudyError(f"'{choice}' must be NAME=VALUE, such as match.caliper=0.1.")
    at: Any = yaml.read(Path(file or "params.yaml"))
    for place, step in enumerate(steps := path.split(".")):
        if not isinstance(at, dict) or step not in at:
            near = nearest(step, at) if isinstance(at, dict) and at else ""
            raise StudyError(f"{file or 'params.yaml'} has no parameter {'.'.join(steps[: place + 1])}{near}")
        at = at[step]
