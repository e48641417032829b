"""The claims of the literature, in our own words, what measures each in each study, and what no study can say of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipeline.runtime.errors import StudyError

CLAIMS = Path("data/claims.csv")
ROWS = Path("data/claim_rows.csv")
LIMITS = Path("data/claim_limits.csv")
ALL = "*"
"""Stands for all claims of a study."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Class = Literal["effect", "association", "other_outcome", "moderation", "prediction", "credit", "requirement", "none"]
"""What a claim says, and so which row decides it: an effect of CRM on default, an association of the two, an effect of
CRM on something else, how or for whom CRM works, how well default is foretold, credit in general without any CRM, what
a study must do; or nothing that evidence could decide."""
Studies = Annotated[tuple[Text, ...], BeforeValidator(str.split)]
Yes = Annotated[bool, BeforeValidator({"": False, "yes": True}.get)]
ADDRESS = ("stage", "estimator", "specification", "outcome", "estimand")
"""What names a row of the results table besides study and factor."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


Line = TypeVar("Line", bound=_Line)


class Claim(_Line):
    """One claim of one document, in our own words."""

    id: Text
    document: Literal["A", "B", "C", "D", "E"]
    section: Text
    kind: Class = Field(alias="class")
    claim_en: Text
    claim_zh: Text
    factor: Text
    outcome: Text
    expected_sign: Literal["lower", "higher", "either", "none"]
    needs_en: str
    needs_zh: str
    priority: Literal["1", "2", "3"]
    studies: Studies
    """Studies of which the claim is asked; a requirement on the method names none."""

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Claim:
        if bool(self.needs_en) != bool(self.needs_zh):
            raise ValueError("needs_en and needs_zh stand together")
        return self


class Bearing(_Line):
    """What measures a claim in a study, as far as no rule can know it.

    `column` is the factor (or the block of a score) that stands for the claim's construct, `reverse` says that more of
    it is less of the construct, `moderator` what the effect is said to depend on. The other columns name a row where
    the rule of the claim's class has none; each such exception at a real lender carries its argument.
    """

    claim: Text
    study: Text
    column: Text
    reverse: Yes
    moderator: str
    stage: str
    estimator: str
    specification: str
    outcome: str
    estimand: str
    argument_en: str
    argument_zh: str

    @property
    def named(self) -> bool:
        """Whether the line names its row itself."""
        return bool(self.estimator)

    @model_validator(mode="after")
    def _is_whole(self) -> Bearing:
        if self.named and not (self.stage and self.specification and self.estimand):
            raise ValueError("a row that is named needs its stage, estimator, specification and estimand")
        if bool(self.argument_en) != bool(self.argument_zh):
            raise ValueError("argument_en and argument_zh stand together")
        return self


class Limit(_Line):
    """Why a study answers a claim not at all (``none``), by a substitute (``proxy``) or from a ``selected`` file.

    A file is selected by how loans ended; a star for the claim then stands for all claims of that study.
    """

    claim: Text
    study: Text
    answer: Literal["none", "proxy", "selected"]
    reason_en: Text
    reason_zh: Text


def load_claims(path: Path = CLAIMS) -> list[Claim]:
    """Read the ledger of claims; what is wrong with it is one StudyError."""
    claims = [_checked(Claim, line, path, number) for number, line in _lines(path)]
    for name, count in Counter(claim.id for claim in claims).items():
        if count > 1:
            raise StudyError(f"{path} holds claim {name} {count} times: each id may stand there once.")
    return claims


def load_bearings(claims: list[Claim], simulated: Collection[str], path: Path = ROWS) -> list[Bearing]:
    """Read what measures each claim in each study; of real lenders, every exception from the rule has its argument."""
    known = {claim.id: claim for claim in claims}
    bearings = [_checked(Bearing, line, path, number) for number, line in _lines(path)]
    for one in bearings:
        where = f"{path}: claim {one.claim} of study {one.study}"
        if one.claim not in known:
            raise StudyError(f"{path} names claim {one.claim}, which is not in {CLAIMS}.")
        claim = known[one.claim]
        if one.study not in claim.studies:
            raise StudyError(f"{where}: {CLAIMS} does not ask this study.")
        if one.named and one.study not in simulated and not one.argument_en:
            raise StudyError(
                f"{where} names its row itself: say why the rule's row does not fit (argument_en, argument_zh)."
            )
        if one.estimand in ONE_SIDED:
            raise StudyError(f"{where}: '{one.estimand}' cannot lie below no effect, so that it decides nothing.")
        if not one.named and claim.kind not in BY_RULE:
            raise StudyError(f"{where}: no rule finds rows of the class '{claim.kind}', so name the row and say why.")
        if claim.kind == "moderation" and not one.named and not one.moderator:
            raise StudyError(f"{where}: name the moderator.")
    return bearings


ONE_SIDED = ("standard_deviation", "wald_test", "wald_difference", "wald_ratio", "d_squared", "statistic")
"""Estimands that no data could bring to the other side of no effect: a claim on one is a tautology."""

BY_RULE = ("effect", "association", "moderation", "prediction")
"""Classes whose deciding row follows from the column by rule."""


def load_limits(claims: list[Claim], bearings: list[Bearing], path: Path = LIMITS) -> list[Limit]:
    """Read what studies cannot say of claims.

    Each study of which a claim is asked has a row that decides it or a reason why it has none, and never both.
    """
    limits = [_checked(Limit, line, path, number) for number, line in _lines(path)]
    asked = {(claim.id, study) for claim in claims for study in claim.studies}
    decided = {(one.claim, one.study) for one in bearings}
    for key, count in Counter((limit.claim, limit.study, limit.answer) for limit in limits).items():
        if count > 1:
            raise StudyError(f"{path} holds claim {key[0]} of study {key[1]} {count} times: one reason is enough.")
    for limit in limits:
        pair = limit.claim, limit.study
        where = f"{path}: claim {pair[0]} of study {pair[1]}"
        if limit.answer == "selected" or limit.claim == ALL:
            if limit.claim != ALL or limit.answer != "selected":
                raise StudyError(f"{where}: a star stands for a whole file that is selected, and for nothing else.")
            continue
        if limit.answer == "none" and pair in decided:
            raise StudyError(f"{where} has a reason why no row decides it, and a row in {ROWS}: take out one of them.")
        if limit.answer == "none" and pair not in asked:
            raise StudyError(f"{where} needs no reason: {CLAIMS} does not ask this study.")
        if limit.answer == "proxy" and pair not in decided:
            raise StudyError(f"{where} is said to be measured by a proxy, but no line of {ROWS} measures it.")
    silent = {(limit.claim, limit.study) for limit in limits if limit.answer == "none"}
    for claim, study in sorted(asked - decided - silent):
        raise StudyError(
            f"claim {claim} is asked of study {study}, and nothing decides it: name what measures it in {ROWS}, or say "
            f"in {path} why there is nothing."
        )
    return limits


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    if not Path(path).exists():
        raise StudyError(f"{path} does not exist: it comes with the repository.")
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = list(reader.fieldnames or ())
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise StudyError(f"{path} has several columns '{twice[0]}': remove all but one.")
            lines = list(enumerate(reader, start=2))
    except (csv.Error, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not a CSV table in UTF-8 ({error}): save it as CSV UTF-8.") from error
    for number, line in lines:
        if None in line or None in line.values():
            raise StudyError(f"{path}, line {number} has not as many cells as the {len(names)} names: correct it.")
    return lines


def _checked(model: type[Line], line: dict[str, str], path: Path, number: int) -> Line:
    try:
        return model.model_validate(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise StudyError(f"{path}, line {number}: correct {field}: {first['msg']}.") from error
