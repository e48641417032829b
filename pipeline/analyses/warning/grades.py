"""How grades by the score that is renewed every month move: from month to month, over a year, and before default."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.analyses.warning.book import Book, Row, percent, points
from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy, early_warning, grading
from pipeline.stats.shares import on_log_odds

STEPS = (1, 6, 11)
"""Months over which moves are counted. The first is from every month to the next, the others from a loan's first
month: a year's last grade is that of its twelfth month."""

BACK = (1, 3, 6)
"""Months before default at which downgrades since a loan's first month are counted."""


def moves(book: Book, shares: Sequence[float], level: float) -> Iterator[Row]:
    """Yield the moves between grades, what follows a move, downgrades before default, and how steady grades are.

    Grades are cut at the shares `shares` of the loan-months on which the score was fitted.
    """
    cuts = grading.cut_points(_risk(book.taught["updated"].to_numpy()), shares)
    grade = grading.group_of(_risk(book.scores["updated"]), cuts)
    for step in STEPS:
        if step < book.month.max():
            yield from _moves(book, grade, len(cuts) + 1, step, level)
    yield from _before_default(book, grade, level)
    yield from _steady(book, cuts, grade)


def _risk(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def _moves(book: Book, grade: np.ndarray, grades: int, step: int, level: float) -> Iterator[Row]:
    """Yield the matrix of moves over some months, how many stay, and how many of each kind default afterwards."""
    last = int(book.month.max())
    from_first = step > 1
    start = (book.month == 1) if from_first else (book.month + step <= last)
    end = grading.destination(grade, book.loan, book.month, book.default_month, step)
    named = f"{step:02d}_months"

    def row(factor: str, estimand: str, rows: np.ndarray, part: np.ndarray) -> Row:
        common = book.row("grade_moves", named, estimand, rows, factor=factor, outcome="grade")
        of_these, ones = part[rows].astype(float), np.ones(int(rows.sum()))
        try:
            return common | percent(on_log_odds(early_warning.share(of_these, ones, book.cluster[rows], level)))
        except StudyError as error:
            # Of a single cluster; the share stands, its error cannot be told.
            return common | {"estimate": 100 * float(of_these.mean()), "unit": "percent", "note": str(error)}

    places = {f"to[{place + 1}]": end == place for place in range(grades)}
    ends = {"to[default]": end == grading.DEFAULTED, "to[repaid]": end == grading.ENDED}
    open_still = end >= 0
    kinds = {"stayed": end == grade, "downgraded": end > grade, "upgraded": open_still & (end < grade)}
    for place in range(grades):
        rows = start & (grade == place)
        for estimand, part in (places | ends).items() if rows.any() else ():
            yield row(f"from[{place + 1}]", estimand, rows, part)
    for estimand, part in (kinds | ends).items():
        yield row("all", estimand, start, part)
    if from_first and step + 1 < last:
        # A grade of month m is known at its beginning, so its own month counts.
        for kind, part in kinds.items():
            if (rows := start & part).any():
                yield row(kind, "default_afterwards", rows, book.default_month > step)


def _before_default(book: Book, grade: np.ndarray, level: float) -> Iterator[Row]:
    """Yield how many defaulting loans had been downgraded so many months before, beside loans like them at risk.

    Beside each default stands its risk set: loans of the same first grade, age and calendar month that were open when
    it came and had not defaulted, those that default later among them.
    """
    opened = np.full(int(book.loan.max()) + 1, -1)
    opened[book.loan[book.month == 1]] = grade[book.month == 1]
    first = opened[book.loan]
    seen = np.zeros(len(opened), dtype=np.int64)
    np.maximum.at(seen, book.loan, book.month)
    # Of one age in one calendar month.
    number = (first * (int(book.month.max()) + 1) + book.month) * (int(book.period.max()) + 1) + book.period
    alike = np.unique(number, return_inverse=True)[1]
    for back in BACK:
        case = book.default_month == book.month + back
        there = early_warning.at_risk(book.month + back, seen[book.loan], book.default_month)
        rows = (book.month > 1) & (first >= 0) & there
        row = book.row("downgraded_before_default", "updated", "difference", rows, outcome="default")
        row |= {"factor": f"months_before[{back:02d}]"}
        try:
            one, share, others, cases = early_warning.matched_difference(
                (grade > first)[rows].astype(float), case[rows], alike[rows], book.cluster[rows], level
            )
        except StudyError as error:
            yield row | {"note": str(error)}
            continue
        note = f"{cases} defaults; beside them loans at risk of the same first grade, age and calendar month"
        yield row | points(one) | {"note": note}
        for estimand, value in {"defaulting": share, "others": others}.items():
            yield row | {"estimand": estimand, "estimate": 100 * value, "unit": "percent"}


def _steady(book: Book, cuts: list[float], grade: np.ndarray) -> Iterator[Row]:
    """Yield the stability index of first grades, quarter by quarter of origination, against the loans that taught."""
    taught = book.taught.loc[book.taught["month"] == 1, "updated"].to_numpy()
    before = np.bincount(grading.group_of(_risk(taught), cuts), minlength=len(cuts) + 1)
    first = book.month == 1
    quarter = (book.period - 1) // 3
    for number in np.unique(quarter[first]):
        rows = first & (quarter == number)
        after = np.bincount(grade[rows], minlength=len(cuts) + 1)
        # Calendar months count from the year 0, January being the first.
        factor = f"quarter[{number // 4}-Q{number % 4 + 1}]"
        row = book.row("grade_stability", "first_month", "stability_index", rows, factor=factor, outcome="grade")
        yield row | {"estimate": accuracy.stability(before, after), "unit": "index"}
