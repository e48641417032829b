"""``python -m pipeline STAGE --study NAME``: run one stage of one study, or a command."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import textwrap
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.runtime import places, runs
from pipeline.runtime.errors import one_line, told

HOUSE = Path(__file__).parent

LOUDNESS = {
    "quiet": "print nothing but errors",
    "verbose": "print every file that is read or written with its rows, then seconds and memory",
}


def _texts(floor: str, runs_by: str) -> dict[str, str]:
    """Return the modules of a floor that can be run, by the name that runs them."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted((HOUSE / floor).glob("*.py"))}
    return {name: text for name, text in texts.items() if runs_by in text}


def stages() -> dict[str, str]:
    """Return what each stage does: the first line of its analysis, or its own where it has none."""
    found = {}
    for name, text in _texts("stages", "\ndef run(study: ").items():
        rows = HOUSE / "analyses" / name / "rows.py"
        found[name] = _first_line(rows.read_text(encoding="utf-8") if rows.exists() else text)
    return found


def commands() -> dict[str, str]:
    """Return what each command does, which a reader runs by hand: the first line of its module."""
    found = _texts("commands", "\ndef arguments(parser: ")
    return {name.replace("_", "-"): _first_line(text) for name, text in found.items()}


OF_RAW_TABLES = ("simulate", "collect", "intake", "prepare")
"""Stages that a study's own module serves. Its choices are checked before these run; later ones need not import it."""

EXAMPLES = {
    "compare": "compare main workspace",
    "doctor": "doctor",
    "experiment": "experiment match.caliper=0.1 --study lendingclub --name narrow",
    "explain": "explain E09",
    "init-study": "init-study my_loans --data FILE",
    "reproduce": "reproduce --study lendingclub",
    "score": "score --study lendingclub --data FILE",
}
"""One call of each command; a stage's is the same for all of its group."""


def _listed() -> str:
    """Return what can be run, in groups, with an example each."""
    groups: dict[str, list[str]] = {"Commands": [], "Stages of one study": [], "Stages of all studies": []}
    for name, what in commands().items():
        groups["Commands"] += [*_entry(name, what), f"{'':16}python -m pipeline {EXAMPLES.get(name, name)}"]
    for name, what in stages().items():
        groups[f"Stages of {'all studies' if _of_all_studies(name) else 'one study'}"] += _entry(name, what)
    calls = {"Stages of one study": "match --study lendingclub", "Stages of all studies": "synthesis"}
    return "\n".join(
        line
        for title, lines in groups.items()
        for line in (f"{title}{f', such as python -m pipeline {calls[title]}' if title in calls else ''}:", *lines, "")
    )


def _entry(name: str, what: str) -> list[str]:
    return textwrap.wrap(what, 100, initial_indent=f"  {name:<14}", subsequent_indent=" " * 16, break_on_hyphens=False)


def _first_line(text: str) -> str:
    return text.removeprefix('"""').partition("\n")[0].removesuffix('"""')


def _of_all_studies(stage: str) -> bool:
    """Say whether a stage runs once, not for each study."""
    return "\ndef run(study: None" in (HOUSE / "stages" / f"{stage}.py").read_text(encoding="utf-8")


class _Parser(argparse.ArgumentParser):
    """A parser that asks for its arguments when it parses: no command is imported for the sake of the others."""

    fill: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, once the arguments are there."""
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill(self)
        return super().parse_known_args(args, namespace)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with one below it for each stage and command."""
    made = _Parser(
        prog="python -m pipeline",
        description="Run a stage of a study, or a command. `make reproduce` runs all stages in their order.",
        epilog=_listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--completion", choices=("bash", "zsh"), action=_Completion, help="print a shell's completion")
    below = made.add_subparsers(dest="run", metavar="STAGE|COMMAND", required=True)
    for kind, fill in ((stages, _of_a_stage), (commands, _of_a_command)):
        for name, what in kind().items():
            example = f"example: python -m pipeline {EXAMPLES[name]}" if name in EXAMPLES else None
            one = below.add_parser(name, description=what, epilog=example)
            one.fill = partial(fill, name)
    return made


class _Completion(argparse.Action):
    """Print what lets a shell complete stages, commands and their options, under the short name `pipeline`."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        """Print it and end."""
        import shtab

        below = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
        names = sorted(path.parent.name for path in Path().glob(places.choices("*").as_posix()))
        for name, one in below.choices.items():
            one.fill(one)
            # Only what has a help of its own counts for shtab.
            below._choices_actions.append(below._ChoicesPseudoAction(name, (), one.description))
            for action in one._actions:
                action.choices = names if action.dest == "study" else action.choices
        parser.prog = "pipeline"
        print('pipeline() { python -m pipeline "$@"; }', shtab.complete(parser, values), sep="\n")
        parser.exit()


def _of_a_stage(name: str, one: argparse.ArgumentParser) -> None:
    one.add_argument("--study", help="a name under studies in params.yaml")
    one.set_defaults(do=partial(_stage, name, one))
    _common(one)


def _of_a_command(name: str, one: argparse.ArgumentParser) -> None:
    module = importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}")
    module.arguments(one)
    one.set_defaults(do=partial(_command, name, module.run))
    _common(one)


def _common(one: argparse.ArgumentParser) -> None:
    one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    group = one.add_mutually_exclusive_group()
    for flag, what in LOUDNESS.items():
        group.add_argument(f"--{flag}", dest="loudness", action="store_const", const=flag, default="normal", help=what)


def main(arguments: list[str] | None = None) -> int:
    """Run a stage or command; return 0, or 1 after the one sentence that says what to put right (3: a defect)."""
    options = parser().parse_args(arguments)
    return options.do(options)


def _stage(name: str, one: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Run a stage."""
    if (options.study is None) != _of_all_studies(name):
        takes = "of all studies: leave --study out" if options.study else "of one study: name it with --study"
        one.error(f"{name} is {takes}")
    title = " ".join(filter(None, (name, options.study)))
    try:
        # Not before: the doctor is to be heard where packages are missing.
        from pipeline.core import params

        checked = params.load()
        protocol = None if options.study is None else checked.study(options.study)
        if protocol is not None and name in OF_RAW_TABLES:
            importlib.import_module("pipeline.studies").check(protocol, str(places.choices(options.study)))
        with (
            runs.alone(title),
            runs.told(options.loudness) as entries,
            runs.logged(name, options.study, entries) as run,
        ):
            run.said = importlib.import_module(f"pipeline.stages.{name}").run(options.study, checked)
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        return _failed(title, error)
    if options.loudness != "quiet":
        print(f"{title}: {run.said}" if name != "findings" else run.said)
    return 0


def _command(name: str, run: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    """Run a command that is no stage."""
    try:
        # One command changes files that others share.
        with runs.alone(name) if name == "init-study" else nullcontext(), runs.told(options.loudness):
            said = run(options)
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        return _failed(f"{name} {getattr(options, 'name', None) or ''}".strip(), error)
    if options.loudness != "quiet":
        print(said)
    return 0


def _failed(name: str, error: Exception | KeyboardInterrupt) -> int:
    said, code = told(error)
    print(f"{one_line(name)}: {said}", file=sys.stderr)
    return code


if __name__ == "__main__":
    # Whoever is told to end puts its unfinished files away first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
