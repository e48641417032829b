"""How much of a change comes from who is granted a loan, and how much from how the granted behave."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, codes, effect
from pipeline.stats.month_regression import month_regression


class Split(NamedTuple):
    """A change in log rates, its two parts, and the share of the first."""

    total: Effect
    screening: Effect
    behaviour: Effect
    share: Effect
    """Of screening in the total."""
    effective: float
    """Loans after the change that weights leave, as a share (Kish); nothing is weighted where it is one."""


def composition_weights(after: np.ndarray, covariates: pd.DataFrame, lender: np.ndarray) -> tuple[np.ndarray, Callable]:
    """Return weights that give each lender's loans after a change the covariates of its loans before it.

    DiNardo, Fortin & Lemieux (1996, Econometrica 64): Pr(before | x) Pr(after) / (Pr(after | x) Pr(before)), from a
    logistic regression of `after` (loans,) on `covariates` (loans x columns) with an effect of each `lender`; one for
    loans before, mean one within each lender's loans after. Lenders with loans on one side of the change keep ones.
    Also returns a function that gives the weights without a lender's number: what that lender moves the slopes by is
    taken off, which is a step of Newton's method.
    """
    number = codes(lender)
    fit = month_regression(after, covariates, number)
    values = covariates[list(fit.names)].to_numpy(dtype=float)
    values = values - values.mean(axis=0)
    changing = np.zeros(len(after), dtype=bool)
    changing[fit.rows] = True
    there = np.unique(number[fit.rows])
    moved = dict(zip(there, fit.influence(number), strict=True))
    late = changing & (np.asarray(after) == 1)
    # Laid out once: the weights are asked for without each lender in turn.
    values, own = values[late], number[late]
    size = np.maximum(np.bincount(own), 1)

    def weights(without: int | None = None) -> np.ndarray:
        slopes = fit.slopes - moved.get(without, 0.0)
        of_late = np.exp(-(values @ slopes))
        found = np.ones(len(after))
        found[late] = of_late / (np.bincount(own, of_late) / size)[own]
        return found

    return weights(), weights


class Cells(NamedTuple):
    """Loans laid together by lender, period and columns: once, though each lender is left out in turn."""

    place: np.ndarray
    """Cell of each loan (loans,)."""
    lender: np.ndarray
    """Lender's number of each cell (cells,)."""
    period: np.ndarray
    """Period's number of each cell (cells,)."""
    columns: np.ndarray
    """What is the same for all loans of a cell (cells x columns, 0/1)."""

    @classmethod
    def of(cls, columns: np.ndarray, lender: np.ndarray, period: np.ndarray) -> Cells:
        """Return the cells of loans with `columns` (loans x columns, 0/1), numbers of lenders, and periods."""
        periods = codes(period)
        key = lender * (periods.max() + 1) + periods
        for column in columns.T:
            key = key * 2 + column.astype(int)
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        return cls(place, lender[first], periods[first], columns[first])

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Return the sums of each cell (cells,) of what stands beside each loan (loans,)."""
        return np.bincount(self.place, weights, len(self.lender))

    def log_rate(self, events: np.ndarray, exposure: np.ndarray, left_out: int | None = None) -> np.ndarray:
        """Return the slopes of the columns in a Poisson regression with effects of lender and period.

        `events` and `exposure` (cells,) are sums over the loans of each cell. Cells without exposure count for nothing,
        nor do those of the lender `left_out`.
        """
        kept = exposure > 0
        if left_out is not None:
            kept &= self.lender != left_out
        names = [f"factor_{place}" for place in range(self.columns.shape[1])]
        period = codes(self.period[kept])
        of_period = period[:, None] == np.arange(1, period.max() + 1)
        design = pd.DataFrame(np.hstack([self.columns[kept], of_period]), dtype=float)
        design.columns = [*names, *(f"period_{number}" for number in range(1, period.max() + 1))]
        rate = events[kept] / exposure[kept]
        fit = month_regression(rate, design, codes(self.lender[kept]), "poisson", exposure[kept])
        if any(name not in fit.names for name in names):
            raise StudyError(
                "no lender changes during the months observed: its loans before and after cannot be compared."
            )
        return fit.slopes[[fit.names.index(name) for name in names]]


def _jackknife(estimate: Callable[[int | None], np.ndarray], lenders: int, level: float) -> list[Effect]:
    """Return effects with the jackknife's error over lenders; `estimate` takes the one to leave out, or None."""
    whole = estimate(None)
    left_out = np.array([estimate(one) for one in range(lenders)])
    errors = np.sqrt((lenders - 1) / lenders * ((left_out - whole) ** 2).sum(axis=0))
    return [effect(value, error, level, lenders - 1) for value, error in zip(whole, errors, strict=True)]


def _parts(total: float, screening: float) -> np.ndarray:
    return np.array([total, screening, total - screening, screening / total])


def by_composition(
    outcome: np.ndarray,
    adopted: np.ndarray,
    covariates: pd.DataFrame,
    lender: np.ndarray,
    period: np.ndarray,
    level: float,
) -> Split:
    """Split the effect of adoption by reweighting who is granted after it to who was before.

    The total is the slope of `adopted` (loans, 0/1) in a Poisson regression of `outcome` with effects of lender and
    `period`; behaviour is the same slope among loans that are weighted to the composition before (see
    `composition_weights`), screening the difference. What lenders learn of clients beyond `covariates` counts as
    behaviour, so the share of screening is too small where they do. Errors from a jackknife over lenders.
    """
    number = codes(lender)
    weights, without = composition_weights(adopted, covariates, number)
    cells = Cells.of(np.asarray(adopted, dtype=float)[:, None], number, period)

    # No two lenders share a cell: what one of them leaves out is gone with its cells.
    loans, events = cells.sums(np.ones(len(number))), cells.sums(outcome)

    def estimate(left_out: int | None) -> np.ndarray:
        own = weights if left_out is None else without(left_out)
        total = cells.log_rate(events, loans, left_out)[0]
        return _parts(total, total - cells.log_rate(cells.sums(own * outcome), cells.sums(own), left_out)[0])

    late = weights[np.asarray(adopted) == 1]
    effective = float(late.sum() ** 2 / (late**2).sum() / len(late))
    total, screening, behaviour, share = _jackknife(estimate, int(number.max()) + 1, level)
    return Split(total, screening, behaviour, share, effective)


def drift(outcome: np.ndarray, after: np.ndarray, covariates: pd.DataFrame, lender: np.ndarray, level: float) -> Effect:
    """Return how far the composition of the granted moved log rates between two periods at lenders without a change.

    The log ratio of the rate of `outcome` among loans `after` (loans, 0/1) to that of the same loans weighted to the
    composition before (see `composition_weights`). Where lenders that adopt are split by reweighting, this is what the
    calendar alone would have been taken for screening. Error from a jackknife over lenders.
    """
    number = codes(lender)
    weights, without = composition_weights(after, covariates, number)
    late = np.asarray(after) == 1

    def estimate(left_out: int | None) -> np.ndarray:
        stays = late & (number != (-1 if left_out is None else left_out))
        own = (weights if left_out is None else without(left_out))[stays]
        weighted = own @ outcome[stays] / own.sum()
        if weighted <= 0:
            raise StudyError("no outcome after the period's middle: composition cannot be seen to matter.")
        return np.array([np.log(outcome[stays].mean() / weighted)])

    return _jackknife(estimate, int(number.max()) + 1, level)[0]


def by_lot(
    outcome: np.ndarray,
    adopted: np.ndarray,
    drawn: np.ndarray,
    enrolled: np.ndarray,
    lender: np.ndarray,
    period: np.ndarray,
    level: float,
) -> Split:
    """Split the effect of adoption by those who lost the lot for a place in the programme.

    Losers and winners were screened alike and differ in how many are `enrolled`. The line through their two effects of
    adoption, followed to where nobody is enrolled, is what adoption does without the programme: screening. Assumes that
    enrolment moves log rates alike whether many or few enrol. `drawn` is read where `adopted` is one; a loan without a
    lot is left out there. Errors from a jackknife over lenders.
    """
    number = codes(lender)
    adopted = np.asarray(adopted) == 1
    known = ~adopted | ~np.isnan(drawn)
    won, lost = adopted & (drawn == 1), adopted & (drawn == 0)
    parted = Cells.of(np.column_stack([won, lost]).astype(float), number, period)
    together = Cells.of((adopted & known).astype(float)[:, None], number, period)

    # No two lenders share a cell: what one of them leaves out is gone with its cells.
    sums = [(cells, cells.sums(known * outcome), cells.sums(known)) for cells in (parted, together)]
    arms = [(np.bincount(number, arm * enrolled), np.bincount(number, arm)) for arm in (won & known, lost & known)]

    def estimate(left_out: int | None) -> np.ndarray:
        (winners, losers), (total,) = (cells.log_rate(events, loans, left_out) for cells, events, loans in sums)
        others = np.arange(number.max() + 1) != (-1 if left_out is None else left_out)
        high, low = (found[others].sum() / loans[others].sum() for found, loans in arms)
        if high - low < 1e-6:
            raise StudyError("winning the lot enrols nobody: the programme and screening cannot be told apart.")
        return _parts(total, losers - low * (winners - losers) / (high - low))

    total, screening, behaviour, share = _jackknife(estimate, int(number.max()) + 1, level)
    return Split(total, screening, behaviour, share, 1.0)
