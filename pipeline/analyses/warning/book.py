"""Loan-months with what is known of them, what comes, and scores of the risk ahead, for the stage warning."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST, column_in
from pipeline.core.shared import EarlyWarning
from pipeline.runtime.errors import StudyError
from pipeline.stats import early_warning
from pipeline.stats.design import design_matrix
from pipeline.stats.histories import shifted
from pipeline.stats.inference import Effect, codes
from pipeline.stats.logistic import predicted_log_odds

SCORES = ("static", "updated")
"""The score of the day of origination, and the one that is renewed every month."""

RECORDS = ("proactive_contacts", "reactive_contacts", "no_contact_log", "alert")
"""Beginnings of the signals that a lender has from its contacts and alerts, beside the payments themselves."""

ACTIVITY = ("inflow",)
"""Beginnings of those that it has from the client's account."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Book:
    """Loan-months with what is known of them, what comes, and both scores; only loans granted after the fitting."""

    months: pd.DataFrame
    loan: np.ndarray
    month: np.ndarray
    period: np.ndarray
    cluster: np.ndarray
    event: np.ndarray
    default_month: np.ndarray
    judged: np.ndarray
    """Whether the months ahead are all on record (rows,)."""
    amount: np.ndarray | None
    scores: dict[str, np.ndarray]
    """Log odds of default within the horizon, by the name of the score."""
    cut: str
    """First month of origination of these loans."""
    taught: pd.DataFrame
    """Of the loan-months on which scores were fitted: ``month`` of the loan, log odds by the score ``updated``, and
    ``lenders_alert``, whether the lender had raised one in the month before, where alerts are on record."""

    def row(
        self, estimator: str, specification: str, estimand: str, stays: np.ndarray | None = None, **more: Any
    ) -> Row:
        """Return a row with the numbers of its loan-months."""
        named = {"estimator": estimator, "specification": specification}
        named |= {"outcome": "default_ahead", "estimand": estimand}
        return named | (self._of_judged if stays is None else self._counts(stays)) | more

    @cached_property
    def _of_judged(self) -> Row:
        return self._counts(self.judged)

    def _counts(self, rows: np.ndarray) -> Row:
        """Return the numbers of loan-months; `rows` are a mask or places."""
        clusters = self.cluster[rows]
        treated = int(self.months["treated"].to_numpy()[rows].sum()) if "treated" in self.months else None
        return {"n": len(clusters), "n_treated": treated, "n_clusters": np.count_nonzero(np.bincount(clusters))}

    def row_of_loans(self, estimator: str, specification: str, estimand: str, loans: np.ndarray, **more: Any) -> Row:
        """Return a row that counts `loans` (their numbers), not their months."""
        first = np.flatnonzero(np.diff(self.loan, prepend=-1))
        return self.row(estimator, specification, estimand, first[np.isin(self.loan[first], loans)], **more)


def fit(
    cohort: pd.DataFrame, months: pd.DataFrame, place: np.ndarray, protocol: Study, choice: EarlyWarning
) -> tuple[Book, np.ndarray]:
    """Fit both scores on earlier calendar months, and return the loans granted later with them; and every static score.

    Fitted are months whose window has ended before the cut; judged are loans whose first month is not before it, so no
    loan and no month is in both.
    """
    month = months["month_number"].to_numpy(dtype=np.int64)
    when = calendar(months["calendar_month"])
    found = early_warning.ahead(place, month, months["default"].to_numpy(), choice.horizon_months)
    first = np.full(len(cohort), np.iinfo(np.int64).max)
    np.minimum.at(first, place, when - month + 1)
    starts = np.sort(np.unique(first[place]))
    cut = int(starts[int(choice.training_share * len(starts))])
    train = (when + choice.horizon_months - 1 < cut) & found.complete
    later = first[place] >= cut
    judged = later & found.complete
    for name, part in (("fit", train), ("judge", judged)):
        if (number := len(np.unique(place[part & (found.event == 1)]))) < FEWEST:
            raise StudyError(f"only {number} defaulted loans to {name} a score on.")

    static = _static(cohort, place, found.event, train, protocol)
    known = early_warning.signals(months, place)
    known.insert(0, "static", static[place])
    known["static_late"] = known["static"] * known["late_now"]
    kinds = {"updated": (), "payments": RECORDS + ACTIVITY, "without_account": ACTIVITY}
    wanted = train | later
    renewed: dict[str, np.ndarray] = {}
    for score, left_out in kinds.items():
        kept = [name for name in known if not name.startswith(left_out)]
        # Without the records in question the score would be the renewed one once more.
        if left_out and len(kept) == len(known.columns):
            continue
        matrix = known[kept].to_numpy()
        renewed[score] = np.full(len(months), np.nan)
        known_then, asked = matrix[train], matrix[wanted]
        # Of so many months each copy counts.
        del matrix
        renewed[score][wanted] = predicted_log_odds(known_then, found.event[train], asked)
        del known_then, asked

    taught = pd.DataFrame({"month": month[train], "updated": renewed["updated"][train]})
    if (own := last_month(months, place, month, "alert")) is not None:
        taught["lenders_alert"] = own[train]
    rows = np.flatnonzero(later)
    clusters = codes(cohort[cluster_of(cohort, protocol)])[place]
    amount = cohort["amount"].to_numpy(dtype=float)[place] if "amount" in cohort else None
    book = Book(
        months.iloc[rows].reset_index(drop=True),
        place[rows],
        month[rows],
        when[rows],
        clusters[rows],
        found.event[rows],
        found.default_month[rows],
        found.complete[rows],
        None if amount is None or np.isnan(amount).any() else amount[rows],
        {"static": static[place][rows], **{score: values[rows] for score, values in renewed.items()}},
        f"{(cut - 1) // 12}-{(cut - 1) % 12 + 1:02d}",
        taught,
    )
    return book, static


def last_month(months: pd.DataFrame, loan: np.ndarray, month: np.ndarray, name: str) -> np.ndarray | None:
    """Return where (rows,) the column `name` of sorted loan-months marked the month before, if it ever does."""
    if name not in months:
        return None
    marks = np.nan_to_num(months[name].to_numpy(dtype=float))
    marked = np.nan_to_num(shifted(marks, loan, month, 1)) > 0
    return marked if marked.any() else None


def calendar(names: pd.Series) -> np.ndarray:
    """Return months such as 2009-10 as numbers that follow each other."""
    place, known = pd.factorize(names, use_na_sentinel=False)
    known = pd.Series(known).astype(str)
    if not known.str.fullmatch(r"\d{4}-\d\d").all():
        raise StudyError("calendar months must read like 2009-10.")
    return np.array([12 * int(name[:4]) + int(name[5:]) for name in known])[place]


def cluster_of(cohort: pd.DataFrame, protocol: Study) -> str:
    """Return the protocol's clusters where there are enough of them, and loans where not."""
    name = protocol.cluster
    return name if name in cohort and cohort[name].notna().all() and cohort[name].nunique() >= FEWEST else "loan_id"


def _known_at_origination(cohort: pd.DataFrame, taught: np.ndarray, protocol: Study) -> pd.DataFrame:
    """Return what the day of origination tells of each loan (loans x columns), gaps filled in and marked.

    Gaps get the median, or the commonest level, of the loans `taught` (places) on which scores are fitted: what later
    loans look like is not known then. A level that none of these has is a gap, and a column that none has is left out.

    Time itself is left out: months to come have no effect that earlier ones could show.
    """
    blocks = [*protocol.controls.loan, *protocol.controls.borrower, *protocol.controls.market]
    later = protocol.after_origination()
    terms = [*blocks, *protocol.matching.score, *(name for name in protocol.factors if name not in later), "treated"]
    filled, more = cohort, []
    for name in dict.fromkeys(map(column_in, terms)):
        known = cohort[name].iloc[taught].dropna() if name in cohort else ()
        if not len(known):
            terms = [term for term in terms if column_in(term) != name]
            continue
        numeric = pd.api.types.is_numeric_dtype(cohort[name])
        column = cohort[name] if numeric else cohort[name].where(cohort[name].isin(known.unique()))
        if column.isna().any():
            value = known.median() if numeric else known.mode().iloc[0]
            gap = {name: column.fillna(value), f"no_{name}": column.isna().astype(float)}
            filled, more = filled.assign(**gap), [*more, f"no_{name}"]
    unique = [*dict.fromkeys(terms), *more]
    if not unique:
        raise StudyError("nothing is known of the loans at origination.")
    return design_matrix(filled, unique).matrix.drop(columns="intercept")


def _static(
    cohort: pd.DataFrame, place: np.ndarray, event: np.ndarray, train: np.ndarray, protocol: Study
) -> np.ndarray:
    """Return each loan's log odds of default ahead from the day of origination alone.

    What is known at origination is the same in all of a loan's months, so they are counted rather than repeated.
    """
    design = _known_at_origination(cohort, np.unique(place[train]), protocol).to_numpy()
    number = np.bincount(place[train], minlength=len(cohort))
    events = np.bincount(place[train], event[train], minlength=len(cohort))
    bad, good = np.flatnonzero(events > 0), np.flatnonzero(number > events)
    weights = np.concatenate([events[bad], (number - events)[good]])
    kind = np.concatenate([np.ones(len(bad), dtype=int), np.zeros(len(good), dtype=int)])
    return predicted_log_odds(design[np.concatenate([bad, good])], kind, design, weights)


def not_estimated(what: str, why: str) -> Row:
    """Return a row that says why something is not estimated."""
    return {"estimator": "not_estimated", "specification": what, "note": why}


def percent(found: Effect) -> Row:
    """Return a share's numbers in percent."""
    scaled = {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}
    # A share has nothing to be tested against.
    return scaled | {"unit": "percent", "p_value": None}


def points(found: Effect) -> Row:
    """Return a difference of shares in percentage points."""
    scaled = {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}
    return scaled | {"unit": "percentage points"}
