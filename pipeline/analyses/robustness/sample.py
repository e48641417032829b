"""A factor with the loans, controls and labels of its headline regression."""

from typing import Any, NamedTuple

import pandas as pd

from pipeline.analyses import headline
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST

Row = dict[str, Any]


class Sample(NamedTuple):
    """A factor with the loans, controls and labels of its headline regression."""

    factor: str
    loans: pd.DataFrame
    design: pd.DataFrame
    dropped: list[str]
    protocol: Study
    level: float
    seed: int

    @property
    def default(self) -> pd.Series:
        """The outcome of each loan, nought or one."""
        return self.loans["default"]

    @property
    def weights(self) -> pd.Series | None:
        """How many loans of the population each one stands for, where that was sampled by outcome."""
        return self.loans.get("weight")

    @property
    def clusters(self) -> pd.Series:
        """The cluster of each loan."""
        return self.loans[self.protocol.cluster]

    @property
    def alone(self) -> bool:
        """Whether every loan is a cluster of its own."""
        return bool(self.clusters.is_unique)

    @property
    def time(self) -> str | None:
        """The column of time effects, or of quarters, where there are periods enough that make no clusters."""
        of_time = [name for name in (*self.protocol.controls.time, "origination_quarter") if name in self.loans]
        there = (name for name in of_time if self.loans[name].nunique() >= FEWEST and name != self.protocol.cluster)
        return next(there, None)

    @property
    def period(self) -> str | None:
        """The column whose effects can be taken out instead of standing in the design, where there is one."""
        of_time = self.protocol.controls.time
        if len(of_time) == 1 and self.loans[of_time[0]].dtype == "category":
            return of_time[0]
        return self.stratum

    @property
    def stratum(self) -> str | None:
        """The column of strata within which a lottery was drawn, where they stand among the controls."""
        strata = self.protocol.controls.strata
        return strata[0] if len(strata) == 1 and self.protocol.controls.ladder() else None

    @property
    def periods(self) -> pd.Series | None:
        """The period of each loan, where periods can be taken out."""
        return None if self.period is None else self.loans[self.period]

    @property
    def slim(self) -> pd.DataFrame:
        """The design without the effects that can be taken out."""
        return self.design[[name for name in self.design if not name.startswith(f"{self.period}[")]]

    @property
    def group(self) -> str | None:
        """The column of lenders, or of clusters that are no periods, where each has several loans."""
        for name in ("institution_id", self.protocol.cluster):
            if name != self.period and name in self.loans and self.loans[name].notna().all():
                number = self.loans[name].nunique()
                if FEWEST <= number <= len(self.loans) / 2:
                    return name
        return None

    def row(self, estimator: str, specification: str, estimand: str, **more: Any) -> Row:
        """Return a row of this factor, with the numbers of its loans."""
        stays = more.pop("stays", None)
        loans = self.loans if stays is None else self.loans[stays]
        named = {"estimator": estimator, "specification": specification, "factor": self.factor, "estimand": estimand}
        return headline.row(named, loans, self.protocol.cluster, **more)
