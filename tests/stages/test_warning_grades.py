"""How monthly grades move: every number beside one counted loan by loan in plain loops."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.grade import page as grade_page
from pipeline.analyses.warning import book as warning_book
from pipeline.analyses.warning import grades as warning_grades
from pipeline.core.results import COLUMNS, Results
from pipeline.present.words import Words

LEVEL = 0.95
CUTS = (0.3, 0.6)
LENGTH = 8


def made_up(seed=1, loans=250):
    """Return the risks, starts and default months of loans, and a book of their months."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, 5, loans))
    default = np.where(rng.random(loans) < 0.4, rng.integers(1, LENGTH + 1, loans), 0)
    # Some are repaid before the records end.
    ends = np.where(default > 0, default, np.where(rng.random(loans) < 0.3, rng.integers(1, LENGTH, loans), LENGTH))
    risk = {
        (loan, month): float(np.round(rng.uniform(0.01, 0.99), 4))
        for loan in range(loans)
        for month in range(1, ends[loan] + 1)
    }
    loan, month = (np.array([key[place] for key in risk]) for place in (0, 1))
    values = np.array(list(risk.values()))
    known = np.array([0.1, 0.2999997, 0.4499997, 0.7, 0.9])
    taught = pd.DataFrame({"month": [1, 1, 1, 1, 2], "updated": np.log(known / (1 - known))})
    ones = np.ones(len(loan), dtype=bool)
    event = np.zeros(len(loan), dtype=int)
    book = warning_book.Book(
        pd.DataFrame(index=range(len(loan))), loan, month, 12 * 2004 + start[loan] + month, loan % 20, event,
        default[loan], ones, None, {"updated": np.log(values / (1 - values))}, "2004-01", taught,
    )  # fmt: skip
    return risk, start, default, ends, book


@pytest.fixture(scope="module")
def both():
    risk, start, default, ends, book = made_up()
    # Cut at 30 and 60 in a hundred of the months taught: at their second and third risk, to six digits.
    grade = {key: 0 if value <= 0.3 else 1 if value <= 0.45 else 2 for key, value in risk.items()}
    rows = pd.DataFrame(list(warning_grades.moves(book, CUTS, LEVEL)))
    return grade, start, default, ends, rows


def find(rows, **named):
    for name, value in named.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, named
    return rows.iloc[0]


@pytest.mark.parametrize("step", [1, 6])
def test_moves_are_those_counted_loan_by_loan(both, step):
    grade, _, default, _, rows = both
    named = {"estimator": "grade_moves", "specification": f"{step:02d}_months"}
    moved = []
    for (loan, month), before in grade.items():
        if (step > 1 and month != 1) or (step == 1 and month + step > LENGTH):
            continue
        end = "default" if 0 < default[loan] < month + step else grade.get((loan, month + step), "repaid")
        moved.append((loan, before, end))
    every = find(rows, **named, factor="all", estimand="stayed")
    assert every["n"] == len(moved)
    assert every["estimate"] == pytest.approx(100 * np.mean([before == end for _, before, end in moved]))
    for place in range(3):
        of = [end for _, before, end in moved if before == place]
        for end in (0, 1, 2, "default", "repaid"):
            to = f"to[{end + 1}]" if end in (0, 1, 2) else f"to[{end}]"
            row = find(rows, **named, factor=f"from[{place + 1}]", estimand=to)
            assert (row["estimate"], row["n"]) == (pytest.approx(100 * of.count(end) / len(of)), len(of))
    numbers = [(before, end) for _, before, end in moved if end in (0, 1, 2)]
    down = find(rows, **named, factor="all", estimand="downgraded")
    assert down["estimate"] == pytest.approx(100 * sum(end > before for before, end in numbers) / len(moved))
    if step > 1:
        for kind, is_kind in {"downgraded": int.__gt__, "upgraded": int.__lt__, "stayed": int.__eq__}.items():
            which = [loan for loan, before, end in moved if end in (0, 1, 2) and is_kind(end, before)]
            row = find(rows, **named, factor=kind, estimand="default_afterwards")
            assert row["estimate"] == pytest.approx(100 * np.mean([default[loan] > step for loan in which]))


@pytest.mark.parametrize("back", [1, 3, 6])
def test_downgrades_before_default_stand_beside_the_risk_set(both, back):
    grade, start, default, ends, rows = both
    cases, others = [], []
    for loan, when in enumerate(default):
        month = when - back
        if month < 2:
            continue
        alike = [
            other
            for other in range(len(default))
            if other != loan and start[other] == start[loan] and grade[other, 1] == grade[loan, 1]
            # On record when the default came, and not in default before or at that time.
            and ends[other] >= when and default[other] != when
        ]  # fmt: skip
        if alike:
            cases.append(grade[loan, month] > grade[loan, 1])
            others.append(np.mean([grade[other, month] > grade[other, 1] for other in alike]))
    named = {"estimator": "downgraded_before_default", "factor": f"months_before[{back:02d}]"}
    assert find(rows, **named, estimand="defaulting")["estimate"] == pytest.approx(100 * np.mean(cases))
    assert find(rows, **named, estimand="others")["estimate"] == pytest.approx(100 * np.mean(others))
    difference = find(rows, **named, estimand="difference")
    assert difference["estimate"] == pytest.approx(100 * (np.mean(cases) - np.mean(others)))
    assert difference["note"].startswith(f"{len(cases)} defaults")


def test_first_grades_of_a_quarter_are_as_steady_as_their_index_says(both):
    grade, start, _, _, rows = both
    # Of the four first months taught two, one and one.
    before = np.array([2, 1, 1]) / 4
    for number in (0, 1):
        of = [grade[loan, 1] for loan in range(len(start)) if start[loan] // 3 == number]
        after = np.bincount(of, minlength=3) / len(of)
        index = sum((b - a) * math.log(b / a) for a, b in zip(before, after, strict=True))
        row = find(rows, estimator="grade_stability", factor=f"quarter[2004-Q{number + 1}]")
        assert (row["estimate"], row["n"]) == (pytest.approx(index), len(of))


def test_grades_without_loans_that_were_followed_long_keep_their_line():
    """Both panels share one axis: of two grades in the second, the lines below stay empty and keep their names."""
    spans = {grade_page.SHORT: range(1, 5), grade_page.LONG: range(1, 3)}
    rows = pd.DataFrame([
        {"stage": "warning", "estimator": "grade_moves", "specification": span, "factor": f"from[{start}]",
         "estimand": f"to[{end}]", "estimate": 25.0}
        for span, grades in spans.items() for start in grades for end in range(1, 5)
    ])  # fmt: skip
    figure = grade_page.moves(Results(rows.reindex(columns=COLUMNS)), Words("en", "mine", "own"))
    shown = [axes.collections[0].get_array().reshape(4, 4) for axes in figure.axes]
    assert np.ma.count_masked(shown[0]) == 0 and np.ma.getmaskarray(shown[1])[2:].all()
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["1", "2", "3", "4"]
