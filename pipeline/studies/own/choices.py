"""The part of an own study's parameters that only this module knows: the file and the roles of its columns."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pipeline.core import cohorts
from pipeline.core.fields import Factor, Month, Section, nearest, sentence
from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.studies.own import roles

LOTTERY = ("lottery_unit", "lottery_stratum")
"""Columns under own.borrower that say what a lottery was drawn for (blank: each loan), and within what."""
KEYS = ("loan_id", "client_id", "institution_id", "region", "industry", "credit_grade", "loan_type", *LOTTERY)
"""Roles whose cells are names, whatever they look like."""


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"'{name}' must be small letters, digits and underscores, and begin with a letter")
    return name


def _known(section: str) -> Any:
    allowed = [*(("default", "treated") if section == "columns" else ()), *roles.of_section(section)]

    def check(name: str) -> str:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(allowed)}"
            raise ValueError(f"'{name}' is no role: {hint}")
        return name

    return Annotated[str, AfterValidator(check)]


class Own(Section):
    """``own`` among a study's choices: its params.yaml says what each one means."""

    file: str
    loans: str | None = None
    tables: list[dict[str, str | None]] = Field(default=[])
    sheet: str | None = None
    encoding: str | None = None
    separator: str | None = None
    names: Literal[0, 1, 2] = 1
    header: dict[str, list[str]] = Field(default={})
    decimal: dict[str, Literal[".", ","]] = Field(default={})
    currency: str | None = None
    currency_column: str | None = None
    times: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})
    day_first: bool | None = None
    columns: dict[_known("columns"), str | None]
    default_when: list[str] = Field(default=[])
    repaid_when: list[str] = Field(default=[])
    left_out_when: list[str] = Field(default=[])
    treated_when: list[str] = Field(default=[])
    untreated_when: list[str] = Field(default=[])
    default_at_least: float | None = None
    default_dated: bool = False
    lost: str | None = None
    panel: str | None = None
    late: str | None = None
    interest_rate_in: Literal["percent", "fraction"] = "percent"
    term_unit: str | None = None
    term_in: Literal["month", "year", "fortnight", "week", "day"] | None = None
    factors: dict[Factor, str | None] = Field(default={})
    borrower: dict[Annotated[str, AfterValidator(_name)], str | None] = Field(default={})
    market: dict[_known("market"), str | None] = Field(default={})

    @model_validator(mode="after")
    def _names_mean_one_thing(self) -> Own:
        if not self.columns.get("default"):
            raise ValueError("columns.default must name the column that says which loans defaulted")
        names = [*self.columns, *self.factors, *self.borrower, *self.market]
        taken = {"origination_month", "origination_quarter", "origination_year", "institution_type", "all", "pair"}
        taken |= {"adoption_month", "adopted"}
        if twice := sorted({name for name in names if names.count(name) > 1} | taken & set(names)):
            raise ValueError(f"'{twice[0]}' already means something else: call the column otherwise")
        for kind, *lists in (("outcome", "default", "repaid", "left_out"), ("treatment", "treated", "untreated")):
            values = [value for name in lists for value in set(getattr(self, f"{name}_when"))]
            if both := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"'{both[0]}' of the {kind} stands in two of the lists {'_when, '.join(lists)}_when")
        outcome = self.columns["default"]
        if self.panel and not self.columns.get("loan_id"):
            raise ValueError("panel names the column of months, so columns.loan_id must name that of the loan")
        if self.default_at_least is not None and (self.default_when or self.repaid_when):
            raise ValueError("default_at_least counts days, so default_when and repaid_when must be empty")
        if also := [role for role, column in self.mapped().items() if column == outcome and role != "default"]:
            raise ValueError(f"column '{outcome}' is the outcome and cannot be {also[0]} too: name another, or none")
        if bool(self.currency) != bool(self.currency_column):
            raise ValueError("currency and currency_column stand together: name both, or neither")
        if idle := sorted(set(self.times) - set(self.mapped().values())):
            raise ValueError(f"times names '{idle[0]}', which no role has: correct its name, or take it out")
        return self

    def mark(self, column: str) -> str:
        """Return the decimal mark of a column of text."""
        return self.decimal.get(column, ".")

    def beside(self) -> list[str]:
        """Return the columns without a role that say something of others: amounts lost, currencies, units of terms."""
        return list(filter(None, (self.lost, self.currency_column, self.term_unit)))

    def mapped(self) -> dict[str, str]:
        """Return the file's column of every role that has one."""
        every = {**self.columns, **self.factors, **self.borrower, **self.market}
        return {role: column for role, column in every.items() if column}


class Eligibility(Section):
    """The study's own choices under ``eligibility``: first and last month of origination, where there are dates."""

    first_month: Month | None = None
    last_month: Month | None = None

    @model_validator(mode="after")
    def _the_first_comes_first(self) -> Eligibility:
        if self.first_month and self.last_month and self.first_month > self.last_month:
            raise ValueError(f"first_month {self.first_month} lies after last_month {self.last_month}")
        return self


def checked(
    kind: type[Section], content: dict[str, Any] | None, section: str, where: str = "the study's params.yaml"
) -> Any:
    """Return a section of choices; what is wrong with it is one StudyError that names it and its file `where`."""
    try:
        return kind.model_validate(content or {})
    except ValidationError as error:
        said = "; ".join(sentence(one, kind, section) for one in error.errors())
        raise StudyError(f"{where}: {said}.") from error


def choices(study: Study, where: str) -> None:
    """Check the study's own choices; `where` names their file."""
    own = checked(Own, study.own, "own", where)
    if study.treatment and own.columns.get("treated"):
        raise StudyError(
            f"{where}: own.columns.treated and treatment both say who is treated: leave one of them blank."
        )
    if study.landmark is None and any(one.get("until") == "landmark" for one in own.tables):
        raise StudyError(
            f"{where}: a table under own.tables counts until the landmark: say in which month under landmark."
        )
    lacking = [role for role in ("loan_id", "origination_date") if not own.columns.get(role)]
    if study.horizon_months and own.columns.get("default_date") and lacking:
        raise StudyError(
            f"{where}: default counts within horizon_months of origination by own.columns.default_date, which needs "
            f"{lacking[0]} too: name its column, or leave one of the others blank."
        )
    if own.borrower.get("lottery_stratum") and "lottery_stratum" not in study.controls.strata:
        raise StudyError(
            f"{where}: own.borrower.lottery_stratum names what the lottery was drawn within, so "
            "controls.strata must list lottery_stratum: without it regressions compare across strata."
        )
    checked(Eligibility, study.eligibility, "eligibility", where)
    known = columns(study, own)
    wrong = [
        f"{section} names '{name}', which is no role and no column under own.borrower{nearest(name, known)}"
        for section, name in dict.fromkeys(cohorts.named(study))
        if name not in known
    ]
    if wrong:
        raise StudyError(f"{where}: {'; '.join(wrong)}")


def unused(study: Study, where: str) -> list[str]:
    """Return the columns that have a role and that nothing of the study uses, with their roles."""
    own: Own = checked(Own, study.own, "own", where)
    used = {name for _, name in cohorts.named(study)} | {study.treatment and study.treatment.factor}
    used |= {"default", "treated", "loan_id", "origination_date", "adoption_date", study.cluster, *LOTTERY}
    used |= set(roles.ENDINGS)
    return [f"{column} ({role})" for role, column in own.mapped().items() if role not in used]


def columns(study: Study, own: Own) -> list[str]:
    """Return the columns that the study's cohort will have, with values or without."""
    given = [*roles.of_section("columns"), *(name for name, column in own.borrower.items() if column)]
    of_date = [f"origination_{period}" for period in ("month", "quarter", "year")]
    of_date += ["adoption_month", "adopted"] if own.columns.get("adoption_date") else []
    names = [*given, *of_date, *roles.of_section("market"), *study.factors, *own.factors, *cohorts.ALWAYS]
    return list(dict.fromkeys(names))
