"""The loans that are adjusted, what matching has found of them, and the rows on them."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import results
from pipeline.core.protocol import Study
from pipeline.core.shared import Adjust

Row = dict[str, Any]


class Loans(NamedTuple):
    """The loans in the order of their identifiers, with what every estimate takes of them."""

    frame: pd.DataFrame
    protocol: Study
    level: float
    choices: Adjust
    seed: int

    @property
    def treated(self) -> np.ndarray:
        """Nought or one (loans,)."""
        return self.frame["treated"].to_numpy()

    @property
    def default(self) -> np.ndarray:
        """Nought or one (loans,)."""
        return self.frame["default"].to_numpy()

    @property
    def weights(self) -> np.ndarray | None:
        """How many loans of the population each one stands for, where loans were sampled by outcome."""
        return self.frame["weight"].to_numpy(dtype=float) if "weight" in self.frame else None

    @property
    def clusters(self) -> pd.Series:
        """The cluster of each loan."""
        return self.frame[self.protocol.cluster]

    def row(self, estimator: str, specification: str, estimand: str, **more: Any) -> Row:
        """Return a row on the effect of treatment, with the numbers of loans."""
        return {
            "estimator": estimator,
            "specification": specification,
            "factor": "treated",
            "outcome": "default",
            "estimand": estimand,
            "n": len(self.frame),
            "n_treated": int(self.treated.sum()),
            "n_clusters": self.clusters.nunique(),
        } | more


class Matched(NamedTuple):
    """What matching has found of a study's loans."""

    design: dict[str, Any]
    """How it was done, of which: method."""
    pairs: pd.DataFrame
    """Matched sets: pair, treated, control; the same treated loan in as many rows as it has controls."""
    ties: dict[str, Any]
    """The share of treated loans that chose among equals, and the effects by other orders; empty without pairs."""


def headline(protocol: Study) -> list[str]:
    """Return the controls of the last rung of the ladder, time effects first."""
    ladder = protocol.controls.ladder()
    every = [*ladder.values()][-1] if ladder else []
    return list(dict.fromkeys([*protocol.controls.time, *every]))


def checked(loans: Loans, name: str, value: float, threshold: float, passed: bool, **more: Any) -> Row:
    """Return the row of an assumption about these loans."""
    common = {key: loans.row("", "", "")[key] for key in ("factor", "outcome", "n", "n_treated", "n_clusters")}
    return results.assumption(name, value, threshold, passed=passed, **common, **more)
