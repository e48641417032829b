"""What the numbers of a role can be: lengths of time in years, codes of answers, and codes that say nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.sources import cells
from pipeline.studies.own import roles

if TYPE_CHECKING:
    import pandas as pd

MOST = 0.95
"""Share of a column's cells that must be of one kind for it to count as such."""

YEARS = ("age", "employment_length", "credit_history_years")
"""Roles of lengths of time that are brought to years where names or cells tell another unit."""

COUNTS = ("inquiries", "prior_delinquencies", "employees", "communication_frequency", "relationship_depth")
NEVER_NEGATIVE = (*YEARS, *COUNTS, "credit_score", "revolving_utilisation")

CODED = ("female", "married", "education", "home_ownership", "collateral")
"""Roles whose whole numbers, where they are three to `MOST_CODES`, are codes of answers and no amounts."""
MOST_CODES = 12
BANDS = ("employment_length", "savings")
"""Roles whose numbers are codes of bands where they are 1, 2, 3 ... and nothing else: years would go on, or be gaps."""
MOST_BANDS = 10

LIFE, LONGEST_LIFE = 100, 120
"""Years that few lengths of time exceed, and that none does."""

SUMS = ("amount", "term_months", "income", "debt_to_income", "interest_rate")
OF_NUMBERS = (*NEVER_NEGATIVE, *SUMS, *CODED, *BANDS)
"""Roles of which numbers are looked at for what they can be."""
NINES, NINES_OF_COUNTS, FAR = re.compile(r"9{3,}"), re.compile(r"9+[6-9]"), 5
"""What stands for none as a number where the next largest is so many times smaller: 99999999."""

LOWEST_SCORE = 100
"""Where every other score is as high, nought stands for none."""


def inside(role: str, column: pd.Series, found: cells.Cells) -> tuple[cells.Cells, str]:
    """Return the numbers of a role's column as they can be, and what was done to them in words, if anything.

    Numbers that cannot be, such as -9 for an unknown score, become gaps. Lengths of time come in years: those of other
    units, and those counted back from the loan, as -9461 days to a date of birth.
    """
    name, said = str(column.name), []
    if role in YEARS and not mostly(found, column):
        lengths = cells.months(column)
        if not lengths.marks or not mostly(lengths, column):
            return found, ""
        return lengths._replace(meaning=(lengths.meaning / 12).round(2)), f"{name} is read as years."
    values = found.meaning
    unstated = cells.plain(column[values.isna() & ~found.wrong]).dropna()
    if len(unstated):
        words = " and ".join(f"'{word}'" for word in unstated.unique()[:3])
        said.append(f"{name}: {words} ({len(unstated):,} cells) stand for no number, so they are gaps.")
    if role == "amount" and (values < 0).mean() > MOST:
        # What a bank paid out stands below nought in its books.
        values = -values
        said.append(f"{name} is below nought where money was paid out: read without the sign.")
    if role in YEARS and len(present := values.dropna()):
        unit = roles.unit_in(name) or _unit_of(present[~_nines(role, present)].abs().quantile(MOST))
        if (present < 0).mean() > 0.5:
            values = -values
            said.append(f"{name} counts back from the loan.")
        if unit in ("day", "week", "month"):
            values = values * cells.MONTHS_IN[unit] / 12
            said.append(f"{name} is read in {unit}s, as years.")
        elif role != "age" and not roles.unit_in(name):
            said.append(f"{name} without a unit is read in years.")
    if role in (*NEVER_NEGATIVE, *SUMS, "satisfaction"):
        none = _nines(role, values)
        if role in NEVER_NEGATIVE:
            none |= values < 0
        if role in YEARS:
            none |= values > LONGEST_LIFE
        if role == "credit_score" and (values[values > 0] >= LOWEST_SCORE).all():
            none |= values == 0
        if none.any():
            shown = " and ".join(f"{value:.10g}" for value in found.meaning[none].unique()[:3])
            said.append(f"{name}: {shown} ({int(none.sum()):,} cells) stand for no number, so they are gaps.")
            values = values.mask(none)
    return found._replace(meaning=values), " ".join(said)


def _unit_of(length: float) -> str:
    """Return the unit of a length of time that few exceed: as years no life is as long, as months none longer."""
    return "" if length <= LIFE else "month" if length <= 12 * LIFE else "day"


def _nines(role: str, values: pd.Series) -> pd.Series:
    """Say which numbers are nothing but nines, of counts and answers also 96 to 98, and far from all others."""
    nines = NINES_OF_COUNTS if role in (*COUNTS, "satisfaction") else NINES
    there = {abs(value) for value in values.dropna().unique()}
    codes = {value for value in there if nines.fullmatch(f"{value:.15g}")}
    far = codes and there - codes and min(codes) >= FAR * max(there - codes)
    return values.abs().isin(codes if far else [])


def beyond(role: str, values: pd.Series, largest: float) -> pd.Series:
    """Say which numbers (boolean) stand for none beside the `largest` that is known: nines that are far from it."""
    nines = NINES_OF_COUNTS if role in (*COUNTS, "satisfaction") else NINES
    return (values >= FAR * largest) & values.map(lambda value: bool(nines.fullmatch(f"{value:.15g}")))


def coded(role: str, found: cells.Cells) -> bool:
    """Say whether the numbers of a role's column are codes of answers."""
    values = sorted(found.meaning.dropna().unique())
    if role in BANDS:
        return 2 < len(values) <= MOST_BANDS and values == list(range(1, len(values) + 1))
    return role in CODED and 2 < len(values) <= MOST_CODES and all(value % 1 == 0 for value in values)


def mostly(found: cells.Cells, column: pd.Series) -> bool:
    """Say whether most cells of a column that are not empty have a meaning; the stray others are quarantined."""
    return bool(found.wrong.sum() <= (1 - MOST) * max(int(cells.plain(column).notna().sum()), 1))
