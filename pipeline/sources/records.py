"""Source records: what each public data set is, who made it, its licence, and how to know its files."""

from __future__ import annotations

import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pipeline.core import yaml
from pipeline.runtime.errors import StudyError

_RECORDS = Path(__file__).parent
_STUDIES = _RECORDS.parent / "studies"


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("give a plain https address")
    return url


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Url = Annotated[str, AfterValidator(_https)]
# Plain names only: a record can then never point outside the data folder.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
FolderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
GitBlob = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class Checksum(NamedTuple):
    """What a file's content must hash to."""

    algorithm: Literal["sha256", "git blob id"]
    value: str


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SourceFile(_Record):
    """One file of a source: its name here, its address, and how to know that it is the right one."""

    name: FileName
    url: Url
    sha256: Sha256 | None
    git_blob: GitBlob | None
    bytes: PositiveInt | None
    rows: PositiveInt | None

    @model_validator(mode="after")
    def _can_be_verified(self) -> SourceFile:
        if self.sha256 is None and self.git_blob is None:
            raise ValueError("give sha256 or git_blob, or nobody can tell whether the file is the right one")
        return self

    @property
    def checksum(self) -> Checksum:
        """The strongest checksum on record: sha256, or the git blob id where only that is known."""
        if self.sha256 is not None:
            return Checksum("sha256", self.sha256)
        assert self.git_blob is not None
        return Checksum("git blob id", self.git_blob)


class Measures(_Record):
    """What the numbers are: the quantity, its units, and how often it is observed."""

    what: Text
    units: Text
    frequency: Text


class Snapshot(_Record):
    """Which state of a changing source the files hold; `date` is None where only the note is known."""

    date: datetime.date | None
    note: Text


class Named(_Record):
    """What pages in a language call a source and its licence."""

    title: Text
    licence: Text


class Source(_Record):
    """One public source.

    `redistribution` says whether the licence lets others pass the data on. The study never does, whatever
    the answer: it fetches.
    """

    name: FolderName
    title: Text
    producer: Text
    citation: Text
    measures: Measures
    folder: FolderName
    licence: Text
    licence_page: Url
    chinese: Named
    redistribution: Literal["yes", "no", "unclear"]
    snapshot: Snapshot
    # YAML has lists where a frozen record wants a tuple.
    files: Annotated[tuple[SourceFile, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Source:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have the same name")
        return self

    def named(self, language: str) -> Named:
        """Return the title and the licence in the language of a page: ``zh``, or English in any other."""
        return self.chinese if language == "zh" else Named(title=self.title, licence=self.licence)

    def file(self, name: str) -> SourceFile:
        """Return the file called `name`; a StudyError offers the nearest names when there is none."""
        for file in self.files:
            if file.name == name:
                return file
        raise _unknown(f"file of the source '{self.name}'", name, [file.name for file in self.files])


def source_names() -> list[str]:
    """Return the names of all source records, sorted."""
    return sorted(_paths())


def _paths() -> dict[str, Path]:
    """Return the file of each record: those that studies share stand here, a study's own in its folder."""
    return {path.stem: path for path in (*_RECORDS.glob("*.yaml"), *_STUDIES.glob("*/sources/*.yaml"))}


def load_source(name: str) -> Source:
    """Read and validate the record of one source.

    Parameters
    ----------
    name
        The record's file name without `.yaml`, one of `source_names()`.

    Raises
    ------
    StudyError
        If there is no such record (the message offers the nearest names), or if the record is not valid.

    """
    paths = _paths()
    if name not in paths:
        raise _unknown("source", name, sorted(paths))
    path = paths[name]
    try:
        # YAML 1.2, as DVC reads it: there `yes` and `no` are words, not truth values.
        return Source.model_validate({**yaml.read(path), "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "record"
        raise StudyError(f"{path}: correct {field}: {first['msg']}.") from error


def _unknown(kind: str, name: str, known: list[str]) -> StudyError:
    choice = get_close_matches(name, known, n=3) or known
    return StudyError(f"There is no {kind} called '{name}': use one of {', '.join(choice)}.")
