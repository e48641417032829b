"""``python -m pipeline STAGE --study NAME``: run one stage of one study."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from contextlib import nullcontext

from pipeline.runtime import places, runs
from pipeline.runtime.errors import one_line, told

STAGES = {
    "code": "write down which code each stage runs (of all studies: no --study)",
    "simulate": "simulate lenders' raw tables and put the truth apart",
    "intake": "read a reader's own file and keep the columns that have a role",
    "label": "put what the reader's data dictionary calls the columns among the results",
    "collect": "fetch the public files and keep the columns that the study uses",
    "prepare": "turn raw tables into the loan cohort, counting every row that leaves",
    "match": "pair treated loans with controls of the same initial credit status",
    "describe": "sample flow, balance before and after matching, default rates by group",
    "correlate": "correlate each CRM factor with default, raw and given the controls",
    "regress": "climb the regression ladder, on all loans and on matched pairs",
    "missing": "ask what missing answers could hide: patterns, weighting, imputation, tipping points",
    "robustness": "repeat the headline regressions with other errors, effects and shapes",
    "adjust": "estimate the same contrast by every adjustment, and ask what hidden confounding could do",
    "curve": "the effect under every combination of choices that could as well have been made",
    "heterogeneity": "ask whose default the CRM factors change, on the ratio and the difference scale",
    "time": "follow loans month by month: survival, hazards, competing exits, contacts over time",
    "mechanism": "ask by which way the programme works, and show the ways that mislead",
    "predict": "fit and judge scores on later loans, with and without what CRM knows",
    "warning": "raise alerts month by month and judge them",
    "grade": "grade clients, sort them into tiers, and value rules of treatment",
    "policy": "value rules of whom to treat, by the data alone and by the truth of a simulation",
    "effects": "estimate what the study's design allows beyond matching and regression",
    "recovery": "try every method in simulated worlds whose truth is known",
    "report": "draw the figures and write the report",
    "cases": "choose cases by rule and write their timelines",
    "synthesis": "lay the studies' effects side by side and pool those that are alike (of all studies: no --study)",
    "evidence": "give each claim of the literature its verdict (of all studies: no --study)",
    "notebooks": "execute the notebooks on the verdicts and on the methods (of all studies: no --study)",
    "notebook": "execute the study's notebook",
    "findings": "print the headline results and where the report is",
}


COMMANDS = ("init-study", "score", "explain", "compare", "doctor")
"""What a reader runs by hand: no stage of the pipeline."""

LOUDNESS = {
    "quiet": "print nothing but errors",
    "verbose": "print every file that is read or written with its rows, then seconds and memory",
}

OF_ALL_STUDIES = ("code", "synthesis", "evidence", "notebooks")
"""Stages that run once, not for each study."""


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; return 0, or 1 after the one sentence that says what to put right (3: a defect of the program)."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        return _command(given[0], given[1:])
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Run one stage of one study. `make reproduce` runs all of them in order.",
        epilog="stages: "
        + "; ".join(f"{name}: {what}" for name, what in STAGES.items())
        + ". `python -m pipeline init-study NAME --data FILE` sets up a study of a file of your own;"
        + " `python -m pipeline score --study NAME --data FILE` scores loans of a file of your own;"
        + " `python -m pipeline explain CLAIM` says where a verdict comes from, with --study NAME ROW any result row;"
        + " `python -m pipeline compare A B` says what differs between two commits, branches or experiments;"
        + " `python -m pipeline doctor` checks what the pipeline needs and says what to do.",
    )
    parser.add_argument("stage", choices=STAGES, metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--study", help="a name under studies in params.yaml")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = _with_loudness(parser).parse_args(arguments)
    name = " ".join(filter(None, (options.stage, options.study)))
    if (options.study is None) != (options.stage in OF_ALL_STUDIES):
        takes = "of all studies: leave --study out" if options.study else "of one study: name it with --study"
        parser.error(f"{options.stage} is {takes}")
    try:
        # Not before: the doctor is to be heard where packages are missing.
        from pipeline.core import params

        checked = params.load()
        if options.study is not None:
            where = str(places.choices(options.study))
            importlib.import_module("pipeline.studies").check(checked.study(options.study), where)
        with (
            runs.alone(name),
            runs.told(options.loudness) as entries,
            runs.logged(options.stage, options.study, entries) as run,
        ):
            run.said = importlib.import_module(f"pipeline.stages.{options.stage}").run(options.study, checked)
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        return _failed(name, error)
    if options.loudness != "quiet":
        print(f"{name}: {run.said}" if options.stage != "findings" else run.said)
    return 0


def _command(name: str, arguments: list[str]) -> int:
    """Run a command that is no stage and has a parser of its own."""
    module = importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}")
    options = _with_loudness(module.parser()).parse_args(arguments)
    try:
        # One command changes files that others share.
        with runs.alone(name) if name == "init-study" else nullcontext(), runs.told(options.loudness):
            said = module.run(options)
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        return _failed(f"{name} {options.name or ''}".strip(), error)
    if options.loudness != "quiet":
        print(said)
    return 0


def _with_loudness(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    group = parser.add_mutually_exclusive_group()
    for flag, what in LOUDNESS.items():
        group.add_argument(f"--{flag}", dest="loudness", action="store_const", const=flag, default="normal", help=what)
    return parser


def _failed(name: str, error: Exception | KeyboardInterrupt) -> int:
    said, code = told(error)
    print(f"{one_line(name)}: {said}", file=sys.stderr)
    return code


if __name__ == "__main__":
    # Whoever is told to end puts its unfinished files away first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
