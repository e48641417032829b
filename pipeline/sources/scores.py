"""A study's saved score as it stands in a file: read, and checked whole before anything is computed from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.runtime.errors import StudyError

LARGEST = 32 << 20
"""Bytes of a saved score; those of the studies have some ten thousand."""


def _rising(numbers: list[float]) -> list[float]:
    if numbers != sorted(set(numbers)):
        raise ValueError("the numbers must rise")
    return numbers


Rising = Annotated[list[float], AfterValidator(_rising)]
Levels = Annotated[list[str], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Column(_Part):
    column: str = Field(min_length=1)
    term: str
    missing: bool = False

    @model_validator(mode="after")
    def _is_the_column_or_its_logarithm(self) -> _Column:
        if self.term not in (self.column, f"log({self.column})"):
            raise ValueError(f"the term must be {self.column} or log({self.column})")
        return self


class _Bins(_Column):
    kind: Literal["number", "category"]
    coefficient: float
    weights_of_evidence: list[float]
    shares: list[Annotated[float, Field(ge=0, le=1)]]
    points: list[int]
    edges: Rising = []
    low: float | None = None
    high: float | None = None
    levels: list[str] = []
    known: list[str] = []

    @model_validator(mode="after")
    def _as_many_as_bins(self) -> _Bins:
        number = self.kind == "number"
        if number and (self.low is None or self.high is None):
            raise ValueError("a number has low and high")
        if not number and (not self.known or not set(self.levels) <= set(self.known)):
            raise ValueError("known must name every level")
        bins = len(self.edges if number else self.levels) + 1 + self.missing
        for name in ("weights_of_evidence", "shares", "points"):
            if len(getattr(self, name)) != bins:
                raise ValueError(f"{name} must have {bins} entries, one a bin")
        return self


class _Feature(_Column):
    kind: Literal["number", "category"]
    logarithm: bool
    mean: float | None = None
    scale: Annotated[float, Field(gt=0)] | None = None
    low: float | None = None
    high: float | None = None
    levels: Levels | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> _Feature:
        needed = ("levels",) if self.kind == "category" else ("mean", "scale", "low", "high")
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing")
        if self.logarithm != (self.term != self.column):
            raise ValueError("logarithm must say whether the term is one")
        return self


class _Scorecard(_Part):
    intercept: float
    characteristics: list[_Bins]


class _Logistic(_Part):
    intercept: float
    coefficients: list[float]
    averages: list[float]
    features: list[_Feature]

    @model_validator(mode="after")
    def _as_many_as_columns(self) -> _Logistic:
        columns = sum(len(one.levels) - 1 if one.levels else 1 + one.missing for one in self.features)
        for name in ("coefficients", "averages"):
            if len(getattr(self, name)) != columns:
                raise ValueError(f"{name} must have {columns} entries, one a column")
        return self


class _Cuts(_Part):
    grades: Rising
    tiers: Annotated[Rising, Field(min_length=1, max_length=2)]
    alert: float


class _Kinds(_Part):
    scorecard: _Cuts
    logistic: _Cuts


class _Trained(_Part):
    loans: int
    last: str | None


class _Score(_Part):
    cuts: _Kinds
    scorecard: _Scorecard
    logistic: _Logistic
    trained: _Trained


def read_json(path: Path, again: str) -> Any:
    """Return what a saved score's file holds, or raise a StudyError that ends with what to do for a new one."""
    if not path.exists():
        raise StudyError(f"{path} does not exist: fit the score first ({again}).")
    if path.stat().st_size > LARGEST:
        raise StudyError(f"{path} has more than {LARGEST:,} bytes, as no saved score has: {again}.")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is not valid JSON: {again}.") from error


def load_score(path: Path, version: int, again: str) -> dict[str, Any]:
    """Return the saved score in a JSON file.

    Parameters
    ----------
    path
        The file.
    version
        The version of saved scores that is understood.
    again
        What to do for a new file, as the end of a sentence.

    Raises
    ------
    StudyError
        If the file is not there, is no JSON, of another version, or lacks anything that scoring needs.

    """
    model = read_json(path, again)
    if not isinstance(model, dict) or type(model.get("version")) is not int or model["version"] != version:
        raise StudyError(f"{path} is of another version: {again}.")
    if "nothing" in model:
        raise StudyError(f"{path} holds no score: {model['nothing']}")
    try:
        _Score.model_validate(model)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise StudyError(f"{path}: {place}: {message[0].lower()}{message[1:]}: {again}.") from error
    return model
