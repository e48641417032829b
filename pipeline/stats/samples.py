"""Which loans an analysis of a factor takes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError


def candidates(cohort: pd.DataFrame, factor: str, after_origination: Collection[str]) -> pd.DataFrame:
    """Return the loans for which `factor` could have been measured, with ``default`` counted after the measurement.

    A factor in `after_origination` is measured up to the landmark: its analyses take the loans that were still open
    then, and their default after it (Anderson, Cain & Gelber 1983), so that nothing in the factor can follow from the
    outcome.
    """
    if factor not in cohort:
        raise StudyError(f"the cohort has no column '{factor}', which is to be a factor.")
    if factor not in after_origination:
        return cohort
    loans = cohort[cohort["open_at_landmark"] == 1]
    return loans.assign(default=loans["default_after_landmark"])


def sample_for(cohort: pd.DataFrame, factor: str, after_origination: Collection[str]) -> pd.DataFrame:
    """Return the `candidates` for which `factor` was measured: loans without a measurement leave (complete cases).

    Raises StudyError when no loan is left.
    """
    loans = candidates(cohort, factor, after_origination)
    loans = loans[loans[factor].notna()]
    if loans.empty:
        raise StudyError(f"no loan of the cohort has a value of '{factor}'.")
    return loans


def by_lot(loans: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Return `most` of the loans, each as likely as any other and none twice, in the order in which they stand.

    All of them where there are no more. For what costs too much on every loan of a very large study.
    """
    return loans if len(loans) <= most else loans.iloc[places_by_lot(len(loans), most, seed)]


def places_by_lot(number: int, most: int, seed: int) -> np.ndarray:
    """Return the places, rising, of the `most` of a `number` of loans that `by_lot` draws; all where there are no more.

    Of as many loans the same seed draws the same places.
    """
    if number <= most:
        return np.arange(number)
    return np.sort(np.random.default_rng([seed, most]).choice(number, most, replace=False))


def number_treated(loans: pd.DataFrame) -> int | None:
    """Return how many loans are treated; None where the data do not say of any."""
    return None if loans["treated"].isna().all() else int(loans["treated"].sum())
