"""The moments at which the stage predict scores loans, how loans are split at each, and what is known then."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST
from pipeline.core.shared import OutcomeWindow
from pipeline.runtime.errors import StudyError
from pipeline.stats import prediction, splits
from pipeline.stats.design import column_of, require
from pipeline.stats.features import blocks_of
from pipeline.stats.prediction import Sample
from pipeline.stats.samples import number_treated
from pipeline.stats.splits import Split

HARD, ALL, MARKET, HARD_MARKET = "hard", "with_crm", "market", "hard_market"
"""Rungs: hard information, with every CRM block, the same with the market, and hard information with the market.

The market stands last, not in hard information: its series are the same for all loans of a date, so they order no loans
of one date, and out of time they are extrapolated.
"""

Row = dict[str, Any]


class Moment(NamedTuple):
    """A date in a loan's life at which it is scored, with the loans that are open then."""

    outcome: str
    months: int | None
    """Months from origination after which every outcome is known, and judged; None where no such time is known."""
    sample: Sample
    split: Split
    """How loans are split into those that teach and those that are judged."""
    test: Sample
    """The loans that are judged."""
    saved: Split
    """The one cut in time of which the saved score is learnt."""
    blocks: dict[str, list[str]]
    rungs: dict[str, list[str]]
    """Terms of each nested set of blocks."""
    protocol: Study
    params: Params
    seed: int
    full: bool
    """Whether every model is tried at this moment."""

    @property
    def level(self) -> float:
        """Confidence level of intervals."""
        return self.params.inference.level

    @property
    def clusters(self) -> np.ndarray:
        """Cluster (loans,) of each judged loan, by which the protocol clusters."""
        return self.test.loans[self.protocol.cluster].to_numpy()

    def row(self, estimator: str, factor: str, estimand: str, **more: Any) -> Row:
        """Return a row with the numbers of the judged loans."""
        loans = more.pop("loans", None)
        loans = self.test.loans if loans is None else loans
        counts = {
            "n": len(loans),
            "n_treated": number_treated(loans),
            "n_clusters": loans[self.protocol.cluster].nunique(),
        }
        named = {"specification": self.split.name, "factor": factor, "outcome": self.outcome, "estimand": estimand}
        return {"estimator": estimator} | named | counts | more


def moments(
    cohort: pd.DataFrame, protocol: Study, window: OutcomeWindow | None, params: Params, seed: int
) -> Iterator[Moment]:
    """Yield the dates at which loans are scored: origination, and the landmark where factors are measured up to it.

    `window` is the study's own, within which default counts for scores.
    """
    later = protocol.after_origination()
    weights = "weight" in cohort
    # What carries no date may have been recorded after the loan, or because of how it went.
    factors = [factor for factor in protocol.factors if factor not in protocol.undated]
    yield _moment(cohort, "default", [f for f in factors if f not in later], not later, protocol, window, params, seed)
    # Weights by an outcome that counts from origination do not fit loans still open at the landmark.
    if later and not weights:
        loans = cohort[cohort["open_at_landmark"] == 1].reset_index(drop=True)
        yield _moment(loans, "default_after_landmark", factors, True, protocol, None, params, seed)


def _moment(
    loans: pd.DataFrame,
    outcome: str,
    factors: list[str],
    full: bool,
    protocol: Study,
    window: OutcomeWindow | None,
    params: Params,
    seed: int,
) -> Moment:
    controls = protocol.controls
    blocks = blocks_of([*controls.loan, *controls.borrower], factors, set(loans))
    market = [term for term in controls.market if column_of(term) in loans]
    require(loans, [column_of(term) for terms in blocks.values() for term in terms], "controls or factors")
    outcome, default, saved, split, months = split_loans(loans, outcome, protocol, window, params, seed)
    weights = loans["weight"].to_numpy(dtype=float) if "weight" in loans else None
    sample = Sample(loans, default, weights)
    blocks = {name: prediction.lasting(sample, saved, terms) for name, terms in blocks.items()}
    blocks = {
        name: [term for term in terms if not loans[column_of(term)].isna().all()] for name, terms in blocks.items()
    }
    blocks = {name: terms for name, terms in blocks.items() if terms}
    if not blocks:
        raise StudyError("no column is left from which default could be predicted.")
    rungs: dict[str, list[str]] = {}
    terms: list[str] = []
    for name, added in blocks.items():
        terms = [*terms, *added]
        rungs[name] = terms
    if len(blocks) > 1 or HARD not in blocks:
        rungs[ALL] = rungs.pop(list(blocks)[-1])
    if market and HARD in rungs and ALL in rungs:
        rungs |= {HARD_MARKET: [*rungs[HARD], *market], MARKET: [*rungs[ALL], *market]}
    test = sample.part(split.test)
    return Moment(outcome, months, sample, split, test, saved, blocks, rungs, protocol, params, seed, full)


class SplitLoans(NamedTuple):
    """How loans are split at a moment, and the outcome by which they teach and are judged."""

    outcome: str
    default: np.ndarray
    """0/1 (loans,)."""
    saved: Split
    """The cut in time of which the saved score is learnt."""
    split: Split
    """How loans are judged: by that cut, or by rolling origin where too few defaulted after it."""
    months: int | None
    """Months from origination to when every outcome is known; None where loans are split without regard to that."""


def split_loans(
    loans: pd.DataFrame, outcome: str, protocol: Study, window: OutcomeWindow | None, params: Params, seed: int
) -> SplitLoans:
    """Split loans so that every outcome that teaches was known at the cut, or where that leaves too few, without.

    An outcome is known when the protocol's horizon is over or, where default counts whenever it comes, the study's
    `window`, and default is then that within it. Without either nobody could say before the end of a loan that it was
    good. Raises StudyError where loans cannot be split at all.
    """
    date = loans["origination_date"]
    default = loans[outcome].to_numpy(dtype=float)
    if protocol.horizon_months is not None:
        ways = [(outcome, default, protocol.horizon_months)]
    elif window is not None:
        require(loans, [window.column, *([window.after] if window.after else [])], "predict.windows")
        months = loans[window.column] + (loans[window.after] if window.after else 0)
        within = (months <= window.months).to_numpy(dtype=float)
        ways = [(f"{outcome}_within_{window.months}", within, window.months)]
    else:
        ways = []
    for name, values, months in ways:
        try:
            # A cell without a date teaches nothing, as it is before no cut.
            known = date + pd.DateOffset(months=months)
            return SplitLoans(name, values, *_splits(loans, values, known, params, seed), months)
        except StudyError:
            continue
    return SplitLoans(outcome, default, *_splits(loans, default, None, params, seed), None)


def _splits(
    loans: pd.DataFrame, default: np.ndarray, known: pd.Series | None, params: Params, seed: int
) -> tuple[Split, Split]:
    """Return the cut in time, and how loans are judged: by it, or by rolling origin where few defaulted after it."""
    choices = params.predict
    borrower = loans.get("borrower_id")
    borrower = None if borrower is None or borrower.isna().all() else borrower
    try:
        saved = splits.by_time(loans["origination_date"], borrower, choices.train_share, known)
    except StudyError:
        if known is not None:
            raise
        saved = splits.at_random(loans["loan_id"], borrower, choices.train_share, [seed, 1])
    split = saved
    fewest = min(max(choices.fewest_defaults, FEWEST), int(default.sum()) // 2)
    if default[saved.test].sum() < fewest and saved.name != "at_random":
        split = splits.rolling(loans["origination_date"], borrower, choices.spans, known)
        # Folds whose past holds too few defaults cannot teach.
        kept = [fold for fold in split.folds if enough(default[fold.train])]
        split = split._replace(folds=kept)
    if not split.folds or not enough(default[split.test]):
        raise StudyError("too few of the later loans defaulted, or too few did not, to judge a score on them.")
    if not enough(default[saved.folds[0].train]):
        raise StudyError("too few of the earlier loans defaulted, or too few did not, to learn a score from them.")
    return saved, split


def enough(default: np.ndarray) -> bool:
    """Say whether defaults and other loans suffice to learn from or to judge on."""
    return bool(min(default.sum(), (1 - default).sum()) >= FEWEST)
