"""The claims of the literature, in our own words, the rows that decide each in each study, and what no row can say."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError, model_validator

from pipeline.runtime.errors import StudyError

CLAIMS = Path("data/claims.csv")
ROWS = Path("data/claim_rows.csv")
LIMITS = Path("data/claim_limits.csv")

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Number = Annotated[float | None, BeforeValidator(lambda text: float(text) if text else None)]
Kind = Literal["causal", "correlational", "descriptive", "mechanism", "moderation", "prediction", "policy", "method"]
Rule = Literal["interval", "all_of", "either_way", "trend", "value", "ratio", "present", "none"]
Studies = Annotated[tuple[Text, ...], BeforeValidator(str.split)]
Design = Literal["randomised", "quasi_experimental", "matched_observational", "descriptive", "simulated"]

SEVERAL = ("trend", "value", "present")
"""Rules that take several rows at once; in their selectors a star at the end stands for any ending."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Line = TypeVar("Line", bound=_Line)


class Claim(_Line):
    """One claim of one document, and the rule that decides it."""

    id: Text
    document: Literal["A", "B", "C", "D", "E"]
    section: Text
    claim_en: Text
    claim_zh: Text
    factor: Text
    outcome: Text
    expected_sign: Literal["lower", "higher", "either", "none"]
    kind: Kind
    rule: Rule
    needs_en: str
    needs_zh: str
    priority: Literal["1", "2", "3"]
    studies: Studies
    """Studies of which the claim is asked; a demand on the method names none."""

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Claim:
        if bool(self.needs_en) != bool(self.needs_zh):
            raise ValueError("needs_en and needs_zh stand together")
        if self.rule == "none" and not self.needs_en:
            raise ValueError("say which data would decide a claim that none here can (needs_en, needs_zh)")
        return self


class Selector(_Line):
    """Result rows of one study that bear on one claim, and what the claim expects of them."""

    claim: Text
    study: Text
    stage: Text
    estimator: Text
    specification: str
    factor: str
    outcome: str
    estimand: str
    role: Literal["primary", "also", "supporting"]
    expected: Literal["lower", "higher", "zero", "either", ""]
    threshold: Number
    design: Design

    def columns(self) -> dict[str, str]:
        """Return the columns of the results table that name the rows."""
        names = ("study", "stage", "estimator", "specification", "factor", "outcome", "estimand")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """Name the rows in one line."""
        return " / ".join(value for name, value in self.columns().items() if value and name != "study")


class Limit(_Line):
    """Why a study cannot answer a claim that is asked of it (``none``), or why only roughly (``rough``)."""

    claim: Text
    study: Text
    answer: Literal["none", "rough"]
    reason_en: Text
    reason_zh: Text


def load_claims(path: Path = CLAIMS) -> list[Claim]:
    """Read the ledger of claims; what is wrong with it is one StudyError."""
    claims = [_checked(Claim, line, path, number) for number, line in _lines(path)]
    for name, count in Counter(claim.id for claim in claims).items():
        if count > 1:
            raise StudyError(f"{path} holds claim {name} {count} times: each id may stand there once.")
    return claims


def load_selectors(claims: list[Claim], path: Path = ROWS) -> list[Selector]:
    """Read which rows decide which claim; each claim and study has exactly one primary selector."""
    rules = {claim.id: claim.rule for claim in claims}
    selectors = [_checked(Selector, line, path, number) for number, line in _lines(path)]
    for selector in selectors:
        if selector.claim not in rules:
            raise StudyError(f"{path} names claim {selector.claim}, which is not in {CLAIMS}.")
        if "*" in str(selector) and rules[selector.claim] not in SEVERAL:
            raise StudyError(f"{path}: claim {selector.claim} takes one row at a time, so no star may stand there.")
    primary = Counter((selector.claim, selector.study) for selector in selectors if selector.role == "primary")
    for name in sorted({(selector.claim, selector.study) for selector in selectors}):
        if primary[name] != 1:
            raise StudyError(f"{path}: claim {name[0]} of study {name[1]} has {primary[name]} primary rows, not one.")
    return selectors


def load_limits(claims: list[Claim], selectors: list[Selector], path: Path = LIMITS) -> list[Limit]:
    """Read what studies cannot say of claims.

    Each study of which a claim is asked has rows that decide it or a reason why it has none, and never both.
    """
    limits = [_checked(Limit, line, path, number) for number, line in _lines(path)]
    asked = {(claim.id, study) for claim in claims for study in claim.studies}
    decided = {(selector.claim, selector.study) for selector in selectors}
    for pair, count in Counter((limit.claim, limit.study) for limit in limits).items():
        if count > 1:
            raise StudyError(f"{path} holds claim {pair[0]} of study {pair[1]} {count} times: one reason is enough.")
    for limit in limits:
        pair = limit.claim, limit.study
        where = f"{path}: claim {pair[0]} of study {pair[1]}"
        if limit.answer == "none" and pair in decided:
            raise StudyError(f"{where} has a reason why no row decides it, and rows in {ROWS}: take out one of them.")
        if limit.answer == "none" and pair not in asked:
            raise StudyError(f"{where} needs no reason: {CLAIMS} does not ask this study.")
        if limit.answer == "rough" and pair not in decided:
            raise StudyError(f"{where} is said to be measured roughly, but no row of {ROWS} measures it.")
    for claim, study in sorted(asked - decided - {(limit.claim, limit.study) for limit in limits}):
        raise StudyError(
            f"claim {claim} is asked of study {study}, and nothing decides it: name a row in {ROWS}, or say in {path} "
            "why there is none."
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
