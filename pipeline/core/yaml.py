"""YAML 1.2 as DVC reads it, read into plain Python objects."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

MOST_VALUES = 100_000
"""Values of a YAML file with aliases written out: a hundred studies with long sections have fewer."""


@functools.lru_cache(maxsize=64)
def _written_out(text: str) -> int:
    """Return how many values a YAML text has when every alias is written out (`MOST_VALUES` + 1 for too many).

    A few lines of aliases of aliases stand for billions of values. They are counted before anything is built of them.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

    too_many = MOST_VALUES + 1
    sizes: dict[str, int] = {}
    open_now: list[tuple[str | None, int]] = []
    total = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, AliasEvent):
            # An alias inside what it names would never end; one that names nothing is the reader's to refuse.
            endless = any(anchor == event.anchor for anchor, _ in open_now)
            total += too_many if endless else sizes.get(event.anchor, 0)
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_now.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, NodeEvent):
            total += 1
            if isinstance(event, CollectionStartEvent):
                open_now.append((event.anchor, total - 1))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        if total > MOST_VALUES:
            return too_many
    return total


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """Parse YAML 1.2; a text that was parsed before, as the words of the pages are again and again, costs nothing."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # Six times as fast, with the same rules for what a value is.
        return YAML(typ="safe").load(text)
    except YAMLError:
        # It says more plainly what is wrong.
        return YAML(typ="safe", pure=True).load(text)


def read(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """Read a YAML 1.2 file (the version that DVC reads) into plain Python objects."""
    from ruamel.yaml.error import YAMLError

    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "&" in text and "*" in text and _written_out(text) > MOST_VALUES:
            raise StudyError(
                f"{path} repeats itself by aliases (*) to more than {MOST_VALUES:,} values: write them out."
            )
        content = copy.deepcopy(_parsed(text))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise StudyError(f"{path} is missing: run from the folder that holds it.") from error
    except RecursionError as error:
        raise StudyError(f"{path} is not valid YAML here: sections stand in sections too many times.") from error
    except (YAMLError, ValueError) as error:  # a value such as 2009-13-45 is an error of its own
        if marked := conflict(text):
            said = f"{path}, line {marked}: a merge left both sides here: keep one, without the marks."
            raise StudyError(said) from error
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise StudyError(f"{path}{line} is not valid YAML: {getattr(error, 'problem', None) or error}.") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} must hold named sections, each a name with what belongs to it.")
    return content


def stages(root: Path = Path()) -> dict[str, Any]:
    """Return what DVC's files below `root` say of each stage, by its name, in an order in which they can run."""
    around, analyses = (read(root / file)["stages"] for file in places.PIPELINES)
    names = list(around)
    before = names[: names.index("match") + 1]
    return {name: around[name] for name in before} | analyses | around


def address(stage: str, study: str, root: Path = Path()) -> str:
    """Return how DVC names a stage of a study: with the file before it where that is not the first."""
    first, second = places.PIPELINES
    return f"{stage}@{study}" if stage in read(root / first)["stages"] else f"{second.as_posix()}:{stage}@{study}"


def conflict(text: str) -> int | None:
    """Return the first line, counted from one, where a merge of git left both sides; None where none did."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<< ")), None)
