"""Which loans a score learns from and on which it is judged: later ones, of other borrowers, of other lenders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError


class Fold(NamedTuple):
    """Loans to learn from and loans to be judged on, as masks (loans,)."""

    train: np.ndarray
    test: np.ndarray


class Split(NamedTuple):
    """One or more folds whose test loans are judged together."""

    name: str
    """out_of_time and rolling_origin where every outcome that teaches was known before the loans that it is judged on;
    same_period and same_period_spans where they are later loans, but of outcomes that teach some came later still, or
    nobody dates them;
    at_random; other_institutions."""
    folds: list[Fold]
    cut: str
    """First date of test loans of the first fold, or nothing."""

    @property
    def test(self) -> np.ndarray:
        """Loans that are judged, in the order of the folds."""
        return np.concatenate([np.flatnonzero(fold.test) for fold in self.folds])

    @property
    def forecasts(self) -> bool:
        """Whether the score could have been learnt on the day when it is first used."""
        return self.name in ("out_of_time", "rolling_origin")


def by_time(date: pd.Series, borrower: pd.Series | None, share: float, known: pd.Series | None = None) -> Split:
    """Split at the date that leaves nearest to `share` of the loans before it; loans of one date stay together.

    Borrowers who have a loan on either side are judged on neither: their later loans leave the test.

    Parameters
    ----------
    date : Series (loans,)
        Origination.
    borrower : Series (loans,), optional
        Borrowers, where they are named.
    share : float
        Share of the loans before the cut.
    known : Series (loans,), optional
        Date from which each loan's outcome is known. Only loans whose outcome is known at the cut teach, so that loans
        of a span as long as an outcome takes stand on neither side, and the split is ``out_of_time``. Without it all
        earlier loans teach, which no lender could have done at the cut, and the split is ``same_period``.

    Raises
    ------
    StudyError
        When all loans are of one date.
    """
    dates = np.sort(date.dropna().unique())
    if len(dates) < 2:
        raise StudyError("all loans are of one date, so none is later than others.")
    before = date.value_counts().reindex(dates).cumsum().to_numpy()[:-1] / date.notna().sum()
    cut = dates[1:][np.argmin(np.abs(before - share))]
    fold = _apart(_teaching(date, cut, known), (date >= cut).to_numpy(), borrower)
    return Split("same_period" if known is None else "out_of_time", [fold], str(np.datetime64(cut, "D")))


def rolling(date: pd.Series, borrower: pd.Series | None, blocks: int, known: pd.Series | None = None) -> Split:
    """Split into `blocks` spans of about equally many loans; each but the first is judged by what came before it.

    For few loans: more of them are judged than after a single cut (Hyndman & Athanasopoulos 2021, section 5.10). Only
    loans whose outcome is `known` (dates, loans,) when a span begins teach for it; without it all earlier ones do, and
    the split is ``same_period_spans`` instead of ``rolling_origin``.
    """
    dated = date[date.notna()]
    edges = [dated.quantile(place / blocks, interpolation="higher") for place in range(1, blocks)]
    edges = sorted(set(edges))
    if not edges or dated.min() >= edges[0]:
        raise StudyError("there are too few dates to judge by rolling origin.")
    folds = []
    for place, edge in enumerate(edges):
        until = edges[place + 1] if place + 1 < len(edges) else None
        test = (date >= edge) & (True if until is None else date < until)
        folds.append(_apart(_teaching(date, edge, known), test.to_numpy(), borrower))
    name = "same_period_spans" if known is None else "rolling_origin"
    return Split(name, folds, str(np.datetime64(edges[0], "D")))


def _teaching(date: pd.Series, cut: np.datetime64, known: pd.Series | None) -> np.ndarray:
    return ((date < cut) & (True if known is None else known <= cut)).to_numpy()


def at_random(identifier: pd.Series, groups: pd.Series | None, share: float, seed: list[int]) -> Split:
    """Split off borrowers (loans where none is named) at random, about `share` of the loans to learn from."""
    labels = (identifier if groups is None else groups.astype("string").fillna(identifier)).astype("string")
    known = np.sort(labels.unique())
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    order = rng.permutation(len(known))
    sizes = labels.value_counts().reindex(known).to_numpy()[order]
    learn = set(known[order[: max(1, int((np.cumsum(sizes) / sizes.sum() <= share).sum()))]])
    train = labels.isin(learn).to_numpy()
    if train.all():
        raise StudyError("there is only one borrower, so none can be held out.")
    return Split("at_random", [Fold(train, ~train)], "")


def by_group(groups: pd.Series, folds: int) -> Split:
    """Assign groups such as institutions to folds of nearly equal size; each is judged by what the others teach.

    The largest group goes first, each to the fold that is smallest so far, so chance plays no part.
    """
    sizes = groups.astype("string").value_counts()
    order = sorted(sizes.index, key=lambda name: (-sizes[name], name))
    held, fold_of = [0] * folds, {}
    for name in order:
        fold_of[name] = held.index(min(held))
        held[fold_of[name]] += int(sizes[name])
    number = groups.astype("string").map(fold_of).to_numpy(dtype=int)
    return Split("other_institutions", [Fold(number != place, number == place) for place in range(folds)], "")


def _apart(train: np.ndarray, test: np.ndarray, borrower: pd.Series | None) -> Fold:
    if borrower is None:
        return Fold(train, test)
    # Numbers of borrowers, for text is compared one by one; those without a name are -1, and never known.
    number, names = pd.factorize(borrower)
    known = np.zeros(len(names) + 1, dtype=bool)
    known[number[train]] = True
    known[-1] = False
    return Fold(train, test & ~known[number])
