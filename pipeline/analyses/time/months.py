"""Loans as they are followed month by month: how each left, and its months with what is known of them."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.protocol import Study
from pipeline.core.scope import column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats.histories import shifted, window_sum
from pipeline.stats.inference import codes
from pipeline.stats.month_regression import Fitted, month_regression

WINDOW = 3
"""Months in which earlier contacts count, as in the generator and in the stage effects."""

LOG_ODDS, POINTS = "log odds ratio", "percentage points"
PROACTIVE, REACTIVE = "proactive_contacts", "reactive_contacts"

Row = dict[str, Any]


class FollowUp(NamedTuple):
    """When and how each loan of the cohort left."""

    months: np.ndarray
    """Whole months from 1 until it left or was seen for the last time (loans,)."""
    way: np.ndarray
    """0 still there, 1 default, 2 repaid early."""
    ways: tuple[str, ...]
    last: int
    stays: np.ndarray
    """Which loans (boolean) have a date."""
    note: str


class Months:
    """Loan-months with their controls, lenders and what came before and after."""

    def __init__(
        self,
        panel: pd.DataFrame,
        cohort: pd.DataFrame,
        followed: FollowUp | None,
        market: pd.DataFrame | None,
        protocol: Study,
        level: float,
    ) -> None:
        """Take the panel sorted by loan and month, the loans it follows and the market by calendar month."""
        # A loan is looked up once, not month by month; from here on its number stands for it.
        self.loan, known = pd.factorize(panel["loan_id"])
        panel = panel.drop(columns="loan_id")
        self.panel, self.level, self.protocol = panel, level, protocol
        place = pd.Index(cohort["loan_id"]).get_indexer(known)

        def of_loans(values: np.ndarray) -> np.ndarray:
            if (place < 0).any():
                raise StudyError(f"{int((place < 0).sum())} loans have months and are not in the cohort.")
            return values[place]

        self.month = panel["month_number"].to_numpy(dtype=int)
        missing = [name for name in (protocol.cluster, "institution_id") if name not in panel]
        for name in dict.fromkeys(missing):
            if name in cohort:
                panel[name] = of_loans(cohort[name].to_numpy())[self.loan]
        self.cluster = codes(panel[protocol.cluster])
        self.lender = codes(panel["institution_id"]) if "institution_id" in panel else np.zeros(len(panel), dtype=int)
        self.market = None
        if market is not None:
            row = market.set_index("calendar_month").index.get_indexer(
                panel["calendar_month"].cat.categories.astype(str)
            )
            series = (
                market.drop(columns="calendar_month").iloc[row].to_numpy(dtype=float)[panel["calendar_month"].cat.codes]
            )
            self.market = dict(zip(market.columns.drop("calendar_month"), series.T, strict=True))
        year = codes(panel["calendar_month"].astype("category").cat.rename_categories(str).str[:4])
        self.lender_year = self.lender * (year.max() + 1) + year
        self.treated = panel["treated"].to_numpy(dtype=float)
        self.repaid = np.zeros(len(panel))
        if followed is not None and "repaid" in followed.ways:
            last = of_loans(np.where(followed.way == 2, followed.months, 0))
            self.repaid = (self.month == last[self.loan]).astype(float)

    @cached_property
    def calendar(self) -> np.ndarray:
        """The calendar month of each month, as numbers."""
        return codes(self.panel["calendar_month"].astype("category").cat.codes)

    @property
    def logged(self) -> np.ndarray:
        """Which months (boolean) belong to lenders that keep a log of contacts."""
        if not {PROACTIVE, REACTIVE} <= set(self.panel):
            raise StudyError("the months do not say who began a contact.")
        found = self.panel[PROACTIVE].notna().to_numpy()
        if not found.any():
            raise StudyError("no lender keeps a log of contacts.")
        return found

    @property
    def clean(self) -> np.ndarray:
        """Which months (boolean) begin without arrears, in them or in the months just before."""
        return (self.panel["current_at_start"] == 1).to_numpy() & (self.panel["delinquent_before"] == 0).to_numpy()

    @cached_property
    def arrears(self) -> np.ndarray:
        """Whether the loan is in arrears or in default when the month ends (0/1)."""
        return np.maximum(self.panel["delinquent"].to_numpy(), self.panel["default"].to_numpy()).astype(float)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """What the lenders' files say of the loan, and its age, in no more bytes than it needs."""
        protocol, panel = self.protocol, self.panel
        named = [*protocol.matching.score, *protocol.controls.loan, *protocol.controls.borrower]
        parts = {}
        for term in dict.fromkeys(named):
            name = column_in(term)
            if name not in panel or panel[name].isna().any():
                continue
            if str(panel[name].dtype) in ("category", "str", "object"):
                number, labels = pd.factorize(panel[name])
                levels = labels.astype(str)
                for level in sorted(levels)[1:]:
                    parts[f"{name}[{level}]"] = (number == levels.get_loc(level)).astype(np.int8)
            else:
                value = panel[name].to_numpy()
                logarithm = term != name and (value > 0).all()
                parts[term] = np.log(value.astype(float)) if logarithm else value
        parts["month_number"] = self.month.astype(np.int16)
        parts["log(month_number)"] = np.log(self.month)
        return pd.DataFrame(parts)

    def lagged(self, name: str, back: int) -> np.ndarray:
        """Return the logarithm of one plus the contacts of `back` months before (negative: after)."""
        return np.log1p(shifted(self.panel[name].to_numpy(), self.loan, self.month, back))

    @cached_property
    def recent(self) -> np.ndarray:
        """The logarithm of one plus the mean of the lender's own contacts in the months of the window before."""
        total = window_sum(self.panel[PROACTIVE].to_numpy(dtype=float), self.loan, self.month, WINDOW)
        return np.log1p(total / WINDOW)

    def fit(
        self,
        outcome: np.ndarray,
        columns: dict[str, np.ndarray],
        stays: np.ndarray,
        family: Any = "logit",
        groups: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        without: tuple[str, ...] = (),
    ) -> Fitted:
        """Fit a regression on the months that stay, with the controls and an effect of each lender in each year."""
        groups = self.lender_year if groups is None else groups
        every = columns | {name: self.controls[name].to_numpy() for name in self.controls if name not in without}
        return month_regression(outcome, pd.DataFrame(every, copy=False), groups, family, weights, stays)

    def row(self, estimator: str, specification: str, factor: str, outcome: str, estimand: str, **more: Any) -> Row:
        """Return a row; the months that stay say how many rows, treated ones and clusters it rests on."""
        stays = more.pop("stays", None)
        counts = {}
        if stays is not None:
            counts = {
                "n": int(stays.sum()),
                "n_treated": int(self.treated[stays].sum()),
                "n_clusters": int((np.bincount(self.cluster[stays]) > 0).sum()),
            }
        named = {
            "estimator": estimator,
            "specification": specification,
            "factor": factor,
            "outcome": outcome,
            "estimand": estimand,
        }
        return named | counts | more
