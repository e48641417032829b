"""What came before, and after, in the months of the same loan."""

from __future__ import annotations

import numpy as np


def shifted(values: np.ndarray, loan: np.ndarray, month: np.ndarray, back: int) -> np.ndarray:
    """Return each loan-month's value of `back` months before (negative: after it), NaN where that is not recorded.

    Rows (loan-months,) are sorted by `loan` (any labels), then by `month` (whole numbers).
    """
    found = np.full(len(values), np.nan)
    step = abs(back)
    if step >= len(values):
        return found
    early, late = slice(None, len(values) - step), slice(step, None)
    here, there = (late, early) if back > 0 else (early, late)
    same = (loan[here] == loan[there]) & (np.asarray(month)[here] - np.asarray(month)[there] == back)
    found[here] = np.where(same, np.asarray(values, dtype=float)[there], np.nan)
    return found


def window_sum(values: np.ndarray, loan: np.ndarray, month: np.ndarray, months: int) -> np.ndarray:
    """Return the sum over the `months` before each loan-month, NaN where not all of them are recorded."""
    return np.sum([shifted(values, loan, month, back) for back in range(1, months + 1)], axis=0)


def spells(arrears: np.ndarray, current: np.ndarray, default: np.ndarray, loan: np.ndarray) -> np.ndarray:
    """Return how the arrears that begin in each loan-month end: 1 in default, 0 cured, NaN elsewhere or not known.

    `current` says whether the loan was current when the month began, `arrears` and `default` what it is when the month
    ends (0/1); rows are sorted by `loan` and month, without gaps.
    """
    begins = (np.asarray(current) == 1) & (np.asarray(arrears) == 1)
    found = np.full(len(begins), np.nan)
    number = np.cumsum(np.concatenate([[True], loan[1:] != loan[:-1]]))
    waiting = np.flatnonzero(begins)
    for ahead in range(1, len(begins)):
        place = waiting + ahead
        there = place < len(begins)
        there[there] = number[place[there]] == number[waiting[there]]
        waiting, place = waiting[there], place[there]
        if not len(waiting):
            break
        bad, still = np.asarray(default)[place] == 1, np.asarray(arrears)[place] == 1
        found[waiting] = np.where(bad, 1.0, np.where(still, np.nan, 0.0))
        waiting = waiting[~bad & still]
    return found
