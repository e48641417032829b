"""What a choice may be: kinds of values, sections of them, and the sentence on one that is wrong."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

CONSTRUCTS = (
    "satisfaction",
    "communication_frequency",
    "communication_effectiveness",
    "information_sharing",
    "risk_assessment",
    "early_warning",
    "relationship_length",
    "relationship_depth",
    "loyalty",
    "review_sentiment",
)
"""What the literature means by CRM. A study's factor is a construct's name, or begins with one."""

SUBJECTS = {
    "relationship": ("relationship_length", "relationship_depth", "loyalty"),
    "information": ("information_sharing",),
    "communication": ("communication_frequency",),
}
"""What several lenders let one measure, and the constructs that speak of it: the synthesis pools by these."""

BLOCKS = ("loan", "borrower", "market", "time")
"""Blocks of controls in the order in which the regression ladder adds them."""


def construct(factor: str) -> str:
    """Return the construct that a factor measures: ``communication_frequency_days`` -> ``communication_frequency``."""
    for name in CONSTRUCTS:
        if factor == name or factor.startswith(f"{name}_"):
            return name
    raise ValueError(f"factor '{factor}' must be, or begin with, one of: {', '.join(CONSTRUCTS)}")


def _factor(name: str) -> str:
    construct(name)
    return name


def _term(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*|log\([a-z][a-z0-9_]*\)", text):
        raise ValueError(f"'{text}' must be the name of a column or log(column)")
    return text


def _month(text: str) -> str:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise ValueError(f"'{text}' must be a month such as 2009-10")
    return text


def once(names: list[str]) -> list[str]:
    """Refuse names that stand there twice."""
    if len(set(names)) < len(names):
        raise ValueError("each name may stand there once")
    return names


def with_base(scenarios: list[str]) -> list[str]:
    """Refuse scenarios without the base."""
    if "base" not in scenarios:
        raise ValueError("base must be among them: there the methods are compared with an effect that is not zero")
    return scenarios


def rising(edges: list[float]) -> list[float]:
    """Refuse numbers that do not rise."""
    if edges != sorted(set(edges)):
        raise ValueError("the numbers must rise")
    return edges


def _level(text: str) -> str:
    return text if re.fullmatch(r"[a-z][a-z0-9_]*\[[^\[\]]+\]", text) else _term(text)


def in_a_line(names: Any) -> Any:
    """Return names that stand in one line, parted by commas, as a list; anything else as it is."""
    return re.split(r",\s*", names) if isinstance(names, str) else names


def _numbers_in_a_line(numbers: Any) -> Any:
    if isinstance(numbers, int | float) and not isinstance(numbers, bool):
        return [numbers]
    form = re.compile(r"-?\d+(\.\d+)?")
    parts = in_a_line(numbers)
    if parts is numbers or not all(map(form.fullmatch, parts)):
        return numbers
    return [float(part) if "." in part else int(part) for part in parts]


def named_by(key: str) -> BeforeValidator:
    """Return what reads sections by their `key` (its name, its column) as a list of sections that hold it."""

    def listed(sections: Any) -> Any:
        if not isinstance(sections, dict) or not all(isinstance(inner, dict) for inner in sections.values()):
            return sections
        return [{key: name, **inner} for name, inner in sections.items()]

    return BeforeValidator(listed)


Kind = TypeVar("Kind")


Names = Annotated[list[Kind], BeforeValidator(in_a_line)]
"""A list of names, written as one or in a line: dvc.lock repeats choices by stage, a line for each entry of a list."""


Numbers = Annotated[list[Kind], BeforeValidator(_numbers_in_a_line)]
"""Some numbers, written so too: DVC drops a comment that stands behind a list when it writes a choice."""


Factor = Annotated[str, AfterValidator(_factor)]
Term = Annotated[str, AfterValidator(_term)]

TermOrLevel = Annotated[str, AfterValidator(_level)]
"""A term, or one level of a category, such as ``loan_type[car]``."""

NAME, SIZE = r"^[a-z][a-z0-9_]*$", r"^[1-9][0-9]{0,5}(MB|GB|TB)$"

FORMS = {NAME: "must be small letters, digits and underscores", SIZE: "must be a size such as 500MB or 4GB"}
"""What is said of text that has not the form it should have."""

Name = Annotated[str, Field(pattern=NAME)]
Month = Annotated[str, AfterValidator(_month)]
Scenario = Literal["base", "benign", "null"]


# Numbers beyond these bounds are slips of the keyboard: a run of them would never end, or fill the memory first.
Parts = Annotated[int, Field(ge=2, le=100)]
PerTreated = Annotated[int, Field(ge=1, le=100)]
Rounds = Annotated[int, Field(ge=1, le=1_000)]
Months = Annotated[int, Field(ge=1, le=1_200)]
Loans = Annotated[int, Field(ge=1_000, le=1_000_000_000)]
Scale = Annotated[float, Field(gt=0, le=10_000)]
HOST = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])"


def cluster_address(address: str) -> str:
    """Refuse what is no address of a Dask scheduler."""
    if not re.fullmatch(rf"(tcp|tls)://{HOST}:\d{{1,5}}", address):
        raise ValueError("the address of a Dask scheduler looks like tcp://192.0.2.1:8786")
    return address


def spark_address(address: str) -> str:
    """Refuse what is no address of a Spark cluster."""
    if not re.fullmatch(rf"spark://{HOST}:\d{{1,5}}", address):
        raise ValueError("the address of a Spark cluster looks like spark://192.0.2.1:7077")
    return address


class Section(BaseModel):
    """A part of params.yaml: read-only, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Share = Annotated[float, Field(gt=0, lt=1)]


def nearest(name: str, known: Any) -> str:
    """Return what to add to a sentence on an unknown name: the known one that is nearest, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(known)})"


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a type holds, inside lists, mappings and alternatives too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def _fields_at(path: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    """Names that are allowed in the section that `path` leads to."""
    for step in path:
        # Names of studies, places in a list and kinds of an alternative lead no further down.
        if field := model.model_fields.get(str(step)):
            model = next(_sections(field.annotation), model)
    return list(model.model_fields)


def sentence(error: Any, model: type[BaseModel], where: str = "") -> str:
    """Return what one of pydantic's errors says of a section that stands at the path `where` in its file."""
    steps = [str(step) for step in error["loc"] if step != "[key]"]
    path = ".".join(filter(None, (where, *steps))) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{path} is not a parameter{nearest(steps[-1], _fields_at(error['loc'][:-1], model))}"
    if error["type"] == "missing":
        return f"{path} is missing"
    if error["type"] == "invalid_key":
        return f"{path}: a name must be text, such as '{steps[-1]}' in quotation marks"
    if error["type"] == "string_pattern_mismatch" and error["loc"][-1] == "[key]":
        path, *_ = path.rpartition(f".{steps[-1]}")
        return f"{path} holds the name {reprlib.repr(steps[-1])}, which {FORMS[NAME]}"
    message = FORMS.get(error.get("ctx", {}).get("pattern")) or error["msg"].removeprefix("Value error, ")
    found = "" if isinstance(error["input"], dict) else f" (found {reprlib.repr(error['input'])})"
    return f"{path}: {message[0].lower()}{message[1:]}{found}"
