"""The scale of interest rates, percent or fractions, a year or a month: told by names, by instalments, or asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.sources import cells, letters
from pipeline.studies.own import roles
from pipeline.studies.own.profile import Column
from pipeline.studies.own.questions import Question

if TYPE_CHECKING:
    import pandas as pd

HIGH = 120
"""Percent a year that half of the rates hardly exceed, unless a name was misread."""
LOW, LONG = 4, 120
"""Percent that, of loans of up to so many months, may be a month's as well as a year's."""
MANY_A_YEAR = 0.4
"""A fraction from which on half of the rates may be percent, a month's."""
YEAR = re.compile(r"\b(?:annum|apr|aprc|taeg|tae|tan|effekt\w*|p a)\b|年化")
"""Words in names of rates a year, beside those of the unit."""
LOOKED_AT, FEWEST = 2_000, 10
"""Loans of which instalments are looked at, and how many there must be."""
NEAR, FAR = 0.01, 0.03
"""How near the instalments of a scale are to those of the file where it is the right one, and how far of all others."""


class Scale(NamedTuple):
    """How a column of rates is read."""

    rates_in: str
    """Whether they are percent or fractions."""
    times: float
    """What makes them rates a year."""
    why: str


class Repayments(NamedTuple):
    """What loans are repaid by."""

    name: str
    """The column of instalments."""
    amount: pd.Series
    months: pd.Series
    rate: pd.Series
    instalment: pd.Series


def scale(
    rate: Column,
    told: float | None,
    rates_in: str | None,
    path: Path,
    months: float | None = None,
    repaid: Repayments | None = None,
) -> Scale:
    """Return how rates are read; a Question where nothing tells it.

    Parameters
    ----------
    rate
        What the column holds.
    told, rates_in
        What the reader has said: by what rates are multiplied, and whether they are percent or fractions.
    path
        The file, for messages.
    months
        What half of the terms exceed.
    repaid
        Instalments, where the loans have them.

    """
    factor, why = (told, "as told") if told else (_a_year(rate.name), "as its name says")
    if not told:
        _ask_if_high(rate, factor, path)
    named = factor != 1 or _says_year(rate.name)
    if not told and not named and not rates_in and repaid and (shown := by_instalments(repaid, rate.percent > 0)):
        return shown
    found = Scale(rates_in or _percent_or_fraction(rate, factor, path), factor, why)
    if not told and not named and rate.kind == "number":
        _ask_if_a_months(rate, found.rates_in, bool(rates_in), months, path)
    return found


def _words(name: str) -> str:
    return letters.plain(" ".join((roles.normal(name), *roles.in_brackets(name))))


def _says_year(name: str) -> bool:
    return roles.unit_in(name) == "year" or bool(YEAR.search(re.sub(r"[\W_]+", " ", _words(name))))


def _a_year(name: str) -> float:
    """Return what makes a rate one in percent a year: of rates a month twelve, of basis points a hundredth."""
    part = 0.01 if re.search(r"\bbps?\b|basis points?", _words(name)) else 0.1 if "‰" in name else 1.0
    return part * 12 / cells.MONTHS_IN[roles.unit_in(name) or "year"]


def by_instalments(repaid: Repayments, signed: bool) -> Scale | None:
    """Return the scale on which rates give the instalments that loans have, if one does and no other.

    Loans are repaid in equal instalments, of which interest is due on what is left, or (flat) on the whole amount.
    `signed` are rates with a percent sign.
    """
    import pandas as pd

    rows = pd.DataFrame(repaid._asdict()).drop(columns="name")
    rows = rows[(rows > 0).all(axis=1) & (rows["months"] >= 2)]
    if len(rows) < FEWEST:
        return None
    distance = {}
    for name, part in (("percent", 100), *([] if signed else [("fraction", 1)])):
        for times in (1, 12):
            monthly = rows["rate"] * times / part / 12
            annuity = rows["amount"] * monthly / (1 - (1 + monthly) ** -rows["months"])
            flat = rows["amount"] * (1 / rows["months"] + monthly)
            distance[name, times] = min(float((one / rows["instalment"] - 1).abs().median()) for one in (annuity, flat))
    (best, second), *_ = [sorted(distance, key=lambda one: distance[one])[:2]]
    if distance[best] > NEAR or distance[second] < FAR:
        return None
    return Scale(*best, f"as {repaid.name} shows")


def _ask_if_high(rate: Column, factor: float, path: Path) -> None:
    """Raise a Question where a unit in the name of rates makes them very high: it may speak of something else."""
    if factor <= 1 or rate.kind != "number":
        return
    fractions = not rate.percent and float(rate.largest) * factor <= 1
    middle = rate.middle * factor * (100 if fractions else 1)
    if middle > HIGH:
        raise Question(
            f"{path}, column {rate.name}: read as its name says, half of the rates are above {middle:.3g}% a year: say "
            f"--times '{rate.name}={factor:.6g}' if that is right, or --times '{rate.name}=1' if they are a year's.",
            "times",
            f"What the rates are multiplied by, such as '{rate.name}={factor:.6g}'",
        )


def _percent_or_fraction(rate: Column, factor: float, path: Path) -> str:
    """Return whether rates are percent or fractions: the latter where none is above one a year, and none has a sign."""
    if rate.percent or rate.kind != "number":
        return "percent"
    middle, largest = rate.middle * factor, float(rate.largest) * factor
    if middle < 1 < largest:
        raise Question(
            f"{path}, column {rate.name}: half of the rates are below {middle:g}, the largest is {largest:g}: "
            "say with --rate-in fraction that .125 is 12.5%, or with --rate-in percent that .125 is .125%.",
            "rate_in",
            "Interest rates are in (percent or fraction)",
        )
    return "fraction" if largest <= 1 else "percent"


def _ask_if_a_months(rate: Column, rates_in: str, told: bool, months: float | None, path: Path) -> None:
    """Raise a Question where rates may be a month's, and no name, instalment or long term says that they are not.

    `told` is whether the reader has said that they are fractions or percent; half of the terms exceed `months`.
    """
    middle = rate.middle * (100 if rates_in == "fraction" else 1)
    shown = f"{path}, column {rate.name}: half of the rates are"
    if rates_in == "fraction" and rate.middle >= MANY_A_YEAR and not told:
        raise Question(
            f"{shown} above {rate.middle:g}, which is {middle:g}% a year or {rate.middle:g}% a month: say --rate-in "
            f"fraction, or --rate-in percent --times '{rate.name}=12'.",
            "rate_in",
            "Interest rates are in (percent or fraction)",
        )
    if middle < LOW and not (months and months > LONG):
        raise Question(
            f"{shown} below {middle:.3g}%: say --times '{rate.name}=12' if they are a month's, or --times "
            f"'{rate.name}=1' if they are a year's.",
            "times",
            f"What the rates are multiplied by: '{rate.name}=12' or '{rate.name}=1'",
        )
