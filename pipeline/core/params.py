"""The choices of params.yaml and of the studies it lists, read and checked before any stage runs."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)

from pipeline.core.fields import SIZE, Name, Section, nearest, sentence, spark_address
from pipeline.core.mapped import completed
from pipeline.core.protocol import Study
from pipeline.core.shared import (
    Adjust,
    Checks,
    EarlyWarning,
    Evidence,
    Grade,
    Inference,
    Match,
    Missing,
    Parallel,
    Policy,
    Predict,
    Procedure,
    Report,
    SpecificationCurve,
    Synthesis,
)
from pipeline.core.yaml import read
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError


class Listed(Section):
    """What the list of studies says of one that it names: nothing."""


def _watched(file: str) -> str:
    if "${" in file:
        raise ValueError("'${' in a path stands for a parameter of DVC: rename the file or its folder")
    return file


class ListedFile(Section):
    """What it says of a study of a reader's own file: where that is, which DVC watches."""

    file: Annotated[str, Field(min_length=1), AfterValidator(_watched)]


class Studies(Section):
    """The list of studies at the end of params.yaml, by kind; stages run for the studies of a kind."""

    fetched: dict[Name, Listed]
    simulated: dict[Name, Listed]
    owned: dict[Name, ListedFile]
    followed: dict[Name, Listed]
    every: dict[str, Any]
    designed: dict[Name, Listed]
    watched: dict[Name, Listed]
    dated: dict[Name, Listed]

    @model_validator(mode="after")
    def _each_study_once(self) -> Studies:
        named = [*self.fetched, *self.simulated, *self.owned]
        if taken := [name for name in named if name in places.NO_STUDY]:
            raise ValueError(f"'{taken[0]}' cannot be a study's name: reports/{taken[0]} holds other pages")
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"'{twice[0]}' stands under two kinds")
        if wrong := sorted(set(named) ^ set(self.every)):
            raise ValueError(f"every must name the studies of fetched, simulated and owned; look at '{wrong[0]}'")
        for kind in ("dated", "designed", "followed", "watched"):
            for name in getattr(self, kind):
                if name not in named:
                    raise ValueError(f"{kind} names '{name}', which is not among the studies{nearest(name, named)}")
        return self


class Params(Section):
    """The choices of params.yaml and, by study, those of each study's own file."""

    seed: int = Field(ge=0)
    parallel: Parallel
    engine: Literal["duckdb", "spark"]
    engine_address: Annotated[str, AfterValidator(spark_address)] | None
    engine_memory: Annotated[str, Field(pattern=SIZE)]
    match: Match
    inference: Inference
    adjust: Adjust
    specification_curve: SpecificationCurve
    checks: Checks
    predict: Predict
    grade: Grade
    missing: Missing
    report: Report
    loss_share: float = Field(gt=0, le=1)
    warning: EarlyWarning
    policy: Policy
    synthesis: Synthesis
    procedure: Procedure
    evidence: Evidence
    studies: dict[str, Study]

    @model_validator(mode="after")
    def _windows_of_studies(self) -> Params:
        # A study may have left; what is nearly the name of one that is there is that name, misspelt.
        for name in self.predict.windows:
            if name not in self.studies and get_close_matches(name, self.studies):
                near = nearest(name, self.studies)
                raise ValueError(f"predict.windows names '{name}', which is not among the studies{near}")
        return self

    @property
    def compared(self) -> list[str]:
        """The studies that are laid side by side: all but readers' own, simulated ones last."""
        public = [name for name, study in self.studies.items() if study.own is None]
        return sorted(public, key=lambda name: self.studies[name].simulated)

    def study(self, name: str) -> Study:
        """Return one study's protocol; an unknown name is a StudyError that lists the nearest ones."""
        if name not in self.studies:
            raise StudyError(f"params.yaml lists no study '{name}'{nearest(name, self.studies)}")
        return self.studies[name]


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml and the file of each study that it lists.

    Everything that is wrong is reported together, in one StudyError that names the file of each value.
    """
    content = read(path)
    if "studies" not in content:
        raise StudyError(f"{path}: studies is missing, the list of studies.")
    try:
        listed = Studies.model_validate(content["studies"])
    except ValidationError as error:
        said = [sentence(item, Studies, "studies") for item in error.errors()]
        raise StudyError(f"{path}: {'; '.join(said)}.") from error
    folder = path.parent / places.STUDIES
    named = [*listed.fetched, *listed.simulated, *listed.owned]
    there = {file.parent.name for file in folder.glob("*/params.yaml")}
    wrong = [
        *(f"'{name}', but {folder / name}/params.yaml is missing" for name in named if name not in there),
        *(f"no '{name}', but {folder / name}/params.yaml is there" for name in sorted(there - set(named))),
    ]
    if wrong:
        raise StudyError(f"{path} lists {'; '.join(wrong)}: a study is one folder and one line.")
    sections = {name: {"module": name} | completed(read(path.parent / places.choices(name))) for name in named}
    checked = validated(content | {"studies": sections}, path)
    for name, item in listed.owned.items():
        file = (checked.study(name).own or {}).get("file")
        if file is not None and file != item.file:
            raise StudyError(
                f"{path} names {item.file} as the file of '{name}' and {path.parent / places.choices(name)} {file} "
                "under own.file: write one path in both."
            )
    return checked


def validated(content: dict[str, Any], path: Path = Path("params.yaml")) -> Params:
    """Return the parameters that the content of params.yaml holds, each study's own under its name in ``studies``.

    What is wrong is reported as if it stood in the file `path` and in the studies' files beside it.
    """
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        said: dict[Path, list[str]] = {}
        for item in error.errors():
            match item["loc"]:
                case ("studies", study, *inner):
                    file = path.parent / places.choices(str(study))
                    said.setdefault(file, []).append(sentence(item | {"loc": inner}, Study))
                case _:
                    said.setdefault(path, []).append(sentence(item, Params))
        raise StudyError("; ".join(f"{file}: {'; '.join(found)}" for file, found in said.items()) + ".") from error
