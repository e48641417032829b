"""Loans of lenders that start a programme, with the regressions that several ways to default have in common."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import Effect
from pipeline.stats.instruments import Instrumented, two_stage
from pipeline.stats.samples import number_treated

POINTS = "percentage points"

Row = dict[str, Any]


class Programme:
    """The loans of lenders that start a programme, and how effects on them are estimated."""

    def __init__(
        self, cohort: pd.DataFrame, more: Mapping[str, pd.DataFrame], protocol: Study, level: float, balance: float
    ) -> None:
        """Take the cohort and the tables beside it; standardised differences below `balance` count as none."""
        self.balance = balance
        self.level, self.protocol, self.more = level, protocol, more
        self.rule, self.afterwards = protocol.treatment, protocol.after_origination()
        self.cohort = cohort
        if "loan_ends" in more:
            ends = more["loan_ends"].set_index("loan_id").reindex(cohort["loan_id"]).reset_index(drop=True)
            self.cohort = cohort.reset_index(drop=True).join(ends)

    def row(self, estimator: str, specification: str, factor: str, outcome: str, estimand: str, **more: Any) -> Row:
        """Return a row; `loans` are those on which it rests, `clusters` what their errors are clustered by."""
        loans, clusters = more.pop("loans", None), more.pop("clusters", self.protocol.cluster)
        counts = {}
        if loans is not None:
            counts = {
                "n": len(loans),
                "n_treated": number_treated(loans),
                "n_clusters": int(loans[clusters].nunique()),
            }
        named = {
            "estimator": estimator,
            "specification": specification,
            "factor": factor,
            "outcome": outcome,
            "estimand": estimand,
        }
        return named | counts | more

    def controls(self, loans: pd.DataFrame) -> pd.DataFrame:
        """Return what matching holds alike, as columns without an intercept, and the quarter of origination."""
        matching = self.protocol.matching
        terms = [name for name in dict.fromkeys([*matching.exact, *matching.score, "origination_quarter"])]
        return design_matrix(loans, terms).matrix.drop(columns="intercept")

    def linear(self, loans: pd.DataFrame, outcome: str, factors: list[str]) -> dict[str, Effect]:
        """Return slopes of factors in a linear regression with controls and an effect of each lender."""
        design = pd.concat([loans[factors].astype(float), self.controls(loans)], axis=1)
        found = absorbed_linear(
            loans[outcome].astype(float),
            design,
            factors,
            loans["institution_id"],
            loans[self.protocol.cluster],
            self.level,
        )
        return {name: one for name, one in found.effects.items() if isinstance(one, Effect)}

    def lottery(self, loans: pd.DataFrame, outcome: str) -> Instrumented:
        """Return the effect of the programme on those whom a place won by lot enrols. Lots are drawn loan by loan."""
        quarters = design_matrix(loans, ["origination_quarter"]).matrix.drop(columns="intercept")
        return two_stage(
            loans[outcome].to_numpy(dtype=float),
            loans["treated"].to_numpy(),
            loans["programme_lot"].to_numpy(),
            groups=loans["institution_id"],
            controls=quarters,
            clusters=None,
            level=self.level,
        )

    @property
    def offered(self) -> pd.DataFrame:
        """Loans for which a lot was drawn."""
        if "programme_lot" not in self.cohort or self.cohort["programme_lot"].isna().all():
            raise StudyError("no lots were drawn for places in the programme.")
        return self.cohort[self.cohort["programme_lot"].notna()]
